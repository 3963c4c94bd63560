//! A LeRobot dataset, version 2: `meta/info.json`, `meta/episodes.jsonl`, a parquet file an
//! episode with a row a frame, and the pictures in it or in an .mp4 beside it.
//!
//! Row t holds the action taken at frame t, which led to frame t + 1.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde::Deserialize;

use super::actions::Taken;
use super::film::Film;
use super::{Pairing, Recording, Source, between, picture, video};
use crate::PathError as _;
use crate::{Error, Result};

const INFO: &str = "meta/info.json";
const EPISODES: &str = "meta/episodes.jsonl";
const ACTION: &str = "action";
const REWARD: &str = "next.reward";

/// A dataset's folder.
pub struct Lerobot {
    folder: PathBuf,
    info: Info,
    /// Numbers of the episodes.
    episodes: Vec<usize>,
    /// The feature with the pictures.
    key: String,
}

/// `meta/info.json`, as far as it matters here.
#[derive(Deserialize)]
struct Info {
    codebase_version: String,
    fps: f32,
    chunks_size: usize,
    data_path: String,
    #[serde(default)]
    video_path: Option<String>,
    features: BTreeMap<String, Feature>,
}

#[derive(Deserialize)]
struct Feature {
    dtype: String,
}

/// A line of `meta/episodes.jsonl`.
#[derive(Deserialize)]
struct Line {
    episode_index: usize,
}

impl Lerobot {
    /// Reads what a dataset's folder says of itself.
    ///
    /// # Errors
    /// A file is missing or not as expected; the version is another one; there is no picture among
    /// the features, or more than one and no key.
    pub fn open(folder: &Path, key: Option<&str>) -> Result<Self> {
        let path = folder.join(INFO);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        let info: Info =
            serde_json::from_str(&text).map_err(|e| Error::invalid(&path, e.to_string()))?;
        if !info.codebase_version.starts_with("v2.") || info.chunks_size == 0 {
            let what = format!(
                "codebase_version is {} and chunks_size {}, expected v2.0 or v2.1 and at least 1",
                info.codebase_version, info.chunks_size
            );
            return Err(Error::invalid(&path, what));
        }
        let pictures: Vec<&str> = info
            .features
            .iter()
            .filter(|(_, feature)| matches!(feature.dtype.as_str(), "video" | "image"))
            .map(|(name, _)| name.as_str())
            .collect();
        let key = match (key, pictures.as_slice()) {
            (Some(key), found) if found.contains(&key) => key.to_string(),
            (None, [only]) => only.to_string(),
            (_, found) => {
                let what = format!(
                    "features: the pictures are {found:?}, expected one of them as --image-key"
                );
                return Err(Error::invalid(&path, what));
            }
        };
        let path = folder.join(EPISODES);
        let text = std::fs::read_to_string(&path).map_err(|e| Error::io(&path, e))?;
        let line = |(number, line): (usize, &str)| match serde_json::from_str::<Line>(line) {
            Ok(line) => Ok(line.episode_index),
            Err(e) => Err(Error::invalid(&path, format!("line {}: {e}", number + 1))),
        };
        let episodes = text.lines().enumerate().map(line).collect::<Result<_>>()?;
        Ok(Self {
            folder: folder.to_path_buf(),
            info,
            episodes,
            key,
        })
    }

    /// An episode's file, from a template of `info.json`.
    fn file(&self, template: &str, episode: usize) -> PathBuf {
        let chunk = episode / self.info.chunks_size;
        let path = template
            .replace("{episode_chunk:03d}", &format!("{chunk:03}"))
            .replace("{episode_index:06d}", &format!("{episode:06}"))
            .replace("{video_key}", &self.key);
        self.folder.join(path)
    }
}

impl Source for Lerobot {
    fn fps(&self) -> Option<f32> {
        Some(self.info.fps)
    }

    fn episodes(&self) -> Vec<String> {
        let name = |episode: &usize| format!("episode_{episode:06}");
        self.episodes.iter().map(name).collect()
    }

    fn pairing(&self) -> Pairing {
        Pairing::TakenAt
    }

    fn read(&mut self, episode: usize, pairing: Pairing, film: &mut Film) -> Result<Recording> {
        let episode = self.episodes[episode];
        let path = self.file(&self.info.data_path, episode);
        let inside = self
            .info
            .features
            .get(&self.key)
            .is_some_and(|f| f.dtype == "image");
        let wrong =
            |e: parquet::errors::ParquetError| Error::invalid(&path, format!("parquet: {e}"));
        let file = std::fs::File::open(&path).map_err(|e| Error::io(&path, e))?;
        let reader = SerializedFileReader::new(file).map_err(wrong)?;
        let (mut actions, mut rewards) = (Vec::new(), Vec::new());
        for row in reader.get_row_iter(None).map_err(wrong)? {
            let row = row.map_err(wrong)?;
            let at = actions.len();
            let missing = |name: &str, expected: &str| {
                Error::invalid(
                    &path,
                    format!("row {at}: column `{name}`: expected {expected}"),
                )
            };
            let action = column(&row, ACTION).and_then(taken);
            actions
                .push(action.ok_or_else(|| missing(ACTION, "a whole number, or finite numbers"))?);
            rewards.extend(
                column(&row, REWARD)
                    .and_then(number)
                    .map(|reward| reward as f32),
            );
            if inside {
                let bytes = column(&row, &self.key).and_then(encoded);
                let bytes = bytes.ok_or_else(|| missing(&self.key, "the bytes of a picture"))?;
                picture(bytes, &path, film)?;
            }
        }
        if !inside {
            let template = self.info.video_path.as_deref().ok_or_else(|| {
                Error::invalid(
                    self.folder.join(INFO),
                    "video_path is missing, expected where the videos are",
                )
            })?;
            let video = self.file(template, episode);
            video::read(&video, film)?;
            if film.seen() != actions.len() {
                let what = format!(
                    "{} frames, but {} rows in {}; expected as many",
                    film.seen(),
                    actions.len(),
                    path.display()
                );
                return Err(Error::invalid(video, what));
            }
        }
        if !rewards.is_empty() && rewards.len() != actions.len() {
            return Err(Error::invalid(
                &path,
                format!("column `{REWARD}`: a row has none"),
            ));
        }
        Ok(Recording {
            steps: between(actions, pairing),
            // `next.` says it: the reward that came of the row's action.
            rewards: between(rewards, Pairing::TakenAt),
            terminal: false,
        })
    }
}

fn column<'a>(row: &'a Row, name: &str) -> Option<&'a Field> {
    let (_, field) = row.get_column_iter().find(|(found, _)| *found == name)?;
    Some(field)
}

/// A finite number of any kind.
fn number(field: &Field) -> Option<f64> {
    let value = match *field {
        Field::Float(value) => f64::from(value),
        Field::Double(value) => value,
        Field::Bool(value) => f64::from(u8::from(value)),
        _ => whole(field)? as f64,
    };
    value.is_finite().then_some(value)
}

fn whole(field: &Field) -> Option<i64> {
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

/// An action: one whole number, or numbers.
fn taken(field: &Field) -> Option<Taken> {
    if let Some(value) = whole(field) {
        return Some(Taken::Number(value));
    }
    match field {
        Field::ListInternal(list) => match list.elements() {
            [only] if whole(only).is_some() => whole(only).map(Taken::Number),
            elements => {
                let values: Option<Vec<f64>> = elements.iter().map(number).collect();
                values.map(Taken::Vector)
            }
        },
        _ => number(field).map(|value| Taken::Vector(vec![value])),
    }
}

/// The file inside a picture's cell: a struct of `bytes` and `path`.
fn encoded(field: &Field) -> Option<&[u8]> {
    match field {
        Field::Group(row) => match column(row, "bytes")? {
            Field::Bytes(bytes) => Some(bytes.data()),
            _ => None,
        },
        _ => None,
    }
}
