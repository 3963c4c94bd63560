//! The history of played frames: branches, and the snapshots needed to rewind.
//!
//! A branch is a sequence of frames, each made by a start or by an action under sampler parameters.
//! To rewind to a frame, the nearest snapshot before it is restored and the frames in between are
//! played again; on the same engine they come out bit-identical. Playing on from a frame that is not
//! the last of its branch begins a new branch, so nothing is lost.

mod branch;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use self::branch::Branch;
use super::player::PlayerSnapshot;
use super::script::ActionScript;

pub use self::branch::{BranchInfo, TimelinePosition};
pub(super) use self::branch::{FrameOrigin, HistoryEntry, Route};

/// Most branches in a history. Beyond that, the oldest one is dropped.
pub const MAX_BRANCHES: usize = 12;
/// Most frames of a branch.
const MAX_BRANCH_FRAMES: usize = 36_000;

/// Memory that a history takes, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryLimits {
    /// For snapshots. Two are kept at least.
    pub snapshots: usize,
    /// For images.
    pub images: usize,
}

impl Default for HistoryLimits {
    fn default() -> Self {
        Self {
            snapshots: 256 << 20,
            images: 192 << 20,
        }
    }
}

/// The branches that were played, and the current position.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    branches: Vec<Branch>,
    /// Position of the current frame; `None` before the first.
    position: Option<TimelinePosition>,
    next_branch: u32,
    next_id: u64,
    /// Frames that the thread has shown, those shown again after a rewind included.
    pub(super) sequence: u64,
    /// Actions of a file that are still to be played.
    pub(super) script: ActionScript,
    /// By the frame's id, so that branches share them.
    snapshots: BTreeMap<u64, Arc<PlayerSnapshot>>,
    images: BTreeMap<u64, Arc<[u8]>>,
    image_bytes: usize,
    /// The branch that was deleted last, which can still be restored.
    deleted: Option<Branch>,
    /// Whether the list of branches changed since [`History::take_changes`].
    changed: bool,
    limits: HistoryLimits,
}

impl History {
    /// An empty history with limits of its own.
    pub fn limited(limits: HistoryLimits) -> Self {
        Self {
            limits,
            ..Self::default()
        }
    }

    /// Position of the current frame; `None` before the first.
    pub fn position(&self) -> Option<TimelinePosition> {
        self.position
    }

    fn branch(&self, id: u32) -> Option<&Branch> {
        self.branches.iter().find(|branch| branch.id == id)
    }

    /// Adds a frame after the current one and makes it current. Begins a new branch if other frames
    /// follow there already.
    pub(super) fn push(&mut self, entry: HistoryEntry) -> TimelinePosition {
        let is_last = |position: TimelinePosition| {
            self.branch(position.branch)
                .is_some_and(|b| position.index + 1 == b.end())
        };
        if !self.position.is_some_and(is_last) {
            self.fork();
        }
        let id = self.next_id;
        self.next_id += 1;
        let current = self.position.map_or(0, |position| position.branch);
        let mut position = TimelinePosition {
            branch: current,
            index: 0,
        };
        if let Some(branch) = self.branches.iter_mut().find(|b| b.id == current) {
            branch.entries.push(HistoryEntry { id, ..entry });
            position.index = branch.end() - 1;
        }
        self.position = Some(position);
        self.trim(current);
        position
    }

    /// Begins a branch at the current frame and switches to it.
    pub(super) fn fork(&mut self) {
        let current = self.position.and_then(|position| {
            let branch = self.branch(position.branch)?;
            let entries = branch.up_to(position.index)?.to_vec();
            Some((position, branch.first, entries))
        });
        let (parent, fork_index, first, entries) = match current {
            Some((position, first, entries)) => {
                (Some(position.branch), position.index + 1, first, entries)
            }
            None => (None, 0, 0, Vec::new()),
        };
        let id = self.next_branch;
        self.next_branch += 1;
        self.branches.push(Branch {
            id,
            parent,
            fork_index,
            first,
            entries,
        });
        self.position = Some(TimelinePosition {
            branch: id,
            index: fork_index.saturating_sub(1),
        });
        if self.branches.len() > MAX_BRANCHES {
            self.branches.remove(0);
            self.prune();
        }
        // The root branch needs no announcement.
        self.changed |= parent.is_some();
    }

    /// Drops a branch. Returns false if it is unknown or the current one.
    pub(super) fn drop_branch(&mut self, id: u32) -> bool {
        let known = self.branch(id).is_some();
        if !known || self.position.is_some_and(|position| position.branch == id) {
            return false;
        }
        if let Some(place) = self.branches.iter().position(|branch| branch.id == id) {
            self.deleted = Some(self.branches.remove(place));
        }
        self.prune();
        self.changed = true;
        true
    }

    /// Brings back the branch that was dropped last, if there is room for it.
    pub(super) fn restore_branch(&mut self) {
        if self.branches.len() >= MAX_BRANCHES {
            return;
        }
        if let Some(branch) = self.deleted.take() {
            let later = self.branches.iter().position(|other| other.id > branch.id);
            let place = later.unwrap_or(self.branches.len());
            self.branches.insert(place, branch);
            self.changed = true;
        }
    }

    /// Drops the oldest eighth of a branch that has grown too long, up to a frame that can still be
    /// reached.
    fn trim(&mut self, id: u32) {
        let Some(branch) = self.branches.iter_mut().find(|branch| branch.id == id) else {
            return;
        };
        if branch.entries.len() <= MAX_BRANCH_FRAMES {
            return;
        }
        let snapshots = &self.snapshots;
        let is_reachable = |entry: &HistoryEntry| {
            matches!(entry.origin, FrameOrigin::Start(_)) || snapshots.contains_key(&entry.id)
        };
        let cut = MAX_BRANCH_FRAMES / 8;
        let found = branch.entries[cut..].iter().position(is_reachable);
        if let Some(more) = found {
            branch.entries.drain(..cut + more);
            branch.first += cut + more;
            self.changed = true;
            self.prune();
        }
    }

    /// Drops the snapshots and images of frames that are on no branch any more. A deleted branch keeps
    /// them until the next is deleted.
    fn prune(&mut self) {
        let branches = self.branches.iter().chain(&self.deleted);
        let entries = branches.flat_map(|branch| &branch.entries);
        let known: HashSet<u64> = entries.map(|entry| entry.id).collect();
        self.snapshots.retain(|id, _| known.contains(id));
        self.images.retain(|id, _| known.contains(id));
        self.image_bytes = self.images.values().map(|image| image.len()).sum();
    }

    /// The identifier of a frame, the same on every branch that shares it.
    pub(super) fn id(&self, position: TimelinePosition) -> Option<u64> {
        self.entry(position).map(|entry| entry.id)
    }

    fn entry(&self, position: TimelinePosition) -> Option<&HistoryEntry> {
        self.branch(position.branch)?.up_to(position.index)?.last()
    }

    /// Stores a frame's image, u8 RGB `[H, W, 3]`. The oldest images are dropped when memory is full.
    pub(super) fn store_image(&mut self, position: TimelinePosition, image: Arc<[u8]>) {
        let Some(id) = self.id(position) else {
            return;
        };
        self.image_bytes += image.len();
        if let Some(before) = self.images.insert(id, image) {
            self.image_bytes -= before.len();
        }
        while self.image_bytes > self.limits.images {
            let Some((_, oldest)) = self.images.pop_first() else {
                break;
            };
            self.image_bytes -= oldest.len();
        }
    }

    /// Stores a snapshot of the current frame. Others are thinned out when memory is full.
    pub(super) fn store_snapshot(&mut self, snapshot: PlayerSnapshot) {
        let Some(id) = self.position.and_then(|position| self.id(position)) else {
            return;
        };
        let most = self.limits.snapshots / snapshot.bytes().max(1);
        self.snapshots.insert(id, Arc::new(snapshot));
        while self.snapshots.len() > most.max(2) {
            self.thin_out();
        }
    }

    /// Drops the least useful snapshot: the one that leaves the smallest gap for its age.
    fn thin_out(&mut self) {
        let ids: Vec<u64> = self.snapshots.keys().copied().collect();
        let newest = ids.last().copied().unwrap_or_default();
        let usefulness =
            |three: &[u64]| (three[2] - three[0]) as f64 / (newest - three[1] + 1) as f64;
        let least = ids
            .windows(3)
            .min_by(|a, b| usefulness(a).total_cmp(&usefulness(b)))
            .map(|three| three[1]);
        if let Some(id) = least.or_else(|| ids.first().copied()) {
            self.snapshots.remove(&id);
        }
    }

    /// The image of a frame, u8 RGB `[H, W, 3]`, if it was stored.
    pub fn image(&self, position: TimelinePosition) -> Option<Arc<[u8]>> {
        let id = self.id(position)?;
        let stored = self.images.get(&id).cloned();
        stored.or_else(|| self.snapshots.get(&id)?.image().map(Into::into))
    }

    /// The image of a frame, or else of the nearest one at most `within` frames earlier.
    pub(super) fn image_near(
        &self,
        position: TimelinePosition,
        within: usize,
    ) -> Option<Arc<[u8]>> {
        let earliest = position.index.saturating_sub(within);
        (earliest..=position.index)
            .rev()
            .find_map(|index| self.image(TimelinePosition { index, ..position }))
    }

    /// How to get to a frame, or `None` if it is no longer in the history. With `by_step` the frame
    /// itself is made again instead of restored from a snapshot.
    pub(super) fn route(&self, to: TimelinePosition, by_step: bool) -> Option<Route> {
        let before = self.branch(to.branch)?.up_to(to.index)?;
        let target = before.last()?.clone();
        let found = before.iter().enumerate().rev().find_map(|(i, entry)| {
            if matches!(entry.origin, FrameOrigin::Start(_)) {
                return Some((i, None));
            }
            if by_step && i + 1 == before.len() {
                return None;
            }
            let snapshot = self.snapshots.get(&entry.id)?;
            Some((i + 1, Some(Arc::clone(snapshot))))
        });
        let (from, snapshot) = found?;
        let start = before
            .iter()
            .rposition(|e| matches!(e.origin, FrameOrigin::Start(_)));
        let since_start = start.and_then(|i| {
            let FrameOrigin::Start(start) = &before[i].origin else {
                return None;
            };
            let actions = before[i + 1..].iter().map(HistoryEntry::action).collect();
            Some((start.clone(), before[i].params, actions))
        });
        Some(Route {
            snapshot,
            steps: before[from..].to_vec(),
            target,
            since_start,
        })
    }

    /// Makes a frame current. [`History::route`] must know how to get there.
    pub(super) fn move_to(&mut self, position: TimelinePosition) {
        self.position = Some(position);
    }

    /// The frames from the last start up to `end`, with their positions; those still in the history
    /// if the start is not. Empty if `end` is unknown.
    pub(super) fn episode(&self, end: TimelinePosition) -> Vec<(TimelinePosition, HistoryEntry)> {
        let Some(branch) = self.branch(end.branch) else {
            return Vec::new();
        };
        let Some(before) = branch.up_to(end.index) else {
            return Vec::new();
        };
        let start = before
            .iter()
            .rposition(|e| matches!(e.origin, FrameOrigin::Start(_)));
        branch.positioned(before, start.unwrap_or(0))
    }

    /// The last `count` frames up to `end` that are in the history, whatever starts lie among them, with
    /// their positions. Empty if `end` is unknown.
    pub(super) fn recent(
        &self,
        end: TimelinePosition,
        count: usize,
    ) -> Vec<(TimelinePosition, HistoryEntry)> {
        let Some(branch) = self.branch(end.branch) else {
            return Vec::new();
        };
        let before = branch.up_to(end.index).unwrap_or_default();
        branch.positioned(before, before.len().saturating_sub(count))
    }

    /// One more than the index of a branch's last frame; `None` if the branch is unknown.
    pub(super) fn end(&self, branch: u32) -> Option<usize> {
        self.branch(branch).map(Branch::end)
    }

    /// All branches, oldest first.
    pub fn branches(&self) -> Vec<BranchInfo> {
        let info = |branch: &Branch| BranchInfo {
            branch: branch.id,
            parent: branch.parent,
            fork_index: branch.fork_index,
            first: branch.first,
            end: branch.end(),
        };
        self.branches.iter().map(info).collect()
    }

    /// Makes [`History::take_changes`] return the branches again, if there are several.
    pub(super) fn mark_changed(&mut self) {
        self.changed = self.branches.len() > 1;
    }

    /// The branches, if their list changed since the last call.
    pub(super) fn take_changes(&mut self) -> Option<Vec<BranchInfo>> {
        std::mem::take(&mut self.changed).then(|| self.branches())
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
