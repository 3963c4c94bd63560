//! What a player does in a frame, as the network knows it: the 25 numbers of OpenAI's recordings of Minecraft (Baker et
//! al., *Video PreTraining*, 2022), keys as 0 or 1 and two turns of the camera from −1 to 1.

use driftless_data::{Action, ActionSpec, AxisInput, AxisSpec};

/// Numbers of a frame's action.
pub const CONTROLS: usize = 25;

/// Frames a second: the game's own ticks.
pub const FPS: f32 = 20.0;

/// The camera's part of its range that an axis at its end takes: half of 20° a frame. All of it is too fast for keys.
const CAMERA: f32 = 0.5;

/// Controls by their places in the vector.
mod place {
    pub(super) const FORWARD: usize = 11;
    pub(super) const BACK: usize = 12;
    pub(super) const LEFT: usize = 13;
    pub(super) const RIGHT: usize = 14;
    /// Positive is down.
    pub(super) const PITCH: usize = 15;
    /// Positive is right.
    pub(super) const YAW: usize = 16;
    pub(super) const JUMP: usize = 17;
    pub(super) const SNEAK: usize = 18;
    pub(super) const SPRINT: usize = 19;
    pub(super) const ATTACK: usize = 21;
    pub(super) const USE: usize = 22;
}

/// Controls that are pressed alone, with their places and keys; the window has Escape for itself.
const PRESSED: [(&str, usize, &str); 14] = [
    ("inventory", 0, "E"),
    ("escape", 1, "Backspace"),
    ("slot-1", 2, "1"),
    ("slot-2", 3, "2"),
    ("slot-3", 4, "3"),
    ("slot-4", 5, "4"),
    ("slot-5", 6, "5"),
    ("slot-6", 7, "6"),
    ("slot-7", 8, "7"),
    ("slot-8", 9, "8"),
    ("slot-9", 10, "9"),
    ("swap-hands", 20, "F"),
    ("pick-item", 23, "G"),
    ("drop", 24, "Q"),
];

/// The discrete actions: none, and what is pressed alone.
pub fn actions() -> Vec<ActionSpec> {
    let spec = |name: &str, keys: Vec<String>| ActionSpec {
        name: name.to_owned(),
        keys,
    };
    let pressed = PRESSED.map(|(name, _, key)| spec(name, vec![key.to_owned()]));
    [vec![spec("noop", Vec::new())], pressed.to_vec()].concat()
}

/// An axis, its keys for −1 and 1, what else moves it, and the controls that it is, at −1 and at 1.
struct HeldControl {
    name: &'static str,
    keys: [&'static [&'static str]; 2],
    inputs: &'static [AxisInput],
    controls: HeldPlaces,
}

/// The controls of an axis.
enum HeldPlaces {
    /// Keys, pressed beyond the middle between rest and an end.
    Keys([Option<usize>; 2]),
    /// A turn of the camera, with the sign of its number.
    Camera(usize, f32),
}

/// Controls that are held with others.
static HELD: [HeldControl; 8] = [
    HeldControl {
        name: "walk",
        keys: [&["S"], &["W"]],
        inputs: &[AxisInput::LeftStickY],
        controls: HeldPlaces::Keys([Some(place::BACK), Some(place::FORWARD)]),
    },
    HeldControl {
        name: "strafe",
        keys: [&["A"], &["D"]],
        inputs: &[AxisInput::LeftStickX],
        controls: HeldPlaces::Keys([Some(place::LEFT), Some(place::RIGHT)]),
    },
    HeldControl {
        name: "turn",
        keys: [&["ArrowLeft"], &["ArrowRight"]],
        inputs: &[AxisInput::MouseX, AxisInput::RightStickX],
        controls: HeldPlaces::Camera(place::YAW, 1.0),
    },
    HeldControl {
        name: "look",
        keys: [&["ArrowDown"], &["ArrowUp"]],
        inputs: &[AxisInput::MouseY, AxisInput::RightStickY],
        controls: HeldPlaces::Camera(place::PITCH, -1.0),
    },
    HeldControl {
        name: "use-attack",
        keys: [&["K"], &["J"]],
        inputs: &[AxisInput::Triggers],
        controls: HeldPlaces::Keys([Some(place::USE), Some(place::ATTACK)]),
    },
    HeldControl {
        name: "jump",
        keys: [&[], &["Space"]],
        inputs: &[],
        controls: HeldPlaces::Keys([None, Some(place::JUMP)]),
    },
    HeldControl {
        name: "sneak",
        keys: [&[], &["C"]],
        inputs: &[],
        controls: HeldPlaces::Keys([None, Some(place::SNEAK)]),
    },
    HeldControl {
        name: "sprint",
        keys: [&[], &["X"]],
        inputs: &[],
        controls: HeldPlaces::Keys([None, Some(place::SPRINT)]),
    },
];

/// The axes: what is held with others.
pub fn axes() -> Vec<AxisSpec> {
    let names = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
    let spec = |held: &HeldControl| AxisSpec {
        negative: names(held.keys[0]),
        positive: names(held.keys[1]),
        inputs: held.inputs.to_vec(),
        ..AxisSpec::named(held.name)
    };
    HELD.iter().map(spec).collect()
}

/// The network's numbers of an action.
pub fn controls(action: &Action) -> [f32; CONTROLS] {
    let mut controls = [0.0; CONTROLS];
    let pressed = (action.index as usize).checked_sub(1);
    if let Some((_, at, _)) = pressed.and_then(|index| PRESSED.get(index)) {
        controls[*at] = 1.0;
    }
    for (held, value) in HELD.iter().zip(action.axes) {
        match held.controls {
            HeldPlaces::Camera(at, sign) => controls[at] = sign * CAMERA * value,
            HeldPlaces::Keys(ends) => {
                let end = ends[usize::from(value > 0.0)];
                if let Some(at) = end.filter(|_| value.abs() > 0.5) {
                    controls[at] = 1.0;
                }
            }
        }
    }
    controls
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pressed(action: &Action) -> Vec<(usize, f32)> {
        let numbers = controls(action).into_iter().enumerate();
        numbers.filter(|(_, value)| *value != 0.0).collect()
    }

    #[test]
    fn every_control_has_a_key_or_a_turn() {
        let mut found = [false; CONTROLS];
        let mut mark = |action: Action| {
            for (at, _) in pressed(&action) {
                found[at] = true;
            }
        };
        (0..actions().len() as u32).for_each(|index| mark(index.into()));
        for axis in 0..axes().len() {
            for end in [-1.0, 1.0] {
                let mut action = Action::IDLE;
                action.axes[axis] = end;
                mark(action);
            }
        }
        assert!(found.iter().all(|found| *found), "{found:?}");
    }

    #[test]
    fn keys_and_turns_combine() {
        let action = Action::with_axes(1, &[1.0, 0.2, -1.0, 0.5]);
        let expected = [
            (0, 1.0),
            (place::FORWARD, 1.0),
            (place::PITCH, -0.25),
            (place::YAW, -0.5),
        ];
        assert_eq!(pressed(&action), expected);
        assert_eq!(pressed(&Action::IDLE), []);
    }

    #[test]
    fn no_key_has_two_meanings() {
        let mut keys: Vec<String> = actions().into_iter().flat_map(|spec| spec.keys).collect();
        let held = axes().into_iter();
        keys.extend(held.flat_map(|axis| [axis.negative, axis.positive].concat()));
        let count = keys.len();
        keys.sort();
        keys.dedup();
        assert_eq!(keys.len(), count);
    }
}
