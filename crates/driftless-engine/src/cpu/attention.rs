//! Spatial and temporal attention without allocation.

use driftless_model::export::ExportedAttention;
use driftless_model::ops::NORM_EPS;
use driftless_model::simd::{axpy, dispatch, dot, exp};

use super::grid::RmsNorm;
use super::matmul::{LANES, MatmulArgs, multiply, multiply_shared};
use super::matrix::{PackedMatrix, RowLayout, WriteMode};
use super::shared_slice::SharedSlice;
use super::workers::Workers;
use crate::Attention;

/// Sizes of the token sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenShape {
    pub(super) tokens: usize,
    pub(super) heads: usize,
    /// Head size.
    pub(super) d: usize,
}

impl TokenShape {
    pub(super) fn width(self) -> usize {
        self.heads * self.d
    }

    pub(super) fn rows(self) -> RowLayout {
        RowLayout::contiguous(self.tokens, self.width())
    }
}

/// Buffers shared by all attention layers.
pub(super) struct AttentionScratch {
    shape: TokenShape,
    context: usize,
    normed: Vec<f32>,
    /// Queries, keys, values, [tokens, 3·width].
    qkv: Vec<f32>,
    y: Vec<f32>,
    /// 0 for tokens, then −∞ up to whole panels.
    mask: Vec<f32>,
    threads: Vec<ThreadScratch>,
    /// Receives the attention weights of a pass, if they are recorded.
    pub(super) recorded: Option<Attention>,
}

/// Buffers of one thread.
struct ThreadScratch {
    /// Normalised keys or queries of a head, [tokens, d].
    rows: Vec<f32>,
    key_panels: Vec<f32>,
    value_panels: Vec<f32>,
    /// Logits, then weights: of a head, or of a token in all heads.
    logits: Vec<f32>,
}

impl AttentionScratch {
    /// For one thread.
    pub(super) fn new(shape: TokenShape, context: usize) -> Self {
        let s = shape.tokens;
        let mut mask = vec![0.0; s.next_multiple_of(LANES)];
        mask[s..].fill(f32::NEG_INFINITY);
        let mut scratch = Self {
            shape,
            context,
            normed: vec![0.0; s * shape.width()],
            qkv: vec![0.0; 3 * s * shape.width()],
            y: vec![0.0; s * shape.width()],
            mask,
            threads: Vec::new(),
            recorded: None,
        };
        scratch.reserve(1);
        scratch
    }

    /// Makes room for `threads` threads.
    pub(super) fn reserve(&mut self, threads: usize) {
        let TokenShape { tokens, heads, d } = self.shape;
        let padded = self.mask.len();
        let weights = heads * self.context.next_multiple_of(WEIGHT_LANES);
        while self.threads.len() < threads {
            self.threads.push(ThreadScratch {
                rows: vec![0.0; tokens * d],
                key_panels: vec![0.0; padded * d],
                value_panels: vec![0.0; d.next_multiple_of(LANES) * tokens],
                logits: vec![0.0; (tokens * padded).max(weights)],
            });
        }
    }
}

/// Spatial attention: x + W attention(norm x) over the tokens of a frame.
pub(super) struct SpatialAttention {
    shape: TokenShape,
    norm: RmsNorm,
    qkv: PackedMatrix,
    /// Logit scale of each head.
    scale: Vec<f32>,
    out: PackedMatrix,
}

impl SpatialAttention {
    pub(super) fn new(layer: &ExportedAttention, shape: TokenShape) -> Self {
        Self {
            shape,
            norm: RmsNorm::new(&layer.norm),
            qkv: PackedMatrix::new(&layer.qkv),
            scale: layer.scales(),
            out: PackedMatrix::new(&layer.out),
        }
    }

    /// Updates `x` [tokens, width] in place.
    pub(super) fn apply(&self, workers: &Workers, x: &mut [f32], t: &mut AttentionScratch) {
        let rows = self.shape.rows();
        self.norm.apply_on(workers, x, &mut t.normed);
        self.qkv
            .apply(workers, &t.normed, rows, &mut t.qkv, WriteMode::Set);
        self.attend(workers, t);
        self.out.apply(workers, &t.y, rows, x, WriteMode::Add);
    }

    /// Writes the attention output of all heads into `t.y` [tokens, width].
    fn attend(&self, workers: &Workers, t: &mut AttentionScratch) {
        let heads = self.shape.heads;
        let y = SharedSlice::new(&mut t.y);
        let (qkv, mask) = (&t.qkv, &t.mask);
        match &mut t.recorded {
            None => workers.run_with(&mut t.threads, heads, |own, head| {
                self.attend_head(head, qkv, mask, own, &y);
            }),
            Some(recorded) => {
                let (own, stride) = (&mut t.threads[0], mask.len());
                for head in 0..heads {
                    self.attend_head(head, qkv, mask, own, &y);
                    for row in own.logits.chunks_exact(stride).take(self.shape.tokens) {
                        recorded.space.extend_from_slice(&row[..self.shape.tokens]);
                    }
                }
            }
        }
    }

    /// Writes the output of a head into its part of the rows of `y`, and leaves the weights in `t.logits`.
    fn attend_head(
        &self,
        head: usize,
        qkv: &[f32],
        mask: &[f32],
        t: &mut ThreadScratch,
        y: &SharedSlice<f32>,
    ) {
        let TokenShape { tokens, d, .. } = self.shape;
        let w = self.shape.width();
        gather(&qkv[w + head * d..], 3 * w, d, &mut t.rows);
        normalise(&mut t.rows, d, d, tokens, 1.0);
        pack_keys(&t.rows, d, d, &mut t.key_panels);
        let values = &qkv[2 * w + head * d..];
        pack_values(values, 3 * w, d, tokens, &mut t.value_panels);
        gather(&qkv[head * d..], 3 * w, d, &mut t.rows);
        normalise(&mut t.rows, d, d, tokens, self.scale[head]);
        // Store whole panels: reading back a full vector store does not stall.
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
        softmax(mask, &mut t.logits[..tokens * stride]);
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
}

/// Packs keys, rows of `d` elements that are `stride` apart, into panels [keys / 16][d][16].
pub(super) fn pack_keys(keys: &[f32], stride: usize, d: usize, panels: &mut [f32]) {
    for (j, key) in keys.chunks(stride).enumerate() {
        let at = j / LANES * d * LANES + j % LANES;
        for (x, key) in key[..d].iter().enumerate() {
            panels[at + x * LANES] = *key;
        }
    }
}

/// Packs `count` values, rows of `d` elements that are `stride` apart, into panels [d / 16][count][16].
pub(super) fn pack_values(
    values: &[f32],
    stride: usize,
    d: usize,
    count: usize,
    panels: &mut [f32],
) {
    for (j, value) in values.chunks(stride).take(count).enumerate() {
        for (panel, value) in value[..d].chunks(LANES).enumerate() {
            let at = (panel * count + j) * LANES;
            panels[at..at + value.len()].copy_from_slice(value);
        }
    }
}

/// Copies the first `d` elements of rows that are `stride` apart into `out` [rows, d].
pub(super) fn gather(x: &[f32], stride: usize, d: usize, out: &mut [f32]) {
    for (from, to) in x.chunks(stride).zip(out.chunks_exact_mut(d)) {
        to.copy_from_slice(&from[..d]);
    }
}

/// Keys and values of a layer's earlier frames, each [slots, tokens, width]. Keys are normalised.
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

    /// Computes the frame's normalised keys and its values, into `t`.
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
                normalise(keys, 3 * w, shape.d, count, 1.0);
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

    /// Normalises the queries in `t.qkv`, and writes the attention output of all tokens into `t.y`
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
            normalise(queries, 3 * w, shape.d, y.len() / w, *scale);
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
#[allow(clippy::too_many_arguments)]
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
            let total = exp_and_normaliser::<FMA>(weights);
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

/// Lanes of the loops over weights; rows of weights are padded to a multiple of it.
const WEIGHT_LANES: usize = 8;

/// w ← exp(w − max w), which is tiny but positive where w is −∞. Returns 1 / Σ w. The length must be a
/// multiple of [`WEIGHT_LANES`].
#[inline(always)]
fn exp_and_normaliser<const FMA: bool>(weights: &mut [f32]) -> f32 {
    let (weights, _) = weights.as_chunks_mut::<WEIGHT_LANES>();
    let mut largest = [f32::NEG_INFINITY; WEIGHT_LANES];
    for weights in weights.iter() {
        for (largest, weight) in largest.iter_mut().zip(weights) {
            *largest = largest.max(*weight);
        }
    }
    let largest = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let mut totals = [0f32; WEIGHT_LANES];
    for weights in weights {
        for (total, weight) in totals.iter_mut().zip(weights) {
            *weight = exp::<FMA>(*weight - largest);
            *total += *weight;
        }
    }
    totals.iter().sum::<f32>().recip()
}

dispatch!(pub(super) fn softmax = softmax_body(mask: &[f32], x: &mut [f32]));
/// Softmax of x + mask over rows as long as `mask`, a multiple of [`WEIGHT_LANES`].
#[inline(always)]
fn softmax_body<const FMA: bool>(mask: &[f32], x: &mut [f32]) {
    for row in x.chunks_exact_mut(mask.len()) {
        for (x, mask) in row.iter_mut().zip(mask) {
            *x += mask;
        }
        let total = exp_and_normaliser::<FMA>(row);
        for weight in row {
            *weight *= total;
        }
    }
}

dispatch!(pub(super) fn normalise = normalise_body(x: &mut [f32], stride: usize, d: usize, rows: usize, scale: f32));
/// Scales `rows` vectors of length `d`, `stride` apart, to the norm `scale`.
#[inline(always)]
fn normalise_body<const FMA: bool>(
    x: &mut [f32],
    stride: usize,
    d: usize,
    rows: usize,
    scale: f32,
) {
    for row in x.chunks_mut(stride).take(rows) {
        let row = &mut row[..d];
        let factor = scale * (dot::<FMA>(row, row) + NORM_EPS).sqrt().recip();
        for x in row {
            *x *= factor;
        }
    }
}
