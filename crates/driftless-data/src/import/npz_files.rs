//! NumPy's `.npz` files: the replay buffers of DreamerV2, DreamerV3 and their ports, and whatever else
//! holds one array of images and one of actions, with a row per frame.

use std::ops::Range;
use std::path::{Path, PathBuf};

use super::frame_resampler::FrameResampler;
use super::image_layout::ImageLayout;
use super::raw_action::RawAction;
use super::{ActionPairing, RawEpisode, RecordingSource, SourceKeys, per_transition};
use crate::episode::arrays::{episode_ranges, read_rewards};
use crate::layout::EPISODE_EXTENSION;
use crate::layout::array::{ACTION, IMAGE, IS_FIRST, IS_LAST, IS_TERMINAL, REWARD};
use crate::npz::{NpyArray, NpyDtype, NpzReader};
use crate::{Error, PathError as _, Result};

/// Names of the array of images, the first found of which is read.
const IMAGE_NAMES: [&str; 8] = [
    IMAGE,
    "images",
    "observation",
    "observations",
    "obs",
    "pixels",
    "frames",
    "rgb",
];
/// Names of the array of actions.
const ACTION_NAMES: [&str; 2] = [ACTION, "actions"];

/// A single `.npz` file, or those of a folder.
pub struct NpzFiles {
    episodes: Vec<NpzEpisode>,
    keys: SourceKeys,
    /// The file last read: it may hold several episodes.
    loaded: Option<LoadedFile>,
}

/// An episode in a file.
struct NpzEpisode {
    file: PathBuf,
    /// Its number in the file, if there are several.
    part: Option<usize>,
}

/// The arrays of a file.
struct LoadedFile {
    path: PathBuf,
    episodes: Vec<Range<usize>>,
    layout: ImageLayout,
    images: Vec<u8>,
    actions: Vec<RawAction>,
    rewards: Vec<f32>,
    terminal: Vec<f64>,
}

impl NpzFiles {
    /// Lists the episodes of a file or of the files in a folder.
    ///
    /// # Errors
    /// Returns an error if the path does not exist, or is a folder without `.npz` files.
    pub fn open(path: &Path, keys: SourceKeys) -> Result<Self> {
        let files = if path.is_dir() {
            super::files_with_extension(path, EPISODE_EXTENSION)?
        } else {
            vec![path.to_path_buf()]
        };
        if files.is_empty() {
            return Err(Error::invalid(path, "holds no .npz file"));
        }
        let mut episodes = Vec::new();
        for file in files {
            // A file that cannot be read is reported when its turn comes.
            let parts = count_episodes(&file).unwrap_or(1);
            episodes.extend((0..parts).map(|part| NpzEpisode {
                file: file.clone(),
                part: (parts > 1).then_some(part),
            }));
        }
        Ok(Self {
            episodes,
            keys,
            loaded: None,
        })
    }
}

/// The number of episodes in a file, by the marks of their first and last frames.
fn count_episodes(path: &Path) -> Result<usize> {
    let mut file = NpzReader::open(path)?;
    let names = file.names();
    for mark in [IS_FIRST, IS_LAST] {
        if names.iter().any(|name| name == mark) {
            let frames = file.array(mark)?.shape.first().copied().unwrap_or(0);
            return Ok(episode_ranges(&mut file, frames)?.len());
        }
    }
    Ok(1)
}

impl RecordingSource for NpzFiles {
    fn fps(&self) -> Option<f32> {
        None
    }

    fn episode_names(&self) -> Vec<String> {
        let name = |episode: &NpzEpisode| {
            let file = episode.file.file_name().unwrap_or_default();
            let file = file.to_string_lossy();
            match episode.part {
                None => file.into_owned(),
                Some(part) => format!("{file}, episode {part}"),
            }
        };
        self.episodes.iter().map(name).collect()
    }

    fn default_pairing(&self) -> ActionPairing {
        ActionPairing::LedTo
    }

    fn read(
        &mut self,
        episode: usize,
        pairing: ActionPairing,
        frames: &mut FrameResampler,
    ) -> Result<RawEpisode> {
        let NpzEpisode { file, part } = &self.episodes[episode];
        let loaded = match self.loaded.take().filter(|loaded| loaded.path == *file) {
            Some(loaded) => loaded,
            None => LoadedFile::read(file, &self.keys)?,
        };
        let loaded = self.loaded.insert(loaded);
        let range = match part {
            Some(part) => loaded.episodes.get(*part).cloned().unwrap_or_default(),
            None => 0..loaded.actions.len(),
        };
        let row_len = loaded.images.len() / loaded.actions.len().max(1);
        let rows = &loaded.images[range.start * row_len..range.end * row_len];
        let mut rgb = Vec::new();
        for row in rows.chunks_exact(row_len.max(1)) {
            if frames.keeps_next() {
                loaded.layout.read(row, &mut rgb);
                frames.push(loaded.layout.size, &rgb);
            } else {
                frames.skip_next();
            }
        }
        let last = range.end.saturating_sub(1);
        Ok(RawEpisode {
            actions: per_transition(loaded.actions[range.clone()].to_vec(), pairing),
            // A reward comes with the frame that it was given for.
            rewards: per_transition(loaded.rewards[range].to_vec(), ActionPairing::LedTo),
            terminal: loaded.terminal.get(last).is_some_and(|&end| end != 0.0),
            remarks: loaded.layout.remark().into_iter().collect(),
        })
    }
}

impl LoadedFile {
    fn read(path: &Path, keys: &SourceKeys) -> Result<Self> {
        let mut file = NpzReader::open(path)?;
        let names = file.names();
        let find = |wanted: Option<&str>, usual: &[&str]| match wanted {
            Some(key) => key.to_owned(),
            None => {
                let found = usual.iter().find(|&&name| names.iter().any(|n| n == name));
                (*found.unwrap_or(&usual[0])).to_owned()
            }
        };
        let image_key = find(keys.image.as_deref(), &IMAGE_NAMES);
        let action_key = find(keys.action.as_deref(), &ACTION_NAMES);
        let images = file.array(&image_key)?;
        let (&frames, image) = images.shape.split_first().unwrap_or((&0, &[]));
        let layout = ImageLayout::of(image).filter(|_| frames > 0);
        let layout = layout.ok_or_else(|| {
            let what = format!(
                "shape is {:?}, expected images: [T, H, W, 3], grey, channels first, or a stack of them",
                images.shape
            );
            file.error(&image_key, what)
        })?;
        if images.dtype != NpyDtype::Uint(1) {
            let what = format!("dtype is {}, expected uint8", images.dtype);
            return Err(file.error(&image_key, what));
        }
        let episodes = episode_ranges(&mut file, frames)?;
        let rewards = if names.iter().any(|name| name == REWARD) {
            read_rewards(&mut file, &episodes)?
        } else {
            vec![0.0; frames]
        };
        let terminal = if names.iter().any(|name| name == IS_TERMINAL) {
            file.array(IS_TERMINAL)?.to_f64().unwrap_or_default()
        } else {
            Vec::new()
        };
        let actions = file.array(&action_key)?;
        let actions = raw_actions(&file, &action_key, &actions, frames)?;
        Ok(Self {
            path: path.to_path_buf(),
            episodes,
            layout,
            images: images.into_u8().unwrap_or_default(),
            actions,
            rewards,
            terminal,
        })
    }
}

/// One action per frame: numbers `[T]` and `[T, 1]`, vectors `[T, n]`.
fn raw_actions(
    file: &NpzReader,
    key: &str,
    array: &NpyArray,
    frames: usize,
) -> Result<Vec<RawAction>> {
    let width = match array.shape[..] {
        [length] if length == frames => 1,
        [length, width] if length == frames && width > 0 => width,
        _ => {
            let what = format!(
                "shape is {:?}, expected [{frames}] or [{frames}, n]",
                array.shape
            );
            return Err(file.error(key, what));
        }
    };
    if width == 1
        && let Some(numbers) = array.to_i64()
    {
        return Ok(numbers.into_iter().map(RawAction::Number).collect());
    }
    let values = array.to_f64().unwrap_or_default();
    let rows = values.chunks_exact(width);
    Ok(rows.map(|row| RawAction::Vector(row.to_vec())).collect())
}
