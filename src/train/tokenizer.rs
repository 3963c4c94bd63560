//! Training the tokenizer: small objects survive, and the latent moves smoothly with them.
//!
//! First both halves are trained together: latents are standardised with the batch's statistics,
//! noise is added to them, and a frame's latent is drawn towards the mean of the latents of its two
//! neighbours shifted by a few pixels. A pixel that differs from the background counts more, the
//! more so the rarer that is at its place: a ball passes a pixel once in hundreds of frames, a
//! paddle stands in its column all the time. Frames that show something at a rare place are drawn
//! more often for the same reason. Then the encoder and the statistics are frozen, and the decoder is
//! polished alone.

mod fast;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use candle_core::{Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use self::fast::Fast;
use super::footage::Footage;
use super::optimizer::Optimizer;
use super::preview;
use super::run::{Losses, Run, Task, Trained};
use super::settings::TokenizerSettings;
use crate::Result;
use crate::eval::pictures::Sheet;
use crate::model::checkpoint::{TOKENIZER, write_tensors};
use crate::model::config::WorldConfig;
use crate::model::params::Params;
use crate::model::tokenizer::{LATENT_MEAN, LATENT_STD, Tokenizer, images_to_tensor};

/// Frames that the stored statistics of the latents are measured on.
const STATISTICS_FRAMES: usize = 2048;
/// Frames that the median background is taken from.
const MEDIAN_FRAMES: usize = 255;
/// A pixel that differs by more (of a range of 2) in any channel belongs to the foreground.
const FOREGROUND: f64 = 0.1;
/// Frames that the foreground's frequencies are measured on.
const FREQUENCY_FRAMES: usize = 2048;
/// No rarity counts for more than this many times the mean's.
const LARGEST_RARITY: f32 = 10.0;
/// No channel is scaled up further than by the inverse of this.
const LEAST_STD: f64 = 1e-4;

pub(super) struct TokenizerTask<'a> {
    run: &'a Run,
    settings: &'a TokenizerSettings,
    footage: &'a Footage,
    tokenizer: Tokenizer,
    /// Median frame, [1, H, W, 3].
    background: Tensor,
    /// Weight of the foreground at every pixel, [1, H, W, 1].
    rarity: Tensor,
    /// Running sums over all frames of the rarity by which they are drawn.
    rare: Vec<f64>,
    polishing: bool,
    /// On the processor.
    fast: Option<Fast>,
}

impl<'a> TokenizerTask<'a> {
    pub(super) fn new(run: &'a Run, footage: &'a Footage) -> Result<(Self, BTreeMap<String, Var>)> {
        let params =
            Params::seeded(run.settings.seed, &run.device).with_precision(run.settings.precision);
        let tokenizer = Tokenizer::new(&params, &run.world)?;
        let median = median_frame(&footage.spread(MEDIAN_FRAMES)?, run.world.image_len());
        let background = images_to_tensor(&median, run.world.image, &run.device)?;
        let sample = footage.spread(FREQUENCY_FRAMES)?;
        let frequency = foreground_frequency(&sample, &background, run)?;
        let often = frequency.flatten_all()?.to_vec1::<f32>()?;
        let vars = params.finish()?;
        let rarity = rarity(&frequency)?;
        let task = Self {
            run,
            settings: &run.settings.tokenizer,
            footage,
            rare: running_rarity(footage, &median, &often)?,
            tokenizer,
            fast: Fast::new(run, &vars, &median, &rarity)?,
            rarity,
            background,
            polishing: false,
        };
        Ok((task, vars))
    }

    fn polish_from(&self) -> u64 {
        let steps = self.settings.optimizer.steps as f64;
        (steps * (1.0 - self.settings.polish)).round() as u64
    }

    /// Index of a frame: any, or one in proportion to the rarity of what it shows.
    fn draw(&self, rng: &mut ChaCha8Rng) -> usize {
        let total = self.rare.last().copied().unwrap_or(0.0);
        if total > 0.0 && rng.random_bool(self.settings.rare) {
            let at = rng.random_range(0.0..total);
            return self.rare.partition_point(|sum| *sum <= at);
        }
        rng.random_range(0..self.footage.frames())
    }

    /// 1 + foreground · rarity where a pixel differs from the background, else 1: [N, H, W, 1].
    fn pixel_weights(&self, images: &Tensor) -> Result<Tensor> {
        let weights = foreground(images, &self.background)?.broadcast_mul(&self.rarity)?;
        Ok(weights.affine(self.settings.foreground, 1.0)?)
    }

    /// 1 for patches that the encoder sees and 0 for hidden ones, [N, cells]; none where it sees all.
    fn visible(&self, frames: usize, rng: &mut ChaCha8Rng) -> Option<Vec<f32>> {
        if self.settings.mask == 0.0 {
            return None;
        }
        let cells = self.run.world.cells();
        let mut seen = Vec::with_capacity(frames * cells);
        for _ in 0..frames {
            let hidden = rng.random_range(0.0..self.settings.mask);
            seen.extend((0..cells).map(|_| f32::from(u8::from(!rng.random_bool(hidden)))));
        }
        Some(seen)
    }

    /// What the encoder sees of images [N, H, W, 3]: hidden patches are grey.
    fn masked(&self, images: &Tensor, rng: &mut ChaCha8Rng) -> Result<Tensor> {
        let ([gh, gw], patch) = (self.run.world.grid(), self.run.world.tokenizer.patch);
        let n = images.dim(0)?;
        let Some(seen) = self.visible(n, rng) else {
            return Ok(images.clone());
        };
        let seen = Tensor::from_vec(seen, (n, gh, 1, gw, 1, 1), images.device())?;
        let patches = images.reshape(vec![n, gh, patch, gw, patch, 3])?;
        Ok(patches.broadcast_mul(&seen)?.reshape(images.shape())?)
    }

    /// Bytes of the frames that a step trains on, and how long it took to have them.
    fn fetch(&self, rng: &mut ChaCha8Rng) -> Result<(Vec<u8>, Duration)> {
        let mut bytes = Vec::with_capacity(self.settings.batch * self.run.world.image_len());
        let fetching = Instant::now();
        for _ in 0..self.settings.batch {
            let at = self.draw(rng);
            self.footage.read(at..at + 1, &mut bytes)?;
        }
        Ok((bytes, fetching.elapsed()))
    }

    /// Standard deviation of the noise on latents.
    fn noise_level(&self) -> f64 {
        match self.polishing {
            true => self.settings.polish_noise,
            false => self.settings.noise,
        }
    }

    fn noise(&self, like: &Tensor, std: f64, rng: &mut ChaCha8Rng) -> Result<Tensor> {
        let values: Vec<f32> = (0..like.elem_count())
            .map(|_| StandardNormal.sample(rng))
            .collect();
        Ok((Tensor::from_vec(values, like.shape(), like.device())? * std)?)
    }

    /// Latents of `images` in the batch's own statistics, and their curvature over `pairs`: the
    /// first M images shifted one way and the other, [2·M, H, W, 3].
    fn joint(&self, images: &Tensor, pairs: &Tensor) -> Result<(Tensor, Tensor)> {
        let (n, m) = (images.dim(0)?, pairs.dim(0)? / 2);
        let raw = self
            .tokenizer
            .encode_raw(&Tensor::cat(&[images, pairs], 0)?)?;
        let own = raw.narrow(0, 0, n)?;
        let mean = own.mean_keepdim(0)?;
        let centred = own.broadcast_sub(&mean)?;
        let std = channel_std(&centred)?;
        let scaled = |z: &Tensor| z.broadcast_div(&std);
        let ahead = raw.narrow(0, n, m)?;
        let behind = raw.narrow(0, n + m, m)?;
        let middle = ((ahead + behind)? * 0.5)?;
        let bend = scaled(&(own.narrow(0, 0, m)? - middle)?)?;
        Ok((scaled(&centred)?, bend.sqr()?.mean_all()?))
    }

    /// The losses of a step, as tensors that candle can differentiate.
    pub(super) fn losses(&self, rng: &mut ChaCha8Rng) -> Result<Losses> {
        let image = self.run.world.image;
        let (bytes, fetched) = self.fetch(rng)?;
        let images = images_to_tensor(&bytes, image, &self.run.device)?;
        let (z, curvature) = if self.polishing {
            let z = self.tokenizer.encode(&images)?.detach();
            (z, Tensor::zeros((), images.dtype(), images.device())?)
        } else {
            let seen = self.masked(&images, rng)?;
            let some = seen.narrow(0, 0, self.settings.batch / 4)?;
            let shift = rng.random_range(1..=self.settings.shift);
            self.joint(&seen, &shifted_pairs(&some, rng.random(), shift)?)?
        };
        let noisy = (&z + self.noise(&z, self.noise_level(), rng)?)?;
        let error = (self.tokenizer.decode(&noisy)? - &images)?.sqr()?;
        let plain = error.mean_all()?;
        let pixels = error
            .broadcast_mul(&self.pixel_weights(&images)?)?
            .mean_all()?;
        let loss = (&pixels + (&curvature * self.settings.curvature)?)?;
        Ok(Losses {
            main: loss,
            further: Vec::new(),
            figures: vec![("pixels", pixels), ("mse", plain), ("curvature", curvature)],
            fetched,
        })
    }
}

impl Task for TokenizerTask<'_> {
    fn name(&self) -> &'static str {
        "tokenizer"
    }

    fn frames(&self, _step: u64) -> u64 {
        self.settings.batch as u64
    }

    fn prepare(&mut self, step: u64, optimizer: &mut Optimizer) -> Result<()> {
        if step == self.polish_from() {
            optimizer.adopt_averages(|_| true)?;
            let sample = self.footage.spread(STATISTICS_FRAMES)?;
            let (mean, std) = statistics(&self.tokenizer, &sample, self.run)?;
            optimizer.assign(LATENT_MEAN, &mean)?;
            optimizer.assign(LATENT_STD, &std)?;
        }
        self.polishing = step >= self.polish_from();
        Ok(())
    }

    fn step(
        &mut self,
        _step: u64,
        rng: &mut ChaCha8Rng,
        squares: &mut BTreeMap<String, f64>,
    ) -> Result<Trained> {
        match self.fast.take() {
            Some(mut fast) => {
                let trained = fast.step(self, rng);
                self.fast = Some(fast);
                trained
            }
            None => self.losses(rng)?.differentiate(squares),
        }
    }

    fn frozen(&self, _step: u64, name: &str) -> bool {
        self.polishing && name.starts_with("encoder.")
    }

    fn export(&self, step: u64, optimizer: &Optimizer) -> Result<()> {
        let mut weights = optimizer.averages();
        if step <= self.polish_from() {
            let given = weights.clone().into_iter().collect();
            let params = Params::from_tensors(&self.run.out, given, &self.run.device);
            let averaged = Tokenizer::new(&params, &self.run.world)?;
            let sample = self.footage.spread(STATISTICS_FRAMES)?;
            let (mean, std) = statistics(&averaged, &sample, self.run)?;
            weights.insert(LATENT_MEAN.to_owned(), mean);
            weights.insert(LATENT_STD.to_owned(), std);
        }
        write_tensors(&self.run.checkpoint().join(TOKENIZER), &weights)
    }

    fn preview(&self) -> Result<Sheet> {
        preview::tokenizer(self.run, self.footage)
    }
}

/// Standard deviation per channel of centred latents [.., channels], bounded from below.
fn channel_std(centred: &Tensor) -> Result<Tensor> {
    let channels = centred.dim(3)?;
    let variance = centred.sqr()?.reshape(((), channels))?.mean(0)?;
    Ok((variance + LEAST_STD * LEAST_STD)?.sqrt()?)
}

/// Mean [gh, gw, c] and standard deviation [c] of the raw latents of some frames.
fn statistics(tokenizer: &Tokenizer, bytes: &[u8], run: &Run) -> Result<(Tensor, Tensor)> {
    let WorldConfig { image, .. } = run.world;
    let latents = bytes
        .chunks(run.world.image_len() * 64)
        .map(|some| {
            let images = images_to_tensor(some, image, &run.device)?;
            Ok(tokenizer.encode_raw(&images)?.detach())
        })
        .collect::<Result<Vec<_>>>()?;
    let latents = Tensor::cat(&latents, 0)?;
    let mean = latents.mean(0)?;
    let std = channel_std(&latents.broadcast_sub(&mean)?)?;
    Ok((mean, std))
}

/// The median of every byte over frames of `len` bytes.
fn median_frame(bytes: &[u8], len: usize) -> Vec<u8> {
    let count = bytes.len() / len;
    let mut column = vec![0u8; count];
    (0..len)
        .map(|i| {
            for (frame, value) in column.iter_mut().enumerate() {
                *value = bytes[frame * len + i];
            }
            column.sort_unstable();
            column[count / 2]
        })
        .collect()
}

/// Images [M, H, W, 3] shifted by `shift` pixels one way, then the other, edges repeated:
/// [2·M, H, W, 3].
fn shifted_pairs(images: &Tensor, vertical: bool, shift: usize) -> Result<Tensor> {
    let axis = if vertical { 1 } else { 2 };
    let size = images.dim(axis)?;
    let kept = images.narrow(axis, 0, size - shift)?;
    let first = vec![images.narrow(axis, 0, 1)?; shift];
    let ahead = Tensor::cat(&[first, vec![kept]].concat(), axis)?;
    let kept = images.narrow(axis, shift, size - shift)?;
    let last = vec![images.narrow(axis, size - 1, 1)?; shift];
    let behind = Tensor::cat(&[vec![kept], last].concat(), axis)?;
    Ok(Tensor::cat(&[&ahead, &behind], 0)?)
}

/// 1 where a pixel differs from the background, else 0: [N, H, W, 3] → [N, H, W, 1].
fn foreground(images: &Tensor, background: &Tensor) -> Result<Tensor> {
    Ok(images
        .broadcast_sub(background)?
        .abs()?
        .max_keepdim(3)?
        .gt(FOREGROUND)?
        .to_dtype(images.dtype())?)
}

/// How often each pixel of some frames is foreground, [1, H, W, 1].
fn foreground_frequency(bytes: &[u8], background: &Tensor, run: &Run) -> Result<Tensor> {
    let parts = bytes
        .chunks(run.world.image_len() * 64)
        .map(|some| {
            let images = images_to_tensor(some, run.world.image, &run.device)?;
            Ok(foreground(&images, background)?.sum_keepdim(0)?)
        })
        .collect::<Result<Vec<_>>>()?;
    let count = bytes.len() / run.world.image_len();
    Ok((Tensor::cat(&parts, 0)?.sum_keepdim(0)? / count.max(1) as f64)?)
}

/// Running sums over frames of 1/f, where f is how often the frame's rarest foreground pixel is
/// foreground.
fn running_rarity(footage: &Footage, background: &[u8], often: &[f32]) -> Result<Vec<f64>> {
    let least = 1.0 / FREQUENCY_FRAMES as f32;
    let far = (FOREGROUND * 127.5) as u8;
    let rarest = |image: &mut Vec<u8>, at: usize| -> Result<f64> {
        image.clear();
        footage.read(at..at + 1, image)?;
        let foreground = image
            .chunks_exact(3)
            .zip(background.chunks_exact(3))
            .zip(often)
            .filter(|((a, b), _)| a.iter().zip(*b).any(|(a, b)| a.abs_diff(*b) > far));
        let f = foreground.fold(f32::INFINITY, |f, (_, often)| f.min(*often));
        Ok(f64::from(f.max(least).recip()))
    };
    let each = (0..footage.frames())
        .into_par_iter()
        .map_init(Vec::new, rarest)
        .collect::<Result<Vec<_>>>()?;
    Ok(each
        .into_iter()
        .scan(0.0, |sum, rarity| {
            *sum += rarity;
            Some(*sum)
        })
        .collect())
}

/// √(mean/f) for pixels that are foreground in a share f of the frames, where the mean is taken
/// over the pixels that ever are; at least 1, and bounded.
fn rarity(frequency: &Tensor) -> Result<Tensor> {
    let values = frequency.flatten_all()?.to_vec1::<f32>()?;
    let ever: Vec<f32> = values.iter().copied().filter(|f| *f > 0.0).collect();
    let mean = ever.iter().sum::<f32>() / ever.len().max(1) as f32;
    let weigh = |f: &f32| (mean / f.max(1e-9)).sqrt().clamp(1.0, LARGEST_RARITY);
    let weights = values.iter().map(weigh).collect();
    Ok(Tensor::from_vec(
        weights,
        frequency.dims(),
        frequency.device(),
    )?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn pairs_are_shifted_either_way() {
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

    #[test]
    fn frames_that_show_something_at_a_rare_place_are_drawn_more_often() {
        // Three frames of two pixels: nothing, a common thing, and a rare thing beside it.
        let images = [[0u8; 6], [90, 0, 0, 0, 0, 0], [90, 0, 0, 0, 0, 80]].concat();
        let episode = crate::data::Episode {
            height: 1,
            width: 2,
            images,
            actions: vec![0; 3],
            rewards: vec![0.0; 3],
            extras: BTreeMap::new(),
        };
        let info = crate::data::DatasetInfo {
            name: String::new(),
            fps: 1.0,
            image: [1, 2],
            actions: Vec::new(),
        };
        let folder = tempfile::tempdir().unwrap();
        let mut footage = Footage::new(info, folder.path(), 1 << 20);
        footage.push(&episode).unwrap();
        let sums = running_rarity(&footage, &[0; 6], &[0.5, 0.125]).unwrap();
        assert_eq!(sums, [0.0, 2.0, 10.0]);
    }

    #[test]
    fn what_is_rare_at_its_place_weighs_more_but_not_without_bound() {
        let f = Tensor::new(&[0.0f32, 0.4, 0.1, 0.0001], &Device::Cpu).unwrap();
        let weights: Vec<f32> = rarity(&f).unwrap().to_vec1().unwrap();
        let mean = 0.5001f32 / 3.0;
        assert_eq!(weights[1], 1.0);
        assert!((weights[2] - (mean / 0.1).sqrt()).abs() < 1e-5);
        assert_eq!((weights[0], weights[3]), (LARGEST_RARITY, LARGEST_RARITY));
    }

    #[test]
    fn the_median_ignores_what_passes_by() {
        let frames = [[9u8, 1], [9, 200], [9, 1], [77, 1], [9, 1]].concat();
        assert_eq!(median_frame(&frames, 2), [9, 1]);
    }
}
