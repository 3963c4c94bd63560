//! Actions as numbers that take part in the flow.
//!
//! A clip's actions are noised and predicted with its frames, so that a clip tells what was done in it,
//! and its frames follow what is decided early.

/// What the number of the chosen action is; those of the others are 0. Large enough against the noise of
/// standard deviation 1 for an action to be decided at low signal levels, before the frames are.
pub const CHOSEN: f32 = 8.0;

/// The numbers of an action, `[actions]`. All are 0 if it is not known: what led to the first frame of a
/// clip never is.
pub fn numbers(action: Option<u32>, actions: usize) -> impl Iterator<Item = f32> {
    let value = move |i| if action == Some(i) { CHOSEN } else { 0.0 };
    (0..actions as u32).map(value)
}

/// The action that numbers stand for, the idle one if there are none.
pub fn chosen(numbers: &[f32]) -> u32 {
    let ranked = (0..).zip(numbers);
    let best = ranked.max_by(|a: &(u32, _), b| f32::total_cmp(a.1, b.1));
    best.map_or(0, |(action, _)| action)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_tell_the_action() {
        for action in 0..5 {
            let all: Vec<f32> = numbers(Some(action), 5).collect();
            assert_eq!(chosen(&all), action);
            assert_eq!(all.iter().sum::<f32>(), CHOSEN);
        }
        assert_eq!(numbers(None, 3).collect::<Vec<_>>(), [0.0; 3]);
        assert_eq!(chosen(&[]), 0);
    }
}
