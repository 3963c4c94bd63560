//! Summaries of episodes and datasets, as `driftless info` prints them.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Serialize;

use super::Episode;
use super::dataset::{DatasetInfo, episode_files, read_episodes};
use crate::layout::array::AXES;
use crate::text::{counted, printable, rounded};
use crate::{AxisSpec, Result};

/// The summary of an episode or a dataset.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum DataSummary {
    /// One `.npz` file.
    Episode(EpisodeSummary),
    /// A folder with a `dataset.json`.
    Dataset(DatasetSummary),
}

/// Summary of one episode, or of the episodes in one file.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct EpisodeSummary {
    /// Episodes in the file: one, unless `is_first` or `is_last` divide it.
    pub episodes: usize,
    /// Frames in the file.
    pub frames: usize,
    /// Frame height and width in pixels.
    pub image: [usize; 2],
    /// Number of frames each action led to, by action index.
    pub action_counts: BTreeMap<u32, usize>,
    /// The sum of all rewards.
    pub reward: f64,
    /// Shapes of the extra arrays, by name.
    pub extras: BTreeMap<String, Vec<usize>>,
}

/// Summary of a dataset.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DatasetSummary {
    /// The contents of `dataset.json`.
    #[serde(flatten)]
    pub info: DatasetInfo,
    /// Episodes in the folder.
    pub episodes: usize,
    /// Total number of frames.
    pub frames: usize,
    /// Lengths of the shortest and the longest episode in frames.
    pub episode_frames: [usize; 2],
    /// Number of frames each action led to, by action index.
    pub action_counts: Vec<usize>,
    /// The sum of all rewards.
    pub reward: f64,
    /// Names of the extra arrays of any episode.
    pub extras: Vec<String>,
}

/// Reads an episode (a file) or a dataset (a folder) completely and summarizes it.
///
/// # Errors
/// As [`Episode::read`] and [`super::Dataset::read`].
pub fn summarize(path: &Path) -> Result<DataSummary> {
    if path.is_dir() {
        Ok(DataSummary::Dataset(summarize_dataset(path)?))
    } else {
        let episodes = Episode::read_all(path)?;
        let mut parts = episodes.iter().map(summarize_episode);
        let mut total = parts.next().unwrap_or_default();
        for part in parts {
            total.add(&part);
        }
        Ok(DataSummary::Episode(total))
    }
}

/// Summarizes a folder with one episode in memory at a time.
fn summarize_dataset(folder: &Path) -> Result<DatasetSummary> {
    let info = DatasetInfo::read(folder)?;
    let mut total = DatasetSummary {
        action_counts: vec![0; info.actions.len()],
        info,
        episodes: 0,
        frames: 0,
        episode_frames: [usize::MAX, 0],
        reward: 0.0,
        extras: Vec::new(),
    };
    let mut parts = Vec::new();
    for path in episode_files(folder)? {
        let episodes = read_episodes(&path, &total.info)?;
        parts.extend(episodes.iter().map(summarize_episode));
    }
    for one in parts {
        total.episodes += 1;
        total.frames += one.frames;
        let [shortest, longest] = total.episode_frames;
        total.episode_frames = [shortest.min(one.frames), longest.max(one.frames)];
        for (action, count) in one.action_counts {
            if let Some(sum) = total.action_counts.get_mut(action as usize) {
                *sum += count;
            }
        }
        total.reward += one.reward;
        total.extras.extend(one.extras.into_keys());
    }
    total.extras.sort();
    total.extras.dedup();
    Ok(total)
}

/// Summarizes one episode.
fn summarize_episode(episode: &Episode) -> EpisodeSummary {
    let mut action_counts = BTreeMap::new();
    for &action in &episode.actions {
        *action_counts.entry(action).or_insert(0) += 1;
    }
    EpisodeSummary {
        episodes: 1,
        frames: episode.frames(),
        image: [episode.height, episode.width],
        action_counts,
        reward: episode
            .rewards
            .iter()
            .map(|&reward| f64::from(reward))
            .sum(),
        extras: episode
            .extras
            .iter()
            .map(|(name, extra)| (name.clone(), extra.shape.clone()))
            .collect(),
    }
}

impl EpisodeSummary {
    /// Adds the summary of another episode of the same file.
    fn add(&mut self, other: &Self) {
        self.episodes += other.episodes;
        self.frames += other.frames;
        self.reward += other.reward;
        for (&action, count) in &other.action_counts {
            *self.action_counts.entry(action).or_insert(0) += count;
        }
    }
}

impl fmt::Display for DataSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Episode(episode) => episode.fmt(f),
            Self::Dataset(dataset) => dataset.fmt(f),
        }
    }
}

impl fmt::Display for EpisodeSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [height, width] = self.image;
        match self.episodes {
            1 => write!(f, "episode")?,
            count => write!(f, "{count} episodes")?,
        }
        let frames = counted(self.frames, "frame");
        writeln!(f, " of {frames}, {height}×{width}")?;
        let counts = self.action_counts.iter();
        let counts: Vec<String> = counts.map(|(a, n)| format!("{a}: {n}")).collect();
        writeln!(f, "actions  {}", counts.join(", "))?;
        write!(f, "reward   {}", rounded(self.reward))?;
        for (name, shape) in &self.extras {
            write!(f, "\nextra    {} {shape:?}", printable(name))?;
        }
        Ok(())
    }
}

/// An axis's name, and what its ends stand for.
fn axis_text(axis: &AxisSpec) -> String {
    let [low, high] = axis.range;
    format!("{} ({low} to {high})", printable(&axis.name))
}

impl fmt::Display for DatasetSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let DatasetInfo {
            name,
            fps,
            image: [height, width],
            actions,
            axes,
        } = &self.info;
        let minutes = self.frames as f64 / f64::from(*fps) / 60.0;
        let [shortest, longest] = self.episode_frames;
        let name = printable(name);
        writeln!(f, "dataset {name}, {height}×{width} at {fps} frames/s")?;
        writeln!(
            f,
            "episodes {} of {shortest} to {longest} frames, {} frames in total ({minutes:.1} min of play)",
            self.episodes, self.frames
        )?;
        let counts: Vec<String> = actions
            .iter()
            .zip(&self.action_counts)
            .map(|(action, count)| {
                let name = printable(&action.name);
                if action.keys.is_empty() {
                    format!("{name}: {count}")
                } else {
                    format!("{name} ({}): {count}", printable(&action.keys.join(", ")))
                }
            })
            .collect();
        writeln!(f, "actions  {}", counts.join(", "))?;
        if !axes.is_empty() {
            let axes: Vec<String> = axes.iter().map(axis_text).collect();
            writeln!(f, "axes     {}", axes.join(", "))?;
        }
        write!(f, "reward   {}", rounded(self.reward))?;
        // The axes have a line of their own.
        let extras = self.extras.iter().map(String::as_str);
        let extras: Vec<&str> = extras.filter(|name| *name != AXES).collect();
        if !extras.is_empty() {
            write!(f, "\nextras   {}", printable(&extras.join(", ")))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::ExtraArray;

    const INFO: &str = r#"{"name": "Tiny", "fps": 10.0, "image": [2, 4],
        "actions": [{"name": "noop", "keys": []}, {"name": "up", "keys": ["W"]}]}"#;

    fn episode(actions: &[u32]) -> Episode {
        let frames = actions.len();
        let extra = ExtraArray {
            shape: vec![frames],
            values: vec![0.5; frames],
        };
        Episode {
            height: 2,
            width: 4,
            images: vec![0; frames * 24],
            actions: actions.to_vec(),
            rewards: vec![0.5; frames],
            extras: BTreeMap::from([("height".to_string(), extra)]),
        }
    }

    #[test]
    fn episode_is_summarized() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.npz");
        episode(&[0, 1, 1, 7]).write(&path).unwrap();
        let info = summarize(&path).unwrap();
        let text = info.to_string();
        assert!(text.contains("episode of 4 frames, 2×4"), "{text}");
        assert!(text.contains("0: 1, 1: 2, 7: 1"), "{text}");
        assert!(text.contains("height [4]"), "{text}");
        let json = serde_json::to_value(&info).unwrap();
        assert_eq!(json["kind"], "episode");
        assert_eq!(json["frames"], 4);
        assert_eq!(json["reward"], 2.0);
    }

    #[test]
    fn dataset_summary_adds_up_episodes() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("dataset.json"), INFO).unwrap();
        episode(&[0, 1, 1])
            .write(&folder.path().join("a.npz"))
            .unwrap();
        episode(&[0, 1])
            .write(&folder.path().join("b.npz"))
            .unwrap();
        let info = summarize(folder.path()).unwrap();
        let text = info.to_string();
        assert!(text.contains("dataset Tiny, 2×4 at 10 frames/s"), "{text}");
        assert!(
            text.contains("episodes 2 of 2 to 3 frames, 5 frames in total"),
            "{text}"
        );
        assert!(text.contains("noop: 2, up (W): 3"), "{text}");
        let json = serde_json::to_value(&info).unwrap();
        assert_eq!(json["kind"], "dataset");
        assert_eq!(json["name"], "Tiny");
        assert_eq!(json["action_counts"], serde_json::json!([2, 3]));
        assert_eq!(json["episode_frames"], serde_json::json!([2, 3]));
    }

    #[test]
    fn axes_are_named_once_and_rewards_are_short() {
        let folder = tempfile::tempdir().unwrap();
        let info = INFO.replace(r#""actions""#, r#""axes": [{"name": "wheel"}], "actions""#);
        std::fs::write(folder.path().join("dataset.json"), info).unwrap();
        let mut episode = episode(&[0, 1, 1]);
        episode.rewards = vec![0.1, 0.2, 0.4];
        let axes = ExtraArray {
            shape: vec![3, 1],
            values: vec![0.0; 3],
        };
        episode.extras.insert(AXES.to_owned(), axes);
        episode.write(&folder.path().join("a.npz")).unwrap();
        let text = summarize(folder.path()).unwrap().to_string();
        assert!(text.contains("axes     wheel (-1 to 1)"), "{text}");
        assert!(
            text.ends_with("reward   0.7\nextras   height, is_terminal"),
            "{text}"
        );
    }

    #[test]
    fn other_paths_are_an_error() {
        let folder = tempfile::tempdir().unwrap();
        assert!(summarize(folder.path()).is_err());
        assert!(summarize(&folder.path().join("missing.npz")).is_err());
    }
}
