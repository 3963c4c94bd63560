//! The world that a run builds upon: given by the caller, then kept in the run's own checkpoint.

use std::path::{Path, PathBuf};

use driftless_data::PathError as _;
use driftless_data::fs::{read_source, write_atomic};
use driftless_data::layout::checkpoint::{CARD, NEEDED};
use driftless_model::checkpoint::CONFIG;

use crate::layout::RunLayout;
use crate::{Error, Result};

/// Where the world is: the given folder, or the run's own checkpoint. `what` says what it is for.
///
/// # Errors
/// Returns an error if a new run is given none.
pub(super) fn world_folder(
    given: Option<&Path>,
    resume: bool,
    layout: &RunLayout,
    what: &str,
) -> Result<PathBuf> {
    let own = layout.checkpoint();
    if resume && own.join(CONFIG).is_file() {
        return Ok(own);
    }
    given
        .map(Path::to_owned)
        .ok_or_else(|| Error::Argument(format!("a new run needs --world, {what}")))
}

/// Copies a world into a run's checkpoint, so that the checkpoint can be played. What is there stays.
///
/// # Errors
/// Returns an error if a file cannot be read or written.
pub(super) fn copy_world(source: &Path, checkpoint: &Path) -> Result<()> {
    std::fs::create_dir_all(checkpoint).map_err(|e| Error::io(checkpoint, e))?;
    for file in NEEDED.into_iter().chain([CARD]) {
        let (from, to) = (source.join(file), checkpoint.join(file));
        if from.is_file() && !to.exists() {
            write_atomic(&to, &read_source(&from, u64::MAX)?)?;
        }
    }
    Ok(())
}
