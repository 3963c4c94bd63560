//! The [`Network`] trait: what the sampler needs from a world's networks, pass by pass or one whole
//! frame at a time.

use std::num::NonZeroUsize;
use std::sync::Arc;

use driftless_data::{Action, Motion};

use super::{Attention, FrameTexture, StageTimes};
use crate::Result;

/// What all passes over one frame share.
#[derive(Clone, Copy, Debug)]
pub struct FrameContext<'a> {
    /// Context latents of the `stem_frames` preceding frames, latest first:
    /// `[cells, stem_frames · channels]`.
    pub past: &'a [f32],
    /// Frames since the reset.
    pub frame: u64,
    /// Earlier frames that temporal attention sees.
    pub attended_frames: usize,
    /// Frames that a memory recalls.
    pub recalled: RecalledFrames<'a>,
    /// Whether the passes read the delta states of a world that has them.
    pub reads_state: bool,
}

/// Frames that a memory recalls for a frame; empty if it recalls none.
#[derive(Clone, Copy, Debug, Default)]
pub struct RecalledFrames<'a> {
    /// Their number.
    pub count: usize,
    /// The inputs of their tokens, `[count, latent tokens, inputs]`; see
    /// [`TokenInputs`](driftless_model::memory::TokenInputs).
    pub tokens: &'a [f32],
}

/// Input of one network pass.
#[derive(Clone, Copy, Debug)]
pub struct DenoiseInput<'a> {
    /// z_τ, `[cells, channels]`.
    pub z: &'a [f32],
    /// Signal level τ of `z`.
    pub tau: f32,
    /// Index of the step size d, see [`step_index`](driftless_model::dynamics::step_index).
    pub step_index: u32,
    /// The action that leads to the frame; the index may be `WorldConfig::unknown_action`.
    pub action: Action,
}

/// One step of shortcut sampling: z ← `z_scale` · z + `output_scale` · (network output).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepCoefficients {
    /// Signal level τ of the pass.
    pub tau: f32,
    /// Coefficient of z.
    pub z_scale: f32,
    /// Coefficient of the network's output.
    pub output_scale: f32,
}

/// How noisy a finished frame is as context: α · clean latent + σ · noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ContextNoise {
    /// Signal level τ_ctx.
    pub tau: f32,
    /// Coefficient of the clean latent.
    pub alpha: f32,
    /// Coefficient of the noise; 0 if the context is clean.
    pub sigma: f32,
}

/// Everything a network needs to make a frame, from noise to pixels, on its own device.
#[derive(Clone, Copy, Debug)]
pub struct FrameRequest<'a> {
    /// Frames since the reset.
    pub frame: u64,
    /// Earlier frames that temporal attention sees.
    pub attended_frames: usize,
    /// The action that leads to the frame.
    pub action: Action,
    /// Seed of the frame's noise.
    pub seed: u64,
    /// Standard deviation of the initial noise.
    pub temperature: f32,
    /// The denoise steps, in order.
    pub steps: &'a [StepCoefficients],
    /// Index of their step size d.
    pub step_index: u32,
    /// Noise of the frame as context.
    pub context: ContextNoise,
    /// As [`FrameContext::reads_state`].
    pub reads_state: bool,
}

/// Host buffers that receive a frame made on a device.
#[derive(Debug)]
pub struct Readback<'a> {
    /// The clean latent, `[cells, channels]`.
    pub latent: &'a mut [f32],
    /// Past latents of the next frame, laid out as [`FrameContext::past`].
    pub past: &'a mut [f32],
    /// u8 RGB `[H, W, 3]`.
    pub image: &'a mut [u8],
}

/// Result of [`WholeFrames::run_frame`].
#[derive(Debug, Default)]
pub struct FrameOutput {
    /// The image as a texture, if it stayed on the device.
    pub texture: Option<Arc<FrameTexture>>,
    /// Predicted reward and episode end, if the network has an outcome head.
    pub outcome: Option<Outcome>,
    /// Time spent in each stage; zeros if the device cannot measure it.
    pub times: StageTimes,
}

/// Predicted reward and episode end of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The reward that comes with the frame.
    pub reward: f32,
    /// Probability that the frame ends its episode.
    pub end: f32,
    /// How the camera moved to the frame, of a world with a memory.
    pub motion: Option<Motion>,
}

impl Outcome {
    /// Whether the episode ends with a probability of at least ½.
    pub fn ends(self) -> bool {
        self.end >= 0.5
    }

    /// From the outputs of the outcome head: a reward, a logit and, with a memory, a motion.
    pub(super) fn of_outputs(outputs: &[f32]) -> Self {
        let (reward, logit, motion) = match *outputs {
            [reward, logit, ahead, aside, turn] => {
                (reward, logit, Some(Motion { ahead, aside, turn }))
            }
            [reward, logit, ..] => (reward, logit, None),
            _ => (f32::NAN, f32::NAN, None),
        };
        Self {
            reward,
            end: 1.0 / (1.0 + (-logit).exp()),
            motion,
        }
    }
}

/// A world's networks with what earlier frames left: the KV cache and, of a world that has them, the delta
/// states. All methods return an error if the device
/// fails.
pub trait Network: Send {
    /// A short name, such as `cpu`. Networks of the same name make the same frames.
    fn name(&self) -> &str;

    /// What to show a person: the name, with how it computes if that varies.
    fn label(&self) -> &str {
        self.name()
    }

    /// Starts a frame; the passes that follow are about this frame.
    fn begin_frame(&mut self, context: &FrameContext) -> Result<()>;

    /// Runs one denoise pass: writes the network's output (x̂, v̂ or ε̂), `[cells, channels]`. Does not
    /// change the KV cache.
    fn denoise(&mut self, input: &DenoiseInput, output: &mut [f32]) -> Result<()>;

    /// Writes the frame's keys and values into the KV cache, over those of the oldest frame, and changes the
    /// delta states. Returns the frame's outcome if the network has an outcome head.
    fn write_cache(&mut self, input: &DenoiseInput) -> Result<Option<Outcome>>;

    /// Encodes u8 RGB frames `[T, H, W, 3]` to standardized latents `[T, cells, channels]`.
    fn encode(&mut self, images: &[u8], latents: &mut [f32]) -> Result<()>;

    /// Decodes standardized latents `[T, cells, channels]` to u8 RGB frames `[T, H, W, 3]`.
    fn decode(&mut self, latents: &[f32], images: &mut [u8]) -> Result<()>;

    /// Copies the KV cache into `out`, `[time layers, 2, context − 1, tokens, width]`: for each layer
    /// the normalized keys, then the values. The delta states follow, `[time layers, tokens, heads, keys,
    /// values]`.
    fn save_cache(&self, out: &mut [f32]) -> Result<()>;

    /// Replaces the KV cache; the inverse of [`Network::save_cache`].
    fn load_cache(&mut self, cache: &[f32]) -> Result<()>;

    /// Making whole frames, if the network can.
    fn whole_frames(&mut self) -> Option<&mut dyn WholeFrames> {
        None
    }

    /// Showing what the network attends to and makes of a frame, if it can.
    fn inspection(&mut self) -> Option<&mut dyn Inspect> {
        None
    }

    /// A copy in the same state that shares the weights and computes on the thread that calls it, if the
    /// network can be copied.
    fn fork(&self) -> Option<Box<dyn Network>> {
        None
    }

    /// Threads of the CPU that the caller may choose, if the network computes on them.
    fn threads(&self) -> Option<&dyn Threaded> {
        None
    }

    /// [`Network::threads`], to choose them.
    fn threads_mut(&mut self) -> Option<&mut dyn Threaded> {
        None
    }
}

/// Makes whole frames on a device, from noise to pixels.
pub trait WholeFrames {
    /// Whether frames of `steps` steps can be made.
    fn supports_steps(&self, steps: usize) -> bool;

    /// Whether [`WholeFrames::run_frame`] can leave its image on the device as a texture.
    fn supports_textures(&self) -> bool {
        false
    }

    /// Sets the past latents of the next frame, laid out as [`FrameContext::past`].
    /// [`WholeFrames::run_frame`] then updates them itself.
    fn set_past(&mut self, past: &[f32]);

    /// Makes a whole frame, including its entry in the KV cache. Copies it into `readback`, or leaves it on
    /// the device as a texture if there is none. Returns an error, and leaves the KV cache unchanged, if
    /// the prediction is not finite.
    fn run_frame(
        &mut self,
        request: &FrameRequest,
        readback: Option<Readback>,
    ) -> Result<FrameOutput>;

    /// Copies the last whole frame to the host. It stays on the device until another method of the
    /// network but [`Network::name`] is called.
    fn read_back(&mut self, readback: Readback) -> Result<()>;
}

/// Records what a network attends to, and what it makes of a frame.
pub trait Inspect {
    /// Sets whether [`Inspect::attention`] is recorded from the next [`Network::write_cache`] on.
    fn record_attention(&mut self, on: bool);

    /// Attention weights of the last [`Network::write_cache`]. `None` if they were not recorded, and after
    /// [`Network::load_cache`].
    fn attention(&mut self) -> Result<Option<Attention>>;

    /// Sets whether [`Inspect::tokens`] are recorded from the next [`Network::write_cache`] on.
    fn record_tokens(&mut self, on: bool);

    /// The tokens after the last temporal attention of the last [`Network::write_cache`], from which the
    /// outcome is read too: `[tokens, width]`; those of the latent, the action's, the signal's, registers.
    /// `None` if they were not recorded, and after [`Network::load_cache`].
    fn tokens(&self) -> Option<&[f32]>;
}

/// A number of threads, on which the frames do not depend.
pub trait Threaded {
    /// Threads that compute.
    fn count(&self) -> usize;

    /// Sets [`Threaded::count`]. Returns an error if the threads cannot be started.
    fn set_count(&mut self, threads: NonZeroUsize) -> Result<()>;
}
