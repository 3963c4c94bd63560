//! The coefficients of a training objective at the signal level of a frame.
//!
//! On an affine path, every prediction is a linear combination of any other and z. So the loss in any
//! space is the squared error of the network's output times a weight.

use crate::{Error, Result};
use driftless_flow::objective::{Objective, ShortcutTarget, Step, ramp_weight};
use driftless_flow::prediction::Prediction;

/// The linear combination a · x + b · z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Combination {
    pub x: f32,
    pub z: f32,
}

impl Combination {
    fn new(x: f64, z: f64) -> Self {
        Self {
            x: x as f32,
            z: z as f32,
        }
    }

    /// Writes a · x + b · z.
    pub(super) fn apply(self, x: &[f32], z: &[f32], out: &mut [f32]) {
        for ((out, x), z) in out.iter_mut().zip(x).zip(z) {
            *out = self.x * x + self.z * z;
        }
    }
}

/// The coefficients at one signal level.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct LevelCoefficients {
    /// x̂ of the network's output.
    pub clean: Combination,
    /// The output that corresponds to a clean target.
    pub target: Combination,
    /// Weight of the mean squared error of the output.
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
        // How much an error of the output changes the quantity whose error is the loss.
        let (gain, weight) = match objective.space {
            Prediction::X => (own.clean[0], ramp_weight(tau.into())),
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

/// The coefficients of a shortcut target: those of [`ShortcutTarget`] as combinations of x̂ and z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ShortcutCoefficients {
    /// The level in the middle, and x̂ of the output there.
    pub middle: f32,
    pub clean: Combination,
    /// The step from z to the middle, and from there to the end.
    pub first: Combination,
    pub second: Combination,
    /// The x̂ with which one step from z ends where the half steps end.
    pub whole: Combination,
}

impl ShortcutCoefficients {
    pub(super) fn new(objective: &Objective, tau: f32, d: f32) -> Result<Self> {
        let target = ShortcutTarget::new(objective.path, tau, d)?;
        let [first, second] = target
            .halves
            .map(|step| Combination::new(step.x_scale, step.z_scale));
        let Step {
            z_scale, x_scale, ..
        } = target.whole;
        Ok(Self {
            middle: target.middle,
            clean: LevelCoefficients::new(objective, target.middle)?.clean,
            first,
            second,
            whole: Combination::new(1.0 / x_scale, -z_scale / x_scale),
        })
    }
}
