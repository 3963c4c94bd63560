//! The engine: one predicted frame after another, from actions and sampler parameters.
//!
//! A frame is made by K denoise passes that read the cache of earlier frames without writing it,
//! and one last pass that writes the finished frame's keys and values into the ring.

mod candle;
mod cpu;
mod device;
mod noise;
mod sampler;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::checkpoint::World;
use crate::model::config::WorldConfig;
use crate::{Error, Result};

pub use candle::{CandleEngine, CandleNetwork};
pub use cpu::{CpuEngine, CpuNetwork};
pub use device::{DeviceChoice, candle_device};
pub use sampler::{Moment, Network, Sampler};

/// Most denoise passes a frame.
pub const MAX_STEPS: usize = 1024;

/// The engine of a checkpoint folder: [`CpuEngine`] on the processor, [`CandleEngine`] elsewhere.
///
/// # Errors
/// The checkpoint is missing or broken, or the device is missing.
pub fn open(folder: &Path, choice: DeviceChoice) -> Result<Box<dyn Engine>> {
    let device = candle_device(choice)?;
    let world = World::read(folder, &device)?;
    Ok(if device.is_cpu() {
        Box::new(CpuEngine::new(&world)?)
    } else {
        Box::new(CandleEngine::new(world)?)
    })
}

/// What a player can turn between two frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerParams {
    /// Denoise passes a frame, K; the step size is d = 1/K.
    pub steps: usize,
    /// Signal level τ_ctx at which finished frames are kept, in (0, 1]; 1 is clean.
    pub context_signal: f32,
    /// Frames that time attention sees, the current one included; at most the world's `context`.
    pub context: usize,
    /// Standard deviation of the starting noise; 1 is the training distribution.
    pub temperature: f32,
    /// Seed of the noise: frame n of a session draws its noise from (seed, n).
    pub seed: u64,
}

impl Default for SamplerParams {
    fn default() -> Self {
        Self {
            steps: 4,
            context_signal: 0.9,
            context: usize::MAX,
            temperature: 1.0,
            seed: 0,
        }
    }
}

impl SamplerParams {
    /// Whether every parameter is in its range.
    ///
    /// # Errors
    /// Names the first one that is not, and its range.
    pub fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Argument(what));
        if !(1..=MAX_STEPS).contains(&self.steps) {
            return wrong(format!(
                "steps is {}, expected 1 to {MAX_STEPS}",
                self.steps
            ));
        }
        if !(self.context_signal > 0.0 && self.context_signal <= 1.0) {
            return wrong(format!(
                "context_signal is {}, expected above 0, at most 1",
                self.context_signal
            ));
        }
        if self.context == 0 {
            return wrong("context is 0, expected at least 1".into());
        }
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return wrong(format!(
                "temperature is {}, expected a finite number, at least 0",
                self.temperature
            ));
        }
        Ok(())
    }
}

/// Past frames to start from, with the action that led to each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clip {
    /// u8 RGB, `[T, H, W, 3]`.
    pub images: Vec<u8>,
    /// `[T]`; `actions[t]` led to frame t.
    pub actions: Vec<u32>,
}

impl Clip {
    /// Frames in the clip.
    pub fn frames(&self) -> usize {
        self.actions.len()
    }
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

/// The complete state of an engine between two frames; restoring it replays bit-identically.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// Frames since the reset, context included.
    pub frame: u64,
    /// Engine-specific numbers (rings and latents); opaque to callers.
    pub state: Vec<f32>,
    /// The last image, u8 RGB `[H, W, 3]`.
    pub image: Vec<u8>,
}

/// Predicts a world frame by frame.
pub trait Engine: Send {
    /// The world that this engine runs.
    fn world(&self) -> &WorldConfig;

    /// A short name for people: `cpu`, `candle cpu`, `candle cuda`.
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
    fn image(&self) -> &[u8];

    /// The last frame's clean latent, `[cells, channels]`.
    fn latent(&self) -> &[f32];

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
    fn snapshot(&self) -> Snapshot;

    /// Goes back to a snapshot of an engine of the same kind and world.
    ///
    /// # Errors
    /// The snapshot's sizes do not fit.
    fn restore(&mut self, snapshot: &Snapshot) -> Result<()>;
}
