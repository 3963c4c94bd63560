//! The container of a shard: a plain tar archive, which any tool unpacks to a dataset's folder: `dataset.json`, then the
//! episodes as `.npz` files, unchanged.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use driftless_data::layout::array::IMAGE;
use driftless_data::layout::{dataset, is_episode};
use driftless_data::npz::NpzReader;
use driftless_data::{DatasetInfo, Episode, Error as DataError, PathError as _};

use crate::manifest::ShardEntry;
use crate::{Error, Result};

/// Longest accepted header of an array, which comes on top of its frames.
const MAX_HEADER: u64 = 1 << 17;
/// Most files in a shard beside the episodes.
const MAX_OTHERS: u64 = 16;

/// A shard that is being filled.
pub(crate) struct Packer {
    tar: tar::Builder<Vec<u8>>,
}

impl Packer {
    /// A shard of a dataset.
    ///
    /// # Errors
    /// Returns an error if the description cannot be written.
    pub fn new(info: &DatasetInfo) -> Result<Self> {
        let mut packer = Self {
            tar: tar::Builder::new(Vec::new()),
        };
        let text = serde_json::to_vec_pretty(info).map_err(|e| DataError::encode("JSON", e))?;
        packer.add(dataset::INFO, &text)?;
        Ok(packer)
    }

    /// Adds a file. The same files give the same bytes: there is no time and no owner in them.
    ///
    /// # Errors
    /// Returns an error if the name is too long.
    pub fn add(&mut self, name: &str, bytes: &[u8]) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let added = self.tar.append_data(&mut header, name, bytes);
        added.map_err(|e| DataError::encode("tar", e).into())
    }

    /// The archive.
    ///
    /// # Errors
    /// Never in practice: it is in memory.
    pub fn finish(self) -> Result<Vec<u8>> {
        let bytes = self.tar.into_inner();
        bytes.map_err(|e| DataError::encode("tar", e).into())
    }
}

/// Calls `visit` with the path and the content of every episode of a shard. `from` is where the shard is, for errors.
///
/// # Errors
/// Returns an error if the archive is damaged, holds other episodes or frames than its entry in the manifest says, or if
/// an episode is invalid or `visit` returns an error.
pub(crate) fn for_each_episode(
    bytes: &Bytes,
    entry: &ShardEntry,
    info: &DatasetInfo,
    from: &Path,
    visit: &mut dyn FnMut(&Path, Episode) -> driftless_data::Result<()>,
) -> Result<()> {
    let [mut frames, mut episodes, mut longest] = [0_u64; 3];
    for (path, content) in files(bytes, entry, from)? {
        for episode in read(content, &path, info, entry.frames.saturating_sub(frames))? {
            let length = episode.frames() as u64;
            (frames, episodes) = (frames + length, episodes + 1);
            longest = longest.max(length);
            visit(&path, episode)?;
        }
    }
    if [frames, episodes, longest] == [entry.frames, entry.episodes, entry.longest] {
        return Ok(());
    }
    let what = format!(
        "holds {frames} frames in {episodes} episodes, the longest of {longest}; the manifest says {} in {}, the longest of {}",
        entry.frames, entry.episodes, entry.longest
    );
    Err(Error::invalid(from, what))
}

/// The paths of the episodes in an archive, and their content, which is not copied.
fn files(bytes: &Bytes, entry: &ShardEntry, from: &Path) -> Result<Vec<(PathBuf, Bytes)>> {
    let damaged = |e: std::io::Error| Error::invalid(from, format!("is no tar archive ({e})"));
    let mut archive = tar::Archive::new(Cursor::new(bytes.clone()));
    let (mut files, mut others) = (Vec::new(), 0);
    for file in archive.entries().map_err(damaged)? {
        let file = file.map_err(damaged)?;
        // Nothing is written under such a name: it is for messages.
        let name = file.path().map_err(damaged)?.into_owned();
        let is_file = file.header().entry_type().is_file();
        if !is_file || !is_episode(&name) {
            others += 1;
        } else {
            let start = file.raw_file_position() as usize;
            let end = start.saturating_add(file.size() as usize);
            if end > bytes.len() {
                return Err(damaged(std::io::ErrorKind::UnexpectedEof.into()));
            }
            files.push((from.join(name), bytes.slice(start..end)));
        }
        if others > MAX_OTHERS || files.len() as u64 > entry.episodes {
            let episodes = entry.episodes;
            let what = format!("holds more files than {episodes} episodes and {MAX_OTHERS} others");
            return Err(Error::invalid(from, what));
        }
    }
    Ok(files)
}

/// Reads the episodes of a file of at most `most` frames.
fn read(content: Bytes, path: &Path, info: &DatasetInfo, most: u64) -> Result<Vec<Episode>> {
    let mut npz = NpzReader::new(path, Cursor::new(content))?;
    let [height, width] = info.image.map(|side| side as u64);
    let frame = height.saturating_mul(width).saturating_mul(3);
    // Before they are unpacked.
    if npz.unpacked_len(IMAGE) > most.saturating_mul(frame).saturating_add(MAX_HEADER) {
        let what = format!("has more than the {most} frames that are left for it in the manifest");
        return Err(npz.error(IMAGE, what).into());
    }
    let episodes = Episode::read_npz(&mut npz)?;
    for episode in &episodes {
        info.check_episode(path, episode)?;
    }
    Ok(episodes)
}
