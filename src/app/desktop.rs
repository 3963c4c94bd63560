//! What the desktop does for the window: opening a folder.

use std::path::Path;

use driftless_data::PathError as _;

use crate::{Error, Result};

/// Opens a folder, which is created if it is missing, in the file manager.
///
/// # Errors
/// Returns an error if the folder cannot be created or the system has no program that opens it.
pub(super) fn open_folder(folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let opened = open::that_detached(folder);
    opened.map_err(|e| Error::invalid(folder, format!("cannot be opened in a file manager: {e}")))
}
