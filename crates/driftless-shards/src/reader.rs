//! Reads the shards of a manifest: from the disk cache or their place, checked against the manifest.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use driftless_data::Episode;

use crate::archive;
use crate::cache::DiskCache;
use crate::location::Location;
use crate::manifest::{MAX_MANIFEST, Manifest, ShardEntry};
use crate::stop::Stop;
use crate::store::Store;
use crate::{Error, Result};

/// How often a shard that does not arrive as its manifest says is read from a server.
const ATTEMPTS: u32 = 3;
/// How long the first repetition waits; each further one waits twice as long.
const PAUSE: Duration = Duration::from_millis(200);
/// How often a wish to stop is looked for while it waits.
const STOP_EVERY: Duration = Duration::from_millis(20);

/// Where downloaded shards are kept between uses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CacheOptions {
    /// The folder.
    pub folder: PathBuf,
    /// The most bytes in it.
    pub bytes: u64,
}

/// The shards of a manifest.
pub struct ShardReader {
    manifest: Manifest,
    store: Store,
    cache: Option<DiskCache>,
    /// Held while a shard is read that will be kept: whoever wants the same one waits, and finds it there. Some
    /// shards share one.
    reading: [Mutex<()>; 16],
    stop: Stop,
}

impl ShardReader {
    /// Reads a manifest. What `stop` says is asked now and then while a server is waited for. A cache is of use for servers
    /// only.
    ///
    /// # Errors
    /// Returns an error if the manifest cannot be read or is not one, if the cache's folder cannot be written, if there are
    /// no credentials, or if `stop` says so.
    pub fn open(location: &Location, cache: Option<&CacheOptions>, stop: Stop) -> Result<Self> {
        Self::with_store(Store::open(location, &stop)?, cache, stop)
    }

    fn with_store(store: Store, cache: Option<&CacheOptions>, stop: Stop) -> Result<Self> {
        let location = store.location();
        let text = store.read(&location.manifest, MAX_MANIFEST)?;
        let manifest = Manifest::parse(&location.to_string(), &text)?;
        let cache = cache.filter(|_| !store.is_local());
        let cache = cache.map(|c| DiskCache::open(&c.folder, c.bytes));
        Ok(Self {
            manifest,
            store,
            cache: cache.transpose()?,
            reading: Default::default(),
            stop,
        })
    }

    /// What the shards hold.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Calls `visit` with the path and the content of every episode of a shard, by its index in the manifest.
    ///
    /// # Errors
    /// Returns an error that names the shard and where it is if it is not there, not of the size or checksum that the
    /// manifest says, or holds something else; if `stop` says so; or if `visit` returns one.
    pub fn for_each_episode(
        &self,
        shard: usize,
        visit: &mut dyn FnMut(&Path, Episode) -> driftless_data::Result<()>,
    ) -> Result<()> {
        let entry = self.manifest.shards.get(shard);
        let entry = entry.ok_or_else(|| Error::Argument(format!("there is no shard {shard}")))?;
        self.visit(entry, visit)
    }

    /// As [`ShardReader::for_each_episode`], with the sample of the dataset.
    ///
    /// # Errors
    /// As [`ShardReader::for_each_episode`].
    pub fn for_each_excerpt(
        &self,
        visit: &mut dyn FnMut(&Path, Episode) -> driftless_data::Result<()>,
    ) -> Result<()> {
        self.visit(&self.manifest.sample, visit)
    }

    fn visit(
        &self,
        entry: &ShardEntry,
        visit: &mut dyn FnMut(&Path, Episode) -> driftless_data::Result<()>,
    ) -> Result<()> {
        let bytes = self.read(entry)?;
        let from = self.store.location().name_of(&entry.name);
        let info = &self.manifest.dataset;
        archive::for_each_episode(&bytes, entry, info, Path::new(&from), visit)
    }

    /// The bytes of a shard, checked.
    fn read(&self, entry: &ShardEntry) -> Result<Bytes> {
        let digit = entry.sha256.chars().next().and_then(|c| c.to_digit(16));
        let place = &self.reading[digit.unwrap_or(0) as usize];
        let reading = self.cache.as_ref().map(|_| place.lock());
        let _reading = reading.map(|held| held.unwrap_or_else(PoisonError::into_inner));
        if let Some(cache) = &self.cache
            && let Some(bytes) = cache.get(entry)
        {
            if problem(entry, &bytes).is_none() {
                return Ok(bytes);
            }
            cache.remove(entry);
        }
        let attempts = if self.store.is_local() { 1 } else { ATTEMPTS };
        for attempt in 1..=attempts {
            let what = match self.store.read(&entry.name, entry.bytes) {
                Ok(bytes) => match problem(entry, &bytes) {
                    None => {
                        if let Some(cache) = &self.cache {
                            cache.put(entry, &bytes);
                        }
                        return Ok(bytes);
                    }
                    Some(what) => what,
                },
                Err(Error::Store { what, .. }) => what,
                Err(Error::Refused { what, .. }) => return Err(self.bad_shard(entry, what)),
                Err(Error::Data(error)) => format!("cannot be read: {error}"),
                Err(error) => return Err(error),
            };
            if attempt == attempts {
                return Err(self.bad_shard(entry, what));
            }
            tracing::warn!("{}; trying again", self.bad_shard(entry, what));
            self.pause(PAUSE * 2_u32.pow(attempt - 1))?;
        }
        Err(self.bad_shard(entry, "was not read".into()))
    }

    fn bad_shard(&self, entry: &ShardEntry, what: String) -> Error {
        Error::Shard {
            manifest: self.store.location().to_string(),
            shard: entry.name.clone(),
            what,
        }
    }

    /// Waits, unless a person asks to stop.
    fn pause(&self, time: Duration) -> Result<()> {
        let until = std::time::Instant::now() + time;
        while std::time::Instant::now() < until {
            if (self.stop)() {
                return Err(Error::Interrupted);
            }
            std::thread::sleep(STOP_EVERY);
        }
        Ok(())
    }
}

/// What is wrong with the bytes of a shard, if anything.
fn problem(entry: &ShardEntry, bytes: &[u8]) -> Option<String> {
    if bytes.len() as u64 != entry.bytes {
        let (found, expected) = (bytes.len(), entry.bytes);
        return Some(format!(
            "is cut off: it has {found} bytes, expected {expected}"
        ));
    }
    let found = checksum(bytes);
    (found != entry.sha256).then(|| {
        let expected = &entry.sha256;
        format!("is damaged: its SHA-256 is {found}, expected {expected}")
    })
}

/// The checksum that a manifest has of a shard: SHA-256 in hexadecimal digits.
pub fn checksum(bytes: &[u8]) -> String {
    Sha256::digest(bytes)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
