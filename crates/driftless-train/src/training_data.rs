//! What a tokenizer or a dynamics is trained on: all frames of a folder, or a dataset in shards.

use super::frame_store::FrameStore;
use super::shards::ShardedData;

/// The training data of a run.
#[derive(Clone, Copy)]
pub(super) enum TrainingData<'a> {
    /// All frames, which can be read at any position.
    Stored(&'a FrameStore),
    /// Shards, of which a few are open at a time.
    Sharded(&'a ShardedData),
}

impl<'a> From<&'a FrameStore> for TrainingData<'a> {
    fn from(store: &'a FrameStore) -> Self {
        Self::Stored(store)
    }
}

impl<'a> TrainingData<'a> {
    /// Frames from all over the data, which every rank has: for statistics, starting clips and previews.
    pub fn sample(self) -> &'a FrameStore {
        match self {
            Self::Stored(store) => store,
            Self::Sharded(data) => &data.sample,
        }
    }

    /// Number of frames.
    pub fn frames(self) -> usize {
        match self {
            Self::Stored(store) => store.frames(),
            Self::Sharded(data) => data.frames(),
        }
    }

    /// What tells this data from other data.
    ///
    /// # Errors
    /// Returns an error if the file of the frames fails.
    pub fn summary(self) -> driftless_data::Result<String> {
        match self {
            Self::Stored(store) => store.summary(),
            Self::Sharded(data) => Ok(data.summary()),
        }
    }

    /// Where frames come from, for an error: the names of episodes, or of shards.
    pub fn names(self, frames: &[usize]) -> Vec<String> {
        match self {
            Self::Stored(store) => {
                let names = store.episode_names(frames);
                names.into_iter().map(str::to_owned).collect()
            }
            Self::Sharded(data) => data.shard_names(frames),
        }
    }
}
