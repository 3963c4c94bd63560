//! Actions from a file, played before the held one counts.

use std::sync::Arc;

/// A queue of actions. An empty one is finished.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ActionScript {
    actions: Arc<[u32]>,
    /// Actions already played.
    played: usize,
}

impl ActionScript {
    /// Plays `actions` from the first one on.
    pub fn new(actions: Arc<[u32]>) -> Self {
        Self { actions, played: 0 }
    }

    /// Takes the action of the next frame, or `None` once the script is finished.
    pub fn next(&mut self) -> Option<u32> {
        let action = self.actions.get(self.played).copied();
        self.played += usize::from(action.is_some());
        action
    }

    /// Whether all actions have been played.
    pub fn is_finished(&self) -> bool {
        self.played == self.actions.len()
    }

    /// The first action that is not below `action_count`.
    pub fn first_unknown(&self, action_count: u32) -> Option<u32> {
        self.actions.iter().copied().find(|&a| a >= action_count)
    }
}
