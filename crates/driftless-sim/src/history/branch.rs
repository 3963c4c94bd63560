//! What a history consists of: branches, their frames, and the way to one of them.

use std::sync::Arc;

use driftless_data::Action;
use driftless_engine::SamplerParams;

use crate::ground_truth::Start;
use crate::player::PlayerSnapshot;

/// Where a frame lies in the history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TimelinePosition {
    /// The branch.
    pub branch: u32,
    /// Index on the branch, counted from the first frame of the root branch.
    pub index: usize,
}

/// A summary of a branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchInfo {
    /// Its identifier.
    pub branch: u32,
    /// The branch that it forked from; `None` for the root.
    pub parent: Option<u32>,
    /// Index of its first frame that the parent does not share.
    pub fork_index: usize,
    /// Index of the first frame that is still in the history.
    pub first: usize,
    /// One more than the index of its last frame.
    pub end: usize,
}

/// How a frame came about.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum FrameOrigin {
    Start(Start),
    Step(Action),
}

/// A played frame: everything needed to make it again.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct HistoryEntry {
    /// The same on every branch that shares the frame.
    pub(super) id: u64,
    pub origin: FrameOrigin,
    pub params: SamplerParams,
    /// Frames since the start.
    pub number: u64,
    /// Index of the starting clip.
    pub clip: usize,
    /// Sum of the predicted rewards since the start.
    pub score: f32,
}

impl HistoryEntry {
    pub fn new(
        origin: FrameOrigin,
        params: SamplerParams,
        number: u64,
        clip: usize,
        score: f32,
    ) -> Self {
        Self {
            id: 0,
            origin,
            params,
            number,
            clip,
            score,
        }
    }

    /// The action that led to the frame; the idle one for a start.
    pub fn action(&self) -> Action {
        match self.origin {
            FrameOrigin::Start(_) => Action::IDLE,
            FrameOrigin::Step(action) => action,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Branch {
    pub id: u32,
    pub parent: Option<u32>,
    pub fork_index: usize,
    pub first: usize,
    pub entries: Vec<HistoryEntry>,
}

impl Branch {
    pub fn end(&self) -> usize {
        self.first + self.entries.len()
    }

    pub fn up_to(&self, index: usize) -> Option<&[HistoryEntry]> {
        self.entries.get(..=index.checked_sub(self.first)?)
    }

    /// The entries of `up_to` from the one at `from` on, with their positions.
    pub fn positioned(
        &self,
        up_to: &[HistoryEntry],
        from: usize,
    ) -> Vec<(TimelinePosition, HistoryEntry)> {
        let entries = up_to.iter().enumerate().skip(from);
        entries
            .map(|(i, entry)| {
                let position = TimelinePosition {
                    branch: self.id,
                    index: self.first + i,
                };
                (position, entry.clone())
            })
            .collect()
    }
}

/// How to get to a frame.
#[derive(Debug)]
pub(crate) struct Route {
    /// The snapshot to restore first; without one, the first of the steps is a start.
    pub snapshot: Option<Arc<PlayerSnapshot>>,
    /// The frames to make again, ending with the target unless the snapshot is the target's.
    pub steps: Vec<HistoryEntry>,
    pub target: HistoryEntry,
    /// The start before the target, its parameters, and the actions from there to the target, if
    /// they are still in the history.
    pub since_start: Option<(Start, SamplerParams, Vec<Action>)>,
}
