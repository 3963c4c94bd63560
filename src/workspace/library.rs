//! Lists the playable worlds and summarizes each.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use safetensors::tensor::Metadata;
use serde::{Deserialize, Serialize};

use driftless_clip::ClipMaker;
use driftless_clip::config::{CLIP_ACTION_WEIGHTS, CLIP_WEIGHTS};
use driftless_data::PathError as _;
use driftless_data::cells::false_colours;
use driftless_data::fs::{open_source, read_text};
use driftless_data::layout::checkpoint::{CARD, NEEDED};
use driftless_model::checkpoint::{CONFIG, DYNAMICS, STARTING_CLIPS, TOKENIZER, read_config};
use driftless_model::starting_clips;
use driftless_transport::config::WEIGHTS;
use driftless_transport::{Controls, TransportConfig};
use driftless_worlds::{Policy, PolicyAgent, SimulatorKind};

use super::background_task::CancelFlag;
use super::included::IncludedWorlds;
use super::paths::UserPaths;
use crate::{Error, Result};

/// Longest text of a card, in characters; the rest is cut off.
const MAX_CARD_TEXT: usize = 200;
/// Longest safetensors header that is read, in bytes.
const MAX_HEADER: u64 = 1 << 24;
/// Most frames of a preview.
const PREVIEW_FRAMES: usize = 48;
/// Most controls of a preview.
const PREVIEW_CONTROLS: usize = 8;
/// Seed of the world in a simulator's preview.
const PICTURE_SEED: u64 = 2;

/// Where a world comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WorldSource {
    /// Included with the program; its checkpoint folder.
    Included(PathBuf),
    /// Saved by the user; its checkpoint folder.
    Saved(PathBuf),
    /// A built-in simulator.
    Simulator(SimulatorKind),
}

/// A world in the list.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldEntry {
    /// Where it comes from.
    pub source: WorldSource,
    /// Its name.
    pub name: String,
    /// Its summary, or why it cannot be played.
    pub summary: std::result::Result<WorldSummary, String>,
}

/// Summary of a world.
#[derive(Clone, Debug, PartialEq)]
pub struct WorldSummary {
    /// Frames per second; `None` for a transport network, whose pictures are not a film.
    pub fps: Option<f32>,
    /// Frame height and width in pixels.
    pub image: [usize; 2],
    /// Frames that show what happens in it, u8 RGB `[frames, H, W, 3]`: the starting clips of a learned
    /// world, one after the other, a simulator under its scripted player, or a transport network's
    /// controls.
    pub preview: Vec<u8>,
    /// Number of network parameters; `None` for a simulator.
    pub parameters: Option<usize>,
    /// Total size of its files in bytes.
    pub bytes: Option<u64>,
    /// When its newest file was written; `None` for an included world, whose files are as old as this installation.
    pub modified: Option<SystemTime>,
    /// Short description.
    pub about: Option<String>,
    /// What it was trained on.
    pub trained_on: Option<String>,
}

/// Lists all worlds: included ones, saved ones, simulators. A broken world is listed with the reason.
///
/// # Errors
/// Returns [`driftless_data::Error::Interrupted`] if `cancelled` is set.
pub fn list_worlds(
    shipped: &IncludedWorlds,
    home: Option<PathBuf>,
    cancelled: &CancelFlag,
) -> Result<Vec<WorldEntry>> {
    let mut entries = Vec::new();
    let mut add = |entry| {
        entries.push(entry);
        if cancelled.is_cancelled() {
            return Err(Error::from(driftless_data::Error::Interrupted));
        }
        Ok(())
    };
    for name in shipped.names() {
        match shipped.folder(&name) {
            Ok(Some(folder)) => add(checkpoint_entry(
                WorldSource::Included(folder.clone()),
                &folder,
            ))?,
            // Removed since the names were read.
            Ok(None) => {}
            Err(error) => add(WorldEntry {
                source: WorldSource::Included(PathBuf::from(&name)),
                summary: Err(error.to_string()),
                name,
            })?,
        }
    }
    // Without a data folder there are no saved worlds.
    let saved = UserPaths::resolve(home).map(|paths| paths.list_worlds());
    for folder in saved.unwrap_or_default() {
        add(checkpoint_entry(
            WorldSource::Saved(folder.clone()),
            &folder,
        ))?;
    }
    for kind in &SimulatorKind::ALL {
        add(simulator_entry(*kind))?;
    }
    Ok(entries)
}

/// The name and summary of the world in a checkpoint folder. Of the weights, only the headers are
/// read.
///
/// # Errors
/// Returns an error if one of its files is missing or broken.
pub fn read_summary(folder: &Path) -> Result<(String, WorldSummary)> {
    let (name, fps, image, preview, weights) = if TransportConfig::is_in(folder) {
        let config = TransportConfig::read(&folder.join(CONFIG))?;
        let mut controls = Controls::read(folder, &config)?.images;
        controls.truncate(PREVIEW_CONTROLS * config.picture_len());
        let preview = false_colours(&controls, config.channels.len());
        let weights = vec![WEIGHTS];
        (config.name, None, config.image, preview, weights)
    } else {
        let config = read_config(folder)?;
        let clips = starting_clips::read(&folder.join(STARTING_CLIPS), &config)?;
        let frames = clips
            .iter()
            .flat_map(|clip| clip.images.chunks_exact(config.image_len()));
        let preview = frames.take(PREVIEW_FRAMES).flatten().copied().collect();
        let clips = [CLIP_WEIGHTS, CLIP_ACTION_WEIGHTS].into_iter();
        let clips = clips.filter(|file| ClipMaker::is_in(folder) && folder.join(file).is_file());
        let weights = [TOKENIZER, DYNAMICS].into_iter().chain(clips).collect();
        (
            config.name,
            Some(config.fps),
            config.image,
            preview,
            weights,
        )
    };
    let mut parameters = 0;
    for file in weights {
        parameters += parameter_count(&folder.join(file))?;
    }
    let files = folder.read_dir().map_err(|e| Error::io(folder, e))?;
    let files: Vec<_> = files.flatten().filter_map(|f| f.metadata().ok()).collect();
    let bytes = files
        .iter()
        .filter(|file| file.is_file())
        .map(std::fs::Metadata::len)
        .sum();
    let CheckpointCard { about, trained_on } = CheckpointCard::read(folder);
    let summary = WorldSummary {
        fps,
        image,
        preview,
        parameters: Some(parameters),
        bytes: Some(bytes),
        modified: files.iter().filter_map(|f| f.modified().ok()).max(),
        about,
        trained_on,
    };
    Ok((name, summary))
}

fn checkpoint_entry(source: WorldSource, folder: &Path) -> WorldEntry {
    let (name, summary) = match read_summary(folder) {
        Ok((name, mut summary)) => {
            if matches!(source, WorldSource::Included(_)) {
                summary.modified = None;
            }
            (name, Ok(summary))
        }
        Err(error) => {
            let name = folder.file_name().unwrap_or_default();
            (name.to_string_lossy().into_owned(), Err(error.to_string()))
        }
    };
    WorldEntry {
        source,
        name,
        summary,
    }
}

fn simulator_entry(kind: SimulatorKind) -> WorldEntry {
    let mut world = kind.open(PICTURE_SEED);
    let info = world.info();
    let mut player = PolicyAgent::new(Policy::Scripted, world.as_ref(), PICTURE_SEED);
    let mut preview = world.image().to_vec();
    for _ in 1..PREVIEW_FRAMES {
        let action = player.act(world.as_ref());
        if world.step(action).is_err() || world.ended() {
            break;
        }
        preview.extend_from_slice(world.image());
    }
    WorldEntry {
        source: WorldSource::Simulator(kind),
        name: info.name,
        summary: Ok(WorldSummary {
            fps: Some(info.fps),
            image: info.image,
            preview,
            parameters: None,
            bytes: None,
            modified: None,
            about: Some(kind.description().to_owned()),
            trained_on: None,
        }),
    }
}

/// Number of values in a safetensors file, from its header.
fn parameter_count(path: &Path) -> Result<usize> {
    let io_error = |e| Error::io(path, e);
    let mut file = open_source(path)?;
    let broken = || Error::invalid(path, "not a weights file, expected safetensors");
    let mut length = [0; 8];
    file.read_exact(&mut length).map_err(|_| broken())?;
    let length = u64::from_le_bytes(length);
    if length > MAX_HEADER {
        return Err(broken());
    }
    let mut header = Vec::new();
    file.take(length)
        .read_to_end(&mut header)
        .map_err(io_error)?;
    let header: Metadata = serde_json::from_slice(&header).map_err(|_| broken())?;
    let tensors = header.tensors();
    let length = |shape: &[usize]| {
        shape
            .iter()
            .fold(1, |n: usize, &side| n.saturating_mul(side))
    };
    let lengths = tensors.values().map(|t| length(&t.shape));
    Ok(lengths.fold(0, usize::saturating_add))
}

/// Whether a checkpoint has all files needed to play it, both networks among them.
pub fn is_playable(checkpoint: &Path) -> bool {
    NEEDED.iter().all(|file| checkpoint.join(file).is_file())
}

/// A checkpoint's optional description by its author, in the file [`CARD`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CheckpointCard {
    /// Short description.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// What the world was trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trained_on: Option<String>,
}

impl CheckpointCard {
    /// Reads the card in a checkpoint folder, each text as one line of limited length. A missing or
    /// broken card gives an empty one.
    pub fn read(folder: &Path) -> Self {
        let path = folder.join(CARD);
        let Ok(text) = read_text(&path) else {
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
            let line: String = line.trim().chars().take(MAX_CARD_TEXT).collect();
            *text = (!line.is_empty()).then_some(line);
        }
        card
    }
}

/// A time's date in UTC, as `2026-03-14`.
pub fn format_date(time: SystemTime) -> String {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH);
    let days = since_epoch.map_or(0, |since| since.as_secs() / 86_400);
    // Count from 1 March of year 0, so that the leap day is the last day of a year.
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
