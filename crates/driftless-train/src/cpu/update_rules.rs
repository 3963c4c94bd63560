//! The optimizer's updates of the values of a parameter, in place.

use super::row_ops::dot;
use super::simd::vectorized;

/// Σ x². Long sums are split and added in f64 to keep rounding errors small.
pub(crate) fn sum_of_squares(x: &[f32]) -> f64 {
    x.chunks(4096).map(|x| f64::from(square(x))).sum()
}

vectorized!(fn square = square_body(x: &[f32]) -> f32);
#[inline(always)]
fn square_body<const FMA: bool>(x: &[f32]) -> f32 {
    dot::<FMA>(x, x)
}

/// The constants of a step of AdamW.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AdamW {
    pub beta: [f32; 2],
    /// 1 − βⁿ.
    pub correction: [f32; 2],
    pub epsilon: f32,
    pub learning_rate: f32,
}

vectorized!(
    /// One step of AdamW with the gradient `clip` · g; updates `x` and both moments.
    pub(crate) fn adamw = adamw_body(s: AdamW, clip: f32, g: &[f32], first: &mut [f32], second: &mut [f32], x: &mut [f32])
);
#[inline(always)]
fn adamw_body<const FMA: bool>(
    s: AdamW,
    clip: f32,
    g: &[f32],
    first: &mut [f32],
    second: &mut [f32],
    x: &mut [f32],
) {
    let state = first.iter_mut().zip(second);
    for ((x, g), (first, second)) in x.iter_mut().zip(g).zip(state) {
        let g = g * clip;
        *first = s.beta[0] * *first + (1.0 - s.beta[0]) * g;
        *second = s.beta[1] * *second + (1.0 - s.beta[1]) * g * g;
        let (m, v) = (*first / s.correction[0], *second / s.correction[1]);
        *x -= s.learning_rate * (m / (v.sqrt() + s.epsilon));
    }
}

vectorized!(
    /// Updates Muon's momentum with the gradient `clip` · g, and computes the Nesterov direction.
    pub(crate) fn momentum = momentum_body(decay: f32, clip: f32, g: &[f32], momentum: &mut [f32], direction: &mut [f32])
);
#[inline(always)]
fn momentum_body<const FMA: bool>(
    decay: f32,
    clip: f32,
    g: &[f32],
    momentum: &mut [f32],
    direction: &mut [f32],
) {
    for ((g, momentum), direction) in g.iter().zip(momentum).zip(direction) {
        let g = g * clip;
        *momentum = decay * *momentum + g;
        *direction = g + decay * *momentum;
    }
}

vectorized!(
    /// The moving average y ← decay · y + (1 − decay) · x.
    pub(crate) fn ema = ema_body(decay: f32, x: &[f32], y: &mut [f32])
);
#[inline(always)]
fn ema_body<const FMA: bool>(decay: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = decay * *y + (1.0 - decay) * x;
    }
}
