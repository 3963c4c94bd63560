//! What `--resume` continues from: one `safetensors` file, and the one before it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_data::fs::write_atomic;
use driftless_model::checkpoint::serialize;

/// Where a run stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    /// Steps done.
    pub step: u64,
    /// Frames trained on.
    pub frames: u64,
    /// Seconds spent in steps.
    pub seconds: f64,
    /// Running mean squares of the parts of the loss.
    #[serde(default)]
    pub squares: BTreeMap<String, f64>,
}

/// Key of the progress in the file's texts.
const PROGRESS: &str = "progress";

fn file(folder: &Path) -> PathBuf {
    folder.join("state.safetensors")
}

fn previous(folder: &Path) -> PathBuf {
    folder.join("state.previous.safetensors")
}

/// Whether the folder holds a state.
pub fn exists(folder: &Path) -> bool {
    file(folder).exists() || previous(folder).exists()
}

/// Writes a state and keeps the one before; no moment leaves the folder without a whole state.
///
/// # Errors
/// The folder cannot be written, or the disk is full; the older states then stay.
pub fn write(folder: &Path, tensors: &BTreeMap<String, Tensor>, progress: &Progress) -> Result<()> {
    let path = file(folder);
    let text = serde_json::to_string(progress).map_err(|e| Error::invalid(&path, e.to_string()))?;
    let texts = HashMap::from([(PROGRESS.to_owned(), text)]);
    let bytes = serialize(&path, tensors, Some(texts))?;
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let next = folder.join("state.next.safetensors");
    write_atomic(&next, &bytes)?;
    if path.exists() {
        std::fs::rename(&path, previous(folder)).map_err(|e| Error::io(&path, e))?;
    }
    std::fs::rename(&next, &path).map_err(|e| Error::io(&path, e))
}

/// Reads the latest whole state.
///
/// # Errors
/// Neither file is there and whole; the message is about the newer one.
pub fn read(folder: &Path) -> Result<(BTreeMap<String, Tensor>, Progress)> {
    match read_file(&file(folder)) {
        Ok(state) => Ok(state),
        Err(error) => read_file(&previous(folder)).map_err(|_| error),
    }
}

fn read_file(path: &Path) -> Result<(BTreeMap<String, Tensor>, Progress)> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let wrong = |what: String| Error::invalid(path, format!("not a training state ({what})"));
    let (_, header) =
        safetensors::SafeTensors::read_metadata(&bytes).map_err(|e| wrong(e.to_string()))?;
    let progress = header
        .metadata()
        .as_ref()
        .and_then(|texts| texts.get(PROGRESS))
        .ok_or_else(|| wrong(format!("no text '{PROGRESS}'")))?;
    let progress = serde_json::from_str(progress).map_err(|e| wrong(e.to_string()))?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| wrong(e.to_string()))?;
    Ok((tensors.into_iter().collect(), progress))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(value: f32) -> BTreeMap<String, Tensor> {
        let t = Tensor::new(&[value], &Device::Cpu).unwrap();
        BTreeMap::from([("x".to_owned(), t)])
    }

    fn at(step: u64) -> Progress {
        Progress {
            step,
            frames: 8 * step,
            seconds: 0.5,
            squares: BTreeMap::from([("reward".to_owned(), 0.25)]),
        }
    }

    #[test]
    fn a_damaged_state_falls_back_to_the_one_before() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!exists(folder.path()));
        write(folder.path(), &tensors(1.0), &at(1)).unwrap();
        write(folder.path(), &tensors(2.0), &at(2)).unwrap();
        let (t, progress) = read(folder.path()).unwrap();
        assert_eq!(
            (t["x"].to_vec1::<f32>().unwrap(), progress),
            (vec![2.0], at(2))
        );
        let whole = std::fs::read(file(folder.path())).unwrap();
        std::fs::write(file(folder.path()), &whole[..whole.len() - 3]).unwrap();
        let (t, progress) = read(folder.path()).unwrap();
        assert_eq!(
            (t["x"].to_vec1::<f32>().unwrap(), progress),
            (vec![1.0], at(1))
        );
    }
}
