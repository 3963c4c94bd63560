//! The phases of a motion: the row of motions between the frames of a clip, as few stretches of even motion
//! as tell it.

use driftless_data::Motion;

use super::fact::MotionKind;
use crate::maze::{FORWARD_STEP, STRAFE_STEP, TURN_RADIANS};

/// Fewest frames of a phase.
pub const MIN_PHASE: usize = 3;
/// Most phases of 16 frames; longer clips have more in proportion.
const PHASES_OF_16: usize = 3;
/// How much better another phase must tell the motion, in squared steps.
const PHASE_COST: f32 = 1.5;
/// Largest mean squared deviation from the mean of a phase, in squared steps, for it to be one motion.
const MAX_UNEVENNESS: f32 = 0.35;

/// A motion in units of the walker's steps: ahead, aside, turn.
type Steps = [f32; 3];

fn steps(motion: Motion) -> Steps {
    [
        motion.ahead / FORWARD_STEP,
        motion.aside / STRAFE_STEP,
        motion.turn / TURN_RADIANS,
    ]
}

/// The motion of each kind.
fn prototype(kind: MotionKind) -> Steps {
    match kind {
        MotionKind::Still => [0.0, 0.0, 0.0],
        MotionKind::Forward => [1.0, 0.0, 0.0],
        MotionKind::Back => [-0.7, 0.0, 0.0],
        MotionKind::StrafeLeft => [0.0, 1.0, 0.0],
        MotionKind::StrafeRight => [0.0, -1.0, 0.0],
        MotionKind::TurnLeft => [0.0, 0.0, 1.0],
        MotionKind::TurnRight => [0.0, 0.0, -1.0],
        MotionKind::ForwardLeft => [1.0, 0.0, 0.75],
        MotionKind::ForwardRight => [1.0, 0.0, -0.75],
    }
}

/// Mean and mean squared deviation of some motions.
fn spread(steps: &[Steps]) -> (Steps, f32) {
    let count = steps.len().max(1) as f32;
    let mean = [0, 1, 2].map(|i| steps.iter().map(|step| step[i]).sum::<f32>() / count);
    let off = steps.iter().map(|step| distance(*step, mean)).sum::<f32>();
    (mean, off / count)
}

/// The squared distance.
fn distance(a: Steps, b: Steps) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum()
}

/// The kind of a motion if there is no doubt about it.
fn clear_kind([ahead, aside, turn]: Steps) -> Option<MotionKind> {
    let small = |value: f32| value.abs() < 0.25;
    let choose = |value: f32, left, right| Some(if value > 0.0 { left } else { right });
    if small(ahead) && small(aside) {
        return match turn.abs() {
            t if t < 0.2 => Some(MotionKind::Still),
            t if t > 0.6 => choose(turn, MotionKind::TurnLeft, MotionKind::TurnRight),
            _ => None,
        };
    }
    if ahead > 0.6 && aside.abs() < 0.4 {
        return match turn.abs() {
            t if t < 0.25 => Some(MotionKind::Forward),
            t if t > 0.45 => choose(turn, MotionKind::ForwardLeft, MotionKind::ForwardRight),
            _ => None,
        };
    }
    if !small(turn) {
        return None;
    }
    if ahead < -0.5 && aside.abs() < 0.4 {
        return Some(MotionKind::Back);
    }
    if aside.abs() > 0.6 && ahead.abs() < 0.4 {
        return choose(aside, MotionKind::StrafeLeft, MotionKind::StrafeRight);
    }
    None
}

/// The kind that is nearest to a motion.
fn nearest_kind(steps: Steps) -> MotionKind {
    let far = |kind: &MotionKind| distance(steps, prototype(*kind));
    let nearest = MotionKind::ALL
        .into_iter()
        .min_by(|a, b| far(a).total_cmp(&far(b)));
    nearest.unwrap_or(MotionKind::Still)
}

/// The ways to cut `0..length` into parts with the least sum of costs: for each number of parts from 1 to
/// `most`, that sum and where the parts end. A cost is of (part, start, end).
fn cuts(
    length: usize,
    most: usize,
    cost: &dyn Fn(usize, usize, usize) -> f32,
) -> Vec<(f32, Vec<usize>)> {
    // For each end, the best sum so far and the ends.
    let mut before: Vec<Option<(f32, Vec<usize>)>> = vec![None; length + 1];
    before[0] = Some((0.0, Vec::new()));
    let mut found = Vec::new();
    for part in 0..most {
        let mut now = vec![None; length + 1];
        for end in MIN_PHASE..=length {
            for start in 0..=end - MIN_PHASE {
                let Some((sum, ends)) = &before[start] else {
                    continue;
                };
                let sum = sum + cost(part, start, end);
                let best: &mut Option<(f32, Vec<usize>)> = &mut now[end];
                if best.as_ref().is_none_or(|(least, _)| sum < *least) {
                    let ends = ends.iter().copied().chain([end]).collect();
                    *best = Some((sum, ends));
                }
            }
        }
        found.extend(now[length].clone());
        before = now;
    }
    found
}

/// The phases of a clip's motion in order, or `None` where it cannot be told clearly. `motions` are those
/// between the clip's frames, one fewer than it has.
pub fn phases(motions: &[Motion]) -> Option<Vec<MotionKind>> {
    let steps: Vec<Steps> = motions.iter().map(|&motion| steps(motion)).collect();
    let most = (PHASES_OF_16 * (steps.len() + 1) / 16).max(1);
    let cost = |_: usize, start: usize, end: usize| {
        let (_, off) = spread(&steps[start..end]);
        off * (end - start) as f32 + PHASE_COST
    };
    let (_, ends) = cuts(steps.len(), most, &cost)
        .into_iter()
        .min_by(|a, b| a.0.total_cmp(&b.0))?;
    let mut kinds: Vec<MotionKind> = Vec::new();
    let mut start = 0;
    for end in ends {
        let (mean, off) = spread(&steps[start..end]);
        let kind = clear_kind(mean).filter(|_| off < MAX_UNEVENNESS)?;
        if kinds.last() != Some(&kind) {
            kinds.push(kind);
        }
        start = end;
    }
    Some(kinds)
}

/// Whether a motion has these phases in this order, for each of them: the clip is cut where they fit best,
/// and a phase is there if its part is nearer to its kind than to any other. All are missing from a clip
/// that is too short.
pub fn has_phases(motions: &[Motion], kinds: &[MotionKind]) -> Vec<bool> {
    let steps: Vec<Steps> = motions.iter().map(|&motion| steps(motion)).collect();
    let cost = |part: usize, start: usize, end: usize| {
        let goal = prototype(kinds[part]);
        let off = steps[start..end].iter().map(|step| distance(*step, goal));
        off.sum::<f32>()
    };
    let all = cuts(steps.len(), kinds.len(), &cost);
    let Some((_, ends)) = all.into_iter().find(|(_, ends)| ends.len() == kinds.len()) else {
        return vec![false; kinds.len()];
    };
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let parts = starts.zip(&ends).zip(kinds);
    parts
        .map(|((start, &end), &kind)| nearest_kind(spread(&steps[start..end]).0) == kind)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Motions by letters: forward, back, left and right turn, steps aside, a curve, still.
    fn motions(letters: &str) -> Vec<Motion> {
        let motion = |letter| {
            let [ahead, aside, turn] = match letter {
                'f' => [0.14, 0.0, 0.0],
                'b' => [-0.1, 0.0, 0.0],
                'l' => [0.0, 0.0, TURN_RADIANS],
                'r' => [0.0, 0.0, -TURN_RADIANS],
                'q' => [0.0, 0.1, 0.0],
                'e' => [0.0, -0.1, 0.0],
                'c' => [0.14, 0.0, TURN_RADIANS],
                _ => [0.0; 3],
            };
            Motion { ahead, aside, turn }
        };
        letters.chars().map(motion).collect()
    }

    #[test]
    fn phases_are_told_in_order() {
        use MotionKind::*;
        let cases: [(&str, &[MotionKind]); 11] = [
            ("fffffffffffffff", &[Forward]),
            ("...............", &[Still]),
            ("fffffffflllllll", &[Forward, TurnLeft]),
            ("bbbbbrrrrreeeee", &[Back, TurnRight, StrafeRight]),
            ("qqqqqqqqqqq....", &[StrafeLeft, Still]),
            ("ccccccccccccccc", &[ForwardLeft]),
            // Runs of fewer than three frames belong to their neighbours.
            ("ffffffllfffffff", &[Forward]),
            ("rffffffffffffff", &[Forward]),
            // One frame in two turns: a curve.
            ("fcfcfcfcfcfcfcf", &[ForwardLeft]),
            ("fff", &[Forward]),
            ("", &[]),
        ];
        for (letters, kinds) in cases {
            let found = phases(&motions(letters));
            if kinds.is_empty() {
                assert_eq!(found, None);
            } else {
                assert_eq!(found.as_deref(), Some(kinds), "{letters}");
                let all = has_phases(&motions(letters), kinds);
                assert!(all.iter().all(|&there| there), "{letters}: {all:?}");
            }
        }
    }

    #[test]
    fn what_is_unclear_is_not_told() {
        for letters in [
            // To and fro is not standing still.
            "lrlrlrlrlrlrlrl",
            "fbfbfbfbfbfbfbf",
            // A slight curve is neither.
            "ffcffcffcffcffc",
            "f.f.f.f.f.f.f.f",
            "ff",
        ] {
            assert_eq!(phases(&motions(letters)), None, "{letters}");
        }
    }

    #[test]
    fn other_motions_do_not_have_the_phases() {
        use MotionKind::*;
        let has = |letters, kinds| has_phases(&motions(letters), kinds);
        assert_eq!(has("fffffffflllllll", &[Forward, TurnRight]), [true, false]);
        assert_eq!(has("lllllllffffffff", &[Forward, TurnLeft]), [false, false]);
        assert_eq!(has("fffffffflllllll", &[Forward]), [false]);
        assert_eq!(has("bbbbbbbbbbbbbbb", &[Forward]), [false]);
        assert_eq!(has("fffff", &[Forward, Still]), [false, false]);
    }

    #[test]
    fn long_clips_have_more_phases() {
        use MotionKind::*;
        let letters = "ffffffllllllffffffrrrrrrbbbbbbb";
        let expected = [Forward, TurnLeft, Forward, TurnRight, Back];
        assert_eq!(phases(&motions(letters)).unwrap(), expected);
    }
}
