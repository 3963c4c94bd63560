//! The layer x + W (γ ⊙ S q̂) with a state S that the clean frames write by the gated delta rule; see
//! `driftless_model::memory::DeltaLayer`.
//!
//! Per token and head, frame t reads the state that the clean frames before t left. The states are not
//! saved: a scan makes them again in the backward pass, because a sequence has too many of them.

use std::ops::Range;

use super::attention::AttentionScratch;
use super::attention_temporal::FrameCounts;
use super::buffer::Buffer;
use super::delta_scan::{Scan, ScanGradients, ScanInputs};
use super::linear::Linear;
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{add, norm, norm_gradient, normalize, normalize_gradient};
use super::simd::vectorized;
use super::sizes::Sizes;
use crate::Result;
use driftless_model::memory::KEEP_OFFSET;
use driftless_model::simd::sigmoid;

/// The parameters of a layer.
pub(super) struct DeltaLayer {
    gain: Slot,
    q: Linear,
    read_gate: Linear,
    kv: Linear,
    write_gates: Linear,
    out: Linear,
}

/// What a layer saves of a sequence for its backward pass.
#[derive(Default)]
pub(super) struct SavedDelta {
    /// Normalized queries [F, S, w], and 1/‖q‖ [F, S, heads].
    q: Buffer,
    q_scales: Buffer,
    /// γ, [F, S, heads].
    read_gates: Buffer,
    /// Normalized keys, and values, of the clean frames [T, S, 2·w], and 1/‖k‖ [T, S, heads].
    kv: Buffer,
    k_scales: Buffer,
    /// α, then β, of the clean frames, [T, S, 2·heads].
    write_gates: Buffer,
    /// S q̂, and the input of W, [F, S, w].
    read: Buffer,
    mixed: Buffer,
}

impl SavedDelta {
    pub(super) fn new(s: &Sizes, all: FrameCounts) -> Self {
        let (rows, clean) = (all.count * s.tokens, all.length * s.tokens);
        Self {
            q: Buffer::new(rows * s.width),
            q_scales: Buffer::new(rows * s.heads),
            read_gates: Buffer::new(rows * s.heads),
            kv: Buffer::new(clean * 2 * s.width),
            k_scales: Buffer::new(clean * s.heads),
            write_gates: Buffer::new(clean * 2 * s.heads),
            read: Buffer::new(rows * s.width),
            mixed: Buffer::new(rows * s.width),
        }
    }
}

/// Buffers for the states of one head, and for gradients of a sequence.
pub(super) struct DeltaScratch {
    pub scan: Scan,
    /// Gradients of the logits of the gates.
    read_gates: Buffer,
    write_gates: Buffer,
}

impl DeltaScratch {
    pub(super) fn new(s: &Sizes, all: FrameCounts) -> Self {
        Self {
            scan: Scan::new(s.width / s.heads, all.length),
            read_gates: Buffer::new(all.count * s.tokens * s.heads),
            write_gates: Buffer::new(all.length * s.tokens * 2 * s.heads),
        }
    }
}

impl DeltaLayer {
    pub(super) fn new(layout: &mut Layout, name: &str) -> Result<Self> {
        let mut linear = |part: &str, bias| Linear::new(layout, &format!("{name}.{part}"), bias);
        Ok(Self {
            q: linear("q", false)?,
            read_gate: linear("read_gate", true)?,
            kv: linear("kv", false)?,
            write_gates: linear("write_gates", true)?,
            out: linear("out", false)?,
            gain: layout.slot(&format!("{name}.norm.weight"))?,
        })
    }

    /// Computes the frames `frames` of y from x: whole copies. The clean frames must be among them or have
    /// been computed before.
    pub(super) fn forward(
        &self,
        (w, s): (&Weights, &Sizes),
        (frames, all): (Range<usize>, FrameCounts),
        (x, y): (&[f32], &mut [f32]),
        saved: &mut SavedDelta,
        (t, scratch): (&mut AttentionScratch, &mut DeltaScratch),
    ) {
        for b in s.blocks(frames.clone()) {
            self.project((w, s), (b, all), x, saved, t);
        }
        let inputs = ScanInputs::new(s, all.length, &saved.q, &saved.kv, &saved.write_gates);
        let read = &mut saved.read;
        scratch.scan.forward(&inputs, frames.clone(), read);
        let rows = frames.start * s.tokens..frames.end * s.tokens;
        let wide = |n: usize| rows.start * n..rows.end * n;
        let mixed = &mut saved.mixed[wide(s.width)];
        let gates = &saved.read_gates[wide(s.heads)];
        gate(s.width / s.heads, &read[wide(s.width)], gates, mixed);
        for b in s.blocks(frames) {
            let rows = b.start * s.tokens * s.width..b.end * s.tokens * s.width;
            let y = &mut y[rows.clone()];
            y.copy_from_slice(&x[rows.clone()]);
            self.out.forward_add(w, &saved.mixed[rows], y);
        }
    }

    /// Computes what a block of frames asks and, of clean frames, writes.
    fn project(
        &self,
        (w, s): (&Weights, &Sizes),
        (frames, all): (Range<usize>, FrameCounts),
        x: &[f32],
        saved: &mut SavedDelta,
        t: &mut AttentionScratch,
    ) {
        let d = s.width / s.heads;
        let rows = frames.start * s.tokens..frames.end * s.tokens;
        let wide = |n: usize| rows.start * n..rows.end * n;
        let x = &x[wide(s.width)];
        let normed = &mut t.normed[..x.len()];
        norm(x, w.get(self.gain), normed);
        let q = &mut saved.q[wide(s.width)];
        self.q.forward(w, normed, q);
        normalize(d, s.heads, s.width, q, &mut saved.q_scales[wide(s.heads)]);
        let gates = &mut saved.read_gates[wide(s.heads)];
        self.read_gate.forward(w, normed, gates);
        sigmoids(0.0, gates);
        let Some(rows) = clean_rows(s, &frames, all) else {
            return;
        };
        let wide = |n: usize| rows.start * n..rows.end * n;
        let normed = &normed[..rows.len() * s.width];
        let kv = &mut saved.kv[wide(2 * s.width)];
        self.kv.forward(w, normed, kv);
        let scales = &mut saved.k_scales[wide(s.heads)];
        normalize(d, s.heads, 2 * s.width, kv, scales);
        let gates = &mut saved.write_gates[wide(2 * s.heads)];
        self.write_gates.forward(w, normed, gates);
        for gates in gates.chunks_exact_mut(2 * s.heads) {
            let (keep, replace) = gates.split_at_mut(s.heads);
            sigmoids(KEEP_OFFSET, keep);
            sigmoids(0.0, replace);
        }
    }

    /// Adds the gradient of x, given that of y in `dx`, for all frames of the sequence. `dread` and `dqkv`
    /// are overwritten.
    pub(super) fn backward(
        &self,
        (w, s, all): (&Weights, &Sizes, FrameCounts),
        (x, saved): (&[f32], &SavedDelta),
        (dx, gradient): (&mut [f32], &mut [f32]),
        (dread, dqkv): (&mut [f32], &mut [f32]),
        (t, scratch): (&mut AttentionScratch, &mut DeltaScratch),
    ) {
        let d = s.width / s.heads;
        for b in s.blocks(0..all.count) {
            let rows = b.start * s.tokens..b.end * s.tokens;
            let wide = |n: usize| rows.start * n..rows.end * n;
            let (dy, mixed) = (&dx[wide(s.width)], &saved.mixed[wide(s.width)]);
            let dread = &mut dread[wide(s.width)];
            self.out.input_gradient(w, dy, dread);
            self.out.weight_gradient(dy, mixed, gradient);
            let gates = &saved.read_gates[wide(s.heads)];
            let dgates = &mut scratch.read_gates[wide(s.heads)];
            gate_gradient(d, &saved.read[wide(s.width)], gates, dread, dgates);
        }
        let (dq, dkv) = dqkv.split_at_mut(all.count * s.tokens * s.width);
        let inputs = ScanInputs::new(s, all.length, &saved.q, &saved.kv, &saved.write_gates);
        let gradients = ScanGradients {
            read: dread,
            q: dq,
            kv: dkv,
            gates: &mut scratch.write_gates,
        };
        scratch.scan.backward(&inputs, 0..all.count, gradients);
        for b in s.blocks(0..all.count) {
            let rows = b.start * s.tokens..b.end * s.tokens;
            let wide = |n: usize| rows.start * n..rows.end * n;
            let (x, dx) = (&x[wide(s.width)], &mut dx[wide(s.width)]);
            let (normed, dnormed) = (&mut t.normed[..x.len()], &mut t.gradient[..x.len()]);
            norm(x, w.get(self.gain), normed);
            let dq = &mut dq[wide(s.width)];
            let (q, scales) = (&saved.q[wide(s.width)], &saved.q_scales[wide(s.heads)]);
            normalize_gradient(d, s.heads, s.width, q, scales, dq);
            self.q.weight_gradient(dq, normed, gradient);
            self.q.input_gradient(w, dq, dnormed);
            let part = &mut t.dqkv[..x.len()];
            let dgates = &scratch.read_gates[wide(s.heads)];
            self.read_gate.weight_gradient(dgates, normed, gradient);
            self.read_gate.input_gradient(w, dgates, part);
            add(part, dnormed);
            if let Some(rows) = clean_rows(s, &b, all) {
                let wide = |n: usize| rows.start * n..rows.end * n;
                let len = rows.len() * s.width;
                let (normed, part) = (&normed[..len], &mut part[..len]);
                let dkv = &mut dkv[wide(2 * s.width)];
                let (kv, scales) = (&saved.kv[wide(2 * s.width)], &saved.k_scales[wide(s.heads)]);
                normalize_gradient(d, s.heads, 2 * s.width, kv, scales, dkv);
                self.kv.weight_gradient(dkv, normed, gradient);
                self.kv.input_gradient(w, dkv, part);
                add(part, &mut dnormed[..len]);
                let dgates = &mut scratch.write_gates[wide(2 * s.heads)];
                sigmoid_gradients(&saved.write_gates[wide(2 * s.heads)], dgates);
                self.write_gates.weight_gradient(dgates, normed, gradient);
                self.write_gates.input_gradient(w, dgates, part);
                add(part, &mut dnormed[..len]);
            }
            let (gain, dgain) = (w.get(self.gain), self.gain.of_mut(gradient));
            norm_gradient(x, gain, dnormed, dx, dgain);
        }
    }
}

/// The rows of the clean frames of a block; `None` if it has none.
fn clean_rows(s: &Sizes, frames: &Range<usize>, all: FrameCounts) -> Option<Range<usize>> {
    let end = frames.end.min(all.length);
    (frames.start < end).then(|| frames.start * s.tokens..end * s.tokens)
}

vectorized!(
    /// x ← sigmoid(x + offset).
    fn sigmoids = sigmoids_body(offset: f32, x: &mut [f32])
);
#[inline(always)]
fn sigmoids_body<const FMA: bool>(offset: f32, x: &mut [f32]) {
    for x in x {
        *x = sigmoid::<FMA>(*x + offset);
    }
}

/// Replaces the gradient of y = sigmoid(x) by that of x.
fn sigmoid_gradients(y: &[f32], dx: &mut [f32]) {
    for (dx, y) in dx.iter_mut().zip(y) {
        *dx *= y * (1.0 - y);
    }
}

vectorized!(
    /// Multiplies each head, `d` numbers of x, by its gate.
    fn gate = gate_body(d: usize, x: &[f32], gates: &[f32], y: &mut [f32])
);
#[inline(always)]
fn gate_body<const FMA: bool>(d: usize, x: &[f32], gates: &[f32], y: &mut [f32]) {
    let heads = x.chunks_exact(d).zip(y.chunks_exact_mut(d));
    for ((x, y), gate) in heads.zip(gates) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = gate * x;
        }
    }
}

vectorized!(
    /// Replaces the gradient `dx` of [`gate`]'s output by that of x; computes that of the gates' logits.
    fn gate_gradient = gate_gradient_body(d: usize, x: &[f32], gates: &[f32], dx: &mut [f32], dlogits: &mut [f32])
);
#[inline(always)]
fn gate_gradient_body<const FMA: bool>(
    d: usize,
    x: &[f32],
    gates: &[f32],
    dx: &mut [f32],
    dlogits: &mut [f32],
) {
    let heads = x.chunks_exact(d).zip(dx.chunks_exact_mut(d));
    for ((x, dx), (gate, dlogit)) in heads.zip(gates.iter().zip(dlogits)) {
        let along = super::row_ops::dot::<FMA>(x, dx);
        *dlogit = along * gate * (1.0 - gate);
        for dx in dx {
            *dx *= gate;
        }
    }
}
