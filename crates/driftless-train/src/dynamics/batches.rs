//! Batches of training sequences, drawn from the encoded frames of a run.

use std::ops::RangeInclusive;

use candle_core::{DType, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use driftless_flow::path::expand;
use driftless_model::checkpoint::TOKENIZER;
use driftless_model::config::WorldConfig;
use driftless_model::dynamics::ActionTensors;

use super::batch::Batch;
use super::recalled::RecallDrawer;
use super::window_errors::WindowErrors;
use crate::context::RunContext;
use crate::frame_encoding::FrameEncoding;
use crate::frame_store::{ByteStore, FrameStore};
use crate::progress::TrainProgress;
use crate::random::normal_like;
use crate::settings::DynamicsSettings;
use crate::{Error, Result};

/// Draws batches of sequences from the latents of all frames.
pub(super) struct WindowSampler<'a> {
    run: &'a RunContext,
    settings: &'a DynamicsSettings,
    store: &'a FrameStore,
    /// Latents of all frames, f32.
    latents: ByteStore,
    /// (episode, start) of every window: of the usual length, and of the long one.
    windows: [Vec<(usize, usize)>; 2],
    /// By which hard windows are drawn.
    pub errors: WindowErrors,
}

impl<'a> WindowSampler<'a> {
    /// Encodes all frames.
    ///
    /// # Errors
    /// Returns an error if no episode is long enough for a sequence, or if the device or the file
    /// of the latents fails.
    pub fn new(
        run: &'a RunContext,
        store: &'a FrameStore,
        progress: &mut dyn TrainProgress,
    ) -> Result<Self> {
        let settings = &run.settings.dynamics;
        let long = if settings.long_sequence_every == 0 {
            Vec::new()
        } else {
            find_windows(store, settings.long_sequence_length)?
        };
        Ok(Self {
            run,
            settings,
            store,
            windows: [find_windows(store, settings.sequence_length)?, long],
            latents: FrameEncoding {
                world: &run.world,
                tokenizer: &run.layout.checkpoint().join(TOKENIZER),
                device: &run.device,
                folder: run.layout.root(),
                memory_gib: run.settings.memory_gib,
            }
            .encode(store, progress)?,
            errors: WindowErrors::new(store.frames()),
        })
    }

    /// Whether the step trains on long sequences.
    fn is_long(&self, step: u64) -> bool {
        let every = self.settings.long_sequence_every;
        every > 0 && step % every == every - 1
    }

    /// Number of sequences at a step, and frames per sequence. Batches of long sequences have fewer
    /// of them, so that a step costs the same.
    pub fn batch_shape(&self, step: u64) -> (usize, usize) {
        let s = self.settings;
        if self.is_long(step) {
            let frames = s.batch_size * s.sequence_length;
            let long = s.long_sequence_length;
            ((frames / long).max(1), long)
        } else {
            (s.batch_size, s.sequence_length)
        }
    }

    /// Episode and start of a window: by the error of one of its frames, or uniformly.
    fn draw_window(&self, step: u64, rng: &mut ChaCha8Rng) -> (usize, usize) {
        let windows = &self.windows[usize::from(self.is_long(step))];
        if self.settings.hard_fraction > 0.0
            && rng.random_bool(self.settings.hard_fraction)
            && let Some(window) = self.draw_hard_window(step, rng)
        {
            return window;
        }
        windows[rng.random_range(0..windows.len())]
    }

    /// Episode and start of a window around a frame drawn by its error; `None` if no window trains on
    /// that frame.
    fn draw_hard_window(&self, step: u64, rng: &mut ChaCha8Rng) -> Option<(usize, usize)> {
        let frame = self.errors.draw(rng);
        let later = self.store.episodes.partition_point(|e| e.start <= frame);
        let i = later.checked_sub(1)?;
        let episode = &self.store.episodes[i];
        let (_, length) = self.batch_shape(step);
        let untrained = self.run.world.dynamics.stem_frames.max(1);
        let starts = starts_around(frame - episode.start, episode.frames(), length, untrained)?;
        Some((i, rng.random_range(starts)))
    }

    /// What a sequence of `frames` frames is predicted from; `by_pose` if it recalls frames by their poses.
    fn draw_history(&self, by_pose: bool, frames: usize, rng: &mut ChaCha8Rng) -> History {
        let s = self.settings;
        let mut history = History::default();
        let mut noisy_fraction = if by_pose {
            s.memory.noisy_context_fraction
        } else {
            0.0
        };
        if self.run.world.dynamics.delta_state {
            let most = s.delta_state.max_prefix_fraction * frames as f64;
            history.prefix = (most * rng.random::<f64>()) as usize;
            if history.prefix > 0 {
                noisy_fraction = noisy_fraction.max(s.delta_state.noisy_context_fraction);
            }
        }
        if noisy_fraction > 0.0 && rng.random_bool(noisy_fraction) {
            history.noisy = Some(s.min_context_signal as f32 * rng.random::<f32>());
        }
        history
    }

    /// Draws the batch of a step.
    ///
    /// # Errors
    /// Returns an error if the device or the file of the latents fails.
    pub fn draw(&self, step: u64, rng: &mut ChaCha8Rng) -> Result<Batch> {
        let (world, (b, frames)) = (&self.run.world, self.batch_shape(step));
        let len = world.latent_len() * size_of::<f32>();
        let mut latents = Vec::with_capacity(b * frames * len);
        let (mut actions, mut rewards, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        let mut starts = Vec::with_capacity(b);
        let mut recalled = RecallDrawer::new(world, self.settings, &self.latents);
        let lowest = self.settings.min_context_signal as f32;
        let mut histories = Vec::with_capacity(b);
        for _ in 0..b {
            let (i, start) = self.draw_window(step, rng);
            let episode = &self.store.episodes[i];
            starts.push(episode.start + start);
            let first = (episode.start + start) * len;
            self.latents
                .read(first..first + frames * len, &mut latents)?;
            let range = start..start + frames;
            actions.extend_from_slice(&episode.actions[range.clone()]);
            rewards.extend_from_slice(&episode.rewards[range.clone()]);
            ends.extend_from_slice(&episode.ends[range]);
            let by_pose = match &mut recalled {
                Some(recalled) => recalled.push(episode, start, frames, rng)?,
                None => false,
            };
            histories.push(self.draw_history(by_pose, frames, rng));
        }
        let device = &self.run.device;
        let shape = latent_shape(world, b, frames);
        let latents = Tensor::from_raw_buffer(&latents, DType::F32, &shape, device)?;
        let signal: Vec<f32> = (0..b * frames)
            .map(|i| {
                let noisy = histories[i / frames].noisy_at(i % frames);
                noisy.unwrap_or_else(|| rng.random_range(lowest..1.0))
            })
            .collect();
        let context_signal = Tensor::from_vec(signal, (b, frames), device)?;
        let noise = normal_like(&latents, rng)?;
        let level = expand(&context_signal, &latents)?;
        let path = world.flow.path;
        let context = path.interpolate(&noise, &latents, &level)?;
        let stem = world.dynamics.stem_frames;
        let mask: Vec<f32> = (0..b * frames)
            .map(|i| {
                let first = histories[i / frames].prefix.max(stem).max(1);
                if i % frames < first { 0.0 } else { 1.0 }
            })
            .collect();
        Ok(Batch {
            frames: starts,
            actions: ActionTensors::new(&actions, [b, frames], world.axes.len(), device)?,
            rewards: Tensor::from_vec(rewards, (b, frames), device)?,
            ends: Tensor::from_vec(ends, (b, frames), device)?,
            past: past_frames(&context, stem)?,
            mask: Tensor::from_vec(mask, (b, frames), device)?,
            recalled: match recalled {
                Some(recalled) => Some(recalled.finish((b, frames), &latents, rng)?),
                None => None,
            },
            latents,
            context,
            context_signal,
        })
    }
}

/// What a sequence is predicted from.
#[derive(Clone, Copy, Debug, Default)]
struct History {
    /// The first frames, which are only remembered.
    prefix: usize,
    /// The signal level of a context that is too noisy to predict from.
    noisy: Option<f32>,
}

impl History {
    /// The signal level of frame `at` in the context, if it is noisy.
    fn noisy_at(self, at: usize) -> Option<f32> {
        self.noisy.filter(|_| at >= self.prefix)
    }
}

/// (episode, start) of every window of `frames` frames.
///
/// # Errors
/// Returns an error if there is none.
fn find_windows(store: &FrameStore, frames: usize) -> Result<Vec<(usize, usize)>> {
    let episodes = store.episodes.iter().enumerate();
    let windows: Vec<_> = episodes
        .flat_map(|(i, episode)| {
            let starts = (episode.frames() + 1).saturating_sub(frames);
            (0..starts).map(move |start| (i, start))
        })
        .collect();
    if windows.is_empty() {
        return Err(Error::Episodes(format!(
            "no episode has {frames} frames, the sequence length of the settings"
        )));
    }
    Ok(windows)
}

/// Starts of the windows of `length` frames, within an episode of `frames` frames, in which frame `at`
/// comes after the first `untrained` frames; `None` if there is none.
fn starts_around(
    at: usize,
    frames: usize,
    length: usize,
    untrained: usize,
) -> Option<RangeInclusive<usize>> {
    let latest = at.checked_sub(untrained)?;
    let starts = (at + 1).saturating_sub(length)..=latest.min(frames.checked_sub(length)?);
    (!starts.is_empty()).then_some(starts)
}

fn latent_shape(world: &WorldConfig, b: usize, frames: usize) -> Vec<usize> {
    let [gh, gw] = world.grid();
    vec![b, frames, gh, gw, world.tokenizer.channels]
}

/// The `count` frames before each frame, latest first, with zeros before the first frame:
/// [B, T, gh, gw, c] → [B, T, gh, gw, count·c].
pub(super) fn past_frames(x: &Tensor, count: usize) -> Result<Tensor> {
    let t = x.dim(1)?;
    let earlier = (1..=count)
        .map(|n| {
            let n = n.min(t);
            Ok(x.narrow(1, 0, t - n)?.pad_with_zeros(1, n, 0)?)
        })
        .collect::<Result<Vec<_>>>()?;
    if earlier.is_empty() {
        return Ok(x.narrow(4, 0, 0)?);
    }
    Ok(Tensor::cat(&earlier, 4)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn windows_train_on_the_hard_frame() {
        // Ten frames, windows of four, of which the first is not trained on.
        let starts = |at| starts_around(at, 10, 4, 1);
        assert_eq!(starts(5), Some(2..=4));
        assert_eq!(starts(9), Some(6..=6));
        assert_eq!(starts(1), Some(0..=0));
        assert_eq!(starts(0), None);
        assert_eq!(starts_around(2, 3, 4, 1), None);
    }

    #[test]
    fn past_is_latest_first_and_zero_padded() {
        let x = Tensor::new(&[1f32, 2.0, 3.0], &Device::Cpu).unwrap();
        let x = x.reshape((1, 3, 1, 1, 1)).unwrap();
        let past = past_frames(&x, 2).unwrap().flatten_all().unwrap();
        let past: Vec<f32> = past.to_vec1().unwrap();
        assert_eq!(past, [0.0, 0.0, 1.0, 0.0, 2.0, 1.0]);
    }
}
