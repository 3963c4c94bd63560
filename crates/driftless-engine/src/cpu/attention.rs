//! Attention without allocation: over the tokens of a frame, and over the ring of earlier frames.

use super::cells::Norm;
use super::kernel::{LANES, Product, multiply};
use super::matrix::{Matrix, Mode, Rows};
use crate::Attention;
use crate::Result;
use crate::weights::numbers;
use driftless_model::layers::AttentionLayer;
use driftless_model::ops::NORM_EPS;
use driftless_model::simd::{axpy, dispatch, dot, exp};

/// Sizes of the token sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) tokens: usize,
    pub(super) heads: usize,
    /// Head size.
    pub(super) d: usize,
}

impl Shape {
    pub(super) fn width(self) -> usize {
        self.heads * self.d
    }

    pub(super) fn rows(self) -> Rows {
        Rows::plain(self.tokens, self.width())
    }
}

/// Buffers that all attention layers share.
pub(super) struct Scratch {
    normed: Vec<f32>,
    /// Queries, keys, values, [tokens, 3·width].
    qkv: Vec<f32>,
    y: Vec<f32>,
    key_panels: Vec<f32>,
    value_panels: Vec<f32>,
    logits: Vec<f32>,
    /// −∞ behind the last token, up to whole panels.
    mask: Vec<f32>,
    /// Where the weights of a pass are noted, while somebody wants to know.
    pub(super) noted: Option<Attention>,
}

impl Scratch {
    pub(super) fn new(shape: Shape, context: usize) -> Self {
        let (s, d) = (shape.tokens, shape.d);
        let padded = s.next_multiple_of(LANES);
        let weights = shape.heads * context.next_multiple_of(WEIGHTS);
        let mut mask = vec![0.0; padded];
        mask[s..].fill(f32::NEG_INFINITY);
        Self {
            normed: vec![0.0; s * shape.width()],
            qkv: vec![0.0; 3 * s * shape.width()],
            y: vec![0.0; s * shape.width()],
            key_panels: vec![0.0; padded * d],
            value_panels: vec![0.0; d.next_multiple_of(LANES) * s],
            logits: vec![0.0; (s * padded).max(weights)],
            mask,
            noted: None,
        }
    }
}

/// x + W attention(norm x) over the tokens of a frame.
pub(super) struct SpaceAttention {
    shape: Shape,
    norm: Norm,
    qkv: Matrix,
    /// Scale of the logits of each head.
    scale: Vec<f32>,
    out: Matrix,
}

impl SpaceAttention {
    pub(super) fn new(layer: &AttentionLayer, shape: Shape) -> Result<Self> {
        Ok(Self {
            shape,
            norm: Norm::new(&layer.norm)?,
            qkv: Matrix::new(&layer.qkv.weight)?,
            scale: numbers(&layer.parameters)?,
            out: Matrix::new(&layer.out.weight)?,
        })
    }

    /// In place on `x` [tokens, width].
    pub(super) fn apply(&self, x: &mut [f32], t: &mut Scratch) {
        let (shape, w) = (self.shape, self.shape.width());
        self.norm.apply(x, &mut t.normed);
        self.qkv
            .apply(&t.normed, shape.rows(), &mut t.qkv, Mode::Set);
        for head in 0..shape.heads {
            self.attend(head, t);
        }
        debug_assert_eq!(t.y.len(), shape.tokens * w);
        self.out.apply(&t.y, shape.rows(), x, Mode::Add);
    }

    fn attend(&self, head: usize, t: &mut Scratch) {
        let Shape { tokens, d, .. } = self.shape;
        let w = self.shape.width();
        normalise(&mut t.qkv[head * d..], 3 * w, d, tokens, self.scale[head]);
        normalise(&mut t.qkv[w + head * d..], 3 * w, d, tokens, 1.0);
        for (j, row) in t.qkv.chunks_exact(3 * w).enumerate() {
            let key = &row[w + head * d..w + (head + 1) * d];
            let at = j / LANES * d * LANES + j % LANES;
            for (x, key) in key.iter().enumerate() {
                t.key_panels[at + x * LANES] = *key;
            }
            let value = &row[2 * w + head * d..2 * w + (head + 1) * d];
            for (panel, value) in value.chunks(LANES).enumerate() {
                let at = (panel * tokens + j) * LANES;
                t.value_panels[at..at + value.len()].copy_from_slice(value);
            }
        }
        // Whole panels: vectors that are stored whole are read back without waiting.
        let stride = t.mask.len();
        let scores = Product {
            x: &t.qkv[head * d..],
            rows: Rows::plain(tokens, 3 * w),
            panels: &t.key_panels,
            inputs: d,
            outputs: stride,
            stride,
            mode: Mode::Set,
        };
        multiply(&scores, &mut t.logits);
        softmax(&t.mask, &mut t.logits[..tokens * stride]);
        if let Some(noted) = &mut t.noted {
            for row in t.logits.chunks_exact(stride).take(tokens) {
                noted.space.extend_from_slice(&row[..tokens]);
            }
        }
        let mixed = Product {
            x: &t.logits,
            rows: Rows::plain(tokens, stride),
            panels: &t.value_panels,
            inputs: tokens,
            outputs: d,
            stride: w,
            mode: Mode::Set,
        };
        multiply(&mixed, &mut t.y[head * d..]);
    }
}

/// Keys and values of a layer's earlier frames, each [slots, tokens, width], keys normalised.
pub(super) struct Ring {
    pub(super) keys: Vec<f32>,
    pub(super) values: Vec<f32>,
}

impl Ring {
    pub(super) fn new(shape: Shape, slots: usize) -> Self {
        let len = slots * shape.tokens * shape.width();
        Self {
            keys: vec![0.0; len],
            values: vec![0.0; len],
        }
    }
}

/// x + W attention(norm x) over a token's earlier frames and itself.
pub(super) struct TimeAttention {
    shape: Shape,
    norm: Norm,
    query: Matrix,
    key_value: Matrix,
    scale: Vec<f32>,
    /// [heads, context], by distance.
    bias: Vec<f32>,
    out: Matrix,
}

impl TimeAttention {
    pub(super) fn new(layer: &AttentionLayer, shape: Shape) -> Result<Self> {
        let w = shape.width();
        let weight = numbers(&layer.qkv.weight)?;
        let rows =
            |first: usize, count: usize| Matrix::pack(count, w, |o, i| weight[(first + o) * w + i]);
        let columns = layer.parameters.dim(1)?;
        let parameters = numbers(&layer.parameters)?;
        let heads = parameters.chunks_exact(columns);
        Ok(Self {
            shape,
            norm: Norm::new(&layer.norm)?,
            query: rows(0, w),
            key_value: rows(w, 2 * w),
            scale: heads.clone().map(|head| head[0]).collect(),
            bias: heads.flat_map(|head| &head[1..]).copied().collect(),
            out: Matrix::new(&layer.out.weight)?,
        })
    }

    /// The frame's own normalised keys and its values, into `t`.
    pub(super) fn keys_and_values(&self, x: &[f32], t: &mut Scratch) {
        let (shape, w) = (self.shape, self.shape.width());
        self.norm.apply(x, &mut t.normed);
        let qkv = &mut t.qkv[w..];
        self.key_value
            .apply_into(&t.normed, shape.rows(), qkv, 3 * w, Mode::Set);
        for head in 0..shape.heads {
            normalise(
                &mut t.qkv[w + head * shape.d..],
                3 * w,
                shape.d,
                shape.tokens,
                1.0,
            );
        }
    }

    /// In place on `x` [tokens, width], after [`Self::keys_and_values`]; `slots[n]` holds the
    /// frame at distance n + 1.
    pub(super) fn apply(&self, x: &mut [f32], ring: &Ring, slots: &[usize], t: &mut Scratch) {
        let (shape, w) = (self.shape, self.shape.width());
        self.query
            .apply_into(&t.normed, shape.rows(), &mut t.qkv, 3 * w, Mode::Set);
        for (head, scale) in self.scale.iter().enumerate() {
            normalise(
                &mut t.qkv[head * shape.d..],
                3 * w,
                shape.d,
                shape.tokens,
                *scale,
            );
        }
        over_time(
            shape,
            &self.bias,
            Earlier { ring, slots },
            &t.qkv,
            &mut t.logits,
            &mut t.y,
            t.noted.as_mut().map(|noted| &mut noted.time),
        );
        self.out.apply(&t.y, shape.rows(), x, Mode::Add);
    }

    /// Copies the frame's own keys and values into a slot.
    pub(super) fn write(&self, ring: &mut Ring, slot: usize, t: &Scratch) {
        let w = self.shape.width();
        let at = slot * self.shape.tokens * w;
        let keys = ring.keys[at..].chunks_exact_mut(w);
        let values = ring.values[at..].chunks_exact_mut(w);
        for ((row, key), value) in t.qkv.chunks_exact(3 * w).zip(keys).zip(values) {
            key.copy_from_slice(&row[w..2 * w]);
            value.copy_from_slice(&row[2 * w..]);
        }
    }
}

/// Earlier frames: `slots[n]` of the ring holds the one at distance n + 1.
#[derive(Clone, Copy)]
struct Earlier<'a> {
    ring: &'a Ring,
    slots: &'a [usize],
}

dispatch!(fn over_time = over_time_body(shape: Shape, bias: &[f32], earlier: Earlier, qkv: &[f32], weights: &mut [f32], y: &mut [f32], noted: Option<&mut Vec<f32>>));
/// Every token's mixture of its values in `slots` and its own, into `y` [tokens, width]; notes the
/// weights [tokens, heads, frames] where asked to.
#[inline(always)]
fn over_time_body<const FMA: bool>(
    shape: Shape,
    bias: &[f32],
    Earlier { ring, slots }: Earlier,
    qkv: &[f32],
    weights: &mut [f32],
    y: &mut [f32],
    mut noted: Option<&mut Vec<f32>>,
) {
    let (w, d) = (shape.width(), shape.d);
    let (context, frames) = (bias.len() / shape.heads, slots.len() + 1);
    let padded = frames.next_multiple_of(WEIGHTS);
    let weights = &mut weights[..shape.heads * padded];
    let rows = qkv.chunks_exact(3 * w).zip(y.chunks_exact_mut(w));
    for (token, (row, y)) in rows.enumerate() {
        let (query, own) = row.split_at(w);
        let (own_key, own_value) = own.split_at(w);
        let earlier = |n: usize| {
            let at = (slots[n - 1] * shape.tokens + token) * w;
            at..at + w
        };
        // Heads inside, frames outside: no sum waits for the one before it.
        for n in 0..frames {
            let key = match n {
                0 => own_key,
                _ => &ring.keys[earlier(n)],
            };
            for head in 0..shape.heads {
                let part = head * d..(head + 1) * d;
                let cosine = dot::<FMA>(&query[part.clone()], &key[part]);
                weights[head * padded + n] = cosine + bias[head * context + n];
            }
        }
        for weights in weights.chunks_exact_mut(padded) {
            weights[frames..].fill(f32::NEG_INFINITY);
            let total = exponentials::<FMA>(weights);
            for weight in weights {
                *weight *= total;
            }
        }
        if let Some(noted) = &mut noted {
            for weights in weights.chunks_exact(padded) {
                noted.extend_from_slice(&weights[..frames]);
            }
        }
        y.fill(0.0);
        for n in 0..frames {
            let value = match n {
                0 => own_value,
                _ => &ring.values[earlier(n)],
            };
            for head in 0..shape.heads {
                let part = head * d..(head + 1) * d;
                let weight = weights[head * padded + n];
                axpy::<FMA>(weight, &value[part.clone()], &mut y[part]);
            }
        }
    }
}

/// Lanes of the loops over weights; rows of weights are padded to whole ones.
const WEIGHTS: usize = 8;

/// w ← exp(w − max w), at least a tiny number where w is −∞; returns 1 / Σ w. Whole lanes only.
#[inline(always)]
fn exponentials<const FMA: bool>(weights: &mut [f32]) -> f32 {
    let (weights, _) = weights.as_chunks_mut::<WEIGHTS>();
    let mut largest = [f32::NEG_INFINITY; WEIGHTS];
    for weights in weights.iter() {
        for (largest, weight) in largest.iter_mut().zip(weights) {
            *largest = largest.max(*weight);
        }
    }
    let largest = largest.into_iter().fold(f32::NEG_INFINITY, f32::max);
    let mut totals = [0f32; WEIGHTS];
    for weights in weights {
        for (total, weight) in totals.iter_mut().zip(weights) {
            *weight = exp::<FMA>(*weight - largest);
            *total += *weight;
        }
    }
    totals.iter().sum::<f32>().recip()
}

dispatch!(fn softmax = softmax_body(mask: &[f32], x: &mut [f32]));
/// Softmax of x + mask over rows as long as `mask`, which are whole lanes.
#[inline(always)]
fn softmax_body<const FMA: bool>(mask: &[f32], x: &mut [f32]) {
    for row in x.chunks_exact_mut(mask.len()) {
        for (x, mask) in row.iter_mut().zip(mask) {
            *x += mask;
        }
        let total = exponentials::<FMA>(row);
        for weight in row {
            *weight *= total;
        }
    }
}

dispatch!(fn normalise = normalise_body(x: &mut [f32], stride: usize, d: usize, rows: usize, scale: f32));
/// Scales the first `d` of every `stride` numbers, `rows` times, to the length `scale`.
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
