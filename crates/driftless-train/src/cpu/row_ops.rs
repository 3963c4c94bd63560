//! Elementwise and row-wise operations: sums, norms and gates, and their gradients.

use super::simd::vectorized;
use driftless_model::ops::NORM_EPS;
use driftless_model::simd::{fma, sigmoid};

/// Σ aᵢ bᵢ, with sixteen partial sums.
#[inline(always)]
pub(super) fn dot<const FMA: bool>(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0f32; 16];
    let (a_whole, a_rest) = a.as_chunks::<16>();
    let (b_whole, b_rest) = b.as_chunks::<16>();
    for (a, b) in a_whole.iter().zip(b_whole) {
        for i in 0..16 {
            sums[i] = fma::<FMA>(a[i], b[i], sums[i]);
        }
    }
    for (i, (a, b)) in a_rest.iter().zip(b_rest).enumerate() {
        sums[i] = fma::<FMA>(*a, *b, sums[i]);
    }
    total(sums)
}

/// Adds sixteen partial sums pairwise.
#[inline(always)]
pub(super) fn total(sums: [f32; 16]) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| sums[i] + sums[i + 8]);
    let four: [f32; 4] = std::array::from_fn(|i| eight[i] + eight[i + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}

vectorized!(
    /// y ← y + x.
    pub(super) fn add = add_body(x: &[f32], y: &mut [f32])
);
#[inline(always)]
fn add_body<const FMA: bool>(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y += x;
    }
}

vectorized!(
    /// Adds `row` to every row of `y`.
    pub(super) fn add_row = add_row_body(row: &[f32], y: &mut [f32])
);
#[inline(always)]
fn add_row_body<const FMA: bool>(row: &[f32], y: &mut [f32]) {
    for y in y.chunks_exact_mut(row.len()) {
        for (y, x) in y.iter_mut().zip(row) {
            *y += x;
        }
    }
}

vectorized!(
    /// The gradient of [`add_row`]: adds every row of `dy` to `drow`.
    pub(super) fn sum_rows = sum_rows_body(dy: &[f32], drow: &mut [f32])
);
#[inline(always)]
fn sum_rows_body<const FMA: bool>(dy: &[f32], drow: &mut [f32]) {
    for dy in dy.chunks_exact(drow.len()) {
        for (sum, dy) in drow.iter_mut().zip(dy) {
            *sum += dy;
        }
    }
}

vectorized!(
    /// RMSNorm: y = g ∘ x / √(mean x² + ε), row by row.
    pub(super) fn norm = norm_body(x: &[f32], gain: &[f32], y: &mut [f32])
);
#[inline(always)]
fn norm_body<const FMA: bool>(x: &[f32], gain: &[f32], y: &mut [f32]) {
    let width = gain.len();
    for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
        let r = (dot::<FMA>(x, x) / width as f32 + NORM_EPS).sqrt().recip();
        for ((y, x), g) in y.iter_mut().zip(x).zip(gain) {
            *y = x * r * g;
        }
    }
}

vectorized!(
    /// Adds the gradient of [`norm`] to `dx` and `dgain`; overwrites `dy`.
    pub(super) fn norm_gradient = norm_gradient_body(x: &[f32], gain: &[f32], dy: &mut [f32], dx: &mut [f32], dgain: &mut [f32])
);
#[inline(always)]
fn norm_gradient_body<const FMA: bool>(
    x: &[f32],
    gain: &[f32],
    dy: &mut [f32],
    dx: &mut [f32],
    dgain: &mut [f32],
) {
    let width = gain.len();
    let rows = x.chunks_exact(width).zip(dy.chunks_exact_mut(width));
    for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut(width)) {
        let r = (dot::<FMA>(x, x) / width as f32 + NORM_EPS).sqrt().recip();
        for (((dy, x), g), dgain) in dy.iter_mut().zip(x).zip(gain).zip(dgain.iter_mut()) {
            *dgain = fma::<FMA>(*dy, x * r, *dgain);
            *dy *= g;
        }
        let along = dot::<FMA>(dy, x) * r * r / width as f32;
        for ((dx, dy), x) in dx.iter_mut().zip(dy.iter()).zip(x) {
            *dx = fma::<FMA>(r, dy - x * along, *dx);
        }
    }
}

vectorized!(
    /// silu(x) = x s(x) with the sigmoid s.
    pub(super) fn silu = silu_body(x: &[f32], y: &mut [f32])
);
#[inline(always)]
fn silu_body<const FMA: bool>(x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = x * sigmoid::<FMA>(*x);
    }
}

vectorized!(
    /// Computes [`silu`] again, and replaces `dy` by the gradient of x.
    pub(super) fn silu_gradient = silu_gradient_body(x: &[f32], y: &mut [f32], dy: &mut [f32])
);
#[inline(always)]
fn silu_gradient_body<const FMA: bool>(x: &[f32], y: &mut [f32], dy: &mut [f32]) {
    for ((x, y), dy) in x.iter().zip(y).zip(dy) {
        let s = sigmoid::<FMA>(*x);
        *y = x * s;
        *dy *= s * (1.0 + x * (1.0 - s));
    }
}

vectorized!(
    /// silu(a) ∘ b for the halves a, b of each row of `x` [.., 2·half].
    pub(super) fn swiglu = swiglu_body(half: usize, x: &[f32], y: &mut [f32])
);
#[inline(always)]
fn swiglu_body<const FMA: bool>(half: usize, x: &[f32], y: &mut [f32]) {
    for (x, y) in x.chunks_exact(2 * half).zip(y.chunks_exact_mut(half)) {
        let (a, b) = x.split_at(half);
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            *y = a * sigmoid::<FMA>(*a) * b;
        }
    }
}

vectorized!(
    /// Computes the gradient `dx` of [`swiglu`], and replaces `dy` by its value.
    pub(super) fn swiglu_gradient = swiglu_gradient_body(half: usize, x: &[f32], dy: &mut [f32], dx: &mut [f32])
);
#[inline(always)]
fn swiglu_gradient_body<const FMA: bool>(half: usize, x: &[f32], dy: &mut [f32], dx: &mut [f32]) {
    let rows = x.chunks_exact(2 * half).zip(dy.chunks_exact_mut(half));
    for ((x, dy), dx) in rows.zip(dx.chunks_exact_mut(2 * half)) {
        let (a, b) = x.split_at(half);
        let (da, db) = dx.split_at_mut(half);
        let inputs = a.iter().zip(b);
        let outputs = da.iter_mut().zip(db).zip(dy);
        for ((a, b), ((da, db), dy)) in inputs.zip(outputs) {
            let s = sigmoid::<FMA>(*a);
            let gate = a * s;
            *db = *dy * gate;
            *da = *dy * b * s * (1.0 + a * (1.0 - s));
            *dy = gate * b;
        }
    }
}

vectorized!(
    /// x ← x/‖x‖ for the first `pieces` pieces of `size` numbers of each row; rows are `stride`
    /// apart. Writes 1/‖x‖ into `scales`.
    pub(super) fn normalize = normalize_body(size: usize, pieces: usize, stride: usize, x: &mut [f32], scales: &mut [f32])
);
#[inline(always)]
fn normalize_body<const FMA: bool>(
    size: usize,
    pieces: usize,
    stride: usize,
    x: &mut [f32],
    scales: &mut [f32],
) {
    for (row, scales) in x.chunks_mut(stride).zip(scales.chunks_exact_mut(pieces)) {
        for (x, scale) in row.chunks_exact_mut(size).zip(scales) {
            *scale = (dot::<FMA>(x, x) + NORM_EPS).sqrt().recip();
            for x in x {
                *x *= *scale;
            }
        }
    }
}

vectorized!(
    /// Replaces `dx` by the gradient of [`normalize`], s (dx − x (x·dx)) with the normalized x.
    pub(super) fn normalize_gradient = normalize_gradient_body(size: usize, pieces: usize, stride: usize, x: &[f32], scales: &[f32], dx: &mut [f32])
);
#[inline(always)]
fn normalize_gradient_body<const FMA: bool>(
    size: usize,
    pieces: usize,
    stride: usize,
    x: &[f32],
    scales: &[f32],
    dx: &mut [f32],
) {
    let rows = x.chunks(stride).zip(scales.chunks_exact(pieces));
    for ((x, scales), dx) in rows.zip(dx.chunks_mut(stride)) {
        let pieces = x.chunks_exact(size).zip(dx.chunks_exact_mut(size));
        for ((x, dx), scale) in pieces.zip(scales) {
            let along = dot::<FMA>(x, dx);
            for (dx, x) in dx.iter_mut().zip(x) {
                *dx = scale * (*dx - x * along);
            }
        }
    }
}

vectorized!(
    /// Σ a·b over rows of length `width` that are `a_stride` and `b_stride` apart.
    pub(super) fn dot_rows = dot_rows_body(count: usize, width: usize, a: &[f32], a_stride: usize, b: &[f32], b_stride: usize) -> f32
);
#[inline(always)]
fn dot_rows_body<const FMA: bool>(
    count: usize,
    width: usize,
    a: &[f32],
    a_stride: usize,
    b: &[f32],
    b_stride: usize,
) -> f32 {
    let mut sum = 0.0;
    for i in 0..count {
        let (a, b) = (&a[i * a_stride..], &b[i * b_stride..]);
        sum += dot::<FMA>(&a[..width], &b[..width]);
    }
    sum
}

vectorized!(
    /// y ← y + a·x.
    pub(crate) fn axpy = axpy_body(a: f32, x: &[f32], y: &mut [f32])
);
#[inline(always)]
fn axpy_body<const FMA: bool>(a: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = fma::<FMA>(a, *x, *y);
    }
}

vectorized!(
    /// x ← a·x.
    pub(crate) fn scale = scale_body(a: f32, x: &mut [f32])
);
#[inline(always)]
fn scale_body<const FMA: bool>(a: f32, x: &mut [f32]) {
    for x in x {
        *x *= a;
    }
}
