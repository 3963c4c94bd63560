//! Dreamer 4 in PyTorch: shortcut forcing, with labelled past frames.

use driftless_dreamer::{Dreamer, ShortcutParams};
use driftless_engine::{SamplerParams, Solver};

use super::PlayableNetwork;

/// Frames of the published window, the current one included.
const WINDOW: usize = 25;

impl PlayableNetwork for Dreamer {
    const PLAYER: &'static str = "cpu dreamer";

    fn sampler(&self, params: &SamplerParams) -> ShortcutParams {
        shortcut(params)
    }

    fn sampling(&self) -> SamplerParams {
        let info = self.info();
        sampling(info.k_max, info.window)
    }
}

fn shortcut(params: &SamplerParams) -> ShortcutParams {
    ShortcutParams {
        steps: params.steps,
        context_signal: params.context_signal,
    }
}

/// The published parameters for networks whose finest step is 1 / `k_max`.
fn sampling(k_max: usize, window: usize) -> SamplerParams {
    let own = ShortcutParams::default();
    let finest = 1.0 / k_max as f32;
    SamplerParams {
        steps: own.steps.min(k_max),
        solver: Solver::Shortcut,
        // 0 is out of the parameter's range.
        context_signal: own.context_signal.min(1.0 - finest).max(finest),
        context: window.min(WINDOW),
        ..SamplerParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_published_ones() {
        let params = sampling(8, 32);
        params.check().unwrap();
        assert_eq!((params.steps, params.context), (2, 25));
        assert_eq!((params.hop, params.temperature), (1, 1.0));
        // The highest level that the network was trained on.
        assert_eq!(shortcut(&params).context_signal, 0.875);
    }

    #[test]
    fn small_networks_bound_the_defaults() {
        let params = sampling(1, 4);
        params.check().unwrap();
        assert_eq!((params.steps, params.context), (1, 4));
    }
}
