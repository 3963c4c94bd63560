//! What a run trains on: every frame of its episodes, in memory or, where that is too much, in a
//! file beside the run, and what is known of each.

use std::fs::File;
use std::io::Write;
use std::ops::Range;
use std::path::{Path, PathBuf};

use driftless_data::Clip;
use driftless_data::PathError as _;
use driftless_data::{Dataset, DatasetInfo, Episode};
use driftless_data::{Error, Result};

/// What is known of an episode's frames; every vector is [T].
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Labels {
    /// The first frame's place among all frames.
    pub start: usize,
    pub actions: Vec<u32>,
    pub rewards: Vec<f32>,
    /// 1 where the frame ends its episode for good (`is_terminal`).
    pub ends: Vec<f32>,
    /// Where the data says where the ball is: whether it is in sight.
    pub ball: Option<Vec<bool>>,
}

impl Labels {
    fn of(episode: &Episode, start: usize) -> Self {
        let frames = episode.frames();
        let ends = episode.extras.get("is_terminal");
        let ends = ends.filter(|extra| extra.values.len() == frames);
        let ball = episode.extras.get("ball").map(|ball| {
            let width = ball.shape.get(1).copied().unwrap_or(1).max(1);
            let places = ball.values.chunks_exact(width);
            places.map(|at| at.iter().all(|x| x.is_finite())).collect()
        });
        Self {
            start,
            actions: episode.actions.clone(),
            rewards: episode.rewards.clone(),
            ends: ends.map_or(vec![0.0; frames], |extra| extra.values.clone()),
            ball,
        }
    }

    /// Frames of the episode, T.
    pub fn frames(&self) -> usize {
        self.actions.len()
    }
}

/// All frames of one or two datasets.
pub(super) struct Footage {
    pub info: DatasetInfo,
    pub episodes: Vec<Labels>,
    frames: usize,
    frame_len: usize,
    images: Store,
}

impl Footage {
    /// An empty one, whose frames go into a file of `folder` once they exceed `memory` bytes.
    pub fn new(info: DatasetInfo, folder: &Path, memory: u64) -> Self {
        Self {
            frame_len: info.image[0] * info.image[1] * 3,
            info,
            episodes: Vec::new(),
            frames: 0,
            images: Store::new(folder, memory),
        }
    }

    /// Adds a dataset, a few episodes in memory at a time. Those that cannot be read or do not fit
    /// are left out with a warning where `skip_bad` says so.
    ///
    /// # Errors
    /// The dataset is missing or its frames are of another size, an episode is bad, none is good,
    /// or the disk is full.
    pub fn add(&mut self, folder: &Path, skip_bad: bool) -> Result<()> {
        let info = self.info.clone();
        self.add_all(folder, &info, skip_bad)
    }

    /// Adds a dataset whose actions count as unknown: index `unknown`.
    ///
    /// # Errors
    /// As [`Footage::add`].
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
        self.add_all(folder, &info, skip_bad)?;
        for episode in &mut self.episodes[before..] {
            episode.actions.fill(unknown);
        }
        Ok(())
    }

    fn add_all(&mut self, folder: &Path, info: &DatasetInfo, skip_bad: bool) -> Result<()> {
        let before = self.episodes.len();
        let mut first_bad = None;
        Dataset::each(folder, info, |read| match read {
            Ok(episode) => self.push(&episode),
            Err(error) if skip_bad => {
                tracing::warn!("left out: {error}");
                first_bad.get_or_insert(error);
                Ok(())
            }
            Err(error) => Err(error),
        })?;
        match first_bad {
            Some(error) if self.episodes.len() == before => Err(error),
            _ => Ok(()),
        }
    }

    pub(super) fn push(&mut self, episode: &Episode) -> Result<()> {
        self.episodes.push(Labels::of(episode, self.frames));
        self.frames += episode.frames();
        self.images.push(&episode.images)
    }

    /// Frames in all.
    pub fn frames(&self) -> usize {
        self.frames
    }

    /// The frames from `frames.start` on, u8 RGB `[T, H, W, 3]`, appended to `out`.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(&self, frames: Range<usize>, out: &mut Vec<u8>) -> Result<()> {
        let bytes = frames.start * self.frame_len..frames.end * self.frame_len;
        self.images.read(bytes, out)
    }

    /// About `count` frames, evenly spread.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn spread(&self, count: usize) -> Result<Vec<u8>> {
        let count = count.min(self.frames);
        let mut bytes = Vec::with_capacity(count * self.frame_len);
        for i in 0..count {
            let at = i * self.frames / count;
            self.read(at..at + 1, &mut bytes)?;
        }
        Ok(bytes)
    }

    /// Frames `range` of an episode.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn clip(&self, episode: &Labels, range: Range<usize>) -> Result<Clip> {
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

/// Bytes that are written once, one after another, and then read at any place.
pub(super) struct Store {
    folder: PathBuf,
    memory: u64,
    kept: Kept,
}

enum Kept {
    Memory(Vec<u8>),
    /// Without a name, so that nothing is left behind.
    File(File, u64),
}

impl Store {
    /// An empty one that moves into a file of `folder` once it exceeds `memory` bytes.
    pub fn new(folder: &Path, memory: u64) -> Self {
        Self {
            folder: folder.to_owned(),
            memory,
            kept: Kept::Memory(Vec::new()),
        }
    }

    /// Appends bytes.
    ///
    /// # Errors
    /// The disk is full, or the folder cannot be written.
    pub fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let wrong = |e| Error::io(&self.folder, e);
        if let Kept::Memory(all) = &mut self.kept {
            if (all.len() + bytes.len()) as u64 <= self.memory {
                all.extend_from_slice(bytes);
                return Ok(());
            }
            std::fs::create_dir_all(&self.folder).map_err(wrong)?;
            let mut file = tempfile::tempfile_in(&self.folder).map_err(wrong)?;
            file.write_all(all).map_err(wrong)?;
            self.kept = Kept::File(file, all.len() as u64);
        }
        if let Kept::File(file, len) = &mut self.kept {
            file.write_all(bytes).map_err(wrong)?;
            *len += bytes.len() as u64;
        }
        Ok(())
    }

    /// The bytes of a range, appended to `out`.
    ///
    /// # Errors
    /// The file cannot be read, or does not reach so far.
    pub fn read(&self, range: Range<usize>, out: &mut Vec<u8>) -> Result<()> {
        match &self.kept {
            Kept::Memory(all) => {
                let bytes = all.get(range).ok_or_else(beyond)?;
                out.extend_from_slice(bytes);
                Ok(())
            }
            Kept::File(_, len) if range.end as u64 > *len => Err(beyond()),
            Kept::File(file, _) => {
                let before = out.len();
                out.resize(before + range.len(), 0);
                read_at(file, &mut out[before..], range.start as u64)
                    .map_err(|e| Error::io(&self.folder, e))
            }
        }
    }
}

fn beyond() -> Error {
    Error::Argument("a frame behind the last one".into())
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
    use super::*;

    #[test]
    fn a_store_reads_the_same_from_memory_and_from_its_file() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..=250).collect();
        for memory in [0, 100, 1000] {
            let mut store = Store::new(folder.path(), memory);
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
