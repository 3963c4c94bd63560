//! Recalled frames as tokens, as in `driftless_model::memory`: y = W [cells, features] + position,
//! followed by a SwiGLU layer.

use super::buffer::Buffer;
use super::linear::Linear;
use super::mlp::{MlpLayer, MlpScratch};
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{add_row, sum_rows};
use super::sequence_buffers::{Sizes, pieces};
use super::softmax::HIDDEN;
use crate::Result;
use driftless_model::memory::token_inputs;

/// The parameters of the encoder.
pub(super) struct MemoryEncoder {
    input: Linear,
    position: Slot,
    mlp: MlpLayer,
}

/// The tokens of the frames that a sequence recalls, K for each of its T frames.
pub(super) struct MemoryState {
    /// Whether the sequence recalls anything.
    pub in_use: bool,
    /// Cells and features, [T, K, inputs].
    input: Buffer,
    before: Buffer,
    up: Buffer,
    /// [T, K, w].
    pub tokens: Buffer,
    pub dtokens: Buffer,
    /// The bias of the logits of each token, [T, padded]: 0, or hidden.
    pub bias: Buffer,
}

impl MemoryState {
    pub(super) fn new(s: &Sizes, frames: usize) -> Self {
        let rows = frames * s.memory_tokens();
        let wide = |n: usize| Buffer::new(rows * n);
        Self {
            in_use: false,
            input: wide(s.memory_inputs()),
            before: wide(s.width),
            up: wide(2 * s.hidden),
            tokens: wide(s.width),
            dtokens: wide(s.width),
            bias: Buffer::new(frames * s.memory_columns()),
        }
    }

    /// Sets what frame `time` recalls: latents [M, gh, gw, c], features [M, features], and 1 for each
    /// place that is filled.
    pub(super) fn load(
        &mut self,
        s: &Sizes,
        time: usize,
        latents: &[f32],
        features: &[f32],
        filled: &[f32],
    ) {
        let len = s.memory_tokens() * s.memory_inputs();
        let input = &mut self.input[time * len..(time + 1) * len];
        let grid = [s.grid.height, s.grid.width];
        token_inputs(latents, features, grid, s.merge, input);
        let columns = s.memory_columns();
        let bias = &mut self.bias[time * columns..(time + 1) * columns];
        bias.fill(HIDDEN);
        for (bias, filled) in bias.chunks_mut(s.latent_tokens).zip(filled) {
            if *filled > 0.0 {
                bias.fill(0.0);
            }
        }
    }
}

impl MemoryEncoder {
    pub(super) fn new(layout: &mut Layout) -> Result<Self> {
        Ok(Self {
            input: Linear::new(layout, "memory.input", false)?,
            position: layout.slot("memory.position")?,
            mlp: MlpLayer::new(layout, "memory.mlp")?,
        })
    }

    /// Computes the tokens of `frames` frames.
    pub(super) fn forward(
        &self,
        w: &Weights,
        s: &Sizes,
        frames: usize,
        t: &mut MemoryState,
        scratch: &mut MlpScratch,
    ) {
        let rows = frames * s.memory_tokens();
        let before = &mut t.before[..rows * s.width];
        let input = &t.input[..rows * s.memory_inputs()];
        self.input.forward(w, input, before);
        add_row(w.get(self.position), before);
        for b in pieces(0..rows, s.rows()) {
            let wide = |n: usize| b.start * n..b.end * n;
            let up = &mut t.up[wide(2 * s.hidden)];
            let (x, y) = (&t.before[wide(s.width)], &mut t.tokens[wide(s.width)]);
            self.mlp.forward(w, x, up, y, scratch);
        }
    }

    /// Adds the gradients of the parameters, given `t.dtokens`, which is overwritten.
    pub(super) fn backward(
        &self,
        w: &Weights,
        s: &Sizes,
        frames: usize,
        gradient: &mut [f32],
        t: &mut MemoryState,
        scratch: &mut MlpScratch,
    ) {
        let rows = frames * s.memory_tokens();
        for b in pieces(0..rows, s.rows()) {
            let wide = |n: usize| b.start * n..b.end * n;
            let (x, up) = (&t.before[wide(s.width)], &t.up[wide(2 * s.hidden)]);
            let dx = &mut t.dtokens[wide(s.width)];
            self.mlp.backward(w, x, up, dx, gradient, scratch);
        }
        let dx = &t.dtokens[..rows * s.width];
        sum_rows(dx, self.position.of_mut(gradient));
        let input = &t.input[..rows * s.memory_inputs()];
        self.input.weight_gradient(dx, input, gradient);
    }
}
