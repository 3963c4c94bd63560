//! The saved state from which `--resume` continues: one `safetensors` file, and the one before it.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use driftless_data::PathError as _;
use driftless_data::fs::write_atomic;
use driftless_model::checkpoint::serialize_tensors;

use crate::{Error, Result};

/// How far the training of a network has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingProgress {
    /// Steps done.
    pub step: u64,
    /// Frames trained on.
    pub frames: u64,
    /// Seconds spent in steps.
    pub seconds: f64,
    /// Running mean squares of the losses, by name.
    #[serde(default, rename = "squares")]
    pub loss_mean_squares: BTreeMap<String, f64>,
}

/// Key of the progress in the file's metadata.
const PROGRESS: &str = "progress";

fn current(folder: &Path) -> PathBuf {
    folder.join("state.safetensors")
}

fn previous(folder: &Path) -> PathBuf {
    folder.join("state.previous.safetensors")
}

/// Whether the folder holds a saved state.
pub fn exists(folder: &Path) -> bool {
    current(folder).exists() || previous(folder).exists()
}

/// Writes a state and keeps the previous one. The folder holds a complete state at any time, even
/// if the program is killed.
///
/// # Errors
/// Returns an error if the folder cannot be written. The older states are then kept.
pub fn write(
    folder: &Path,
    tensors: &BTreeMap<String, Tensor>,
    progress: &TrainingProgress,
) -> Result<()> {
    let path = current(folder);
    let text = serde_json::to_string(progress).map_err(|e| Error::invalid(&path, e.to_string()))?;
    let metadata = HashMap::from([(PROGRESS.to_owned(), text)]);
    let bytes = serialize_tensors(&path, tensors, Some(metadata))?;
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let next = folder.join("state.next.safetensors");
    write_atomic(&next, &bytes)?;
    if path.exists() {
        std::fs::rename(&path, previous(folder)).map_err(|e| Error::io(&path, e))?;
    }
    std::fs::rename(&next, &path).map_err(|e| Error::io(&path, e))
}

/// Reads the latest complete state.
///
/// # Errors
/// Returns the error of the newer file if neither can be read.
pub fn read(folder: &Path) -> Result<(BTreeMap<String, Tensor>, TrainingProgress)> {
    match read_file(&current(folder)) {
        Ok(state) => Ok(state),
        Err(error) => read_file(&previous(folder)).map_err(|_| error),
    }
}

fn read_file(path: &Path) -> Result<(BTreeMap<String, Tensor>, TrainingProgress)> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let wrong = |what: String| Error::invalid(path, format!("not a training state ({what})"));
    let (_, header) =
        safetensors::SafeTensors::read_metadata(&bytes).map_err(|e| wrong(e.to_string()))?;
    let progress = header
        .metadata()
        .as_ref()
        .and_then(|metadata| metadata.get(PROGRESS))
        .ok_or_else(|| wrong(format!("no metadata '{PROGRESS}'")))?;
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

    fn progress_at(step: u64) -> TrainingProgress {
        TrainingProgress {
            step,
            frames: 8 * step,
            seconds: 0.5,
            loss_mean_squares: BTreeMap::from([("reward".to_owned(), 0.25)]),
        }
    }

    #[test]
    fn damaged_state_falls_back_to_previous() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!exists(folder.path()));
        write(folder.path(), &tensors(1.0), &progress_at(1)).unwrap();
        write(folder.path(), &tensors(2.0), &progress_at(2)).unwrap();
        let (t, progress) = read(folder.path()).unwrap();
        assert_eq!(
            (t["x"].to_vec1::<f32>().unwrap(), progress),
            (vec![2.0], progress_at(2))
        );
        let bytes = std::fs::read(current(folder.path())).unwrap();
        std::fs::write(current(folder.path()), &bytes[..bytes.len() - 3]).unwrap();
        let (t, progress) = read(folder.path()).unwrap();
        assert_eq!(
            (t["x"].to_vec1::<f32>().unwrap(), progress),
            (vec![1.0], progress_at(1))
        );
    }
}
