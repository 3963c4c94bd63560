//! Training on a dataset in shards: each rank reads its share of them, in an order drawn from the seed and the epoch.
//!
//! A few shards are open at a time, each in a *lane*: what is drawn from a lane, and which shard it goes on with, depends on
//! the seed and on what was drawn before, and not on the ranks. Lanes are dealt to ranks. Each rank draws from its own lanes,
//! and what was drawn is exchanged, so that all have the whole batch, as they have of a folder; the batches of N ranks are
//! those of one.

mod lanes;
mod messages;
mod stream;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use driftless_shards::{Ahead, Location, Manifest, ShardReader};

pub(crate) use self::lanes::Lane;
use self::lanes::{Lanes, ShardRange};
pub(crate) use self::messages::{DrawnItem, RecallParts};
pub(crate) use self::stream::{ShardDraws, Stream};
use crate::context::RunContext;
use crate::frame_store::{ByteStore, FrameStore};
use crate::options::TrainOptions;
use crate::ranks::Ranks;
use crate::{Error, Result};

/// Most threads of a rank that read shards.
const MOST_THREADS: usize = 4;

/// A dataset in shards.
pub(crate) struct ShardedData {
    reader: Arc<ShardReader>,
    /// Excerpts from all over the dataset.
    pub sample: FrameStore,
    /// The frames of every shard among all frames, in the order of the manifest.
    ranges: Vec<ShardRange>,
    ranks: Ranks,
    seed: u64,
    /// The most shards that are open at a time.
    open: usize,
    /// Where frames go that exceed the memory, and the most that are in memory, in bytes.
    folder: PathBuf,
    memory: u64,
    reads_poses: bool,
    interrupted: fn() -> bool,
}

/// Opens the shards that the options name.
///
/// # Errors
/// Returns an error if the manifest cannot be read, or with options that are for folders of episodes.
pub(crate) fn open(options: &TrainOptions) -> Result<ShardReader> {
    for (option, given, instead) in [
        (
            "--skip-bad",
            options.skip_bad,
            "driftless shard --skip-bad leaves them out",
        ),
        (
            "--unlabelled",
            options.unlabelled.is_some(),
            "it takes a folder of episodes as --data",
        ),
    ] {
        if given {
            let what = format!("{option} does not go with a dataset in shards: {instead}");
            return Err(Error::Argument(what));
        }
    }
    let location = Location::parse(&options.data)?;
    let interrupted = options.shards.interrupted;
    let cache = options.shards.cache.as_ref();
    Ok(ShardReader::open(&location, cache, Arc::new(interrupted))?)
}

impl ShardedData {
    /// Reads the sample of a dataset.
    ///
    /// # Errors
    /// Returns an error if it cannot be read, or if there are more ranks than lanes.
    pub fn new(run: &RunContext, reader: ShardReader, options: &TrainOptions) -> Result<Self> {
        let manifest = reader.manifest();
        let open = run.settings.open_shards.min(manifest.shards.len());
        if run.ranks.size() > open {
            return Err(Error::Ranks(format!(
                "{} ranks read from {open} shards at a time, expected as many ranks at most: the dataset has {} shards, \
                 and open_shards is {}",
                run.ranks.size(),
                manifest.shards.len(),
                run.settings.open_shards
            )));
        }
        check_settings(run)?;
        let memory = (run.settings.memory_gib * f64::from(1 << 30)) as u64;
        let info = manifest.dataset.clone();
        let mut sample = FrameStore::new(info, run.layout.root(), memory);
        let reads_poses = run.world.dynamics.memory.is_some();
        sample.read_poses(reads_poses);
        reader.for_each_excerpt(&mut |path, episode| sample.push(&episode, path))?;
        Ok(Self {
            sample,
            ranges: ranges(manifest),
            ranks: run.ranks.clone(),
            seed: run.settings.seed,
            open,
            folder: run.layout.root().to_owned(),
            memory,
            reads_poses,
            interrupted: options.shards.interrupted,
            reader: Arc::new(reader),
        })
    }

    fn manifest(&self) -> &Manifest {
        self.reader.manifest()
    }

    /// Number of frames of all shards.
    pub fn frames(&self) -> usize {
        self.manifest().frames as usize
    }

    /// What tells this data from other data, a line for each shard.
    pub fn summary(&self) -> String {
        self.manifest().summary()
    }

    /// Names of the shards that these frames are in, each once.
    pub fn shard_names(&self, frames: &[usize]) -> Vec<String> {
        let holding =
            |range: &&ShardRange| frames.iter().any(|frame| range.frames().contains(frame));
        let shards = self.ranges.iter().filter(holding);
        let entries = shards.filter_map(|range| self.manifest().shards.get(range.index));
        entries.map(|entry| entry.name.clone()).collect()
    }

    /// Lanes over the shards that have an episode of at least `frames` frames.
    ///
    /// # Errors
    /// Returns an error if there are too few of them for the ranks.
    fn lanes(&self, frames: usize) -> Result<Lanes> {
        let all = self.ranges.iter();
        let long = all.filter(|range| range.longest >= frames).cloned();
        let long: Vec<ShardRange> = long.collect();
        let left_out = self.ranges.len() - long.len();
        if long.is_empty() {
            return Err(Error::Episodes(format!(
                "no episode has {frames} frames, the sequence length of the settings"
            )));
        }
        if self.ranks.size() > long.len() {
            let (ranks, shards) = (self.ranks.size(), long.len());
            return Err(Error::Ranks(format!(
                "{ranks} ranks, but only {shards} shards have an episode of {frames} frames, the sequence length"
            )));
        }
        if left_out > 0 {
            tracing::warn!("{left_out} shards have no episode of {frames} frames and are left out");
        }
        let list = crc32c::crc32c(self.summary().as_bytes());
        Ok(Lanes::new(self.seed, list, long, self.open))
    }

    /// How many of the lanes are this rank's.
    fn own_lanes(&self) -> u64 {
        (self.open.div_ceil(self.ranks.size()) as u64).max(1)
    }

    /// An empty store for the frames of an open shard, or their latents.
    fn bytes(&self, per_lane: u64) -> ByteStore {
        ByteStore::new(&self.folder, self.memory / (self.own_lanes() * per_lane))
    }

    /// A place for the latents of an open shard.
    pub fn latents(&self) -> ByteStore {
        self.bytes(1)
    }

    /// Threads that read and unpack the shards at the positions of an order.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started.
    fn ahead(&self, lanes: &Lanes) -> Result<Ahead<Result<FrameStore>>> {
        let order = Mutex::new(lanes.clone());
        let (reader, folder) = (Arc::clone(&self.reader), self.folder.clone());
        // Of each lane one shard is open, and one is ready.
        let memory = self.memory / (2 * self.own_lanes());
        let reads_poses = self.reads_poses;
        let threads = (self.own_lanes() as usize).min(MOST_THREADS);
        let read = move |position: u64| {
            let shard = order
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .shard(position)
                .index;
            let info = reader.manifest().dataset.clone();
            let mut store = FrameStore::new(info, &folder, memory);
            store.read_poses(reads_poses);
            reader.for_each_episode(shard, &mut |path, episode| store.push(&episode, path))?;
            Ok(store)
        };
        Ok(Ahead::start(threads, read)?)
    }
}

/// Checks that every lane comes to its next shard: only what is drawn in order counts.
fn check_settings(run: &RunContext) -> Result<()> {
    let (tokenizer, dynamics) = (&run.settings.tokenizer, &run.settings.dynamics);
    let fractions = [
        ("tokenizer.hard_fraction", tokenizer.hard_fraction),
        ("tokenizer.rare_fraction", tokenizer.rare_fraction),
        ("dynamics.hard_fraction", dynamics.hard_fraction),
    ];
    if let Some((key, _)) = fractions.iter().find(|(_, fraction)| *fraction >= 1.0) {
        let what =
            format!("{key} is 1, expected less with shards, or no other shard is ever opened");
        return Err(Error::Argument(what));
    }
    if dynamics.long_sequence_every == 1 {
        let what = "dynamics.long_sequence_every is 1, expected 0 or more than 1 with shards, or no other shard is ever opened";
        return Err(Error::Argument(what.into()));
    }
    Ok(())
}

/// The frames of every shard among all frames.
fn ranges(manifest: &Manifest) -> Vec<ShardRange> {
    let shards = manifest.shards.iter().enumerate();
    let ranges = shards.scan(0, |start, (index, shard)| {
        let first = *start;
        *start += shard.frames as usize;
        Some(ShardRange {
            index,
            first,
            count: shard.frames as usize,
            longest: shard.longest as usize,
        })
    });
    ranges.collect()
}
