//! What is likely to go wrong with a dataset, said before hours of training.

use std::ops::ControlFlow;
use std::path::Path;

use driftless_data::info::DatasetSummary;
use driftless_data::{Dataset, DatasetInfo, Episode};

use crate::Result;
use crate::app::text::{grouped, readable};

/// Fewer frames than this give a poor world.
const ENOUGH_FRAMES: usize = 20_000;
/// Pictures darker than this, of at most 1, show little.
const DARK: f32 = 0.04;
/// More repeated frames than this, of at most 1, teach little.
const STILL: f32 = 0.6;
/// Actions that are not yet learned below this share of the frames.
const RARE: f64 = 0.005;
/// Frames that are looked at.
const SAMPLE: usize = 4_000;

/// What the pictures look like.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct ImageStats {
    /// Mean of all values, 0 to 1.
    pub brightness: f32,
    /// The share of frames that equal the one before.
    pub still: f32,
}

impl ImageStats {
    /// Looks at the first frames of a dataset.
    ///
    /// # Errors
    /// Returns an error if an episode cannot be read.
    pub fn of(folder: &Path, info: &DatasetInfo) -> Result<Self> {
        let mut sums = FrameSums::default();
        Dataset::for_each_episode(folder, info, |_, episode| {
            sums.add(&episode?);
            Ok(if sums.frames < SAMPLE {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(sums.stats())
    }
}

/// Sums over the frames that were looked at.
#[derive(Default)]
struct FrameSums {
    frames: usize,
    values: usize,
    sum: u64,
    pairs: usize,
    still: usize,
}

impl FrameSums {
    fn add(&mut self, episode: &Episode) {
        for t in 0..episode.frames().min(SAMPLE) {
            let frame = episode.frame(t);
            self.frames += 1;
            self.values += frame.len();
            self.sum += frame.iter().map(|&value| u64::from(value)).sum::<u64>();
            if t > 0 {
                self.pairs += 1;
                self.still += usize::from(frame == episode.frame(t - 1));
            }
        }
    }

    fn stats(&self) -> ImageStats {
        ImageStats {
            brightness: (self.sum as f64 / self.values.max(1) as f64 / 255.0) as f32,
            still: self.still as f32 / self.pairs.max(1) as f32,
        }
    }
}

/// The warnings about a dataset, the gravest first; empty if it looks good.
pub(super) fn warnings(summary: &DatasetSummary, pictures: ImageStats) -> Vec<String> {
    let mut warnings = Vec::new();
    if summary.frames < ENOUGH_FRAMES {
        let minutes = |frames: usize| frames as f32 / summary.info.fps.max(1.0) / 60.0;
        warnings.push(format!(
            "Too little: {} frames are {:.1} min of play. Aim for {} frames ({:.0} min).",
            grouped(summary.frames),
            minutes(summary.frames),
            grouped(ENOUGH_FRAMES),
            minutes(ENOUGH_FRAMES),
        ));
    }
    let all: usize = summary.action_counts.iter().sum();
    let actions = || {
        summary
            .info
            .actions
            .iter()
            .zip(&summary.action_counts)
            .skip(1)
    };
    let names = |wanted: &dyn Fn(usize) -> bool| {
        let named = actions().filter(|(_, count)| wanted(**count));
        let names: Vec<_> = named.map(|(action, _)| readable(&action.name)).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    if let Some(never) = names(&|count| count == 0) {
        warnings.push(format!(
            "Never pressed: {never}. The world will not obey these keys."
        ));
    }
    let rare = RARE * all as f64;
    if let Some(rarely) = names(&|count| count > 0 && (count as f64) < rare) {
        warnings.push(format!("Rarely pressed: {rarely}."));
    }
    if pictures.brightness < DARK {
        let percent = 100.0 * pictures.brightness;
        warnings.push(format!(
            "The pictures are almost black (mean brightness {percent:.0} %)."
        ));
    }
    if pictures.still > STILL {
        let percent = 100.0 * pictures.still;
        warnings.push(format!(
            "{percent:.0} % of the frames equal the frame before: nothing moves, or the frame rate is too high."
        ));
    }
    warnings
}

#[cfg(test)]
mod tests {
    use driftless_data::info::{DataSummary, summarize};
    use driftless_worlds::record::{RecordingPlan, record};
    use driftless_worlds::{Policy, SimulatorKind};

    use super::*;

    fn recorded(frames: usize) -> (tempfile::TempDir, DatasetSummary) {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("maze");
        let plan = RecordingPlan {
            world: SimulatorKind::Maze,
            policy: Policy::Random,
            seed: 1,
            world_seed: None,
            frames,
            episode_frames: frames,
        };
        record(&plan, &data, &|_| true).unwrap();
        let DataSummary::Dataset(summary) = summarize(&data).unwrap() else {
            panic!("not a dataset");
        };
        (folder, summary)
    }

    #[test]
    fn little_data_and_missing_keys_are_named() {
        let (folder, mut summary) = recorded(30);
        summary
            .action_counts
            .iter_mut()
            .for_each(|count| *count = 10);
        summary.action_counts[1] = 0;
        let never = readable(&summary.info.actions[1].name);
        let stats = ImageStats::of(&folder.path().join("maze"), &summary.info).unwrap();
        let all = warnings(&summary, stats);
        assert_eq!(all.len(), 2, "{all:#?}");
        assert!(
            all[0].contains("Aim for 20,000 frames (22 min)"),
            "{all:#?}"
        );
        assert!(
            all[1].contains(&format!("Never pressed: {never}.")),
            "{all:#?}"
        );
    }

    #[test]
    fn good_data_has_no_warnings() {
        let (_folder, mut summary) = recorded(30);
        summary.frames = ENOUGH_FRAMES;
        summary
            .action_counts
            .iter_mut()
            .for_each(|count| *count = 2_000);
        let good = ImageStats {
            brightness: 0.4,
            still: 0.1,
        };
        assert_eq!(warnings(&summary, good), Vec::<String>::new());
        summary.action_counts[2] = 3;
        let dark = ImageStats {
            brightness: 0.01,
            still: 0.9,
        };
        let all = warnings(&summary, dark).join(" ");
        for part in ["Rarely pressed", "almost black", "90 %"] {
            assert!(all.contains(part), "{all}");
        }
    }

    #[test]
    fn pictures_are_measured() {
        let episode = Episode {
            height: 1,
            width: 1,
            images: [[0; 3], [255; 3], [255; 3], [255; 3]].concat(),
            actions: vec![0; 4],
            rewards: vec![0.0; 4],
            extras: std::collections::BTreeMap::new(),
        };
        let mut sums = FrameSums::default();
        sums.add(&episode);
        let ImageStats { brightness, still } = sums.stats();
        assert!((brightness - 0.75).abs() < 1e-6 && (still - 2.0 / 3.0).abs() < 1e-6);
    }
}
