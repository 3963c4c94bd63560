//! Which kept frames show what the coming frame will show.

use driftless_data::Pose;

use crate::config::MemoryConfig;

/// Part of a memory that holds one frame: a square of an eighth of the reach, in one of sixteen directions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place([i32; 3]);

impl Place {
    /// The place of a pose.
    pub fn of(pose: Pose, config: &MemoryConfig) -> Self {
        let square = |x: f32| (8.0 * x / config.reach).floor() as i32;
        let sector = (16.0 * pose.angle / std::f32::consts::TAU).round() as i32;
        Self([square(pose.x), square(pose.y), sector.rem_euclid(16)])
    }
}

/// Directions, and distances along each, of the points that a view is judged by.
const DIRECTIONS: usize = 16;
const DISTANCES: [f32; 4] = [0.15, 0.35, 0.6, 1.0];
/// The fan of points is wider than the view by this, since the coming frame may turn: a quarter.
const WIDER: f32 = 1.25;
/// Kept frames nearest in pose, among which the recalled ones are chosen.
const NEAREST: usize = 24;
/// Points that a frame as far away as the view reaches, or seen in the opposite direction, must show
/// more than a near one to be preferred.
const DISTANCE_COST: f32 = 16.0;

/// The frames to recall before the frame after `now` is predicted: at most `config.frames` indices into
/// `seen`, best first.
///
/// Of 64 points in view from `now`, out to `config.reach`, each chosen frame shows the most that no
/// earlier choice shows, less a cost that grows with the distance of its pose.
pub fn recall(
    now: Pose,
    seen: impl IntoIterator<Item = Pose>,
    config: &MemoryConfig,
) -> Vec<usize> {
    let points = points_in_view(now, config);
    let mut open: Vec<(f32, u64, usize)> = nearest(now, seen, config.reach)
        .into_iter()
        .map(|(cost, i, pose)| (cost, shown(pose, &points, config), i))
        .collect();
    let mut unseen = u64::MAX;
    let mut chosen = Vec::with_capacity(config.frames);
    while chosen.len() < config.frames {
        let gain = |(cost, shown, _): &(f32, u64, usize)| {
            let new = (shown & unseen).count_ones();
            (new > 0).then_some(new as f32 - cost)
        };
        // The first of equals, which is the nearest.
        let mut best: Option<(f32, usize)> = None;
        for (at, candidate) in open.iter().enumerate() {
            if let Some(gain) = gain(candidate)
                && best.is_none_or(|(most, _)| gain > most)
            {
                best = Some((gain, at));
            }
        }
        let Some((_, at)) = best else { break };
        let (_, shown, i) = open.remove(at);
        unseen &= !shown;
        chosen.push(i);
    }
    chosen
}

/// The [`NEAREST`] poses by their cost, the first of equals first: (cost, index, pose).
fn nearest(now: Pose, seen: impl IntoIterator<Item = Pose>, reach: f32) -> Vec<(f32, usize, Pose)> {
    let mut nearest: Vec<(f32, usize, Pose)> = Vec::with_capacity(NEAREST + 1);
    for (i, pose) in seen.into_iter().enumerate() {
        let cost = cost(now, pose, reach);
        let at = nearest.partition_point(|(other, ..)| *other <= cost);
        if at < NEAREST {
            nearest.truncate(NEAREST - 1);
            nearest.insert(at, (cost, i, pose));
        }
    }
    nearest
}

/// What a frame's pose costs it, in points.
fn cost(now: Pose, seen: Pose, reach: f32) -> f32 {
    let motion = now.motion_to(seen);
    let distance = motion.ahead.hypot(motion.aside) / reach;
    DISTANCE_COST * (distance + motion.turn.abs() / std::f32::consts::PI)
}

/// The points in view from a pose.
fn points_in_view(from: Pose, config: &MemoryConfig) -> [[f32; 2]; 64] {
    let half = WIDER * config.field_of_view.to_radians() / 2.0;
    std::array::from_fn(|i| {
        let (direction, distance) = (i % DIRECTIONS, DISTANCES[i / DIRECTIONS] * config.reach);
        let share = (direction as f32 + 0.5) / DIRECTIONS as f32;
        let (sin, cos) = (from.angle + half * (2.0 * share - 1.0)).sin_cos();
        [from.x + distance * cos, from.y + distance * sin]
    })
}

/// Which of the points are in view from a pose, one bit each.
fn shown(from: Pose, points: &[[f32; 2]; 64], config: &MemoryConfig) -> u64 {
    let (sin, cos) = from.angle.sin_cos();
    let tangent = (config.field_of_view.to_radians() / 2.0).tan();
    let mut bits = 0;
    for (i, [x, y]) in points.iter().enumerate() {
        let (dx, dy) = (x - from.x, y - from.y);
        let (ahead, aside) = (cos * dx + sin * dy, cos * dy - sin * dx);
        let in_view = ahead > 0.0 && aside.abs() <= tangent * ahead && ahead <= 1.5 * config.reach;
        bits |= u64::from(in_view) << i;
    }
    bits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> MemoryConfig {
        MemoryConfig {
            frames: 2,
            field_of_view: 72.0,
            reach: 4.0,
            capacity: 100,
        }
    }

    fn turned(degrees: f32) -> Pose {
        Pose {
            angle: degrees.to_radians(),
            ..Pose::default()
        }
    }

    #[test]
    fn the_same_view_comes_first() {
        let seen = [180.0, 90.0, 30.0, 1.0, -60.0].map(turned);
        let chosen = recall(turned(0.0), seen, &config());
        assert_eq!(chosen[0], 3);
        // What is left of the wider fan is to the sides.
        assert!(chosen.len() == 2 && chosen[1] != 0, "{chosen:?}");
    }

    #[test]
    fn views_that_show_nothing_are_not_recalled() {
        let behind = Pose {
            x: -3.0,
            ..turned(180.0)
        };
        assert!(recall(turned(0.0), [behind, turned(180.0)], &config()).is_empty());
        assert!(recall(turned(0.0), [], &config()).is_empty());
    }

    #[test]
    fn chosen_views_complement_each_other() {
        // Two of the same to the left, one to the right.
        let seen = [30.0, 31.0, -38.0].map(turned);
        assert_eq!(recall(turned(0.0), seen, &config()), [0, 2]);
    }

    #[test]
    fn nearest_are_in_order_whatever_the_order_of_all() {
        let degrees: Vec<f32> = (0..60).map(|i| (i * 37 % 60) as f32).collect();
        let found = nearest(turned(0.0), degrees.iter().copied().map(turned), 4.0);
        let found: Vec<f32> = found.into_iter().map(|(_, i, _)| degrees[i]).collect();
        assert_eq!(found, (0..24).map(|i| i as f32).collect::<Vec<_>>());
    }
}
