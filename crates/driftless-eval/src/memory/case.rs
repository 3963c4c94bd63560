//! The sequences of the memory tests: scripted walks through mazes, with the frames that a memory has to
//! bring back.

use std::collections::BTreeSet;
use std::f32::consts::{PI, TAU};

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use driftless_data::layout::array::{ANGLE, X, Y};
use driftless_data::{Clip, Pose};
use driftless_worlds::maze::{Maze, Sight, WALL_PALETTE, WallBlock};
use driftless_worlds::{Policy, PolicyAgent, Simulator};

use super::probe::dominant;
use crate::{Error, Result};

/// Seed of the first maze. `driftless record` draws the seeds of mazes below 2³², so that no maze of a
/// recording is among these.
pub const FIRST_MAZE: u64 = 1 << 33;

/// Frames of walking before a test begins.
const HISTORY: usize = 48;
/// Most frames that a test is given.
const MAX_GIVEN: usize = 96;
/// Turn frames of a half and of a full turn: 179.3° and 358.6°.
pub(super) const HALF_TURN: usize = 24;
const FULL_TURN: usize = 2 * HALF_TURN;
/// Frames walked ahead in T3: 1.4 blocks.
const WALK: usize = 10;
/// Frames of T2 after the return.
const AFTER: usize = 12;
/// Most frames on the way round a block.
const MAX_ROUND: usize = 400;
/// How far apart two poses may be that show the same, in blocks and radians.
const SAME_PLACE: f32 = 0.1;
const SAME_DIRECTION: f32 = 4.0 / 360.0 * TAU;
/// Share of the columns that must show the painted walls in T5.
const PAINTED_SHARE: f64 = 0.6;

/// The actions of the maze that the tests use.
const IDLE: u32 = 0;
const FORWARD: u32 = 1;
/// A look to both sides: a quarter of these frames to the left, back and to the right, and back.
const SWAY: usize = 12;

/// What a sequence does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "test")]
pub enum MemoryTest {
    /// T1: so many frames of turning left, then as many of turning right.
    ThereAndBack {
        /// Frames one way.
        frames: usize,
    },
    /// T2: a full turn to the left, and on.
    FullCircle,
    /// T3: ahead, half a turn, the same way back, half a turn, ahead again.
    WalkAndReturn,
    /// T4: round a block of walls, and on for the beginning of the second round.
    RoundABlock,
    /// T5: a wall that is looked at, then so many frames in the opposite direction, of which none shows
    /// it, then back to it. Sequences come in fives that differ in its colour alone.
    PairedHistories {
        /// Frames at the end of what is given that are the same in all five, bit by bit.
        gap: usize,
    },
}

impl MemoryTest {
    /// The tests of returning to a view: T1 to T4.
    pub const RETURNS: [Self; 8] = [
        Self::ThereAndBack { frames: 4 },
        Self::ThereAndBack { frames: 8 },
        Self::ThereAndBack { frames: 12 },
        Self::ThereAndBack { frames: 24 },
        Self::ThereAndBack { frames: 48 },
        Self::FullCircle,
        Self::WalkAndReturn,
        Self::RoundABlock,
    ];
    /// The tests of paired histories.
    pub const HISTORIES: [Self; 3] = [
        Self::PairedHistories { gap: 12 },
        Self::PairedHistories { gap: 24 },
        Self::PairedHistories { gap: 48 },
    ];

    /// Number of sequences in one maze.
    pub(super) fn sequences_per_maze(self) -> usize {
        match self {
            Self::PairedHistories { .. } => WALL_PALETTE.len(),
            _ => 1,
        }
    }

    /// Its name in tables.
    pub fn name(self) -> String {
        match self {
            Self::ThereAndBack { frames } => format!("T1 there and back, n = {frames}"),
            Self::FullCircle => "T2 full circle".to_owned(),
            Self::WalkAndReturn => "T3 walk, turn, return".to_owned(),
            Self::RoundABlock => "T4 round a block".to_owned(),
            Self::PairedHistories { gap } => format!("T5 paired histories, {gap} frames alike"),
        }
    }
}

/// One sequence: what a world is given, what it is to do, and what then really happens.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryCase {
    /// Seed of its maze, and of the noise of its dream.
    pub maze: u64,
    /// The frames before the dream and the actions that led to them.
    pub given: Clip,
    /// Their true poses.
    pub given_poses: Vec<Pose>,
    /// The actions of the dream.
    pub actions: Vec<u32>,
    /// The true frames under these actions, u8 RGB `[actions, H, W, 3]`.
    pub truth: Vec<u8>,
    /// Their true poses.
    pub poses: Vec<Pose>,
    /// What the columns of the true frames show.
    pub(super) sights: Vec<Vec<Sight>>,
    /// Number of the frame, from 1, that returns to a view of before the dream.
    pub(super) arrival: usize,
    /// Frames since that view was last given.
    pub(super) gap: usize,
    /// (later, earlier) frames of the dream, from 1, that show the same.
    pub(super) pairs: Vec<(usize, usize)>,
    /// The colour that the wall was painted in, in T5.
    pub(super) painted: Option<usize>,
}

impl MemoryCase {
    /// True frame number `t` of the dream, from 1.
    pub(super) fn true_frame(&self, t: usize) -> &[u8] {
        frame(&self.truth, t, self.actions.len())
    }

    /// The frames whose content was seen long before: the arrival, and the later one of each pair.
    pub(super) fn returning(&self) -> BTreeSet<usize> {
        let later = self.pairs.iter().map(|&(later, _)| later);
        later.chain([self.arrival]).collect()
    }
}

/// Frame number `t`, from 1, of `count` frames.
pub(super) fn frame(images: &[u8], t: usize, count: usize) -> &[u8] {
    let len = images.len() / count.max(1);
    images.get((t - 1) * len..t * len).unwrap_or_default()
}

/// The sequences of a test in maze number `index`: one, or the five of paired histories. `None` if the
/// maze has no place for the test.
///
/// # Errors
/// Returns an error if the simulator fails.
pub fn cases(test: MemoryTest, index: u64) -> Result<Option<Vec<MemoryCase>>> {
    let seed = FIRST_MAZE + index;
    let case = match test {
        MemoryTest::PairedHistories { gap } => return paired_histories(seed, gap),
        MemoryTest::ThereAndBack { frames } => Some(there_and_back(seed, frames)?),
        MemoryTest::FullCircle => Some(full_circle(seed)?),
        MemoryTest::WalkAndReturn => walk_and_return(seed)?,
        MemoryTest::RoundABlock => round_a_block(seed)?,
    };
    Ok(case.map(|case| vec![case]))
}

/// A walk as it is recorded.
struct Take {
    maze: Maze,
    images: Vec<u8>,
    actions: Vec<u32>,
    poses: Vec<Pose>,
    sights: Vec<Vec<Sight>>,
}

impl Take {
    /// Begins with the present frame.
    fn new(maze: Maze) -> Result<Self> {
        let mut take = Self {
            maze,
            images: Vec::new(),
            actions: Vec::new(),
            poses: Vec::new(),
            sights: Vec::new(),
        };
        take.keep(IDLE)?;
        Ok(take)
    }

    fn keep(&mut self, action: u32) -> Result<()> {
        self.images.extend_from_slice(self.maze.image());
        self.actions.push(action);
        self.poses.push(pose(&self.maze)?);
        self.sights.push(self.maze.columns());
        Ok(())
    }

    fn step(&mut self, action: u32) -> Result<()> {
        self.maze.step(action)?;
        self.keep(action)
    }

    fn steps(&mut self, action: u32, frames: usize) -> Result<()> {
        (0..frames).try_for_each(|_| self.step(action))
    }

    /// Looks to both sides and ahead again, several times. Returns the walls that these frames show.
    fn sway(&mut self, frames: usize) -> Result<BTreeSet<WallBlock>> {
        let [left, right] = turns(&self.maze)?;
        let mut walls = BTreeSet::new();
        for t in 0..frames {
            let to_the_right = (SWAY / 4..3 * SWAY / 4).contains(&(t % SWAY));
            self.step(if to_the_right { right } else { left })?;
            walls.extend(self.maze.walls_in_view());
        }
        Ok(walls)
    }

    fn frames(&self) -> usize {
        self.actions.len()
    }

    /// The walk as a case whose dream begins after frame number `given` of the walk.
    fn case(self, given: usize, arrival: usize, gap: usize) -> MemoryCase {
        let len = self.images.len() / self.frames();
        let first = given.saturating_sub(MAX_GIVEN);
        let poses = self.poses[given..].to_vec();
        MemoryCase {
            maze: 0,
            given: Clip {
                images: self.images[first * len..given * len].to_vec(),
                actions: self.actions[first..given].to_vec(),
            },
            given_poses: self.poses[first..given].to_vec(),
            actions: self.actions[given..].to_vec(),
            truth: self.images[given * len..].to_vec(),
            sights: self.sights[given..].to_vec(),
            pairs: pairs(&poses, gap),
            poses,
            arrival,
            gap,
            painted: None,
        }
    }
}

fn pose(maze: &Maze) -> Result<Pose> {
    let state = maze.state();
    let of = |name: &str| {
        let found = state.iter().find(|(other, _)| *other == name);
        let value = found.and_then(|(_, values)| values.first().copied());
        value.ok_or_else(|| Error::Argument(format!("the maze does not tell its `{name}`")))
    };
    let (x, y, angle) = (of(X)?, of(Y)?, of(ANGLE)?);
    Ok(Pose { x, y, angle })
}

fn turns(maze: &Maze) -> Result<[u32; 2]> {
    let missing = || Error::Argument("the maze does not turn on the spot".to_owned());
    maze.turns().ok_or_else(missing)
}

/// For each frame, from 1, the nearest in pose among those at least half of `gap` earlier, if it is
/// near enough to show the same.
fn pairs(poses: &[Pose], gap: usize) -> Vec<(usize, usize)> {
    let least = gap.div_ceil(2);
    let near = |a: &Pose, b: &Pose| {
        let place = (a.x - b.x).hypot(a.y - b.y) / SAME_PLACE;
        let angle = (a.angle - b.angle + PI).rem_euclid(TAU) - PI;
        place.max(angle.abs() / SAME_DIRECTION)
    };
    let nearest = |(t, later): (usize, &Pose)| {
        let earlier = poses.get(..(t + 1).checked_sub(least)?)?.iter().enumerate();
        let (s, distance) = earlier
            .map(|(s, earlier)| (s, near(later, earlier)))
            .min_by(|a, b| a.1.total_cmp(&b.1))?;
        (distance <= 1.0).then_some((t + 1, s + 1))
    };
    poses.iter().enumerate().filter_map(nearest).collect()
}

/// A walk by the scripted policy.
fn history(seed: u64) -> Result<Take> {
    let maze = Maze::new(seed);
    let mut agent = PolicyAgent::new(Policy::Scripted, &maze, seed);
    let mut take = Take::new(maze)?;
    while take.frames() <= HISTORY {
        let action = agent.act(&take.maze);
        take.step(action)?;
    }
    Ok(take)
}

fn finish(take: Take, seed: u64, given: usize, arrival: usize, gap: usize) -> MemoryCase {
    MemoryCase {
        maze: seed,
        ..take.case(given, arrival, gap)
    }
}

fn there_and_back(seed: u64, frames: usize) -> Result<MemoryCase> {
    let mut take = history(seed)?;
    let given = take.frames();
    let [left, right] = turns(&take.maze)?;
    take.steps(left, frames)?;
    take.steps(right, frames)?;
    Ok(finish(take, seed, given, 2 * frames, 2 * frames))
}

fn full_circle(seed: u64) -> Result<MemoryCase> {
    let mut take = history(seed)?;
    let given = take.frames();
    let [left, _] = turns(&take.maze)?;
    take.steps(left, FULL_TURN + AFTER)?;
    Ok(finish(take, seed, given, FULL_TURN, FULL_TURN))
}

fn walk_and_return(seed: u64) -> Result<Option<MemoryCase>> {
    for maze in places(seed) {
        let mut take = Take::new(maze)?;
        let [left, right] = turns(&take.maze)?;
        take.sway(HISTORY)?;
        let given = take.frames();
        let steps = [
            (FORWARD, WALK),
            (left, HALF_TURN),
            (FORWARD, WALK),
            (right, HALF_TURN),
            (FORWARD, WALK),
        ];
        for (action, frames) in steps {
            take.steps(action, frames)?;
        }
        let arrival = 2 * (WALK + HALF_TURN);
        let (start, back) = (take.poses[given - 1], take.poses[given - 1 + arrival]);
        let turned = take.poses[given - 1 + WALK];
        // Without a collision the whole way is walked, and back to within the rounding of half a turn.
        let walked = (turned.x - start.x).hypot(turned.y - start.y);
        let off = (back.x - start.x).hypot(back.y - start.y);
        if walked > 0.99 * WALK as f32 * 0.14 && off < SAME_PLACE {
            return Ok(Some(finish(take, seed, given, arrival, arrival)));
        }
    }
    Ok(None)
}

fn round_a_block(seed: u64) -> Result<Option<MemoryCase>> {
    let maze = Maze::new(seed);
    let way = maze.way_round();
    let mut take = Take::new(maze)?;
    take.sway(SWAY)?;
    let [entry, round @ ..] = way.as_slice() else {
        return Ok(None);
    };
    go(&mut take, *entry)?;
    let given = take.frames();
    round.iter().try_for_each(|&goal| go(&mut take, goal))?;
    let arrival = take.frames() - given;
    for goal in round.iter().take(2) {
        go(&mut take, *goal)?;
    }
    Ok(Some(finish(take, seed, given, arrival, arrival)))
}

/// Walks to a goal.
fn go(take: &mut Take, goal: u64) -> Result<()> {
    let end = take.frames() + MAX_ROUND;
    while let Some(action) = take
        .maze
        .action_toward(goal)
        .filter(|_| take.frames() < end)
    {
        take.step(action)?;
    }
    Ok(())
}

/// The maze with the walker in the middle of each open block, looking along each axis, in an order drawn
/// from the seed.
fn places(seed: u64) -> impl Iterator<Item = Maze> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut places: Vec<([usize; 2], u8)> = Maze::new(seed)
        .open_blocks()
        .into_iter()
        .flat_map(|block| (0..4).map(move |quarter| (block, quarter)))
        .collect();
    places.shuffle(&mut rng);
    places.into_iter().filter_map(move |([x, y], quarter)| {
        let mut maze = Maze::new(seed);
        let angle = f32::from(quarter) * TAU / 4.0;
        maze.place(x as f32 + 0.5, y as f32 + 0.5, angle).ok()?;
        Some(maze)
    })
}

/// Five walks that differ in the colour of a wall that their last `gap` frames do not show.
fn paired_histories(seed: u64, gap: usize) -> Result<Option<Vec<MemoryCase>>> {
    for maze in places(seed) {
        let start = pose(&maze)?;
        let mut take = Take::new(maze)?;
        let seen = look_and_turn(&mut take, gap)?;
        let cases: Vec<MemoryCase> = (0..WALL_PALETTE.len())
            .map(|colour| {
                let mut maze = Maze::new(seed);
                maze.place(start.x, start.y, start.angle)?;
                maze.paint(&seen, colour)?;
                let mut take = Take::new(maze)?;
                look_and_turn(&mut take, gap)?;
                let given = take.frames();
                let [_, right] = turns(&take.maze)?;
                take.steps(right, HALF_TURN)?;
                let mut case = finish(take, seed, given, HALF_TURN, gap + 2 * HALF_TURN);
                case.painted = Some(colour);
                Ok(case)
            })
            .collect::<Result<_>>()?;
        if end_alike(&cases, gap) && show_the_paint(&cases) {
            return Ok(Some(cases));
        }
    }
    Ok(None)
}

/// Looks at what is ahead, turns round, and looks there for `gap` frames. Returns the walls that were
/// ahead at first and are in none of the last frames.
fn look_and_turn(take: &mut Take, gap: usize) -> Result<BTreeSet<WallBlock>> {
    let [left, _] = turns(&take.maze)?;
    let early = take.maze.walls_in_view();
    take.sway(SWAY)?;
    take.steps(left, HALF_TURN)?;
    let late = take.sway(gap)?;
    Ok(early.difference(&late).copied().collect())
}

/// Whether the last `gap` frames that are given, and the actions that led to them, are the same in all
/// cases, and what was given before is not.
pub(super) fn end_alike(cases: &[MemoryCase], gap: usize) -> bool {
    let Some((first, others)) = cases.split_first() else {
        return false;
    };
    let len = first.given.images.len() / first.given.frames().max(1);
    let split = |case: &MemoryCase| case.given.images.len().checked_sub(gap * len);
    others.iter().all(|other| {
        let (Some(a), Some(b)) = (split(first), split(other)) else {
            return false;
        };
        first.given.images[a..] == other.given.images[b..]
            && first.given.images[..a] != other.given.images[..b]
            && first.given.actions == other.given.actions
            && first.actions == other.actions
    })
}

/// Whether enough of each last frame has the colour that its wall was painted in.
fn show_the_paint(cases: &[MemoryCase]) -> bool {
    cases.iter().all(|case| {
        let last = case.sights.last().map(Vec::as_slice).unwrap_or_default();
        let painted = case.painted.map(Sight::Wall);
        let shown = last.iter().filter(|&&sight| Some(sight) == painted).count();
        dominant(last).map(Sight::Wall) == painted
            && shown as f64 >= PAINTED_SHARE * last.len() as f64
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(test: MemoryTest, index: u64) -> MemoryCase {
        cases(test, index).unwrap().unwrap().remove(0)
    }

    #[test]
    fn there_and_back_returns_to_the_bit() {
        for frames in [4, 24, 48] {
            let case = there_and_back(FIRST_MAZE, frames).unwrap();
            assert_eq!(case.arrival, 2 * frames);
            let last_given = case.given.frames() - 1;
            let len = case.given.images.len() / case.given.frames();
            let given = &case.given.images[last_given * len..];
            assert!(case.true_frame(2 * frames) == given, "n = {frames}");
            for k in 1..frames {
                assert!(
                    case.true_frame(2 * frames - k) == case.true_frame(k),
                    "n = {frames}, k = {k}"
                );
            }
            let expected: Vec<_> = (1..=frames / 2)
                .rev()
                .map(|k| (2 * frames - k, k))
                .collect();
            assert_eq!(case.pairs, expected);
        }
    }

    #[test]
    fn walks_return_to_where_they_began() {
        for index in 0..3 {
            let circle = one(MemoryTest::FullCircle, index);
            assert_eq!(
                circle.pairs,
                (1..=AFTER).map(|k| (48 + k, k)).collect::<Vec<_>>()
            );
            let walk = one(MemoryTest::WalkAndReturn, index);
            assert_eq!(
                walk.pairs,
                (1..=WALK).map(|k| (68 + k, k)).collect::<Vec<_>>()
            );
            let round = one(MemoryTest::RoundABlock, index);
            assert!(round.arrival >= 40, "{}", round.arrival);
            assert!(!round.pairs.is_empty(), "maze {index}");
            for case in [circle, walk, round] {
                assert_eq!(case.truth.len(), case.actions.len() * 64 * 64 * 3);
                assert!(case.given.frames() >= 12 && case.given.frames() <= MAX_GIVEN);
            }
        }
    }

    #[test]
    fn paired_histories_end_alike_to_the_bit() {
        for gap in [12, 48] {
            let cases = paired_histories(FIRST_MAZE + 1, gap).unwrap().unwrap();
            assert_eq!(cases.len(), 5);
            let tail = |case: &MemoryCase| {
                let len = case.given.images.len() / case.given.frames();
                case.given.images[case.given.images.len() - gap * len..].to_vec()
            };
            for (colour, case) in cases.iter().enumerate() {
                assert!(tail(case) == tail(&cases[0]), "gap {gap}, colour {colour}");
                let last = case.sights.last().unwrap();
                assert_eq!(dominant(last), Some(colour));
                assert!(case.given.images != cases[(colour + 1) % 5].given.images);
            }
        }
    }

    #[test]
    fn histories_that_differ_at_the_end_are_refused() {
        let mut cases = paired_histories(FIRST_MAZE, 12).unwrap().unwrap();
        assert!(end_alike(&cases, 12));
        assert!(
            !end_alike(&[cases[0].clone(), cases[0].clone()], 12),
            "no difference at all"
        );
        let last = cases[3].given.images.len() - 1;
        cases[3].given.images[last] ^= 1;
        assert!(!end_alike(&cases, 12));
        assert!(!end_alike(&cases, 1000));
    }
}
