//! The actions that a player has.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The most axes that a world can have.
pub const MAX_AXES: usize = 16;

/// A discrete action and the keys that trigger it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionSpec {
    /// The action's name, for example `up`.
    pub name: String,
    /// Key names as in egui (`ArrowUp`, `W`, `Space`); empty for the idle action.
    pub keys: Vec<String>,
}

/// A continuous action: a number from −1 to 1 in every frame, such as the angle of a steering wheel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AxisSpec {
    /// The axis's name, for example `steering`.
    pub name: String,
    /// What −1 and 1 stand for, in the units that it was recorded in.
    #[serde(default = "AxisSpec::unit_range")]
    pub range: [f32; 2],
    /// Keys that hold the axis at −1; names as in [`ActionSpec::keys`].
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub negative: Vec<String>,
    /// Keys that hold the axis at 1.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positive: Vec<String>,
    /// What moves the axis besides keys.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inputs: Vec<AxisInput>,
    /// Seconds that the axis takes from rest to an end while a person plays, however fast keys and sticks are; 0
    /// for none.
    #[serde(default, skip_serializing_if = "AxisSpec::is_at_once")]
    pub ramp: f32,
}

/// A device that moves an axis. Right and up are positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AxisInput {
    /// A gamepad's left stick, sideways.
    LeftStickX,
    /// A gamepad's left stick, up and down.
    LeftStickY,
    /// A gamepad's right stick, sideways.
    RightStickX,
    /// A gamepad's right stick, up and down.
    RightStickY,
    /// A gamepad's triggers: the right one is positive, the left one negative.
    Triggers,
    /// How far the mouse has moved sideways since the last frame.
    MouseX,
    /// How far the mouse has moved up or down since the last frame.
    MouseY,
    /// Where the mouse points in the picture's width.
    PointerX,
    /// Where the mouse points in the picture's height.
    PointerY,
}

impl AxisSpec {
    /// The range of an axis that is recorded as it is played.
    pub fn unit_range() -> [f32; 2] {
        [-1.0, 1.0]
    }

    /// An axis that nothing moves yet, recorded as it is played.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            range: Self::unit_range(),
            negative: Vec::new(),
            positive: Vec::new(),
            inputs: Vec::new(),
            ramp: 0.0,
        }
    }

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde passes a reference"
    )]
    fn is_at_once(ramp: &f32) -> bool {
        *ramp == 0.0
    }

    /// The most that the axis moves in a frame while a person plays at this frame rate.
    pub fn largest_step(&self, fps: f32) -> f32 {
        if self.ramp > 0.0 {
            1.0 / (self.ramp * fps)
        } else {
            f32::INFINITY
        }
    }

    /// The value in −1..1 of a recorded number; beyond the range, the nearer end.
    pub fn normalized(&self, recorded: f64) -> f32 {
        let [low, high] = self.range.map(f64::from);
        let value = 2.0 * (recorded - low) / (high - low) - 1.0;
        value.clamp(-1.0, 1.0) as f32
    }
}

/// Checks the axes of a world or a dataset: at most [`MAX_AXES`], each with a name of its own and a range.
///
/// # Errors
/// Returns a message that names the axis.
pub fn check_axes(axes: &[AxisSpec]) -> Result<(), String> {
    if axes.len() > MAX_AXES {
        return Err(format!(
            "axes are {}, expected at most {MAX_AXES}",
            axes.len()
        ));
    }
    let mut names = BTreeSet::new();
    for AxisSpec {
        name, range, ramp, ..
    } in axes
    {
        if name.is_empty() || !names.insert(name) {
            return Err(format!(
                "axes: the name `{name}` is empty or occurs twice, expected one for each"
            ));
        }
        let [low, high] = *range;
        if !(low.is_finite() && high.is_finite() && low < high) {
            return Err(format!(
                "axis `{name}`: the range is {low} to {high}, expected the lower number first"
            ));
        }
        if !(0.0..=60.0).contains(ramp) {
            return Err(format!(
                "axis `{name}`: the ramp is {ramp} s, expected 0 to 60"
            ));
        }
    }
    Ok(())
}

/// What a player does in one frame: a discrete action, and where the axes of the world are.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Action {
    /// Index into the world's discrete actions; 0 is the idle one.
    pub index: u32,
    /// The world's axes in order, each from −1 to 1; 0 for those that it does not have.
    pub axes: [f32; MAX_AXES],
}

impl Action {
    /// The idle action with all axes at rest.
    pub const IDLE: Self = Self {
        index: 0,
        axes: [0.0; MAX_AXES],
    };

    /// An action with the first axes at these values; more than [`MAX_AXES`] are left out.
    pub fn with_axes(index: u32, values: &[f32]) -> Self {
        let mut action = Self::from(index);
        for (axis, value) in action.axes.iter_mut().zip(values) {
            *axis = *value;
        }
        action
    }

    /// Says what is wrong with the action in a world with so many discrete actions and axes, if anything.
    ///
    /// # Errors
    /// Returns a message if the index is unknown, or an axis is outside −1..1 or unknown and not 0.
    pub fn check(&self, actions: usize, axes: usize) -> Result<(), String> {
        if self.index as usize >= actions {
            let last = actions.saturating_sub(1);
            return Err(format!(
                "unknown action {}, expected 0 to {last}",
                self.index
            ));
        }
        for (i, value) in self.axes.iter().enumerate() {
            if i >= axes && *value != 0.0 {
                return Err(format!("axis {i} is {value}, but the world has {axes}"));
            }
            if !(-1.0..=1.0).contains(value) {
                return Err(format!("axis {i} is {value}, expected -1 to 1"));
            }
        }
        Ok(())
    }
}

impl From<u32> for Action {
    fn from(index: u32) -> Self {
        Self {
            index,
            ..Self::IDLE
        }
    }
}

/// Whether only the discrete action is played.
impl PartialEq<u32> for Action {
    fn eq(&self, index: &u32) -> bool {
        *self == Self::from(*index)
    }
}

/// The index, followed by the axes up to the last that is not at rest: `2 (-0.5, 1)`.
impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.index)?;
        let Some(last) = self.axes.iter().rposition(|value| *value != 0.0) else {
            return Ok(());
        };
        let values = self.axes[..=last].iter().map(f32::to_string);
        write!(f, " ({})", values.collect::<Vec<_>>().join(", "))
    }
}

impl fmt::Debug for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(name: &str, range: [f32; 2]) -> AxisSpec {
        AxisSpec {
            range,
            ..AxisSpec::named(name)
        }
    }

    #[test]
    fn actions_say_what_is_wrong() {
        assert_eq!(Action::with_axes(1, &[-1.0, 1.0]).check(2, 2), Ok(()));
        let wrong = |action: Action| action.check(2, 2).unwrap_err();
        assert!(wrong(2.into()).contains("unknown action 2, expected 0 to 1"));
        assert!(wrong(Action::with_axes(0, &[0.0, 1.5])).contains("axis 1 is 1.5"));
        assert!(wrong(Action::with_axes(0, &[f32::NAN])).contains("axis 0 is NaN"));
        let third = Action::with_axes(0, &[0.0, 0.0, 0.5]);
        assert!(wrong(third).contains("axis 2 is 0.5, but the world has 2"));
    }

    #[test]
    fn actions_without_axes_are_their_index() {
        assert!(Action::from(3) == 3 && Action::with_axes(3, &[0.5]) != 3);
        assert_eq!(Action::from(3).to_string(), "3");
        let turned = Action::with_axes(2, &[-0.5, 1.0, 0.0]);
        assert_eq!(turned.to_string(), "2 (-0.5, 1)");
    }

    #[test]
    fn recorded_numbers_are_normalized() {
        let throttle = axis("throttle", [0.0, 4.0]);
        let values = [0.0, 1.0, 2.0, 4.0, 9.0].map(|x| throttle.normalized(x));
        assert_eq!(values, [-1.0, -0.5, 0.0, 1.0, 1.0]);
    }

    #[test]
    fn bad_axes_are_named() {
        let unit = AxisSpec::unit_range();
        let wrong = |axes: &[AxisSpec]| check_axes(axes).unwrap_err();
        assert!(check_axes(&[axis("a", unit), axis("b", unit)]).is_ok());
        assert!(wrong(&[axis("a", unit), axis("a", unit)]).contains("`a`"));
        assert!(wrong(&[axis("a", [1.0, 1.0])]).contains("axis `a`: the range"));
        let slow = AxisSpec {
            ramp: f32::NAN,
            ..AxisSpec::named("a")
        };
        assert!(wrong(&[slow]).contains("axis `a`: the ramp is NaN"));
        let many: Vec<_> = (0..17).map(|i| axis(&i.to_string(), unit)).collect();
        assert!(wrong(&many).contains("axes are 17, expected at most 16"));
    }

    #[test]
    fn specs_are_short_in_json() {
        let text = r#"{"name": "steering", "negative": ["A"], "inputs": ["left-stick-x"]}"#;
        let read: AxisSpec = serde_json::from_str(text).unwrap();
        assert_eq!(read.range, [-1.0, 1.0]);
        assert_eq!(read.inputs, [AxisInput::LeftStickX]);
        let again: AxisSpec = serde_json::from_str(&serde_json::to_string(&read).unwrap()).unwrap();
        assert_eq!(again, read);
    }
}
