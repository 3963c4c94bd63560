//! What stands still in the frames of a dataset: one background, or one for each scene of a game that has several.

use rand::SeedableRng as _;
use rand::distr::Distribution as _;
use rand::distr::weighted::WeightedIndex;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

/// Values differ from the background by more than this in the foreground, of a range of 2.
pub(crate) const FOREGROUND_THRESHOLD: f64 = 0.1;
/// The same of bytes.
const BYTE_THRESHOLD: u8 = (FOREGROUND_THRESHOLD * 127.5) as u8;
/// One background is enough if at most this part of the values differs from it.
const COMMON: f64 = 0.25;
/// Several backgrounds are used if they leave at most this part of what differs from one.
const GAIN: f64 = 0.5;
/// The most backgrounds.
const MOST: usize = 16;
/// The fewest frames that a background is the median of.
const FEWEST: usize = 8;
/// How often frames are assigned to the nearest of all backgrounds, and these become their medians.
const ROUNDS: usize = 4;

/// Median frames, [K, H, W, 3]. The background of a frame is the one from which the fewest of its values differ.
#[derive(Clone, Debug)]
pub(crate) struct Backgrounds {
    frame_len: usize,
    medians: Vec<u8>,
}

impl Backgrounds {
    /// A single background.
    pub fn single(median: Vec<u8>) -> Self {
        Self {
            frame_len: median.len(),
            medians: median,
        }
    }

    /// The background of frames of `frame_len` bytes each: their median. If that is not what most of them show, as in a
    /// game with several levels, medians of groups of similar frames, if these leave much less to the foreground.
    pub fn of(frames: &[u8], frame_len: usize) -> Self {
        let frames: Vec<&[u8]> = frames.chunks_exact(frame_len).collect();
        let single = Self::single(median(&frames, frame_len));
        let foreground = single.mean_foreground(&frames);
        if foreground <= COMMON {
            return single;
        }
        let several = Self::several(&frames, frame_len);
        if several.mean_foreground(&frames) <= GAIN * foreground {
            several
        } else {
            single
        }
    }

    /// k-medians, which begins as k-means++ does (Arthur and Vassilvitskii, 2007). A single one if there are too few
    /// frames of each kind.
    fn several(frames: &[&[u8]], frame_len: usize) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(0);
        let mut found = Self::single(median(frames, frame_len));
        while found.count() < MOST {
            let distances: Vec<usize> = (frames.par_iter())
                .map(|frame| found.nearest_with_distance(frame).1)
                .collect();
            let Ok(draw) = WeightedIndex::new(&distances) else {
                break;
            };
            found
                .medians
                .extend_from_slice(frames[draw.sample(&mut rng)]);
        }
        for _ in 0..ROUNDS {
            let groups = found.groups(frames);
            if groups.is_empty() {
                return Self::single(median(frames, frame_len));
            }
            let medians = groups.par_iter().map(|group| median(group, frame_len));
            found.medians = medians.collect::<Vec<_>>().concat();
        }
        found
    }

    /// The frames of each background; those with too few frames are left out.
    fn groups<'a>(&self, frames: &[&'a [u8]]) -> Vec<Vec<&'a [u8]>> {
        let nearest: Vec<usize> = frames.par_iter().map(|frame| self.nearest(frame)).collect();
        let mut groups = vec![Vec::new(); self.count()];
        for (frame, group) in frames.iter().zip(nearest) {
            groups[group].push(*frame);
        }
        groups.retain(|group| group.len() >= FEWEST.min(frames.len()));
        groups
    }

    /// Mean fraction of the values of a frame that differ from its background.
    fn mean_foreground(&self, frames: &[&[u8]]) -> f64 {
        let distances = frames
            .par_iter()
            .map(|frame| self.nearest_with_distance(frame).1);
        let values = frames.len() * self.frame_len;
        distances.sum::<usize>() as f64 / values.max(1) as f64
    }

    /// Number of backgrounds, at least 1.
    pub fn count(&self) -> usize {
        self.medians.len() / self.frame_len.max(1)
    }

    /// Bytes of all backgrounds, one after another.
    pub fn bytes(&self) -> &[u8] {
        &self.medians
    }

    /// The index of a frame's background.
    pub fn nearest(&self, frame: &[u8]) -> usize {
        if self.count() == 1 {
            return 0;
        }
        self.nearest_with_distance(frame).0
    }

    /// The background of a frame.
    pub fn of_frame(&self, frame: &[u8]) -> &[u8] {
        let at = self.nearest(frame) * self.frame_len;
        &self.medians[at..at + self.frame_len]
    }

    fn nearest_with_distance(&self, frame: &[u8]) -> (usize, usize) {
        let backgrounds = self.medians.chunks_exact(self.frame_len).enumerate();
        let distances = backgrounds.map(|(i, background)| (i, distance(frame, background)));
        distances
            .min_by_key(|(_, distance)| *distance)
            .unwrap_or((0, 0))
    }
}

/// Whether a pixel is foreground, given its background.
pub(crate) fn is_foreground(pixel: &[u8], background: &[u8]) -> bool {
    distance(pixel, background) > 0
}

/// Number of values that differ by more than the threshold.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let pairs = a.iter().zip(b);
    pairs
        .filter(|(a, b)| a.abs_diff(**b) > BYTE_THRESHOLD)
        .count()
}

/// The median over frames of `len` bytes, byte by byte.
fn median(frames: &[&[u8]], len: usize) -> Vec<u8> {
    let mut column = vec![0; frames.len()];
    (0..len)
        .map(|i| {
            for (value, frame) in column.iter_mut().zip(frames) {
                *value = frame[i];
            }
            column.sort_unstable();
            column.get(column.len() / 2).copied().unwrap_or(0)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rand::RngCore as _;

    use super::*;

    /// Frames of 100 values: those of a scene, and a ball of two values that moves.
    fn frames(scenes: &[u8]) -> Vec<u8> {
        let moving = |(t, scene): (usize, &u8)| {
            let mut frame = [0; 100].map(|_| *scene);
            frame[t * 7 % 99] = 255;
            frame[t * 7 % 99 + 1] = 255;
            frame
        };
        scenes.iter().enumerate().flat_map(moving).collect()
    }

    #[test]
    fn median_ignores_outliers() {
        let frames: [&[u8]; 5] = [&[9, 1], &[9, 200], &[9, 1], &[77, 1], &[9, 1]];
        assert_eq!(median(&frames, 2), [9, 1]);
    }

    #[test]
    fn each_scene_has_a_background() {
        let scenes: Vec<u8> = [10, 80, 160]
            .iter()
            .flat_map(|scene| [*scene; 20])
            .collect();
        let frames = frames(&scenes);
        let found = Backgrounds::of(&frames, 100);
        for (frame, scene) in frames.chunks(100).zip(scenes) {
            assert_eq!(found.of_frame(frame), [scene; 100]);
        }
    }

    #[test]
    fn a_common_background_is_the_only_one() {
        assert_eq!(Backgrounds::of(&frames(&[30; 60]), 100).count(), 1);
    }

    #[test]
    fn few_frames_have_one_background() {
        for count in 0..40 {
            let scenes: Vec<u8> = (0..count).map(|i| i * 6).collect();
            assert_eq!(Backgrounds::of(&frames(&scenes), 100).count(), 1);
        }
    }

    #[test]
    fn frames_without_scenes_have_one_background() {
        let mut noise = vec![0; 255 * 100];
        ChaCha8Rng::seed_from_u64(1).fill_bytes(&mut noise);
        assert_eq!(Backgrounds::of(&noise, 100).count(), 1);
    }
}
