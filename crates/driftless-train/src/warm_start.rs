//! Starting a run from the weights of a checkpoint (`--from`).

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{Device, Tensor, Var};

use driftless_data::PathError as _;
use driftless_data::fs::{read_source, write_atomic};
use driftless_model::checkpoint::{TOKENIZER, read_config};
use driftless_model::config::WorldConfig;

use crate::{Error, Result};

/// Checks that the checkpoint has the frame size, number of actions, prediction and path of `world`, and
/// its axes or none.
///
/// # Errors
/// Returns an error if it does not, or if the folder holds no checkpoint.
pub(super) fn check_compatible(folder: &Path, world: &WorldConfig) -> Result<()> {
    let old = read_config(folder)?;
    let wrong = |what: String| Err(Error::invalid(folder, what));
    if old.image != world.image {
        let ([h, w], [height, width]) = (old.image, world.image);
        return wrong(format!(
            "its frames are {h}×{w}, expected {height}×{width} as in the dataset"
        ));
    }
    if old.actions.len() != world.actions.len() {
        let (n, count) = (old.actions.len(), world.actions.len());
        return wrong(format!(
            "it has {n} actions, expected {count} as in the dataset"
        ));
    }
    let axes = |world: &WorldConfig| {
        let names = world.axes.iter().map(|axis| axis.name.clone());
        names.collect::<Vec<String>>()
    };
    if !old.axes.is_empty() && axes(&old) != axes(world) {
        return wrong(format!(
            "its axes are {}, expected {} as in the dataset",
            axes(&old).join(", "),
            axes(world).join(", ")
        ));
    }
    if old.flow != world.flow {
        return wrong("its prediction or path differs from the settings".into());
    }
    Ok(())
}

/// Copies the checkpoint's tokenizer into the run's checkpoint, unless that has one already.
///
/// # Errors
/// Returns an error if the file cannot be read or written.
pub(super) fn copy_tokenizer(folder: &Path, checkpoint: &Path) -> Result<()> {
    let (source, target) = (folder.join(TOKENIZER), checkpoint.join(TOKENIZER));
    if target.exists() {
        return Ok(());
    }
    let bytes = read_source(&source, u64::MAX)?;
    Ok(write_atomic(&target, &bytes)?)
}

/// Sets `vars` to the tensors of the file. What the file lacks keeps its initial value: tensors of
/// new parts, and the embedding of the unknown action, which is the last row. The last rows of a larger
/// tensor are left out: the camera's motion in the outcome head of a world with a memory.
///
/// # Errors
/// Returns an error if the file is missing or damaged, or if a tensor has another shape.
pub(super) fn load_weights(path: &Path, vars: &BTreeMap<String, Var>) -> Result<()> {
    let bytes = read_source(path, u64::MAX)?;
    let given = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| Error::invalid(path, format!("not a valid safetensors file ({e})")))?;
    for (name, var) in vars {
        let Some(tensor) = given.get(name) else {
            tracing::info!(
                "{} has no '{name}': it keeps its initial value",
                path.display()
            );
            continue;
        };
        let initial = var.as_tensor();
        let tensor = tensor
            .to_dtype(initial.dtype())?
            .to_device(initial.device())?;
        let set = match (tensor.dims(), initial.dims()) {
            (found, expected) if found == expected => tensor.clone(),
            ([rows, found @ ..], [all, expected @ ..]) if found == expected && rows < all => {
                Tensor::cat(
                    &[&tensor, &initial.narrow(0, *rows, all - rows)?.detach()],
                    0,
                )?
            }
            ([rows, found @ ..], [all, expected @ ..]) if found == expected && rows > all => {
                tensor.narrow(0, 0, *all)?.contiguous()?
            }
            (found, expected) => {
                let what = format!("'{name}' is {found:?}, expected {expected:?} by the settings");
                return Err(Error::invalid(path, what));
            }
        };
        var.set(&set)?;
    }
    Ok(())
}
