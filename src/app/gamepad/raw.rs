//! The raw state of a gamepad, as the platform reports it.

use std::collections::BTreeSet;

/// A button by its position, not by its printed label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::app) enum GamepadButton {
    South,
    East,
    West,
    North,
    LeftShoulder,
    RightShoulder,
    LeftTrigger,
    RightTrigger,
    Start,
    Select,
}

impl GamepadButton {
    /// Buttons that can be mapped to keys, in mapping order.
    pub const MAPPABLE: [Self; 8] = [
        Self::South,
        Self::East,
        Self::West,
        Self::North,
        Self::LeftTrigger,
        Self::RightTrigger,
        Self::LeftShoulder,
        Self::RightShoulder,
    ];

    /// The button's key in the settings file.
    pub fn name(self) -> &'static str {
        match self {
            Self::South => "south",
            Self::East => "east",
            Self::West => "west",
            Self::North => "north",
            Self::LeftShoulder => "left-shoulder",
            Self::RightShoulder => "right-shoulder",
            Self::LeftTrigger => "left-trigger",
            Self::RightTrigger => "right-trigger",
            Self::Start => "start",
            Self::Select => "select",
        }
    }

    /// The button's name for display.
    pub fn label(self) -> &'static str {
        match self {
            Self::South => "South (A, cross)",
            Self::East => "East (B, circle)",
            Self::West => "West (X, square)",
            Self::North => "North (Y, triangle)",
            Self::LeftShoulder => "Left shoulder",
            Self::RightShoulder => "Right shoulder",
            Self::LeftTrigger => "Left trigger",
            Self::RightTrigger => "Right trigger",
            Self::Start => "Start",
            Self::Select => "Select",
        }
    }
}

/// Up, down, left, right.
pub(in crate::app) type Directions = [bool; 4];

/// The raw state of a gamepad.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct RawGamepad {
    pub name: String,
    /// Digital buttons that are down.
    pub buttons: BTreeSet<GamepadButton>,
    pub dpad: Directions,
    /// The left stick `[right, up]`, from −1 to 1.
    pub stick: [f32; 2],
    /// The right stick, likewise.
    pub right_stick: [f32; 2],
    /// The left and right trigger, from 0 to 1.
    pub triggers: [f32; 2],
}
