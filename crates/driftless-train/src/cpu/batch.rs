//! A batch of sequences as a training step of the dynamics takes it, and the losses that it returns.

use driftless_data::Action;

/// The clean copy of a batch of B sequences of T frames.
pub(crate) struct CleanFrames {
    pub sequences: usize,
    pub length: usize,
    /// Latents at levels near 1, [B, T, gh, gw, c].
    pub latents: Vec<f32>,
    /// The frames before each frame, [B, T, gh, gw, stem_frames·c].
    pub past: Vec<f32>,
    /// [B, T].
    pub actions: Vec<Action>,
    /// [B, T].
    pub signal: Vec<f32>,
    /// 1 for frames that are trained on, [B, T].
    pub mask: Vec<f32>,
    /// What the frames recall; `None` to recall nothing.
    pub recalled: Option<RecalledFrames>,
}

/// The recalled frames of a batch: M for each frame, see [`driftless_model::memory::MemoryInput`].
pub(crate) struct RecalledFrames {
    /// [B, T, M, latent tokens, inputs].
    pub tokens: Vec<f32>,
    /// [B, T, M].
    pub filled: Vec<f32>,
}

/// A noised copy of a batch.
pub(crate) struct NoisedFrames {
    /// [B, T, gh, gw, c].
    pub z: Vec<f32>,
    /// [B, T].
    pub tau: Vec<f32>,
    /// Step sizes, [B, T].
    pub d: Vec<f32>,
    /// [B, T].
    pub actions: Vec<Action>,
    /// Whether the target is two half steps of the network instead of the data.
    pub shortcut: bool,
}

/// Losses of the outcome head: reward, end and motion.
pub(crate) const OUTCOME_LOSSES: usize = 3;

/// The targets of the outcome head, [B, T], and the factors of its losses.
pub(crate) struct OutcomeTargets {
    pub rewards: Vec<f32>,
    pub ends: Vec<f32>,
    /// Of a network with a memory.
    pub motion: Option<MotionTargets>,
    pub scales: [f32; OUTCOME_LOSSES],
}

/// How the camera moved to each frame.
pub(crate) struct MotionTargets {
    /// [B, T, 3].
    pub motion: Vec<f32>,
    /// 1 where it is known, [B, T].
    pub known: Vec<f32>,
}

/// The targets of a batch.
pub(crate) struct Targets<'a> {
    /// The data, [B, T, gh, gw, c].
    pub latents: &'a [f32],
    /// Factors of the squared errors, [B, T, gh, gw]; `None`: 1.
    pub weights: Option<&'a [f32]>,
    pub outcome: Option<&'a OutcomeTargets>,
    /// Whether to compute the gradient too.
    pub gradient: bool,
}

/// The losses of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StepLosses {
    /// Mean over the copies.
    pub main: f64,
    /// Reward, end and motion, unscaled; 0 for what the network does not predict.
    pub outcome: [f64; OUTCOME_LOSSES],
    /// The network's output for the first copy, [B, T, gh, gw, c].
    pub output: Vec<f32>,
}
