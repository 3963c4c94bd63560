//! What an optimiser does to the numbers of a parameter, in place.

use super::lanes::vectorised;
use super::rows::dot;

/// Σ x², in pieces so that long sums stay exact enough.
pub(in crate::train) fn squares(x: &[f32]) -> f64 {
    x.chunks(4096).map(|x| f64::from(square(x))).sum()
}

vectorised!(fn square = square_body(x: &[f32]) -> f32);
#[inline(always)]
fn square_body<const FMA: bool>(x: &[f32]) -> f32 {
    dot::<FMA>(x, x)
}

/// How far AdamW's averages are behind, and with which rate it steps.
#[derive(Clone, Copy, Debug)]
pub(in crate::train) struct Adam {
    pub beta: [f32; 2],
    /// 1 − βⁿ.
    pub correction: [f32; 2],
    pub epsilon: f32,
    pub rate: f32,
}

vectorised!(
    /// One step of AdamW with the gradient `clip` · g: `x` and the running moments change.
    pub(in crate::train) fn adam = adam_body(s: Adam, clip: f32, g: &[f32], first: &mut [f32], second: &mut [f32], x: &mut [f32])
);
#[inline(always)]
fn adam_body<const FMA: bool>(
    s: Adam,
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
        *x -= s.rate * (m / (v.sqrt() + s.epsilon));
    }
}

vectorised!(
    /// Muon's momentum with the gradient `clip` · g, and the Nesterov direction.
    pub(in crate::train) fn momentum = momentum_body(decay: f32, clip: f32, g: &[f32], momentum: &mut [f32], direction: &mut [f32])
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

vectorised!(
    /// y ← decay · y + (1 − decay) · x.
    pub(in crate::train) fn follow = follow_body(decay: f32, x: &[f32], y: &mut [f32])
);
#[inline(always)]
fn follow_body<const FMA: bool>(decay: f32, x: &[f32], y: &mut [f32]) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = decay * *y + (1.0 - decay) * x;
    }
}
