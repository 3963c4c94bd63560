//! Modulated sublayers: x + gate ∘ f(h) with h = norm(x) ∘ (1 + scale) + shift (adaLN), row by row, and
//! their gradients. Scale, shift and gate are those of the clip that a row belongs to.

use super::row_ops::dot;
use super::simd::vectorized;
use driftless_model::ops::NORM_EPS;
use driftless_model::simd::fma;

/// Vectors of a sublayer: scale, shift and gate, one after the other.
pub(super) const PER_SUBLAYER: usize = 3;

vectorized!(
    /// h = x / √(mean x² + ε) ∘ (1 + scale) + shift for every row.
    pub(super) fn modulate = modulate_body(x: &[f32], scale: &[f32], shift: &[f32], h: &mut [f32])
);
#[inline(always)]
fn modulate_body<const FMA: bool>(x: &[f32], scale: &[f32], shift: &[f32], h: &mut [f32]) {
    let width = scale.len();
    for (x, h) in x.chunks_exact(width).zip(h.chunks_exact_mut(width)) {
        let r = (dot::<FMA>(x, x) / width as f32 + NORM_EPS).sqrt().recip();
        for (((h, x), scale), shift) in h.iter_mut().zip(x).zip(scale).zip(shift) {
            *h = fma::<FMA>(x * r, 1.0 + scale, *shift);
        }
    }
}

vectorized!(
    /// Adds the gradients of [`modulate`] to `dx`, `dscale` and `dshift`; overwrites `dh`.
    pub(super) fn modulate_gradient = modulate_gradient_body(x: &[f32], scale: &[f32], dh: &mut [f32], dx: &mut [f32], dscale: &mut [f32], dshift: &mut [f32])
);
#[inline(always)]
fn modulate_gradient_body<const FMA: bool>(
    x: &[f32],
    scale: &[f32],
    dh: &mut [f32],
    dx: &mut [f32],
    dscale: &mut [f32],
    dshift: &mut [f32],
) {
    let width = scale.len();
    let rows = x.chunks_exact(width).zip(dh.chunks_exact_mut(width));
    for ((x, dh), dx) in rows.zip(dx.chunks_exact_mut(width)) {
        let r = (dot::<FMA>(x, x) / width as f32 + NORM_EPS).sqrt().recip();
        for i in 0..width {
            dshift[i] += dh[i];
            dscale[i] = fma::<FMA>(dh[i], x[i] * r, dscale[i]);
            dh[i] *= 1.0 + scale[i];
        }
        let along = dot::<FMA>(dh, x) * r * r / width as f32;
        for ((dx, dh), x) in dx.iter_mut().zip(dh.iter()).zip(x) {
            *dx = fma::<FMA>(r, dh - x * along, *dx);
        }
    }
}

vectorized!(
    /// out = x + gate ∘ y for every row.
    pub(super) fn add_gated = add_gated_body(x: &[f32], y: &[f32], gate: &[f32], out: &mut [f32])
);
#[inline(always)]
fn add_gated_body<const FMA: bool>(x: &[f32], y: &[f32], gate: &[f32], out: &mut [f32]) {
    let width = gate.len();
    let rows = x.chunks_exact(width).zip(y.chunks_exact(width));
    for ((x, y), out) in rows.zip(out.chunks_exact_mut(width)) {
        for (((out, x), y), gate) in out.iter_mut().zip(x).zip(y).zip(gate) {
            *out = fma::<FMA>(*gate, *y, *x);
        }
    }
}

vectorized!(
    /// The gradient of y in [`add_gated`], and adds that of the gate; that of x is `dsum` itself.
    pub(super) fn add_gated_gradient = add_gated_gradient_body(dsum: &[f32], y: &[f32], gate: &[f32], dy: &mut [f32], dgate: &mut [f32])
);
#[inline(always)]
fn add_gated_gradient_body<const FMA: bool>(
    dsum: &[f32],
    y: &[f32],
    gate: &[f32],
    dy: &mut [f32],
    dgate: &mut [f32],
) {
    let width = gate.len();
    let rows = dsum.chunks_exact(width).zip(y.chunks_exact(width));
    for ((dsum, y), dy) in rows.zip(dy.chunks_exact_mut(width)) {
        for i in 0..width {
            dgate[i] = fma::<FMA>(dsum[i], y[i], dgate[i]);
            dy[i] = gate[i] * dsum[i];
        }
    }
}

/// The vectors of a block: `sublayers` times scale, shift and gate of `width` numbers, for each clip.
#[derive(Clone, Copy)]
pub(super) struct VectorShape {
    pub width: usize,
    pub sublayers: usize,
}

impl VectorShape {
    /// Numbers for each clip.
    pub(super) fn len(self) -> usize {
        self.sublayers * PER_SUBLAYER * self.width
    }

    /// Scale, shift and gate of a sublayer for clip `i`.
    pub(super) fn of(self, vectors: &[f32], i: usize, sublayer: usize) -> [&[f32]; PER_SUBLAYER] {
        let at = i * self.len() + sublayer * PER_SUBLAYER * self.width;
        let own = &vectors[at..at + PER_SUBLAYER * self.width];
        let (scale, rest) = own.split_at(self.width);
        let (shift, gate) = rest.split_at(self.width);
        [scale, shift, gate]
    }

    /// The same, to be written.
    pub(super) fn of_mut(
        self,
        vectors: &mut [f32],
        i: usize,
        sublayer: usize,
    ) -> [&mut [f32]; PER_SUBLAYER] {
        let at = i * self.len() + sublayer * PER_SUBLAYER * self.width;
        let own = &mut vectors[at..at + PER_SUBLAYER * self.width];
        let (scale, rest) = own.split_at_mut(self.width);
        let (shift, gate) = rest.split_at_mut(self.width);
        [scale, shift, gate]
    }
}
