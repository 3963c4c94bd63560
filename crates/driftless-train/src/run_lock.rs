//! Keeps two trainers out of one run's folder.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};

use driftless_data::PathError as _;

use super::layout::RunLayout;
use crate::{Error, Result};

/// Held while a run trains. The system releases it when the process ends, however it ends.
pub(super) struct RunLock {
    _file: File,
}

impl RunLock {
    /// Whether the run could be locked, without making its folder.
    ///
    /// # Errors
    /// Returns an error if another process trains in the folder.
    pub fn check(layout: &RunLayout) -> Result<()> {
        if layout.lock().exists() {
            Self::acquire(layout)?;
        }
        Ok(())
    }

    /// Locks the run's folder, which is created if it is missing.
    ///
    /// # Errors
    /// Returns an error if another process trains in the folder, or if it cannot be written.
    pub fn acquire(layout: &RunLayout) -> Result<Self> {
        let (folder, path) = (layout.root(), layout.lock());
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|e| Error::io(&path, e))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut id = String::new();
                // Unreadable while locked on Windows.
                let _ = file.read_to_string(&mut id);
                let who = match id.trim() {
                    "" => "another process".to_owned(),
                    id => format!("process {id}"),
                };
                return Err(Error::invalid(
                    folder,
                    format!(
                        "{who} is training in this folder: stop it first, or use another --out"
                    ),
                ));
            }
            Err(TryLockError::Error(e)) => return Err(Error::io(&path, e)),
        }
        let id = std::process::id().to_string();
        file.set_len(0)
            .and_then(|()| file.write_all(id.as_bytes()))
            .map_err(|e| Error::io(&path, e))?;
        Ok(Self { _file: file })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_trainer_is_refused_with_the_first_ones_id() {
        let folder = tempfile::tempdir().unwrap();
        let layout = RunLayout::new(folder.path().join("run"));
        let first = RunLock::acquire(&layout).unwrap();
        let error = RunLock::acquire(&layout).err().unwrap().to_string();
        let id = format!("process {} is training", std::process::id());
        assert!(!cfg!(unix) || error.contains(&id), "{error}");
        drop(first);
        RunLock::check(&layout).unwrap();
    }

    #[test]
    fn check_makes_no_folder() {
        let folder = tempfile::tempdir().unwrap();
        let layout = RunLayout::new(folder.path().join("run"));
        RunLock::check(&layout).unwrap();
        assert!(!layout.root().exists());
        let _lock = RunLock::acquire(&layout).unwrap();
        assert!(RunLock::check(&layout).is_err());
    }
}
