//! The engine: one predicted frame after another, from actions and sampler parameters.
//!
//! A frame is made by K denoise passes that read the cache of earlier frames without writing it,
//! and one last pass that writes the finished frame's keys and values into the ring.

mod attention;
mod candle;
mod cpu;
mod denoise;
mod device;
mod drift;
mod error;
mod network;
pub mod noise;
mod params;
pub mod rollout;
mod sampler;
mod surprise;
mod weights;
mod wgpu;

pub use error::{Error, Result};

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use candle_core::Device;
use serde::{Deserialize, Serialize};

use driftless_data::Clip;
use driftless_model::checkpoint::World;
use driftless_model::config::WorldConfig;

pub use self::wgpu::{AdapterReport, Gpu, Painting, WgpuEngine, WgpuNetwork, adapters};
pub use attention::Attention;
pub use candle::{CandleEngine, CandleNetwork};
pub use cpu::{CpuEngine, CpuNetwork};
pub use denoise::Pass;
pub use device::{CUDA, DeviceChoice, METAL, Place, Seat, candle_device, place};
pub use drift::{latent_difference, reencoding_error};
pub use network::{Ask, Copies, Made, Moment, Network, Outcome, Share, Whole};
pub use params::{Along, MAX_STEPS, SamplerParams, Solver};
pub use sampler::Sampler;

/// The engine of a checkpoint folder on a device of choice. Where the choice is left to the program,
/// a GPU that a world does not fit on is passed over.
///
/// # Errors
/// The checkpoint is missing or broken, or the device is missing.
pub fn open(folder: &Path, choice: DeviceChoice, seat: &Seat) -> Result<Box<dyn Engine>> {
    match (open_at(folder, &place(choice, seat)?), choice) {
        (Err(error @ Error::Device(_)), DeviceChoice::Auto) => {
            tracing::warn!("{error}; playing on the processor");
            open_on(folder, &Device::Cpu)
        }
        (opened, _) => opened,
    }
}

/// The engine of a checkpoint folder, where `place` says.
///
/// # Errors
/// The checkpoint is missing or broken, or the device failed.
pub fn open_at(folder: &Path, place: &Place) -> Result<Box<dyn Engine>> {
    build(World::read(folder, place.device())?, place)
}

/// The same on a device of candle's.
///
/// # Errors
/// The checkpoint is missing or broken, or the device failed.
pub fn open_on(folder: &Path, device: &Device) -> Result<Box<dyn Engine>> {
    open_at(folder, &Place::Candle(device.clone()))
}

/// The engine of a world: [`WgpuEngine`] through wgpu, [`CpuEngine`] on the processor,
/// [`CandleEngine`] elsewhere.
///
/// # Errors
/// The world does not fit on the device, or that failed.
pub fn build(world: World, place: &Place) -> Result<Box<dyn Engine>> {
    Ok(match place {
        Place::Candle(device) if device.is_cpu() => Box::new(CpuEngine::new(&world)?),
        Place::Candle(_) => Box::new(CandleEngine::new(world)?),
        Place::Wgpu(gpu) => Box::new(WgpuEngine::tuned(&world, gpu)?),
    })
}

/// Time spent in each stage of one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTimes {
    /// The K denoise passes.
    pub denoise: Duration,
    /// The pass that writes the ring.
    pub cache: Duration,
    /// Latent to pixels.
    pub decode: Duration,
}

impl StageTimes {
    /// Time of all stages together.
    pub fn sum(self) -> Duration {
        self.denoise + self.cache + self.decode
    }
}

/// The complete state of an engine between two frames; on an engine of the same kind it replays
/// bit-identically.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Frames since the reset, context included.
    pub frame: u64,
    /// Latents and rings; opaque to callers.
    pub state: Vec<f32>,
    /// What was predicted of the last frame beside its picture.
    pub outcome: Option<Outcome>,
    /// The last image, u8 RGB `[H, W, 3]`.
    pub image: Vec<u8>,
}

/// Predicts a world frame by frame.
pub trait Engine: Send {
    /// The world that this engine runs.
    fn world(&self) -> &WorldConfig;

    /// A short name for people: `cpu`, `candle cuda`, `wgpu NAME (Vulkan)`.
    fn name(&self) -> &str;

    /// Forgets everything and starts after `context` (only its last frames that fit are used).
    ///
    /// # Errors
    /// The clip is empty, or its sizes or actions do not fit the world.
    fn reset(&mut self, context: &Clip, params: &SamplerParams) -> Result<()>;

    /// Predicts the next frame under `action`; read it with [`Engine::image`].
    ///
    /// # Errors
    /// No reset came before, the action is unknown, a parameter is out of range, or the device failed.
    fn step(&mut self, action: u32, params: &SamplerParams) -> Result<StageTimes>;

    /// The last frame, u8 RGB `[H, W, 3]` (after a reset: the context's last frame).
    ///
    /// # Errors
    /// It had stayed on the device, and that failed.
    fn image(&mut self) -> Result<&[u8]>;

    /// The last frame's clean latent, `[cells, channels]`.
    ///
    /// # Errors
    /// It had stayed on the device, and that failed.
    fn latent(&mut self) -> Result<&[f32]>;

    /// Whether frames stay on the device from now on, painted there, until they are asked for; only
    /// an engine that shares the window's device has a use for it.
    fn stay(&mut self, _on: bool) {}

    /// The last frame as a texture of the window's device, if it was painted.
    fn painting(&self) -> Option<Arc<Painting>> {
        None
    }

    /// Reward and end that the network predicts of the last frame (after a reset: of the context's
    /// last); none of a world without that head.
    fn outcome(&self) -> Option<Outcome> {
        None
    }

    /// Whether [`Engine::passes`] are kept from now on.
    fn trace(&mut self, on: bool);

    /// The passes of the last step, in order; none while not traced.
    fn passes(&self) -> &[Pass];

    /// Whether [`Engine::attention`] is kept from the next frame on. Frames are the same, to the bit.
    fn inspect(&mut self, _on: bool) {}

    /// Where the tokens of the last frame looked (after a reset: of the context's last); none while not
    /// asked for, after [`Engine::restore`], and of an engine that does not tell.
    ///
    /// # Errors
    /// The device failed.
    fn attention(&mut self) -> Result<Option<Attention>> {
        Ok(None)
    }

    /// How much a given frame would surprise the network after the frames so far and `action`, which it
    /// leaves as they are: ‖x̂(z_τ, τ) − x‖² / numbers with x the latent of `image` (u8 RGB `[H, W, 3]`),
    /// z_τ = α x + σ ε, τ = ½, and ε fixed by the parameters' seed and the place of the frame. Latents are
    /// standardised, so 1 is what a network that knows nothing pays. It costs one encoding and one pass;
    /// densities in bits (`driftless likelihood`) cost some hundred. None of an engine without a network.
    ///
    /// # Errors
    /// No reset came before, the image or the action does not fit the world, a parameter is out of range,
    /// or the device failed.
    fn surprise(
        &mut self,
        _image: &[u8],
        _action: u32,
        _params: &SamplerParams,
    ) -> Result<Option<f32>> {
        Ok(None)
    }

    /// Latents `[T, cells, channels]` → u8 RGB frames `[T, H, W, 3]`.
    ///
    /// # Errors
    /// The length is not a whole number of latents, or the device failed.
    fn decode(&mut self, latents: &[f32]) -> Result<Vec<u8>>;

    /// Standardised latents `[T, cells, channels]` of u8 RGB frames `[T, H, W, 3]`.
    ///
    /// # Errors
    /// The length is not a whole number of frames, or the device failed.
    fn encode(&mut self, images: &[u8]) -> Result<Vec<f32>>;

    /// Encodes and decodes frames through the tokenizer alone: the ceiling of every rollout.
    ///
    /// `images` is u8 RGB `[T, H, W, 3]`, and so is the result.
    ///
    /// # Errors
    /// The length is not a whole number of frames, or the device failed.
    fn reconstruct(&mut self, images: &[u8]) -> Result<Vec<u8>>;

    /// Everything that the next frames depend on.
    ///
    /// # Errors
    /// The device failed.
    fn snapshot(&mut self) -> Result<Snapshot>;

    /// Goes back to a snapshot of the same world, of an engine of any kind.
    ///
    /// # Errors
    /// The snapshot's sizes do not fit.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<()>;
}
