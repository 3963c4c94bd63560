//! The training data of a run: all frames of its episodes, in memory or in a file, and their
//! actions, rewards and ends.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::File;
use std::io::Write;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use driftless_data::{
    Action, Clip, Dataset, DatasetInfo, Episode, Error, PathError as _, Pose, Result,
};

/// Actions, rewards and ends of an episode; every vector is `[T]`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct EpisodeLabels {
    /// Name of the episode's file.
    pub name: String,
    /// Index of the first frame among all frames of the store.
    pub start: usize,
    pub actions: Vec<Action>,
    pub rewards: Vec<f32>,
    /// 1 if the frame ends its episode (`is_terminal`), else 0.
    pub ends: Vec<f32>,
    /// Whether a starting clip may show the frame, if the data tells.
    pub can_start: Option<Vec<bool>>,
    /// The camera's pose in each frame, if a memory needs it and the data tells.
    pub poses: Option<Vec<Pose>>,
}

impl EpisodeLabels {
    fn of(episode: &Episode, name: String, start: usize) -> Self {
        let ends = episode.is_terminal();
        Self {
            name,
            start,
            actions: episode.played(),
            rewards: episode.rewards.clone(),
            ends: ends.map_or(vec![0.0; episode.frames()], <[f32]>::to_vec),
            can_start: episode.starting_frames(),
            poses: None,
        }
    }

    /// Number of frames, T.
    pub fn frames(&self) -> usize {
        self.actions.len()
    }
}

/// All frames of one or two datasets, and their labels.
pub(super) struct FrameStore {
    pub info: DatasetInfo,
    pub episodes: Vec<EpisodeLabels>,
    frames: usize,
    frame_len: usize,
    reads_poses: bool,
    bytes: ByteStore,
}

impl FrameStore {
    /// An empty store. Once its frames exceed `memory_limit` bytes, they move into a file in
    /// `folder`.
    pub fn new(info: DatasetInfo, folder: &Path, memory_limit: u64) -> Self {
        Self {
            frame_len: info.frame_bytes() as usize,
            info,
            episodes: Vec::new(),
            frames: 0,
            reads_poses: false,
            bytes: ByteStore::new(folder, memory_limit),
        }
    }

    /// What tells this data from other data, a line for each episode.
    ///
    /// # Errors
    /// Returns an error if the file of the frames fails.
    pub fn summary(&self) -> Result<String> {
        let mut text = format!("{} episodes of {}\n", self.episodes.len(), self.info.name);
        let mut bytes = Vec::new();
        for episode in &self.episodes {
            let (name, frames) = (&episode.name, episode.frames());
            bytes.clear();
            self.read(episode.start..episode.start + frames, &mut bytes)?;
            for (action, reward) in episode.actions.iter().zip(&episode.rewards) {
                bytes.extend(action.index.to_le_bytes());
                bytes.extend(action.axes.iter().flat_map(|axis| axis.to_le_bytes()));
                bytes.extend(reward.to_le_bytes());
            }
            let sum = crc32c::crc32c(&bytes);
            let _ = writeln!(text, "{name}: {frames} frames, checksum {sum:08x}");
        }
        Ok(text)
    }

    /// Sets whether the episodes that are added from now on must tell the camera's poses.
    pub fn read_poses(&mut self, on: bool) {
        self.reads_poses = on;
    }

    /// Adds a dataset, with a few episodes in memory at a time. With `skip_bad`, invalid episodes
    /// are skipped with a warning.
    ///
    /// # Errors
    /// Returns an error if the dataset is missing, its frames have another size, an episode is
    /// invalid (with `skip_bad`: all are), or the disk is full.
    pub fn add(&mut self, folder: &Path, skip_bad: bool) -> Result<()> {
        let info = self.info.clone();
        self.add_all(folder, &info, skip_bad)
    }

    /// Adds a dataset whose actions are replaced by the index `unknown`.
    ///
    /// # Errors
    /// See [`FrameStore::add`].
    pub fn add_unlabelled(&mut self, folder: &Path, unknown: u32, skip_bad: bool) -> Result<()> {
        let info = DatasetInfo::read(folder)?;
        if info.image != self.info.image {
            return Err(Error::invalid(
                folder,
                format!(
                    "frames are {:?}, expected {:?} (height, width) as in the labelled data",
                    info.image, self.info.image
                ),
            ));
        }
        let before = self.episodes.len();
        self.reads_poses = false;
        self.add_all(folder, &info, skip_bad)?;
        for episode in &mut self.episodes[before..] {
            episode.actions.fill(unknown.into());
        }
        Ok(())
    }

    fn add_all(&mut self, folder: &Path, info: &DatasetInfo, skip_bad: bool) -> Result<()> {
        let before = self.episodes.len();
        let mut first_bad = None;
        Dataset::for_each_episode(folder, info, |path, read| {
            match read {
                Ok(episode) => self.push(&episode, path)?,
                Err(error) if skip_bad => {
                    tracing::warn!("skipped an episode: {error}");
                    first_bad.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
            Ok(ControlFlow::Continue(()))
        })?;
        match first_bad {
            Some(error) if self.episodes.len() == before => Err(error),
            _ => Ok(()),
        }
    }

    /// Adds the episode that was read from `path`.
    ///
    /// # Errors
    /// Returns an error if it does not tell the poses that are needed or the disk is full.
    pub(super) fn push(&mut self, episode: &Episode, path: &Path) -> Result<()> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let mut labels = EpisodeLabels::of(episode, name.into_owned(), self.frames);
        if self.reads_poses {
            labels.poses = Some(episode.poses(path)?);
        }
        self.episodes.push(labels);
        self.frames += episode.frames();
        self.bytes.push(&episode.images)
    }

    /// Frees the frames' memory; their labels stay.
    pub fn forget_frames(&mut self) {
        self.bytes = ByteStore::new(&self.bytes.folder, 0);
    }

    /// Number of frames of all episodes.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// The frame before a frame in its episode, or the frame itself if it is the first.
    pub fn frame_before(&self, frame: usize) -> usize {
        let is_first = self
            .episodes
            .binary_search_by_key(&frame, |e| e.start)
            .is_ok();
        if is_first {
            frame
        } else {
            frame.saturating_sub(1)
        }
    }

    /// Names of the episodes that the frames belong to, each once.
    pub fn episode_names(&self, frames: &[usize]) -> Vec<&str> {
        let holding = frames
            .iter()
            .map(|frame| self.episodes.partition_point(|e| e.start <= *frame));
        let holding: BTreeSet<usize> = holding.collect();
        let episodes = holding.into_iter().filter_map(|after| after.checked_sub(1));
        episodes.map(|i| self.episodes[i].name.as_str()).collect()
    }

    /// Appends a range of frames to `out`, u8 RGB `[T, H, W, 3]`.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn read(&self, frames: Range<usize>, out: &mut Vec<u8>) -> Result<()> {
        let range = frames.start * self.frame_len..frames.end * self.frame_len;
        self.bytes.read(range, out)
    }

    /// At most `count` frames, evenly spaced.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn sample_evenly(&self, count: usize) -> Result<Vec<u8>> {
        let count = count.min(self.frames);
        let mut bytes = Vec::with_capacity(count * self.frame_len);
        for i in 0..count {
            let at = i * self.frames / count;
            self.read(at..at + 1, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// The frames `range` of an episode, with their actions.
    ///
    /// # Errors
    /// Returns an error if the file cannot be read.
    pub fn clip(&self, episode: &EpisodeLabels, range: Range<usize>) -> Result<Clip> {
        let mut images = Vec::with_capacity(range.len() * self.frame_len);
        self.read(
            episode.start + range.start..episode.start + range.end,
            &mut images,
        )?;
        Ok(Clip {
            images,
            actions: episode.actions[range].to_vec(),
        })
    }
}

/// Bytes that are appended once and then read at any position, in memory or in a file.
pub(super) struct ByteStore {
    folder: PathBuf,
    memory_limit: u64,
    storage: Storage,
}

enum Storage {
    Memory(Vec<u8>),
    /// An unnamed temporary file, which the system deletes by itself, and its length.
    File(File, u64),
}

impl ByteStore {
    /// An empty store that moves into a file in `folder` once it exceeds `memory_limit` bytes.
    pub fn new(folder: &Path, memory_limit: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            memory_limit,
            storage: Storage::Memory(Vec::new()),
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// Returns an error if the disk is full or the folder cannot be written.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let failed = |e| Error::io(&self.folder, e);
        if let Storage::Memory(all) = &mut self.storage {
            if (all.len() + bytes.len()) as u64 <= self.memory_limit {
                all.extend_from_slice(bytes);
                return Ok(());
            }
            std::fs::create_dir_all(&self.folder).map_err(failed)?;
            let mut file = tempfile::tempfile_in(&self.folder).map_err(failed)?;
            file.write_all(all).map_err(failed)?;
            self.storage = Storage::File(file, all.len() as u64);
        }
        if let Storage::File(file, len) = &mut self.storage {
            file.write_all(bytes).map_err(failed)?;
            *len += bytes.len() as u64;
        }
        Ok(())
    }

    /// Appends a range of bytes to `out`.
    ///
    /// # Errors
    /// Returns an error if the range exceeds the store or the file cannot be read.
    pub fn read(&self, range: Range<usize>, out: &mut Vec<u8>) -> Result<()> {
        match &self.storage {
            Storage::Memory(all) => {
                let bytes = all.get(range).ok_or_else(out_of_range)?;
                out.extend_from_slice(bytes);
                Ok(())
            }
            Storage::File(_, len) if range.end as u64 > *len => Err(out_of_range()),
            Storage::File(file, _) => {
                let before = out.len();
                out.resize(before + range.len(), 0);
                read_at(file, &mut out[before..], range.start as u64)
                    .map_err(|e| Error::io(&self.folder, e))
            }
        }
    }
}

fn out_of_range() -> Error {
    Error::Shape("the frame index is out of range".into())
}

#[cfg(unix)]
fn read_at(file: &File, out: &mut [u8], at: u64) -> std::io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, out, at)
}

#[cfg(windows)]
fn read_at(file: &File, mut out: &mut [u8], mut at: u64) -> std::io::Result<()> {
    while !out.is_empty() {
        let read = std::os::windows::fs::FileExt::seek_read(file, out, at)?;
        if read == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        out = &mut out[read..];
        at += read as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn first_frames_have_none_before() {
        let info = DatasetInfo {
            name: String::new(),
            fps: 1.0,
            image: [1, 1],
            actions: Vec::new(),
            axes: Vec::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let mut store = FrameStore::new(info, folder.path(), 1 << 20);
        for frames in [2, 3] {
            let episode = Episode {
                height: 1,
                width: 1,
                images: vec![0; 3 * frames],
                actions: vec![0; frames],
                rewards: vec![0.0; frames],
                extras: BTreeMap::new(),
            };
            store.push(&episode, Path::new("one.npz")).unwrap();
        }
        let before: Vec<_> = (0..5).map(|frame| store.frame_before(frame)).collect();
        assert_eq!(before, [0, 0, 2, 2, 3]);
    }

    #[test]
    fn memory_and_file_hold_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..=250).collect();
        for memory in [0, 100, 1000] {
            let mut store = ByteStore::new(folder.path(), memory);
            for part in bytes.chunks(60) {
                store.push(part).unwrap();
            }
            let mut out = vec![9];
            store.read(55..130, &mut out).unwrap();
            assert_eq!(out[0], 9);
            assert_eq!(out[1..], bytes[55..130]);
            assert!(store.read(240..252, &mut out).is_err());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
}
