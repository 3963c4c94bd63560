//! Shards kept on this machine's disk, up to a size.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::SystemTime;

use bytes::Bytes;

use driftless_data::PathError as _;
use driftless_data::fs::{open_source, read_source, write_atomic};

use crate::manifest::ShardEntry;
use crate::{Error, Result};

/// How the name of a kept shard ends, after its checksum.
const END: &str = ".shard";

/// A folder of shards by their checksums, those that were used last.
pub(crate) struct DiskCache {
    folder: PathBuf,
    most: u64,
    /// One at a time makes room.
    writing: Mutex<()>,
}

impl DiskCache {
    /// Shards in `folder`, of `most` bytes together; several processes may share it.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be made or written.
    pub fn open(folder: &Path, most: u64) -> Result<Self> {
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        driftless_data::fs::check_target(&folder.join("probe"))?;
        Ok(Self {
            folder: folder.to_owned(),
            most,
            writing: Mutex::new(()),
        })
    }

    fn path(&self, shard: &ShardEntry) -> PathBuf {
        self.folder.join(format!("{}{END}", shard.sha256))
    }

    /// What is kept under a shard's checksum. Whoever takes it compares the checksum.
    pub fn get(&self, shard: &ShardEntry) -> Option<Bytes> {
        let path = self.path(shard);
        let bytes = read_source(&path, shard.bytes).ok()?;
        // Used last; if that cannot be noted, it goes sooner.
        if let Ok(file) = open_source(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        Some(bytes.into())
    }

    /// Forgets a shard, which is damaged.
    pub fn remove(&self, shard: &ShardEntry) {
        // Another process may have removed it.
        let _ = std::fs::remove_file(self.path(shard));
    }

    /// Keeps a shard; the least recently used ones are removed to make room. A disk that is full is no error: it is downloaded
    /// once more then.
    pub fn put(&self, shard: &ShardEntry, bytes: &Bytes) {
        let path = self.path(shard);
        // A link is not ours: what it leads to would be replaced.
        if shard.bytes > self.most || path.is_symlink() {
            return;
        }
        let _one = self.writing.lock();
        self.make_room(self.most - shard.bytes);
        if let Err(error) = write_atomic(&path, bytes) {
            tracing::warn!("a shard is not kept: {error}");
        }
    }

    /// Removes the oldest shards until those that stay have at most `most` bytes.
    fn make_room(&self, most: u64) {
        let Ok(entries) = std::fs::read_dir(&self.folder) else {
            return;
        };
        let mut kept: Vec<(SystemTime, u64, PathBuf)> = entries
            .filter_map(|entry| {
                let entry = entry.ok()?;
                let name = entry.file_name().into_string().ok()?;
                let metadata = entry.metadata().ok()?;
                let is_ours = name.strip_suffix(END).is_some_and(|sum| sum.len() == 64);
                (is_ours && metadata.is_file()).then_some((
                    metadata.modified().ok()?,
                    metadata.len(),
                    entry.path(),
                ))
            })
            .collect();
        kept.sort();
        let mut total: u64 = kept.iter().map(|(_, bytes, _)| bytes).sum();
        for (_, bytes, path) in kept {
            if total <= most {
                break;
            }
            // Another process may have removed it.
            let _ = std::fs::remove_file(&path);
            total -= bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shard(name: u8, bytes: u64) -> ShardEntry {
        ShardEntry {
            name: format!("{name}.tar"),
            bytes,
            frames: 1,
            episodes: 1,
            longest: 1,
            sha256: format!("{name:064x}"),
        }
    }

    #[test]
    fn least_used_shards_make_room() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("mine.txt"), "stays").unwrap();
        let cache = DiskCache::open(folder.path(), 25).unwrap();
        let bytes = |n: u8| Bytes::from(vec![n; 10]);
        for n in [1, 2] {
            cache.put(&shard(n, 10), &bytes(n));
        }
        let old = SystemTime::UNIX_EPOCH;
        let second = open_source(&cache.path(&shard(2, 10))).unwrap();
        second.set_modified(old).unwrap();
        assert_eq!(cache.get(&shard(1, 10)), Some(bytes(1)));
        cache.put(&shard(3, 10), &bytes(3));
        let kept: Vec<bool> = (1..4).map(|n| cache.get(&shard(n, 10)).is_some()).collect();
        assert_eq!(kept, [true, false, true]);
        cache.put(&shard(4, 26), &Bytes::from(vec![4; 26]));
        assert!(cache.get(&shard(4, 26)).is_none() && cache.get(&shard(1, 10)).is_some());
        cache.remove(&shard(1, 10));
        assert!(cache.get(&shard(1, 10)).is_none());
        assert!(folder.path().join("mine.txt").exists());
    }
}
