//! The sample of a dataset: excerpts from all over it.

use driftless_data::{DatasetInfo, Episode};

/// Frames of an excerpt: enough for the context and the sixteen frames of a preview.
const EXCERPT: usize = 128;
/// Frames of all excerpts.
const FRAMES: usize = 2048;
/// Fewest excerpts, however large their frames are.
const FEWEST: u64 = 4;

/// Takes excerpts of the episodes that come by, evenly spaced over all frames.
pub(crate) struct Sample {
    /// Frames from the start of an excerpt to that of the next.
    spacing: u64,
    /// Where the next excerpt starts, in frames of all episodes.
    next: u64,
    /// Frames that have come by.
    passed: u64,
    /// Frames of the excerpts so far, and the most that are taken.
    taken: usize,
    most: usize,
    excerpts: Vec<Episode>,
}

impl Sample {
    /// A sample of a dataset with so many frames, of at most about `bytes` bytes.
    pub fn new(info: &DatasetInfo, total: u64, bytes: u64) -> Self {
        let frame = info.frame_bytes();
        let fits = (bytes / frame.max(1) / EXCERPT as u64).max(FEWEST);
        let count = fits.min((FRAMES / EXCERPT) as u64);
        Self {
            spacing: (total / count).max(1),
            next: 0,
            passed: 0,
            taken: 0,
            most: count as usize * EXCERPT,
            excerpts: Vec::new(),
        }
    }

    /// Takes the part of an episode that is due, if any. The next place is a spacing on if a whole excerpt was taken, and
    /// nearer if the episode was short.
    pub fn offer(&mut self, episode: &Episode) {
        let frames = episode.frames();
        let end = self.passed + frames as u64;
        while self.next < end && self.taken < self.most {
            let length = EXCERPT.min(frames).min(self.most - self.taken);
            let start = ((self.next - self.passed) as usize).min(frames - length);
            self.excerpts.push(episode.part(start..start + length));
            self.taken += length;
            let share = self.spacing * length as u64 / EXCERPT as u64;
            self.next = (self.next + share.max(1)).max(self.passed + (start + length) as u64);
        }
        self.passed = end;
    }

    /// What was taken.
    pub fn excerpts(&self) -> &[Episode] {
        &self.excerpts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(frames: usize, at: u8) -> Episode {
        Episode {
            height: 1,
            width: 1,
            images: vec![at; frames * 3],
            actions: vec![0; frames],
            rewards: vec![0.0; frames],
            extras: Default::default(),
        }
    }

    fn sample(lengths: &[usize]) -> Vec<(u8, usize)> {
        let info = DatasetInfo {
            name: String::new(),
            fps: 1.0,
            image: [1, 1],
            actions: Vec::new(),
            axes: Vec::new(),
        };
        let total = lengths.iter().sum::<usize>() as u64;
        let mut sample = Sample::new(&info, total, 1 << 30);
        for (i, frames) in lengths.iter().enumerate() {
            sample.offer(&episode(*frames, i as u8));
        }
        let excerpts = sample.excerpts().iter();
        excerpts.map(|e| (e.images[0], e.frames())).collect()
    }

    #[test]
    fn excerpts_come_from_all_over() {
        let taken = sample(&[1000; 32]);
        assert_eq!(taken.len(), 16);
        assert!(taken.iter().all(|(_, frames)| *frames == 128));
        assert!(
            taken
                .iter()
                .enumerate()
                .all(|(i, (at, _))| *at as usize == 2 * i)
        );
    }

    #[test]
    fn short_datasets_are_taken_whole() {
        assert_eq!(
            sample(&[40; 5]),
            (0..5).map(|i| (i, 40)).collect::<Vec<_>>()
        );
        let long = sample(&[300]);
        assert_eq!(long.iter().map(|(_, frames)| frames).sum::<usize>(), 384);
    }
}
