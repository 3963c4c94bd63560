//! Attention among the tokens of a picture.

use driftless_engine::kernels::{
    LANES, MatmulArgs, RowLayout, SharedSlice, Workers, WriteMode, gather, multiply,
    multiply_shared, pack_keys, pack_values, softmax,
};
use driftless_published::Shape;

use crate::rotary::Rotary;

/// Buffers of a network's layers.
pub(crate) struct Scratch {
    pub shape: Shape,
    /// [tokens, width] each.
    pub normed: Vec<f32>,
    pub attended: Vec<f32>,
    pub products: Vec<f32>,
    /// Queries, keys, values, [tokens, 3·width].
    pub qkv: Vec<f32>,
    /// [tokens, hidden].
    pub hidden: Vec<f32>,
    /// 0 for tokens, then −∞ up to whole panels.
    mask: Vec<f32>,
    threads: Vec<ThreadScratch>,
}

/// Buffers of one thread.
struct ThreadScratch {
    /// Keys or queries of a head, [tokens, d].
    rows: Vec<f32>,
    key_panels: Vec<f32>,
    value_panels: Vec<f32>,
    logits: Vec<f32>,
}

impl Scratch {
    /// For one thread, and layers with so many hidden units.
    pub(crate) fn new(shape: Shape, hidden: usize) -> Self {
        let Shape { tokens, .. } = shape;
        let len = tokens * shape.width();
        let mut mask = vec![0.0; tokens.next_multiple_of(LANES)];
        mask[tokens..].fill(f32::NEG_INFINITY);
        let mut scratch = Self {
            shape,
            normed: vec![0.0; len],
            attended: vec![0.0; len],
            products: vec![0.0; len],
            qkv: vec![0.0; 3 * len],
            hidden: vec![0.0; tokens * hidden],
            mask,
            threads: Vec::new(),
        };
        scratch.reserve(1);
        scratch
    }

    /// Makes room for so many threads.
    pub(crate) fn reserve(&mut self, threads: usize) {
        let Shape { tokens, d, .. } = self.shape;
        let padded = self.mask.len();
        while self.threads.len() < threads {
            self.threads.push(ThreadScratch {
                rows: vec![0.0; tokens * d],
                key_panels: vec![0.0; padded * d],
                value_panels: vec![0.0; d.next_multiple_of(LANES) * tokens],
                logits: vec![0.0; tokens * padded],
            });
        }
    }

    /// softmax(q kᵀ / √d) v of every head, from `qkv` into `attended`.
    pub(crate) fn attend(&mut self, workers: &Workers, rotary: &Rotary) {
        let (shape, qkv, mask) = (self.shape, &self.qkv, &self.mask);
        let y = SharedSlice::new(&mut self.attended);
        workers.run_with(&mut self.threads, shape.heads, |own, head| {
            attend_head(shape, head, qkv, mask, rotary, own, &y);
        });
    }
}

/// Writes the output of a head into its part of the rows of `y`.
fn attend_head(
    shape: Shape,
    head: usize,
    qkv: &[f32],
    mask: &[f32],
    rotary: &Rotary,
    t: &mut ThreadScratch,
    y: &SharedSlice<f32>,
) {
    let (Shape { tokens, d, .. }, w) = (shape, shape.width());
    gather(&qkv[w + head * d..], 3 * w, d, &mut t.rows);
    for (token, key) in t.rows.chunks_exact_mut(d).enumerate() {
        rotary.rotate(token, key);
    }
    pack_keys(&t.rows, d, d, &mut t.key_panels);
    pack_values(
        &qkv[2 * w + head * d..],
        3 * w,
        d,
        tokens,
        &mut t.value_panels,
    );
    gather(&qkv[head * d..], 3 * w, d, &mut t.rows);
    let scale = 1.0 / (d as f32).sqrt();
    for (token, query) in t.rows.chunks_exact_mut(d).enumerate() {
        rotary.rotate(token, query);
        query.iter_mut().for_each(|x| *x *= scale);
    }
    let stride = mask.len();
    let logits = MatmulArgs {
        x: &t.rows,
        rows: RowLayout::contiguous(tokens, d),
        panels: &t.key_panels,
        inputs: d,
        outputs: stride,
        stride,
        mode: WriteMode::Set,
    };
    multiply(&logits, &mut t.logits);
    softmax(mask, &mut t.logits);
    let output = MatmulArgs {
        x: &t.logits,
        rows: RowLayout::contiguous(tokens, stride),
        panels: &t.value_panels,
        inputs: tokens,
        outputs: d,
        stride: w,
        mode: WriteMode::Set,
    };
    multiply_shared(&output, &y.tail(head * d));
}
