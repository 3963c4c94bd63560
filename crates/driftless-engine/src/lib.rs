//! The engine: predicts one frame after another from actions and sampler parameters.
//!
//! Each frame takes K denoise passes, which read the KV cache of earlier frames, and one cache pass,
//! which writes the finished frame's keys and values into it.
//!
//! ```
//! use std::path::Path;
//!
//! use driftless_engine::{DeviceChoice, GpuSource, SamplerParams, open};
//! use driftless_model::starting_clips;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let checkpoints = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../checkpoints");
//! let world = checkpoints.join("pong");
//! let mut engine = open(&world, DeviceChoice::Cpu, &GpuSource::Own)?;
//! let clips = starting_clips::read(&world.join("contexts.npz"), engine.world())?;
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

pub mod alarm;
mod attention;
mod batch;
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
#[cfg(feature = "wgpu")]
mod wgpu;
#[cfg(not(feature = "wgpu"))]
#[path = "no_wgpu.rs"]
mod wgpu;

pub use error::{Error, Result};

/// What networks of other kinds share with the CPU backend: worker threads, packed matrix products, transformer layers,
/// and the loops of attention.
pub mod kernels {
    pub use crate::cpu::{
        LANES, MatmulArgs, PackedMatrix, RowLayout, SharedSlice, SpaceLayer, SpaceScratch,
        TaskSize, Workers, WriteMode, fastest_threads, gather, multiply, multiply_shared,
        pack_keys, pack_values, softmax,
    };
}

/// What networks of other kinds share with the wgpu backend: weights as its kernels read them, an arena of activations,
/// and a pass that is recorded once and replayed.
#[cfg(feature = "wgpu")]
pub mod gpu_kernels {
    pub use crate::wgpu::{
        ArenaLayout, GroupNorm, HeadLayout, MatrixRef, ProgramBuilder, RecordedPass, Recorder,
        RowLayout, Weights,
    };
}

#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(feature = "wgpu")]
#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use candle_core::Device;
use serde::{Deserialize, Serialize};

use driftless_model::checkpoint::WorldModel;

#[cfg(feature = "wgpu")]
pub use self::wgpu::{
    AdapterInfo, KernelCaseExport, KernelCheck, SubmissionGate, WgpuNetwork, adapters, kernel_cases,
};
pub use self::wgpu::{FrameTexture, Gpu};
pub use attention::Attention;
pub use batch::Batch;
pub use candle::CandleNetwork;
pub use cpu::{CpuNetwork, Threads, threads_label};
pub use denoise::DenoisePass;
pub use device::{
    Backend, CUDA, DeviceChoice, DeviceOptions, GpuSource, METAL, candle_device, choose_backend,
};
pub use drift::{latent_difference, reencoding_error};
pub use network::{
    ContextNoise, DenoiseInput, FrameContext, FrameOutput, FrameRequest, Inspect, Network, Outcome,
    Readback, RecalledFrames, StepCoefficients, Threaded, WholeFrames,
};
pub use params::{
    Choice, MAX_STEPS, PARAMS, ParamKind, ParamSpec, SamplerParams, SamplingPath, SliderSpec,
    Solver,
};
pub use sampler::{KeptFrame, Memory, Sampler, Snapshot};

/// Opens a checkpoint folder on the chosen device. With [`DeviceChoice::Auto`], falls back to the CPU if
/// the world does not fit on the GPU.
///
/// # Errors
/// Returns an error if the checkpoint is missing or invalid, or the device is not available.
pub fn open(
    folder: &Path,
    options: impl Into<DeviceOptions>,
    gpu_source: &GpuSource,
) -> Result<Sampler> {
    let options = options.into();
    match (
        open_on_backend(folder, &choose_backend(options, gpu_source)?),
        options.device,
    ) {
        (Err(error), DeviceChoice::Auto) if error.is_device() => {
            tracing::warn!("{error}; playing on the CPU");
            open_on_backend(folder, &Backend::Cpu(options.threads))
        }
        (opened, _) => opened,
    }
}

/// Opens a checkpoint folder on a backend.
///
/// # Errors
/// Returns an error if the checkpoint is missing or invalid, or the device fails.
pub fn open_on_backend(folder: &Path, backend: &Backend) -> Result<Sampler> {
    build(WorldModel::read(folder, backend.device())?, backend)
}

/// Opens a checkpoint folder on a candle device, or with the CPU engine if that is the CPU.
///
/// # Errors
/// Returns an error if the checkpoint is missing or invalid, or the device fails.
pub fn open_on_candle(folder: &Path, device: &Device) -> Result<Sampler> {
    open_on_backend(folder, &Backend::on(device.clone(), Threads::Auto))
}

/// Builds the sampler of a world: around a `WgpuNetwork` through wgpu, a [`CpuNetwork`] on the CPU, a
/// [`CandleNetwork`] on candle devices.
///
/// # Errors
/// Returns an error if the world does not fit on the device, or the device fails.
pub fn build(world: WorldModel, backend: &Backend) -> Result<Sampler> {
    let config = world.config.clone();
    let network: Box<dyn Network> = match backend {
        Backend::Cpu(threads) => Box::new(CpuNetwork::new(&world, *threads)?),
        Backend::Candle(_) => Box::new(CandleNetwork::new(world)?),
        #[cfg(feature = "wgpu")]
        Backend::Wgpu(gpu) => Box::new(WgpuNetwork::tuned(&world, gpu)?),
        #[cfg(not(feature = "wgpu"))]
        Backend::Wgpu(_) => return Err(wgpu::missing()),
    };
    Ok(Sampler::new(network, config))
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
