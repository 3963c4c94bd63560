//! The loops of attention: packing, softmax, normalizing.

use driftless_model::ops::NORM_EPS;
use driftless_model::simd::{dispatch, dot, exp};

use super::matmul::LANES;

/// Packs keys, rows of `d` elements that are `stride` apart, into panels `[keys / 16][d][16]`.
pub fn pack_keys(keys: &[f32], stride: usize, d: usize, panels: &mut [f32]) {
    for (j, key) in keys.chunks(stride).enumerate() {
        let at = j / LANES * d * LANES + j % LANES;
        for (x, key) in key[..d].iter().enumerate() {
            panels[at + x * LANES] = *key;
        }
    }
}

/// Packs `count` values, rows of `d` elements that are `stride` apart, into panels `[d / 16][count][16]`.
pub fn pack_values(values: &[f32], stride: usize, d: usize, count: usize, panels: &mut [f32]) {
    for (j, value) in values.chunks(stride).take(count).enumerate() {
        for (panel, value) in value[..d].chunks(LANES).enumerate() {
            let at = (panel * count + j) * LANES;
            panels[at..at + value.len()].copy_from_slice(value);
        }
    }
}

/// Copies the first `d` elements of rows that are `stride` apart into `out` [rows, d].
pub fn gather(x: &[f32], stride: usize, d: usize, out: &mut [f32]) {
    for (from, to) in x.chunks(stride).zip(out.chunks_exact_mut(d)) {
        to.copy_from_slice(&from[..d]);
    }
}

/// Lanes of the loops over weights; rows of weights are padded to a multiple of it.
pub(super) const WEIGHT_LANES: usize = 8;

/// w ← exp(w − max w), which is tiny but positive where w is −∞. Returns 1 / Σ w. The length must be a
/// multiple of [`WEIGHT_LANES`].
#[inline(always)]
pub(super) fn exp_and_normalizer<const FMA: bool>(weights: &mut [f32]) -> f32 {
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

dispatch!(
    /// Softmax of x + mask over rows as long as `mask`, a multiple of eight.
    pub fn softmax = softmax_body(mask: &[f32], x: &mut [f32])
);
#[inline(always)]
fn softmax_body<const FMA: bool>(mask: &[f32], x: &mut [f32]) {
    for row in x.chunks_exact_mut(mask.len()) {
        for (x, mask) in row.iter_mut().zip(mask) {
            *x += mask;
        }
        let total = exp_and_normalizer::<FMA>(row);
        for weight in row {
            *weight *= total;
        }
    }
}

dispatch!(pub(super) fn normalize = normalize_body(x: &mut [f32], stride: usize, d: usize, rows: usize, scale: f32));
/// Scales `rows` vectors of length `d`, `stride` apart, to the norm `scale`.
#[inline(always)]
fn normalize_body<const FMA: bool>(
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
