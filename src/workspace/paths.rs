//! The folders for the user's worlds, datasets and runs, and unused names in them.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use driftless_data::PathError as _;
use driftless_data::fs::unused_path;
use driftless_data::layout::{dataset, is_episode};
use driftless_data::partial::is_partial;
use driftless_model::checkpoint::CONFIG;
use driftless_train::RunLayout;

use crate::{Error, Result};

/// Environment variable that overrides the platform's data folder.
pub const HOME_VARIABLE: &str = "DRIFTLESS_HOME";

/// Longest folder name in bytes.
const MAX_NAME_BYTES: usize = 120;

/// The user's data folder and what is in it: `worlds/NAME`, `data/NAME`, `runs/NAME`, `saved/`,
/// `unfinished/` and `shipped/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserPaths {
    root: PathBuf,
}

impl UserPaths {
    /// Uses `root` if given, else the folder in [`HOME_VARIABLE`], else the platform's data folder.
    ///
    /// # Errors
    /// Returns an error if none of the three exists.
    pub fn resolve(root: Option<PathBuf>) -> Result<Self> {
        let from_variable = || std::env::var_os(HOME_VARIABLE).filter(|name| !name.is_empty());
        let from_platform = || {
            let folders = directories::ProjectDirs::from("", "", "driftless")?;
            Some(folders.data_dir().to_path_buf())
        };
        let root = root
            .or_else(|| from_variable().map(PathBuf::from))
            .or_else(from_platform);
        root.map(|root| Self { root }).ok_or_else(|| {
            Error::Config(format!(
                "this system has no folder for user data: name one in {HOME_VARIABLE}"
            ))
        })
    }

    /// The folder that holds all others.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Folder of the saved worlds, each a checkpoint folder.
    pub fn worlds(&self) -> PathBuf {
        self.root.join("worlds")
    }

    /// Folder of the recorded and imported datasets.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// Folder of the files saved while playing: recordings, tables, images.
    pub fn saved(&self) -> PathBuf {
        self.root.join("saved")
    }

    /// Folder of the recordings in progress, and of those that a killed program has left.
    pub fn unfinished(&self) -> PathBuf {
        self.root.join("unfinished")
    }

    /// Folder of the training runs.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Folder of the included worlds that were unpacked from the executable. It can be deleted; they
    /// are unpacked again when needed.
    pub fn shipped(&self) -> PathBuf {
        self.root.join("shipped")
    }

    /// The saved worlds, newest first.
    pub fn list_worlds(&self) -> Vec<PathBuf> {
        newest_first(&self.worlds(), CONFIG)
    }

    /// The datasets, newest first.
    pub fn list_datasets(&self) -> Vec<PathBuf> {
        newest_first(&self.data(), dataset::INFO)
    }

    /// The runs that have been started, newest first.
    pub fn list_runs(&self) -> Vec<PathBuf> {
        newest_first(&self.runs(), RunLayout::SETTINGS)
    }
}

/// The folders in `parent` that contain `file`, ordered by its modification time, newest first.
fn newest_first(parent: &Path, file: &str) -> Vec<PathBuf> {
    let Ok(entries) = parent.read_dir() else {
        return Vec::new();
    };
    let with_time = |folder: PathBuf| {
        let modified = folder.join(file).metadata().ok()?.modified().ok();
        Some((modified.unwrap_or(SystemTime::UNIX_EPOCH), folder))
    };
    let is_hidden = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with('.')
    };
    let folders = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<_> = folders
        .filter(|folder| !is_hidden(folder))
        .filter_map(with_time)
        .collect();
    found.sort();
    found.into_iter().rev().map(|(_, folder)| folder).collect()
}

/// Turns a name typed by the user into a folder name.
///
/// # Errors
/// Returns an error if no usable character is left, or more than 120 bytes are.
pub fn folder_name(name: &str) -> Result<String> {
    let is_allowed = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let replaced: String = name
        .trim()
        .chars()
        .map(|c| if is_allowed(c) { c } else { '-' })
        .collect();
    let folder = replaced.trim_matches(['-', '.']);
    if folder.is_empty() || folder.len() > MAX_NAME_BYTES {
        return Err(Error::Argument(format!(
            "'{name}' is not usable as a folder name, expected letters or digits, at most \
             {MAX_NAME_BYTES} bytes"
        )));
    }
    Ok(folder.to_owned())
}

/// `parent/name`, or the first of `name-2`, `name-3`, … that does not exist.
pub fn unused_folder(parent: &Path, name: &str) -> PathBuf {
    let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .map(|name| parent.join(name))
        .find(|folder| !folder.exists())
        .unwrap_or_else(|| parent.join(name))
}

/// `folder/NAME.EXT`, or the first of `NAME-2.EXT`, `NAME-3.EXT`, … that does not exist. Creates the
/// folder.
///
/// # Errors
/// Returns an error if the folder cannot be created.
pub fn unused_file(folder: &Path, name: &str) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    Ok(unused_path(&folder.join(name)))
}

/// Number of episodes in the hidden staging folder next to `target`, while a dataset is being written.
pub fn count_staged_episodes(target: &Path) -> usize {
    let list = |folder: &Path| -> Vec<PathBuf> {
        let entries = folder.read_dir().into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let siblings = target.parent().map(list).unwrap_or_default();
    let staging_folders = siblings.iter().filter(|path| is_partial(path, target));
    staging_folders
        .flat_map(|folder| list(folder))
        .filter(|file| is_episode(file))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_root_wins() {
        let paths = UserPaths::resolve(Some("here".into())).unwrap();
        assert_eq!(paths.worlds(), Path::new("here").join("worlds"));
        assert!(paths.list_worlds().is_empty());
    }

    #[test]
    fn lists_only_whole_datasets() {
        let root = tempfile::tempdir().unwrap();
        let paths = UserPaths::resolve(Some(root.path().into())).unwrap();
        for name in ["maze", "broken", ".maze.x.partial"] {
            std::fs::create_dir_all(paths.data().join(name)).unwrap();
        }
        for name in ["maze", ".maze.x.partial"] {
            std::fs::write(paths.data().join(name).join("dataset.json"), "{}").unwrap();
        }
        assert_eq!(paths.list_datasets(), [paths.data().join("maze")]);
    }

    #[test]
    fn folder_names_stay_inside() {
        assert_eq!(folder_name(" My maze/2 ").unwrap(), "My-maze-2");
        assert_eq!(folder_name("../../etc").unwrap(), "etc");
        for name in ["", "  ", "..", "//"] {
            assert!(folder_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn counts_staged_episodes() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("maze");
        assert_eq!(count_staged_episodes(&target), 0);
        let staging = driftless_data::staging::StagingFolder::new(&target).unwrap();
        for name in ["a.npz", "b.npz", "dataset.json"] {
            std::fs::write(staging.path().join(name), "").unwrap();
        }
        assert_eq!(count_staged_episodes(&target), 2);
        assert_eq!(count_staged_episodes(&root.path().join("drive")), 0);
    }

    #[test]
    fn taken_name_gets_a_number() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(unused_folder(root.path(), "a"), root.path().join("a"));
        std::fs::create_dir(root.path().join("a")).unwrap();
        assert_eq!(unused_folder(root.path(), "a"), root.path().join("a-2"));
    }
}
