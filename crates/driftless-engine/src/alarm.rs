//! Signals that a predicted frame may be wrong, without knowing the true one.
//!
//! A frame that the tokenizer cannot represent does not survive decoding and encoding; a network that is
//! unsure changes its mind between the passes over a frame, and with the noise. Hansen and Wang (2026,
//! arXiv 2606.27326) use the three against hallucinations of world models.

use super::{DenoisePass, latent_difference};

/// Disagreement of a frame's passes: root mean square difference between the predictions x̂ of successive
/// passes, averaged over the pairs. `None` with fewer than two passes.
pub fn flow_instability(passes: &[DenoisePass]) -> Option<f64> {
    let pairs = passes.windows(2);
    let count = pairs.len();
    let sum: f64 = pairs
        .map(|pair| latent_difference(&pair[0].x, &pair[1].x))
        .sum();
    (count > 0).then(|| sum / count as f64)
}

/// Root mean square distance of latents of one frame, made from different noise, from their mean. 0 for a
/// single one.
pub fn seed_spread(latents: &[&[f32]]) -> f64 {
    let count = latents.len().max(1) as f64;
    let len = latents.iter().map(|latent| latent.len()).min().unwrap_or(0);
    let variance = |i: usize| {
        let values = latents.iter().map(|latent| f64::from(latent[i]));
        let mean = values.clone().sum::<f64>() / count;
        values.map(|x| (x - mean).powi(2)).sum::<f64>() / count
    };
    ((0..len).map(variance).sum::<f64>() / len.max(1) as f64).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SamplerParams;
    use crate::testing::{actions, clip, cpu_sampler, small_config, world};

    fn pass(x: &[f32]) -> DenoisePass {
        DenoisePass {
            tau: 0.0,
            z: Vec::new(),
            x: x.to_vec(),
        }
    }

    #[test]
    fn instability_is_the_mean_of_changes() {
        assert_eq!(flow_instability(&[]), None);
        assert_eq!(flow_instability(&[pass(&[1.0, 1.0])]), None);
        let passes = [pass(&[0.0, 0.0]), pass(&[3.0, 3.0]), pass(&[4.0, 4.0])];
        assert_eq!(flow_instability(&passes), Some(2.0));
    }

    #[test]
    fn spread_is_a_standard_deviation() {
        assert_eq!(seed_spread(&[&[1.0, 5.0]]), 0.0);
        // Deviations of 1 and of 2 around means of 1 and 4.
        let spread = seed_spread(&[&[0.0, 2.0], &[2.0, 6.0]]);
        assert!((spread - 2.5f64.sqrt()).abs() < 1e-12, "{spread}");
    }

    #[test]
    fn prediction_is_the_next_latent() {
        let config = small_config();
        let mut engine = cpu_sampler(&world(&config));
        let params = SamplerParams::default();
        assert!(engine.predict(0, &params).is_err());
        engine.reset(&clip(&config, 3), &params).unwrap();
        engine.record_passes(true);
        for action in actions(&config, 4, 1) {
            let other = SamplerParams { seed: 9, ..params };
            let other = engine.predict(action, &other).unwrap();
            let predicted = engine.predict(action, &params).unwrap();
            engine.step(action, &params).unwrap();
            assert!(engine.latent().unwrap() == predicted && other != predicted);
            assert_eq!(engine.passes().len(), params.steps);
        }
    }
}
