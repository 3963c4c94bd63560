//! The engine: predicts one frame after another from actions and sampler parameters.
//!
//! Each frame takes K denoise passes, which read the KV cache of earlier frames, and one cache pass,
//! which writes the finished frame's keys and values into it.
//!
//! ```
//! use std::path::Path;
//!
//! use driftless_engine::{DeviceChoice, GpuSource, SamplerParams, open};
//! use driftless_model::contexts;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let checkpoints = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints");
//! let world = checkpoints.join("pong");
//! let mut engine = open(&world, DeviceChoice::Cpu, &GpuSource::Own)?;
//! let clips = contexts::read(&world.join("contexts.npz"), engine.world())?;
//!
//! let params = SamplerParams { steps: 2, ..SamplerParams::default() };
//! engine.reset(&clips[0], &params)?;
//! engine.step(1, &params)?; // up
//! assert_eq!(engine.image()?.len(), 64 * 64 * 3);
//! # Ok(())
//! # }
//! ```
//!
//! `examples/play.rs` plays for a while and writes a picture.

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
use driftless_model::checkpoint::WorldModel;
use driftless_model::config::WorldConfig;

pub use self::wgpu::{AdapterInfo, FrameTexture, Gpu, WgpuEngine, WgpuNetwork, adapters};
pub use attention::Attention;
pub use candle::{CandleEngine, CandleNetwork};
pub use cpu::{CpuEngine, CpuNetwork};
pub use denoise::DenoisePass;
pub use device::{Backend, CUDA, DeviceChoice, GpuSource, METAL, candle_device, choose_backend};
pub use drift::{latent_difference, reencoding_error};
pub use network::{
    ContextNoise, DenoiseInput, FrameContext, FrameOutput, FrameRequest, Network, Outcome,
    Readback, StepCoefficients,
};
pub use params::{
    Choice, MAX_STEPS, PARAMS, ParamKind, ParamSpec, SamplerParams, SamplingPath, SliderSpec,
    Solver,
};
pub use sampler::Sampler;

/// Opens a checkpoint folder on the chosen device. With [`DeviceChoice::Auto`], falls back to the CPU if
/// the world does not fit on the GPU.
///
/// # Errors
/// Returns an error if the checkpoint is missing or invalid, or the device is not available.
pub fn open(
    folder: &Path,
    choice: DeviceChoice,
    gpu_source: &GpuSource,
) -> Result<Box<dyn Engine>> {
    match (
        open_on_backend(folder, &choose_backend(choice, gpu_source)?),
        choice,
    ) {
        (Err(error), DeviceChoice::Auto) if error.is_device() => {
            tracing::warn!("{error}; playing on the CPU");
            open_on_candle(folder, &Device::Cpu)
        }
        (opened, _) => opened,
    }
}

/// Opens a checkpoint folder on a backend.
///
/// # Errors
/// Returns an error if the checkpoint is missing or invalid, or the device fails.
pub fn open_on_backend(folder: &Path, backend: &Backend) -> Result<Box<dyn Engine>> {
    build(WorldModel::read(folder, backend.device())?, backend)
}

/// Opens a checkpoint folder on a candle device.
///
/// # Errors
/// Returns an error if the checkpoint is missing or invalid, or the device fails.
pub fn open_on_candle(folder: &Path, device: &Device) -> Result<Box<dyn Engine>> {
    open_on_backend(folder, &Backend::Candle(device.clone()))
}

/// Builds the engine of a world: [`WgpuEngine`] through wgpu, [`CpuEngine`] on the CPU, [`CandleEngine`] on
/// other candle devices.
///
/// # Errors
/// Returns an error if the world does not fit on the device, or the device fails.
pub fn build(world: WorldModel, backend: &Backend) -> Result<Box<dyn Engine>> {
    Ok(match backend {
        Backend::Candle(device) if device.is_cpu() => Box::new(CpuEngine::new(&world)?),
        Backend::Candle(_) => Box::new(CandleEngine::new(world)?),
        Backend::Wgpu(gpu) => Box::new(WgpuEngine::tuned(&world, gpu)?),
    })
}

/// Time spent in each stage of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StageTimes {
    /// The K denoise passes.
    pub denoise: Duration,
    /// The pass that writes the KV cache.
    pub cache: Duration,
    /// Decoding the latent to pixels.
    pub decode: Duration,
}

impl StageTimes {
    /// Total time of all stages.
    pub fn total(self) -> Duration {
        self.denoise + self.cache + self.decode
    }
}

/// The complete state of an engine between two frames. On a backend of the same kind, continuing from it
/// reproduces the same frames bit for bit.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Frames since the reset, context included.
    pub frame: u64,
    /// Latents and KV cache; the layout is private to the engine.
    pub state: Vec<f32>,
    /// Predicted outcome of the last frame.
    pub outcome: Option<Outcome>,
    /// The last image, u8 RGB `[H, W, 3]`.
    pub image: Vec<u8>,
}

/// Predicts the frames of a world, one after another.
pub trait Engine: Send {
    /// Configuration of the world that this engine runs.
    fn world(&self) -> &WorldConfig;

    /// A short display name: `cpu`, `candle cuda`, `wgpu NAME (Vulkan)`.
    fn name(&self) -> &str;

    /// Starts over after `context`, of which it uses as many of the last frames as the world's context
    /// holds.
    ///
    /// # Errors
    /// Returns an error if the clip is empty, its sizes or actions do not match the world, or a parameter
    /// is invalid.
    fn reset(&mut self, context: &Clip, params: &SamplerParams) -> Result<()>;

    /// Predicts the next frame under `action`; read it with [`Engine::image`].
    ///
    /// # Errors
    /// Returns an error before the first reset, if the action is unknown or a parameter is invalid, or if
    /// the device fails.
    fn step(&mut self, action: u32, params: &SamplerParams) -> Result<StageTimes>;

    /// The last frame, u8 RGB `[H, W, 3]`; after a reset, the last context frame.
    ///
    /// # Errors
    /// Returns an error if the frame is still on the device and cannot be read back.
    fn image(&mut self) -> Result<&[u8]>;

    /// The last frame's clean latent, `[cells, channels]`.
    ///
    /// # Errors
    /// Returns an error if the latent is still on the device and cannot be read back.
    fn latent(&mut self) -> Result<&[f32]>;

    /// Sets whether frames stay on the device, as a texture, until they are read. Has an effect only if the
    /// engine shares the window's device.
    fn set_keep_on_device(&mut self, _on: bool) {}

    /// The last frame as a texture on the window's device, if it stayed there.
    fn frame_texture(&self) -> Option<Arc<FrameTexture>> {
        None
    }

    /// Predicted reward and episode end of the last frame; after a reset, of the last context frame. `None`
    /// if the world has no outcome head.
    fn outcome(&self) -> Option<Outcome> {
        None
    }

    /// Sets whether [`Engine::passes`] are recorded.
    fn record_passes(&mut self, on: bool);

    /// Denoise passes of the last step, in order; empty unless recorded.
    fn passes(&self) -> &[DenoisePass];

    /// Sets whether [`Engine::attention`] is recorded from the next frame on. Does not change the frames.
    fn record_attention(&mut self, _on: bool) {}

    /// Attention weights of the last frame; after a reset, of the last context frame. `None` if they were
    /// not recorded, after [`Engine::restore`], and on backends that cannot record them.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    fn attention(&mut self) -> Result<Option<Attention>> {
        Ok(None)
    }

    /// Surprise of a given next frame, `image` (u8 RGB `[H, W, 3]`), after the frames so far and `action`.
    /// Does not change the engine's state.
    ///
    /// The value is ‖x̂(z_τ, τ) − x‖² / len with x the latent of `image`, z_τ = α x + σ ε and τ = ½. The seed
    /// and the frame number fix ε. Latents are standardised, so a network that knows nothing scores 1.
    /// Costs one encoding and one pass; likelihoods in bits (`driftless likelihood`) cost some hundred.
    /// `None` if the engine has no network.
    ///
    /// # Errors
    /// Returns an error before the first reset, if the image or the action does not match the world, if a
    /// parameter is invalid, or if the device fails.
    fn surprise(
        &mut self,
        _image: &[u8],
        _action: u32,
        _params: &SamplerParams,
    ) -> Result<Option<f32>> {
        Ok(None)
    }

    /// Decodes standardised latents `[T, cells, channels]` to u8 RGB frames `[T, H, W, 3]`.
    ///
    /// # Errors
    /// Returns an error if the length is not a whole number of latents, or the device fails.
    fn decode(&mut self, latents: &[f32]) -> Result<Vec<u8>>;

    /// Encodes u8 RGB frames `[T, H, W, 3]` to standardised latents `[T, cells, channels]`.
    ///
    /// # Errors
    /// Returns an error if the length is not a whole number of frames, or the device fails.
    fn encode(&mut self, images: &[u8]) -> Result<Vec<f32>>;

    /// Encodes and decodes u8 RGB frames `[T, H, W, 3]`: the best image quality that any rollout can reach.
    ///
    /// # Errors
    /// Returns an error if the length is not a whole number of frames, or the device fails.
    fn reconstruct(&mut self, images: &[u8]) -> Result<Vec<u8>>;

    /// Everything that the next frames depend on.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    fn snapshot(&mut self) -> Result<Snapshot>;

    /// Restores a snapshot of the same world, from any backend.
    ///
    /// # Errors
    /// Returns an error, and changes nothing, if the snapshot belongs to another world.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<()>;
}
