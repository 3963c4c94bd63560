//! Draws frames: by their errors, in proportion to their rarity, or each as often as any other.

use std::collections::BTreeMap;

use candle_core::Tensor;
use rand::Rng;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use super::backgrounds::Backgrounds;
use super::foreground::cumulative_rarity;
use crate::Result;
use crate::frame_errors::{FrameError, FrameErrors, hardest};
use crate::frame_store::FrameStore;
use crate::settings::TokenizerSettings;
use crate::shards::{DrawnItem, Lane, ShardDraws, Stream};
use crate::training_data::TrainingData;

/// The frames of a step.
pub(super) struct DrawnFrames {
    /// u8 RGB, [N, H, W, 3].
    pub pixels: Vec<u8>,
    /// The frame before each in its episode, or the frame itself if it is the first; `None` without a
    /// `change_weight`.
    pub previous: Option<Vec<u8>>,
    /// Which they are.
    pub frames: Vec<usize>,
}

/// Draws the frames that a tokenizer is trained on.
pub(super) enum FrameSource<'a> {
    /// From all frames.
    Stored(StoredFrames<'a>),
    /// From the shards that are open.
    Streamed(Stream<'a, FrameDraws<'a>>),
}

/// All frames, and by what they are drawn.
pub(super) struct StoredFrames<'a> {
    settings: &'a TokenizerSettings,
    store: &'a FrameStore,
    /// Cumulative sum of the rarity of all frames.
    cumulative_rarity: Vec<f64>,
    errors: FrameErrors,
}

impl<'a> FrameSource<'a> {
    /// Draws from `data`, whose frames have these backgrounds, and pixels in the foreground with `frequencies`.
    ///
    /// # Errors
    /// Returns an error if the frames cannot be read, or a thread for shards cannot be started.
    pub fn new(
        data: TrainingData<'a>,
        settings: &'a TokenizerSettings,
        backgrounds: Backgrounds,
        frequencies: Vec<f32>,
    ) -> Result<Self> {
        match data {
            TrainingData::Stored(store) => Ok(Self::Stored(StoredFrames {
                settings,
                store,
                cumulative_rarity: cumulative_rarity(store, &backgrounds, &frequencies)?,
                errors: FrameErrors::new(store.frames()),
            })),
            TrainingData::Sharded(data) => {
                let draws = FrameDraws {
                    settings,
                    backgrounds,
                    frequencies,
                };
                Ok(Self::Streamed(Stream::new(data, draws, 1)?))
            }
        }
    }

    /// Draws the frames of a step.
    ///
    /// # Errors
    /// Returns an error if they cannot be read, or if the user asks to stop while they are waited for.
    pub fn draw(&mut self, step: u64, rng: &mut ChaCha8Rng) -> Result<DrawnFrames> {
        match self {
            Self::Stored(stored) => stored.draw(rng),
            Self::Streamed(stream) => {
                let count = stream.draws().settings.batch_size;
                let items = stream.draw(step, count, ())?;
                let mut drawn = DrawnFrames::new(stream.draws().settings);
                for item in items {
                    drawn.push(item.frame as usize, &item.data);
                }
                Ok(drawn)
            }
        }
    }

    /// Remembers the errors of frames that were trained on.
    pub fn set_errors(&mut self, errors: &[FrameError]) {
        for error in errors {
            match self {
                Self::Stored(stored) => stored.errors.set(error.frame, error.error),
                Self::Streamed(stream) => stream.set_error(*error),
            }
        }
    }

    /// The tensors of the saved state.
    ///
    /// # Errors
    /// Returns an error if candle fails.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        match self {
            Self::Stored(stored) => stored.errors.state(),
            Self::Streamed(stream) => stream.state(),
        }
    }

    /// Restores the tensors of a saved state.
    ///
    /// # Errors
    /// Returns an error if they have another type.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        match self {
            Self::Stored(stored) => stored.errors.restore(state),
            Self::Streamed(stream) => stream.restore(state),
        }
    }
}

impl DrawnFrames {
    /// No frame yet.
    fn new(settings: &TokenizerSettings) -> Self {
        Self {
            pixels: Vec::new(),
            previous: (settings.change_weight > 0.0).then(Vec::new),
            frames: Vec::new(),
        }
    }

    /// Adds what [`read`] read.
    fn push(&mut self, frame: usize, data: &[u8]) {
        let pixels = match &mut self.previous {
            Some(previous) => {
                let (pixels, before) = data.split_at(data.len() / 2);
                previous.extend_from_slice(before);
                pixels
            }
            None => data,
        };
        self.pixels.extend_from_slice(pixels);
        self.frames.push(frame);
    }
}

/// Reads a frame into `out` and, with a `change_weight`, the one before it.
fn read(
    store: &FrameStore,
    at: usize,
    settings: &TokenizerSettings,
    out: &mut Vec<u8>,
) -> Result<()> {
    store.read(at..at + 1, out)?;
    if settings.change_weight > 0.0 {
        let before = store.frame_before(at);
        store.read(before..before + 1, out)?;
    }
    Ok(())
}

impl StoredFrames<'_> {
    fn draw(&self, rng: &mut ChaCha8Rng) -> Result<DrawnFrames> {
        let mut drawn = DrawnFrames::new(self.settings);
        let mut data = Vec::new();
        for _ in 0..self.settings.batch_size {
            let at = self.draw_frame(rng);
            data.clear();
            read(self.store, at, self.settings, &mut data)?;
            drawn.push(at, &data);
        }
        Ok(drawn)
    }

    /// Draws the index of a frame.
    fn draw_frame(&self, rng: &mut ChaCha8Rng) -> usize {
        if rng.random_bool(self.settings.hard_fraction) {
            return self.errors.draw(rng);
        }
        let rare = draw_rare(&self.cumulative_rarity, self.settings.rare_fraction, rng);
        rare.unwrap_or_else(|| rng.random_range(0..self.store.frames()))
    }
}

/// In a `fraction` of cases, draws the index of a frame in proportion to its rarity.
fn draw_rare(cumulative: &[f64], fraction: f64, rng: &mut ChaCha8Rng) -> Option<usize> {
    let total = cumulative.last().copied().unwrap_or(0.0);
    if total > 0.0 && rng.random_bool(fraction) {
        let at = rng.random_range(0.0..total);
        return Some(cumulative.partition_point(|sum| *sum <= at));
    }
    None
}

/// How frames are drawn from an open shard.
pub(super) struct FrameDraws<'a> {
    settings: &'a TokenizerSettings,
    backgrounds: Backgrounds,
    frequencies: Vec<f32>,
}

/// The frames of an open shard.
pub(super) struct OpenFrames {
    store: FrameStore,
    cumulative_rarity: Vec<f64>,
    /// The order in which each comes once.
    order: Vec<usize>,
}

impl ShardDraws for FrameDraws<'_> {
    type Open = OpenFrames;
    type Request = ();

    fn open(&mut self, store: FrameStore, rng: &mut ChaCha8Rng) -> Result<OpenFrames> {
        let mut order: Vec<usize> = (0..store.frames()).collect();
        order.shuffle(rng);
        Ok(OpenFrames {
            cumulative_rarity: cumulative_rarity(&store, &self.backgrounds, &self.frequencies)?,
            store,
            order,
        })
    }

    fn items(&self, open: &OpenFrames) -> u64 {
        open.order.len() as u64
    }

    fn draw(
        &self,
        open: &OpenFrames,
        lane: &mut Lane,
        (): (),
        rng: &mut ChaCha8Rng,
    ) -> Result<DrawnItem> {
        let rare = self.settings.rare_fraction;
        let at = if rng.random_bool(self.settings.hard_fraction) {
            hardest(&lane.errors, rng)
        } else if let Some(at) = draw_rare(&open.cumulative_rarity, rare, rng) {
            at
        } else {
            lane.drawn += 1;
            open.order[lane.drawn as usize - 1]
        };
        let mut data = Vec::new();
        read(&open.store, at, self.settings, &mut data)?;
        Ok(DrawnItem {
            frame: at as u64,
            data,
            ..DrawnItem::default()
        })
    }
}
