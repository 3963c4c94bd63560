//! Where a recalled frame was seen from, in numbers for the network.

use driftless_data::Pose;

/// Numbers that tell the network where a recalled frame was seen from.
pub const MEMORY_FEATURES: usize = 8;

/// Where the cosine of the turn is among the features; its sine follows.
pub(super) const TURN_COS: usize = 2;

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

/// Numbers that tell the network in which direction the middle of a memory token was seen.
pub const BEARING_FEATURES: usize = 8;

/// Cosine and sine of a memory token's bearing, of twice, four and eight times it. The bearing is the turn
/// to the frame of the token, whose features these are, and the direction of the token within that
/// frame, given by its cosine and sine. After a turn on the spot, what is seen in a direction stands in
/// the tokens of that bearing.
pub(super) fn bearing_features(
    features: &[f32; MEMORY_FEATURES],
    [cos, sin]: [f32; 2],
) -> [f32; BEARING_FEATURES] {
    let (turn_cos, turn_sin) = (features[TURN_COS], features[TURN_COS + 1]);
    let once = [
        turn_cos * cos - turn_sin * sin,
        turn_sin * cos + turn_cos * sin,
    ];
    let double = |[cos, sin]: [f32; 2]| [cos * cos - sin * sin, 2.0 * cos * sin];
    let twice = double(once);
    let four = double(twice);
    let all = [once, twice, four, double(four)];
    std::array::from_fn(|i| all[i / 2][i % 2])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearing_is_the_sum_of_turn_and_direction() {
        let turned = Pose {
            angle: 0.5,
            ..Pose::default()
        };
        let features = memory_features(Pose::default(), turned, 20, 4.0);
        let found = bearing_features(&features, [0.3f32.cos(), 0.3f32.sin()]);
        for (found, n) in found.as_chunks::<2>().0.iter().zip([1.0f32, 2.0, 4.0, 8.0]) {
            let expected = [(0.8 * n).cos(), (0.8 * n).sin()];
            assert!((found[0] - expected[0]).abs() < 1e-5, "{found:?}");
            assert!((found[1] - expected[1]).abs() < 1e-5, "{found:?}");
        }
    }

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
