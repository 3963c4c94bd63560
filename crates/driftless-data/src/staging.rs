//! A folder that appears under its final name complete, or not at all.

use std::fs::OpenOptions;
use std::path::{Path, PathBuf};

use crate::fs::{check_target, sync_folder};
use crate::layout::dataset;
use crate::partial::{PartialFolder, RESUME, is_partial};
use crate::{Error, PathError as _, Result};

/// A temporary folder on its way to its target: [`StagingFolder::finish`] puts it there, dropping it
/// removes it.
///
/// It lies next to its target and is renamed. An empty folder that exists stays what it is, a mount
/// point, a link or the current folder for example: the temporary folder lies inside, and its files
/// move up at the end, `dataset.json` last.
pub struct StagingFolder {
    target: PathBuf,
    folder: PartialFolder,
    /// Whether the target existed and is filled.
    inside: bool,
}

impl StagingFolder {
    /// Checks that a new folder may be put at `target`.
    ///
    /// # Errors
    /// Returns an error if `target` exists and is not an empty folder, is a link to nothing, or if the
    /// folder that it is to be made in is not writable.
    pub fn check(target: &Path) -> Result<()> {
        Self::check_free(target)?;
        // What does not exist yet is created.
        let absolute = std::path::absolute(target).map_err(|e| Error::io(target, e))?;
        let existing = absolute.ancestors().find(|folder| folder.exists());
        existing.map_or(Ok(()), |folder| check_target(&folder.join(dataset::INFO)))
    }

    fn check_free(target: &Path) -> Result<()> {
        if !target.exists() {
            if target.is_symlink() {
                let what = "is a link to a folder that does not exist";
                return Err(Error::invalid(target, what));
            }
            return Ok(());
        }
        // What an interrupted import left behind is hidden, and in nobody's way.
        let resolved = target.canonicalize().map_err(|e| Error::io(target, e))?;
        for entry in target.read_dir().map_err(|e| Error::io(target, e))? {
            let entry = entry.map_err(|e| Error::io(target, e))?;
            if !is_partial(&entry.path(), &resolved) {
                let what = "is not empty, expected a new or an empty folder";
                return Err(Error::invalid(target, what));
            }
        }
        Ok(())
    }

    /// Creates the temporary folder for `target`.
    ///
    /// # Errors
    /// Returns an error if `target` exists and is not an empty folder, or the folder to write into is
    /// not writable.
    pub fn new(target: &Path) -> Result<Self> {
        Self::create(target, None)
    }

    /// As [`StagingFolder::new`], or goes on with the folder that a killed program has left on its way to
    /// `target` with the same `note`, a line that tells what is made. Its files are whole, if they were
    /// written by [`crate::fs::write_atomic`].
    ///
    /// # Errors
    /// As [`StagingFolder::new`].
    pub fn resume(target: &Path, note: &str) -> Result<Self> {
        let staging = Self::create(target, Some(note.as_bytes()))?;
        let path = staging.path().join(RESUME);
        if !path.exists() {
            crate::fs::write_atomic(&path, note.as_bytes())?;
        }
        Ok(staging)
    }

    fn create(target: &Path, note: Option<&[u8]>) -> Result<Self> {
        Self::check_free(target)?;
        let inside = target.exists();
        // Without a final `/.`, which cannot be renamed to.
        let target: PathBuf = if inside {
            target.canonicalize().map_err(|e| Error::io(target, e))?
        } else {
            target.components().collect()
        };
        let parent = match target.parent() {
            _ if inside => target.as_path(),
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(parent).map_err(|e| Error::io(parent, e))?;
        let adopted = note.and_then(|note| PartialFolder::adopt(parent, &target, note));
        let folder = match adopted {
            Some(folder) => folder,
            None => PartialFolder::new(parent, &target).map_err(|e| Error::io(parent, e))?,
        };
        Ok(Self {
            target,
            folder,
            inside,
        })
    }

    /// The temporary folder to write into.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Flushes every file to disk and puts the folder at its target.
    ///
    /// # Errors
    /// Returns an error if a file cannot be flushed; the temporary folder is then removed. If it only
    /// cannot be put in its place, the error says where it stays.
    pub fn finish(self) -> Result<()> {
        let note = self.path().join(RESUME);
        if note.exists() {
            std::fs::remove_file(&note).map_err(|e| Error::io(&note, e))?;
        }
        self.sync_files()?;
        let moved = if self.inside {
            Self::check_free(&self.target).and_then(|()| self.move_up())
        } else {
            // A rename would also replace a folder that has appeared since, if it is empty.
            std::fs::rename(self.folder.path(), &self.target)
                .map_err(|e| Error::io(&self.target, e))
        };
        // Either it has been renamed, or it stays.
        let Self {
            target,
            folder,
            inside,
        } = self;
        let partial = folder.keep();
        if let Err(error) = moved {
            let reason = match error {
                Error::Io { source, .. } => source.to_string(),
                other => other.to_string(),
            };
            let kept = keep_aside(&partial, &target);
            let what = format!("{reason}; the finished files are in {}", kept.display());
            return Err(Error::invalid(target, what));
        }
        if inside {
            std::fs::remove_dir(&partial).map_err(|e| Error::io(&partial, e))?;
            return sync_folder(&target);
        }
        match target.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => sync_folder(parent),
            _ => sync_folder(Path::new(".")),
        }
    }

    /// The files in the temporary folder: those that say what the others are come last, and `dataset.json` after all.
    fn files(&self) -> Result<Vec<PathBuf>> {
        let folder = self.folder.path();
        let entries = folder.read_dir().map_err(|e| Error::io(folder, e))?;
        let mut files = entries
            .map(|entry| Ok(entry.map_err(|e| Error::io(folder, e))?.path()))
            .collect::<Result<Vec<PathBuf>>>()?;
        files.sort_by_key(|file| {
            let is_json = file.extension().is_some_and(|end| end == "json");
            (is_json, file.ends_with(dataset::INFO))
        });
        Ok(files)
    }

    /// Flushes the files to disk: a full one is noticed here at the latest.
    fn sync_files(&self) -> Result<()> {
        for file in self.files()? {
            // Windows flushes only what is open for writing.
            let opened = OpenOptions::new()
                .read(true)
                .write(cfg!(windows))
                .open(&file);
            opened
                .and_then(|opened| opened.sync_all())
                .map_err(|e| Error::io(&file, e))?;
        }
        sync_folder(self.folder.path())
    }

    /// Moves the files from the temporary folder into the target around it.
    fn move_up(&self) -> Result<()> {
        for file in self.files()? {
            let to = self.target.join(file.file_name().unwrap_or_default());
            std::fs::rename(&file, &to).map_err(|e| Error::io(&to, e))?;
        }
        Ok(())
    }
}

/// Gives finished files a name that no sweep removes: `NAME-2`, or the next that is free, beside
/// `target`. Returns where they are.
fn keep_aside(partial: &Path, target: &Path) -> PathBuf {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let mut names = (2..100).map(|number| target.with_file_name(format!("{name}-{number}")));
    match names.find(|path| std::fs::symlink_metadata(path).is_err()) {
        Some(path) if std::fs::rename(partial, &path).is_ok() => path,
        _ => partial.to_path_buf(),
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

    #[test]
    fn existing_empty_folder_is_filled() {
        let root = tempfile::tempdir().unwrap();
        let data = root.path().join("data");
        std::fs::create_dir(&data).unwrap();
        // What a killed import left.
        let left = data.join(".data.123456.driftless-partial");
        std::fs::create_dir(&left).unwrap();
        StagingFolder::check(&data).unwrap();
        let staging = StagingFolder::new(&data.join(".")).unwrap();
        assert_eq!(staging.path().parent(), data.canonicalize().ok().as_deref());
        for file in ["dataset.json", "a.npz"] {
            std::fs::write(staging.path().join(file), "1").unwrap();
        }
        assert!(staging.files().unwrap()[1].ends_with("dataset.json"));
        staging.finish().unwrap();
        assert!(data.join("a.npz").is_file() && data.join("dataset.json").is_file());
        assert!(!cfg!(unix) || !left.exists());
    }

    #[test]
    #[cfg(unix)]
    fn link_to_an_empty_folder_stays_a_link() {
        let root = tempfile::tempdir().unwrap();
        let (real, link) = (root.path().join("real"), root.path().join("link"));
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let message = StagingFolder::new(&link).err().unwrap().to_string();
        assert!(message.contains("does not exist"), "{message}");
        std::fs::create_dir(&real).unwrap();
        let staging = StagingFolder::new(&link).unwrap();
        std::fs::write(staging.path().join("a"), "1").unwrap();
        staging.finish().unwrap();
        assert!(link.is_symlink() && real.join("a").is_file());
    }

    #[test]
    fn finished_work_is_kept_if_its_place_is_taken() {
        let root = tempfile::tempdir().unwrap();
        for exists in [false, true] {
            let target = root.path().join(format!("data-{exists}"));
            if exists {
                std::fs::create_dir(&target).unwrap();
            }
            let staging = StagingFolder::new(&target).unwrap();
            std::fs::write(staging.path().join("a"), "work").unwrap();
            std::fs::create_dir_all(&target).unwrap();
            std::fs::write(target.join("mine"), "1").unwrap();
            let message = staging.finish().unwrap_err().to_string();
            let (_, kept) = message.split_once("the finished files are in ").unwrap();
            let kept = std::fs::read_to_string(Path::new(kept).join("a")).unwrap();
            assert_eq!(kept, "work");
            assert!(target.join("mine").exists() && !target.join("a").exists());
        }
    }
}
