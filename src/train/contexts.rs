//! The starting contexts of a checkpoint: a few short clips of the training data.

use crate::data::{Dataset, Episode};
use crate::engine::Clip;

/// Clips that a checkpoint offers.
const CLIPS: usize = 8;

/// Up to eight clips of `frames` frames, from different episodes where there are so many.
///
/// Where the data says where the ball is (array `ball`), clips with the ball in sight are taken.
pub fn choose(dataset: &Dataset, frames: usize) -> Vec<Clip> {
    let usable: Vec<_> = dataset
        .episodes
        .iter()
        .filter(|episode| episode.frames() >= frames)
        .collect();
    let count = usable.len().min(CLIPS);
    (0..count)
        .map(|i| {
            let episode = usable[i * usable.len() / count];
            let start = start(episode, frames);
            episode.clip(start..start + frames)
        })
        .collect()
}

/// The first start behind the middle whose clip shows the ball throughout, else the middle.
fn start(episode: &Episode, frames: usize) -> usize {
    let last = episode.frames() - frames;
    let middle = last / 2;
    let Some(ball) = episode.extras.get("ball") else {
        return middle;
    };
    let width = ball.shape.get(1).copied().unwrap_or(1).max(1);
    let seen: Vec<bool> = ball
        .values
        .chunks_exact(width)
        .map(|at| at.iter().all(|x| x.is_finite()))
        .collect();
    (middle..=last)
        .chain(0..middle)
        .find(|&at| {
            seen.get(at..at + frames)
                .is_some_and(|s| s.iter().all(|&x| x))
        })
        .unwrap_or(middle)
}

#[cfg(test)]
mod tests {
    use crate::data::Extra;

    use super::*;

    fn episode(frames: usize, ball: Option<std::ops::Range<usize>>) -> Episode {
        let mut extras = std::collections::BTreeMap::new();
        if let Some(seen) = ball {
            let values = (0..frames)
                .flat_map(|t| {
                    if seen.contains(&t) {
                        [1.0, 2.0]
                    } else {
                        [f32::NAN; 2]
                    }
                })
                .collect();
            let shape = vec![frames, 2];
            extras.insert("ball".to_owned(), Extra { shape, values });
        }
        Episode {
            height: 1,
            width: 1,
            images: vec![0; frames * 3],
            actions: vec![0; frames],
            rewards: vec![0.0; frames],
            extras,
        }
    }

    #[test]
    fn a_clip_shows_the_ball_where_the_data_says_where_it_is() {
        assert_eq!(start(&episode(40, None), 10), 15);
        assert_eq!(start(&episode(40, Some(22..40)), 10), 22);
        assert_eq!(start(&episode(40, Some(3..14)), 10), 3);
        assert_eq!(start(&episode(40, Some(3..9)), 10), 15);
    }
}
