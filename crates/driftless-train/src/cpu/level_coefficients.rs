//! An objective as numbers: what a frame's level makes of outputs, targets and errors.
//!
//! On an affine path every conversion is a weighted sum with z, so the loss in any space is a weight
//! times the plain squared error of what the network puts out.

use crate::{Error, Result};
use driftless_flow::objective::{Objective, step_shares};
use driftless_flow::prediction::Prediction;

/// a · x + b · z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Combination {
    pub of: f32,
    pub z: f32,
}

impl Combination {
    fn new(of: f64, z: f64) -> Self {
        Self {
            of: of as f32,
            z: z as f32,
        }
    }

    /// Writes a · x + b · z.
    pub(super) fn apply(self, x: &[f32], z: &[f32], out: &mut [f32]) {
        for ((out, x), z) in out.iter_mut().zip(x).zip(z) {
            *out = self.of * x + self.z * z;
        }
    }
}

/// What one signal level means.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LevelCoefficients {
    /// x̂ from the network's output.
    pub clean: Combination,
    /// What the network should put out for a clean target.
    pub target: Combination,
    /// Weight of the output's mean squared error.
    pub weight: f32,
}

impl LevelCoefficients {
    pub(super) fn new(objective: &Objective, tau: f32) -> Result<Self> {
        let at = objective.path.at(f64::from(tau))?;
        let own = objective.prediction.weights(&at);
        let clean = Prediction::X.weights(&at);
        let target = match objective.prediction {
            Prediction::X => [1.0, 0.0],
            Prediction::V => [
                at.alpha_dot + at.sigma_dot * clean.noise[0],
                at.sigma_dot * clean.noise[1],
            ],
            Prediction::Eps => clean.noise,
            Prediction::Score => {
                return Err(Error::Argument(
                    "a network cannot be trained to predict the score".into(),
                ));
            }
        };
        // How much an error of the output moves the quantity that counts.
        let (gain, weight) = match objective.space {
            Prediction::X => (own.clean[0], 0.9 * f64::from(tau) + 0.1),
            Prediction::V => (
                at.alpha_dot * own.clean[0] + at.sigma_dot * own.noise[0],
                1.0,
            ),
            Prediction::Eps | Prediction::Score => (own.noise[0], 1.0),
        };
        Ok(Self {
            clean: Combination::new(own.clean[0], own.clean[1]),
            target: Combination::new(target[0], target[1]),
            weight: (weight * gain * gain) as f32,
        })
    }
}

/// The two half steps of a shortcut target, as `Objective::shortcut_target` takes them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ShortcutCoefficients {
    /// LevelCoefficients in the middle, and x̂ from what the network puts out there.
    pub middle: f32,
    pub clean: Combination,
    /// From z and x̂ at the start to the middle, from there to the end.
    pub first: Combination,
    pub second: Combination,
    /// From where the halves end, and z, to the x̂ that goes there in one step.
    pub whole: Combination,
}

impl ShortcutCoefficients {
    pub(super) fn new(objective: &Objective, tau: f32, d: f32) -> Result<Self> {
        let grid = (tau / d).floor() * d;
        let (middle, end) = (grid + 0.5 * d, grid + d);
        let shares = |from: f32, to: f32| {
            step_shares(objective.path, f64::from(from), f64::from(to.min(1.0)))
        };
        let mix = |(keep, take): (f64, f64)| Combination::new(take, keep);
        let (keep, take) = shares(tau, end)?;
        Ok(Self {
            middle,
            clean: LevelCoefficients::new(objective, middle)?.clean,
            first: mix(shares(tau, middle)?),
            second: mix(shares(middle, end)?),
            whole: Combination::new(1.0 / take, -keep / take),
        })
    }
}
