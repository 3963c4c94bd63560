//! Draws sequences: by the errors of their frames, or each as often as any other.

use std::collections::BTreeMap;

use candle_core::Tensor;
use rand::Rng;
use rand::seq::SliceRandom as _;
use rand_chacha::ChaCha8Rng;

use driftless_data::{Action, MAX_AXES};
use driftless_model::checkpoint::TOKENIZER;

use super::recalled::RecallDrawer;
use super::sequences::{
    Length, Sequences, draw_history, find_windows, separate_windows, starts_around,
};
use super::window_errors::{LevelErrors, WindowErrors};
use crate::context::RunContext;
use crate::frame_encoding::{FrameEncoding, StoreEncoder};
use crate::frame_errors::{FrameError, hardest};
use crate::frame_store::{ByteStore, FrameStore};
use crate::progress::TrainProgress;
use crate::shards::{DrawnItem, Lane, ShardDraws, ShardedData, Stream};
use crate::training_data::TrainingData;
use crate::{Error, Result};

/// Draws the sequences that a dynamics is trained on.
pub(super) enum WindowSource<'a> {
    /// From all frames.
    Stored(StoredWindows<'a>),
    /// From the shards that are open.
    Streamed {
        run: &'a RunContext,
        stream: Box<Stream<'a, WindowDraws<'a>>>,
        levels: LevelErrors,
    },
}

/// All windows, and by what they are drawn.
pub(super) struct StoredWindows<'a> {
    run: &'a RunContext,
    store: &'a FrameStore,
    /// Latents of all frames, f32.
    latents: ByteStore,
    /// (episode, start) of every window: of the usual length, and of the long one.
    windows: [Vec<(usize, usize)>; 2],
    errors: WindowErrors,
}

/// Calls `with` with what encodes the frames of a run.
fn encoding<T>(run: &RunContext, with: impl FnOnce(FrameEncoding<'_>) -> Result<T>) -> Result<T> {
    with(FrameEncoding {
        world: &run.world,
        tokenizer: &run.layout.checkpoint().join(TOKENIZER),
        device: &run.device,
        folder: run.layout.root(),
        memory_gib: run.settings.memory_gib,
    })
}

impl<'a> WindowSource<'a> {
    /// Draws from `data`.
    ///
    /// # Errors
    /// Returns an error if no episode is long enough for a sequence, if the device or the file of the latents fails, or if a
    /// thread for shards cannot be started.
    pub fn new(
        run: &'a RunContext,
        data: TrainingData<'a>,
        progress: &mut dyn TrainProgress,
    ) -> Result<Self> {
        let settings = &run.settings.dynamics;
        let long = (settings.long_sequence_every > 0).then_some(settings.long_sequence_length);
        match data {
            TrainingData::Stored(store) => {
                let long = long.map(|length| find_windows(store, length)).transpose()?;
                let usual = find_windows(store, settings.sequence_length)?;
                Ok(Self::Stored(StoredWindows {
                    run,
                    store,
                    windows: [usual, long.unwrap_or_default()],
                    latents: encoding(run, |encoding| encoding.encode(store, progress))?,
                    errors: WindowErrors::new(store.frames()),
                }))
            }
            TrainingData::Sharded(data) => {
                let longest = long.unwrap_or(0).max(settings.sequence_length);
                let draws = WindowDraws {
                    run,
                    data,
                    encoder: encoding(run, |encoding| encoding.open())?,
                    long,
                };
                Ok(Self::Streamed {
                    run,
                    stream: Box::new(Stream::new(data, draws, longest)?),
                    levels: LevelErrors::default(),
                })
            }
        }
    }

    /// Draws `count` sequences for a step.
    ///
    /// # Errors
    /// Returns an error if they cannot be read, or if the user asks to stop while they are waited for.
    pub fn draw(
        &mut self,
        step: u64,
        count: usize,
        length: Length,
        rng: &mut ChaCha8Rng,
    ) -> Result<Sequences<'a>> {
        match self {
            Self::Stored(stored) => stored.draw(count, length, rng),
            Self::Streamed { run, stream, .. } => {
                let run = *run;
                let items = stream.draw(step, count, length)?;
                let mut all = Sequences {
                    recalled: RecallDrawer::new(&run.world, &run.settings.dynamics),
                    ..Sequences::default()
                };
                for item in items {
                    add(&mut all, &item, length, run, rng)?;
                }
                Ok(all)
            }
        }
    }

    /// Remembers the errors of frames that were trained on.
    pub fn set_errors(&mut self, errors: &[FrameError]) {
        match self {
            Self::Stored(stored) => stored.errors.update(errors),
            Self::Streamed { stream, levels, .. } => {
                for error in errors {
                    stream.set_error(levels.relative(*error));
                }
            }
        }
    }

    /// The tensors of the saved state.
    ///
    /// # Errors
    /// Returns an error if candle fails.
    pub fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        match self {
            Self::Stored(stored) if stored.run.settings.dynamics.hard_fraction == 0.0 => {
                Ok(BTreeMap::new())
            }
            Self::Stored(stored) => stored.errors.state(),
            Self::Streamed { stream, levels, .. } => {
                let mut state = stream.state()?;
                state.extend(levels.state()?);
                Ok(state)
            }
        }
    }

    /// Restores the tensors of a saved state.
    ///
    /// # Errors
    /// Returns an error if they have another type.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        match self {
            Self::Stored(stored) => stored.errors.restore(state),
            Self::Streamed { stream, levels, .. } => {
                stream.restore(state)?;
                levels.restore(state)
            }
        }
    }
}

impl<'a> StoredWindows<'a> {
    fn draw(&self, count: usize, length: Length, rng: &mut ChaCha8Rng) -> Result<Sequences<'a>> {
        let run = self.run;
        let mut all = Sequences {
            recalled: RecallDrawer::new(&run.world, &run.settings.dynamics),
            ..Sequences::default()
        };
        for _ in 0..count {
            let (i, start) = self.draw_window(length, rng);
            let episode = &self.store.episodes[i];
            all.starts.push(episode.start + start);
            let len = run.world.latent_len() * size_of::<f32>();
            let first = (episode.start + start) * len;
            self.latents
                .read(first..first + length.frames * len, &mut all.latents)?;
            let range = start..start + length.frames;
            all.actions
                .extend_from_slice(&episode.actions[range.clone()]);
            all.rewards
                .extend_from_slice(&episode.rewards[range.clone()]);
            all.ends.extend_from_slice(&episode.ends[range]);
            let by_pose = match &mut all.recalled {
                Some(recalled) => {
                    recalled.push(&self.latents, episode, (start, length.frames), rng)?
                }
                None => false,
            };
            let history = draw_history(run, by_pose, length.frames, rng);
            all.histories.push(history);
        }
        Ok(all)
    }

    /// Episode and start of a window: by the error of one of its frames, or uniformly.
    fn draw_window(&self, length: Length, rng: &mut ChaCha8Rng) -> (usize, usize) {
        let windows = &self.windows[usize::from(length.is_long)];
        let hard_fraction = self.run.settings.dynamics.hard_fraction;
        if hard_fraction > 0.0
            && rng.random_bool(hard_fraction)
            && let Some(window) =
                hard_window(self.run, self.store, self.errors.draw(rng), length, rng)
        {
            return window;
        }
        windows[rng.random_range(0..windows.len())]
    }
}

/// Episode and start of a window around a frame that was drawn by its error; `None` if no window trains on it.
fn hard_window(
    run: &RunContext,
    store: &FrameStore,
    frame: usize,
    length: Length,
    rng: &mut ChaCha8Rng,
) -> Option<(usize, usize)> {
    let later = store.episodes.partition_point(|e| e.start <= frame);
    let i = later.checked_sub(1)?;
    let episode = &store.episodes[i];
    let untrained = run.world.dynamics.stem_frames.max(1);
    let (at, frames) = (frame - episode.start, episode.frames());
    let starts = starts_around(at, frames, length.frames, untrained)?;
    Some((i, rng.random_range(starts)))
}

/// Adds a sequence that some rank has drawn.
fn add(
    all: &mut Sequences<'_>,
    item: &DrawnItem,
    length: Length,
    run: &RunContext,
    rng: &mut ChaCha8Rng,
) -> Result<()> {
    let bytes = length.frames * run.world.latent_len() * size_of::<f32>();
    let counts = [item.actions.len(), item.rewards.len(), item.ends.len()];
    if item.data.len() != bytes || counts != [length.frames; 3] {
        return Err(Error::Internal("ranks draw sequences of different lengths"));
    }
    all.starts.push(item.frame as usize);
    all.latents.extend_from_slice(&item.data);
    let mut axes = item.axes.chunks_exact(MAX_AXES);
    let actions = item.actions.iter();
    let actions = actions.map(|index| Action::with_axes(*index, axes.next().unwrap_or_default()));
    all.actions.extend(actions);
    all.rewards.extend_from_slice(&item.rewards);
    all.ends.extend_from_slice(&item.ends);
    if let (Some(all), Some(recalled)) = (&mut all.recalled, &item.recalled) {
        all.append(recalled);
    }
    let history = draw_history(run, item.by_pose, length.frames, rng);
    all.histories.push(history);
    Ok(())
}

/// How sequences are drawn from an open shard.
pub(super) struct WindowDraws<'a> {
    run: &'a RunContext,
    data: &'a ShardedData,
    encoder: StoreEncoder,
    /// Length of the long sequences, if there are any.
    long: Option<usize>,
}

/// The sequences of an open shard.
pub(super) struct OpenWindows {
    store: FrameStore,
    latents: ByteStore,
    /// The order in which each comes once; none has a frame of another.
    order: Vec<(usize, usize)>,
    /// All long ones.
    long: Vec<(usize, usize)>,
}

impl ShardDraws for WindowDraws<'_> {
    type Open = OpenWindows;
    type Request = Length;

    fn open(&mut self, mut store: FrameStore, rng: &mut ChaCha8Rng) -> Result<OpenWindows> {
        let length = self.run.settings.dynamics.sequence_length;
        let mut order = separate_windows(&store, length, rng);
        order.shuffle(rng);
        let long = self.long.map(|length| find_windows(&store, length));
        let latents = self.encoder.encode(&store, self.data.latents(), &mut ())?;
        // From now on its latents stand for them.
        store.forget_frames();
        Ok(OpenWindows {
            latents,
            order,
            long: long.transpose()?.unwrap_or_default(),
            store,
        })
    }

    fn items(&self, open: &OpenWindows) -> u64 {
        open.order.len() as u64
    }

    fn draw(
        &self,
        open: &OpenWindows,
        lane: &mut Lane,
        length: Length,
        rng: &mut ChaCha8Rng,
    ) -> Result<DrawnItem> {
        let hard_fraction = self.run.settings.dynamics.hard_fraction;
        let mut hard = None;
        if hard_fraction > 0.0 && rng.random_bool(hard_fraction) {
            let frame = hardest(&lane.errors, rng);
            hard = hard_window(self.run, &open.store, frame, length, rng);
        }
        let window = match hard {
            Some(window) => window,
            None if length.is_long => open.long[rng.random_range(0..open.long.len())],
            None => {
                lane.drawn += 1;
                open.order[lane.drawn as usize - 1]
            }
        };
        self.item(open, window, length, rng)
    }
}

impl WindowDraws<'_> {
    /// A window of an open shard.
    fn item(
        &self,
        open: &OpenWindows,
        (i, start): (usize, usize),
        length: Length,
        rng: &mut ChaCha8Rng,
    ) -> Result<DrawnItem> {
        let (run, episode) = (self.run, &open.store.episodes[i]);
        let range = start..start + length.frames;
        let actions = &episode.actions[range.clone()];
        let mut item = DrawnItem {
            frame: (episode.start + start) as u64,
            actions: actions.iter().map(|action| action.index).collect(),
            rewards: episode.rewards[range.clone()].to_vec(),
            ends: episode.ends[range].to_vec(),
            ..DrawnItem::default()
        };
        if !run.world.axes.is_empty() {
            item.axes = actions.iter().flat_map(|action| action.axes).collect();
        }
        let len = run.world.latent_len() * size_of::<f32>();
        let first = (episode.start + start) * len;
        open.latents
            .read(first..first + length.frames * len, &mut item.data)?;
        if let Some(mut recalled) = RecallDrawer::new(&run.world, &run.settings.dynamics) {
            let window = (start, length.frames);
            item.by_pose = recalled.push(&open.latents, episode, window, rng)?;
            item.recalled = Some(recalled.into_parts());
        }
        Ok(item)
    }
}
