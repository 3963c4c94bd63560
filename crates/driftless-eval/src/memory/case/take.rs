//! Walks through a maze as they are recorded, and where they can begin.

use std::collections::BTreeSet;
use std::f32::consts::TAU;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use driftless_data::layout::array::{ANGLE, X, Y};
use driftless_data::{Action, Clip, Pose};
use driftless_worlds::Simulator;
use driftless_worlds::maze::{Maze, Sight, WallBlock};

use super::MemoryCase;
use crate::{Error, Result};

/// Most frames of a starting clip.
pub(super) const MAX_START: usize = 96;
/// How far apart two poses may be that show the same, in blocks and radians.
pub(super) const SAME_PLACE: f32 = 0.1;
const SAME_DIRECTION: f32 = 4.0 / 360.0 * TAU;
/// The idle action of the maze.
const IDLE: Action = Action::IDLE;
/// A look to both sides: a quarter of these frames to the left, back and to the right, and back.
pub(super) const SWAY: usize = 12;

/// A walk as it is recorded.
pub(super) struct Take {
    /// Seed of the maze.
    seed: u64,
    pub maze: Maze,
    images: Vec<u8>,
    actions: Vec<Action>,
    pub poses: Vec<Pose>,
    sights: Vec<Vec<Sight>>,
}

impl Take {
    /// Begins with the present frame.
    pub fn new(seed: u64, maze: Maze) -> Result<Self> {
        let mut take = Self {
            seed,
            maze,
            images: Vec::new(),
            actions: Vec::new(),
            poses: Vec::new(),
            sights: Vec::new(),
        };
        take.keep(IDLE)?;
        Ok(take)
    }

    fn keep(&mut self, action: Action) -> Result<()> {
        self.images.extend_from_slice(self.maze.image());
        self.actions.push(action);
        self.poses.push(pose(&self.maze)?);
        self.sights.push(self.maze.columns());
        Ok(())
    }

    pub fn step(&mut self, action: impl Into<Action>) -> Result<()> {
        let action = action.into();
        self.maze.step(action)?;
        self.keep(action)
    }

    pub fn steps(&mut self, action: u32, frames: usize) -> Result<()> {
        (0..frames).try_for_each(|_| self.step(action))
    }

    /// Looks to both sides and ahead again, several times. Returns the walls that these frames show.
    pub fn sway(&mut self, frames: usize) -> Result<BTreeSet<WallBlock>> {
        let [left, right] = turns(&self.maze)?;
        let mut walls = BTreeSet::new();
        for t in 0..frames {
            let to_the_right = (SWAY / 4..3 * SWAY / 4).contains(&(t % SWAY));
            self.step(if to_the_right { right } else { left })?;
            walls.extend(self.maze.walls_in_view());
        }
        Ok(walls)
    }

    pub fn frames(&self) -> usize {
        self.actions.len()
    }

    /// The walk as a case whose rollout begins after frame number `start_frames` of the walk.
    pub fn case(self, start_frames: usize, arrival: usize, gap: usize) -> MemoryCase {
        let len = self.images.len() / self.frames();
        let first = start_frames.saturating_sub(MAX_START);
        let poses = self.poses[start_frames..].to_vec();
        MemoryCase {
            maze: self.seed,
            start: Clip {
                images: self.images[first * len..start_frames * len].to_vec(),
                actions: self.actions[first..start_frames].to_vec(),
            },
            start_poses: self.poses[first..start_frames].to_vec(),
            actions: self.actions[start_frames..].to_vec(),
            truth: self.images[start_frames * len..].to_vec(),
            sights: self.sights[start_frames..].to_vec(),
            pairs: pairs(&poses, gap),
            poses,
            arrival,
            gap,
            painted: None,
        }
    }
}

pub(super) fn pose(maze: &Maze) -> Result<Pose> {
    let state = maze.state();
    let of = |name: &str| {
        let found = state.iter().find(|(other, _)| *other == name);
        let value = found.and_then(|(_, values)| values.first().copied());
        value.ok_or_else(|| Error::Internal(format!("the maze does not tell its `{name}`")))
    };
    let (x, y, angle) = (of(X)?, of(Y)?, of(ANGLE)?);
    Ok(Pose { x, y, angle })
}

pub(super) fn turns(maze: &Maze) -> Result<[u32; 2]> {
    let missing = || Error::Internal("the maze does not turn on the spot".to_owned());
    maze.turns().ok_or_else(missing)
}

/// For each frame, from 1, the nearest in pose among those at least half of `gap` earlier, if it is
/// near enough to show the same.
fn pairs(poses: &[Pose], gap: usize) -> Vec<(usize, usize)> {
    let least = gap.div_ceil(2);
    let near = |a: &Pose, b: &Pose| {
        let motion = a.motion_to(*b);
        let place = motion.ahead.hypot(motion.aside) / SAME_PLACE;
        place.max(motion.turn.abs() / SAME_DIRECTION)
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

/// The maze with the walker in the middle of each open block, looking along each axis, in an order drawn
/// from the seed.
pub(super) fn places(seed: u64) -> impl Iterator<Item = Maze> {
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
