//! The sampler: a few Euler steps whose size the network is told (Frans et al., *One Step Diffusion via Shortcut
//! Models*, 2025), on predictions of the clean latent.

use driftless_published::{Error, Result};

/// Parameters of the sampler. The defaults are those of the published program.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShortcutParams {
    /// Steps per frame: a power of two, up to the finest that the network knows.
    pub steps: usize,
    /// The signal level that the network is told of finished frames, from 0 for noise to 1 for clean, although no noise
    /// is added to them. Above the highest that it was trained on, 1 less the finest step, it is that one.
    pub context_signal: f32,
}

impl Default for ShortcutParams {
    fn default() -> Self {
        Self {
            steps: 2,
            context_signal: 1.0,
        }
    }
}

/// A step size and a signal level by their indices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Level {
    /// Step size 2^−step.
    pub step: usize,
    /// Signal level signal / `k_max`.
    pub signal: usize,
}

impl ShortcutParams {
    /// Checks the parameters for a network whose finest step is 1 / `k_max`.
    ///
    /// # Errors
    /// Returns an error that names the first that is out of its range.
    pub(crate) fn check(&self, k_max: usize) -> Result<()> {
        let steps = self.steps;
        if !steps.is_power_of_two() || steps > k_max {
            return Err(Error::Argument(format!(
                "steps {steps}: expected a power of two from 1 to {k_max}"
            )));
        }
        if !(0.0..=1.0).contains(&self.context_signal) {
            return Err(Error::Argument(format!(
                "context signal {}: expected 0 to 1",
                self.context_signal
            )));
        }
        Ok(())
    }

    /// How finished frames are labelled.
    pub(crate) fn context(&self, k_max: usize) -> Level {
        let signal = (self.context_signal * k_max as f32).round() as usize;
        Level {
            step: k_max.ilog2() as usize,
            signal: signal.min(k_max - 1),
        }
    }

    /// What the current frame is labelled with in each step.
    pub(crate) fn levels(&self, k_max: usize) -> impl Iterator<Item = Level> {
        let (step, apart) = (self.steps.ilog2() as usize, k_max / self.steps);
        (0..self.steps).map(move |i| Level {
            step,
            signal: i * apart,
        })
    }

    /// Takes a latent from step `i` to the next, from the clean one that was predicted.
    pub(crate) fn advance(&self, i: usize, latent: &mut [f32], clean: &[f32]) {
        let steps = self.steps as f32;
        let (left, size) = (1.0 - i as f32 / steps, 1.0 / steps);
        for (z, clean) in latent.iter_mut().zip(clean) {
            *z += (clean - *z) / left * size;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_step_ends_at_the_prediction() {
        let params = ShortcutParams {
            steps: 4,
            ..ShortcutParams::default()
        };
        let mut latent = [2.0, -1.0];
        for i in 0..4 {
            params.advance(i, &mut latent, &[0.5, 0.25]);
            // On the straight line between noise and prediction.
            let expected = 2.0 - 1.5 * (i + 1) as f32 / 4.0;
            assert!((latent[0] - expected).abs() < 1e-6);
        }
        assert!((latent[1] - 0.25).abs() < 1e-6);
    }

    #[test]
    fn levels_are_those_of_the_step_size() {
        let of = |steps| {
            let params = ShortcutParams {
                steps,
                ..ShortcutParams::default()
            };
            let levels = params.levels(8).map(|level| (level.step, level.signal));
            levels.collect::<Vec<_>>()
        };
        assert_eq!(of(1), [(0, 0)]);
        assert_eq!(of(2), [(1, 0), (1, 4)]);
        assert_eq!(of(4), [(2, 0), (2, 2), (2, 4), (2, 6)]);
    }

    #[test]
    fn finished_frames_are_never_called_clean() {
        let context = |context_signal| {
            let params = ShortcutParams {
                context_signal,
                ..ShortcutParams::default()
            };
            let Level { step, signal } = params.context(8);
            (step, signal)
        };
        assert_eq!(context(1.0), (3, 7));
        assert_eq!(context(0.875), (3, 7));
        assert_eq!(context(0.5), (3, 4));
        assert_eq!(context(0.0), (3, 0));
    }
}
