//! Recordings in HDF5, in the layouts of
//!
//! - Minari: `data/main_data.hdf5` with a group `episode_N` per episode, which holds T + 1 observations
//!   and T actions, rewards and terminations;
//! - robomimic: a group `data/demo_N` per episode, with T rows in `obs/*`, `actions`, `rewards`, `dones`;
//! - the Counter-Strike recordings that DIAMOND is trained on: a file per episode, with a dataset
//!   `frame_N_x` (image) and one `frame_N_y` (keys and mouse, one-hot each) per frame.
//!
//! In all of them action t was taken at frame t and led to frame t + 1.

mod file;

use std::path::{Path, PathBuf};

use self::file::Hdf5File;
use super::frame_resampler::FrameResampler;
use super::raw_action::RawAction;
use super::{ActionPairing, RawEpisode, RecordingSource, SourceKeys, per_transition};
use crate::{Error, PathError as _, Result};

/// Minari's file in a dataset's folder.
const MINARI_FILE: &str = "data/main_data.hdf5";
/// Where robomimic's episodes are.
const ROBOMIMIC_GROUP: &str = "data";

/// Recordings in one or several HDF5 files.
pub struct Hdf5Recordings {
    episodes: Vec<Hdf5Episode>,
    keys: SourceKeys,
    /// The file last read: it may hold several episodes.
    open: Option<Hdf5File>,
}

/// An episode in a file.
struct Hdf5Episode {
    path: PathBuf,
    layout: EpisodeLayout,
}

/// Where an episode is in its file.
#[derive(Clone, Debug, PartialEq, Eq)]
enum EpisodeLayout {
    /// A group of Minari's.
    Minari(String),
    /// A group of robomimic's.
    Robomimic(String),
    /// The whole file, with this many frames.
    Diamond(usize),
    /// A file that cannot be read, which is reported when its turn comes.
    Unreadable,
}

impl Hdf5Recordings {
    /// Opens Minari's folder, an HDF5 file, or a folder of them.
    ///
    /// # Errors
    /// Returns an error if there is no such file, or the only one is not HDF5 or has none of the layouts.
    pub fn open(path: &Path, keys: SourceKeys) -> Result<Self> {
        let files = find_files(path)?;
        let mut episodes = Vec::new();
        for path in &files {
            let found = Hdf5File::open(path).and_then(|file| list_episodes(&file));
            let layouts = match found {
                Ok(layouts) => layouts,
                Err(_) if files.len() > 1 => vec![EpisodeLayout::Unreadable],
                Err(error) => return Err(error),
            };
            episodes.extend(layouts.into_iter().map(|layout| Hdf5Episode {
                path: path.clone(),
                layout,
            }));
        }
        Ok(Self {
            episodes,
            keys,
            open: None,
        })
    }

    /// Reads the images in the dataset that `--image-key` names in `group`, or the only ones there.
    fn push_images(
        &self,
        file: &Hdf5File,
        group: &str,
        frames: &mut FrameResampler,
    ) -> Result<Option<String>> {
        let name = match &self.keys.image {
            Some(key) => format!("{group}/{key}"),
            None => file.find_images(group)?,
        };
        file.push_images(&name, frames)
    }

    /// The actions in `group/actions`, or in the dataset below it that `--action-key` names.
    fn actions(&self, file: &Hdf5File, group: &str) -> Result<Vec<RawAction>> {
        let mut name = format!("{group}/actions");
        if let Some(key) = &self.keys.action {
            name = format!("{name}/{key}");
        } else {
            let parts = file.names_below(&name);
            if !parts.is_empty() {
                let what = format!(
                    "actions are a dictionary ({}): choose one with --action-key",
                    parts.join(", ")
                );
                return Err(file.error(&name, what));
            }
        }
        let actions = file.numbers(&name)?;
        let rows = actions.values.chunks_exact(actions.row_len);
        let action = |row: &[f64]| match (actions.integers, row) {
            (true, &[value]) => RawAction::Number(value as i64),
            _ => RawAction::Vector(row.to_vec()),
        };
        Ok(rows.map(action).collect())
    }

    fn read_minari(
        &self,
        file: &Hdf5File,
        group: &str,
        frames: &mut FrameResampler,
    ) -> Result<RawEpisode> {
        let remark = self.push_images(file, &format!("{group}/observations"), frames)?;
        let rewards = file.numbers(&format!("{group}/rewards"))?.values;
        let terminations = file.numbers(&format!("{group}/terminations"))?.values;
        Ok(RawEpisode {
            actions: self.actions(file, group)?,
            rewards: rewards.into_iter().map(|reward| reward as f32).collect(),
            terminal: terminations.last().is_some_and(|&last| last != 0.0),
            remarks: remark.into_iter().collect(),
        })
    }

    fn read_robomimic(
        &self,
        file: &Hdf5File,
        group: &str,
        pairing: ActionPairing,
        frames: &mut FrameResampler,
    ) -> Result<RawEpisode> {
        let remark = self.push_images(file, &format!("{group}/obs"), frames)?;
        let optional = |name: &str| {
            let name = format!("{group}/{name}");
            let found = file.has(&name);
            found.then(|| file.numbers(&name)).transpose()
        };
        let rewards = optional("rewards")?.map_or(Vec::new(), |rewards| rewards.values);
        let dones = optional("dones")?.map_or(Vec::new(), |dones| dones.values);
        let rewards = rewards.into_iter().map(|reward| reward as f32).collect();
        Ok(RawEpisode {
            actions: per_transition(self.actions(file, group)?, pairing),
            rewards: per_transition(rewards, ActionPairing::TakenAt),
            terminal: dones.last().is_some_and(|&last| last != 0.0),
            remarks: remark.into_iter().collect(),
        })
    }
}

/// Reads the frames of one of DIAMOND's files.
fn read_diamond(
    file: &Hdf5File,
    count: usize,
    pairing: ActionPairing,
    frames: &mut FrameResampler,
) -> Result<RawEpisode> {
    let mut actions = Vec::with_capacity(count);
    for t in 0..count {
        file.push_image(&format!("frame_{t}_x"), frames)?;
        actions.push(RawAction::Vector(
            file.numbers(&format!("frame_{t}_y"))?.values,
        ));
    }
    Ok(RawEpisode {
        actions: per_transition(actions, pairing),
        rewards: Vec::new(),
        terminal: false,
        remarks: Vec::new(),
    })
}

impl RecordingSource for Hdf5Recordings {
    fn fps(&self) -> Option<f32> {
        None
    }

    fn episode_names(&self) -> Vec<String> {
        let name = |episode: &Hdf5Episode| match &episode.layout {
            EpisodeLayout::Minari(group) | EpisodeLayout::Robomimic(group) => group.clone(),
            EpisodeLayout::Diamond(_) | EpisodeLayout::Unreadable => {
                let name = episode.path.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
        };
        self.episodes.iter().map(name).collect()
    }

    fn default_pairing(&self) -> ActionPairing {
        ActionPairing::TakenAt
    }

    fn read(
        &mut self,
        episode: usize,
        pairing: ActionPairing,
        frames: &mut FrameResampler,
    ) -> Result<RawEpisode> {
        let Hdf5Episode { path, layout } = &self.episodes[episode];
        let file = match self.open.take().filter(|file| file.path() == path) {
            Some(file) => file,
            None => Hdf5File::open(path)?,
        };
        let read = match layout {
            EpisodeLayout::Minari(group) if pairing == ActionPairing::LedTo => {
                let what = "--pairing led-to is not possible with Minari's layout";
                Err(file.error(group, what))
            }
            EpisodeLayout::Minari(group) => self.read_minari(&file, group, frames),
            EpisodeLayout::Robomimic(group) => self.read_robomimic(&file, group, pairing, frames),
            EpisodeLayout::Diamond(count) => read_diamond(&file, *count, pairing, frames),
            EpisodeLayout::Unreadable => list_episodes(&file).and_then(|_| {
                let what = "has changed since it was listed";
                Err(Error::invalid(path, what))
            }),
        };
        self.open = Some(file);
        read
    }
}

/// The HDF5 files at `path`.
fn find_files(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_path_buf()]);
    }
    let minari = path.join(MINARI_FILE);
    if minari.exists() {
        return Ok(vec![minari]);
    }
    if path.join("data/0/part-0.arrow").exists() {
        let what = "holds Minari's episodes as Arrow files, expected HDF5; with Minari, \
                    `DataCollector(..., data_format=\"hdf5\")` writes it";
        return Err(Error::invalid(path, what));
    }
    let mut files = super::files_with_extension(path, "hdf5")?;
    files.extend(super::files_with_extension(path, "h5")?);
    files.sort();
    if files.is_empty() {
        let what = format!("holds neither {MINARI_FILE} nor a .hdf5 or .h5 file");
        return Err(Error::invalid(path, what));
    }
    Ok(files)
}

/// The episodes in a file, in order.
fn list_episodes(file: &Hdf5File) -> Result<Vec<EpisodeLayout>> {
    let minari = file.numbered_groups("", "episode_")?;
    if !minari.is_empty() {
        return Ok(minari.into_iter().map(EpisodeLayout::Minari).collect());
    }
    let robomimic = file.numbered_groups(ROBOMIMIC_GROUP, "demo_")?;
    if !robomimic.is_empty() {
        let groups = robomimic.into_iter();
        return Ok(groups.map(EpisodeLayout::Robomimic).collect());
    }
    let has_frame = |t: &usize| file.has(&format!("frame_{t}_x"));
    let frames = (0..).take_while(has_frame).count();
    if frames > 0 {
        return Ok(vec![EpisodeLayout::Diamond(frames)]);
    }
    let what = "has no group `episode_N` (Minari), no group `data/demo_N` (robomimic) and no dataset \
                `frame_0_x` (DIAMOND's Counter-Strike)";
    Err(Error::invalid(file.path(), what))
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
