//! The sampling loop around a network: noise, K denoise passes, one cache pass, one decode.
//!
//! Everything except the network itself is here, so all backends sample in the same way.

use std::sync::Arc;
use std::time::Instant;

use driftless_data::Clip;
use driftless_model::config::WorldConfig;
use driftless_model::dynamics::step_index;

use super::denoise::{DenoisePass, Denoiser, step_coefficients};
use super::network::{
    ContextNoise, DenoiseInput, FrameContext, FrameRequest, Network, Outcome, Readback,
};
use super::noise::NoisePurpose;
use super::{Attention, Engine, FrameTexture, SamplerParams, Snapshot, Solver, StageTimes, noise};
use crate::{Error, Result};

/// The [`Engine`] around a [`Network`].
pub struct Sampler<N> {
    network: N,
    world: WorldConfig,
    /// Frames since the reset; 0 before the first reset.
    frame: u64,
    /// Clean latent of the last frame, `[cells, channels]`.
    latent: Vec<f32>,
    /// Past latents for the stem, see [`FrameContext::past`].
    past: Vec<f32>,
    image: Vec<u8>,
    /// Scratch: the noisy latent and the context noise, `[cells, channels]`.
    z: Vec<f32>,
    noise: Vec<f32>,
    outcome: Option<Outcome>,
    recording_passes: bool,
    passes: Vec<DenoisePass>,
    /// Elements of the network's KV cache.
    cache_len: usize,
    residency: Residency,
    keep_on_device: bool,
    /// The last image, if it stayed on the device.
    texture: Option<Arc<FrameTexture>>,
}

/// Where the current `latent`, `past` and `image` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Residency {
    Host,
    Device,
    Both,
}

impl<N: Network> Sampler<N> {
    pub(super) fn from_network(network: N, world: WorldConfig) -> Self {
        let (d, len) = (&world.dynamics, world.latent_len());
        let time_layers = d.depth / d.time_every;
        Self {
            network,
            frame: 0,
            latent: vec![0.0; len],
            past: vec![0.0; len * d.stem_frames],
            image: vec![0; world.image_len()],
            z: vec![0.0; len],
            noise: vec![0.0; len],
            outcome: None,
            recording_passes: false,
            passes: Vec::new(),
            cache_len: time_layers * 2 * (d.context - 1) * world.tokens() * d.width,
            residency: Residency::Host,
            keep_on_device: false,
            texture: None,
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

    /// Number of frames in `images`. Returns an error if the last one is incomplete.
    fn frame_count(&self, images: &[u8]) -> Result<usize> {
        let len = self.world.image_len();
        if images.len().is_multiple_of(len) {
            return Ok(images.len() / len);
        }
        Err(Error::Shape(format!(
            "images hold {} bytes, expected a multiple of {len} ({}×{} RGB frames)",
            images.len(),
            self.world.image[0],
            self.world.image[1]
        )))
    }

    /// Checks parameters on their own and against the world.
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

    /// Earlier frames that temporal attention sees.
    fn attended_frames(&self, params: &SamplerParams) -> usize {
        let context = params.context.min(self.world.dynamics.context);
        (context - 1).min(usize::try_from(self.frame).unwrap_or(usize::MAX))
    }

    fn begin_frame(&mut self, params: &SamplerParams) -> Result<()> {
        let attended_frames = self.attended_frames(params);
        self.texture = None;
        self.residency = Residency::Host;
        self.network.begin_frame(&FrameContext {
            past: &self.past,
            frame: self.frame,
            attended_frames,
        })
    }

    /// Copies the last frame to the host if only the device has it.
    fn sync_to_host(&mut self) -> Result<()> {
        if self.residency == Residency::Device {
            self.network.read_back(Readback {
                latent: &mut self.latent,
                past: &mut self.past,
                image: &mut self.image,
            })?;
            self.residency = Residency::Both;
        }
        Ok(())
    }

    /// How the finished frame is noised for the context.
    fn context_noise(&self, params: &SamplerParams) -> Result<ContextNoise> {
        let tau = params.context_signal;
        let (alpha, sigma) = if tau < 1.0 {
            let at = self.world.flow.path.at(f64::from(tau))?;
            (at.alpha as f32, at.sigma as f32)
        } else {
            (1.0, 0.0)
        };
        Ok(ContextNoise { tau, alpha, sigma })
    }

    /// Lets the network make the whole frame on its device. `None` if it cannot, or if the passes have to
    /// be visible in between.
    fn run_full_frame(
        &mut self,
        action: u32,
        params: &SamplerParams,
    ) -> Result<Option<StageTimes>> {
        let plain = params.solver == Solver::Shortcut && params.guidance == 1.0;
        let possible = plain && !self.recording_passes;
        if !possible || !self.network.supports_full_frames(params.steps) {
            return Ok(None);
        }
        let request = FrameRequest {
            frame: self.frame,
            attended_frames: self.attended_frames(params),
            action,
            seed: params.seed,
            temperature: params.temperature,
            steps: &step_coefficients(&self.world, params.steps)?,
            step_index: step_index(params.steps, self.world.dynamics.k_max),
            context: self.context_noise(params)?,
        };
        if self.residency == Residency::Host {
            self.network.set_past(&self.past);
        }
        let on_device = self.keep_on_device && self.network.supports_textures();
        let readback = (!on_device).then_some(Readback {
            latent: &mut self.latent,
            past: &mut self.past,
            image: &mut self.image,
        });
        let output = self.network.run_frame(&request, readback)?;
        self.residency = if on_device {
            Residency::Device
        } else {
            Residency::Both
        };
        self.outcome = output.outcome;
        self.texture = output.texture;
        self.frame += 1;
        Ok(Some(output.times))
    }

    /// Runs the denoise passes: turns noise into the clean latent, in `z`.
    fn sample(&mut self, action: u32, params: &SamplerParams) -> Result<()> {
        noise::fill(&mut self.z, params.seed, self.frame, NoisePurpose::Initial);
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
            passes: self.recording_passes.then_some(&mut self.passes),
        }
        .run(&mut self.z)
    }

    /// Runs the cache pass over the clean latent in `latent`, which completes the frame.
    fn write_cache(&mut self, action: u32, params: &SamplerParams) -> Result<()> {
        let ContextNoise { tau, alpha, sigma } = self.context_noise(params)?;
        self.z.copy_from_slice(&self.latent);
        if tau < 1.0 {
            noise::fill(
                &mut self.noise,
                params.seed,
                self.frame,
                NoisePurpose::Context,
            );
            for (z, noise) in self.z.iter_mut().zip(&self.noise) {
                *z = alpha * *z + sigma * noise;
            }
        }
        self.outcome = self.network.write_cache(&DenoiseInput {
            z: &self.z,
            tau,
            step_index: step_index(usize::MAX, self.world.dynamics.k_max),
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
        let frames = self.frame_count(&context.images)?;
        if frames != context.frames() || frames == 0 {
            return Err(Error::Shape(format!(
                "the context has {frames} images and {} actions, expected equal numbers, at least 1",
                context.frames()
            )));
        }
        for &action in &context.actions {
            self.check_action(action)?;
        }
        // As many as the world can attend to, even if `params` asks for fewer now.
        let used = frames.min(self.world.dynamics.context);
        let images = &context.images[(frames - used) * self.world.image_len()..];
        let latents = self.encode(images)?;
        self.residency = Residency::Host;
        self.network.load_cache(&vec![0.0; self.cache_len])?;
        self.past.fill(0.0);
        self.passes.clear();
        self.frame = 0;
        let actions = &context.actions[frames - used..];
        for (latent, &action) in latents.chunks_exact(self.latent.len()).zip(actions) {
            self.latent.copy_from_slice(latent);
            self.begin_frame(params)?;
            self.write_cache(action, params)?;
        }
        let last = images.len() - self.image.len();
        self.image.copy_from_slice(&images[last..]);
        Ok(())
    }

    fn step(&mut self, action: u32, params: &SamplerParams) -> Result<StageTimes> {
        self.check(params)?;
        self.check_action(action)?;
        if self.frame == 0 {
            return Err(Error::State("step called before the first reset".into()));
        }
        let start = Instant::now();
        if let Some(mut times) = self.run_full_frame(action, params)? {
            if times == StageTimes::default() {
                times.denoise = start.elapsed();
            }
            return Ok(times);
        }
        self.sync_to_host()?;
        self.begin_frame(params)?;
        self.sample(action, params)?;
        self.latent.copy_from_slice(&self.z);
        let denoised = Instant::now();
        self.write_cache(action, params)?;
        let cached = Instant::now();
        self.network.decode(&self.latent, &mut self.image)?;
        Ok(StageTimes {
            denoise: denoised - start,
            cache: cached - denoised,
            decode: cached.elapsed(),
        })
    }

    fn image(&mut self) -> Result<&[u8]> {
        self.sync_to_host()?;
        Ok(&self.image)
    }

    fn latent(&mut self) -> Result<&[f32]> {
        self.sync_to_host()?;
        Ok(&self.latent)
    }

    fn set_keep_on_device(&mut self, on: bool) {
        self.keep_on_device = on;
    }

    fn frame_texture(&self) -> Option<Arc<FrameTexture>> {
        self.texture.clone()
    }

    fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    fn record_passes(&mut self, on: bool) {
        self.recording_passes = on;
        self.passes.clear();
    }

    fn passes(&self) -> &[DenoisePass] {
        &self.passes
    }

    fn record_attention(&mut self, on: bool) {
        self.network.record_attention(on);
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
        if self.frame == 0 || self.frame_count(image)? != 1 {
            return Err(Error::State(
                "surprise takes exactly one frame, after a reset".into(),
            ));
        }
        let x = self.encode(image)?;
        self.begin_frame(params)?;
        let surprise = Denoiser {
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
        Ok(Some(surprise))
    }

    fn decode(&mut self, latents: &[f32]) -> Result<Vec<u8>> {
        let len = self.latent.len();
        if !latents.len().is_multiple_of(len) {
            return Err(Error::Shape(format!(
                "latents hold {} values, expected a multiple of {len}",
                latents.len()
            )));
        }
        self.sync_to_host()?;
        let mut images = vec![0; latents.len() / len * self.image.len()];
        self.network.decode(latents, &mut images)?;
        Ok(images)
    }

    fn encode(&mut self, images: &[u8]) -> Result<Vec<f32>> {
        self.sync_to_host()?;
        let mut latents = vec![0.0; self.frame_count(images)? * self.latent.len()];
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
        self.sync_to_host()?;
        let (latent, past) = (self.latent.len(), self.past.len());
        let mut state = vec![0.0; latent + past + self.cache_len];
        state[..latent].copy_from_slice(&self.latent);
        state[latent..latent + past].copy_from_slice(&self.past);
        self.network.save_cache(&mut state[latent + past..])?;
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
            return Err(Error::Snapshot(format!(
                "the snapshot holds {} values and an image of {} bytes, expected {expected} and {}: \
                 it belongs to another world",
                snapshot.state.len(),
                snapshot.image.len(),
                self.image.len()
            )));
        }
        self.network.load_cache(&snapshot.state[latent + past..])?;
        self.latent.copy_from_slice(&snapshot.state[..latent]);
        self.past
            .copy_from_slice(&snapshot.state[latent..latent + past]);
        self.image.copy_from_slice(&snapshot.image);
        self.outcome = snapshot.outcome;
        self.frame = snapshot.frame;
        (self.residency, self.texture) = (Residency::Host, None);
        Ok(())
    }
}
