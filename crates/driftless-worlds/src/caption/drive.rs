//! What a clip of the car shows: the course of the road, the pace, and where the car drives.

use super::fact::{Bend, Fact, Ground, Pace};
use crate::drive::Drive;

/// Largest curvature of a straight road, and least of a bend, in 1/m.
const STRAIGHT: f32 = 1.0 / 120.0;
const BENT: f32 = 1.0 / 60.0;
/// Share of the frames of a phase that must show its course, or its ground.
const NEARLY_ALL: f32 = 0.8;
/// Fewest frames of a phase.
const MIN_PHASE: usize = 4;
/// Farthest from the middle of the road that its course is spoken of, in metres.
const IN_SIGHT: f32 = 12.0;
/// Speeds in m/s: standing below the first, slow below the second, fast above the third.
const SPEEDS: [f32; 3] = [0.3, 6.0, 13.0];
/// Change of the speed over the clip that is spoken of, in m/s.
const CHANGE: f32 = 4.0;

/// What a frame shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    bend: Option<Bend>,
    on_grass: bool,
    speed: f32,
}

impl Moment {
    /// The moment of a car on the track: its position in metres, its heading in radians, its speed in m/s.
    pub fn of(drive: &Drive, position: [f32; 2], heading: f32, speed: f32) -> Self {
        let (curvature, offset) = drive.road_ahead(position, heading);
        let bend = match curvature {
            _ if offset > IN_SIGHT => None,
            c if c.abs() < STRAIGHT => Some(Bend::Straight),
            c if c > BENT => Some(Bend::Left),
            c if c < -BENT => Some(Bend::Right),
            _ => None,
        };
        Self {
            bend,
            on_grass: Drive::is_grass(offset),
            speed,
        }
    }
}

/// The value that nearly all of some have.
fn nearly_all<T: PartialEq + Copy>(values: &[T]) -> Option<T> {
    let enough = |value: &&T| {
        let same = values.iter().filter(|v| v == value).count();
        same as f32 >= NEARLY_ALL * values.len() as f32
    };
    values.iter().find(enough).copied()
}

/// One value for the whole clip, or one for each of two phases.
fn one_or_two<T: PartialEq + Copy>(values: &[T]) -> Option<Vec<T>> {
    if let Some(value) = nearly_all(values) {
        return Some(vec![value]);
    }
    let last = values.len().saturating_sub(MIN_PHASE);
    (MIN_PHASE..=last).find_map(|cut| {
        let (first, second) = values.split_at(cut);
        let both = nearly_all(first).zip(nearly_all(second));
        let (a, b) = both.filter(|(a, b)| a != b)?;
        Some(vec![a, b])
    })
}

/// What a clip of these moments shows, as far as it is clear.
pub fn facts(moments: &[Moment]) -> Vec<Fact> {
    let mut facts = Vec::new();
    let bends: Vec<Option<Bend>> = moments.iter().map(|moment| moment.bend).collect();
    let course: Option<Vec<Bend>> = one_or_two(&bends).and_then(|c| c.into_iter().collect());
    let phases = course.unwrap_or_default().into_iter().enumerate();
    facts.extend(phases.map(|(phase, bend)| Fact::Road(phase, bend)));
    facts.extend(pace(moments).map(Fact::Pace));
    let grass: Vec<bool> = moments.iter().map(|moment| moment.on_grass).collect();
    let ground = match one_or_two(&grass).as_deref() {
        Some([false]) if !grass.contains(&true) => Some(Ground::Road),
        Some([true]) => Some(Ground::Grass),
        Some([false, true]) => Some(Ground::Leaving),
        Some([true, false]) => Some(Ground::Returning),
        _ => None,
    };
    facts.extend(ground.map(Fact::Ground));
    facts
}

fn pace(moments: &[Moment]) -> Option<Pace> {
    let speeds: Vec<f32> = moments.iter().map(|moment| moment.speed).collect();
    let (first, last) = (*speeds.first()?, *speeds.last()?);
    let [standing, slow, fast] = SPEEDS;
    if last - first > CHANGE {
        return Some(Pace::Faster);
    }
    if first - last > CHANGE {
        return Some(Pace::Slower);
    }
    let all = |within: &dyn Fn(f32) -> bool| speeds.iter().all(|&speed| within(speed));
    if all(&|speed| speed.abs() < standing) {
        return Some(Pace::Standing);
    }
    if all(&|speed| (standing..slow).contains(&speed)) {
        return Some(Pace::Slow);
    }
    all(&|speed| speed > fast).then_some(Pace::Fast)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policy, PolicyAgent, Simulator};

    fn moment(bend: Option<Bend>, on_grass: bool, speed: f32) -> Moment {
        Moment {
            bend,
            on_grass,
            speed,
        }
    }

    fn told(moments: &[Moment]) -> Vec<String> {
        facts(moments).iter().map(Fact::to_string).collect()
    }

    #[test]
    fn course_pace_and_ground_are_told() {
        let straight = moment(Some(Bend::Straight), false, 15.0);
        let left = moment(Some(Bend::Left), false, 14.0);
        assert_eq!(
            told(&[straight; 16]),
            ["road:0:straight", "pace:fast", "ground:road"]
        );
        let both = [[straight; 8], [left; 8]].concat();
        let expected = [
            "road:0:straight",
            "road:1:bend-left",
            "pace:fast",
            "ground:road",
        ];
        assert_eq!(told(&both), expected);
        let grass = moment(None, true, 3.0);
        assert_eq!(told(&[grass; 16]), ["pace:slow", "ground:grass"]);
        let leaving = [[straight; 8], [grass; 8]].concat();
        assert_eq!(told(&leaving), ["pace:slower", "ground:leaving"]);
        let back: Vec<Moment> = leaving.into_iter().rev().collect();
        assert_eq!(told(&back), ["pace:faster", "ground:returning"]);
        assert_eq!(
            told(&[moment(None, false, 0.0); 16]),
            ["pace:standing", "ground:road"]
        );
        assert_eq!(told(&[]), [""; 0]);
    }

    #[test]
    fn bends_turn_the_car() {
        let (mut right, mut wrong) = (0, 0);
        for seed in 0..4 {
            let mut drive = Drive::new(seed);
            let mut agent = PolicyAgent::new(Policy::Scripted, &drive, seed);
            let (mut moments, mut headings) = (Vec::new(), Vec::new());
            for _ in 0..320 {
                let action = agent.act(&drive);
                drive.step(action).unwrap();
                let state = drive.state();
                let [x, y, heading, speed] = [0, 1, 2, 3].map(|i| state[i].1[0]);
                moments.push(Moment::of(&drive, [x, y], heading, speed));
                headings.push(heading);
            }
            for (moments, headings) in moments.chunks_exact(16).zip(headings.chunks_exact(16)) {
                let turn = (headings[15] - headings[0] + 3.2).rem_euclid(6.3) - 3.2;
                let told = facts(moments);
                let roads = told.iter().filter(|fact| matches!(fact, Fact::Road(..)));
                if roads.count() != 1
                    || !told.contains(&Fact::Ground(Ground::Road))
                    || turn.abs() < 0.15
                {
                    continue;
                }
                let same = match told[0] {
                    Fact::Road(0, Bend::Left) => turn > 0.0,
                    Fact::Road(0, Bend::Right) => turn < 0.0,
                    _ => continue,
                };
                right += usize::from(same);
                wrong += usize::from(!same);
            }
        }
        assert!(right > 20 && right > 8 * wrong, "{right}, {wrong}");
    }
}
