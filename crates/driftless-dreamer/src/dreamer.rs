//! The two networks of a checkpoint, and the sampler between them.

use std::sync::Arc;

use driftless_data::Action;
use driftless_engine::kernels::Workers;
use driftless_published::{Error, Frame, Result, WindowInfo, WindowNetwork, known_frames};

use crate::dynamics::{self, Dynamics, Input};
use crate::files::{DYNAMICS, DreamerFiles, TOKENIZER, open};
use crate::options::Options;
use crate::shortcut::{Level, ShortcutParams};
use crate::tokenizer::Tokenizer;

/// What the files of a checkpoint say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DreamerInfo {
    /// Height and width of frames in pixels.
    pub image: [usize; 2],
    /// Latent tokens of a frame, and numbers of each.
    pub latent: [usize; 2],
    /// Actuators that the network knows; none if it was trained without actions.
    pub actuators: usize,
    /// Most steps per frame: the finest step is one over this.
    pub k_max: usize,
    /// Frames of a window that the network was trained on.
    pub window: usize,
    /// Numbers in the dynamics and in the tokenizer.
    pub parameters: [usize; 2],
}

/// A checkpoint's networks.
pub struct Dreamer {
    info: DreamerInfo,
    dynamics: Dynamics,
    tokenizer: Tokenizer,
    workers: Workers,
    /// The frames whose keys and values are in the cache, in order, and how they were labelled.
    cached: Vec<Arc<Frame>>,
    cached_level: Option<Level>,
}

impl Dreamer {
    /// Reads the published networks. Widths and depths come from the weights; heads, and whether positions are scaled,
    /// from the options that the files keep. Nothing in them is executed.
    ///
    /// # Errors
    /// Returns an error if a file cannot be read, or does not hold just the weights of its network.
    pub fn read(files: &DreamerFiles) -> Result<Self> {
        let dynamics_options = Options::read(&files.dynamics)?;
        let options = Options::read(&files.tokenizer)?;
        let mut weights = open(&files.tokenizer, TOKENIZER)?;
        let window = dynamics::window(&dynamics_options)?;
        let tokenizer = Tokenizer::read(&mut weights, &options, window)?;
        let mut parameters = [0, weights.taken()];
        weights.finish()?;
        let mut weights = open(&files.dynamics, DYNAMICS)?;
        let dynamics = Dynamics::read(&mut weights, &dynamics_options, tokenizer.latent)?;
        parameters[0] = weights.taken();
        weights.finish()?;
        Ok(Self {
            info: DreamerInfo {
                image: tokenizer.image(),
                latent: tokenizer.latent,
                actuators: dynamics.actuators,
                k_max: dynamics.k_max,
                window: dynamics.window,
                parameters,
            },
            dynamics,
            tokenizer,
            workers: Workers::none(),
            cached: Vec::new(),
            cached_level: None,
        })
    }

    /// What the files say.
    pub fn info(&self) -> DreamerInfo {
        self.info
    }

    /// The clean latent that the dynamics predict for a noisy frame in step `step` of the sampler, after the frames of
    /// `context`.
    ///
    /// # Errors
    /// Returns an error if an argument does not fit, or if a number is not finite.
    pub fn predict(
        &mut self,
        context: &[Arc<Frame>],
        noisy: &Frame,
        step: usize,
        params: &ShortcutParams,
    ) -> Result<Vec<f32>> {
        self.see(context, params)?;
        self.check_frame(noisy)?;
        let Some(level) = params.levels(self.info.k_max).nth(step) else {
            let steps = params.steps;
            return Err(Error::Argument(format!("step {step} of {steps}")));
        };
        let input = input(noisy, level);
        self.dynamics.predict(&self.workers, context.len(), input)
    }

    /// Checks the numbers of a frame.
    fn check_frame(&self, frame: &Frame) -> Result<()> {
        self.window().check_latent(&frame.latent)?;
        let (found, expected) = (frame.controls.len(), self.info.actuators);
        if found != expected {
            return Err(Error::Argument(format!(
                "an action of {found} numbers, expected {expected}"
            )));
        }
        match frame.controls.iter().find(|value| !value.is_finite()) {
            None => Ok(()),
            Some(value) => Err(Error::Argument(format!(
                "an action holds {value}, expected finite numbers"
            ))),
        }
    }
}

fn input(frame: &Frame, level: Level) -> Input<'_> {
    Input {
        latent: &frame.latent,
        controls: &frame.controls,
        level,
    }
}

impl WindowNetwork for Dreamer {
    type Sampler = ShortcutParams;

    fn window(&self) -> WindowInfo {
        WindowInfo {
            image: self.info.image,
            latent_len: self.info.latent.iter().product(),
            window: self.info.window,
            // The idle one: a person moves actuators only.
            actions: 1,
            axes: self.info.actuators,
        }
    }

    fn threads(&self) -> usize {
        self.workers.threads()
    }

    fn set_threads(&mut self, threads: usize) -> Result<()> {
        self.workers = Workers::new(threads)?;
        self.dynamics.reserve(threads);
        self.tokenizer.reserve(threads);
        Ok(())
    }

    fn probe(&mut self) {
        self.tokenizer.probe(&self.workers);
    }

    fn check(&self, sampler: &ShortcutParams) -> Result<()> {
        sampler.check(self.info.k_max)
    }

    fn controls(&self, action: &Action) -> Vec<f32> {
        action.axes[..self.info.actuators].to_vec()
    }

    fn encode_all(&mut self, pictures: &[&[u8]]) -> Result<Vec<Vec<f32>>> {
        let (info, most) = (self.window(), self.info.window);
        if pictures.len() > most {
            let count = pictures.len();
            let what = format!("{count} pictures in a row, expected at most {most}");
            return Err(Error::Argument(what));
        }
        let latent = |(frame, picture): (usize, &&[u8])| {
            info.check_picture(picture)?;
            Ok(self.tokenizer.encode(&self.workers, picture, frame))
        };
        pictures.iter().enumerate().map(latent).collect()
    }

    fn see(&mut self, context: &[Arc<Frame>], params: &ShortcutParams) -> Result<()> {
        self.check(params)?;
        self.window().check_context(context)?;
        context
            .iter()
            .try_for_each(|frame| self.check_frame(frame))?;
        let level = params.context(self.info.k_max);
        if self.cached_level != Some(level) {
            self.cached.clear();
            self.cached_level = Some(level);
        }
        let known = known_frames(&self.cached, context);
        let new = context[known..].iter();
        let inputs: Vec<Input> = new.map(|frame| input(frame, level)).collect();
        self.dynamics.remember(&self.workers, known, &inputs);
        self.cached.truncate(known);
        self.cached.extend_from_slice(&context[known..]);
        Ok(())
    }

    fn next_latent(
        &mut self,
        context: &[Arc<Frame>],
        controls: &[f32],
        params: &ShortcutParams,
        initial: Vec<f32>,
    ) -> Result<Vec<f32>> {
        self.see(context, params)?;
        let mut frame = Frame {
            latent: initial,
            controls: controls.to_vec(),
        };
        self.check_frame(&frame)?;
        for (i, level) in params.levels(self.info.k_max).enumerate() {
            let input = input(&frame, level);
            let clean = self.dynamics.predict(&self.workers, context.len(), input)?;
            params.advance(i, &mut frame.latent, &clean);
        }
        Ok(frame.latent)
    }

    fn decode(&mut self, latent: &[f32]) -> Result<Vec<f32>> {
        self.window().check_latent(latent)?;
        Ok(self.tokenizer.decode(&self.workers, latent))
    }
}
