//! The sampling loop around a network: noise, K denoise passes, one cache pass, one decode.
//!
//! Everything that is not the network itself lives here, so that all engines sample alike.

use std::sync::Arc;
use std::time::Instant;

use super::denoise::{Denoiser, Pass, shares};
use super::network::{Ask, Copies, Moment, Network, Outcome, Whole};
use super::noise::{self, Use};
use super::{Attention, Engine, Painting, SamplerParams, Snapshot, Solver, StageTimes};
use crate::{Error, Result};
use driftless_data::Clip;
use driftless_model::config::WorldConfig;
use driftless_model::dynamics::step_index;

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
    newest: Newest,
    stays: bool,
    painting: Option<Arc<Painting>>,
}

/// Who has the last frame's latent and picture and the frames before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Newest {
    /// The sampler.
    Here,
    /// The network's device.
    There,
    Both,
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
            newest: Newest::Here,
            stays: false,
            painting: None,
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
        self.painting = None;
        self.newest = Newest::Here;
        self.network.begin(&Moment {
            past: &self.past,
            frame: self.frame,
            seen,
        })
    }

    /// Brings back what stayed on the device.
    fn catch_up(&mut self) -> Result<()> {
        if self.newest == Newest::There {
            self.network.fetch(Copies {
                latent: &mut self.latent,
                past: &mut self.past,
                image: &mut self.image,
            })?;
            self.newest = Newest::Both;
        }
        Ok(())
    }

    /// The whole frame by the network itself, where it can and nobody looks in between.
    fn whole(&mut self, action: u32, params: &SamplerParams) -> Result<Option<StageTimes>> {
        let plain = params.solver == Solver::Shortcut && params.guidance == 1.0 && !self.tracing;
        if !plain || !self.network.makes_frames(params.steps) {
            return Ok(None);
        }
        let signal = params.context_signal;
        let at = self.world.flow.path.at(f64::from(signal))?;
        let seen = self.seen(params);
        let whole = Whole {
            frame: self.frame,
            seen,
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
        if self.newest == Newest::Here {
            self.network.put_past(&self.past);
        }
        let stays = self.stays && self.network.paints();
        let copies = (!stays).then_some(Copies {
            latent: &mut self.latent,
            past: &mut self.past,
            image: &mut self.image,
        });
        let made = self.network.frame(&whole, copies)?;
        self.newest = match stays {
            true => Newest::There,
            false => Newest::Both,
        };
        self.outcome = made.outcome;
        self.painting = made.painting;
        self.frame += 1;
        Ok(Some(made.times))
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
        let c = self.world.tokenizer.channels;
        let row = c * self.world.dynamics.stem_frames;
        if row > 0 {
            for (past, z) in self.past.chunks_exact_mut(row).zip(self.z.chunks_exact(c)) {
                past.copy_within(..row - c, c);
                past[..c].copy_from_slice(z);
            }
        }
        self.frame += 1;
        Ok(())
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
        self.newest = Newest::Here;
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
        self.catch_up()?;
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

    fn image(&mut self) -> Result<&[u8]> {
        self.catch_up()?;
        Ok(&self.image)
    }

    fn latent(&mut self) -> Result<&[f32]> {
        self.catch_up()?;
        Ok(&self.latent)
    }

    fn stay(&mut self, on: bool) {
        self.stays = on;
    }

    fn painting(&self) -> Option<Arc<Painting>> {
        self.painting.clone()
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

    fn inspect(&mut self, on: bool) {
        self.network.inspect(on);
    }

    fn attention(&mut self) -> Result<Option<Attention>> {
        self.network.attention()
    }

    fn surprise(
        &mut self,
        image: &[u8],
        action: u32,
        params: &SamplerParams,
    ) -> Result<Option<f32>> {
        self.check(params)?;
        self.check_action(action)?;
        if self.frame == 0 || self.frames(image)? != 1 {
            return Err(Error::Argument(
                "a surprise takes one frame, after a reset".into(),
            ));
        }
        let x = self.encode(image)?;
        self.begin(params)?;
        let found = Denoiser {
            network: &mut self.network,
            world: &self.world,
            params: &SamplerParams {
                guidance: 1.0,
                ..*params
            },
            action,
            frame: self.frame,
            passes: None,
        }
        .surprise(&x)?;
        Ok(Some(found))
    }

    fn decode(&mut self, latents: &[f32]) -> Result<Vec<u8>> {
        let len = self.latent.len();
        if !latents.len().is_multiple_of(len) {
            return Err(Error::Argument(format!(
                "latents hold {} numbers, expected a multiple of {len}",
                latents.len()
            )));
        }
        self.catch_up()?;
        let mut images = vec![0; latents.len() / len * self.image.len()];
        self.network.decode(latents, &mut images)?;
        Ok(images)
    }

    fn encode(&mut self, images: &[u8]) -> Result<Vec<f32>> {
        self.catch_up()?;
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

    fn snapshot(&mut self) -> Result<Snapshot> {
        self.catch_up()?;
        let (latent, past) = (self.latent.len(), self.past.len());
        let mut state = vec![0.0; latent + past + self.cache_len];
        state[..latent].copy_from_slice(&self.latent);
        state[latent..latent + past].copy_from_slice(&self.past);
        self.network.save(&mut state[latent + past..])?;
        Ok(Snapshot {
            frame: self.frame,
            state,
            outcome: self.outcome,
            image: self.image.clone(),
        })
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        self.passes.clear();
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
        (self.newest, self.painting) = (Newest::Here, None);
        Ok(())
    }
}
