//! Poses of a camera that moves in a plane.

use std::f32::consts::PI;

/// Position and heading of the camera, in the units of the world's poses and in radians.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pose {
    /// Position along x.
    pub x: f32,
    /// Position along y.
    pub y: f32,
    /// Heading: the camera looks along (cos, sin) of it.
    pub heading: f32,
}

/// How the camera moved from one frame to the next, as seen from the earlier pose.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Motion {
    /// Along the heading.
    pub ahead: f32,
    /// At a right angle to it: towards the direction in which headings grow.
    pub aside: f32,
    /// Change of the heading in radians, −π to π.
    pub turn: f32,
}

impl Pose {
    /// The pose after a motion.
    #[must_use]
    pub fn after(self, motion: Motion) -> Self {
        let (sin, cos) = self.heading.sin_cos();
        Self {
            x: self.x + cos * motion.ahead - sin * motion.aside,
            y: self.y + sin * motion.ahead + cos * motion.aside,
            heading: wrap(self.heading + motion.turn),
        }
    }

    /// The motion that leads from this pose to another; the inverse of [`Pose::after`].
    pub fn motion_to(self, other: Self) -> Motion {
        let (sin, cos) = self.heading.sin_cos();
        let (dx, dy) = (other.x - self.x, other.y - self.y);
        Motion {
            ahead: cos * dx + sin * dy,
            aside: cos * dy - sin * dx,
            turn: wrap(other.heading - self.heading),
        }
    }

    /// Whether all its numbers are finite.
    pub fn is_finite(self) -> bool {
        [self.x, self.y, self.heading]
            .into_iter()
            .all(f32::is_finite)
    }
}

/// The same angle between −π and π.
fn wrap(angle: f32) -> f32 {
    (angle + PI).rem_euclid(2.0 * PI) - PI
}

/// Numbers that tell the network where a recalled frame was seen from.
pub const MEMORY_FEATURES: usize = 8;

/// Where a recalled frame was seen from, relative to the pose of the frame before the predicted one:
/// ahead and aside in units of `reach`, cosine and sine of the turn and of twice the turn, ln(1 + age),
/// and the distance. `age` is in frames.
pub fn memory_features(now: Pose, seen: Pose, age: u64, reach: f32) -> [f32; MEMORY_FEATURES] {
    let motion = now.motion_to(seen);
    let (ahead, aside) = (motion.ahead / reach, motion.aside / reach);
    let (sin, cos) = motion.turn.sin_cos();
    let (sin2, cos2) = (2.0 * motion.turn).sin_cos();
    let age = (age as f32).ln_1p() / 8.0;
    [ahead, aside, cos, sin, cos2, sin2, age, ahead.hypot(aside)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn motions_lead_from_pose_to_pose() {
        let pose = |x, y, heading| Pose { x, y, heading };
        for (a, b) in [
            (pose(1.0, 2.0, 0.5), pose(-1.0, 2.5, 3.0)),
            (pose(0.0, 0.0, -3.1), pose(0.1, 0.0, 3.1)),
        ] {
            let there = a.after(a.motion_to(b));
            let off = (there.x - b.x).hypot(there.y - b.y);
            assert!(off < 1e-5, "{there:?}");
            assert!((there.heading - b.heading).abs() < 1e-5, "{there:?}");
        }
        let quarter = pose(0.0, 0.0, PI / 2.0);
        let motion = quarter.motion_to(pose(-2.0, 1.0, PI));
        assert!((motion.ahead - 1.0).abs() < 1e-6 && (motion.aside - 2.0).abs() < 1e-6);
        assert!((motion.turn - PI / 2.0).abs() < 1e-6);
    }

    #[test]
    fn features_do_not_depend_on_the_frame_of_reference() {
        let (a, b) = (
            Pose {
                x: 1.0,
                y: -1.0,
                heading: 0.3,
            },
            Pose {
                x: 2.0,
                y: 0.5,
                heading: -2.0,
            },
        );
        // Both turned by 0.7 about the origin and moved.
        let moved = |p: Pose| {
            let (sin, cos) = 0.7f32.sin_cos();
            Pose {
                x: cos * p.x - sin * p.y + 5.0,
                y: sin * p.x + cos * p.y - 3.0,
                heading: p.heading + 0.7,
            }
        };
        let (before, after) = (
            memory_features(a, b, 20, 4.0),
            memory_features(moved(a), moved(b), 20, 4.0),
        );
        for (before, after) in before.into_iter().zip(after) {
            assert!((before - after).abs() < 1e-5);
        }
    }
}
