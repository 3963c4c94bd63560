//! The saved state from which `--resume` continues: one `safetensors` file, and the one before it.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{Device, Tensor};
use serde::{Deserialize, Serialize};

use driftless_data::PathError as _;
use driftless_data::fs::{read_source, write_atomic};
use driftless_model::checkpoint::serialize_tensors;

use super::layout::StateFiles;
use crate::{Error, Result};

/// How far the training of a network has come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainingCounters {
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

/// Writes a state and keeps the previous one. The folder holds a complete state at any time, even
/// if the program is killed.
///
/// # Errors
/// Returns an error if the folder cannot be written. The older states are then kept.
pub fn write(
    files: &StateFiles,
    tensors: &BTreeMap<String, Tensor>,
    counters: &TrainingCounters,
) -> Result<()> {
    let path = files.current();
    let text = serde_json::to_string(counters).map_err(|e| Error::invalid(&path, e.to_string()))?;
    let metadata = HashMap::from([(PROGRESS.to_owned(), text)]);
    let bytes = serialize_tensors(&path, tensors, Some(metadata))?;
    let folder = files.folder();
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    write_atomic(&files.next(), &bytes)?;
    if path.exists() {
        std::fs::rename(&path, files.previous()).map_err(|e| Error::io(&path, e))?;
    }
    std::fs::rename(files.next(), &path).map_err(|e| Error::io(&path, e))
}

/// Reads the latest complete state.
///
/// # Errors
/// Returns the error of the newer file if neither can be read.
pub fn read(files: &StateFiles) -> Result<(BTreeMap<String, Tensor>, TrainingCounters)> {
    let error = match read_file(&files.current()) {
        Ok(state) => return Ok(state),
        Err(error) => error,
    };
    let Ok(state) = read_file(&files.previous()) else {
        return Err(error);
    };
    if files.current().exists() {
        let step = state.1.step;
        tracing::warn!("{error}; going on from the state before it, of step {step}");
    }
    Ok(state)
}

fn read_file(path: &Path) -> Result<(BTreeMap<String, Tensor>, TrainingCounters)> {
    let bytes = read_source(path, u64::MAX)?;
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
    use crate::{RunLayout, TrainStage};

    fn tensors(value: f32) -> BTreeMap<String, Tensor> {
        let t = Tensor::new(&[value], &Device::Cpu).unwrap();
        BTreeMap::from([("x".to_owned(), t)])
    }

    fn counters_at(step: u64) -> TrainingCounters {
        TrainingCounters {
            step,
            frames: 8 * step,
            seconds: 0.5,
            loss_mean_squares: BTreeMap::from([("reward".to_owned(), 0.25)]),
        }
    }

    #[test]
    fn counters_are_read_back_exactly() {
        let folder = tempfile::tempdir().unwrap();
        let files = RunLayout::new(folder.path()).state(TrainStage::Dynamics);
        for i in 1..200_u32 {
            let value = f64::from(i).sqrt();
            let counters = TrainingCounters {
                seconds: value,
                loss_mean_squares: BTreeMap::from([("reward".to_owned(), value.recip())]),
                ..counters_at(i.into())
            };
            write(&files, &tensors(1.0), &counters).unwrap();
            assert_eq!(read(&files).unwrap().1, counters);
        }
    }

    #[test]
    fn damaged_state_falls_back_to_previous() {
        let folder = tempfile::tempdir().unwrap();
        let files = RunLayout::new(folder.path()).state(TrainStage::Dynamics);
        assert!(!files.exist());
        write(&files, &tensors(1.0), &counters_at(1)).unwrap();
        write(&files, &tensors(2.0), &counters_at(2)).unwrap();
        let (t, counters) = read(&files).unwrap();
        let value = |t: &BTreeMap<String, Tensor>| t["x"].to_vec1::<f32>().unwrap();
        assert_eq!((value(&t), counters), (vec![2.0], counters_at(2)));
        let bytes = std::fs::read(files.current()).unwrap();
        std::fs::write(files.current(), &bytes[..bytes.len() - 3]).unwrap();
        let (t, counters) = read(&files).unwrap();
        assert_eq!((value(&t), counters), (vec![1.0], counters_at(1)));
    }
}
