//! Softmax over rows of logits, and its gradient.

use super::row_ops::{dot, total};
use super::simd::vectorized;
use driftless_model::simd::{exp, fma};

/// The bias that hides a column.
pub(super) const HIDDEN: f32 = -1e30;

/// The maximum.
#[inline(always)]
fn maximum(x: &[f32]) -> f32 {
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

/// The sum, with sixteen partial sums.
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
    /// Replaces each row of x, as long as `bias`, by the softmax of `scale`·x + bias.
    pub(super) fn softmax = softmax_body(scale: f32, bias: &[f32], x: &mut [f32])
);
#[inline(always)]
fn softmax_body<const FMA: bool>(scale: f32, bias: &[f32], x: &mut [f32]) {
    for x in x.chunks_exact_mut(bias.len()) {
        for (x, bias) in x.iter_mut().zip(bias) {
            *x = fma::<FMA>(scale, *x, *bias);
        }
        let most = maximum(x);
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
    /// Replaces `dy` by the gradient of the logits of [`softmax`], y ∘ (dy − y·dy).
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
    /// The same for one row with an additional logit `own`, which has the bias `own_bias`.
    pub(super) fn softmax_with_self = softmax_with_self_body(scale: f32, bias: &[f32], own_bias: f32, x: &mut [f32], own: &mut f32)
);
#[inline(always)]
fn softmax_with_self_body<const FMA: bool>(
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
    let most = maximum(x).max(own_logit);
    for (x, bias) in x.iter_mut().zip(bias) {
        let weight = exp::<FMA>(*x - most);
        // Exactly zero, since subnormal weights would slow down later products.
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
    /// Replaces `dy` and `down` by the gradients of the logits of [`softmax_with_self`].
    pub(super) fn softmax_with_self_gradient = softmax_with_self_gradient_body(y: &[f32], own: f32, dy: &mut [f32], down: &mut f32)
);
#[inline(always)]
fn softmax_with_self_gradient_body<const FMA: bool>(
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
