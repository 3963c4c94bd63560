//! Where worlds, datasets and runs of this person lie.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_model::checkpoint::CONFIG;

/// The variable that names another folder than the platform's.
pub const HOME: &str = "DRIFTLESS_HOME";

/// The folder of everything that a person makes: `worlds/NAME`, `data/NAME`, `runs/NAME`; and of what
/// the program puts beside it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    root: PathBuf,
}

impl Places {
    /// The given folder, else that of the variable [`HOME`], else the platform's folder for data.
    ///
    /// # Errors
    /// None is given and the platform names none.
    pub fn find(given: Option<PathBuf>) -> Result<Self> {
        let named = || std::env::var_os(HOME).filter(|name| !name.is_empty());
        let platform = || {
            let folders = directories::ProjectDirs::from("", "", "driftless")?;
            Some(folders.data_dir().to_path_buf())
        };
        let root = given
            .or_else(|| named().map(PathBuf::from))
            .or_else(platform);
        root.map(|root| Self { root }).ok_or_else(|| {
            Error::Argument(format!(
                "this system names no folder for a person's data, expected one in {HOME}"
            ))
        })
    }

    /// Saved worlds, each a checkpoint folder.
    pub fn worlds(&self) -> PathBuf {
        self.root.join("worlds")
    }

    /// Recorded and imported datasets.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// What was saved while playing: recordings, tables, pictures.
    pub fn saved(&self) -> PathBuf {
        self.root.join("saved")
    }

    /// Runs of the trainer.
    pub fn runs(&self) -> PathBuf {
        self.root.join("runs")
    }

    /// Shipped worlds out of the program itself; each can be unpacked again.
    pub fn shipped(&self) -> PathBuf {
        self.root.join("shipped")
    }

    /// The saved worlds, newest first.
    pub fn saved_worlds(&self) -> Vec<PathBuf> {
        newest_first(&self.worlds(), CONFIG)
    }

    /// The datasets, newest first.
    pub fn datasets(&self) -> Vec<PathBuf> {
        newest_first(&self.data(), "dataset.json")
    }

    /// The runs that have begun, newest first.
    pub fn begun_runs(&self) -> Vec<PathBuf> {
        newest_first(&self.runs(), "settings.toml")
    }
}

/// The folders in `parent` that hold `file`, the one whose file changed last first.
fn newest_first(parent: &Path, file: &str) -> Vec<PathBuf> {
    let Ok(entries) = parent.read_dir() else {
        return Vec::new();
    };
    let dated = |folder: PathBuf| {
        let changed = folder.join(file).metadata().ok()?.modified().ok();
        Some((changed.unwrap_or(SystemTime::UNIX_EPOCH), folder))
    };
    let hidden = |folder: &PathBuf| {
        let name = folder.file_name().unwrap_or_default();
        name.to_string_lossy().starts_with('.')
    };
    let folders = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<_> = folders.filter(|f| !hidden(f)).filter_map(dated).collect();
    found.sort();
    found.into_iter().rev().map(|(_, folder)| folder).collect()
}

/// The name of a folder for something that a person called `name`.
///
/// # Errors
/// Nothing of the name can be one.
pub fn folder_name(name: &str) -> Result<String> {
    let allowed = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let letters: String = name
        .trim()
        .chars()
        .map(|c| if allowed(c) { c } else { '-' })
        .collect();
    let kept = letters.trim_matches(['-', '.']);
    match kept.is_empty() || kept.len() > 120 {
        true => Err(Error::Argument(format!(
            "'{name}' cannot name a folder, expected letters or digits, at most 120 bytes"
        ))),
        false => Ok(kept.to_owned()),
    }
}

/// `parent/name`, or the first of `name-2`, `name-3`, … that is not there yet.
pub fn free(parent: &Path, name: &str) -> PathBuf {
    let numbered = (2_u32..).map(|number| format!("{name}-{number}"));
    std::iter::once(name.to_owned())
        .chain(numbered)
        .map(|name| parent.join(name))
        .find(|folder| !folder.exists())
        .unwrap_or_else(|| parent.join(name))
}

/// `folder/name`, or the first of `NAME-2.EXT`, `NAME-3.EXT`, … that is not there yet; the folder is
/// made.
///
/// # Errors
/// The folder cannot be made.
pub fn free_file(folder: &Path, name: &str) -> Result<PathBuf> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    let (stem, end) = name.rsplit_once('.').unwrap_or((name, ""));
    let numbered = (2_u32..).map(|number| format!("{stem}-{number}.{end}"));
    let mut names = std::iter::once(name.to_owned()).chain(numbered);
    let path = names.find_map(|name| {
        let path = folder.join(name);
        (!path.exists()).then_some(path)
    });
    Ok(path.unwrap_or_else(|| folder.join(name)))
}

/// Episodes that lie in the hidden folder beside `target` which is to become it.
pub fn episodes_so_far(target: &Path) -> usize {
    let name = target.file_name().unwrap_or_default().to_string_lossy();
    let (before, after) = (format!(".{name}."), ".partial");
    let staged = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&before) && name.ends_with(after)
    };
    let inside = |folder: &Path| -> Vec<PathBuf> {
        let entries = folder.read_dir().into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let folders = target.parent().map(inside).unwrap_or_default();
    let files = folders.iter().filter(|path| staged(path));
    files
        .flat_map(|folder| inside(folder))
        .filter(|file| file.extension().is_some_and(|end| end == "npz"))
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_given_folder_goes_before_all_others() {
        let places = Places::find(Some("here".into())).unwrap();
        assert_eq!(places.worlds(), Path::new("here").join("worlds"));
        assert!(places.saved_worlds().is_empty());
    }

    #[test]
    fn only_folders_that_hold_what_they_should_are_listed() {
        let root = tempfile::tempdir().unwrap();
        let places = Places::find(Some(root.path().into())).unwrap();
        for name in ["maze", "broken", ".maze.x.partial"] {
            std::fs::create_dir_all(places.data().join(name)).unwrap();
        }
        for name in ["maze", ".maze.x.partial"] {
            std::fs::write(places.data().join(name).join("dataset.json"), "{}").unwrap();
        }
        assert_eq!(places.datasets(), [places.data().join("maze")]);
    }

    #[test]
    fn a_name_becomes_a_folder_inside_its_place_or_is_refused() {
        assert_eq!(folder_name(" My maze/2 ").unwrap(), "My-maze-2");
        assert_eq!(folder_name("../../etc").unwrap(), "etc");
        for name in ["", "  ", "..", "//"] {
            assert!(folder_name(name).is_err(), "{name}");
        }
    }

    #[test]
    fn episodes_are_counted_while_their_folder_is_being_made() {
        let root = tempfile::tempdir().unwrap();
        let target = root.path().join("maze");
        assert_eq!(episodes_so_far(&target), 0);
        let staging = driftless_data::staging::Staging::new(&target).unwrap();
        for name in ["a.npz", "b.npz", "dataset.json"] {
            std::fs::write(staging.path().join(name), "").unwrap();
        }
        assert_eq!(episodes_so_far(&target), 2);
        assert_eq!(episodes_so_far(&root.path().join("drive")), 0);
    }

    #[test]
    fn a_taken_name_gets_a_number() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(free(root.path(), "a"), root.path().join("a"));
        std::fs::create_dir(root.path().join("a")).unwrap();
        assert_eq!(free(root.path(), "a"), root.path().join("a-2"));
    }
}
