//! The dataset folder to write: complete at once, or not at all.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::PathError as _;
use crate::{Error, Result};

/// A folder beside the target, renamed to it at the end and removed if that is never reached.
pub struct Staging {
    target: PathBuf,
    folder: TempDir,
}

impl Staging {
    /// Whether a folder may become `target`.
    ///
    /// # Errors
    /// `target` is there and not an empty folder.
    pub fn check(target: &Path) -> Result<()> {
        if target.exists() {
            let mut entries = target.read_dir().map_err(|e| Error::io(target, e))?;
            if entries.next().is_some() {
                let what = "already holds something, expected a new or an empty folder";
                return Err(Error::invalid(target, what));
            }
        }
        Ok(())
    }

    /// Begins a folder that shall become `target`.
    ///
    /// # Errors
    /// `target` is there and not an empty folder, or the folder above it cannot be written.
    pub fn new(target: &Path) -> Result<Self> {
        Self::check(target)?;
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let prefix = format!(".{name}.");
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(".partial");
        // As any new folder: what the umask leaves of these, not only for the owner.
        #[cfg(unix)]
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o777));
        let folder = builder
            .tempdir_in(parent)
            .map_err(|e| Error::io(parent, e))?;
        Ok(Self {
            target: target.to_path_buf(),
            folder,
        })
    }

    /// Where to write until then.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives the folder its name.
    ///
    /// # Errors
    /// The system refuses; the target then stays as it was.
    pub fn finish(self) -> Result<()> {
        // An empty folder of that name stands in the way of the rename on some systems.
        if self.target.exists() {
            std::fs::remove_dir(&self.target).map_err(|e| Error::io(&self.target, e))?;
        }
        std::fs::rename(self.folder.path(), &self.target)
            .map_err(|e| Error::io(&self.target, e))?;
        // Renamed away: nothing is left to remove.
        let _ = self.folder.keep();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_appears_whole_and_nothing_else_is_left() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("deep/data");
        let staging = Staging::new(&target).unwrap();
        std::fs::write(staging.path().join("a"), "1").unwrap();
        assert!(!target.exists());
        staging.finish().unwrap();
        assert_eq!(std::fs::read_to_string(target.join("a")).unwrap(), "1");
        assert_eq!(root.path().join("deep").read_dir().unwrap().count(), 1);
    }

    #[test]
    fn what_is_given_up_leaves_no_trace() {
        let root = tempfile::tempdir().unwrap();
        drop(Staging::new(&root.path().join("data")).unwrap());
        assert_eq!(root.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn an_empty_folder_is_filled_and_another_refused() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("data");
        std::fs::create_dir(&target).unwrap();
        Staging::new(&target).unwrap().finish().unwrap();
        std::fs::write(target.join("mine"), "").unwrap();
        let said = Staging::new(&target).err().unwrap().to_string();
        assert!(said.contains("already holds something"), "{said}");
        assert!(target.join("mine").exists());
    }
}
