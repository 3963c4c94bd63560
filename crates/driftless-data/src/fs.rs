//! Atomic writes: a file appears under its final name complete, or not at all.

use std::io::Write;
use std::path::Path;

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::{Error, PathError as _, Result};

/// Writes a file atomically: under a temporary name in the same folder, then renamed.
///
/// # Errors
/// Returns an error if the folder is not writable or the disk is full; an existing file is then
/// unchanged.
pub fn write_atomic(path: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = temporary_file_for(path)?;
    file.write_all(bytes).map_err(|e| Error::io(path, e))?;
    replace_file(file, path)
}

/// Creates a temporary file in the folder of `path`, for [`replace_file`]; dropping it removes it.
///
/// # Errors
/// Returns an error if the folder is not writable.
pub fn temporary_file_for(path: &Path) -> Result<NamedTempFile> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    // Like any new file, readable by whoever the umask allows; tempfile's default is owner only.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder
        .tempfile_in(folder)
        .map_err(|e| Error::io(folder, e))
}

/// Flushes a temporary file to disk and renames it to `path`.
///
/// # Errors
/// Returns an error if the disk is full or the rename fails; an existing file is then unchanged.
pub fn replace_file(file: NamedTempFile, path: &Path) -> Result<()> {
    file.as_file().sync_all().map_err(|e| Error::io(path, e))?;
    file.persist(path).map_err(|e| Error::io(path, e.error))?;
    Ok(())
}

/// Writes a value as indented JSON, atomically.
///
/// # Errors
/// Returns an error if the value cannot be serialized or the folder is not writable.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let text =
        serde_json::to_string_pretty(value).map_err(|e| Error::invalid(path, e.to_string()))?;
    write_atomic(path, format!("{text}\n").as_bytes())
}
