//! A Minari dataset in HDF5: `data/main_data.hdf5` with a group `episode_N` each, which holds T + 1
//! observations (plain pictures, or JPEG as Minari stores them by default), and T actions, rewards,
//! terminations. Action t was taken at observation t and led to observation t + 1.

use std::path::{Path, PathBuf};

use rust_hdf5::format::messages::datatype::DatatypeMessage;
use rust_hdf5::{H5Dataset, H5File};

use super::actions::Taken;
use super::film::Film;
use super::{Pairing, Recording, Source, picture};
use crate::PathError as _;
use crate::{Error, Result};

/// Where a dataset's folder has the file.
const FILE: &str = "data/main_data.hdf5";
/// Frames that are read together.
const BLOCK: usize = 64;

/// An open dataset.
pub struct Minari {
    path: PathBuf,
    file: H5File,
    /// Groups of the episodes, in the order of their numbers.
    episodes: Vec<String>,
    /// The observation that is the picture, below `observations/`.
    key: Option<String>,
}

impl Minari {
    /// Opens a dataset's folder, or its `main_data.hdf5`.
    ///
    /// # Errors
    /// It is no HDF5 file, or holds no episodes.
    pub fn open(path: &Path, key: Option<&str>) -> Result<Self> {
        let path = match path.is_dir() {
            true => path.join(FILE),
            false => path.to_path_buf(),
        };
        std::fs::metadata(&path).map_err(|e| Error::io(&path, e))?;
        let wrong = |e| Error::invalid(&path, format!("not an HDF5 file that can be read: {e}"));
        let file = H5File::options().no_locking().open(&path).map_err(wrong)?;
        let number = |name: &str| name.strip_prefix("episode_")?.parse::<u64>().ok();
        let names = file.root_group().group_names().map_err(wrong)?;
        let mut episodes: Vec<(u64, String)> = names
            .into_iter()
            .filter_map(|name| Some((number(&name)?, name)))
            .collect();
        episodes.sort();
        if episodes.is_empty() {
            return Err(Error::invalid(
                &path,
                "holds no group `episode_N`, expected Minari's layout",
            ));
        }
        Ok(Self {
            path,
            file,
            episodes: episodes.into_iter().map(|(_, name)| name).collect(),
            key: key.map(str::to_string),
        })
    }

    fn wrong(&self, dataset: &str, what: impl std::fmt::Display) -> Error {
        Error::invalid(&self.path, format!("`{dataset}`: {what}"))
    }

    fn dataset(&self, name: &str) -> Result<H5Dataset> {
        self.file.dataset(name).map_err(|e| self.wrong(name, e))
    }

    /// The dataset with an episode's pictures: the one asked for, else the only one that can be.
    fn pictures(&self, episode: &str) -> Result<(String, H5Dataset)> {
        let name = format!("{episode}/observations");
        if let Some(key) = &self.key {
            let name = format!("{name}/{key}");
            let dataset = self.dataset(&name)?;
            return Ok((name, dataset));
        }
        if let Ok(dataset) = self.file.dataset(&name) {
            return Ok((name, dataset));
        }
        let prefix = format!("{name}/");
        let mut found: Vec<(String, H5Dataset)> = self
            .file
            .dataset_names()
            .into_iter()
            .filter(|name| name.trim_start_matches('/').starts_with(&prefix))
            .filter_map(|name| Some((name.clone(), self.file.dataset(&name).ok()?)))
            .filter(|(_, dataset)| Stored::of(dataset).is_some())
            .collect();
        match (found.pop(), found.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(self.wrong(
                &name,
                "no pictures (uint8 [T, H, W, 3] or JPEG) among the observations",
            )),
            (Some(last), false) => {
                let keys: Vec<&str> = found
                    .iter()
                    .chain([&last])
                    .filter_map(|(name, _)| name.split(&prefix).nth(1))
                    .collect();
                let what = format!(
                    "several pictures ({}): choose with --image-key",
                    keys.join(", ")
                );
                Err(self.wrong(&name, what))
            }
        }
    }

    fn read_pictures(&self, episode: &str, film: &mut Film) -> Result<()> {
        let (name, dataset) = self.pictures(episode)?;
        let shape = dataset.shape();
        match Stored::of(&dataset) {
            Some(Stored::Jpegs) => {
                let files = dataset
                    .read_vlen_bytes()
                    .map_err(|e| self.wrong(&name, e))?;
                files
                    .iter()
                    .try_for_each(|bytes| picture(bytes, &self.path, film))
            }
            Some(Stored::EqualJpegs) => {
                let bytes = dataset.read_raw::<u8>().map_err(|e| self.wrong(&name, e))?;
                let mut files = bytes.chunks_exact(shape[1].max(1));
                files.try_for_each(|bytes| picture(bytes, &self.path, film))
            }
            Some(Stored::Pixels) => {
                let size = [shape[1], shape[2]];
                for start in (0..shape[0]).step_by(BLOCK) {
                    let block = BLOCK.min(shape[0] - start);
                    let counts = [block, shape[1], shape[2], 3];
                    let bytes = dataset
                        .read_slice::<u8>(&[start, 0, 0, 0], &counts)
                        .map_err(|e| self.wrong(&name, e))?;
                    for frame in bytes.chunks_exact(size[0] * size[1] * 3) {
                        film.push(size, frame);
                    }
                }
                Ok(())
            }
            None => {
                let what =
                    format!("shape {shape:?}, expected pictures: uint8 [T, H, W, 3] or JPEG");
                Err(self.wrong(&name, what))
            }
        }
    }

    /// The numbers of a dataset, all finite.
    fn numbers(&self, name: &str) -> Result<Numbers> {
        let dataset = self.dataset(name)?;
        let wrong = |e| self.wrong(name, e);
        let datatype = dataset.datatype().map_err(wrong)?;
        let values: Vec<f64> = match datatype {
            DatatypeMessage::FixedPoint { .. } => {
                let values = dataset.read_numeric_as::<i64>().map_err(wrong)?;
                values.into_iter().map(|value| value as f64).collect()
            }
            // NumPy's bool is an enumeration of two bytes.
            DatatypeMessage::Enum { .. } => {
                let values = dataset.read_raw::<u8>().map_err(wrong)?;
                values.into_iter().map(f64::from).collect()
            }
            _ => dataset.read_numeric_as::<f64>().map_err(wrong)?,
        };
        if values.iter().any(|value| !value.is_finite()) {
            return Err(self.wrong(name, "holds a number that is not finite"));
        }
        let whole = matches!(datatype, DatatypeMessage::FixedPoint { .. });
        let row = dataset.shape().iter().skip(1).product::<usize>().max(1);
        Ok(Numbers {
            values,
            row,
            discrete: whole && dataset.ndims() == 1,
        })
    }
}

/// A dataset of numbers.
struct Numbers {
    values: Vec<f64>,
    /// How many belong to a step.
    row: usize,
    /// One whole number a step.
    discrete: bool,
}

/// How pictures are stored.
enum Stored {
    /// u8 `[T, H, W, 3]`.
    Pixels,
    /// Encoded pictures of any length.
    Jpegs,
    /// Encoded pictures that happen to be of one length, u8 `[T, length]`.
    EqualJpegs,
}

impl Stored {
    /// How `dataset` stores pictures; none where it cannot be any.
    fn of(dataset: &H5Dataset) -> Option<Self> {
        const JPEG: [u8; 2] = [0xff, 0xd8];
        let byte = |datatype: &DatatypeMessage| {
            matches!(
                datatype,
                DatatypeMessage::FixedPoint {
                    size: 1,
                    signed: false,
                    ..
                }
            )
        };
        match (dataset.datatype().ok()?, dataset.shape().as_slice()) {
            (DatatypeMessage::VarLenSequence { base }, [_]) if byte(&base) => Some(Self::Jpegs),
            (datatype, [_, h, w, 3]) if byte(&datatype) && *h > 0 && *w > 0 => Some(Self::Pixels),
            (datatype, [t, length]) if byte(&datatype) && *t > 0 && *length > 1 => {
                let start = dataset.read_slice::<u8>(&[0, 0], &[1, 2]).ok()?;
                (start == JPEG).then_some(Self::EqualJpegs)
            }
            _ => None,
        }
    }
}

impl Source for Minari {
    fn fps(&self) -> Option<f32> {
        None
    }

    fn episodes(&self) -> Vec<String> {
        self.episodes.clone()
    }

    fn pairing(&self) -> Pairing {
        Pairing::TakenAt
    }

    fn read(&mut self, episode: usize, pairing: Pairing, film: &mut Film) -> Result<Recording> {
        let episode = self.episodes[episode].clone();
        if pairing != Pairing::TakenAt {
            return Err(self.wrong(
                &episode,
                "--pairing led-to does not go with Minari's layout",
            ));
        }
        self.read_pictures(&episode, film)?;
        let actions = self.numbers(&format!("{episode}/actions"))?;
        let vectors = actions.values.chunks_exact(actions.row);
        let steps = vectors.map(|row| match (actions.discrete, row) {
            (true, &[value]) => Taken::Number(value as i64),
            _ => Taken::Vector(row.to_vec()),
        });
        let rewards = self.numbers(&format!("{episode}/rewards"))?.values;
        let ended = self.numbers(&format!("{episode}/terminations"))?.values;
        Ok(Recording {
            steps: steps.collect(),
            rewards: rewards.into_iter().map(|reward| reward as f32).collect(),
            terminal: ended.last().is_some_and(|&last| last != 0.0),
        })
    }
}
