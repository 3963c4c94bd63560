//! Atomic writes: a file appears under its final name complete, or not at all.

use std::fs::{File, Metadata};
use std::io::{ErrorKind, Read, Seek as _, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use tempfile::NamedTempFile;

use crate::partial;
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
        return Err(Error::invalid(path, not_a_file(&metadata)));
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
    // Through the file itself: a temporary file adds its own name to errors.
    file.as_file_mut()
        .write_all(bytes)
        .map_err(|e| Error::io(path, e))?;
    replace_file(file, path)
}

/// Creates a temporary file in the folder of `path`, for [`replace_file`]; dropping it removes it.
///
/// # Errors
/// Returns an error if the folder is not writable, or `path` is a folder, a device or a pipe.
pub fn temporary_file_for(path: &Path) -> Result<NamedTempFile> {
    let path = link_target(path)?;
    let folder = folder_of(&path);
    partial::new_file(folder, &path).map_err(|e| Error::io(folder, e))
}

/// Flushes a temporary file to disk and renames it to `path`. A link there stays, and what it leads to
/// is replaced.
///
/// # Errors
/// Returns an error if the disk is full or the rename fails; an existing file is then unchanged.
pub fn replace_file(file: NamedTempFile, path: &Path) -> Result<()> {
    let target = link_target(path)?;
    file.as_file().sync_all().map_err(|e| Error::io(path, e))?;
    file.persist(&target)
        .map_err(|e| Error::io(path, e.error))?;
    sync_folder(folder_of(&target))
}

/// As [`replace_file`], but leaves a file that has appeared at `path` meanwhile.
///
/// # Errors
/// As [`replace_file`]. If there is a file, the error says under which name beside it the new one is.
pub fn create_file(file: NamedTempFile, path: &Path) -> Result<()> {
    let free = unused_path(path);
    replace_file(file, &free)?;
    if free == path {
        return Ok(());
    }
    let what = format!("exists by now; the finished file is {}", free.display());
    Err(Error::invalid(path, what))
}

/// Checks that a file can be written at `path`: its folder exists and can be written, and there is
/// nothing there but a file, if anything.
///
/// # Errors
/// As [`temporary_file_for`].
pub fn check_target(path: &Path) -> Result<()> {
    temporary_file_for(path).map(drop)
}

/// Checks that nothing exists at `path`, for a caller that was not asked to replace it.
///
/// # Errors
/// Returns an error that names `--overwrite` if something does.
pub fn check_new(path: &Path) -> Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_file() => {
            let what = "exists already; choose another name, or replace it with --overwrite";
            Err(Error::invalid(path, what))
        }
        Ok(found) => Err(Error::invalid(path, not_a_file(&found))),
        Err(_) => Ok(()),
    }
}

/// `path`, or the first of `NAME-2.EXT`, `NAME-3.EXT`, … beside it that does not exist.
pub fn unused_path(path: &Path) -> PathBuf {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let end = path.extension().map(|end| end.to_string_lossy());
    let end = end.map_or_else(String::new, |end| format!(".{end}"));
    let numbered = (2_u32..).map(|number| path.with_file_name(format!("{stem}-{number}{end}")));
    let mut names = std::iter::once(path.to_path_buf()).chain(numbered);
    let free = names.find(|path| std::fs::symlink_metadata(path).is_err());
    free.unwrap_or_else(|| path.to_path_buf())
}

/// Flushes the entries of a folder to disk: new names, after files were created or renamed.
///
/// # Errors
/// Returns an error if the folder cannot be opened or flushed.
pub fn sync_folder(folder: &Path) -> Result<()> {
    // Other systems do not open folders as files.
    if cfg!(unix) {
        let opened = File::open(folder).and_then(|folder| folder.sync_all());
        match opened {
            // Some network and FUSE file systems have no such operation.
            Err(e) if e.kind() == ErrorKind::InvalidInput => {}
            opened => opened.map_err(|e| Error::io(folder, e))?,
        }
    }
    Ok(())
}

/// The folder that a file lies in.
pub fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `path`, or the file that the link there leads to.
///
/// # Errors
/// Returns an error if there is a folder, a device or a pipe: a rename would replace the latter two.
fn link_target(path: &Path) -> Result<PathBuf> {
    let Ok(metadata) = std::fs::metadata(path) else {
        return Ok(path.to_path_buf());
    };
    if !metadata.is_file() {
        return Err(Error::invalid(path, not_a_file(&metadata)));
    }
    if path.is_symlink() {
        return path.canonicalize().map_err(|e| Error::io(path, e));
    }
    Ok(path.to_path_buf())
}

/// What is wrong with something that is not a regular file.
fn not_a_file(metadata: &Metadata) -> String {
    let found = if metadata.is_dir() {
        "a folder"
    } else {
        "a device or a pipe"
    };
    format!("is {found}, expected a file")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(unix)]
    fn devices_and_pipes_are_neither_read_nor_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let pipe = folder.path().join("pipe");
        let made = std::process::Command::new("mkfifo").arg(&pipe).status();
        assert!(made.unwrap().success());
        for path in [pipe.as_path(), Path::new("/dev/null")] {
            let errors = [
                read_text(path).unwrap_err(),
                write_atomic(path, b"new").unwrap_err(),
                check_target(path).unwrap_err(),
            ];
            for error in errors {
                assert!(
                    error.to_string().contains("is a device or a pipe"),
                    "{error}"
                );
            }
        }
        let error = read_text(folder.path()).unwrap_err().to_string();
        assert!(error.contains("is a folder"), "{error}");
    }

    #[test]
    #[cfg(unix)]
    fn writing_to_a_link_replaces_what_it_leads_to() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_atomic(&link, b"new").unwrap();
        assert!(link.is_symlink());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "new");
    }

    #[test]
    fn taken_names_get_a_number() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.b.npz");
        assert_eq!(unused_path(&path), path);
        for name in ["a.b.npz", "a.b-2.npz"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        assert_eq!(unused_path(&path), folder.path().join("a.b-3.npz"));
    }

    #[test]
    fn pointers_and_large_files_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.parquet");
        let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n";
        std::fs::write(&path, pointer).unwrap();
        let error = open_source(&path).unwrap_err().to_string();
        assert!(
            error.contains("a.parquet: is a pointer of git-lfs"),
            "{error}"
        );
        std::fs::write(&path, [0; 9]).unwrap();
        assert_eq!(read_source(&path, 9).unwrap(), [0; 9]);
        let error = read_source(&path, 8).unwrap_err().to_string();
        assert!(error.contains("a.parquet: is larger than 0 MiB"), "{error}");
    }
}
