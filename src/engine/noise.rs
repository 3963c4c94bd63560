//! Noise that is addressed, not drawn in turn: the same (seed, frame, use) gives the same numbers,
//! whatever was sampled before.

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

/// What the noise is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Use {
    /// The start of a frame's denoising.
    Start,
    /// What blurs a finished frame to the context's signal level.
    Context,
    /// What churn adds between the steps.
    Churn,
    /// What a given frame is looked at through, and the probes of its likelihood.
    Likelihood,
}

/// Uses that have a stream of their own.
const USES: u64 = 4;

/// The generator of an address.
pub(crate) fn rng(seed: u64, frame: u64, purpose: Use) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(frame.wrapping_mul(USES).wrapping_add(purpose as u64));
    rng
}

/// Fills `out` with N(0, 1).
pub(crate) fn fill(out: &mut [f32], seed: u64, frame: u64, purpose: Use) {
    let mut rng = rng(seed, frame, purpose);
    for value in out {
        *value = StandardNormal.sample(&mut rng);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw(seed: u64, frame: u64, purpose: Use) -> Vec<f32> {
        let mut out = vec![0.0; 1000];
        fill(&mut out, seed, frame, purpose);
        out
    }

    #[test]
    fn every_address_has_its_own_standard_normal_noise() {
        let all = [
            draw(1, 5, Use::Start),
            draw(1, 5, Use::Context),
            draw(1, 6, Use::Start),
            draw(2, 5, Use::Start),
            draw(1, u64::MAX, Use::Context),
            draw(1, 5, Use::Churn),
            draw(1, 5, Use::Likelihood),
        ];
        for (i, a) in all.iter().enumerate() {
            let mean = a.iter().sum::<f32>() / 1000.0;
            let variance = a.iter().map(|x| x * x).sum::<f32>() / 1000.0;
            assert!(
                mean.abs() < 0.12 && (variance - 1.0).abs() < 0.15,
                "{mean} {variance}"
            );
            assert!(all[..i].iter().all(|b| a != b));
        }
        assert_eq!(all[0], draw(1, 5, Use::Start));
    }
}
