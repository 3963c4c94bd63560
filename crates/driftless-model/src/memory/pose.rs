//! Where a recalled frame was seen from, in numbers for the network.

use driftless_data::Pose;

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
    fn features_do_not_depend_on_the_frame_of_reference() {
        let (a, b) = (
            Pose {
                x: 1.0,
                y: -1.0,
                angle: 0.3,
            },
            Pose {
                x: 2.0,
                y: 0.5,
                angle: -2.0,
            },
        );
        // Both turned by 0.7 about the origin and moved.
        let moved = |p: Pose| {
            let (sin, cos) = 0.7f32.sin_cos();
            Pose {
                x: cos * p.x - sin * p.y + 5.0,
                y: sin * p.x + cos * p.y - 3.0,
                angle: p.angle + 0.7,
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
