mod arguments;
mod batch;
mod delta;
mod inspection;
mod memory;
mod parity;
mod reference;
mod sampling;

use candle_core::{Device, Tensor};

use driftless_data::{Action, Clip};
use driftless_flow::path::Path;
use driftless_flow::prediction::Prediction;
use driftless_model::checkpoint::WorldModel;
use driftless_model::config::WorldConfig;

use super::testing::{actions, clip, edge_case_configs, gpu, small_config, world};
use super::{SamplerParams, SamplingPath, Solver};

/// Sampler parameters that change from frame to frame.
pub(crate) fn varying_params(frame: usize) -> SamplerParams {
    SamplerParams {
        solver: [
            Solver::Shortcut,
            Solver::Shortcut,
            Solver::Euler,
            Solver::Midpoint,
            Solver::Heun,
        ][frame / 3 % 5],
        steps: [1, 8, 2, 4, 3][frame / 3 % 5],
        path: [
            SamplingPath::Own,
            SamplingPath::Own,
            SamplingPath::Cosine,
            SamplingPath::Linear,
            SamplingPath::Own,
        ][frame / 3 % 5],
        churn: [0.0, 0.0, 0.5, 0.0, 0.0][frame / 3 % 5],
        shift: [1.0, 1.0, 2.0, 1.0, 0.5][frame / 3 % 5],
        context_signal: [0.9, 1.0, 0.6][frame / 5 % 3],
        context: [usize::MAX, 3, 1, 4][frame / 7 % 4],
        temperature: [1.0, 0.5, 0.0][frame / 11 % 3],
        guidance: [1.0, 1.0, 2.5, 0.0][frame / 2 % 4],
        seed: frame as u64 / 20,
        ..SamplerParams::default()
    }
}

/// Largest absolute difference between two vectors.
pub(crate) fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}
