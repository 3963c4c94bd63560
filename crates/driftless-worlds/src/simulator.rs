//! What every simulator can do.

use driftless_data::{Action, ActionSpec, DatasetInfo};

use crate::{Error, Result};

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
    pub(crate) fn numbers<const N: usize>(&self) -> Result<[f32; N]> {
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
    fn step(&mut self, action: Action) -> Result<()>;

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
    fn action_toward(&self, goal: u64) -> Option<Action>;

    /// The actions that turn on the spot, left and right, each of which undoes the other; `None` if
    /// the world has none.
    fn turns(&self) -> Option<[u32; 2]> {
        None
    }

    /// Goals that lead, one after another, to the nearest place from which a way leads round and back
    /// to it, then along that way. The first is the last; backwards they lead the other way round.
    /// Empty if the world knows none.
    fn way_round(&self) -> Vec<u64> {
        Vec::new()
    }

    /// Everything that the next frames depend on.
    fn snapshot(&self) -> SimulatorSnapshot;

    /// Restores a snapshot.
    ///
    /// # Errors
    /// Returns an error if the snapshot is of another kind of simulator.
    fn restore(&mut self, snapshot: &SimulatorSnapshot) -> Result<()>;
}

/// Action specifications from names and keys.
pub(crate) fn action_specs<'a>(
    actions: impl Iterator<Item = (&'a str, &'a [&'a str])>,
) -> Vec<ActionSpec> {
    actions
        .map(|(name, keys)| ActionSpec {
            name: name.to_owned(),
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
        })
        .collect()
}

/// The entry of `action` in a table of actions, in a world without axes.
pub(crate) fn action_entry<T>(actions: &[T], action: Action) -> Result<&T> {
    action.check(actions.len(), 0).map_err(Error::Argument)?;
    let entry = actions.get(action.index as usize);
    entry.ok_or_else(|| Error::Argument("the world has no actions".into()))
}
