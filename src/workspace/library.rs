//! What there is to play, and what is known of it.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use safetensors::tensor::Metadata;
use serde::{Deserialize, Serialize};

use super::places::Places;
use super::shipped::Shipped;
use super::task::Cancelled;
use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_model::checkpoint::{CONTEXTS, DYNAMICS, TOKENIZER, read_config};
use driftless_model::contexts;
use driftless_worlds::Kind;

/// The file name of a checkpoint's [`Card`].
pub const CARD: &str = "card.json";

/// Letters of a card's text that are kept.
const TEXT: usize = 200;
/// The longest header of a file of weights that is read for its facts, in bytes.
const HEADER: u64 = 1 << 24;

/// Where a world comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// With the program; its checkpoint folder.
    Shipped(PathBuf),
    /// The person saved it; its checkpoint folder.
    Saved(PathBuf),
    /// It is built in, and real: nothing of it is learned.
    Simulator(Kind),
}

/// A world that can be chosen.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Where it comes from.
    pub source: Source,
    /// Its name.
    pub name: String,
    /// What is known of it, or why it cannot be played.
    pub facts: std::result::Result<Facts, String>,
}

/// What is known of a world.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Frames a second.
    pub fps: f32,
    /// Frame height and width in pixels.
    pub image: [usize; 2],
    /// The last frame of its first starting context, u8 RGB `[H, W, 3]`.
    pub picture: Vec<u8>,
    /// Numbers in its networks.
    pub parameters: Option<usize>,
    /// Bytes of its files.
    pub bytes: Option<u64>,
    /// When the last of its files was written.
    pub written: Option<SystemTime>,
    /// What it is.
    pub about: Option<String>,
    /// What it was trained on.
    pub trained_on: Option<String>,
}

/// Everything that can be played: shipped worlds, saved ones, simulators. A world that is broken is
/// listed with the reason.
///
/// # Errors
/// Nobody waits for the list any more.
pub fn list(shipped: &Shipped, home: Option<PathBuf>, cancelled: &Cancelled) -> Result<Vec<Entry>> {
    let mut entries = Vec::new();
    let mut add = |entry| {
        entries.push(entry);
        match cancelled.is_set() {
            true => Err(Error::from(driftless_data::Error::Interrupted)),
            false => Ok(()),
        }
    };
    for name in shipped.names() {
        match shipped.folder(&name) {
            Ok(Some(folder)) => add(checkpoint(Source::Shipped(folder.clone()), &folder))?,
            // Gone since it was named.
            Ok(None) => {}
            Err(error) => add(Entry {
                source: Source::Shipped(PathBuf::from(&name)),
                facts: Err(error.to_string()),
                name,
            })?,
        }
    }
    // Without a place for them there are no saved worlds.
    let saved = Places::find(home).map(|places| places.saved_worlds());
    for folder in saved.unwrap_or_default() {
        add(checkpoint(Source::Saved(folder.clone()), &folder))?;
    }
    for kind in &Kind::ALL {
        add(simulator(*kind))?;
    }
    Ok(entries)
}

/// What is known of the world in a checkpoint folder.
///
/// # Errors
/// A file of it is missing or broken; weights are not read but for their headers.
pub fn facts(folder: &Path) -> Result<(String, Facts)> {
    let config = read_config(folder)?;
    let clips = contexts::read(&folder.join(CONTEXTS), &config)?;
    let picture = clips.first().and_then(|clip| {
        let frames = clip.images.chunks_exact(config.image_len());
        frames.last().map(<[u8]>::to_vec)
    });
    let weights = [TOKENIZER, DYNAMICS].map(|file| numbers(&folder.join(file)));
    let mut parameters = 0;
    for count in weights {
        parameters += count?;
    }
    let files = folder.read_dir().map_err(|e| Error::io(folder, e))?;
    let files: Vec<_> = files.flatten().filter_map(|f| f.metadata().ok()).collect();
    let Card { about, trained_on } = Card::of(folder);
    let facts = Facts {
        fps: config.fps,
        image: config.image,
        picture: picture.unwrap_or_default(),
        parameters: Some(parameters),
        bytes: Some(
            files
                .iter()
                .filter(|f| f.is_file())
                .map(std::fs::Metadata::len)
                .sum(),
        ),
        written: files.iter().filter_map(|f| f.modified().ok()).max(),
        about,
        trained_on,
    };
    Ok((config.name, facts))
}

fn checkpoint(source: Source, folder: &Path) -> Entry {
    let (name, facts) = match facts(folder) {
        Ok((name, facts)) => (name, Ok(facts)),
        Err(error) => {
            let name = folder.file_name().unwrap_or_default();
            (name.to_string_lossy().into_owned(), Err(error.to_string()))
        }
    };
    Entry {
        source,
        name,
        facts,
    }
}

fn simulator(kind: Kind) -> Entry {
    let world = kind.open(2);
    let info = world.info();
    Entry {
        source: Source::Simulator(kind),
        name: info.name,
        facts: Ok(Facts {
            fps: info.fps,
            image: info.image,
            picture: world.image().to_vec(),
            parameters: None,
            bytes: None,
            written: None,
            about: Some(kind.about().to_owned()),
            trained_on: None,
        }),
    }
}

/// Numbers in a file of weights, by its header alone.
fn numbers(path: &Path) -> Result<usize> {
    let io = |e| Error::io(path, e);
    let mut file = File::open(path).map_err(io)?;
    let broken = || Error::invalid(path, "not a file of weights, expected safetensors");
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| broken())?;
    let length = u64::from_le_bytes(length);
    if length > HEADER {
        return Err(broken());
    }
    let mut header = Vec::new();
    file.take(length).read_to_end(&mut header).map_err(io)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|_| broken())?;
    let tensors = header.tensors();
    let lengths = tensors.values().map(|t| t.shape.iter().product::<usize>());
    Ok(lengths.sum())
}

/// What a checkpoint's author says of it, each a short text: the file [`CARD`], which may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Card {
    /// What it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What it was trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<String>,
}

impl Card {
    /// What the card in a checkpoint folder says; nothing where there is none that can be read.
    pub fn of(folder: &Path) -> Self {
        let path = folder.join(CARD);
        let Ok(text) = std::fs::read_to_string(&path) else {
            return Self::default();
        };
        let mut card: Self = serde_json::from_str(&text).unwrap_or_else(|error| {
            tracing::warn!("{}: {error}", path.display());
            Self::default()
        });
        for text in [&mut card.about, &mut card.trained_on] {
            let line = text
                .take()
                .unwrap_or_default()
                .replace(char::is_control, " ");
            let kept: String = line.trim().chars().take(TEXT).collect();
            *text = (!kept.is_empty()).then_some(kept);
        }
        card
    }
}

/// The day of a moment in UTC, `2026-03-14`.
pub fn day(moment: SystemTime) -> String {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH);
    let days = since.map_or(0, |since| since.as_secs() / 86_400);
    // Years are counted from 1 March of the year 0, so that the day that may be missing is the last.
    let days = days + 719_468;
    let (era, day) = (days / 146_097, days % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = day - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = 400 * era + year + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
#[path = "library_tests.rs"]
mod tests;
