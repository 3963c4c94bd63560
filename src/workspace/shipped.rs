//! The worlds that come with the program, wherever it was put.
//!
//! A world is looked for in `checkpoints/` where the program is started, beside the executable, and in
//! `../share/driftless/checkpoints` from there, as packages install it. Where none of these has it, it
//! comes out of the program itself, unpacked into the person's folder at its first use.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::library::CARD;
use super::places::Places;
use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_data::fs::write_atomic;
use driftless_data::staging::Staging;
use driftless_model::checkpoint::{CONFIG, CONTEXTS, DYNAMICS, TOKENIZER};

/// The world that is played where none is named.
pub const DEFAULT: &str = "pong";

/// Folder of the shipped worlds in each of the places.
const FOLDER: &str = "checkpoints";

/// What is left of an unpacking that broke off is removed when it is so old; none takes so long.
const LEFT_BEHIND: Duration = Duration::from_secs(3600);

/// A world inside the program.
struct Packed {
    name: &'static str,
    /// Names and contents.
    files: &'static [(&'static str, &'static [u8])],
}

macro_rules! packed {
    ($name:literal: $($file:ident $text:literal),*) => {
        Packed {
            name: $name,
            files: &[$((
                $file,
                include_bytes!(concat!("../../checkpoints/", $name, "/", $text)),
            )),*],
        }
    };
    ($name:literal) => {
        packed!($name: CONFIG "config.json", CARD "card.json", TOKENIZER "tokenizer.safetensors",
            DYNAMICS "dynamics.safetensors", CONTEXTS "contexts.npz")
    };
}

/// In the order in which they are shown, before any others.
static PACKED: [Packed; 4] = [
    packed!("pong"),
    packed!("breakout"),
    packed!("doom"),
    packed!("maze"),
];

/// Where shipped worlds are looked for.
pub struct Shipped {
    /// Folders of worlds; the first that has a world wins.
    folders: Vec<PathBuf>,
    /// Where the person's things are kept, instead of the platform's folder.
    home: Option<PathBuf>,
    packed: &'static [Packed],
}

impl Shipped {
    /// The places of this program; `home` is where the person's things are kept, instead of the
    /// platform's folder.
    pub fn find(home: Option<PathBuf>) -> Self {
        Self {
            folders: folders(std::env::current_exe().ok().as_deref()),
            home,
            packed: &PACKED,
        }
    }

    /// The checkpoint folder of the world of that name, if there is one.
    ///
    /// # Errors
    /// Only the program itself has it, and it cannot be unpacked.
    pub fn folder(&self, name: &str) -> Result<Option<PathBuf>> {
        let mut lying = self.folders.iter().map(|folder| folder.join(name));
        if let Some(found) = lying.find(|folder| is_world(folder)) {
            return Ok(Some(found));
        }
        let Some(packed) = self.packed.iter().find(|packed| packed.name == name) else {
            return Ok(None);
        };
        let places = Places::find(self.home.clone())?;
        unpack(packed, &places.shipped()).map(Some)
    }

    /// The checkpoint folder of the world [`DEFAULT`].
    ///
    /// # Errors
    /// As of [`Self::folder`].
    pub fn default_world(&self) -> Result<PathBuf> {
        self.folder(DEFAULT)?.ok_or_else(|| {
            Error::Argument(format!(
                "no shipped world found ({FOLDER}/{DEFAULT}): name a checkpoint folder with --checkpoint"
            ))
        })
    }

    /// The names of all worlds: those in the program first, then others by the alphabet.
    pub fn names(&self) -> Vec<String> {
        let own = self.packed.iter().map(|packed| packed.name.to_owned());
        let mut names: Vec<String> = own.collect();
        let lying = self.folders.iter().flat_map(|folder| worlds_in(folder));
        let mut others: Vec<String> = lying.filter(|name| !names.contains(name)).collect();
        others.sort();
        others.dedup();
        names.extend(others);
        names
    }
}

/// Where worlds may lie around an executable, in the order in which they are looked for.
fn folders(executable: Option<&Path>) -> Vec<PathBuf> {
    let mut folders = vec![PathBuf::from(FOLDER)];
    if let Some(beside) = executable.and_then(Path::parent) {
        folders.push(beside.join(FOLDER));
        if let Some(above) = beside.parent() {
            folders.push(above.join("share/driftless").join(FOLDER));
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

/// The folder of a packed world below `root`, written where it is not there whole.
///
/// The folder above it is named by the program's version and the world's contents, so that no program
/// plays what another one has unpacked.
fn unpack(packed: &Packed, root: &Path) -> Result<PathBuf> {
    let version = format!("{}-{:08x}", env!("CARGO_PKG_VERSION"), checksum(packed));
    let parent = root.join(version);
    let folder = parent.join(packed.name);
    if is_whole(&folder, packed) {
        return Ok(folder);
    }
    sweep(&parent, packed.name);
    match std::fs::remove_dir_all(&folder) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(Error::io(&folder, e)),
        _ => {}
    }
    let staging = Staging::new(&folder)?;
    for (file, bytes) in packed.files {
        write_atomic(&staging.path().join(file), bytes)?;
    }
    match staging.finish() {
        // Another program was faster.
        Err(_) if is_whole(&folder, packed) => Ok(folder),
        finished => Ok(finished.map(|()| folder)?),
    }
}

fn checksum(packed: &Packed) -> u32 {
    packed.files.iter().fold(0, |sum, (file, bytes)| {
        crc32c::crc32c_append(crc32c::crc32c_append(sum, file.as_bytes()), bytes)
    })
}

/// Whether a folder holds a packed world's files, byte for byte.
fn is_whole(folder: &Path, packed: &Packed) -> bool {
    packed.files.iter().all(|(file, bytes)| {
        std::fs::read(folder.join(file)).is_ok_and(|found| found.as_slice() == *bytes)
    })
}

/// Removes what is left of a world's unpackings that broke off.
fn sweep(parent: &Path, world: &str) {
    let before = format!(".{world}.");
    for entry in parent.read_dir().into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let age = || entry.metadata().ok()?.modified().ok()?.elapsed().ok();
        let partial = name.starts_with(&before) && name.ends_with(".partial");
        if partial && age().is_some_and(|age| age > LEFT_BEHIND) {
            // What cannot be removed takes room and does no harm.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

#[cfg(test)]
#[path = "shipped_tests.rs"]
mod tests;
