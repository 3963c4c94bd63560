//! Temporal attention over the KV cache, without allocation.

use driftless_model::export::ExportedAttention;
use driftless_model::simd::{axpy, dispatch, dot};

use super::attention::{AttentionScratch, ThreadScratch, TokenShape};
use super::attention_loops::{WEIGHT_LANES, exp_and_normalizer, normalize};
use super::grid::RmsNorm;
use super::matrix::PackedMatrix;
use super::row_layout::WriteMode;
use super::shared_slice::SharedSlice;
use super::workers::Workers;

/// Keys and values of a layer's earlier frames, each [slots, tokens, width]. Keys are normalized.
#[derive(Clone)]
pub(super) struct KvCache {
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

impl KvCache {
    pub(super) fn new(shape: TokenShape, slots: usize) -> Self {
        let len = slots * shape.tokens * shape.width();
        Self {
            keys: vec![0.0; len],
            values: vec![0.0; len],
        }
    }
}

/// Temporal attention: x + W attention(norm x) over each token in earlier frames and in this one.
#[derive(Clone)]
pub(super) struct TemporalAttention {
    shape: TokenShape,
    norm: RmsNorm,
    query: PackedMatrix,
    key_value: PackedMatrix,
    scale: Vec<f32>,
    /// [heads, context], by distance in frames.
    bias: Vec<f32>,
    out: PackedMatrix,
}

impl TemporalAttention {
    pub(super) fn new(layer: &ExportedAttention, shape: TokenShape) -> Self {
        let w = shape.width();
        let rows = |first: usize, count: usize| {
            PackedMatrix::pack(count, w, |o, i| layer.qkv.at(first + o, i))
        };
        Self {
            shape,
            norm: RmsNorm::new(&layer.norm),
            query: rows(0, w),
            key_value: rows(w, 2 * w),
            scale: layer.scales(),
            bias: layer.biases(),
            out: PackedMatrix::new(&layer.out),
        }
    }

    /// Computes the frame's normalized keys and its values, into `t`.
    pub(super) fn keys_and_values(&self, workers: &Workers, x: &[f32], t: &mut AttentionScratch) {
        let (shape, w) = (self.shape, self.shape.width());
        self.norm.apply_on(workers, x, &mut t.normed);
        let (normed, qkv) = (&t.normed, &mut t.qkv[w..]);
        self.key_value
            .apply_strided(workers, normed, shape.rows(), qkv, 3 * w, WriteMode::Set);
        workers.for_rows(&mut t.qkv, 3 * w, workers.least().light, |_, rows| {
            let count = rows.len() / (3 * w);
            for head in 0..shape.heads {
                let keys = &mut rows[w + head * shape.d..];
                normalize(keys, 3 * w, shape.d, count, 1.0);
            }
        });
    }

    /// Updates `x` [tokens, width] in place, after [`Self::keys_and_values`]. `slots[n]` holds the frame at
    /// distance n + 1.
    pub(super) fn apply(
        &self,
        workers: &Workers,
        x: &mut [f32],
        kv_cache: &KvCache,
        slots: &[usize],
        t: &mut AttentionScratch,
    ) {
        let (shape, w) = (self.shape, self.shape.width());
        let (normed, rows) = (&t.normed, shape.rows());
        self.query
            .apply_strided(workers, normed, rows, &mut t.qkv, 3 * w, WriteMode::Set);
        self.attend(workers, CachedFrames { kv_cache, slots }, t);
        self.out.apply(workers, &t.y, rows, x, WriteMode::Add);
    }

    /// Normalizes the queries in `t.qkv`, and writes the attention output of all tokens into `t.y`
    /// [tokens, width].
    fn attend(&self, workers: &Workers, cached: CachedFrames, t: &mut AttentionScratch) {
        if let Some(recorded) = &mut t.recorded {
            // Recorded weights are in the order of the tokens.
            let (own, recorded) = (&mut t.threads[0], Some(&mut recorded.time));
            self.attend_tokens(cached, 0, &mut t.qkv, own, &mut t.y, recorded);
            return;
        }
        let (tokens, w) = (self.shape.tokens, self.shape.width());
        let elements = w * (cached.slots.len() + 1);
        let tasks = workers.tasks(tokens, elements, workers.least().light);
        let (qkv, y) = (SharedSlice::new(&mut t.qkv), SharedSlice::new(&mut t.y));
        workers.run_with(&mut t.threads, tasks, |own, index| {
            let first = tokens * index / tasks;
            let count = tokens * (index + 1) / tasks - first;
            // SAFETY: each task has its own tokens.
            #[expect(unsafe_code, reason = "a block of rows for each task")]
            let (qkv, y) = unsafe {
                let qkv = qkv.slice_mut(first * 3 * w, count * 3 * w);
                (qkv, y.slice_mut(first * w, count * w))
            };
            self.attend_tokens(cached, first, qkv, own, y, None);
        });
    }

    /// As [`Self::attend`], for the tokens from `first` on whose rows are `qkv` and `y`.
    fn attend_tokens(
        &self,
        cached: CachedFrames,
        first: usize,
        qkv: &mut [f32],
        t: &mut ThreadScratch,
        y: &mut [f32],
        recorded: Option<&mut Vec<f32>>,
    ) {
        let (shape, w) = (self.shape, self.shape.width());
        for (head, scale) in self.scale.iter().enumerate() {
            let queries = &mut qkv[head * shape.d..];
            normalize(queries, 3 * w, shape.d, y.len() / w, *scale);
        }
        let weights = &mut t.logits;
        temporal_mix(shape, &self.bias, cached, first, qkv, weights, y, recorded);
    }

    /// Copies the frame's keys and values into a slot.
    pub(super) fn write_cache(&self, kv_cache: &mut KvCache, slot: usize, t: &AttentionScratch) {
        let w = self.shape.width();
        let at = slot * self.shape.tokens * w;
        let keys = kv_cache.keys[at..].chunks_exact_mut(w);
        let values = kv_cache.values[at..].chunks_exact_mut(w);
        for ((row, key), value) in t.qkv.chunks_exact(3 * w).zip(keys).zip(values) {
            key.copy_from_slice(&row[w..2 * w]);
            value.copy_from_slice(&row[2 * w..]);
        }
    }
}

/// Earlier frames: slot `slots[n]` of the KV cache holds the one at distance n + 1.
#[derive(Clone, Copy)]
struct CachedFrames<'a> {
    kv_cache: &'a KvCache,
    slots: &'a [usize],
}

dispatch!(fn temporal_mix = temporal_mix_body(shape: TokenShape, bias: &[f32], cached: CachedFrames, first: usize, qkv: &[f32], weights: &mut [f32], y: &mut [f32], recorded: Option<&mut Vec<f32>>));
/// Writes the attention output of the tokens from `first` on over `slots` and their own frame into `y`
/// [.., width]. Appends the weights [tokens, heads, frames] to `recorded`.
#[inline(always)]
#[expect(clippy::too_many_arguments, reason = "slices of one loop")]
fn temporal_mix_body<const FMA: bool>(
    shape: TokenShape,
    bias: &[f32],
    CachedFrames { kv_cache, slots }: CachedFrames,
    first: usize,
    qkv: &[f32],
    weights: &mut [f32],
    y: &mut [f32],
    mut recorded: Option<&mut Vec<f32>>,
) {
    let (w, d) = (shape.width(), shape.d);
    let (context, frames) = (bias.len() / shape.heads, slots.len() + 1);
    let padded = frames.next_multiple_of(WEIGHT_LANES);
    let weights = &mut weights[..shape.heads * padded];
    let rows = qkv.chunks_exact(3 * w).zip(y.chunks_exact_mut(w));
    for (token, (row, y)) in rows.enumerate() {
        let (query, own) = row.split_at(w);
        let (own_key, own_value) = own.split_at(w);
        let cached = |n: usize| {
            let at = (slots[n - 1] * shape.tokens + first + token) * w;
            at..at + w
        };
        // Heads in the inner loop, so that consecutive sums are independent.
        for n in 0..frames {
            let key = match n {
                0 => own_key,
                _ => &kv_cache.keys[cached(n)],
            };
            for head in 0..shape.heads {
                let part = head * d..(head + 1) * d;
                let cosine = dot::<FMA>(&query[part.clone()], &key[part]);
                weights[head * padded + n] = cosine + bias[head * context + n];
            }
        }
        for weights in weights.chunks_exact_mut(padded) {
            weights[frames..].fill(f32::NEG_INFINITY);
            let total = exp_and_normalizer::<FMA>(weights);
            for weight in weights {
                *weight *= total;
            }
        }
        if let Some(recorded) = &mut recorded {
            for weights in weights.chunks_exact(padded) {
                recorded.extend_from_slice(&weights[..frames]);
            }
        }
        y.fill(0.0);
        for n in 0..frames {
            let value = match n {
                0 => own_value,
                _ => &kv_cache.values[cached(n)],
            };
            for head in 0..shape.heads {
                let part = head * d..(head + 1) * d;
                let weight = weights[head * padded + n];
                axpy::<FMA>(weight, &value[part.clone()], &mut y[part]);
            }
        }
    }
}
