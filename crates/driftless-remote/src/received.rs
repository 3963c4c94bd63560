//! The frames that have come: thumbnails of the timeline, and what is saved, are made of them.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use driftless_data::{Action, Episode};
use driftless_sim::{BranchInfo, Frame, TimelinePosition};

/// Memory for pictures, in bytes.
const MAX_BYTES: usize = 192 << 20;

/// A frame that has come.
#[derive(Clone, Debug)]
struct Kept {
    image: Arc<[u8]>,
    action: Action,
    number: u64,
    score: f32,
}

/// Frames by their place in the history; the oldest are forgotten.
#[derive(Debug, Default)]
pub struct Received {
    frames: HashMap<TimelinePosition, Kept>,
    /// In the order in which they came.
    order: VecDeque<TimelinePosition>,
    bytes: usize,
    branches: Vec<BranchInfo>,
}

/// Frames to be saved.
pub struct Found {
    /// Those that came.
    pub episode: Episode,
    /// How many did not.
    pub missing: usize,
}

impl Received {
    /// Keeps a frame.
    pub fn add(&mut self, frame: &Frame, image: Arc<[u8]>) {
        self.bytes += image.len();
        let kept = Kept {
            image,
            action: frame.action,
            number: frame.number,
            score: frame.prediction.score,
        };
        match self.frames.insert(frame.position, kept) {
            Some(before) => self.bytes -= before.image.len(),
            None => self.order.push_back(frame.position),
        }
        while self.bytes > MAX_BYTES
            && let Some(oldest) = self.order.pop_front()
        {
            let forgotten = self.frames.remove(&oldest);
            self.bytes -= forgotten.map_or(0, |kept| kept.image.len());
        }
    }

    /// Takes over the list of branches.
    pub fn set_branches(&mut self, branches: &[BranchInfo]) {
        self.branches = branches.to_vec();
    }

    /// The frame at a place, which a parent of the branch may have.
    fn at(&self, mut place: TimelinePosition) -> Option<&Kept> {
        // A branch has at most all others as parents; a circle is none.
        for _ in 0..=self.branches.len() {
            if let Some(kept) = self.frames.get(&place) {
                return Some(kept);
            }
            let branch = self.branches.iter().find(|b| b.branch == place.branch)?;
            place.branch = branch.parent.filter(|_| place.index < branch.fork_index)?;
        }
        None
    }

    /// The pictures of a branch at these indices, or at most `within` frames earlier.
    pub fn images(&self, branch: u32, indices: &[usize], within: usize) -> Vec<(usize, Arc<[u8]>)> {
        let near = |index: usize| {
            let mut earlier = (index.saturating_sub(within)..=index).rev();
            earlier.find_map(|index| self.at(TimelinePosition { branch, index }))
        };
        let found = indices.iter().map(|&index| Some((index, near(index)?)));
        let found = found.flatten();
        found
            .map(|(index, kept)| (index, Arc::clone(&kept.image)))
            .collect()
    }

    /// The frames from the last start up to `end`.
    pub fn since_start(&self, end: TimelinePosition, size: [usize; 2], axes: usize) -> Found {
        let number = self.at(end).map_or(0, |kept| kept.number);
        let frames = usize::try_from(number).unwrap_or(usize::MAX);
        self.recent(end, frames.saturating_add(1), size, axes)
    }

    /// `frames` frames up to `end`, of this height and width and with so many axes.
    pub fn recent(
        &self,
        end: TimelinePosition,
        frames: usize,
        [height, width]: [usize; 2],
        axes: usize,
    ) -> Found {
        let first = end.index.saturating_add(1).saturating_sub(frames);
        let branch = end.branch;
        let all = first..=end.index;
        let kept: Vec<&Kept> = all
            .clone()
            .filter_map(|index| self.at(TimelinePosition { branch, index }))
            .collect();
        // A start, or the first frame, has no reward.
        let mut rewards = vec![0.0; kept.len()];
        for (reward, pair) in rewards.iter_mut().skip(1).zip(kept.windows(2)) {
            if let [before, kept] = pair
                && kept.number > 0
            {
                *reward = kept.score - before.score;
            }
        }
        let mut episode = Episode {
            height,
            width,
            images: kept.iter().flat_map(|kept| kept.image.to_vec()).collect(),
            actions: Vec::new(),
            rewards,
            extras: BTreeMap::new(),
        };
        let played: Vec<Action> = kept.iter().map(|kept| kept.action).collect();
        episode.set_played(&played, axes);
        Found {
            missing: all.count() - kept.len(),
            episode,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_sim::FrameImage;

    fn place(branch: u32, index: usize) -> TimelinePosition {
        TimelinePosition { branch, index }
    }

    /// Frames 0 to 5 of branch 0 but for frame 2, and 3 to 4 of branch 1, which forked at 3.
    fn received() -> Received {
        let mut received = Received::default();
        let places = [0, 1, 3, 4, 5].map(|index| place(0, index));
        for position in places.into_iter().chain([place(1, 3), place(1, 4)]) {
            let mark = (10 * position.branch as usize + position.index) as u8;
            let image: Arc<[u8]> = [mark; 3].as_slice().into();
            let mut frame = Frame::new(FrameImage::Bytes(Arc::clone(&image)));
            frame.position = position;
            frame.number = position.index as u64;
            frame.prediction.score = 2.0 * position.index as f32;
            received.add(&frame, image);
        }
        let branch = |branch, parent, fork_index| BranchInfo {
            branch,
            parent,
            fork_index,
            first: 0,
            end: 6,
        };
        received.set_branches(&[branch(0, None, 0), branch(1, Some(0), 3)]);
        received
    }

    #[test]
    fn branches_share_frames_of_their_parents() {
        let received = received();
        let marks = |branch, indices: &[usize], within| {
            let images = received.images(branch, indices, within);
            images
                .iter()
                .map(|(i, image)| (*i, image[0]))
                .collect::<Vec<_>>()
        };
        assert_eq!(marks(1, &[1, 3, 5], 0), [(1, 1), (3, 13)]);
        assert_eq!(marks(0, &[2, 5], 1), [(2, 1), (5, 5)]);
        assert_eq!(marks(7, &[1], 0), []);
    }

    #[test]
    fn missing_frames_are_counted() {
        let received = received();
        let found = received.since_start(place(1, 4), [1, 1], 0);
        assert_eq!((found.episode.images.len(), found.missing), (12, 1));
        assert_eq!(found.episode.rewards, [0.0, 2.0, 4.0, 2.0]);
        let found = received.recent(place(0, 5), 2, [1, 1], 0);
        assert_eq!(found.episode.images, [4, 4, 4, 5, 5, 5]);
        assert_eq!(received.recent(place(9, 5), 2, [1, 1], 0).missing, 2);
    }

    #[test]
    fn circles_of_parents_end() {
        let mut received = received();
        let circle = |branch, parent| BranchInfo {
            branch,
            parent: Some(parent),
            fork_index: 9,
            first: 0,
            end: 9,
        };
        received.set_branches(&[circle(3, 4), circle(4, 3)]);
        assert!(received.images(3, &[1], 0).is_empty());
    }
}
