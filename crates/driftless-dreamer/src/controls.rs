//! The actuators of the simulated bodies as axes of the player.

use driftless_data::{ActionSpec, AxisInput, AxisSpec};

/// Frames a second, as the published program plays them.
pub const FPS: f32 = 10.0;

/// Seconds from rest to an end. The published program smooths keys, by 0.817 a frame: two thirds of the way in as long.
const RAMP: f32 = 0.5;

/// The keys for −1 and 1 of the first actuators, and what else moves them. Bodies of the published tasks have one to six.
const KEYS: [([&str; 2], &[AxisInput]); 8] = [
    (
        ["ArrowLeft", "ArrowRight"],
        &[AxisInput::LeftStickX, AxisInput::MouseX],
    ),
    (
        ["ArrowDown", "ArrowUp"],
        &[AxisInput::LeftStickY, AxisInput::MouseY],
    ),
    (["A", "D"], &[AxisInput::RightStickX]),
    (["S", "W"], &[AxisInput::RightStickY]),
    (["Q", "E"], &[AxisInput::Triggers]),
    (["Z", "X"], &[]),
    (["J", "L"], &[]),
    (["K", "U"], &[]),
];

/// The only discrete action.
pub fn actions() -> Vec<ActionSpec> {
    vec![ActionSpec {
        name: "noop".to_owned(),
        keys: Vec::new(),
    }]
}

/// The axes of so many actuators. Those that the keys do not reach are moved by recorded actions only.
pub fn axes(actuators: usize) -> Vec<AxisSpec> {
    let axis = |i: usize| {
        let named = AxisSpec {
            ramp: RAMP,
            ..AxisSpec::named(&format!("actuator-{}", i + 1))
        };
        match KEYS.get(i) {
            None => named,
            Some(([negative, positive], inputs)) => AxisSpec {
                negative: vec![(*negative).to_owned()],
                positive: vec![(*positive).to_owned()],
                inputs: inputs.to_vec(),
                ..named
            },
        }
    };
    (0..actuators).map(axis).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_data::{MAX_AXES, check_axes};

    #[test]
    fn actuators_have_names_and_keys_of_their_own() {
        let axes = axes(MAX_AXES);
        check_axes(&axes).unwrap();
        let keys = |axis: &AxisSpec| [axis.negative.clone(), axis.positive.clone()].concat();
        let mut all: Vec<String> = axes.iter().flat_map(keys).collect();
        assert_eq!(all.len(), 2 * KEYS.len());
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 2 * KEYS.len());
        let inputs = axes.iter().map(|axis| axis.inputs.len()).sum::<usize>();
        assert_eq!(inputs, 7);
    }
}
