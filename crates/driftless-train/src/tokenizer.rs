//! Training of the tokenizer: small objects have to survive, and the latent has to move smoothly
//! with them.
//!
//! First, encoder and decoder are trained together. Latents are standardized with the statistics of
//! the batch, and noise is added to them. The curvature penalty draws a frame's latent towards the
//! mean of the latents of two copies of it, shifted by a few pixels one way and the other.
//! Foreground pixels, which differ from the background of their scene, weigh more, and the rarer they are at their
//! position, the more: a ball covers a pixel once in hundreds of frames, a paddle is in its column
//! all the time. For the same reason, frames with rare foreground are drawn more often, and so are
//! frames with a patch that was reconstructed badly. The pixels around the foreground weigh more
//! than the rest of the background: without that, they become speckle. Pixels that differ from the
//! frame before can weigh more, too.
//!
//! Then the encoder and the statistics are frozen, and only the decoder is trained.

pub(crate) mod backgrounds;
mod cpu_step;
mod cpu_trainer;
pub(crate) mod foreground;
mod frame_source;

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::{Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use driftless_model::checkpoint::{TOKENIZER, write_tensors};
use driftless_model::config::WorldConfig;
use driftless_model::params::Params;
use driftless_model::tokenizer::{LATENT_MEAN, LATENT_STD, Tokenizer, images_to_tensor};

use self::backgrounds::Backgrounds;
use self::cpu_trainer::CpuTrainer;
use self::foreground::{FREQUENCY_FRAMES, dilated, foreground, foreground_frequency, pixel_rarity};
use self::frame_source::{DrawnFrames, FrameSource};
use super::TrainStage;
use super::context::RunContext;
use super::frame_store::FrameStore;
use super::optimizer::Optimizer;
use super::random::normal_like;
use super::settings::TokenizerSettings;
use super::task::{BatchReport, Losses, StepOutput, Task};
use super::training_data::TrainingData;
use crate::Result;

/// Frames from which the stored statistics of the latents are computed.
const STATISTICS_FRAMES: usize = 2048;
/// Frames from which the backgrounds are computed.
const MEDIAN_FRAMES: usize = 255;
/// Lower bound of a channel's standard deviation.
const MIN_STD: f64 = 1e-4;

pub(super) struct TokenizerTask<'a> {
    run: &'a RunContext,
    settings: &'a TokenizerSettings,
    /// Frames of the whole dataset, for statistics.
    sample: &'a FrameStore,
    tokenizer: Tokenizer,
    backgrounds: Backgrounds,
    /// All backgrounds, [K, H, W, 3].
    background_images: Tensor,
    /// Rarity weight of the foreground at every pixel, [1, H, W, 1].
    pixel_rarity: Tensor,
    /// Draws the frames.
    frames: FrameSource<'a>,
    /// Whether the encoder is frozen.
    decoder_only: bool,
    /// Computes the steps on the CPU; `None` on other devices.
    cpu: Option<CpuTrainer>,
}

impl<'a> TokenizerTask<'a> {
    pub(super) fn new(
        run: &'a RunContext,
        data: TrainingData<'a>,
    ) -> Result<(Self, BTreeMap<String, Var>)> {
        let sample = data.sample();
        let params =
            Params::seeded(run.settings.seed, &run.device).with_precision(run.settings.precision);
        let tokenizer = Tokenizer::new(&params, &run.world)?;
        let frame_len = run.world.image_len();
        let backgrounds = Backgrounds::of(&sample.sample_evenly(MEDIAN_FRAMES)?, frame_len);
        let some = sample.sample_evenly(FREQUENCY_FRAMES)?;
        let frequencies = foreground_frequency(&some, &backgrounds, frame_len);
        let vars = params.finish()?;
        let pixel_rarity = pixel_rarity(&frequencies);
        let [height, width] = run.world.image;
        let task = Self {
            run,
            settings: &run.settings.tokenizer,
            sample,
            tokenizer,
            cpu: CpuTrainer::new(run, &vars, &backgrounds, &pixel_rarity)?,
            pixel_rarity: Tensor::from_vec(pixel_rarity, (1, height, width, 1), &run.device)?,
            background_images: images_to_tensor(backgrounds.bytes(), run.world.image, &run.device)?,
            frames: FrameSource::new(
                data,
                &run.settings.tokenizer,
                backgrounds.clone(),
                frequencies,
            )?,
            backgrounds,
            decoder_only: false,
        };
        Ok((task, vars))
    }

    /// Loss weights of the pixels: 1 + `foreground_weight` · rarity in the foreground, 1 +
    /// `surroundings_weight` around it, else 1, and `change_weight` more where they differ from the frame before;
    /// [N, H, W, 1]. The images are the frames that were drawn.
    fn pixel_weights(&self, images: &Tensor, drawn: &DrawnFrames) -> Result<Tensor> {
        let s = self.settings;
        let frames = drawn.pixels.chunks_exact(self.run.world.image_len());
        let nearest: Vec<u32> =
            (frames.map(|frame| self.backgrounds.nearest(frame) as u32)).collect();
        let nearest = Tensor::new(nearest, images.device())?;
        let backgrounds = self.background_images.index_select(&nearest, 0)?;
        let foreground = foreground(images, &backgrounds)?;
        let around = (dilated(&foreground)? - &foreground)?;
        let weights = foreground.broadcast_mul(&self.pixel_rarity)?;
        let weights = weights.affine(s.foreground_weight, 1.0)?;
        let weights = (weights + (around * s.surroundings_weight)?)?;
        let Some(previous) = &drawn.previous else {
            return Ok(weights);
        };
        let previous = images_to_tensor(previous, self.run.world.image, images.device())?;
        let changed = foreground::foreground(images, &previous)?;
        Ok((weights + (changed * s.change_weight)?)?)
    }

    /// 1 for visible patches and 0 for hidden ones, [N, cells]; `None` if nothing is hidden.
    fn draw_visible(&self, frames: usize, rng: &mut ChaCha8Rng) -> Option<Vec<f32>> {
        if self.settings.max_mask_fraction == 0.0 {
            return None;
        }
        let cells = self.run.world.cells();
        let mut visible = Vec::with_capacity(frames * cells);
        for _ in 0..frames {
            let hidden = rng.random_range(0.0..self.settings.max_mask_fraction);
            visible.extend((0..cells).map(|_| f32::from(u8::from(!rng.random_bool(hidden)))));
        }
        Some(visible)
    }

    /// Hides random patches of images [N, H, W, 3] by making them grey.
    fn mask_patches(&self, images: &Tensor, rng: &mut ChaCha8Rng) -> Result<Tensor> {
        let ([gh, gw], patch) = (self.run.world.grid(), self.run.world.tokenizer.patch);
        let n = images.dim(0)?;
        let Some(visible) = self.draw_visible(n, rng) else {
            return Ok(images.clone());
        };
        let visible = Tensor::from_vec(visible, (n, gh, 1, gw, 1, 1), images.device())?;
        let patches = images.reshape(vec![n, gh, patch, gw, patch, 3])?;
        Ok(patches.broadcast_mul(&visible)?.reshape(images.shape())?)
    }

    /// Draws the frames of a step.
    fn draw_frames(
        &mut self,
        step: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<(DrawnFrames, BatchReport)> {
        let started = Instant::now();
        let drawn = self.frames.draw(step, rng)?;
        let report = BatchReport {
            frames: drawn.frames.clone(),
            fetch_time: started.elapsed(),
            ..BatchReport::default()
        };
        Ok((drawn, report))
    }

    /// Weighted error of each frame's worst patch, from the errors of all values [N, H, W, 3].
    fn worst_patches(&self, errors: &Tensor) -> Result<Vec<f32>> {
        let ([gh, gw], patch) = (self.run.world.grid(), self.run.world.tokenizer.patch);
        let n = errors.dim(0)?;
        let patches = errors.reshape(vec![n, gh, patch, gw, patch, 3])?;
        let sums = patches.sum((2, 4, 5))?.reshape((n, gh * gw))?;
        Ok(sums.max(1)?.to_vec1()?)
    }

    /// Standard deviation of the noise on the latents.
    fn noise_std(&self) -> f64 {
        if self.decoder_only {
            self.settings.decoder_only_noise
        } else {
            self.settings.latent_noise
        }
    }

    /// Latents of `images`, standardized with the statistics of the batch, and the curvature
    /// penalty over `pairs`: the first M images shifted one way, then the other, [2·M, H, W, 3].
    fn encode_with_curvature(&self, images: &Tensor, pairs: &Tensor) -> Result<(Tensor, Tensor)> {
        let (n, m) = (images.dim(0)?, pairs.dim(0)? / 2);
        let raw = self
            .tokenizer
            .encode_raw(&Tensor::cat(&[images, pairs], 0)?)?;
        let z = raw.narrow(0, 0, n)?;
        let mean = z.mean_keepdim(0)?;
        let centred = z.broadcast_sub(&mean)?;
        let std = channel_std(&centred)?;
        let scaled = |z: &Tensor| z.broadcast_div(&std);
        let forward = raw.narrow(0, n, m)?;
        let backward = raw.narrow(0, n + m, m)?;
        let middle = ((forward + backward)? * 0.5)?;
        let curvature = scaled(&(z.narrow(0, 0, m)? - middle)?)?;
        Ok((scaled(&centred)?, curvature.sqr()?.mean_all()?))
    }

    /// Statistics of the latents under averaged weights. What is exported when the encoder is frozen has the same as
    /// what goes on being trained, to the last bit: the dynamics may begin with either.
    fn averaged_statistics(&self, weights: &BTreeMap<String, Tensor>) -> Result<(Tensor, Tensor)> {
        let tensors = weights.clone().into_iter().collect();
        let params = Params::from_tensors(self.run.layout.root(), tensors, &self.run.device);
        let averaged = Tokenizer::new(&params, &self.run.world)?;
        let sample = self.sample.sample_evenly(STATISTICS_FRAMES)?;
        statistics(&averaged, &sample, self.run)
    }

    /// Draws a batch and computes its losses as tensors that candle can differentiate.
    pub(super) fn losses(&mut self, step: u64, rng: &mut ChaCha8Rng) -> Result<Losses> {
        let image = self.run.world.image;
        let (drawn, mut report) = self.draw_frames(step, rng)?;
        let images = images_to_tensor(&drawn.pixels, image, &self.run.device)?;
        let (z, curvature) = if self.decoder_only {
            let z = self.tokenizer.encode(&images)?.detach();
            (z, Tensor::zeros((), images.dtype(), images.device())?)
        } else {
            let visible = self.mask_patches(&images, rng)?;
            let subset = visible.narrow(0, 0, self.settings.batch_size / 4)?;
            let shift = rng.random_range(1..=self.settings.max_curvature_shift);
            self.encode_with_curvature(&visible, &shifted_pairs(&subset, rng.random(), shift)?)?
        };
        let noisy = (&z + (normal_like(&z, rng)? * self.noise_std())?)?;
        let error = (self.tokenizer.decode(&noisy)? - &images)?.sqr()?;
        let mse = error.mean_all()?;
        let weighted = error.broadcast_mul(&self.pixel_weights(&images, &drawn)?)?;
        report.set_frame_errors(&self.worst_patches(&weighted.detach())?);
        let pixels = weighted.mean_all()?;
        let loss = (&pixels + (&curvature * self.settings.curvature_weight)?)?;
        Ok(Losses {
            main: loss,
            auxiliary: Vec::new(),
            metrics: vec![("pixels", pixels), ("mse", mse), ("curvature", curvature)],
            batch: report,
        })
    }
}

impl Task for TokenizerTask<'_> {
    fn stage(&self) -> TrainStage {
        TrainStage::Tokenizer
    }

    fn frames_per_step(&self, _step: u64) -> u64 {
        self.settings.batch_size as u64
    }

    fn before_step(&mut self, step: u64, optimizer: &mut Optimizer) -> Result<()> {
        if step == self.settings.decoder_only_start() {
            optimizer.load_ema_weights(|_| true)?;
            let (mean, std) = self.averaged_statistics(&optimizer.ema_weights())?;
            optimizer.assign(LATENT_MEAN, &mean)?;
            optimizer.assign(LATENT_STD, &std)?;
        }
        self.decoder_only = step >= self.settings.decoder_only_start();
        Ok(())
    }

    fn step(
        &mut self,
        step: u64,
        rng: &mut ChaCha8Rng,
        mean_squares: &mut BTreeMap<String, f64>,
    ) -> Result<StepOutput> {
        let output = match self.cpu.take() {
            Some(mut cpu) => {
                let output = self.cpu_step(&mut cpu, step, rng);
                self.cpu = Some(cpu);
                output
            }
            None => self.losses(step, rng)?.backward(mean_squares),
        }?;
        self.frames.set_errors(&output.batch.errors);
        Ok(output)
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        self.frames.state()
    }

    fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        self.frames.restore(state)
    }

    fn is_frozen(&self, _step: u64, name: &str) -> bool {
        // The statistics are measured, not trained.
        let is_measured = name == LATENT_MEAN || name == LATENT_STD;
        is_measured || (self.decoder_only && name.starts_with("encoder."))
    }

    fn export(&self, step: u64, optimizer: &Optimizer) -> Result<()> {
        let mut weights = optimizer.ema_weights();
        if step <= self.settings.decoder_only_start() {
            let (mean, std) = self.averaged_statistics(&weights)?;
            weights.insert(LATENT_MEAN.to_owned(), mean);
            weights.insert(LATENT_STD.to_owned(), std);
        }
        Ok(write_tensors(
            &self.run.layout.checkpoint().join(TOKENIZER),
            &weights,
        )?)
    }
}

/// Standard deviation per channel of centred latents [N, gh, gw, c], at least [`MIN_STD`].
fn channel_std(centred: &Tensor) -> Result<Tensor> {
    let channels = centred.dim(3)?;
    let variance = centred.sqr()?.reshape(((), channels))?.mean(0)?;
    Ok((variance + MIN_STD * MIN_STD)?.sqrt()?)
}

/// Mean `[gh, gw, c]` and standard deviation `[c]` of the raw latents of frames.
fn statistics(tokenizer: &Tokenizer, bytes: &[u8], run: &RunContext) -> Result<(Tensor, Tensor)> {
    let WorldConfig { image, .. } = run.world;
    let latents = bytes
        .chunks(run.world.image_len() * 64)
        .map(|frames| {
            let images = images_to_tensor(frames, image, &run.device)?;
            Ok(tokenizer.encode_raw(&images)?.detach())
        })
        .collect::<Result<Vec<_>>>()?;
    let latents = Tensor::cat(&latents, 0)?;
    let mean = latents.mean(0)?;
    let std = channel_std(&latents.broadcast_sub(&mean)?)?;
    Ok((mean, std))
}

/// Images [M, H, W, 3] shifted by `shift` pixels one way, then the other, with repeated edges:
/// [2·M, H, W, 3].
fn shifted_pairs(images: &Tensor, vertical: bool, shift: usize) -> Result<Tensor> {
    let axis = if vertical { 1 } else { 2 };
    let size = images.dim(axis)?;
    let inner = images.narrow(axis, 0, size - shift)?;
    let first = vec![images.narrow(axis, 0, 1)?; shift];
    let forward = Tensor::cat(&[first, vec![inner]].concat(), axis)?;
    let inner = images.narrow(axis, shift, size - shift)?;
    let last = vec![images.narrow(axis, size - 1, 1)?; shift];
    let backward = Tensor::cat(&[vec![inner], last].concat(), axis)?;
    Ok(Tensor::cat(&[&forward, &backward], 0)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn pairs_are_shifted_both_ways() {
        let x = Tensor::arange(0f32, 6.0, &Device::Cpu)
            .unwrap()
            .reshape((1, 1, 6, 1))
            .unwrap();
        let pairs = |shift| -> Vec<f32> {
            let pairs = shifted_pairs(&x, false, shift).unwrap();
            pairs.flatten_all().unwrap().to_vec1().unwrap()
        };
        assert_eq!(pairs(1), [0., 0., 1., 2., 3., 4., 1., 2., 3., 4., 5., 5.]);
        assert_eq!(pairs(2), [0., 0., 0., 1., 2., 3., 2., 3., 4., 5., 5., 5.]);
    }
}
