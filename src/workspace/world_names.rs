//! Learned worlds by name: the included ones, and those that the user saved.

use std::path::{Path, PathBuf};

use driftless_data::PathError as _;
use driftless_data::layout::checkpoint::{CONFIG, DYNAMICS, TOKENIZER};

use super::world_file::{self, OpenedWorld, is_world_file};
use super::{IncludedWorlds, UserPaths};
use crate::{Error, Result};

/// Most edits between a wrong name and one that is suggested for it.
const MAX_EDITS: usize = 2;

/// Finds worlds by name.
pub struct WorldNames {
    included: IncludedWorlds,
    saved: Vec<PathBuf>,
    home: Option<PathBuf>,
}

impl WorldNames {
    /// The worlds of this program and of the user's data folder, which `home` overrides.
    pub fn find(home: Option<PathBuf>) -> Self {
        // Without a data folder there are no saved worlds.
        let saved = UserPaths::resolve(home.clone()).map(|paths| paths.list_worlds());
        Self {
            included: IncludedWorlds::find(home.clone()),
            home,
            saved: saved.unwrap_or_default(),
        }
    }

    /// The names of all learned worlds, included ones first.
    pub fn learned(&self) -> Vec<String> {
        let mut names = self.included.names();
        for name in self.saved.iter().filter_map(|folder| folder_name(folder)) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
        names
    }

    /// As [`WorldNames::checkpoint`], with the game that a world's file holds.
    ///
    /// # Errors
    /// As [`WorldNames::checkpoint`].
    pub fn open(&self, world: &Path) -> Result<OpenedWorld> {
        if !world.is_dir() && world.is_file() && is_world_file(world) {
            return world_file::import(world, &UserPaths::resolve(self.home.clone())?);
        }
        Ok(self.checkpoint(world)?.into())
    }

    /// The checkpoint folder of a learned world: a folder, a world's file, which is put among the saved
    /// worlds, or the name of an included or a saved world in upper or lower case.
    ///
    /// # Errors
    /// Returns an error if there is no such world, which suggests similar names, or if it cannot be
    /// unpacked.
    pub fn checkpoint(&self, world: &Path) -> Result<PathBuf> {
        if world.is_dir() {
            return Ok(world.to_owned());
        }
        if world.is_file() && is_world_file(world) {
            return Ok(self.open(world)?.folder);
        }
        match self.named(world)? {
            Some(folder) => Ok(folder),
            None => Err(Error::invalid(world, unknown(world, &self.learned()))),
        }
    }

    /// A checkpoint folder by itself or by its name, in upper or lower case. `None` if `world` is another file or
    /// folder.
    ///
    /// # Errors
    /// Returns an error if there is nothing of this name, or if a world cannot be unpacked.
    pub fn any(&self, world: &Path) -> Result<Option<PathBuf>> {
        if world.join(CONFIG).is_file() {
            return Ok(Some(world.to_owned()));
        }
        if world.exists() {
            return Ok(None);
        }
        if let Some(folder) = self.named(world)? {
            return Ok(Some(folder));
        }
        if is_path(world) || world.extension().is_some() {
            return Ok(None);
        }
        Err(Error::invalid(world, unknown(world, &self.learned())))
    }

    /// The folder of the learned world of this name.
    fn named(&self, world: &Path) -> Result<Option<PathBuf>> {
        let Some(name) = world.to_str().filter(|_| !is_path(world)) else {
            return Ok(None);
        };
        let mut included = self.included.names().into_iter();
        if let Some(name) = included.find(|known| known.eq_ignore_ascii_case(name)) {
            return self.included.folder(&name);
        }
        let is_it = |folder: &&PathBuf| {
            folder_name(folder).is_some_and(|known| known.eq_ignore_ascii_case(name))
        };
        Ok(self.saved.iter().find(is_it).cloned())
    }
}

/// What is wrong with a world that does not exist.
fn unknown(world: &Path, names: &[String]) -> String {
    if world.exists() {
        return "is a file, expected a checkpoint folder, a world's .driftless file or the name of a world".to_owned();
    }
    if is_path(world) {
        return format!(
            "no such folder, expected a checkpoint with {CONFIG}, {TOKENIZER} and {DYNAMICS}"
        );
    }
    let known = names.join(", ");
    match similar(&world.to_string_lossy(), names) {
        Some(name) => format!("no such world; did you mean {name}? Known: {known}"),
        None => format!("no such world or checkpoint folder; known: {known}"),
    }
}

/// Whether it cannot be a name, because it has folders in it.
fn is_path(world: &Path) -> bool {
    world.components().count() != 1
}

fn folder_name(folder: &Path) -> Option<String> {
    folder.file_name()?.to_str().map(str::to_owned)
}

/// The name that is most like `wrong`, if one is like it at all: a few edits away, or longer.
fn similar<'a>(wrong: &str, names: &'a [String]) -> Option<&'a str> {
    let wrong = wrong.to_lowercase();
    let edits = |name: &String| {
        let name = name.to_lowercase();
        if wrong.len() > 2 && name.starts_with(&wrong) {
            return 0;
        }
        strsim::damerau_levenshtein(&wrong, &name)
    };
    let scored = names.iter().map(|name| (edits(name), name));
    let (edits, name) = scored.min_by_key(|(edits, _)| *edits)?;
    // In a short name, two edits leave nothing in common.
    (edits <= MAX_EDITS && 2 * edits < wrong.chars().count()).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> (tempfile::TempDir, WorldNames) {
        let home = tempfile::tempdir().unwrap();
        let saved = home.path().join("worlds/my-maze");
        std::fs::create_dir_all(&saved).unwrap();
        std::fs::write(saved.join(CONFIG), "{}").unwrap();
        let names = WorldNames::find(Some(home.path().to_owned()));
        (home, names)
    }

    #[test]
    fn similar_names_are_suggested() {
        let names = ["pong", "breakout", "doom", "maze"].map(str::to_owned);
        for (wrong, expected) in [
            ("pongg", Some("pong")),
            ("Pnog", Some("pong")),
            ("breakoutt", Some("breakout")),
            ("break", Some("breakout")),
            ("mazes", Some("maze")),
            ("chess", None),
            ("ab", None),
        ] {
            assert_eq!(similar(wrong, &names), expected, "{wrong}");
        }
        assert_eq!(similar("pong", &[]), None);
    }

    #[test]
    fn names_of_all_kinds_are_found() {
        let (home, names) = names();
        let saved = home.path().join("worlds/my-maze");
        assert_eq!(names.checkpoint(Path::new("My-Maze")).unwrap(), saved);
        let pong = names.checkpoint(Path::new("PONG")).unwrap();
        assert!(pong.join(CONFIG).is_file());
        let any = |name: &str| names.any(Path::new(name)).unwrap();
        assert_eq!(any("my-maze"), Some(saved));
        assert_eq!(any("pong"), Some(pong));
        assert_eq!(any(home.path().to_str().unwrap()), None);
        assert!(names.learned().contains(&"my-maze".to_owned()));
    }

    #[test]
    fn unknown_names_are_explained() {
        let (home, names) = names();
        let error = |world: &Path| names.checkpoint(world).unwrap_err().to_string();
        let wrong = error(Path::new("pongg"));
        assert!(
            wrong.contains("did you mean pong?") && wrong.contains("my-maze"),
            "{wrong}"
        );
        let file = home.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(error(&file).contains("is a file"), "{}", error(&file));
        let missing = error(&home.path().join("no/such"));
        assert!(missing.contains("no such folder"), "{missing}");
        let drove = names.any(Path::new("drvie")).unwrap_err().to_string();
        assert!(drove.contains("did you mean drive?"), "{drove}");
    }
}
