//! The two networks of a checkpoint, and the sampler between them.

use std::sync::Arc;

use driftless_data::Action;
use driftless_engine::kernels::Workers;
use driftless_published::{Error, Frame, Result, Weights, WindowInfo, WindowNetwork, known_frames};

use crate::autoencoder::Autoencoder;
use crate::controls::{actions, axes, controls};
use crate::files::{AUTOENCODER, OasisFiles, TRANSFORMER};
use crate::schedule::{LEVELS, Schedule, steps};
use crate::transformer::{Condition, Conditions, MAX_WINDOW, Transformer};

/// Height and width of the published latents, which no tensor tells: 360×640 pixels in patches of 20.
pub const LATENT: [usize; 2] = [18, 32];

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
        let mut weights = Weights::open(&files.autoencoder, AUTOENCODER.owner)?;
        let autoencoder = Autoencoder::read(&mut weights, latent)?;
        let channels = autoencoder.channels;
        let mut parameters = [0, weights.taken()];
        weights.finish()?;
        let mut weights = Weights::open(&files.transformer, TRANSFORMER.owner)?;
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
        self.window().check_latent(&noisy.latent)?;
        let conditions = self.conditions([level], &noisy.controls);
        self.transformer
            .predict(&self.workers, &noisy.latent, context.len(), &conditions, 0)
    }

    fn conditions(&self, levels: impl IntoIterator<Item = usize>, action: &[f32]) -> Conditions {
        let passes = levels.into_iter().map(|level| Condition { level, action });
        let passes: Vec<Condition> = passes.collect();
        self.transformer.conditions(&self.workers, &passes)
    }
}

impl WindowNetwork for Oasis {
    type Sampler = DdimParams;

    fn window(&self) -> WindowInfo {
        WindowInfo {
            image: self.info.image,
            latent_len: self.info.latent.iter().product(),
            window: MAX_WINDOW,
            actions: actions().len(),
            axes: axes().len(),
        }
    }

    fn threads(&self) -> usize {
        self.workers.threads()
    }

    fn set_threads(&mut self, threads: usize) -> Result<()> {
        self.workers = Workers::new(threads)?;
        self.transformer.reserve(threads);
        self.autoencoder.reserve(threads);
        Ok(())
    }

    fn probe(&mut self) {
        self.transformer.probe(&self.workers);
    }

    fn check(&self, sampler: &DdimParams) -> Result<()> {
        sampler.check()
    }

    fn controls(&self, action: &Action) -> Vec<f32> {
        controls(action).to_vec()
    }

    fn encode_all(&mut self, pictures: &[&[u8]]) -> Result<Vec<Vec<f32>>> {
        let info = self.window();
        let latent = |picture: &&[u8]| {
            info.check_picture(picture)?;
            Ok(self.autoencoder.encode(&self.workers, picture))
        };
        pictures.iter().map(latent).collect()
    }

    fn see(&mut self, context: &[Arc<Frame>], params: &DdimParams) -> Result<()> {
        params.check()?;
        self.window().check_context(context)?;
        let level = params.context_level();
        if level != self.cached_level {
            self.cached.clear();
            self.cached_level = level;
        }
        let known = known_frames(&self.cached, context);
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

    fn next_latent(
        &mut self,
        context: &[Arc<Frame>],
        controls: &[f32],
        params: &DdimParams,
        initial: Vec<f32>,
    ) -> Result<Vec<f32>> {
        /// Beyond which noise is cut off.
        const MOST: f32 = 20.0;
        self.see(context, params)?;
        self.window().check_latent(&initial)?;
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

    fn decode(&mut self, latent: &[f32]) -> Result<Vec<f32>> {
        self.window().check_latent(latent)?;
        Ok(self.autoencoder.decode(&self.workers, latent))
    }
}
