//! Actions from a file, which are played before the person's.

use std::sync::Arc;

/// Actions on their way; empty ones are over at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    actions: Arc<[u32]>,
    /// How many have been played.
    at: usize,
}

impl Script {
    /// Plays `actions` from the first one on.
    pub fn new(actions: Arc<[u32]>) -> Self {
        Self { actions, at: 0 }
    }

    /// The action of the next frame, until there are no more.
    pub fn next(&mut self) -> Option<u32> {
        let action = self.actions.get(self.at).copied();
        self.at += usize::from(action.is_some());
        action
    }

    /// Whether there are no more.
    pub fn is_over(&self) -> bool {
        self.at == self.actions.len()
    }

    /// The first action that a world of so many does not have.
    pub fn unknown(&self, actions: u32) -> Option<u32> {
        self.actions.iter().copied().find(|&a| a >= actions)
    }
}
