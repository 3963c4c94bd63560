//! The worlds included with the program, wherever it is installed.
//!
//! A world is looked for in `checkpoints/` in the working directory, next to the executable, and in
//! `../share/driftless/checkpoints` relative to the executable, where packages install it. If none of
//! these has it, it is unpacked from the executable into the user's data folder on first use, or into the
//! folder for temporary files where that cannot be written.

use std::path::{Path, PathBuf};

use driftless_data::PathError as _;
use driftless_data::fs::write_atomic;
use driftless_data::layout::checkpoint::{
    AGENT_CONFIG, AGENT_WEIGHTS, CARD, CONFIG, DYNAMICS, STARTING_CLIPS, TOKENIZER,
};
use driftless_data::staging::StagingFolder;
use driftless_transport::config::WEIGHTS;
use driftless_transport::controls::CONTROLS;
use serde::Deserialize;

use super::paths::{HOME_VARIABLE, UserPaths};
use crate::{Error, Result};

/// The default world.
pub const DEFAULT_WORLD: &str = "pong";

/// Name of the folder that holds the included worlds.
const CHECKPOINTS: &str = "checkpoints";

/// Folder below the one for temporary files, where the user's data folder cannot be written.
const TEMPORARY: &str = "driftless-shipped";

/// A world embedded in the executable.
struct EmbeddedWorld {
    name: &'static str,
    /// File names and contents.
    files: &'static [(&'static str, &'static [u8])],
}

macro_rules! embedded {
    ($name:literal) => {
        embedded!($name: with)
    };
    ($name:literal: with $($file:ident $text:literal),*) => {
        embedded!($name: CONFIG "config.json", CARD "card.json", TOKENIZER "tokenizer.safetensors",
            DYNAMICS "dynamics.safetensors", STARTING_CLIPS "contexts.npz" $(, $file $text)*)
    };
    ($name:literal: $($file:ident $text:literal),*) => {
        EmbeddedWorld {
            name: $name,
            files: &[$((
                $file,
                include_bytes!(concat!("../../checkpoints/", $name, "/", $text)),
            )),*],
        }
    };
}

/// In display order, before all other worlds.
static EMBEDDED: [EmbeddedWorld; 7] = [
    embedded!("pong": with AGENT_CONFIG "agent.json", AGENT_WEIGHTS "agent.safetensors"),
    embedded!("breakout"),
    embedded!("doom"),
    embedded!("maze"),
    embedded!("drive": with AGENT_CONFIG "agent.json", AGENT_WEIGHTS "agent.safetensors"),
    embedded!("steer"),
    embedded!("cells": CONFIG "config.json", CARD "card.json", WEIGHTS "transport.safetensors",
        CONTROLS "controls.npz"),
];

/// Finds the included worlds.
pub struct IncludedWorlds {
    /// Folders of worlds; the first one that contains a world wins.
    folders: Vec<PathBuf>,
    /// The user's data folder, instead of the default one.
    home: Option<PathBuf>,
    /// The folder for temporary files.
    temporary: PathBuf,
    embedded: &'static [EmbeddedWorld],
}

impl IncludedWorlds {
    /// The included worlds of this program. `home` overrides the user's data folder, into which
    /// worlds are unpacked.
    pub fn find(home: Option<PathBuf>) -> Self {
        Self {
            folders: search_folders(std::env::current_exe().ok().as_deref()),
            home,
            temporary: std::env::temp_dir(),
            embedded: &EMBEDDED,
        }
    }

    /// The checkpoint folder of the world called `name`, or `None` if there is no such world.
    ///
    /// # Errors
    /// Returns an error if the world is only in the executable and can be unpacked nowhere.
    pub fn folder(&self, name: &str) -> Result<Option<PathBuf>> {
        let mut candidates = self.folders.iter().map(|folder| folder.join(name));
        if let Some(found) = candidates.find(|folder| is_world(folder)) {
            return Ok(Some(found));
        }
        let Some(world) = self.embedded.iter().find(|world| world.name == name) else {
            return Ok(None);
        };
        let paths = UserPaths::resolve(self.home.clone())?;
        let unpacked = unpack(world, &paths.shipped()).or_else(|error| {
            tracing::warn!("{error}; unpacking into the folder for temporary files");
            // The first error says what to mend.
            unpack(world, &self.temporary.join(TEMPORARY)).map_err(|_| {
                let what = format!("{error}; name a folder that can be written in {HOME_VARIABLE}");
                Error::Config(what)
            })
        });
        unpacked.map(Some)
    }

    /// The checkpoint folder of the [`DEFAULT_WORLD`] world.
    ///
    /// # Errors
    /// Returns an error if the world is missing or cannot be unpacked.
    pub fn default_world(&self) -> Result<PathBuf> {
        self.folder(DEFAULT_WORLD)?.ok_or_else(|| {
            Error::Config(format!(
                "no included world found ({CHECKPOINTS}/{DEFAULT_WORLD}): name a checkpoint folder with --checkpoint"
            ))
        })
    }

    /// The display name of a world, from its configuration; nothing is unpacked. `None` if it cannot be read.
    pub fn display_name(&self, name: &str) -> Option<String> {
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let mut on_disk = self.folders.iter().map(|folder| folder.join(name));
        let config = match on_disk.find(|folder| is_world(folder)) {
            Some(folder) => std::fs::read(folder.join(CONFIG)).ok()?,
            None => {
                let world = self.embedded.iter().find(|world| world.name == name)?;
                let (_, config) = world.files.iter().find(|(file, _)| *file == CONFIG)?;
                config.to_vec()
            }
        };
        let named: Named = serde_json::from_slice(&config).ok()?;
        Some(named.name)
    }

    /// The names of all worlds: the embedded ones first, then the others in alphabetical order.
    pub fn names(&self) -> Vec<String> {
        let embedded = self.embedded.iter().map(|world| world.name.to_owned());
        let mut names: Vec<String> = embedded.collect();
        let on_disk = self.folders.iter().flat_map(|folder| worlds_in(folder));
        let mut others: Vec<String> = on_disk.filter(|name| !names.contains(name)).collect();
        others.sort();
        others.dedup();
        names.extend(others);
        names
    }
}

/// The folders to search, given the executable's path, in order.
fn search_folders(executable: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from(CHECKPOINTS)];
    if let Some(bin) = executable.and_then(Path::parent) {
        folders.push(bin.join(CHECKPOINTS));
        if let Some(prefix) = bin.parent() {
            folders.push(prefix.join("share/driftless").join(CHECKPOINTS));
        }
    }
    folders
}

fn is_world(folder: &Path) -> bool {
    folder.join(CONFIG).is_file()
}

/// The names of the worlds in a folder.
fn worlds_in(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    let worlds = entries.filter(|entry| is_world(&entry.path()));
    let names = worlds.filter_map(|entry| entry.file_name().into_string().ok());
    names.filter(|name| !name.starts_with('.')).collect()
}

/// The folder of an embedded world below `root`. Writes it unless it is already complete.
///
/// Its parent folder is named by the program's version and a checksum of the world, so that no
/// program plays what another version has unpacked.
fn unpack(world: &EmbeddedWorld, root: &Path) -> Result<PathBuf> {
    let version = format!("{}-{:08x}", env!("CARGO_PKG_VERSION"), checksum(world));
    let parent = root.join(version);
    let folder = parent.join(world.name);
    if is_complete(&folder, world) {
        return Ok(folder);
    }
    match std::fs::remove_dir_all(&folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&folder, e)),
        _ => {}
    }
    let staging = StagingFolder::new(&folder)?;
    for (file, bytes) in world.files {
        write_atomic(&staging.path().join(file), bytes)?;
    }
    match staging.finish() {
        // Another process unpacked it first.
        Err(_) if is_complete(&folder, world) => Ok(folder),
        finished => Ok(finished.map(|()| folder)?),
    }
}

/// CRC-32C of all file names and contents.
fn checksum(world: &EmbeddedWorld) -> u32 {
    world.files.iter().fold(0, |sum, (file, bytes)| {
        crc32c::crc32c_append(crc32c::crc32c_append(sum, file.as_bytes()), bytes)
    })
}

/// Whether a folder holds all files of an embedded world, byte for byte.
fn is_complete(folder: &Path, world: &EmbeddedWorld) -> bool {
    world.files.iter().all(|(file, bytes)| {
        std::fs::read(folder.join(file)).is_ok_and(|found| found.as_slice() == *bytes)
    })
}

#[cfg(test)]
#[path = "included_tests.rs"]
mod tests;
