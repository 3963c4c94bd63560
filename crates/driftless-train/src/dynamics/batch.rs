//! A batch of training sequences.

use candle_core::Tensor;

use driftless_model::dynamics::ActionTensors;

use super::recalled::Recalled;

/// A batch of sequences, and their clean copy: the same latents at signal levels near 1.
pub(super) struct Batch {
    /// First frame of each sequence among all frames of the store.
    pub frames: Vec<usize>,
    /// [B, T, gh, gw, c].
    pub latents: Tensor,
    /// Of B sequences of T frames.
    pub actions: ActionTensors,
    /// f32 [B, T].
    pub rewards: Tensor,
    /// 1 if the frame ends its episode, else 0; f32 [B, T].
    pub ends: Tensor,
    /// Latents of the clean copy, [B, T, gh, gw, c].
    pub context: Tensor,
    /// Signal levels of the clean copy, f32 [B, T].
    pub context_signal: Tensor,
    /// The `stem_frames` frames of the clean copy before each frame, latest first,
    /// [B, T, gh, gw, stem_frames·c].
    pub past: Tensor,
    /// 1 for the frames that are trained on: those with a complete stem past in the sequence; f32
    /// [B, T].
    pub mask: Tensor,
    /// Factors of the squared errors, f32 [B, T, gh, gw]; `None`: 1.
    pub weights: Option<Tensor>,
    /// What the sequences recall, if the world has a memory.
    pub recalled: Option<Recalled>,
}
