//! The delta state of a layer: what earlier frames wrote is read, and a finished frame writes.

use driftless_model::export::{ExportedDelta, ExportedMatrix};
use driftless_model::memory::KEEP_OFFSET;
use driftless_model::simd::{axpy, dispatch, sigmoid};

use super::attention::TokenShape;
use super::attention_loops::normalize;
use super::grid::RmsNorm;
use super::matrix::PackedMatrix;
use super::row_layout::WriteMode;
use super::workers::Workers;

/// A matrix whose few outputs have a bias.
#[derive(Clone)]
struct Gates {
    matrix: PackedMatrix,
    bias: Vec<f32>,
    /// Logits of all tokens, [tokens, outputs].
    logits: Vec<f32>,
}

impl Gates {
    fn new(matrix: &ExportedMatrix, tokens: usize) -> Self {
        Self {
            bias: matrix.bias_or_zeros(),
            matrix: PackedMatrix::new(matrix),
            logits: vec![0.0; tokens * matrix.outputs],
        }
    }

    fn apply(&mut self, workers: &Workers, shape: TokenShape, normed: &[f32]) {
        for logits in self.logits.chunks_exact_mut(self.bias.len()) {
            logits.copy_from_slice(&self.bias);
        }
        let (rows, logits) = (shape.rows(), &mut self.logits);
        self.matrix
            .apply(workers, normed, rows, logits, WriteMode::Add);
    }
}

/// x + W (γ ⊙ S q̂), see [`DeltaLayer`](driftless_model::memory::DeltaLayer), with its state.
#[derive(Clone)]
pub(super) struct PackedDelta {
    shape: TokenShape,
    norm: RmsNorm,
    q: PackedMatrix,
    read_gate: Gates,
    kv: PackedMatrix,
    write_gates: Gates,
    out: PackedMatrix,
    /// [tokens, heads, keys, values].
    pub(super) state: Vec<f32>,
    normed: Vec<f32>,
    /// [tokens, width].
    queries: Vec<f32>,
    /// What they read, [tokens, width].
    read: Vec<f32>,
    /// Keys, and values or what these change, [tokens, 2 · width].
    written: Vec<f32>,
}

impl PackedDelta {
    pub(super) fn new(layer: &ExportedDelta, shape: TokenShape) -> Self {
        let len = shape.tokens * shape.width();
        Self {
            shape,
            norm: RmsNorm::new(&layer.norm),
            q: PackedMatrix::new(&layer.q),
            read_gate: Gates::new(&layer.read_gate, shape.tokens),
            kv: PackedMatrix::new(&layer.kv),
            write_gates: Gates::new(&layer.write_gates, shape.tokens),
            out: PackedMatrix::new(&layer.out),
            state: vec![0.0; len * shape.d],
            normed: vec![0.0; len],
            queries: vec![0.0; len],
            read: vec![0.0; len],
            written: vec![0.0; 2 * len],
        }
    }

    /// Adds what the tokens `x` [tokens, width] read to them, if they read; then the frame writes, if it is
    /// finished.
    pub(super) fn apply(&mut self, workers: &Workers, x: &mut [f32], reads: bool, writes: bool) {
        self.norm.apply_on(workers, x, &mut self.normed);
        if reads {
            self.read(workers);
        }
        if writes {
            self.write(workers);
        }
        if reads {
            let rows = self.shape.rows();
            self.out.apply(workers, &self.read, rows, x, WriteMode::Add);
        }
    }

    fn read(&mut self, workers: &Workers) {
        let (shape, w) = (self.shape, self.shape.width());
        let queries = &mut self.queries;
        self.q
            .apply(workers, &self.normed, shape.rows(), queries, WriteMode::Set);
        normalize(queries, shape.d, shape.d, shape.tokens * shape.heads, 1.0);
        self.read_gate.apply(workers, shape, &self.normed);
        let (state, gates) = (&self.state, &self.read_gate.logits);
        let least = workers.least().light / shape.d.max(1);
        workers.for_rows(&mut self.read, w, least, |first, read| {
            let skip = first * shape.heads;
            let (state, gates) = (&state[skip * shape.d * shape.d..], &gates[skip..]);
            read_states(shape.d, state, &queries[first * w..], gates, read);
        });
    }

    fn write(&mut self, workers: &Workers) {
        let (TokenShape { tokens, heads, d }, w) = (self.shape, self.shape.width());
        let rows = self.shape.rows();
        let written = &mut self.written;
        self.kv
            .apply(workers, &self.normed, rows, written, WriteMode::Set);
        for head in 0..heads {
            normalize(&mut written[head * d..], 2 * w, d, tokens, 1.0);
        }
        self.write_gates.apply(workers, self.shape, &self.normed);
        let (gates, least) = (&self.write_gates.logits, workers.least().light);
        let state = &self.state;
        workers.for_rows(written, 2 * w, least / d.max(1), |first, written| {
            let (state, gates) = (&state[first * w * d..], &gates[first * 2 * heads..]);
            find_changes(d, heads, state, gates, written);
        });
        let written = &self.written;
        workers.for_rows(&mut self.state, w * d, least, |first, state| {
            let (written, gates) = (&written[first * 2 * w..], &gates[first * 2 * heads..]);
            change_states(d, heads, written, gates, state);
        });
    }
}

dispatch!(fn read_states = read_states_body(d: usize, states: &[f32], queries: &[f32], gates: &[f32], read: &mut [f32]));
/// Writes γ S q̂ of consecutive heads, each of size `d`, into `read`.
#[inline(always)]
fn read_states_body<const FMA: bool>(
    d: usize,
    states: &[f32],
    queries: &[f32],
    gates: &[f32],
    read: &mut [f32],
) {
    let heads = read.chunks_exact_mut(d).zip(queries.chunks_exact(d));
    for (((read, query), state), gate) in heads.zip(states.chunks_exact(d * d)).zip(gates) {
        read.fill(0.0);
        let gate = sigmoid::<FMA>(*gate);
        for (query, row) in query.iter().zip(state.chunks_exact(d)) {
            axpy::<FMA>(gate * query, row, read);
        }
    }
}

dispatch!(fn find_changes = find_changes_body(d: usize, heads: usize, states: &[f32], gates: &[f32], written: &mut [f32]));
/// v ← β (v − α S k̂), of consecutive tokens: `written` holds their keys and values, `gates` the logits of α
/// and β.
#[inline(always)]
fn find_changes_body<const FMA: bool>(
    d: usize,
    heads: usize,
    states: &[f32],
    gates: &[f32],
    written: &mut [f32],
) {
    let w = heads * d;
    let tokens = states
        .chunks_exact(w * d)
        .zip(gates.chunks_exact(2 * heads));
    for (written, (states, gates)) in written.chunks_exact_mut(2 * w).zip(tokens) {
        let (keys, values) = written.split_at_mut(w);
        let (keys, values) = (keys.chunks_exact(d), values.chunks_exact_mut(d));
        let each = keys.zip(values).zip(states.chunks_exact(d * d));
        for (head, ((keys, values), state)) in each.enumerate() {
            let keep = sigmoid::<FMA>(gates[head] + KEEP_OFFSET);
            let replace = sigmoid::<FMA>(gates[heads + head]);
            for (key, row) in keys.iter().zip(state.chunks_exact(d)) {
                axpy::<FMA>(-keep * key, row, values);
            }
            for value in values {
                *value *= replace;
            }
        }
    }
}

dispatch!(fn change_states = change_states_body(d: usize, heads: usize, written: &[f32], gates: &[f32], states: &mut [f32]));
/// S ← α S + k̂ v, with the v of [`find_changes`].
#[inline(always)]
fn change_states_body<const FMA: bool>(
    d: usize,
    heads: usize,
    written: &[f32],
    gates: &[f32],
    states: &mut [f32],
) {
    let w = heads * d;
    let tokens = written
        .chunks_exact(2 * w)
        .zip(gates.chunks_exact(2 * heads));
    for (states, (written, gates)) in states.chunks_exact_mut(w * d).zip(tokens) {
        let (keys, changes) = written.split_at(w);
        let each = keys.chunks_exact(d).zip(changes.chunks_exact(d));
        for ((state, (keys, change)), gate) in states.chunks_exact_mut(d * d).zip(each).zip(gates) {
            let keep = sigmoid::<FMA>(gate + KEEP_OFFSET);
            for (key, row) in keys.iter().zip(state.chunks_exact_mut(d)) {
                for x in row.iter_mut() {
                    *x *= keep;
                }
                axpy::<FMA>(*key, change, row);
            }
        }
    }
}
