//! The world that a run builds upon: given by the caller, then kept in the run's own checkpoint.

use std::path::{Path, PathBuf};

use driftless_data::PathError as _;
use driftless_data::fs::{read_source, write_atomic};
use driftless_data::layout::checkpoint::{CARD, NEEDED};

use crate::layout::RunLayout;
use crate::{Error, Result};

/// Where the world is: the given folder or, of a run that is resumed, its own checkpoint. `what` says what it is for.
///
/// # Errors
/// Returns an error if a new run is given none, if there is no run to resume, or if the run has begun with another world.
pub(super) fn world_folder(
    given: Option<&Path>,
    resume: bool,
    layout: &RunLayout,
    what: &str,
) -> Result<PathBuf> {
    let own = layout.checkpoint();
    if let Some(given) = given {
        check_same_world(given, &own)?;
    }
    if !resume {
        return given
            .map(Path::to_owned)
            .ok_or_else(|| Error::Argument(format!("a new run needs --world, {what}")));
    }
    layout.check_run()?;
    Ok(own)
}

/// Checks that what a run's checkpoint holds of a world is of this one.
fn check_same_world(world: &Path, checkpoint: &Path) -> Result<()> {
    for file in NEEDED {
        let (given, own) = (world.join(file), checkpoint.join(file));
        let both = given.is_file() && own.is_file();
        if both && read_source(&given, u64::MAX)? != read_source(&own, u64::MAX)? {
            let world = world.display();
            let what = format!("is not that of {world}, expected the same world, or another --out");
            return Err(Error::invalid(&own, what));
        }
    }
    Ok(())
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
