//! Atomic writes: a file appears under its final name complete, or not at all.

use std::fs::File;
use std::io::{Read, Seek as _, Write};
use std::path::Path;

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::{Error, PathError as _, Result};

/// Largest accepted text file (JSON, CSV, TOML) in bytes.
const MAX_TEXT: u64 = 256 << 20;
/// How a pointer begins that git-lfs leaves in place of a file.
const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// Opens a file for reading. Devices and pipes, which may never end, are refused.
///
/// # Errors
/// Returns an error if the file cannot be opened, is not a regular file, or is a pointer of git-lfs.
pub fn open_source(path: &Path) -> Result<File> {
    // Asked before opening: to open a pipe that nobody writes to waits for ever.
    let metadata = std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    if !metadata.is_file() {
        let found = if metadata.is_dir() {
            "a folder"
        } else {
            "a device or a pipe"
        };
        return Err(Error::invalid(path, format!("is {found}, expected a file")));
    }
    let mut file = File::open(path).map_err(|e| Error::io(path, e))?;
    let mut start = Vec::new();
    (&mut file)
        .take(LFS_POINTER.len() as u64)
        .read_to_end(&mut start)
        .and_then(|_| file.rewind())
        .map_err(|e| Error::io(path, e))?;
    if start == LFS_POINTER {
        let what = "is a pointer of git-lfs, not the file itself; get it with `git lfs pull`";
        return Err(Error::invalid(path, what));
    }
    Ok(file)
}

/// Reads a file that [`open_source`] opens, of at most `max` bytes.
///
/// # Errors
/// As [`open_source`], or if the file is larger.
pub fn read_source(path: &Path, max: u64) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    open_source(path)?
        .take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|e| Error::io(path, e))?;
    if bytes.len() as u64 > max {
        let what = format!("is larger than {} MiB", max >> 20);
        return Err(Error::invalid(path, what));
    }
    Ok(bytes)
}

/// Reads a text file of at most 256 MiB.
///
/// # Errors
/// As [`read_source`], or if it is not UTF-8.
pub fn read_text(path: &Path) -> Result<String> {
    let text = String::from_utf8(read_source(path, MAX_TEXT)?);
    text.map_err(|_| Error::invalid(path, "is not UTF-8 text"))
}

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
