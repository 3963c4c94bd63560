//! Writing files so that a reader sees the old content or the new, never half of it.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::{Error, PathError as _, Result};

/// Writes a file under a temporary name beside it, then renames it.
///
/// # Errors
/// The folder cannot be written, or the disk is full; an older file then stays as it was.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = temporary_beside(path)?;
    file.write_all(bytes).map_err(|e| Error::io(path, e))?;
    put_in_place(file, path)
}

/// A temporary file in the folder of `path`, for [`put_in_place`]; it is removed when dropped.
///
/// # Errors
/// The folder cannot be written.
pub fn temporary_beside(path: &Path) -> Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    // As any new file: what the umask leaves of these, not only for the owner.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
        .tempfile_in(folder)
        .map_err(|e| Error::io(folder, e))
}

/// Gives a temporary file the name `path`.
///
/// # Errors
/// The disk is full, or the system refuses; an older file then stays as it was.
pub fn put_in_place(file: NamedTempFile, path: &Path) -> Result<()> {
    file.as_file().sync_all().map_err(|e| Error::io(path, e))?;
    file.persist(path).map_err(|e| Error::io(path, e.error))?;
    Ok(())
}

/// Writes a value as readable JSON.
///
/// # Errors
/// The folder cannot be written.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|e| Error::invalid(path, e.to_string()))?;
    write_atomic(path, format!("{text}\n").as_bytes())
}
