//! The layer y = x + W attention(norm x, memory), in which the tokens of a frame read those of the
//! frames that it recalls; see `driftless_model::memory::RecallLayer`.

use std::ops::Range;

use super::attention::{AttentionScratch, StridedProduct, transpose};
use super::attention_heads::scale_rows;
use super::buffer::Buffer;
use super::linear::Linear;
use super::memory::MemoryState;
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{dot_rows, norm, norm_gradient, normalize, normalize_gradient};
use super::sizes::{Sizes, pieces};
use super::softmax::{softmax_with_self, softmax_with_self_gradient};
use crate::Result;

/// The parameters of a layer.
pub(super) struct RecallLayer {
    gain: Slot,
    q: Linear,
    memory_gain: Slot,
    kv: Linear,
    /// [heads, 2]: the scale, and the logit of reading nothing.
    parameters: Slot,
    out: Linear,
}

/// What a layer saves of a sequence for its backward pass.
#[derive(Default)]
pub(super) struct SavedRecall {
    /// Normalized queries [F, S, w], and 1/‖q‖ [F, S, heads].
    q: Buffer,
    q_scales: Buffer,
    /// Normalized keys, and values, [T, K, 2·w], and 1/‖k‖ [T, K, heads].
    kv: Buffer,
    k_scales: Buffer,
    /// Weights of the softmax [F, heads, S, padded], and of reading nothing [F, heads, S].
    weights: Buffer,
    nothing: Buffer,
    /// The input of W, [F, S, w].
    mixed: Buffer,
}

impl SavedRecall {
    /// For `all` frames, of `length` time steps.
    pub(super) fn new(s: &Sizes, all: usize, length: usize) -> Self {
        let (rows, keys) = (all * s.tokens, length * s.memory_tokens());
        Self {
            q: Buffer::new(rows * s.width),
            q_scales: Buffer::new(rows * s.heads),
            kv: Buffer::new(keys * 2 * s.width),
            k_scales: Buffer::new(keys * s.heads),
            weights: Buffer::new(rows * s.heads * s.memory_columns()),
            nothing: Buffer::new(rows * s.heads),
            mixed: Buffer::new(rows * s.width),
        }
    }
}

/// What the passes over a sequence share.
#[derive(Clone, Copy)]
pub(super) struct RecallPass<'a> {
    pub weights: &'a Weights,
    pub sizes: &'a Sizes,
    /// Time steps of the sequence.
    pub length: usize,
}

/// Where things of a frame and a head are.
struct Offsets {
    /// Of the queries, and of the keys.
    q: usize,
    k: usize,
    /// Of the rows of weights.
    row: usize,
}

impl RecallPass<'_> {
    fn offsets(self, frame: usize, head: usize) -> Offsets {
        let (s, length) = (self.sizes, self.length);
        let d = s.width / s.heads;
        Offsets {
            q: frame * s.tokens * s.width + head * d,
            k: frame % length * s.memory_tokens() * 2 * s.width + head * d,
            row: (frame * s.heads + head) * s.tokens,
        }
    }
}

impl RecallLayer {
    pub(super) fn new(layout: &mut Layout, name: &str) -> Result<Self> {
        Ok(Self {
            gain: layout.slot(&format!("{name}.norm.weight"))?,
            q: Linear::new(layout, &format!("{name}.q"), false)?,
            memory_gain: layout.slot(&format!("{name}.memory_norm.weight"))?,
            kv: Linear::new(layout, &format!("{name}.kv"), false)?,
            parameters: layout.slot(&format!("{name}.attention"))?,
            out: Linear::new(layout, &format!("{name}.out"), false)?,
        })
    }

    /// Computes the keys and values of the frames that the sequence recalls.
    pub(super) fn read_memory(
        &self,
        p: RecallPass,
        memory: &MemoryState,
        saved: &mut SavedRecall,
        t: &mut AttentionScratch,
    ) {
        let (w, s) = (p.weights, p.sizes);
        for b in pieces(0..p.length * s.memory_tokens(), s.rows()) {
            let wide = |n: usize| b.start * n..b.end * n;
            let x = &memory.tokens[wide(s.width)];
            let normed = &mut t.normed[..x.len()];
            norm(x, w.get(self.memory_gain), normed);
            let kv = &mut saved.kv[wide(2 * s.width)];
            self.kv.forward(w, normed, kv);
            let scales = &mut saved.k_scales[wide(s.heads)];
            normalize(s.width / s.heads, s.heads, 2 * s.width, kv, scales);
        }
    }

    /// Computes the frames `frames` of y from x.
    pub(super) fn forward(
        &self,
        p: RecallPass,
        frames: Range<usize>,
        (x, y): (&[f32], &mut [f32]),
        memory: &MemoryState,
        saved: &mut SavedRecall,
        t: &mut AttentionScratch,
    ) {
        let (w, s, length) = (p.weights, p.sizes, p.length);
        let rows = frames.start * s.tokens..frames.end * s.tokens;
        let wide = |n: usize| rows.start * n..rows.end * n;
        let (x, y) = (&x[wide(s.width)], &mut y[wide(s.width)]);
        y.copy_from_slice(x);
        if !memory.in_use {
            return;
        }
        let (d, n, keys) = (s.width / s.heads, s.memory_columns(), s.memory_tokens());
        let normed = &mut t.normed[..x.len()];
        norm(x, w.get(self.gain), normed);
        let q = &mut saved.q[wide(s.width)];
        self.q.forward(w, normed, q);
        normalize(d, s.heads, s.width, q, &mut saved.q_scales[wide(s.heads)]);
        let parameters = w.get(self.parameters);
        for frame in frames {
            let time = frame % length;
            let bias = &memory.bias[time * n..(time + 1) * n];
            for head in 0..s.heads {
                let at = p.offsets(frame, head);
                let columns = &mut t.columns[..d * n];
                transpose(keys, d, &saved.kv[at.k..], 2 * s.width, n, columns);
                let weights = &mut saved.weights[at.row * n..(at.row + s.tokens) * n];
                let logits = StridedProduct::new([s.tokens, n], d, [s.width, 1], n, n);
                logits.run(&saved.q[at.q..], columns, weights);
                let nothing = &mut saved.nothing[at.row..at.row + s.tokens];
                let (scale, logit) = (parameters[2 * head], parameters[2 * head + 1]);
                for (weights, nothing) in weights.chunks_exact_mut(n).zip(nothing) {
                    *nothing = 0.0;
                    softmax_with_self(scale, bias, logit, weights, nothing);
                }
                let values = &saved.kv[at.k + s.width..];
                let mix = StridedProduct::new([s.tokens, d], keys, [n, 1], 2 * s.width, s.width);
                mix.run(weights, values, &mut saved.mixed[at.q..]);
            }
        }
        self.out.forward_add(w, &saved.mixed[wide(s.width)], y);
    }

    /// For the frames `frames`, replaces the gradient of y in `dx` by that of x. Adds the gradient of the
    /// memory's tokens; `dkv` is overwritten.
    pub(super) fn backward(
        &self,
        p: RecallPass,
        frames: Range<usize>,
        (x, saved): (&[f32], &SavedRecall),
        (dx, gradient): (&mut [f32], &mut [f32]),
        memory: &mut MemoryState,
        (t, dkv): (&mut AttentionScratch, &mut Buffer),
    ) {
        let (w, s) = (p.weights, p.sizes);
        if !memory.in_use {
            return;
        }
        let rows = p.length * s.memory_tokens();
        dkv[..rows * 2 * s.width].fill(0.0);
        for b in s.blocks(frames) {
            self.queries_backward(p, b, (x, saved), (&mut *dx, &mut *gradient), (t, dkv));
        }
        let d = s.width / s.heads;
        for b in pieces(0..rows, s.rows()) {
            let wide = |n: usize| b.start * n..b.end * n;
            let (kv, scales) = (&saved.kv[wide(2 * s.width)], &saved.k_scales[wide(s.heads)]);
            let dkv = &mut dkv[wide(2 * s.width)];
            normalize_gradient(d, s.heads, 2 * s.width, kv, scales, dkv);
            let x = &memory.tokens[wide(s.width)];
            let (normed, dnormed) = (&mut t.normed[..x.len()], &mut t.gradient[..x.len()]);
            norm(x, w.get(self.memory_gain), normed);
            self.kv.weight_gradient(dkv, normed, gradient);
            self.kv.input_gradient(w, dkv, dnormed);
            let (gain, dgain) = (w.get(self.memory_gain), self.memory_gain.of_mut(gradient));
            norm_gradient(x, gain, dnormed, &mut memory.dtokens[wide(s.width)], dgain);
        }
    }

    /// The part of [`Self::backward`] up to the gradients of keys and values, for a block of frames.
    fn queries_backward(
        &self,
        p: RecallPass,
        frames: Range<usize>,
        (x, saved): (&[f32], &SavedRecall),
        (dx, gradient): (&mut [f32], &mut [f32]),
        (t, dkv): (&mut AttentionScratch, &mut Buffer),
    ) {
        let (w, s) = (p.weights, p.sizes);
        let rows = frames.start * s.tokens..frames.end * s.tokens;
        let wide = |n: usize| rows.start * n..rows.end * n;
        let (x, dx) = (&x[wide(s.width)], &mut dx[wide(s.width)]);
        let (d, n, keys) = (s.width / s.heads, s.memory_columns(), s.memory_tokens());
        let (width, pair) = (s.width, 2 * s.width);
        let dmixed = &mut t.gradient[..x.len()];
        self.out.input_gradient(w, dx, dmixed);
        self.out
            .weight_gradient(dx, &saved.mixed[wide(width)], gradient);
        let dq = &mut t.dqkv[..x.len()];
        let small = StridedProduct::new;
        for frame in frames.clone() {
            for head in 0..s.heads {
                let at = p.offsets(frame, head);
                let first = (frame - frames.start) * s.tokens * width + head * d;
                let dy = &dmixed[first..];
                let columns = &mut t.columns[..d * n];
                transpose(keys, d, &saved.kv[at.k + width..], pair, n, columns);
                let dlogits = &mut t.dlogits[..s.tokens * n];
                small([s.tokens, n], d, [width, 1], n, n).run(dy, columns, dlogits);
                let weights = &saved.weights[at.row * n..(at.row + s.tokens) * n];
                let nothing = &saved.nothing[at.row..at.row + s.tokens];
                let mut dnothing = 0.0;
                let each = weights.chunks_exact(n).zip(dlogits.chunks_exact_mut(n));
                for ((weights, dlogits), nothing) in each.zip(nothing) {
                    let mut down = 0.0;
                    softmax_with_self_gradient(weights, *nothing, dlogits, &mut down);
                    dnothing += down;
                }
                let dvalues = small([keys, d], s.tokens, [1, n], width, pair);
                let values = &mut dkv[at.k + width..];
                dvalues.adding().run(weights, dy, values);
                let queries = small([s.tokens, d], keys, [n, 1], pair, width);
                queries.run(dlogits, &saved.kv[at.k..], &mut dq[first..]);
                let parameters = &mut self.parameters.of_mut(gradient)[2 * head..2 * head + 2];
                let q = &saved.q[at.q..];
                // Σ dS cos = Σ q̂·(dS k̂).
                parameters[0] += dot_rows(s.tokens, d, q, width, &dq[first..], width);
                parameters[1] += dnothing;
                let scale = w.get(self.parameters)[2 * head];
                scale_rows(s.tokens, d, scale, &mut dq[first..], width);
                scale_rows(s.tokens, n, scale, dlogits, n);
                let dkeys = small([keys, d], s.tokens, [1, n], width, pair);
                dkeys.adding().run(dlogits, q, &mut dkv[at.k..]);
            }
        }
        let (q, scales) = (&saved.q[wide(width)], &saved.q_scales[wide(s.heads)]);
        normalize_gradient(d, s.heads, width, q, scales, dq);
        let (normed, dnormed) = (&mut t.normed[..x.len()], &mut t.gradient[..x.len()]);
        norm(x, w.get(self.gain), normed);
        self.q.weight_gradient(dq, normed, gradient);
        self.q.input_gradient(w, dq, dnormed);
        norm_gradient(x, w.get(self.gain), dnormed, dx, self.gain.of_mut(gradient));
    }
}
