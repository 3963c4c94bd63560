//! The head that predicts reward, end and, with a memory, the camera's motion of the clean frames:
//! W₂ silu(W₁ norm x + b₁) + b₂.

use super::buffer::Buffer;
use super::linear::Linear;
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{norm, norm_gradient, silu, silu_gradient};
use crate::Result;

/// The head's parameters.
pub(super) struct OutcomeHead {
    gain: Slot,
    up: Linear,
    out: Linear,
}

/// Inputs, outputs and buffers of the head for the clean frames of a sequence.
pub(super) struct OutcomeState {
    /// Signal tokens [T, w].
    pub tokens: Buffer,
    /// Reward, logit of the end and motion, [T, outputs], and their gradient.
    pub outcome: Buffer,
    pub gradient: Buffer,
    /// The gradient of the tokens.
    pub dtokens: Buffer,
    before: Buffer,
    active: Buffer,
    dbefore: Buffer,
    normed: Buffer,
    dnormed: Buffer,
}

impl OutcomeHead {
    pub(super) fn new(layout: &mut Layout) -> Result<Self> {
        Ok(Self {
            gain: layout.slot("outcome.norm.weight")?,
            up: Linear::new(layout, "outcome.up", true)?,
            out: Linear::new(layout, "outcome.out", true)?,
        })
    }

    /// Numbers that are predicted for a frame.
    pub(super) fn outputs(&self) -> usize {
        self.out.outputs()
    }

    pub(super) fn state(&self, frames: usize) -> OutcomeState {
        let (width, hidden) = (self.up.inputs(), self.up.outputs());
        let of = |n: usize| Buffer::new(frames * n);
        OutcomeState {
            tokens: of(width),
            outcome: of(self.outputs()),
            gradient: of(self.outputs()),
            dtokens: of(width),
            before: of(hidden),
            active: of(hidden),
            dbefore: of(hidden),
            normed: of(width),
            dnormed: of(width),
        }
    }

    /// Computes `t.outcome` of `frames` frames from `t.tokens`.
    pub(super) fn forward(&self, w: &Weights, frames: usize, t: &mut OutcomeState) {
        let (width, hidden) = (self.up.inputs(), self.up.outputs());
        let normed = &mut t.normed[..frames * width];
        let before = &mut t.before[..frames * hidden];
        let active = &mut t.active[..frames * hidden];
        norm(&t.tokens[..frames * width], w.get(self.gain), normed);
        self.up.forward(w, normed, before);
        silu(before, active);
        let outcome = &mut t.outcome[..frames * self.outputs()];
        self.out.forward(w, active, outcome);
    }

    /// Computes `t.dtokens` from `t.gradient`, and adds the gradients of the parameters.
    pub(super) fn backward(
        &self,
        w: &Weights,
        frames: usize,
        gradient: &mut [f32],
        t: &mut OutcomeState,
    ) {
        let (width, hidden) = (self.up.inputs(), self.up.outputs());
        let (tokens, dtokens) = (
            &t.tokens[..frames * width],
            &mut t.dtokens[..frames * width],
        );
        let dbefore = &mut t.dbefore[..frames * hidden];
        let active = &mut t.active[..frames * hidden];
        let dy = &t.gradient[..frames * self.outputs()];
        self.out.input_gradient(w, dy, dbefore);
        silu_gradient(&t.before[..frames * hidden], active, dbefore);
        self.out.weight_gradient(dy, active, gradient);
        let normed = &mut t.normed[..frames * width];
        norm(tokens, w.get(self.gain), normed);
        self.up.weight_gradient(dbefore, normed, gradient);
        let dnormed = &mut t.dnormed[..frames * width];
        self.up.input_gradient(w, dbefore, dnormed);
        dtokens.fill(0.0);
        let (gain, dgain) = (w.get(self.gain), self.gain.of_mut(gradient));
        norm_gradient(tokens, gain, dnormed, dtokens, dgain);
    }
}
