//! Diffusion models as flow matching: the same models up to a change of time and scale.
//!
//! The posterior of the data given z depends on the level only through the ratio α/σ. So a network
//! trained on a discrete noise schedule (Ho et al., *Denoising Diffusion Probabilistic Models*, 2020),
//! on the variance-preserving SDE in continuous time (Song et al., *Score-Based Generative Modeling
//! through Stochastic Differential Equations*, 2021) or on any affine path gives the velocity on every
//! affine path: evaluate it at its own time with the same ratio, on z at its own scale, and insert x̂
//! and ε̂ into v = α′ x̂ + σ′ ε̂. Variance-preserving models follow the cosine path at another speed.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::path::{Coefficients, Match, Path, scale};
use super::prediction::Prediction;
use super::schedule::Schedule;
use crate::{FlowError, Result};

/// The least time at which the score of the VP-SDE is evaluated, the end of its training (Song et al.
/// 2021, appendix C). At 0 the score is infinite.
pub const LEAST_TIME: f64 = 1e-5;

/// The variance-preserving SDE dx = −½β(t) x dt + √β(t) dw with β(t) linear, t ∈ [0, 1] from data to
/// noise: x = √ᾱ x₀ + √(1 − ᾱ) ε, ᾱ = exp(−∫β) (Song et al. 2021, eqs. 11, 32 and 33).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VpSde {
    /// β(0).
    pub least: f64,
    /// β(1).
    pub most: f64,
}

impl Default for VpSde {
    /// The values of Song et al., the limit of Ho et al.'s thousand steps.
    fn default() -> Self {
        Self {
            least: 0.1,
            most: 20.0,
        }
    }
}

impl VpSde {
    /// α/σ = √ᾱ/√(1 − ᾱ) at a time.
    ///
    /// # Errors
    /// Returns an error if the time is outside [0, 1], or if not 0 < β(0) ≤ β(1).
    pub fn ratio(self, t: f64) -> Result<f64> {
        let slope = self.slope()?;
        let integral = self.least * time(t)? + 0.5 * slope * t * t;
        Ok(integral.exp_m1().sqrt().recip())
    }

    /// f = −½β x and g² = β at a time.
    ///
    /// # Errors
    /// As [`VpSde::ratio`].
    pub fn diffusion(self, t: f64) -> Result<Diffusion> {
        let beta = self.least + self.slope()? * time(t)?;
        Ok(Diffusion {
            drift: -0.5 * beta,
            noise: beta,
        })
    }

    /// The time with a ratio in [0, ∞]: ∫β = ln(1 + σ²/α²) is quadratic in t.
    fn time_of_ratio(self, ratio: f64) -> Result<f64> {
        let integral = ratio.powi(-2).ln_1p();
        let root = (self.least.powi(2) + 2.0 * self.slope()? * integral).sqrt();
        let t = 2.0 * integral / (self.least + root);
        // NaN only for ∞/∞, beyond the noise end.
        Ok(if t.is_nan() { 1.0 } else { t }.clamp(LEAST_TIME, 1.0))
    }

    fn slope(self) -> Result<f64> {
        if !(self.least > 0.0 && self.most >= self.least && self.most.is_finite()) {
            return Err(FlowError::Range {
                what: "β(1) of the VP-SDE",
                value: self.most,
                expected: "a number no less than β(0), which is above 0",
            }
            .into());
        }
        Ok(self.most - self.least)
    }
}

/// The coefficients at one time of a diffusion dx = f(x, t) dt + g(t) dw towards the noise, with f
/// linear in x.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Diffusion {
    /// f(x, t) / x.
    pub drift: f64,
    /// g²(t).
    pub noise: f64,
}

impl Diffusion {
    /// dx/dt = f − ½ g² ∇ log p of the probability-flow ODE (Song et al. 2021, eq. 13).
    ///
    /// # Errors
    /// Returns an error if the shapes do not match.
    pub fn derivative(&self, x: &Tensor, score: &Tensor) -> Result<Tensor> {
        Ok(((x * self.drift)? - (score * (0.5 * self.noise))?)?)
    }
}

impl Path {
    /// This path as a diffusion in the time t = 1 − τ: f = −(α′/α) z and g² = 2σ(σα′ − σ′α)/α, so
    /// that the probability-flow ODE has dz/dt = −v. (Lu et al., *DPM-Solver*, 2022, section 2.1:
    /// f = (d ln α/dt) z and g² = dσ²/dt − 2 (d ln α/dt) σ².)
    ///
    /// # Errors
    /// Returns an error if the level is outside [0, 1] or if α is 0 there, where the drift is infinite.
    pub fn diffusion(self, tau: f64) -> Result<Diffusion> {
        let at = self.at(tau)?;
        if at.alpha == 0.0 {
            return Err(FlowError::Range {
                what: "the signal level τ of a diffusion",
                value: tau,
                expected: "above 0, where some data is left",
            }
            .into());
        }
        Ok(Diffusion {
            drift: -at.alpha_dot / at.alpha,
            noise: 2.0 * at.sigma * at.determinant() / at.alpha,
        })
    }
}

/// How a network was trained: its own time, and what it predicts there.
#[derive(Clone, Debug, PartialEq)]
pub enum Trained {
    /// The noise ε(x, i) at the steps of a discrete schedule. It is also evaluated at fractional steps;
    /// a network that takes only integers must round.
    Ddpm(Schedule),
    /// The score s(x, t) of the variance-preserving SDE.
    VpSde(VpSde),
    /// A prediction at the signal levels of a path.
    Flow {
        /// The path.
        path: Path,
        /// What is predicted.
        prediction: Prediction,
    },
}

/// How to evaluate a network for z at a level of some path.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkInput {
    /// The network's own time: step, diffusion time or signal level.
    pub time: f64,
    /// The factor of z in the network's input.
    pub scale: f64,
}

impl Trained {
    /// How to evaluate this network for z at a level of `path`. Ratios α/σ outside its training range
    /// are clamped to it.
    ///
    /// # Errors
    /// Returns an error if the level is outside [0, 1], or if parameters of a path or of the SDE are
    /// invalid.
    pub fn network_input(&self, path: Path, tau: f64) -> Result<NetworkInput> {
        Ok(self.input_and_coefficients(path, tau)?.0)
    }

    /// The level of `path` that matches the network's own time, and the scale from the network's x to
    /// z there.
    ///
    /// # Errors
    /// Returns an error if the time is outside the network's range, or if parameters of a path or of
    /// the SDE are invalid.
    pub fn level_of_time(&self, time: f64, path: Path) -> Result<Match> {
        let ratio = match self {
            Self::Ddpm(schedule) => schedule.ratio(time)?,
            Self::VpSde(sde) => sde.ratio(time)?,
            Self::Flow { path: own, .. } => return own.matching(time, path),
        };
        Path::Cosine.matching(Path::Cosine.level_of_ratio(ratio)?, path)
    }

    /// The velocity on `path` for `z` at a level, from `network(x, time)`.
    ///
    /// # Errors
    /// As [`Trained::network_input`], or if the network fails or the shapes do not match.
    pub fn velocity(
        &self,
        path: Path,
        z: &Tensor,
        tau: f64,
        network: &mut dyn FnMut(&Tensor, f64) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let (input, there) = self.input_and_coefficients(path, tau)?;
        let x = (z * input.scale)?;
        let output = network(&x, input.time)?;
        let prediction = match self {
            Self::Ddpm(_) => Prediction::Eps,
            Self::VpSde(_) => Prediction::Score,
            Self::Flow { prediction, .. } => *prediction,
        };
        let (clean, noise) = prediction.estimates(&output, &x, &like(&there, z)?)?;
        let at = path.at(tau)?;
        Ok(((clean * at.alpha_dot)? + (noise * at.sigma_dot)?)?)
    }

    /// The network's input, and the coefficients of its own path there.
    fn input_and_coefficients(
        &self,
        path: Path,
        tau: f64,
    ) -> Result<(NetworkInput, Coefficients<f64>)> {
        let at = path.at(tau)?;
        let ratio = at.alpha / at.sigma;
        let (time, ratio, own) = match self {
            Self::Ddpm(schedule) => {
                let step = schedule.step_of_ratio(ratio);
                (step, schedule.ratio(step)?, Path::Cosine)
            }
            Self::VpSde(sde) => {
                let t = sde.time_of_ratio(ratio)?;
                (t, sde.ratio(t)?, Path::Cosine)
            }
            Self::Flow { path: own, .. } => {
                let there = path.matching(tau, *own)?;
                let (time, scale) = (there.tau, there.scale);
                return Ok((NetworkInput { time, scale }, own.at(time)?));
            }
        };
        let there = own.at(own.level_of_ratio(ratio)?)?;
        let scale = scale(&at, &there);
        Ok((NetworkInput { time, scale }, there))
    }
}

/// Checks that a time is in [0, 1].
fn time(t: f64) -> Result<f64> {
    if !(0.0..=1.0).contains(&t) {
        return Err(FlowError::Range {
            what: "the diffusion time",
            value: t,
            expected: "0 to 1",
        }
        .into());
    }
    Ok(t)
}

/// Coefficients as tensors of z's type that broadcast against it.
fn like(at: &Coefficients<f64>, z: &Tensor) -> Result<Coefficients<Tensor>> {
    let tensor = |value: f64| -> Result<Tensor> {
        let value = Tensor::full(value, vec![1; z.rank()], z.device())?;
        Ok(value.to_dtype(z.dtype())?)
    };
    Ok(Coefficients {
        alpha: tensor(at.alpha)?,
        sigma: tensor(at.sigma)?,
        alpha_dot: tensor(at.alpha_dot)?,
        sigma_dot: tensor(at.sigma_dot)?,
    })
}

#[cfg(test)]
#[path = "ddpm_tests.rs"]
mod tests;
