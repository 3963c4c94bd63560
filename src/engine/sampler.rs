//! The sampling loop around a network: noise, K denoise passes, one cache pass, one decode.
//!
//! Everything that is not the network itself lives here, so that all engines sample alike.

use std::time::Instant;

use super::denoise::{Denoiser, Pass, shares};
use super::noise::{self, Use};
use super::{Clip, Engine, SamplerParams, Snapshot, Solver, StageTimes};
use crate::model::config::WorldConfig;
use crate::model::dynamics::step_index;
use crate::{Error, Result};

/// What all passes over one frame share.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The `stem_frames` frames before, as they are kept, latest first: `[cells, stem_frames · c]`.
    pub past: &'a [f32],
    /// Frames since the reset.
    pub frame: u64,
    /// Earlier frames that time attention sees.
    pub seen: usize,
}

/// What one pass asks.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// z_τ, `[cells, channels]`.
    pub z: &'a [f32],
    /// Signal level τ.
    pub signal: f32,
    /// Index of the step size.
    pub step: u32,
    /// The action that leads to the frame, or [`WorldConfig::unknown_action`].
    pub action: u32,
}

/// One step of shortcut sampling: a pass, and z ← keep · z + take · (what the network puts out).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Signal level τ of the pass.
    pub signal: f32,
    /// Share of z.
    pub keep: f32,
    /// Share of the network's output.
    pub take: f32,
}

/// A frame from noise to pixels, for a network that can do all of it on its own device.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// What its passes share.
    pub moment: Moment<'a>,
    /// The action that leads to the frame.
    pub action: u32,
    /// Seed of its noise.
    pub seed: u64,
    /// Factor of the starting noise.
    pub temperature: f32,
    /// The steps, in order.
    pub shares: &'a [Share],
    /// Index of their size.
    pub step: u32,
    /// Signal level of the frame as context, and the shares α of the clean latent and σ of noise.
    pub context: [f32; 3],
}

/// What [`Network::frame`] makes.
#[derive(Debug)]
pub struct Made<'a> {
    /// The clean latent, `[cells, channels]`.
    pub latent: &'a mut [f32],
    /// The latent as the context keeps it.
    pub kept: &'a mut [f32],
    /// u8 RGB `[H, W, 3]`.
    pub image: &'a mut [u8],
    /// What is predicted beside the picture, where the network has a head for it.
    pub outcome: Option<Outcome>,
    /// Time spent in each stage, where the device tells it.
    pub times: StageTimes,
}

/// What a network predicts of a frame beside its picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The reward that comes with the frame.
    pub reward: f32,
    /// The probability that the frame ends its episode.
    pub end: f32,
}

impl Outcome {
    /// Whether the end is as likely as not, or more.
    pub fn ends(self) -> bool {
        self.end >= 0.5
    }

    /// From what the head puts out: a reward and a logit.
    pub(super) fn new([reward, logit]: [f32; 2]) -> Self {
        Self {
            reward,
            end: 1.0 / (1.0 + (-logit).exp()),
        }
    }
}

/// The networks of a world with their cache of earlier frames' keys and values.
pub trait Network: Send {
    /// A short name for people.
    fn name(&self) -> &str;

    /// Turns to a frame; the passes after it are about this frame.
    ///
    /// # Errors
    /// The device failed.
    fn begin(&mut self, moment: &Moment) -> Result<()>;

    /// What the dynamics puts out (x̂, v̂ or ε̂), `[cells, channels]`; leaves the cache as it is.
    ///
    /// # Errors
    /// The device failed.
    fn denoise(&mut self, ask: &Ask, x: &mut [f32]) -> Result<()>;

    /// Writes the frame's keys and values into the cache, where they replace the oldest frame's;
    /// the frame's outcome, where the network has a head for it.
    ///
    /// # Errors
    /// The device failed.
    fn cache(&mut self, ask: &Ask) -> Result<Option<Outcome>>;

    /// Whether [`Network::frame`] makes frames of so many steps; others go pass by pass.
    fn makes_frames(&self, _steps: usize) -> bool {
        false
    }

    /// Makes a whole frame, its cache entry included. After an error the cache is as before.
    ///
    /// # Errors
    /// The device failed, or the network's prediction is not finite.
    fn frame(&mut self, _whole: &Whole, _made: &mut Made) -> Result<()> {
        Err(Error::Argument("this network makes no whole frames".into()))
    }

    /// u8 RGB frames `[T, H, W, 3]` → latents `[T, cells, channels]`.
    ///
    /// # Errors
    /// The device failed.
    fn encode(&mut self, images: &[u8], latents: &mut [f32]) -> Result<()>;

    /// Latents `[T, cells, channels]` → u8 RGB frames `[T, H, W, 3]`.
    ///
    /// # Errors
    /// The device failed.
    fn decode(&mut self, latents: &[f32], images: &mut [u8]) -> Result<()>;

    /// Copies the cache into `out`, `[time layers, 2, context − 1, tokens, width]`: of each layer
    /// the normalised keys, then the values.
    ///
    /// # Errors
    /// The device failed.
    fn save(&self, out: &mut [f32]) -> Result<()>;

    /// The inverse of [`Network::save`].
    ///
    /// # Errors
    /// The device failed.
    fn load(&mut self, cache: &[f32]) -> Result<()>;
}

/// An [`Engine`] made of a [`Network`].
pub struct Sampler<N> {
    network: N,
    world: WorldConfig,
    /// Frames since the reset; 0 before the first reset.
    frame: u64,
    latent: Vec<f32>,
    past: Vec<f32>,
    image: Vec<u8>,
    z: Vec<f32>,
    x: Vec<f32>,
    outcome: Option<Outcome>,
    tracing: bool,
    passes: Vec<Pass>,
    /// Numbers in the network's cache.
    cache_len: usize,
}

impl<N: Network> Sampler<N> {
    pub(super) fn around(network: N, world: WorldConfig) -> Self {
        let (d, len) = (&world.dynamics, world.latent_len());
        let time_layers = d.depth / d.time_every;
        Self {
            network,
            frame: 0,
            latent: vec![0.0; len],
            past: vec![0.0; len * d.stem_frames],
            image: vec![0; world.image_len()],
            z: vec![0.0; len],
            x: vec![0.0; len],
            outcome: None,
            tracing: false,
            passes: Vec::new(),
            cache_len: time_layers * 2 * (d.context - 1) * world.tokens() * d.width,
            world,
        }
    }

    fn check_action(&self, action: u32) -> Result<()> {
        let count = self.world.actions.len();
        if (action as usize) < count {
            return Ok(());
        }
        Err(Error::Argument(format!(
            "unknown action {action}, expected 0 to {}",
            count - 1
        )))
    }

    /// Whole frames in `images`.
    fn frames(&self, images: &[u8]) -> Result<usize> {
        let len = self.world.image_len();
        if images.len().is_multiple_of(len) {
            return Ok(images.len() / len);
        }
        Err(Error::Argument(format!(
            "images hold {} bytes, expected a multiple of {len} ({}×{} RGB frames)",
            images.len(),
            self.world.image[0],
            self.world.image[1]
        )))
    }

    /// Whether the world can be sampled like this.
    fn check(&self, params: &SamplerParams) -> Result<()> {
        params.check()?;
        if params.guidance != 1.0 && self.world.unknown_action().is_none() {
            return Err(Error::Argument(format!(
                "guidance is {}, expected 1: this world was not trained with unknown actions",
                params.guidance
            )));
        }
        Ok(())
    }

    /// Earlier frames that time attention sees.
    fn seen(&self, params: &SamplerParams) -> usize {
        let context = params.context.min(self.world.dynamics.context);
        (context - 1).min(usize::try_from(self.frame).unwrap_or(usize::MAX))
    }

    fn begin(&mut self, params: &SamplerParams) -> Result<()> {
        let seen = self.seen(params);
        self.network.begin(&Moment {
            past: &self.past,
            frame: self.frame,
            seen,
        })
    }

    /// The whole frame by the network itself, where it can and nobody looks in between.
    fn whole(&mut self, action: u32, params: &SamplerParams) -> Result<Option<StageTimes>> {
        let plain = params.solver == Solver::Shortcut && params.guidance == 1.0 && !self.tracing;
        if !plain || !self.network.makes_frames(params.steps) {
            return Ok(None);
        }
        let signal = params.context_signal;
        let at = self.world.flow.path.at(f64::from(signal))?;
        let whole = Whole {
            moment: Moment {
                past: &self.past,
                frame: self.frame,
                seen: self.seen(params),
            },
            action,
            seed: params.seed,
            temperature: params.temperature,
            shares: &shares(&self.world, params.steps)?,
            step: step_index(params.steps, self.world.dynamics.k_max),
            context: match signal < 1.0 {
                true => [signal, at.alpha as f32, at.sigma as f32],
                false => [signal, 1.0, 0.0],
            },
        };
        let mut made = Made {
            latent: &mut self.x,
            kept: &mut self.z,
            image: &mut self.image,
            outcome: None,
            times: StageTimes::default(),
        };
        self.network.frame(&whole, &mut made)?;
        let times = made.times;
        self.outcome = made.outcome;
        self.latent.copy_from_slice(&self.x);
        self.advance();
        Ok(Some(times))
    }

    /// The denoise passes: noise to the clean estimate, in `z`.
    fn sample(&mut self, action: u32, params: &SamplerParams) -> Result<()> {
        noise::fill(&mut self.z, params.seed, self.frame, Use::Start);
        for z in &mut self.z {
            *z *= params.temperature;
        }
        self.passes.clear();
        Denoiser {
            network: &mut self.network,
            world: &self.world,
            params,
            action,
            frame: self.frame,
            passes: self.tracing.then_some(&mut self.passes),
        }
        .run(&mut self.z)
    }

    /// The cache pass over the clean latent in `latent`; the frame is then over.
    fn keep(&mut self, action: u32, params: &SamplerParams) -> Result<()> {
        let signal = params.context_signal;
        self.z.copy_from_slice(&self.latent);
        if signal < 1.0 {
            noise::fill(&mut self.x, params.seed, self.frame, Use::Context);
            let at = self.world.flow.path.at(f64::from(signal))?;
            let (alpha, sigma) = (at.alpha as f32, at.sigma as f32);
            for (z, noise) in self.z.iter_mut().zip(&self.x) {
                *z = alpha * *z + sigma * noise;
            }
        }
        let finest = step_index(usize::MAX, self.world.dynamics.k_max);
        self.outcome = self.network.cache(&Ask {
            z: &self.z,
            signal,
            step: finest,
            action,
        })?;
        self.advance();
        Ok(())
    }

    /// The frame whose kept latent is in `z` is over.
    fn advance(&mut self) {
        let c = self.world.tokenizer.channels;
        let row = c * self.world.dynamics.stem_frames;
        if row > 0 {
            for (past, z) in self.past.chunks_exact_mut(row).zip(self.z.chunks_exact(c)) {
                past.copy_within(..row - c, c);
                past[..c].copy_from_slice(z);
            }
        }
        self.frame += 1;
    }
}

impl<N: Network> Engine for Sampler<N> {
    fn world(&self) -> &WorldConfig {
        &self.world
    }

    fn name(&self) -> &str {
        self.network.name()
    }

    fn reset(&mut self, context: &Clip, params: &SamplerParams) -> Result<()> {
        self.check(params)?;
        let frames = self.frames(&context.images)?;
        if frames != context.frames() || frames == 0 {
            return Err(Error::Argument(format!(
                "the context has {frames} images and {} actions, expected as many, at least 1",
                context.frames()
            )));
        }
        for &action in &context.actions {
            self.check_action(action)?;
        }
        // As many as can be seen, even if `params` sees fewer now.
        let kept = frames.min(self.world.dynamics.context);
        let images = &context.images[(frames - kept) * self.world.image_len()..];
        let latents = self.encode(images)?;
        self.network.load(&vec![0.0; self.cache_len])?;
        self.past.fill(0.0);
        self.passes.clear();
        self.frame = 0;
        let actions = &context.actions[frames - kept..];
        for (latent, &action) in latents.chunks_exact(self.latent.len()).zip(actions) {
            self.latent.copy_from_slice(latent);
            self.begin(params)?;
            self.keep(action, params)?;
        }
        let last = images.len() - self.image.len();
        self.image.copy_from_slice(&images[last..]);
        Ok(())
    }

    fn step(&mut self, action: u32, params: &SamplerParams) -> Result<StageTimes> {
        self.check(params)?;
        self.check_action(action)?;
        if self.frame == 0 {
            return Err(Error::Argument("a step before the first reset".into()));
        }
        let start = Instant::now();
        if let Some(mut times) = self.whole(action, params)? {
            if times == StageTimes::default() {
                times.denoise = start.elapsed();
            }
            return Ok(times);
        }
        self.begin(params)?;
        self.sample(action, params)?;
        self.latent.copy_from_slice(&self.z);
        let denoised = Instant::now();
        self.keep(action, params)?;
        let cached = Instant::now();
        self.network.decode(&self.latent, &mut self.image)?;
        Ok(StageTimes {
            denoise: denoised - start,
            cache: cached - denoised,
            decode: cached.elapsed(),
        })
    }

    fn image(&self) -> &[u8] {
        &self.image
    }

    fn latent(&self) -> &[f32] {
        &self.latent
    }

    fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    fn trace(&mut self, on: bool) {
        self.tracing = on;
        self.passes.clear();
    }

    fn passes(&self) -> &[Pass] {
        &self.passes
    }

    fn decode(&mut self, latents: &[f32]) -> Result<Vec<u8>> {
        let len = self.latent.len();
        if !latents.len().is_multiple_of(len) {
            return Err(Error::Argument(format!(
                "latents hold {} numbers, expected a multiple of {len}",
                latents.len()
            )));
        }
        let mut images = vec![0; latents.len() / len * self.image.len()];
        self.network.decode(latents, &mut images)?;
        Ok(images)
    }

    fn encode(&mut self, images: &[u8]) -> Result<Vec<f32>> {
        let mut latents = vec![0.0; self.frames(images)? * self.latent.len()];
        self.network.encode(images, &mut latents)?;
        Ok(latents)
    }

    fn reconstruct(&mut self, images: &[u8]) -> Result<Vec<u8>> {
        let latents = self.encode(images)?;
        let mut images = vec![0; images.len()];
        self.network.decode(&latents, &mut images)?;
        Ok(images)
    }

    fn snapshot(&self) -> Snapshot {
        let (latent, past) = (self.latent.len(), self.past.len());
        let mut state = vec![0.0; latent + past + self.cache_len];
        state[..latent].copy_from_slice(&self.latent);
        state[latent..latent + past].copy_from_slice(&self.past);
        if let Err(error) = self.network.save(&mut state[latent + past..]) {
            // A snapshot without a state is refused by `restore`.
            tracing::error!("snapshot: {error}");
            state.clear();
        }
        Snapshot {
            frame: self.frame,
            state,
            outcome: self.outcome,
            image: self.image.clone(),
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        let (latent, past) = (self.latent.len(), self.past.len());
        let expected = latent + past + self.cache_len;
        if snapshot.state.len() != expected || snapshot.image.len() != self.image.len() {
            return Err(Error::Argument(format!(
                "the snapshot holds {} numbers and an image of {} bytes, expected {expected} and {}: \
                 it belongs to another world",
                snapshot.state.len(),
                snapshot.image.len(),
                self.image.len()
            )));
        }
        self.network.load(&snapshot.state[latent + past..])?;
        self.latent.copy_from_slice(&snapshot.state[..latent]);
        self.past
            .copy_from_slice(&snapshot.state[latent..latent + past]);
        self.image.copy_from_slice(&snapshot.image);
        self.outcome = snapshot.outcome;
        self.frame = snapshot.frame;
        Ok(())
    }
}
