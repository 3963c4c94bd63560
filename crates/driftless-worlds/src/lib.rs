//! Real simulators: to record from, to play as they are, and to compare dreams with.
//!
//! - [`maze`]: walls, pillars and balls seen by a walker.
//! - [`drive`]: a car on a closed track, seen from above.
//! - [`policy`]: who plays when nobody does.
//! - [`record`]: a dataset of played episodes.
//!
//! Both count in x to the east and y to the north; angles are in radians from the east, growing to
//! the left.

pub mod drive;
mod error;
pub mod maze;
mod picture;
pub mod policy;
pub mod record;

use driftless_data::ActionSpec;
use driftless_data::DatasetInfo;

pub use policy::{Hand, Policy};
pub use record::record;

/// The simulators, as the command line names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Kind {
    /// A maze in first person.
    Maze,
    /// A car on a track, from above.
    Drive,
}

impl Kind {
    /// Every simulator.
    pub const ALL: [Self; 2] = [Self::Maze, Self::Drive];

    /// The simulator, at the start of a seed's world.
    pub fn open(self, seed: u64) -> Box<dyn World> {
        match self {
            Self::Maze => Box::new(maze::Maze::new(seed)),
            Self::Drive => Box::new(drive::Drive::new(seed)),
        }
    }

    /// The one of this name, in small letters or as it calls itself.
    pub fn called(name: &str) -> Option<Self> {
        let mut kinds = Self::ALL.into_iter();
        kinds.find(|kind| kind.name().eq_ignore_ascii_case(name))
    }

    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Maze => "maze",
            Self::Drive => "drive",
        }
    }

    /// What it is, in a sentence.
    pub fn about(self) -> &'static str {
        match self {
            Self::Maze => "A walk among coloured walls, in first person.",
            Self::Drive => "A car on a closed track, from above.",
        }
    }
}

/// The true state: named numbers, of the same names and lengths in every frame.
pub type State = Vec<(&'static str, Vec<f32>)>;

/// Everything that the next frames depend on; restoring it replays bit-identically.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// The seed of the last reset.
    pub seed: u64,
    /// World-specific numbers; opaque to callers.
    pub state: Vec<f32>,
}

impl Snapshot {
    /// The numbers of a world that has N of them.
    fn numbers<const N: usize>(&self) -> Result<[f32; N]> {
        self.state.as_slice().try_into().map_err(|_| {
            Error::Argument(format!(
                "snapshot holds {} numbers, expected {N}",
                self.state.len()
            ))
        })
    }
}

/// A simulator: the same seed and actions lead to the same frames and states.
pub trait World: Send {
    /// Name, frames a second, frame size, actions and keys; action 0 is the idle one.
    fn info(&self) -> DatasetInfo;

    /// Makes the world of a seed and goes to its start.
    fn reset(&mut self, seed: u64);

    /// One frame under `action`. An episode that has ended goes on all the same.
    ///
    /// # Errors
    /// The action is not one of the world's.
    fn step(&mut self, action: u32) -> Result<()>;

    /// The frame, u8 RGB `[H, W, 3]`.
    fn image(&self) -> &[u8];

    /// The reward that came with the frame.
    fn reward(&self) -> f32;

    /// Whether the episode ended with the frame.
    fn ended(&self) -> bool;

    /// The true state behind the frame.
    fn state(&self) -> State;

    /// What a player does now who is after goal number `goal`; every number names one. None once
    /// the goal is reached.
    fn toward(&self, goal: u64) -> Option<u32>;

    /// Everything that the next frames depend on.
    fn snapshot(&self) -> Snapshot;

    /// Goes back to a snapshot of a world of the same kind.
    ///
    /// # Errors
    /// The snapshot is of another kind.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<()>;
}

/// Actions from their names and keys.
fn specs<'a>(actions: impl Iterator<Item = (&'a str, &'a [&'a str])>) -> Vec<ActionSpec> {
    actions
        .map(|(name, keys)| ActionSpec {
            name: name.to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        })
        .collect()
}

/// What `action` stands for in a table of a world's actions.
fn chosen<T>(actions: &[T], action: u32) -> Result<&T> {
    actions.get(action as usize).ok_or_else(|| {
        Error::Argument(format!(
            "action {action} is unknown, expected 0 to {}",
            actions.len().saturating_sub(1)
        ))
    })
}

#[cfg(test)]
mod tests;

pub use error::{Error, Result};
