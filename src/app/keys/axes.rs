//! The axes of a world: which keys and devices move them.

use eframe::egui::Key;

use driftless_data::{AxisInput, AxisSpec, MAX_AXES};

use super::{BoundAction, HeldKeys, InputSource, KeyMap};
use crate::{Error, Result};

/// An axis and what moves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundAxis {
    /// Keys that hold it at −1, and at 1.
    ends: [Vec<Key>; 2],
    inputs: Vec<AxisInput>,
    /// Its name with its keys, as it is listed for the player.
    pub listed: BoundAction,
}

impl BoundAxis {
    /// Whether a key holds it at an end.
    pub fn uses(&self, key: Key) -> bool {
        self.ends.iter().any(|keys| keys.contains(&key))
    }
}

/// Where sticks, triggers and the mouse are, each from −1 to 1.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AnalogInputs {
    /// The left and the right stick, `[right, up]`.
    pub sticks: [[f32; 2]; 2],
    /// The right trigger less the left one.
    pub triggers: f32,
    /// The motion of the mouse that no frame has taken yet, `[right, up]`.
    pub motion: [f32; 2],
    /// Where the mouse points in the picture, `[right, up]` from its middle.
    pub pointer: [f32; 2],
}

impl AnalogInputs {
    fn value(&self, input: AxisInput) -> f32 {
        let Self {
            sticks: [left, right],
            triggers,
            motion,
            pointer,
        } = *self;
        match input {
            AxisInput::LeftStickX => left[0],
            AxisInput::LeftStickY => left[1],
            AxisInput::RightStickX => right[0],
            AxisInput::RightStickY => right[1],
            AxisInput::Triggers => triggers,
            AxisInput::MouseX => motion[0],
            AxisInput::MouseY => motion[1],
            AxisInput::PointerX => pointer[0],
            AxisInput::PointerY => pointer[1],
        }
    }
}

impl KeyMap {
    /// The same bindings with a world's axes. A key of an axis plays no action.
    ///
    /// # Errors
    /// Returns an error that names the axis and the key if a key name is unknown.
    pub fn with_axes(mut self, axes: &[AxisSpec]) -> Result<Self> {
        let key = |axis: &AxisSpec, name: &String| {
            Key::from_name(name).ok_or_else(|| {
                Error::Config(format!(
                    "axis `{}` is bound to the unknown key `{name}`, expected a key name such as `ArrowLeft` \
                     or `A`",
                    axis.name
                ))
            })
        };
        self.axes.clear();
        for axis in axes.iter().take(MAX_AXES) {
            let keys = |names: &[String]| names.iter().map(|name| key(axis, name)).collect();
            let ends: [Result<Vec<Key>>; 2] = [keys(&axis.negative), keys(&axis.positive)];
            let [negative, positive] = ends;
            let ends = [negative?, positive?];
            let first = ends.iter().filter_map(|keys| keys.first());
            let listed = BoundAction {
                action: 0,
                name: axis.name.clone(),
                chords: first.map(|key| vec![*key]).collect(),
            };
            self.axes.push(BoundAxis {
                ends,
                inputs: axis.inputs.clone(),
                listed,
            });
        }
        let axes = &self.axes;
        let is_free = |key: &Key| !axes.iter().any(|axis| axis.uses(*key));
        for action in &mut self.actions {
            action.chords.retain(|chord| chord.iter().all(is_free));
        }
        self.actions.retain(|action| !action.chords.is_empty());
        Ok(self)
    }

    /// The axes of the world.
    pub fn axes(&self) -> &[BoundAxis] {
        &self.axes
    }

    /// The axes to list for the player.
    pub fn listed_axes(&self) -> impl Iterator<Item = &BoundAction> {
        self.axes.iter().map(|axis| &axis.listed)
    }

    /// Whether something moves an axis.
    pub fn has_input(&self, inputs: &[AxisInput]) -> bool {
        let mut all = self.axes.iter().flat_map(|axis| &axis.inputs);
        all.any(|input| inputs.contains(input))
    }

    /// How far an action moved the axes that follow an input, from −1 to 1.
    pub fn moved_by(&self, input: AxisInput, axes: &[f32]) -> f32 {
        let moved = self.axes.iter().zip(axes);
        let mut moved = moved.filter(|(axis, _)| axis.inputs.contains(&input));
        moved.next().map_or(0.0, |(_, value)| *value)
    }
}

impl HeldKeys {
    /// Where the axes are: at an end while one of its keys is held, or else where sticks and mouse have them.
    pub fn axes(&self, map: &KeyMap, analog: &AnalogInputs) -> [f32; MAX_AXES] {
        // A gamepad's directions are held as keys, too; its sticks say more.
        let is_held = |key: &Key| self.is_held_by(*key, |source| source != InputSource::Gamepad);
        let mut values = [0.0; MAX_AXES];
        for (value, axis) in values.iter_mut().zip(&map.axes) {
            let [negative, positive] = axis.ends.each_ref().map(|keys| keys.iter().any(is_held));
            let moved: f32 = axis.inputs.iter().map(|input| analog.value(*input)).sum();
            *value = match (negative, positive) {
                (true, false) => -1.0,
                (false, true) => 1.0,
                (true, true) => 0.0,
                (false, false) if moved.is_finite() => moved.clamp(-1.0, 1.0),
                (false, false) => 0.0,
            };
        }
        values
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_worlds::SimulatorKind;

    fn map() -> KeyMap {
        let info = SimulatorKind::Steer.open(0).info();
        let map = KeyMap::new(&info.actions).unwrap();
        map.with_axes(&info.axes).unwrap()
    }

    fn axes(held: &HeldKeys, analog: AnalogInputs) -> [f32; 2] {
        let [steering, gas, ..] = held.axes(&map(), &analog);
        [steering, gas]
    }

    #[test]
    fn published_worlds_have_keys_that_exist() {
        let held = KeyMap::new(&driftless_oasis::controls::actions()).unwrap();
        let held = held.with_axes(&driftless_oasis::controls::axes()).unwrap();
        assert_eq!(held.chords_of(3), [[Key::Num1]]);
        assert!(held.has_input(&[AxisInput::MouseX]));
        let held = KeyMap::new(&driftless_dreamer::controls::actions()).unwrap();
        let held = held
            .with_axes(&driftless_dreamer::controls::axes(16))
            .unwrap();
        assert_eq!(held.axes().len(), 16);
        let numbered = driftless_diamond::atari::actions("unknown", 12);
        assert_eq!(KeyMap::new(&numbered).unwrap().chords_of(9), [[Key::Num9]]);
    }

    #[test]
    fn keys_hold_axes_at_their_ends() {
        let mut held = HeldKeys::default();
        let rest = AnalogInputs::default();
        assert_eq!(axes(&held, rest), [0.0, 0.0]);
        held.press(Key::A);
        held.press(Key::ArrowUp);
        assert_eq!(axes(&held, rest), [-1.0, 1.0]);
        held.press(Key::D);
        assert_eq!(axes(&held, rest), [0.0, 1.0]);
        held.release(Key::A);
        assert_eq!(axes(&held, rest), [1.0, 1.0]);
    }

    #[test]
    fn sticks_move_axes_unless_a_key_is_held() {
        let mut held = HeldKeys::default();
        let analog = AnalogInputs {
            sticks: [[0.25, 0.0], [0.0, -0.5]],
            ..AnalogInputs::default()
        };
        // The direction of the stick, which is held as a key, does not count.
        held.set(InputSource::Gamepad, &[Key::ArrowLeft]);
        assert_eq!(axes(&held, analog), [0.25, -0.5]);
        held.press(Key::ArrowLeft);
        assert_eq!(axes(&held, analog), [-1.0, -0.5]);
        let pointed = AnalogInputs {
            pointer: [0.9, 0.9],
            ..analog
        };
        assert_eq!(axes(&HeldKeys::default(), pointed), [1.0, -0.5]);
    }

    #[test]
    fn keys_of_axes_play_no_action() {
        let action = |name: &str, keys: &[&str]| driftless_data::ActionSpec {
            name: name.into(),
            keys: keys.iter().map(|key| (*key).into()).collect(),
        };
        let actions = [action("noop", &[]), action("jump", &["A", "Space"])];
        let steering = AxisSpec {
            negative: vec!["A".into()],
            ..AxisSpec::named("steering")
        };
        let map = KeyMap::new(&actions).unwrap();
        let map = map.with_axes(&[steering]).unwrap();
        assert!(map.uses(Key::A));
        assert_eq!(map.chords_of(1), [vec![Key::Space]]);
        let unknown = AxisSpec {
            positive: vec!["Wheel".into()],
            ..AxisSpec::named("steering")
        };
        let error = map.with_axes(&[unknown]).unwrap_err().to_string();
        assert!(
            error.contains("axis `steering` is bound to the unknown key `Wheel`"),
            "{error}"
        );
    }
}
