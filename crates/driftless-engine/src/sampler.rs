//! The sampling loop around a network: noise, K denoise passes, one cache pass, one decode.
//!
//! Everything except the network itself is here, so all backends sample in the same way.

mod actions;
mod delta;
mod frame;
mod inspection;
mod memory;
mod snapshot;

pub use memory::{KeptFrame, Memory};
pub use snapshot::Snapshot;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use driftless_data::{Action, Clip};
use driftless_model::config::WorldConfig;

use super::denoise::{DenoisePass, Denoiser};
use super::network::{Network, Outcome, Threaded};
use super::{FrameTexture, SamplerParams, StageTimes};
use crate::{Error, Result};

/// Predicts the frames of a world, one after another, with a [`Network`].
pub struct Sampler {
    network: Box<dyn Network>,
    world: WorldConfig,
    /// Frames since the reset; 0 before the first reset.
    frame: u64,
    /// Clean latent of the last frame, `[cells, channels]`.
    latent: Vec<f32>,
    /// Past latents for the stem, see [`crate::FrameContext::past`].
    past: Vec<f32>,
    image: Vec<u8>,
    /// Whether `image` is still that of an earlier frame.
    undrawn: bool,
    /// Scratch: the noisy latent and the context noise, `[cells, channels]`.
    z: Vec<f32>,
    noise: Vec<f32>,
    outcome: Option<Outcome>,
    recording_passes: bool,
    passes: Vec<DenoisePass>,
    /// Elements of the network's KV cache and delta states.
    cache_len: usize,
    residency: Residency,
    keep_on_device: bool,
    /// The last image, if it stayed on the device.
    texture: Option<Arc<FrameTexture>>,
    /// Of a world that has one.
    memory: Option<Memory>,
    /// Scratch: the inputs of memory tokens.
    memory_tokens: Vec<f32>,
}

/// Where the current `latent`, `past` and `image` are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Residency {
    Host,
    Device,
    Both,
}

impl Sampler {
    /// A sampler of a network of this world.
    pub fn new(network: Box<dyn Network>, world: WorldConfig) -> Self {
        let (d, len) = (&world.dynamics, world.latent_len());
        let time_layers = d.depth / d.time_every;
        Self {
            network,
            frame: 0,
            latent: vec![0.0; len],
            past: vec![0.0; len * d.stem_frames],
            image: vec![0; world.image_len()],
            undrawn: false,
            z: vec![0.0; len],
            noise: vec![0.0; len],
            outcome: None,
            recording_passes: false,
            passes: Vec::new(),
            cache_len: time_layers * 2 * (d.context - 1) * world.tokens() * d.width
                + world.delta_state_len(),
            residency: Residency::Host,
            keep_on_device: false,
            texture: None,
            memory: Memory::new(&world),
            memory_tokens: Vec::new(),
            world,
        }
    }

    /// A copy in the same state, which computes on the thread that calls it. Weights are shared: many copies,
    /// each with a game of its own, take little more memory than their states.
    ///
    /// # Errors
    /// Returns an error if the backend cannot copy its state; the CPU engine can.
    pub fn fork(&self) -> Result<Self> {
        let network = self.network.fork().ok_or_else(|| {
            Error::Unsupported(format!(
                "{} plays one game; --device cpu plays many",
                self.network.name()
            ))
        })?;
        Ok(Self {
            network,
            world: self.world.clone(),
            frame: self.frame,
            latent: self.latent.clone(),
            past: self.past.clone(),
            image: self.image.clone(),
            undrawn: self.undrawn,
            z: self.z.clone(),
            noise: self.noise.clone(),
            outcome: self.outcome,
            recording_passes: self.recording_passes,
            passes: self.passes.clone(),
            cache_len: self.cache_len,
            residency: self.residency,
            keep_on_device: self.keep_on_device,
            texture: self.texture.clone(),
            memory: self.memory.clone(),
            memory_tokens: self.memory_tokens.clone(),
        })
    }

    /// Configuration of the world.
    pub fn world(&self) -> &WorldConfig {
        &self.world
    }

    /// A short name: `cpu`, `candle cuda`, `wgpu NAME (Vulkan)`.
    pub fn name(&self) -> &str {
        self.network.name()
    }

    /// What to show a person: `CPU, 2 threads`, or the name.
    pub fn label(&self) -> &str {
        self.network.label()
    }

    /// Threads of the CPU that compute.
    pub fn threads(&self) -> usize {
        self.network.threads().map_or(1, Threaded::count)
    }

    /// Sets [`Sampler::threads`], on which the frames do not depend.
    ///
    /// # Errors
    /// Returns an error if the backend does not let the caller choose, or if the threads cannot be started.
    pub fn set_threads(&mut self, threads: NonZeroUsize) -> Result<()> {
        match self.network.threads_mut() {
            Some(own) => own.set_count(threads),
            None => Err(Error::Unsupported(format!(
                "{} does not let you choose the number of threads; --device cpu does",
                self.network.name()
            ))),
        }
    }

    /// Frames since the reset, those of the starting clip included.
    pub fn frame(&self) -> u64 {
        self.frame
    }

    /// The long-term memory, of a world that has one.
    pub fn memory(&self) -> Option<&Memory> {
        self.memory.as_ref()
    }

    /// The long-term memory, to change it.
    pub fn memory_mut(&mut self) -> Option<&mut Memory> {
        self.memory.as_mut()
    }

    /// Starts over after `clip`, of which it uses as many of the last frames as the world's context
    /// holds; a world with a long-term memory uses them all.
    ///
    /// # Errors
    /// Returns an error if the clip is empty, its sizes or actions do not match the world, or a parameter
    /// is invalid.
    pub fn reset(&mut self, clip: &Clip, params: &SamplerParams) -> Result<()> {
        self.check(params)?;
        self.check_clip(clip)?;
        let frames = clip.frames();
        if let Some(memory) = &mut self.memory {
            memory.clear();
        }
        // As many as the world can attend to, even if `params` asks for fewer now.
        let used = if self.world.dynamics.remembers() {
            frames
        } else {
            frames.min(self.world.dynamics.context)
        };
        let images = &clip.images[(frames - used) * self.world.image_len()..];
        let latents = self.encode(images)?;
        self.residency = Residency::Host;
        self.network.load_cache(&vec![0.0; self.cache_len])?;
        self.past.fill(0.0);
        self.passes.clear();
        self.frame = 0;
        let actions = &clip.actions[frames - used..];
        for (latent, &action) in latents.chunks_exact(self.latent.len()).zip(actions) {
            self.latent.copy_from_slice(latent);
            self.begin_frame(action, params)?;
            self.write_cache(action, params, false)?;
        }
        self.undrawn = false;
        let last = images.len() - self.image.len();
        self.image.copy_from_slice(&images[last..]);
        Ok(())
    }

    /// Adds a given frame, `image` (u8 RGB `[H, W, 3]`), to which `action` led, instead of a predicted one.
    ///
    /// # Errors
    /// Returns an error before the first reset, if the image is not one frame, if the action is unknown or
    /// a parameter is invalid, or if the device fails.
    pub fn give(
        &mut self,
        image: &[u8],
        action: impl Into<Action>,
        params: &SamplerParams,
    ) -> Result<()> {
        let action = action.into();
        self.check_step(action, params)?;
        if self.frame_count(image)? != 1 {
            return Err(Error::Shape(
                "several frames are given, expected one".into(),
            ));
        }
        let latent = self.encode(image)?;
        self.give_latent(image, &latent, action, params)
    }

    /// As [`Sampler::give`], of an image with its latent.
    fn give_latent(
        &mut self,
        image: &[u8],
        latent: &[f32],
        action: Action,
        params: &SamplerParams,
    ) -> Result<()> {
        self.passes.clear();
        self.latent.copy_from_slice(latent);
        self.begin_frame(action, params)?;
        self.write_cache(action, params, false)?;
        self.undrawn = false;
        self.image.copy_from_slice(image);
        Ok(())
    }

    /// Predicts the next frame under `action`; read it with [`Sampler::image`].
    ///
    /// # Errors
    /// Returns an error before the first reset, if the action is unknown or a parameter is invalid, or if
    /// the device fails.
    pub fn step(
        &mut self,
        action: impl Into<Action>,
        params: &SamplerParams,
    ) -> Result<StageTimes> {
        let mut times = self.step_undrawn(action, params)?;
        if self.undrawn {
            let start = Instant::now();
            self.draw()?;
            times.decode += start.elapsed();
        }
        Ok(times)
    }

    /// As [`Sampler::step`], but the latent is decoded only once someone asks for the image: for rollouts
    /// that no one looks at.
    ///
    /// # Errors
    /// As [`Sampler::step`].
    pub fn step_undrawn(
        &mut self,
        action: impl Into<Action>,
        params: &SamplerParams,
    ) -> Result<StageTimes> {
        let action = action.into();
        self.check_step(action, params)?;
        let start = Instant::now();
        if let Some(mut times) = self.run_full_frame(action, params)? {
            if times == StageTimes::default() {
                times.denoise = start.elapsed();
            }
            return Ok(times);
        }
        self.sync_to_host()?;
        self.begin_frame(action, params)?;
        self.sample(action, params)?;
        self.latent.copy_from_slice(&self.z);
        let denoised = Instant::now();
        self.write_cache(action, params, true)?;
        self.undrawn = true;
        Ok(StageTimes {
            denoise: denoised - start,
            cache: denoised.elapsed(),
            decode: Duration::ZERO,
        })
    }

    /// Decodes the last frame unless it was.
    fn draw(&mut self) -> Result<()> {
        if self.undrawn {
            self.network.decode(&self.latent, &mut self.image)?;
            self.undrawn = false;
        }
        Ok(())
    }

    /// The last frame, u8 RGB `[H, W, 3]`; after a reset, the last frame of the clip.
    ///
    /// # Errors
    /// Returns an error if the frame is still on the device and cannot be read back.
    pub fn image(&mut self) -> Result<&[u8]> {
        self.sync_to_host()?;
        self.draw()?;
        Ok(&self.image)
    }

    /// The last frame's clean latent, `[cells, channels]`.
    ///
    /// # Errors
    /// Returns an error if the latent is still on the device and cannot be read back.
    pub fn latent(&mut self) -> Result<&[f32]> {
        self.sync_to_host()?;
        Ok(&self.latent)
    }

    /// Sets whether frames stay on the device, as a texture, until they are read. Has an effect only if the
    /// network shares the window's device.
    pub fn set_keep_on_device(&mut self, on: bool) {
        self.keep_on_device = on;
    }

    /// The last frame as a texture on the window's device, if it stayed there.
    pub fn frame_texture(&self) -> Option<Arc<FrameTexture>> {
        self.texture.clone()
    }

    /// Predicted reward and episode end of the last frame; after a reset, of the last frame of the clip. `None`
    /// if the world has no outcome head.
    pub fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// Surprise of a given next frame, `image` (u8 RGB `[H, W, 3]`), after the frames so far and `action`.
    /// Does not change the state.
    ///
    /// The value is ‖x̂(z_τ, τ) − x‖² / len with x the latent of `image`, z_τ = α x + σ ε and τ = ½. The seed
    /// and the frame number fix ε. Latents are standardized, so a network that knows nothing scores 1.
    /// Costs one encoding and one pass; likelihoods in bits (`driftless likelihood`) cost some hundred.
    ///
    /// # Errors
    /// Returns an error before the first reset, if the image or the action does not match the world, if a
    /// parameter is invalid, or if the device fails.
    pub fn surprise(
        &mut self,
        image: &[u8],
        action: impl Into<Action>,
        params: &SamplerParams,
    ) -> Result<f32> {
        let action = action.into();
        self.check(params)?;
        self.check_action(action)?;
        if self.frame == 0 || self.frame_count(image)? != 1 {
            return Err(Error::State(
                "surprise takes exactly one frame, after a reset".into(),
            ));
        }
        let x = self.encode(image)?;
        self.latent_surprise(&x, action, params)
    }

    /// As [`Sampler::surprise`], of a latent.
    fn latent_surprise(
        &mut self,
        x: &[f32],
        action: Action,
        params: &SamplerParams,
    ) -> Result<f32> {
        self.begin_frame(action, params)?;
        Denoiser {
            network: self.network.as_mut(),
            world: &self.world,
            params: &SamplerParams {
                guidance: 1.0,
                ..*params
            },
            action,
            frame: self.frame,
            passes: None,
        }
        .surprise(x)
    }

    /// Decodes standardized latents `[T, cells, channels]` to u8 RGB frames `[T, H, W, 3]`.
    ///
    /// # Errors
    /// Returns an error if the length is not a whole number of latents, or the device fails.
    pub fn decode(&mut self, latents: &[f32]) -> Result<Vec<u8>> {
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

    /// Encodes u8 RGB frames `[T, H, W, 3]` to standardized latents `[T, cells, channels]`.
    ///
    /// # Errors
    /// Returns an error if the length is not a whole number of frames, or the device fails.
    pub fn encode(&mut self, images: &[u8]) -> Result<Vec<f32>> {
        self.sync_to_host()?;
        let mut latents = vec![0.0; self.frame_count(images)? * self.latent.len()];
        self.network.encode(images, &mut latents)?;
        Ok(latents)
    }

    /// Encodes and decodes u8 RGB frames `[T, H, W, 3]`: the best image quality that any rollout can reach.
    ///
    /// # Errors
    /// Returns an error if the length is not a whole number of frames, or the device fails.
    pub fn reconstruct(&mut self, images: &[u8]) -> Result<Vec<u8>> {
        let latents = self.encode(images)?;
        let mut images = vec![0; images.len()];
        self.network.decode(&latents, &mut images)?;
        Ok(images)
    }
}
