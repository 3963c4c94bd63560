//! What was played, so that it can be gone back to: branches of frames, and snapshots on the way.
//!
//! A branch is a line of frames, each made by an action under sampler parameters or by a start. Going
//! back to a frame restores the nearest snapshot before it and plays the frames between again; on the
//! same engine they come out bit-identical. Whoever plays on from a frame that is not its branch's last
//! begins a new branch, so nothing that was played is lost.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use super::Script;
use super::player::Saved;
use super::truth::Start;
use driftless_engine::SamplerParams;

/// Branches that are kept; of more, the one that was begun first goes, unless it is played.
pub const MAX_BRANCHES: usize = 12;
/// Frames of a branch that are kept.
const MAX_FRAMES: usize = 36_000;
/// Bytes of snapshots, and of pictures.
const SAVED_BYTES: usize = 256 << 20;
const PICTURE_BYTES: usize = 192 << 20;

/// A frame's place: a branch, and the frame's number on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Place {
    /// The branch.
    pub branch: u32,
    /// Frames before it on the branch, those before the branch began included.
    pub index: usize,
}

/// A branch as others see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BranchInfo {
    /// Its number.
    pub branch: u32,
    /// The branch that it left; none of the first.
    pub parent: Option<u32>,
    /// Index of its first frame that is not the parent's.
    pub forked: usize,
    /// Index of the first frame that is still known.
    pub first: usize,
    /// One more than the index of its last frame.
    pub end: usize,
}

/// How a frame was made.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Made {
    Start(Start),
    Step(u32),
}

/// A frame that was played.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entry {
    id: u64,
    pub made: Made,
    pub params: SamplerParams,
    /// Frames since the start.
    pub number: u64,
    /// Index of the starting context.
    pub context: usize,
    /// Sum of the predicted rewards since the start.
    pub score: f32,
}

impl Entry {
    pub fn new(made: Made, params: SamplerParams, number: u64, context: usize, score: f32) -> Self {
        Self {
            id: 0,
            made,
            params,
            number,
            context,
            score,
        }
    }

    /// The action that led to the frame; the idle one for a start.
    pub fn action(&self) -> u32 {
        match self.made {
            Made::Start(_) => 0,
            Made::Step(action) => action,
        }
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Branch {
    id: u32,
    parent: Option<u32>,
    forked: usize,
    first: usize,
    entries: Vec<Entry>,
}

impl Branch {
    fn end(&self) -> usize {
        self.first + self.entries.len()
    }

    fn upto(&self, index: usize) -> Option<&[Entry]> {
        self.entries.get(..=index.checked_sub(self.first)?)
    }
}

/// How to get to a frame.
#[derive(Debug)]
pub(super) struct Route {
    /// What to go back to first; without it, the first of the steps is a start.
    pub saved: Option<Arc<Saved>>,
    /// What to play again then, the frame itself last.
    pub steps: Vec<Entry>,
    /// The frame itself.
    pub last: Entry,
    /// The start before the frame, and the actions from there to it, if they are still known.
    pub since_start: Option<(Start, SamplerParams, Vec<u32>)>,
}

/// The branches that were played, and where the game stands on them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    branches: Vec<Branch>,
    /// Place of the last frame; none before the first.
    at: Option<Place>,
    next_branch: u32,
    next_id: u64,
    /// Frames that the thread had made, resets and travels included.
    pub(super) sequence: u64,
    /// Actions of a file that are still to be played.
    pub(super) script: Script,
    /// By the frame's id, so that branches share them.
    saved: BTreeMap<u64, Arc<Saved>>,
    pictures: BTreeMap<u64, Arc<[u8]>>,
    picture_bytes: usize,
    /// Whether branches came or went since they were last told.
    changed: bool,
}

impl History {
    /// Where the game stands; none before its first frame.
    pub fn at(&self) -> Option<Place> {
        self.at
    }

    fn branch(&self, id: u32) -> Option<&Branch> {
        self.branches.iter().find(|branch| branch.id == id)
    }

    /// Adds a frame after the one where the game stands; on a branch of its own if others follow there.
    pub(super) fn push(&mut self, entry: Entry) -> Place {
        let at_end = |at: Place| {
            self.branch(at.branch)
                .is_some_and(|b| at.index + 1 == b.end())
        };
        if !self.at.is_some_and(at_end) {
            self.fork();
        }
        let id = self.next_id;
        self.next_id += 1;
        let current = self.at.map_or(0, |at| at.branch);
        let mut place = Place {
            branch: current,
            index: 0,
        };
        if let Some(branch) = self.branches.iter_mut().find(|b| b.id == current) {
            branch.entries.push(Entry { id, ..entry });
            place.index = branch.end() - 1;
        }
        self.at = Some(place);
        self.forget_the_oldest(current);
        place
    }

    /// Begins a branch where the game stands and turns to it.
    pub(super) fn fork(&mut self) {
        let here = self.at.and_then(|at| {
            let branch = self.branch(at.branch)?;
            Some((at, branch.first, branch.upto(at.index)?.to_vec()))
        });
        let (parent, forked, first, entries) = match here {
            Some((at, first, entries)) => (Some(at.branch), at.index + 1, first, entries),
            None => (None, 0, 0, Vec::new()),
        };
        let id = self.next_branch;
        self.next_branch += 1;
        self.branches.push(Branch {
            id,
            parent,
            forked,
            first,
            entries,
        });
        self.at = Some(Place {
            branch: id,
            index: forked.saturating_sub(1),
        });
        if self.branches.len() > MAX_BRANCHES {
            self.branches.remove(0);
            self.prune();
        }
        // Everybody knows the first one.
        self.changed |= parent.is_some();
    }

    /// Forgets a branch; not the one that is played.
    pub(super) fn drop_branch(&mut self, id: u32) -> bool {
        let known = self.branch(id).is_some();
        if !known || self.at.is_some_and(|at| at.branch == id) {
            return false;
        }
        self.branches.retain(|branch| branch.id != id);
        self.prune();
        self.changed = true;
        true
    }

    fn forget_the_oldest(&mut self, id: u32) {
        let Some(branch) = self.branches.iter_mut().find(|branch| branch.id == id) else {
            return;
        };
        if branch.entries.len() <= MAX_FRAMES {
            return;
        }
        let saved = &self.saved;
        let returnable =
            |entry: &Entry| matches!(entry.made, Made::Start(_)) || saved.contains_key(&entry.id);
        let cut = MAX_FRAMES / 8;
        let found = branch.entries[cut..].iter().position(returnable);
        if let Some(more) = found {
            branch.entries.drain(..cut + more);
            branch.first += cut + more;
            self.changed = true;
            self.prune();
        }
    }

    /// Lets go of what belongs to frames that no branch has any more.
    fn prune(&mut self) {
        let entries = self.branches.iter().flat_map(|branch| &branch.entries);
        let known: HashSet<u64> = entries.map(|entry| entry.id).collect();
        self.saved.retain(|id, _| known.contains(id));
        self.pictures.retain(|id, _| known.contains(id));
        self.picture_bytes = self.pictures.values().map(|picture| picture.len()).sum();
    }

    /// What a frame is called on every branch that has it.
    pub(super) fn id(&self, place: Place) -> Option<u64> {
        self.entry(place).map(|entry| entry.id)
    }

    fn entry(&self, place: Place) -> Option<&Entry> {
        self.branch(place.branch)?.upto(place.index)?.last()
    }

    /// Keeps a frame's picture, u8 RGB `[H, W, 3]`; those of the oldest frames go when there are too
    /// many.
    pub(super) fn keep_picture(&mut self, place: Place, picture: Arc<[u8]>) {
        let Some(id) = self.entry(place).map(|entry| entry.id) else {
            return;
        };
        self.picture_bytes += picture.len();
        if let Some(before) = self.pictures.insert(id, picture) {
            self.picture_bytes -= before.len();
        }
        while self.picture_bytes > PICTURE_BYTES {
            let Some((_, oldest)) = self.pictures.pop_first() else {
                break;
            };
            self.picture_bytes -= oldest.len();
        }
    }

    /// Keeps a snapshot of where the game stands.
    pub(super) fn keep_saved(&mut self, saved: Saved) {
        let Some(id) = self.at.and_then(|at| self.entry(at)).map(|entry| entry.id) else {
            return;
        };
        let most = SAVED_BYTES / saved.bytes().max(1);
        self.saved.insert(id, Arc::new(saved));
        while self.saved.len() > most.max(2) {
            self.thin_out();
        }
    }

    /// Drops the snapshot that is missed least: the gap that it leaves is the smallest for its age.
    fn thin_out(&mut self) {
        let ids: Vec<u64> = self.saved.keys().copied().collect();
        let newest = ids.last().copied().unwrap_or_default();
        let missed = |three: &[u64]| (three[2] - three[0]) as f64 / (newest - three[1] + 1) as f64;
        let least = ids
            .windows(3)
            .min_by(|a, b| missed(a).total_cmp(&missed(b)))
            .map(|three| three[1]);
        if let Some(id) = least.or_else(|| ids.first().copied()) {
            self.saved.remove(&id);
        }
    }

    /// The picture of a frame, where it was kept.
    pub fn picture(&self, place: Place) -> Option<Arc<[u8]>> {
        let entry = self.entry(place)?;
        let kept = self.pictures.get(&entry.id).cloned();
        kept.or_else(|| self.saved.get(&entry.id)?.image().map(Into::into))
    }

    /// The picture of a frame, or of one that is at most `within` frames earlier.
    pub(super) fn picture_near(&self, place: Place, within: usize) -> Option<Arc<[u8]>> {
        let earliest = place.index.saturating_sub(within);
        (earliest..=place.index)
            .rev()
            .find_map(|index| self.picture(Place { index, ..place }))
    }

    /// How to get to a frame; `by_a_step` if it should not be taken from a snapshot itself.
    pub(super) fn route(&self, to: Place, by_a_step: bool) -> Option<Route> {
        let before = self.branch(to.branch)?.upto(to.index)?;
        let last = before.last()?.clone();
        let from = before.iter().enumerate().rev().find_map(|(i, entry)| {
            if matches!(entry.made, Made::Start(_)) {
                return Some((i, None));
            }
            if by_a_step && i + 1 == before.len() {
                return None;
            }
            let saved = self.saved.get(&entry.id)?;
            Some((i + 1, Some(Arc::clone(saved))))
        });
        let (from, saved) = from?;
        let start = before
            .iter()
            .rposition(|e| matches!(e.made, Made::Start(_)));
        let since_start = start.and_then(|i| {
            let Made::Start(start) = &before[i].made else {
                return None;
            };
            let actions = before[i + 1..].iter().map(Entry::action).collect();
            Some((start.clone(), before[i].params, actions))
        });
        Some(Route {
            saved,
            steps: before[from..].to_vec(),
            last,
            since_start,
        })
    }

    /// Moves to a frame that [`History::route`] knows the way to.
    pub(super) fn turn_to(&mut self, place: Place) {
        self.at = Some(place);
    }

    /// A branch's frames from its last start at or before `upto`, with their places.
    pub(super) fn episode(&self, upto: Place) -> Vec<(Place, Entry)> {
        let Some((branch, before)) = self
            .branch(upto.branch)
            .and_then(|branch| Some((branch, branch.upto(upto.index)?)))
        else {
            return Vec::new();
        };
        let start = before
            .iter()
            .rposition(|e| matches!(e.made, Made::Start(_)));
        let from = start.unwrap_or(0);
        let place = |i: usize| Place {
            branch: branch.id,
            index: branch.first + from + i,
        };
        let entries = before[from..].iter().enumerate();
        entries
            .map(|(i, entry)| (place(i), entry.clone()))
            .collect()
    }

    /// The index after a branch's last frame.
    pub(super) fn end(&self, branch: u32) -> Option<usize> {
        self.branch(branch).map(Branch::end)
    }

    /// The branches, in the order in which they were begun.
    pub fn branches(&self) -> Vec<BranchInfo> {
        let info = |branch: &Branch| BranchInfo {
            branch: branch.id,
            parent: branch.parent,
            forked: branch.forked,
            first: branch.first,
            end: branch.end(),
        };
        self.branches.iter().map(info).collect()
    }

    /// The branches are to be told again.
    pub(super) fn tell(&mut self) {
        self.changed = self.branches.len() > 1;
    }

    /// The branches, if they came or went since this was asked last.
    pub(super) fn news(&mut self) -> Option<Vec<BranchInfo>> {
        std::mem::take(&mut self.changed).then(|| self.branches())
    }
}

#[cfg(test)]
#[path = "history_tests.rs"]
mod tests;
