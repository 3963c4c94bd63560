//! A Minari dataset in HDF5: `data/main_data.hdf5` with one group `episode_N` per episode. A group
//! holds T + 1 observations (raw images, or JPEG, Minari's default) and T actions, rewards and
//! terminations. Action t was taken at observation t and led to observation t + 1.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use rust_hdf5::format::messages::datatype::DatatypeMessage;
use rust_hdf5::{H5Dataset, H5File};

use super::actions::RawAction;
use super::frame_resampler::FrameResampler;
use super::{ActionPairing, RawEpisode, RecordingSource, push_encoded};
use crate::npz::MAX_RATIO;
use crate::{Error, PathError as _, Result};

/// The HDF5 file in a dataset's folder.
const DATA_FILE: &str = "data/main_data.hdf5";
/// Raw frames read at a time.
const FRAMES_PER_READ: usize = 64;

/// An open Minari dataset.
pub struct MinariDataset {
    path: PathBuf,
    file: H5File,
    /// The most elements that a dataset of this file can hold.
    max_elements: u64,
    /// Group names of the episodes, ordered by number.
    episodes: Vec<String>,
    /// Names of the datasets below an episode's `observations/`, by episode.
    observations: HashMap<String, Vec<String>>,
    /// Name of the image observation below `observations/`, if given.
    image_key: Option<String>,
}

impl MinariDataset {
    /// Opens a dataset's folder, or its `main_data.hdf5`.
    ///
    /// # Errors
    /// Returns an error if the file is missing, not HDF5, or has no episodes.
    pub fn open(path: &Path, image_key: Option<&str>) -> Result<Self> {
        let path = if path.is_dir() {
            path.join(DATA_FILE)
        } else {
            path.to_path_buf()
        };
        let metadata = std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?;
        let hdf5_error = |e| Error::invalid(&path, format!("not a readable HDF5 file: {e}"));
        let file = H5File::options()
            .no_locking()
            .open(&path)
            .map_err(hdf5_error)?;
        let number = |name: &str| name.strip_prefix("episode_")?.parse::<u64>().ok();
        let names = file.root_group().group_names().map_err(hdf5_error)?;
        let mut episodes: Vec<(u64, String)> = names
            .into_iter()
            .filter_map(|name| Some((number(&name)?, name)))
            .collect();
        episodes.sort();
        if episodes.is_empty() {
            return Err(Error::invalid(
                &path,
                "has no group `episode_N`, expected Minari's layout",
            ));
        }
        // Listed once: the file's datasets can only be listed all together.
        let mut observations: HashMap<String, Vec<String>> = HashMap::new();
        for name in file.dataset_names() {
            let name = name.trim_start_matches('/');
            if let Some((episode, _)) = name.split_once("/observations/") {
                let names = observations.entry(episode.to_owned()).or_default();
                names.push(name.to_owned());
            }
        }
        Ok(Self {
            path,
            file,
            max_elements: metadata.len().saturating_mul(MAX_RATIO),
            observations,
            episodes: episodes.into_iter().map(|(_, name)| name).collect(),
            image_key: image_key.map(str::to_string),
        })
    }

    fn error(&self, dataset: &str, what: impl std::fmt::Display) -> Error {
        Error::invalid(&self.path, format!("`{dataset}`: {what}"))
    }

    /// Opens a dataset. Its shape is only a promise: memory is allocated for what the file can hold.
    fn dataset(&self, name: &str) -> Result<H5Dataset> {
        let dataset = self.file.dataset(name).map_err(|e| self.error(name, e))?;
        let shape = dataset.shape();
        let elements = shape
            .iter()
            .try_fold(1_u64, |n, &side| n.checked_mul(side as u64));
        if elements.is_none_or(|elements| elements > self.max_elements) {
            let what = format!("shape {shape:?} is larger than the file can hold");
            return Err(self.error(name, what));
        }
        Ok(dataset)
    }

    /// Finds the image observations of an episode: those of `image_key`, otherwise the only
    /// candidate.
    fn find_images(&self, episode: &str) -> Result<(String, H5Dataset)> {
        let name = format!("{episode}/observations");
        if let Some(key) = &self.image_key {
            let name = format!("{name}/{key}");
            let dataset = self.dataset(&name)?;
            return Ok((name, dataset));
        }
        if self.file.dataset(&name).is_ok() {
            let dataset = self.dataset(&name)?;
            return Ok((name, dataset));
        }
        let prefix = format!("{name}/");
        let candidates = self.observations.get(episode).into_iter().flatten();
        let mut found: Vec<(String, H5Dataset)> = candidates
            .filter_map(|name| Some((name.clone(), self.dataset(name).ok()?)))
            .filter(|(_, dataset)| ImageEncoding::of(dataset).is_some())
            .collect();
        if found.len() > 1 {
            let keys = found
                .iter()
                .filter_map(|(name, _)| name.split(&prefix).nth(1));
            let keys: Vec<&str> = keys.collect();
            let what = format!(
                "several image observations ({}): choose one with --image-key",
                keys.join(", ")
            );
            return Err(self.error(&name, what));
        }
        found.pop().ok_or_else(|| {
            self.error(
                &name,
                "no images (uint8 [T, H, W, 3] or JPEG) among the observations",
            )
        })
    }

    fn read_images(&self, episode: &str, frames: &mut FrameResampler) -> Result<()> {
        let (name, dataset) = self.find_images(episode)?;
        let shape = dataset.shape();
        match ImageEncoding::of(&dataset) {
            Some(ImageEncoding::Jpeg) => {
                let files = dataset
                    .read_vlen_bytes()
                    .map_err(|e| self.error(&name, e))?;
                files
                    .iter()
                    .try_for_each(|bytes| push_encoded(bytes, &self.path, frames))
            }
            Some(ImageEncoding::FixedLengthJpeg) => {
                let bytes = dataset.read_raw::<u8>().map_err(|e| self.error(&name, e))?;
                let mut files = bytes.chunks_exact(shape[1].max(1));
                files.try_for_each(|bytes| push_encoded(bytes, &self.path, frames))
            }
            Some(ImageEncoding::Raw) => {
                let size = [shape[1], shape[2]];
                for start in (0..shape[0]).step_by(FRAMES_PER_READ) {
                    let count = FRAMES_PER_READ.min(shape[0] - start);
                    let counts = [count, shape[1], shape[2], 3];
                    let bytes = dataset
                        .read_slice::<u8>(&[start, 0, 0, 0], &counts)
                        .map_err(|e| self.error(&name, e))?;
                    for frame in bytes.chunks_exact(size[0] * size[1] * 3) {
                        frames.push(size, frame);
                    }
                }
                Ok(())
            }
            None => {
                let what = format!("shape {shape:?}, expected images: uint8 [T, H, W, 3] or JPEG");
                Err(self.error(&name, what))
            }
        }
    }

    /// Reads a numeric dataset; an error if a value is not finite.
    fn numbers(&self, name: &str) -> Result<NumericDataset> {
        let dataset = self.dataset(name)?;
        let hdf5_error = |e| self.error(name, e);
        let element = ElementType::of(&dataset).map_err(hdf5_error)?;
        let values: Vec<f64> = match element {
            ElementType::U8 | ElementType::Integer => {
                let values = dataset.read_numeric_as::<i64>().map_err(hdf5_error)?;
                values.into_iter().map(|value| value as f64).collect()
            }
            ElementType::Bool => {
                let values = dataset.read_raw::<u8>().map_err(hdf5_error)?;
                values.into_iter().map(f64::from).collect()
            }
            ElementType::ByteStrings | ElementType::Other => {
                dataset.read_numeric_as::<f64>().map_err(hdf5_error)?
            }
        };
        if values.iter().any(|value| !value.is_finite()) {
            return Err(self.error(name, "holds a value that is not finite"));
        }
        let integer = matches!(element, ElementType::U8 | ElementType::Integer);
        let row_len = dataset.shape().iter().skip(1).product::<usize>().max(1);
        Ok(NumericDataset {
            values,
            row_len,
            discrete: integer && dataset.ndims() == 1,
        })
    }
}

/// The values of an HDF5 dataset.
struct NumericDataset {
    values: Vec<f64>,
    /// Values per step.
    row_len: usize,
    /// Whether there is one integer per step.
    discrete: bool,
}

/// The element types that are told apart; the only place that knows how the HDF5 library names them.
#[derive(Clone, Copy)]
enum ElementType {
    U8,
    /// An integer of another size.
    Integer,
    /// NumPy stores booleans as an enumeration of bytes.
    Bool,
    /// Sequences of bytes, each of its own length.
    ByteStrings,
    /// Floats, and what cannot be read.
    Other,
}

impl ElementType {
    fn of(dataset: &H5Dataset) -> rust_hdf5::Result<Self> {
        let of = |datatype: &DatatypeMessage| match datatype {
            DatatypeMessage::FixedPoint {
                size: 1,
                signed: false,
                ..
            } => Self::U8,
            DatatypeMessage::FixedPoint { .. } => Self::Integer,
            DatatypeMessage::Enum { .. } => Self::Bool,
            _ => Self::Other,
        };
        Ok(match dataset.datatype()? {
            DatatypeMessage::VarLenSequence { base } => match of(&base) {
                Self::U8 => Self::ByteStrings,
                _ => Self::Other,
            },
            datatype => of(&datatype),
        })
    }
}

/// How image observations are stored.
enum ImageEncoding {
    /// u8 `[T, H, W, 3]`.
    Raw,
    /// JPEG files of varying length.
    Jpeg,
    /// JPEG files that all have the same length, u8 `[T, length]`.
    FixedLengthJpeg,
}

impl ImageEncoding {
    /// The encoding of `dataset`; `None` if it does not hold images.
    fn of(dataset: &H5Dataset) -> Option<Self> {
        const JPEG_MAGIC: [u8; 2] = [0xff, 0xd8];
        let element = ElementType::of(dataset).ok()?;
        match (element, dataset.shape().as_slice()) {
            (ElementType::ByteStrings, [_]) => Some(Self::Jpeg),
            (ElementType::U8, [_, h, w, 3]) if *h > 0 && *w > 0 => Some(Self::Raw),
            (ElementType::U8, [t, length]) if *t > 0 && *length > 1 => {
                let start = dataset.read_slice::<u8>(&[0, 0], &[1, 2]).ok()?;
                (start == JPEG_MAGIC).then_some(Self::FixedLengthJpeg)
            }
            _ => None,
        }
    }
}

impl RecordingSource for MinariDataset {
    fn fps(&self) -> Option<f32> {
        None
    }

    fn episode_names(&self) -> Vec<String> {
        self.episodes.clone()
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
        let episode = self.episodes[episode].clone();
        if pairing != ActionPairing::TakenAt {
            return Err(self.error(
                &episode,
                "--pairing led-to is not possible with Minari's layout",
            ));
        }
        self.read_images(&episode, frames)?;
        let actions = self.numbers(&format!("{episode}/actions"))?;
        let rows = actions.values.chunks_exact(actions.row_len);
        let raw_actions = rows.map(|row| match (actions.discrete, row) {
            (true, &[value]) => RawAction::Number(value as i64),
            _ => RawAction::Vector(row.to_vec()),
        });
        let rewards = self.numbers(&format!("{episode}/rewards"))?.values;
        let terminations = self.numbers(&format!("{episode}/terminations"))?.values;
        Ok(RawEpisode {
            actions: raw_actions.collect(),
            rewards: rewards.into_iter().map(|reward| reward as f32).collect(),
            terminal: terminations.last().is_some_and(|&last| last != 0.0),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A dataset whose episodes have two observations each, of which one is images.
    fn dataset(folder: &Path, episodes: usize) -> PathBuf {
        let path = folder.join("main_data.hdf5");
        let file = H5File::create(&path).unwrap();
        for episode in 0..episodes {
            let group = file.create_group(&format!("episode_{episode}")).unwrap();
            let group = group.create_group("observations").unwrap();
            let images = group.new_dataset::<u8>().shape([1, 2, 2, 3]);
            images
                .create("camera")
                .unwrap()
                .write_raw(&[7_u8; 12])
                .unwrap();
            let goal = group.new_dataset::<f32>().shape([1]);
            goal.create("goal").unwrap().write_raw(&[0.5_f32]).unwrap();
        }
        drop(file);
        path
    }

    #[test]
    fn images_are_found_among_the_observations() {
        let folder = tempfile::tempdir().unwrap();
        let source = MinariDataset::open(&dataset(folder.path(), 3), None).unwrap();
        assert_eq!(
            source.episode_names(),
            ["episode_0", "episode_1", "episode_2"]
        );
        for episode in source.episode_names() {
            let (name, images) = source.find_images(&episode).unwrap();
            assert_eq!(name, format!("{episode}/observations/camera"));
            assert_eq!(images.shape(), [1, 2, 2, 3]);
        }
        let mut small = source;
        small.max_elements = 11;
        let error = small.dataset("episode_0/observations/camera");
        let message = error.err().unwrap().to_string();
        assert!(
            message.contains("larger than the file can hold"),
            "{message}"
        );
    }
}
