//! Batches of training sequences, of the sequences that were drawn.

use candle_core::{D, DType, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use driftless_flow::path::expand;
use driftless_model::config::WorldConfig;
use driftless_model::dynamics::ActionTensors;

use super::batch::Batch;
use super::sequences::{Length, Sequences};
use super::window_source::WindowSource;
use crate::Result;
use crate::context::RunContext;
use crate::frame_errors::FrameError;
use crate::progress::TrainProgress;
use crate::random::normal_like;
use crate::settings::DynamicsSettings;
use crate::training_data::TrainingData;

/// Draws batches of sequences.
pub(super) struct WindowSampler<'a> {
    run: &'a RunContext,
    settings: &'a DynamicsSettings,
    pub source: WindowSource<'a>,
}

impl<'a> WindowSampler<'a> {
    /// Draws from `data`. All frames of a folder are encoded now, those of shards when they are opened.
    ///
    /// # Errors
    /// Returns an error if no episode is long enough for a sequence, or if the device or the file
    /// of the latents fails.
    pub fn new(
        run: &'a RunContext,
        data: TrainingData<'a>,
        progress: &mut dyn TrainProgress,
    ) -> Result<Self> {
        Ok(Self {
            run,
            settings: &run.settings.dynamics,
            source: WindowSource::new(run, data, progress)?,
        })
    }

    /// Remembers the errors of frames that were trained on.
    pub fn set_errors(&mut self, errors: &[FrameError]) {
        self.source.set_errors(errors);
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

    /// Draws the batch of a step.
    ///
    /// # Errors
    /// Returns an error if the device or the file of the latents fails, if a shard cannot be read, or if the user asks to
    /// stop while one is waited for.
    pub fn draw(&mut self, step: u64, rng: &mut ChaCha8Rng) -> Result<Batch> {
        let (world, (b, frames)) = (&self.run.world, self.batch_shape(step));
        let length = Length {
            frames,
            is_long: self.is_long(step),
        };
        let Sequences {
            starts,
            latents,
            actions,
            rewards,
            ends,
            recalled,
            histories,
        } = self.source.draw(step, b, length, rng)?;
        let lowest = self.settings.min_context_signal as f32;
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
        let change_weight = self.settings.change_weight;
        let weights = (change_weight > 0.0).then(|| change_weights(&latents, change_weight));
        Ok(Batch {
            frames: starts,
            actions: ActionTensors::new(&actions, [b, frames], world.axes.len(), device)?,
            rewards: Tensor::from_vec(rewards, (b, frames), device)?,
            ends: Tensor::from_vec(ends, (b, frames), device)?,
            past: past_frames(&context, stem)?,
            mask: Tensor::from_vec(mask, (b, frames), device)?,
            weights: weights.transpose()?,
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

fn latent_shape(world: &WorldConfig, b: usize, frames: usize) -> Vec<usize> {
    let [gh, gw] = world.grid();
    vec![b, frames, gh, gw, world.tokenizer.channels]
}

/// Loss weights of latents [B, T, gh, gw, c] that differ from the frame before: 1 + `weight` · s/(s + m), [B, T, gh, gw],
/// where s is the mean squared difference over the channels and m the mean of s over the sequence. Where little moves,
/// that is 1 + `weight` for what does and 1 for the rest; where everything does, it is nearly even. The first frame has
/// nothing to differ from.
fn change_weights(latents: &Tensor, weight: f64) -> Result<Tensor> {
    let later = latents.dim(1)? - 1;
    let change = (latents.narrow(1, 1, later)? - latents.narrow(1, 0, later)?)?;
    let change = change.sqr()?.mean(D::Minus1)?.pad_with_zeros(1, 1, 0)?;
    let mean = change.mean_keepdim((1, 2, 3))?;
    let share = change.div(&change.broadcast_add(&(mean + f64::from(f32::MIN_POSITIVE))?)?)?;
    Ok(share.affine(weight, 1.0)?)
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
    fn what_changes_weighs_more() {
        // Three frames of 1×4 latents with two channels: one changes by 2, then by 1.
        let mut x = vec![0f32; 3 * 4 * 2];
        x[8 + 2..8 + 4].fill(2.0);
        x[16 + 2..16 + 4].copy_from_slice(&[3.0, 1.0]);
        let x = Tensor::from_vec(x, (1, 3, 1, 4, 2), &Device::Cpu).unwrap();
        let weights = change_weights(&x, 10.0).unwrap().flatten_all().unwrap();
        let weights: Vec<f32> = weights.to_vec1().unwrap();
        let mean = (4.0 + 1.0) / 12.0;
        let mut expected = [1.0; 12];
        expected[5] = 1.0 + 10.0 * 4.0 / (4.0 + mean);
        expected[9] = 1.0 + 10.0 / (1.0 + mean);
        for (weight, expected) in weights.iter().zip(expected) {
            assert!((weight - expected).abs() < 1e-5, "{weights:?}");
        }
        let still = change_weights(&x.zeros_like().unwrap(), 10.0).unwrap();
        let sum: f32 = still.sum_all().unwrap().to_scalar().unwrap();
        assert_eq!(sum, 12.0);
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
