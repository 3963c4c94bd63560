//! Actions from a file, played before the held one counts.

use driftless_data::Action;
use std::sync::Arc;

use driftless_engine::SamplerParams;

/// A queue of actions. An empty one is finished.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct ActionScript {
    actions: Arc<[Action]>,
    /// The sampler parameters of a game, each with the number of the first frame that they make.
    params: Arc<[(usize, SamplerParams)]>,
    /// Actions already played.
    played: usize,
}

impl ActionScript {
    /// Plays `actions` from the first one on.
    pub fn new(actions: Arc<[Action]>) -> Self {
        Self {
            actions,
            params: Arc::default(),
            played: 0,
        }
    }

    /// The script of a game, which changes the sampler parameters as it goes.
    pub fn with_params(self, params: Arc<[(usize, SamplerParams)]>) -> Self {
        Self { params, ..self }
    }

    /// Whether it plays a game again, whose ends are part of it.
    pub fn is_game(&self) -> bool {
        !self.params.is_empty()
    }

    /// Parameters that begin with the frame of the action that was taken last.
    pub fn changed_params(&self) -> Option<SamplerParams> {
        let found = self
            .params
            .binary_search_by_key(&self.played, |(first, _)| *first);
        found.ok().and_then(|at| Some(self.params.get(at)?.1))
    }

    /// Takes the action of the next frame, or `None` once the script is finished.
    pub fn next(&mut self) -> Option<Action> {
        let action = self.actions.get(self.played).copied();
        self.played += usize::from(action.is_some());
        action
    }

    /// Whether all actions have been played.
    pub fn is_finished(&self) -> bool {
        self.played == self.actions.len()
    }

    /// Says what is wrong with the first action that a world with so many actions and axes does not have.
    ///
    /// # Errors
    /// Returns that message.
    pub fn check(&self, [actions, axes]: [usize; 2]) -> Result<(), String> {
        let mut all = self.actions.iter();
        all.try_for_each(|action| action.check(actions, axes))
    }
}
