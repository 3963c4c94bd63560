//! Oasis: DDIM with stabilized past frames.

use driftless_engine::{SamplerParams, Solver};
use driftless_oasis::{DdimParams, LEVELS, MAX_WINDOW, Oasis};

use super::PlayableNetwork;

impl PlayableNetwork for Oasis {
    const PLAYER: &'static str = "cpu oasis";

    fn sampler(&self, params: &SamplerParams) -> DdimParams {
        ddim(params)
    }

    fn sampling(&self) -> SamplerParams {
        sampling()
    }
}

/// Signal level τ is noise level 1000 (1 − τ).
fn ddim(params: &SamplerParams) -> DdimParams {
    let noise = (1.0 - params.context_signal) * LEVELS as f32;
    DdimParams {
        steps: params.steps,
        stabilization: noise.round() as usize,
    }
}

fn sampling() -> SamplerParams {
    let ddim = DdimParams::default();
    SamplerParams {
        steps: ddim.steps,
        solver: Solver::Euler,
        context_signal: 1.0 - ddim.stabilization as f32 / LEVELS as f32,
        context: MAX_WINDOW,
        ..SamplerParams::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_published_ones() {
        let params = sampling();
        params.check().unwrap();
        assert_eq!(ddim(&params), DdimParams::default());
        assert_eq!((params.hop, params.temperature), (1, 1.0));
    }

    #[test]
    fn clean_context_has_no_noise() {
        let params = SamplerParams {
            context_signal: 1.0,
            ..sampling()
        };
        assert_eq!(ddim(&params).stabilization, 0);
    }
}
