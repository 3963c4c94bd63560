//! The two networks of a checkpoint, and the sampler between them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use driftless_engine::kernels::{Workers, fastest_threads};

use crate::autoencoder::{Autoencoder, COLOURS};
use crate::controls::CONTROLS;
use crate::files::{OasisFiles, Part};
use crate::schedule::{LEVELS, Schedule, steps};
use crate::transformer::{Condition, Conditions, MAX_WINDOW, Transformer};
use crate::weights::Weights;
use crate::{Error, Result};

/// Height and width of the published latents, which no tensor tells: 360×640 pixels in patches of 20.
pub const LATENT: [usize; 2] = [18, 32];

/// Layers that are timed with each number of threads.
const PROBES: usize = 3;

/// What the files of a checkpoint say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OasisInfo {
    /// Height and width of frames in pixels.
    pub image: [usize; 2],
    /// Height, width and channels of latents.
    pub latent: [usize; 3],
    /// Numbers in the diffusion transformer and in the autoencoder.
    pub parameters: [usize; 2],
}

impl OasisInfo {
    /// Bytes of a frame, u8 RGB.
    pub fn image_len(&self) -> usize {
        self.image[0] * self.image[1] * COLOURS
    }

    /// Numbers in a latent.
    pub fn latent_len(&self) -> usize {
        self.latent.iter().product()
    }
}

/// A finished frame as the network sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Its latent `[h, w, channels]`.
    pub latent: Vec<f32>,
    /// What led to it.
    pub controls: [f32; CONTROLS],
}

/// Parameters of the sampler. The defaults are those of the published program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DdimParams {
    /// Steps per frame.
    pub steps: usize,
    /// How noisy the network is told that finished frames are, from 0 to 1000 levels, although no noise is added to
    /// them: it then relies less on what is fine in them, and errors grow more slowly.
    pub stabilization: usize,
}

impl Default for DdimParams {
    fn default() -> Self {
        Self {
            steps: 10,
            stabilization: 15,
        }
    }
}

impl DdimParams {
    /// Checks the parameters.
    ///
    /// # Errors
    /// Returns an error that names the first that is out of its range.
    pub fn check(&self) -> Result<()> {
        steps(self.steps)?;
        if self.stabilization > LEVELS {
            return Err(Error::Argument(format!(
                "stabilization level {}: expected 0 to {LEVELS}",
                self.stabilization
            )));
        }
        Ok(())
    }

    /// The noise level that finished frames are labelled with.
    fn context_level(&self) -> usize {
        self.stabilization.saturating_sub(1)
    }
}

/// A checkpoint's networks.
pub struct Oasis {
    info: OasisInfo,
    transformer: Transformer,
    autoencoder: Autoencoder,
    schedule: Schedule,
    workers: Workers,
    /// The frames whose keys and values are in the cache, in order, and the noise level that they were seen at.
    cached: Vec<Arc<Frame>>,
    cached_level: usize,
}

impl Oasis {
    /// Reads the published networks. Widths and depths come from the weights. Nothing in the files is executed.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, or does not hold just the weights of its network.
    pub fn read(files: &OasisFiles) -> Result<Self> {
        Self::read_sized(files, LATENT)
    }

    /// As [`Self::read`], for networks that were trained on latents of another height and width.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub fn read_sized(files: &OasisFiles, latent: [usize; 2]) -> Result<Self> {
        let mut weights = Weights::open(&files.autoencoder, Part::Autoencoder)?;
        let autoencoder = Autoencoder::read(&mut weights, latent)?;
        let channels = autoencoder.channels;
        let mut parameters = [0, weights.taken()];
        weights.finish()?;
        let mut weights = Weights::open(&files.transformer, Part::Transformer)?;
        let transformer = Transformer::read(&mut weights, latent)?;
        if transformer.channels != channels {
            return Err(weights.error(format!(
                "its latents have {} channels, but those of {} have {channels}",
                transformer.channels,
                files.autoencoder.display()
            )));
        }
        parameters[0] = weights.taken();
        weights.finish()?;
        Ok(Self {
            info: OasisInfo {
                image: autoencoder.image(),
                latent: [latent[0], latent[1], channels],
                parameters,
            },
            transformer,
            autoencoder,
            schedule: Schedule::sigmoid(),
            workers: Workers::none(),
            cached: Vec::new(),
            cached_level: 0,
        })
    }

    /// What the files say.
    pub fn info(&self) -> OasisInfo {
        self.info
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.workers.threads()
    }

    /// Computes on so many threads from now on. The results do not depend on it.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started.
    pub fn set_threads(&mut self, threads: usize) -> Result<()> {
        self.workers = Workers::new(threads)?;
        self.transformer.reserve(threads);
        self.autoencoder.reserve(threads);
        Ok(())
    }

    /// Computes on as many threads as are fastest: twice as many, up to all cores, while that makes a layer at least
    /// 15 % faster.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started.
    pub fn set_fastest_threads(&mut self) -> Result<()> {
        let threads = fastest_threads(|threads| -> Result<Duration> {
            self.set_threads(threads)?;
            Ok(self.time_of_layer())
        })?;
        self.set_threads(threads)
    }

    /// The least time of a few runs.
    fn time_of_layer(&mut self) -> Duration {
        let mut least = Duration::MAX;
        for _ in 0..=PROBES {
            let started = Instant::now();
            self.transformer.probe(&self.workers);
            least = least.min(started.elapsed());
        }
        least
    }

    /// The latent `[h, w, channels]` of a picture, u8 RGB `[H, W, 3]`.
    ///
    /// # Errors
    /// Returns an error if the picture has another size.
    pub fn encode(&mut self, picture: &[u8]) -> Result<Vec<f32>> {
        let len = self.info.image_len();
        if picture.len() != len {
            let [height, width] = self.info.image;
            return Err(Error::Argument(format!(
                "a picture of {} bytes, expected {len}: {height}×{width} in RGB",
                picture.len()
            )));
        }
        Ok(self.autoencoder.encode(&self.workers, picture))
    }

    /// The picture of a latent, `[H, W, 3]`; 0 is black and 1 is white, but values can lie outside.
    ///
    /// # Errors
    /// Returns an error if the latent has another length.
    pub fn decode(&mut self, latent: &[f32]) -> Result<Vec<f32>> {
        self.check_latent(latent)?;
        Ok(self.autoencoder.decode(&self.workers, latent))
    }

    fn check_latent(&self, latent: &[f32]) -> Result<()> {
        let len = self.info.latent_len();
        if latent.len() == len {
            return Ok(());
        }
        Err(Error::Argument(format!(
            "a latent of {} numbers, expected {len}",
            latent.len()
        )))
    }

    /// Computes keys and values of the frames of a window, unless they are there. [`Self::next_latent`] does so first.
    ///
    /// # Errors
    /// Returns an error if there are too many frames, or if one does not fit.
    pub fn see(&mut self, context: &[Arc<Frame>], params: &DdimParams) -> Result<()> {
        params.check()?;
        if context.len() >= MAX_WINDOW {
            return Err(Error::Argument(format!(
                "{} frames of context, expected fewer than {MAX_WINDOW}",
                context.len()
            )));
        }
        for frame in context {
            self.check_latent(&frame.latent)?;
        }
        let level = params.context_level();
        if level != self.cached_level {
            self.cached.clear();
            self.cached_level = level;
        }
        let pairs = self.cached.iter().zip(context);
        let known = pairs.take_while(|(a, b)| Arc::ptr_eq(a, b)).count();
        self.cached.truncate(known);
        let new = &context[known..];
        let conditions: Vec<Condition> = new
            .iter()
            .map(|frame| Condition {
                level,
                action: &frame.controls,
            })
            .collect();
        if conditions.is_empty() {
            return Ok(());
        }
        let conditions = self.transformer.conditions(&self.workers, &conditions);
        for (i, frame) in new.iter().enumerate() {
            let latent = &frame.latent;
            self.transformer
                .remember(&self.workers, latent, known + i, &conditions, i);
            self.cached.push(Arc::clone(frame));
        }
        Ok(())
    }

    /// The velocity that the transformer predicts for a latent at a noise level from 0 to 999, after the frames of
    /// `context`.
    ///
    /// # Errors
    /// Returns an error if an argument does not fit, or if a number is not finite.
    pub fn velocity(
        &mut self,
        context: &[Arc<Frame>],
        noisy: &Frame,
        level: usize,
        params: &DdimParams,
    ) -> Result<Vec<f32>> {
        if level >= LEVELS {
            return Err(Error::Argument(format!(
                "noise level {level}: expected 0 to {}",
                LEVELS - 1
            )));
        }
        self.see(context, params)?;
        self.check_latent(&noisy.latent)?;
        let conditions = self.conditions([level], &noisy.controls);
        self.transformer
            .predict(&self.workers, &noisy.latent, context.len(), &conditions, 0)
    }

    /// The latent of the frame that `controls` lead to after the frames of `context`. `initial` are the standard normal
    /// numbers that it starts from.
    ///
    /// # Errors
    /// Returns an error if an argument does not fit, or if the transformer predicts a number that is not finite.
    pub fn next_latent(
        &mut self,
        context: &[Arc<Frame>],
        controls: &[f32; CONTROLS],
        params: &DdimParams,
        initial: Vec<f32>,
    ) -> Result<Vec<f32>> {
        /// Beyond which noise is cut off.
        const MOST: f32 = 20.0;
        self.see(context, params)?;
        self.check_latent(&initial)?;
        let steps = steps(params.steps)?;
        let conditions = self.conditions(steps.iter().map(|step| step.level), controls);
        let mut latent = initial;
        latent.iter_mut().for_each(|x| *x = x.clamp(-MOST, MOST));
        for (pass, step) in steps.into_iter().enumerate() {
            let velocity = self.transformer.predict(
                &self.workers,
                &latent,
                context.len(),
                &conditions,
                pass,
            )?;
            self.schedule.step(step, &mut latent, &velocity);
        }
        Ok(latent)
    }

    fn conditions(
        &self,
        levels: impl IntoIterator<Item = usize>,
        action: &[f32; CONTROLS],
    ) -> Conditions {
        let passes = levels.into_iter().map(|level| Condition { level, action });
        let passes: Vec<Condition> = passes.collect();
        self.transformer.conditions(&self.workers, &passes)
    }
}
