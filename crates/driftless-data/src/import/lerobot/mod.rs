//! A LeRobot dataset, version 2 or 3. Images are in the Parquet rows or in `.mp4` files next to them.
//!
//! - Version 2: `meta/episodes.jsonl`, and a Parquet file and a video per episode.
//! - Version 3: `meta/episodes/` says where each episode is in files that hold several.
//!
//! Row t holds the action taken at frame t, which led to frame t + 1.

mod chunks;
mod episode;
mod rows;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;

use self::episode::{LerobotEpisode, REWARD_COLUMN};
use self::rows::{EpisodeRows, RowColumns};
use super::frame_resampler::FrameResampler;
use super::video_decoder::VideoStream;
use super::{
    ActionPairing, RawEpisode, RecordingSource, SourceKeys, per_transition, video_decoder,
};
use crate::fs::read_text;
use crate::{Error, PathError as _, Result};

const INFO_FILE: &str = "meta/info.json";
const EPISODES_FILE: &str = "meta/episodes.jsonl";
const EPISODES_FOLDER: &str = "meta/episodes";
const ACTION_COLUMN: &str = "action";
/// Episodes per folder, where `info.json` does not say.
const CHUNKS_SIZE: usize = 1000;

/// An open LeRobot dataset.
pub struct LerobotDataset {
    folder: PathBuf,
    info: LerobotInfo,
    episodes: Vec<LerobotEpisode>,
    /// The feature with the images.
    image_key: String,
    /// The column with the actions.
    action_key: String,
    /// The video last read, after the frames of an episode: the next one may follow.
    video: Option<VideoStream>,
}

/// The parts of `meta/info.json` that are used.
#[derive(Deserialize)]
struct LerobotInfo {
    codebase_version: String,
    fps: f32,
    #[serde(default)]
    chunks_size: Option<usize>,
    data_path: String,
    #[serde(default)]
    video_path: Option<String>,
    features: BTreeMap<String, LerobotFeature>,
}

#[derive(Deserialize)]
struct LerobotFeature {
    dtype: String,
    /// Names of the elements: a list, or lists by the name of a dimension.
    #[serde(default)]
    names: Value,
}

impl LerobotFeature {
    /// The names of the elements, if they are listed.
    fn element_names(&self) -> Option<Vec<String>> {
        let list = match &self.names {
            Value::Object(dimensions) => dimensions.values().find_map(Value::as_array),
            names => names.as_array(),
        };
        let name = |name: &Value| Some(name.as_str()?.to_owned());
        list?.iter().map(name).collect()
    }
}

/// A line of `meta/episodes.jsonl`.
#[derive(Deserialize)]
struct EpisodeLine {
    episode_index: usize,
}

impl LerobotDataset {
    /// Reads a dataset's metadata.
    ///
    /// # Errors
    /// Returns an error if a metadata file is missing or invalid, the version is neither 2 nor 3, or the
    /// image feature cannot be determined: the given one is none, or none is given and there is not
    /// exactly one.
    pub fn open(folder: &Path, keys: SourceKeys) -> Result<Self> {
        let path = folder.join(INFO_FILE);
        let info: LerobotInfo = serde_json::from_str(&read_text(&path)?)
            .map_err(|e| Error::invalid(&path, e.to_string()))?;
        let is_shared = info.codebase_version.starts_with("v3.");
        let is_known = is_shared || info.codebase_version.starts_with("v2.");
        let has_rate = info.fps > 0.0;
        if !is_known || info.chunks_size == Some(0) || !has_rate {
            let what = format!(
                "codebase_version is {}, chunks_size {} and fps {}, expected v2.0, v2.1 or v3.0, at least 1 and \
                 above 0",
                info.codebase_version,
                info.chunks_size.unwrap_or(CHUNKS_SIZE),
                info.fps
            );
            return Err(Error::invalid(&path, what));
        }
        let image_features: Vec<&str> = info
            .features
            .iter()
            .filter(|(_, feature)| matches!(feature.dtype.as_str(), "video" | "image"))
            .map(|(name, _)| name.as_str())
            .collect();
        let image_key = match (keys.image.as_deref(), image_features.as_slice()) {
            (Some(key), found) if found.contains(&key) => key.to_string(),
            (None, [only]) => only.to_string(),
            (_, found) => {
                let what = format!("the image features are {found:?}, choose one with --image-key");
                return Err(Error::invalid(&path, what));
            }
        };
        let episodes = if is_shared {
            read_episode_tables(&folder.join(EPISODES_FOLDER), &image_key)?
        } else {
            read_episode_lines(&folder.join(EPISODES_FILE))?
        };
        Ok(Self {
            folder: folder.to_path_buf(),
            info,
            episodes,
            image_key,
            action_key: keys.action.unwrap_or_else(|| ACTION_COLUMN.to_owned()),
            video: None,
        })
    }

    /// The path of a file of an episode, from a template in `info.json`; `[chunk, file]` are its numbers
    /// if it is shared.
    ///
    /// # Errors
    /// Returns an error if the path leaves the dataset's folder.
    fn file_path(
        &self,
        template: &str,
        episode: usize,
        shared: Option<[usize; 2]>,
    ) -> Result<PathBuf> {
        let chunk = episode / self.info.chunks_size.unwrap_or(CHUNKS_SIZE);
        let [chunk_index, file_index] = shared.unwrap_or_default();
        let path = template
            .replace("{episode_chunk:03d}", &format!("{chunk:03}"))
            .replace("{episode_index:06d}", &format!("{episode:06}"))
            .replace("{chunk_index:03d}", &format!("{chunk_index:03}"))
            .replace("{file_index:03d}", &format!("{file_index:03}"))
            .replace("{video_key}", &self.image_key);
        let is_inside = |part| matches!(part, Component::Normal(_));
        if !Path::new(&path).components().all(is_inside) {
            let what = format!("the path {path} leaves the dataset's folder");
            return Err(Error::invalid(self.folder.join(INFO_FILE), what));
        }
        Ok(self.folder.join(path))
    }

    /// Whether images are stored in the rows rather than in a video.
    fn images_in_rows(&self) -> bool {
        let feature = self.info.features.get(&self.image_key);
        feature.is_some_and(|feature| feature.dtype == "image")
    }

    /// Reads the `count` frames of an episode, one for each of its rows, from its video. Returns a remark
    /// if something looks wrong.
    fn read_video(
        &mut self,
        episode: &LerobotEpisode,
        rows: &Path,
        count: usize,
        frames: &mut FrameResampler,
    ) -> Result<Option<String>> {
        let template = self.info.video_path.as_deref().ok_or_else(|| {
            let what = "video_path is missing, expected a template for the paths of the videos";
            Error::invalid(self.folder.join(INFO_FILE), what)
        })?;
        let numbers = episode.shared.as_ref().map(|shared| shared.video);
        let video = self.file_path(template, episode.index, numbers)?;
        let remark = match &episode.shared {
            None => video_decoder::read(&video, frames)?,
            Some(shared) => {
                let first = (shared.video_start * f64::from(self.info.fps)).round();
                let mut stream = match self.video.take() {
                    Some(open) if open.path() == video && open.position() as f64 <= first => open,
                    _ => VideoStream::open(&video, frames.size())?,
                };
                while (stream.position() as f64) < first && stream.skip_next()? {}
                while frames.received() < count && stream.push_next(frames)? {}
                self.video = Some(stream);
                None
            }
        };
        if frames.received() != count {
            let what = format!(
                "{} frames, but {count} rows of episode {} in {}; expected equal numbers",
                frames.received(),
                episode.index,
                rows.display()
            );
            return Err(Error::invalid(video, what));
        }
        Ok(remark)
    }
}

/// Reads `meta/episodes.jsonl` of version 2.
fn read_episode_lines(path: &Path) -> Result<Vec<LerobotEpisode>> {
    let text = read_text(path)?;
    let lines = text.lines().enumerate();
    let lines = lines.filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(number, line)| {
            let line: EpisodeLine = serde_json::from_str(line)
                .map_err(|e| Error::invalid(path, format!("line {}: {e}", number + 1)))?;
            Ok(LerobotEpisode {
                index: line.episode_index,
                shared: None,
            })
        })
        .collect()
}

/// Reads `meta/episodes/chunk-NNN/file-NNN.parquet` of version 3.
fn read_episode_tables(folder: &Path, image_key: &str) -> Result<Vec<LerobotEpisode>> {
    let mut files = Vec::new();
    for chunk in std::fs::read_dir(folder).map_err(|e| Error::io(folder, e))? {
        let chunk = chunk.map_err(|e| Error::io(folder, e))?.path();
        if chunk.is_dir() {
            files.extend(super::files_with_extension(&chunk, "parquet")?);
        }
    }
    files.sort();
    let mut episodes = Vec::new();
    for file in &files {
        episodes.extend(rows::read_episode_table(file, image_key)?);
    }
    episodes.sort_by_key(|episode| episode.index);
    if episodes.is_empty() {
        return Err(Error::invalid(folder, "lists no episode"));
    }
    Ok(episodes)
}

impl RecordingSource for LerobotDataset {
    fn fps(&self) -> Option<f32> {
        Some(self.info.fps)
    }

    fn episode_names(&self) -> Vec<String> {
        let name = |episode: &LerobotEpisode| format!("episode_{:06}", episode.index);
        self.episodes.iter().map(name).collect()
    }

    fn default_pairing(&self) -> ActionPairing {
        ActionPairing::TakenAt
    }

    fn axis_names(&self) -> Option<Vec<String>> {
        self.info.features.get(&self.action_key)?.element_names()
    }

    fn read(
        &mut self,
        episode: usize,
        pairing: ActionPairing,
        frames: &mut FrameResampler,
    ) -> Result<RawEpisode> {
        let episode = self.episodes[episode].clone();
        let numbers = episode.shared.as_ref().map(|shared| shared.data);
        let path = self.file_path(&self.info.data_path, episode.index, numbers)?;
        let images_in_rows = self.images_in_rows();
        let columns = RowColumns {
            action: &self.action_key,
            image: images_in_rows.then_some(self.image_key.as_str()),
            episode: numbers.map(|_| episode.index),
        };
        let EpisodeRows { actions, rewards } = rows::read_rows(&path, &columns, frames)?;
        let remark = if images_in_rows {
            None
        } else {
            self.read_video(&episode, &path, actions.len(), frames)?
        };
        if !rewards.is_empty() && rewards.len() != actions.len() {
            let what = format!("column `{REWARD_COLUMN}`: some rows have no value");
            return Err(Error::invalid(&path, what));
        }
        Ok(RawEpisode {
            actions: per_transition(actions, pairing),
            // As the name `next.reward` says, it came after the row's action.
            rewards: per_transition(rewards, ActionPairing::TakenAt),
            terminal: false,
            remarks: remark.into_iter().collect(),
        })
    }
}

#[cfg(test)]
mod column_tests;
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_in_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let open = |data_path: &str| {
            let info = serde_json::json!({
                "codebase_version": "v2.1", "fps": 10.0, "chunks_size": 1000, "data_path": data_path,
                "features": {"camera": {"dtype": "image"}},
            });
            std::fs::create_dir_all(folder.path().join("meta")).unwrap();
            std::fs::write(folder.path().join(INFO_FILE), info.to_string()).unwrap();
            // Some tools leave an empty line at the end.
            let lines = "{\"episode_index\": 7}\n\n";
            std::fs::write(folder.path().join(EPISODES_FILE), lines).unwrap();
            LerobotDataset::open(folder.path(), SourceKeys::default()).unwrap()
        };
        let path = |data_path: &str| {
            let dataset = open(data_path);
            assert_eq!(dataset.episode_names(), ["episode_000007"]);
            dataset.file_path(&dataset.info.data_path, 1234, Some([2, 13]))
        };
        assert_eq!(
            path("data/chunk-{episode_chunk:03d}/{episode_index:06d}.parquet").unwrap(),
            folder.path().join("data/chunk-001/001234.parquet")
        );
        assert_eq!(
            path("data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet").unwrap(),
            folder.path().join("data/chunk-002/file-013.parquet")
        );
        for outside in ["../x.parquet", "/etc/passwd", "data/../../x"] {
            let message = path(outside).unwrap_err().to_string();
            assert!(
                message.contains("info.json") && message.contains(outside),
                "{message}"
            );
        }
    }
}
