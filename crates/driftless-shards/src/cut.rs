//! Cuts a dataset into shards.

use std::io::Cursor;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use rand::SeedableRng as _;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use driftless_data::fs::{folder_of, read_source};
use driftless_data::listing;
use driftless_data::npz::NpzReader;
use driftless_data::staging::StagingFolder;
use driftless_data::{DatasetInfo, Episode};

use crate::archive::Packer;
use crate::location::{Location, Place};
use crate::manifest::{FORMAT, MAX_SHARD, Manifest, ShardEntry};
use crate::reader::checksum;
use crate::sample::Sample;
use crate::stop::Stop;
use crate::store::Store;
use crate::{Error, Result};

/// Digits of a shard's checksum in its name.
const SUM_DIGITS: usize = 12;

/// How a dataset is cut.
#[derive(Clone, Debug)]
pub struct CutOptions {
    /// The dataset's folder.
    pub data: PathBuf,
    /// Where shards and manifest go: a folder, or a place in a store.
    pub out: Location,
    /// Size of a shard: its frames, uncompressed, in bytes. An episode is never cut; a longer one is a shard of its own.
    pub shard_bytes: u64,
    /// Seed of the order in which episodes are packed.
    pub seed: u64,
    /// Whether to leave out files that cannot be read, with a warning for each.
    pub skip_bad: bool,
    /// Whether a manifest that is in the store already is replaced.
    pub overwrite: bool,
}

/// Cuts a dataset into shards and writes them, the manifest last. The same dataset gives the same shards. Episodes are
/// packed in a random order, since training draws from a few shards at a time. `packed` is told how many frames are packed,
/// of how many.
///
/// # Errors
/// Returns an error if the dataset or a file in it cannot be read, the target is not empty, a shard cannot be written, or
/// `stop` says so.
pub fn cut(
    options: &CutOptions,
    stop: &Stop,
    packed: &mut dyn FnMut(u64, u64),
) -> Result<Manifest> {
    // A folder appears complete, or not at all.
    let staging = match &options.out.place {
        Place::Folder(folder) => {
            let folder = folder.join(&options.out.manifest);
            Some(StagingFolder::new(folder_of(&folder))?)
        }
        Place::S3 { .. } => None,
        Place::Web(url) => {
            let what = format!("{url} cannot be written, expected a folder or s3://BUCKET/PREFIX");
            return Err(Error::Argument(what));
        }
    };
    let mut out = options.out.clone();
    if let Some(staging) = &staging {
        out.place = Place::Folder(staging.path().to_owned());
    }
    let store = Store::open(&out, stop)?;
    if !options.overwrite && store.has(&out.manifest)? {
        let name = options.out.to_string();
        let what =
            "exists already; choose another place, or replace it with --overwrite".to_owned();
        return Err(Error::Refused { name, what });
    }
    let info = DatasetInfo::read(&options.data)?;
    let files = plan(options)?;
    let total = files.iter().map(|file| file.frames).sum();
    let mut cutter = Cutter {
        info: &info,
        store: &store,
        most: options.shard_bytes,
        sample: Sample::new(&info, total, options.shard_bytes),
        open: None,
        shards: Vec::new(),
    };
    let mut done = 0;
    for file in files {
        if stop() {
            return Err(Error::Interrupted);
        }
        packed(done, total);
        match read(&file.path, &info) {
            Ok((bytes, episodes)) => cutter.add(&file, &bytes, &episodes)?,
            Err(error) if options.skip_bad => tracing::warn!("skipped an episode: {error}"),
            Err(error) => return Err(error),
        }
        done += file.frames;
    }
    packed(total, total);
    let manifest = cutter.finish()?;
    let text = serde_json::to_vec_pretty(&manifest)
        .map_err(|e| driftless_data::Error::encode("JSON", e))?;
    // What is written can be read.
    Manifest::parse(&options.out.to_string(), &text)?;
    store.write(&out.manifest, &text.into())?;
    if let Some(staging) = staging {
        staging.finish()?;
    }
    Ok(manifest)
}

/// A file with episodes, as it is listed.
struct Listed {
    path: PathBuf,
    name: String,
    frames: u64,
}

/// The files of the dataset in the order in which they are packed.
fn plan(options: &CutOptions) -> Result<Vec<Listed>> {
    if options.shard_bytes == 0 || options.shard_bytes > MAX_SHARD {
        let most = MAX_SHARD >> 20;
        let what = format!(
            "shards of {} bytes, expected 1 to {most} MiB",
            options.shard_bytes
        );
        return Err(Error::Argument(what));
    }
    let mut files = Vec::new();
    let mut first_bad = None;
    for listed in listing::list(&options.data)? {
        let path = options.data.join(&listed.file);
        match listed.content {
            Ok(summary) => files.push(Listed {
                path,
                name: listed.file,
                frames: summary.frames as u64,
            }),
            Err(what) if options.skip_bad => {
                tracing::warn!("skipped an episode: {what}");
                first_bad.get_or_insert(what);
            }
            Err(what) => return Err(Error::Argument(what)),
        }
    }
    if let (true, Some(what)) = (files.is_empty(), first_bad) {
        return Err(Error::Argument(what));
    }
    files.shuffle(&mut ChaCha8Rng::seed_from_u64(options.seed));
    Ok(files)
}

/// A file of episodes, as it is and as what is in it.
fn read(path: &Path, info: &DatasetInfo) -> Result<(Bytes, Vec<Episode>)> {
    let bytes = Bytes::from(read_source(path, MAX_SHARD / 2)?);
    let episodes = Episode::read_npz(&mut NpzReader::new(path, Cursor::new(bytes.clone()))?)?;
    for episode in &episodes {
        info.check_episode(path, episode)?;
    }
    Ok((bytes, episodes))
}

/// Fills one shard after another.
struct Cutter<'a> {
    info: &'a DatasetInfo,
    store: &'a Store,
    most: u64,
    sample: Sample,
    open: Option<OpenShard>,
    shards: Vec<ShardEntry>,
}

/// A shard that is being filled.
struct OpenShard {
    packer: Packer,
    counted: Counted,
    /// Its files' bytes, as they are.
    packed: u64,
}

/// What is in a shard.
#[derive(Clone, Copy, Default)]
struct Counted {
    frames: u64,
    episodes: u64,
    longest: u64,
}

impl Counted {
    fn add(&mut self, episode: &Episode) {
        let frames = episode.frames() as u64;
        self.frames += frames;
        self.episodes += 1;
        self.longest = self.longest.max(frames);
    }
}

impl Cutter<'_> {
    /// Adds a file to the open shard, or to a new one if it does not fit.
    fn add(&mut self, file: &Listed, bytes: &[u8], episodes: &[Episode]) -> Result<()> {
        let frame = self.info.frame_bytes();
        let length = bytes.len() as u64;
        if let Some(open) = &self.open {
            let unpacked = (open.counted.frames + file.frames) * frame;
            if unpacked > self.most || open.packed + length > MAX_SHARD / 2 {
                self.close()?;
            }
        }
        let mut open = match self.open.take() {
            Some(open) => open,
            None => OpenShard {
                packer: Packer::new(self.info)?,
                counted: Counted::default(),
                packed: 0,
            },
        };
        open.packer.add(&file.name, bytes)?;
        open.packed += length;
        for episode in episodes {
            open.counted.add(episode);
            self.sample.offer(episode);
        }
        self.open = Some(open);
        Ok(())
    }

    /// Writes the open shard.
    fn close(&mut self) -> Result<()> {
        if let Some(OpenShard {
            packer, counted, ..
        }) = self.open.take()
        {
            let name = format!("shard-{:05}", self.shards.len());
            let entry = write(self.store, &name, packer, counted)?;
            self.shards.push(entry);
        }
        Ok(())
    }

    /// Writes what is left, and the sample.
    fn finish(mut self) -> Result<Manifest> {
        self.close()?;
        let mut packer = Packer::new(self.info)?;
        let mut counted = Counted::default();
        for (i, episode) in self.sample.excerpts().iter().enumerate() {
            let name = format!("excerpt_{i:03}.npz");
            packer.add(&name, &episode.to_bytes(Path::new(&name))?)?;
            counted.add(episode);
        }
        let sum = |of: fn(&ShardEntry) -> u64| self.shards.iter().map(of).sum();
        Ok(Manifest {
            format: FORMAT,
            dataset: self.info.clone(),
            frames: sum(|shard| shard.frames),
            episodes: sum(|shard| shard.episodes),
            sample: write(self.store, "sample", packer, counted)?,
            shards: self.shards,
        })
    }
}

/// Writes a shard, and says what it is. Its checksum is in its name: a shard of another manifest is never replaced.
fn write(store: &Store, stem: &str, packer: Packer, counted: Counted) -> Result<ShardEntry> {
    let bytes = Bytes::from(packer.finish()?);
    let sha256 = checksum(&bytes);
    let entry = ShardEntry {
        bytes: bytes.len() as u64,
        frames: counted.frames,
        episodes: counted.episodes,
        longest: counted.longest,
        name: format!("{stem}-{}.tar", &sha256[..SUM_DIGITS]),
        sha256,
    };
    store.write(&entry.name, &bytes)?;
    Ok(entry)
}
