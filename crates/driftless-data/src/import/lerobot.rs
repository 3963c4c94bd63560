//! A LeRobot dataset, version 2: `meta/info.json`, `meta/episodes.jsonl`, and one parquet file per
//! episode with one row per frame. Images are inside the parquet file or in an `.mp4` of their own.
//!
//! Row t holds the action taken at frame t, which led to frame t + 1.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use parquet::schema::types::Type;
use serde::Deserialize;

use super::actions::RawAction;
use super::frame_resampler::FrameResampler;
use super::{
    ActionPairing, RawEpisode, RecordingSource, per_transition, push_encoded, video_decoder,
};
use crate::{Error, PathError as _, Result};

const INFO_FILE: &str = "meta/info.json";
const EPISODES_FILE: &str = "meta/episodes.jsonl";
const ACTION_COLUMN: &str = "action";
const REWARD_COLUMN: &str = "next.reward";

/// An open LeRobot dataset.
pub struct LerobotDataset {
    folder: PathBuf,
    info: LerobotInfo,
    /// Indices of the episodes.
    episodes: Vec<usize>,
    /// The feature with the images.
    image_key: String,
}

/// The parts of `meta/info.json` that are used.
#[derive(Deserialize)]
struct LerobotInfo {
    codebase_version: String,
    fps: f32,
    chunks_size: usize,
    data_path: String,
    #[serde(default)]
    video_path: Option<String>,
    features: BTreeMap<String, LerobotFeature>,
}

#[derive(Deserialize)]
struct LerobotFeature {
    dtype: String,
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
    /// Returns an error if a metadata file is missing or invalid, the version is not 2.x, or the
    /// image feature cannot be determined: `image_key` is not one, or it is missing and there is
    /// not exactly one.
    pub fn open(folder: &Path, image_key: Option<&str>) -> Result<Self> {
        let path = folder.join(INFO_FILE);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        let info: LerobotInfo =
            serde_json::from_str(&text).map_err(|e| Error::invalid(&path, e.to_string()))?;
        if !info.codebase_version.starts_with("v2.") || info.chunks_size == 0 {
            let what = format!(
                "codebase_version is {} and chunks_size {}, expected v2.0 or v2.1 and at least 1",
                info.codebase_version, info.chunks_size
            );
            return Err(Error::invalid(&path, what));
        }
        let image_features: Vec<&str> = info
            .features
            .iter()
            .filter(|(_, feature)| matches!(feature.dtype.as_str(), "video" | "image"))
            .map(|(name, _)| name.as_str())
            .collect();
        let image_key = match (image_key, image_features.as_slice()) {
            (Some(key), found) if found.contains(&key) => key.to_string(),
            (None, [only]) => only.to_string(),
            (_, found) => {
                let what = format!("the image features are {found:?}, choose one with --image-key");
                return Err(Error::invalid(&path, what));
            }
        };
        let path = folder.join(EPISODES_FILE);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        let line = |(number, line): (usize, &str)| match serde_json::from_str::<EpisodeLine>(line) {
            Ok(line) => Ok(line.episode_index),
            Err(e) => Err(Error::invalid(&path, format!("line {}: {e}", number + 1))),
        };
        let episodes = text.lines().enumerate().map(line).collect::<Result<_>>()?;
        Ok(Self {
            folder: folder.to_path_buf(),
            info,
            episodes,
            image_key,
        })
    }

    /// The path of an episode's file, from a template in `info.json`.
    ///
    /// # Errors
    /// Returns an error if the path leaves the dataset's folder.
    fn episode_path(&self, template: &str, episode: usize) -> Result<PathBuf> {
        let chunk = episode / self.info.chunks_size;
        let path = template
            .replace("{episode_chunk:03d}", &format!("{chunk:03}"))
            .replace("{episode_index:06d}", &format!("{episode:06}"))
            .replace("{video_key}", &self.image_key);
        let is_inside = |part| matches!(part, Component::Normal(_));
        if !Path::new(&path).components().all(is_inside) {
            let what = format!("the path {path} leaves the dataset's folder");
            return Err(Error::invalid(self.folder.join(INFO_FILE), what));
        }
        Ok(self.folder.join(path))
    }
}

impl RecordingSource for LerobotDataset {
    fn fps(&self) -> Option<f32> {
        Some(self.info.fps)
    }

    fn episode_names(&self) -> Vec<String> {
        let name = |episode: &usize| format!("episode_{episode:06}");
        self.episodes.iter().map(name).collect()
    }

    fn default_pairing(&self) -> ActionPairing {
        ActionPairing::TakenAt
    }

    fn read(
        &mut self,
        episode: usize,
        pairing: ActionPairing,
        frames: &mut FrameResampler,
    ) -> Result<RawEpisode> {
        let episode = self.episodes[episode];
        let path = self.episode_path(&self.info.data_path, episode)?;
        let (actions, rewards) = self.read_rows(&path, frames)?;
        if !self.images_in_rows() {
            self.read_video(episode, &path, actions.len(), frames)?;
        }
        if !rewards.is_empty() && rewards.len() != actions.len() {
            let what = format!("column `{REWARD_COLUMN}`: some rows have no value");
            return Err(Error::invalid(&path, what));
        }
        Ok(RawEpisode {
            actions: per_transition(actions, pairing),
            // As the name `next.reward` says, it came after the row's action.
            rewards: per_transition(rewards, ActionPairing::TakenAt),
            terminal: false,
        })
    }
}

impl LerobotDataset {
    /// Whether images are stored in the parquet file rather than in a video.
    fn images_in_rows(&self) -> bool {
        let feature = self.info.features.get(&self.image_key);
        feature.is_some_and(|feature| feature.dtype == "image")
    }

    /// Reads the actions and rewards of a parquet file, and its images, if it has them.
    fn read_rows(
        &self,
        path: &Path,
        frames: &mut FrameResampler,
    ) -> Result<(Vec<RawAction>, Vec<f32>)> {
        let parquet_error =
            |e: parquet::errors::ParquetError| Error::invalid(path, format!("parquet: {e}"));
        let file = std::fs::File::open(path).map_err(|e| Error::io(path, e))?;
        let reader = SerializedFileReader::new(file).map_err(parquet_error)?;
        let images_in_rows = self.images_in_rows();
        // Other columns, images of other cameras for example, are not decoded.
        let schema = reader.metadata().file_metadata().schema();
        let is_used = |name: &str| {
            [ACTION_COLUMN, REWARD_COLUMN].contains(&name)
                || (images_in_rows && name == self.image_key)
        };
        let used = schema.get_fields().iter().filter(|f| is_used(f.name()));
        let used = Type::group_type_builder(schema.name())
            .with_fields(used.cloned().collect())
            .build()
            .map_err(parquet_error)?;
        let (mut actions, mut rewards) = (Vec::new(), Vec::new());
        for row in reader.get_row_iter(Some(used)).map_err(parquet_error)? {
            let row = row.map_err(parquet_error)?;
            let index = actions.len();
            let missing = |name: &str, expected: &str| {
                let what = format!("row {index}: column `{name}`: expected {expected}");
                Error::invalid(path, what)
            };
            let action = column(&row, ACTION_COLUMN)
                .and_then(raw_action)
                .ok_or_else(|| missing(ACTION_COLUMN, "an integer or finite numbers"))?;
            actions.push(action);
            let reward = column(&row, REWARD_COLUMN).and_then(finite_number);
            rewards.extend(reward.map(|reward| reward as f32));
            if images_in_rows {
                let bytes = column(&row, &self.image_key)
                    .and_then(encoded_image)
                    .ok_or_else(|| missing(&self.image_key, "an encoded image"))?;
                push_encoded(bytes, path, frames)?;
            }
        }
        Ok((actions, rewards))
    }

    /// Reads an episode's video, which must have a frame for each of the `row_count` rows of
    /// `rows`.
    fn read_video(
        &self,
        episode: usize,
        rows: &Path,
        row_count: usize,
        frames: &mut FrameResampler,
    ) -> Result<()> {
        let template = self.info.video_path.as_deref().ok_or_else(|| {
            let what = "video_path is missing, expected a template for the paths of the videos";
            Error::invalid(self.folder.join(INFO_FILE), what)
        })?;
        let video = self.episode_path(template, episode)?;
        video_decoder::read(&video, frames)?;
        if frames.received() != row_count {
            let what = format!(
                "{} frames, but {row_count} rows in {}; expected equal numbers",
                frames.received(),
                rows.display()
            );
            return Err(Error::invalid(video, what));
        }
        Ok(())
    }
}

fn column<'a>(row: &'a Row, name: &str) -> Option<&'a Field> {
    let (_, field) = row.get_column_iter().find(|(found, _)| *found == name)?;
    Some(field)
}

/// The value of a numeric or boolean field, if it is finite.
fn finite_number(field: &Field) -> Option<f64> {
    let value = match *field {
        Field::Float(value) => f64::from(value),
        Field::Double(value) => value,
        Field::Bool(value) => f64::from(u8::from(value)),
        _ => integer(field)? as f64,
    };
    value.is_finite().then_some(value)
}

/// The value of an integer field.
fn integer(field: &Field) -> Option<i64> {
    match *field {
        Field::Byte(value) => Some(value.into()),
        Field::Short(value) => Some(value.into()),
        Field::Int(value) => Some(value.into()),
        Field::Long(value) => Some(value),
        Field::UByte(value) => Some(value.into()),
        Field::UShort(value) => Some(value.into()),
        Field::UInt(value) => Some(value.into()),
        _ => None,
    }
}

/// An action: an integer or a vector of numbers.
fn raw_action(field: &Field) -> Option<RawAction> {
    if let Some(value) = integer(field) {
        return Some(RawAction::Number(value));
    }
    match field {
        Field::ListInternal(list) => match list.elements() {
            [only] if integer(only).is_some() => integer(only).map(RawAction::Number),
            elements => {
                let values: Option<Vec<f64>> = elements.iter().map(finite_number).collect();
                values.map(RawAction::Vector)
            }
        },
        _ => finite_number(field).map(|value| RawAction::Vector(vec![value])),
    }
}

/// The encoded file in an image cell, which is a struct of `bytes` and `path`.
fn encoded_image(field: &Field) -> Option<&[u8]> {
    match field {
        Field::Group(row) => match column(row, "bytes")? {
            Field::Bytes(bytes) => Some(bytes.data()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
#[path = "lerobot_column_tests.rs"]
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
            std::fs::write(folder.path().join(EPISODES_FILE), "").unwrap();
            LerobotDataset::open(folder.path(), None).unwrap()
        };
        let path = |data_path: &str| {
            let dataset = open(data_path);
            dataset.episode_path(&dataset.info.data_path, 1234)
        };
        assert_eq!(
            path("data/chunk-{episode_chunk:03d}/{episode_index:06d}.parquet").unwrap(),
            folder.path().join("data/chunk-001/001234.parquet")
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
