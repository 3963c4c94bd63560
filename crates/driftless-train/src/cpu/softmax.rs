//! Softmax over rows of logits, and its gradient.

use super::row_ops::{dot, total};
use super::simd::vectorized;
use driftless_model::simd::{exp, fma};

/// Logits of what is not seen.
pub(super) const HIDDEN: f32 = -1e30;

/// Largest of the numbers.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let mut most = [f32::NEG_INFINITY; 16];
    let (whole, rest) = x.as_chunks::<16>();
    for x in whole {
        for i in 0..16 {
            most[i] = if x[i] > most[i] { x[i] } else { most[i] };
        }
    }
    for (most, x) in most.iter_mut().zip(rest) {
        *most = most.max(*x);
    }
    most.into_iter().fold(f32::NEG_INFINITY, f32::max)
}

/// Σ of the numbers, over sixteen running sums.
#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let (whole, rest) = x.as_chunks::<16>();
    for x in whole {
        for i in 0..16 {
            sums[i] += x[i];
        }
    }
    for (sum, x) in sums.iter_mut().zip(rest) {
        *sum += x;
    }
    total(sums)
}

vectorized!(
    /// Softmax of `scale`·x + bias in place, for rows as long as `bias`.
    pub(super) fn softmax = softmax_body(scale: f32, bias: &[f32], x: &mut [f32])
);
#[inline(always)]
fn softmax_body<const FMA: bool>(scale: f32, bias: &[f32], x: &mut [f32]) {
    for x in x.chunks_exact_mut(bias.len()) {
        for (x, bias) in x.iter_mut().zip(bias) {
            *x = fma::<FMA>(scale, *x, *bias);
        }
        let most = largest(x);
        for (x, bias) in x.iter_mut().zip(bias) {
            let weight = exp::<FMA>(*x - most);
            *x = if *bias > HIDDEN { weight } else { 0.0 };
        }
        let share = sum(x).recip();
        for x in x.iter_mut() {
            *x *= share;
        }
    }
}

vectorized!(
    /// The gradient of the logits of [`softmax`] in the place of `dy`, from the weights y: y ∘ (dy − y·dy).
    pub(super) fn softmax_gradient = softmax_gradient_body(length: usize, y: &[f32], dy: &mut [f32])
);
#[inline(always)]
fn softmax_gradient_body<const FMA: bool>(length: usize, y: &[f32], dy: &mut [f32]) {
    for (y, dy) in y.chunks_exact(length).zip(dy.chunks_exact_mut(length)) {
        let mean = dot::<FMA>(y, dy);
        for (dy, y) in dy.iter_mut().zip(y) {
            *dy = y * (*dy - mean);
        }
    }
}

vectorized!(
    /// Softmax of `scale`·x + bias in place, beside one further logit `own` with the bias `own_bias`.
    pub(super) fn softmax_beside = softmax_beside_body(scale: f32, bias: &[f32], own_bias: f32, x: &mut [f32], own: &mut f32)
);
#[inline(always)]
fn softmax_beside_body<const FMA: bool>(
    scale: f32,
    bias: &[f32],
    own_bias: f32,
    x: &mut [f32],
    own: &mut f32,
) {
    for (x, bias) in x.iter_mut().zip(bias) {
        *x = fma::<FMA>(scale, *x, *bias);
    }
    let own_logit = fma::<FMA>(scale, *own, own_bias);
    let most = largest(x).max(own_logit);
    for (x, bias) in x.iter_mut().zip(bias) {
        let weight = exp::<FMA>(*x - most);
        // Exactly nothing: subnormal weights would slow every later product.
        *x = if *bias > HIDDEN { weight } else { 0.0 };
    }
    let own_weight = exp::<FMA>(own_logit - most);
    let share = (sum(x) + own_weight).recip();
    for x in x.iter_mut() {
        *x *= share;
    }
    *own = own_weight * share;
}

vectorized!(
    /// The gradient of the logits of [`softmax_beside`] in the place of `dy` and `down`.
    pub(super) fn softmax_beside_gradient = softmax_beside_gradient_body(y: &[f32], own: f32, dy: &mut [f32], down: &mut f32)
);
#[inline(always)]
fn softmax_beside_gradient_body<const FMA: bool>(
    y: &[f32],
    own: f32,
    dy: &mut [f32],
    down: &mut f32,
) {
    let mean = fma::<FMA>(own, *down, dot::<FMA>(y, dy));
    for (dy, y) in dy.iter_mut().zip(y) {
        *dy = y * (*dy - mean);
    }
    *down = own * (*down - mean);
}
