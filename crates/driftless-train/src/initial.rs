//! Where `--from` takes first weights from: a checkpoint, whose training goes on in a run of its own.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};

use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_data::fs::write_atomic;
use driftless_model::checkpoint::{TOKENIZER, read_config};
use driftless_model::config::WorldConfig;

/// Whether the checkpoint's frames, number of actions, prediction and path are those of `world`.
///
/// # Errors
/// They are not, or the folder holds no checkpoint.
pub(super) fn check(folder: &Path, world: &WorldConfig) -> Result<()> {
    let old = read_config(folder)?;
    let wrong = |what: String| Err(Error::invalid(folder, what));
    if old.image != world.image {
        let ([h, w], [height, width]) = (old.image, world.image);
        return wrong(format!(
            "its frames are {h}×{w}, the dataset's {height}×{width}"
        ));
    }
    if old.actions.len() != world.actions.len() {
        let (n, count) = (old.actions.len(), world.actions.len());
        return wrong(format!("it knows {n} actions, the dataset {count}"));
    }
    if old.flow != world.flow {
        return wrong("it was trained on another prediction or path than the settings name".into());
    }
    Ok(())
}

/// Copies the checkpoint's tokenizer into the run's, where that has none of its own.
///
/// # Errors
/// The file cannot be read or written.
pub(super) fn tokenizer(folder: &Path, checkpoint: &Path) -> Result<()> {
    let (old, own) = (folder.join(TOKENIZER), checkpoint.join(TOKENIZER));
    if own.exists() {
        return Ok(());
    }
    let bytes = std::fs::read(&old).map_err(|e| Error::io(&old, e))?;
    Ok(write_atomic(&own, &bytes)?)
}

/// Sets `vars` to the tensors of the file. What the file lacks keeps its first value: tensors of
/// parts that are new, and the row of the unknown action after those of the known ones.
///
/// # Errors
/// The file is missing or broken, or holds a tensor of another size.
pub(super) fn weights(path: &Path, vars: &BTreeMap<String, Var>) -> Result<()> {
    let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    let given = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| Error::invalid(path, format!("not a whole safetensors file ({e})")))?;
    for (name, var) in vars {
        let Some(tensor) = given.get(name) else {
            tracing::info!("{}: no '{name}', which starts anew", path.display());
            continue;
        };
        let first = var.as_tensor();
        let tensor = tensor.to_dtype(first.dtype())?.to_device(first.device())?;
        let set = match (tensor.dims(), first.dims()) {
            (old, own) if old == own => tensor.clone(),
            ([rows, old @ ..], [all, own @ ..]) if old == own && rows < all => {
                Tensor::cat(&[&tensor, &first.narrow(0, *rows, all - rows)?.detach()], 0)?
            }
            (old, own) => {
                let what = format!("'{name}' is {old:?}, and {own:?} by the settings");
                return Err(Error::invalid(path, what));
            }
        };
        var.set(&set)?;
    }
    Ok(())
}
