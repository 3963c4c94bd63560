//! Where the walker is and where it looks.

use std::f32::consts::TAU;

/// Angle units in a full turn. Angles are whole numbers of units, so that turns add up exactly.
pub(super) const FULL_TURN: u16 = 4096;

/// Position and heading of the walker.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Pose {
    pub x: f32,
    pub y: f32,
    /// In angle units, below [`FULL_TURN`].
    pub angle: u16,
}

impl Pose {
    pub fn radians(self) -> f32 {
        f32::from(self.angle) / f32::from(FULL_TURN) * TAU
    }

    /// The direction of view as a unit vector.
    pub fn direction(self) -> [f32; 2] {
        let (sin, cos) = self.radians().sin_cos();
        [cos, sin]
    }
}
