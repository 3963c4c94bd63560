//! A folder that appears under its final name complete, or not at all.

use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::layout::partial_affixes;
use crate::{Error, PathError as _, Result};

/// A temporary folder next to its target: [`StagingFolder::finish`] renames it, dropping it removes it.
pub struct StagingFolder {
    target: PathBuf,
    folder: TempDir,
}

impl StagingFolder {
    /// Checks that a new folder may be put at `target`.
    ///
    /// # Errors
    /// Returns an error if `target` exists and is not an empty folder.
    pub fn check(target: &Path) -> Result<()> {
        if target.exists() {
            let mut entries = target.read_dir().map_err(|e| Error::io(target, e))?;
            if entries.next().is_some() {
                let what = "is not empty, expected a new or an empty folder";
                return Err(Error::invalid(target, what));
            }
        }
        Ok(())
    }

    /// Creates the temporary folder that will become `target`.
    ///
    /// # Errors
    /// Returns an error if `target` exists and is not an empty folder, or its parent is not
    /// writable.
    pub fn new(target: &Path) -> Result<Self> {
        Self::check(target)?;
        let parent = match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
        let (prefix, suffix) = partial_affixes(target);
        let mut builder = tempfile::Builder::new();
        builder.prefix(&prefix).suffix(suffix);
        // Like any new folder, readable by whoever the umask allows; tempfile's default is owner
        // only.
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

    /// The temporary folder to write into.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Renames the folder to its target.
    ///
    /// # Errors
    /// Returns an error if the rename fails; the target is then unchanged.
    pub fn finish(self) -> Result<()> {
        // On some systems a rename fails if the target exists, even as an empty folder.
        if self.target.exists() {
            std::fs::remove_dir(&self.target).map_err(|e| Error::io(&self.target, e))?;
        }
        std::fs::rename(self.folder.path(), &self.target)
            .map_err(|e| Error::io(&self.target, e))?;
        // It has been renamed, so there is nothing to remove.
        let _ = self.folder.keep();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finish_creates_only_the_target() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("deep/data");
        let staging = StagingFolder::new(&target).unwrap();
        std::fs::write(staging.path().join("a"), "1").unwrap();
        assert!(!target.exists());
        staging.finish().unwrap();
        assert_eq!(std::fs::read_to_string(target.join("a")).unwrap(), "1");
        assert_eq!(root.path().join("deep").read_dir().unwrap().count(), 1);
    }

    #[test]
    fn drop_removes_the_folder() {
        let root = tempfile::tempdir().unwrap();
        drop(StagingFolder::new(&root.path().join("data")).unwrap());
        assert_eq!(root.path().read_dir().unwrap().count(), 0);
    }

    #[test]
    fn only_empty_targets_are_accepted() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("data");
        std::fs::create_dir(&target).unwrap();
        StagingFolder::new(&target).unwrap().finish().unwrap();
        std::fs::write(target.join("mine"), "").unwrap();
        let message = StagingFolder::new(&target).err().unwrap().to_string();
        assert!(message.contains("is not empty"), "{message}");
        assert!(target.join("mine").exists());
    }
}
