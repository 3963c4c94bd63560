//! Chooses a preset by what the frames of a dataset show.

use std::fmt;
use std::path::Path;

use driftless_data::components::{Neighbours, components};
use driftless_data::dataset::episode_files;
use driftless_data::{DatasetInfo, Episode};

use crate::tokenizer::backgrounds::{Backgrounds, is_foreground};
use crate::{Result, TrainPreset};

/// Files of episodes that are looked at, evenly over all.
const FILES: usize = 8;
/// Pairs of successive frames that are looked at, of all files together.
const PAIRS: usize = 400;
/// Longest side, in pixels, of a small change: that of a patch of the preset `tiny`. What moves changes pixels where it
/// was and where it is.
const SMALL: usize = 8;
/// The part of the pairs in which something small must move.
const OFTEN: f64 = 0.5;
/// If more than this part of a frame changes, the view moves, and small changes are not small things.
const MOST_CHANGED: f64 = 0.05;

/// A preset for a dataset, and what it was chosen by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PresetChoice {
    /// [`TrainPreset::Fine`] if small things move in front of changing scenes, else [`TrainPreset::Tiny`].
    pub preset: TrainPreset,
    /// The part of successive frames, 0 to 1, between which something changes in at most 8×8 pixels.
    pub small_things: f64,
    /// Whether the frames have several backgrounds, as those of a game with levels.
    pub scenes: bool,
}

impl PresetChoice {
    /// Looks at some of the frames of a dataset. Files that cannot be read are passed over: whoever trains on them
    /// hears of it then.
    ///
    /// # Errors
    /// Returns an error if the folder has no episodes.
    pub fn of(folder: &Path, info: &DatasetInfo) -> Result<Self> {
        let files = episode_files(folder)?;
        let looked_at = files.len().min(FILES);
        let mut sample = Sample::new(info.image);
        for i in 0..looked_at {
            let Ok(episodes) = Episode::read_all(&files[i * files.len() / looked_at]) else {
                continue;
            };
            let fitting = |episode: &&Episode| [episode.height, episode.width] == info.image;
            let episodes: Vec<_> = episodes.iter().filter(fitting).collect();
            for episode in &episodes {
                sample.add(episode, PAIRS.div_ceil(looked_at * episodes.len()));
            }
        }
        Ok(sample.choice())
    }

    fn new(small_things: f64, scenes: bool) -> Self {
        let preset = if small_things >= OFTEN && scenes {
            TrainPreset::Fine
        } else {
            TrainPreset::Tiny
        };
        Self {
            preset,
            small_things,
            scenes,
        }
    }
}

impl fmt::Display for PresetChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = self.preset.name();
        let percent = 100.0 * self.small_things;
        let scenes = if self.scenes {
            "several backgrounds"
        } else {
            "one background"
        };
        write!(
            f,
            "{name}: things of {SMALL} pixels or less change in {percent:.0} % of the frames, in front of {scenes}"
        )
    }
}

/// Frames that were looked at.
struct Sample {
    image: [usize; 2],
    /// The first frame of each pair.
    frames: Vec<u8>,
    pairs: usize,
    with_small_things: usize,
}

impl Sample {
    fn new(image: [usize; 2]) -> Self {
        Self {
            image,
            frames: Vec::new(),
            pairs: 0,
            with_small_things: 0,
        }
    }

    /// Looks at pairs of frames, evenly over an episode.
    fn add(&mut self, episode: &Episode, pairs: usize) {
        let last = episode.frames().saturating_sub(1);
        for i in 0..pairs.min(last) {
            let t = i * last / pairs.min(last);
            let [before, after] = [t, t + 1].map(|t| episode.frame(t));
            self.frames.extend_from_slice(before);
            self.pairs += 1;
            self.with_small_things += usize::from(has_small_change(before, after, self.image));
        }
    }

    fn choice(&self) -> PresetChoice {
        let [height, width] = self.image;
        let small_things = self.with_small_things as f64 / self.pairs.max(1) as f64;
        let backgrounds = Backgrounds::of(&self.frames, height * width * 3);
        PresetChoice::new(small_things, backgrounds.count() > 1)
    }
}

/// Whether something of at most [`SMALL`] pixels a side changes between two frames that are alike elsewhere.
fn has_small_change(before: &[u8], after: &[u8], [height, width]: [usize; 2]) -> bool {
    let pixels = before.chunks_exact(3).zip(after.chunks_exact(3));
    let changed: Vec<bool> = pixels.map(|(a, b)| is_foreground(a, b)).collect();
    let count = changed.iter().filter(|changed| **changed).count();
    if count as f64 > MOST_CHANGED * (height * width) as f64 {
        return false;
    }
    let things = components(&changed, width, Neighbours::SidesAndCorners);
    things
        .iter()
        .any(|thing| longer_side(thing, width) <= SMALL)
}

/// The longer side, in pixels, of the box around a component of a mask.
fn longer_side(component: &[usize], width: usize) -> usize {
    let side = |of: fn(usize, usize) -> usize| {
        let places = component.iter().map(|at| of(*at, width));
        let least = places.clone().min().unwrap_or(0);
        places.max().map_or(0, |most| most - least + 1)
    };
    side(|at, width| at / width).max(side(|at, width| at % width))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const SIZE: usize = 64;

    /// Frames of scenes of one brightness each, in front of which a square of `side` pixels moves.
    fn episode(scenes: &[u8], side: usize) -> Episode {
        let mut images = Vec::new();
        for (t, scene) in scenes.iter().enumerate() {
            let mut frame = vec![*scene; SIZE * SIZE * 3];
            for (y, x) in (0..side).flat_map(|y| (0..side).map(move |x| (y, x))) {
                let at = ((t * 17 % 50 + y) * SIZE + t * 23 % 50 + x) * 3;
                frame[at..at + 3].fill(255);
            }
            images.extend(frame);
        }
        Episode {
            height: SIZE,
            width: SIZE,
            images,
            actions: vec![0; scenes.len()],
            rewards: vec![0.0; scenes.len()],
            extras: BTreeMap::new(),
        }
    }

    fn choice(scenes: &[u8], side: usize) -> TrainPreset {
        let mut sample = Sample::new([SIZE; 2]);
        sample.add(&episode(scenes, side), PAIRS);
        sample.choice().preset
    }

    fn scenes() -> Vec<u8> {
        [10, 60, 110, 160].map(|scene| [scene; 40]).concat()
    }

    #[test]
    fn small_things_in_changing_scenes_get_fine_patches() {
        assert_eq!(choice(&scenes(), 2), TrainPreset::Fine);
    }

    #[test]
    fn larger_things_and_single_scenes_do_not() {
        assert_eq!(choice(&scenes(), 12), TrainPreset::Tiny);
        assert_eq!(choice(&[10; 160], 2), TrainPreset::Tiny);
    }
}
