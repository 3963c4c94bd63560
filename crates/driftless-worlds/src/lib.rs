//! Simulators: sources of training data, playable worlds, and ground truth for learned worlds.
//!
//! - [`maze`]: a first-person maze with pillars and balls.
//! - [`drive`]: a car on a closed track, seen from above.
//! - [`policy`]: scripted and random policies.
//! - [`mod@record`]: records a dataset of episodes that a policy plays.
//!
//! In both worlds x points east and y north; angles are in radians, counterclockwise from the east.

pub mod drive;
mod error;
pub mod maze;
pub mod policy;
mod raster;
pub mod record;

use driftless_data::{ActionSpec, DatasetInfo};

pub use policy::{Policy, PolicyAgent};
pub use record::record;

/// The simulators, as the command line names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum SimulatorKind {
    /// A maze in first person.
    Maze,
    /// A car on a track, from above.
    Drive,
}

impl SimulatorKind {
    /// Every simulator.
    pub const ALL: [Self; 2] = [Self::Maze, Self::Drive];

    /// Creates the simulator with the world of `seed`.
    pub fn open(self, seed: u64) -> Box<dyn Simulator> {
        match self {
            Self::Maze => Box::new(maze::Maze::new(seed)),
            Self::Drive => Box::new(drive::Drive::new(seed)),
        }
    }

    /// The simulator with this name, in upper or lower case.
    pub fn from_name(name: &str) -> Option<Self> {
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

    /// A one-sentence description.
    pub fn description(self) -> &'static str {
        match self {
            Self::Maze => "A walk among coloured walls, in first person.",
            Self::Drive => "A car on a closed track, from above.",
        }
    }
}

/// The true state: named arrays, with the same names and lengths in every frame.
pub type SimulatorState = Vec<(&'static str, Vec<f32>)>;

/// Everything that the next frames depend on. A restored snapshot continues bit-identically.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulatorSnapshot {
    /// The seed of the last reset.
    pub seed: u64,
    /// The state in numbers of the simulator's own; opaque to callers.
    pub state: Vec<f32>,
}

impl SimulatorSnapshot {
    /// The state as N numbers.
    fn numbers<const N: usize>(&self) -> Result<[f32; N]> {
        self.state.as_slice().try_into().map_err(|_| {
            Error::Snapshot(format!(
                "the snapshot holds {} numbers, expected {N}",
                self.state.len()
            ))
        })
    }
}

/// A simulator. The same seed and actions lead to the same frames and states.
pub trait Simulator: Send {
    /// Name, frames per second, frame size, actions and keys. Action 0 is the idle one.
    fn info(&self) -> DatasetInfo;

    /// Generates the world of `seed` and goes to its start.
    fn reset(&mut self, seed: u64);

    /// Advances by one frame under `action`, even if the episode has ended.
    ///
    /// # Errors
    /// Returns an error if the action is unknown.
    fn step(&mut self, action: u32) -> Result<()>;

    /// The current frame, u8 RGB `[H, W, 3]`.
    fn image(&self) -> &[u8];

    /// The reward that came with the current frame.
    fn reward(&self) -> f32;

    /// Whether the episode ended with the current frame.
    fn ended(&self) -> bool;

    /// The true state of the current frame.
    fn state(&self) -> SimulatorState;

    /// The action that a scripted player takes to reach goal number `goal`, or `None` once it is
    /// reached. Every number is a valid goal.
    fn action_toward(&self, goal: u64) -> Option<u32>;

    /// Everything that the next frames depend on.
    fn snapshot(&self) -> SimulatorSnapshot;

    /// Restores a snapshot.
    ///
    /// # Errors
    /// Returns an error if the snapshot is of another kind of simulator.
    fn restore(&mut self, snapshot: &SimulatorSnapshot) -> Result<()>;
}

/// Action specifications from names and keys.
fn action_specs<'a>(actions: impl Iterator<Item = (&'a str, &'a [&'a str])>) -> Vec<ActionSpec> {
    actions
        .map(|(name, keys)| ActionSpec {
            name: name.to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        })
        .collect()
}

/// The entry of `action` in a table of actions.
fn action_entry<T>(actions: &[T], action: u32) -> Result<&T> {
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
