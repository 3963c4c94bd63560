//! Affine paths from noise to data: z_τ = α(τ) z₁ + σ(τ) z₀.
//!
//! See Lipman et al., *Flow Matching for Generative Modeling* (2023). The general form and the change
//! of path follow Lipman et al., *Flow Matching Guide and Code* (2024), sections 4.6 and 4.7.

use std::f64::consts::FRAC_PI_2;

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use crate::{FlowError, Result};

/// Divisors that vanish at an end of a path are clamped to this value.
///
/// At τ = 0 (α = 0) and τ = 1 (σ = 0) some quantities do not determine others: pure noise says
/// nothing about the data. Clamped conversions stay finite there.
pub const LEAST_DIVISOR: f64 = 1e-6;

/// How the shares of data and noise change with the signal level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Path {
    /// α = τ, σ = 1 − τ: straight lines, the optimal transport from N(0, I) to a point (Lipman et al.
    /// 2023, with σ_min = 0).
    #[default]
    Linear,
    /// α = sin(πτ/2), σ = cos(πτ/2): variance preserving, α² + σ² = 1 (the trigonometric interpolant
    /// of Albergo and Vanden-Eijnden, *Building Normalizing Flows with Stochastic Interpolants*,
    /// 2023).
    Cosine,
    /// α = 1, σ = most · (least/most)^τ: variance exploding (Song et al., *Score-Based Generative
    /// Modeling through Stochastic Differential Equations*, 2021). At τ = 0 the data is still there,
    /// under noise of standard deviation `most`.
    Exploding {
        /// σ at τ = 1.
        least: f64,
        /// σ at τ = 0.
        most: f64,
    },
}

/// α, σ and their derivatives with respect to τ, at one level or at many.
#[derive(Clone, Debug, PartialEq)]
pub struct Coefficients<T> {
    /// Share of the data.
    pub alpha: T,
    /// Share of the noise.
    pub sigma: T,
    /// dα/dτ.
    pub alpha_dot: T,
    /// dσ/dτ.
    pub sigma_dot: T,
}

impl Coefficients<f64> {
    /// σα′ − σ′α, the determinant of the map from (x, ε) to (v, z); it is nonzero on every path.
    pub fn determinant(&self) -> f64 {
        self.sigma * self.alpha_dot - self.sigma_dot * self.alpha
    }
}

/// A level on another path with the same ratio of data to noise.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// The other path's level with the same ratio α/σ.
    pub tau: f64,
    /// z on the other path divided by z on this one.
    pub scale: f64,
}

impl Path {
    /// The coefficients at a signal level in [0, 1].
    ///
    /// # Errors
    /// Returns an error if the level is outside [0, 1], or if the exploding path's parameters are
    /// invalid.
    pub fn at(self, tau: f64) -> Result<Coefficients<f64>> {
        level(tau)?;
        Ok(match self {
            Self::Linear => Coefficients {
                alpha: tau,
                sigma: 1.0 - tau,
                alpha_dot: 1.0,
                sigma_dot: -1.0,
            },
            Self::Cosine => {
                let (sin, cos) = (FRAC_PI_2 * tau).sin_cos();
                // cos(π/2) is not exactly 0 in floating point.
                let cos = if tau == 1.0 { 0.0 } else { cos };
                Coefficients {
                    alpha: sin,
                    sigma: cos,
                    alpha_dot: FRAC_PI_2 * cos,
                    sigma_dot: -FRAC_PI_2 * sin,
                }
            }
            Self::Exploding { least, most } => {
                let rate = rate(least, most)?;
                let sigma = most * (rate * tau).exp();
                Coefficients {
                    alpha: 1.0,
                    sigma,
                    alpha_dot: 0.0,
                    sigma_dot: rate * sigma,
                }
            }
        })
    }

    /// The coefficients at many signal levels, each a tensor of the shape of `tau`.
    ///
    /// # Errors
    /// Returns an error if a level is outside [0, 1], if the exploding path's parameters are invalid,
    /// or if the device fails.
    pub fn coefficients(self, tau: &Tensor) -> Result<Coefficients<Tensor>> {
        let levels = tau.flatten_all()?.to_dtype(DType::F64)?;
        for tau in levels.to_vec1::<f64>()? {
            level(tau)?;
        }
        Ok(match self {
            Self::Linear => Coefficients {
                alpha: tau.clone(),
                sigma: tau.affine(-1.0, 1.0)?,
                alpha_dot: tau.ones_like()?,
                sigma_dot: tau.ones_like()?.neg()?,
            },
            Self::Cosine => {
                let (sin, cos) = ((tau * FRAC_PI_2)?.sin()?, (tau * FRAC_PI_2)?.cos()?);
                Coefficients {
                    alpha_dot: (&cos * FRAC_PI_2)?,
                    sigma_dot: (&sin * -FRAC_PI_2)?,
                    alpha: sin,
                    sigma: cos,
                }
            }
            Self::Exploding { least, most } => {
                let rate = rate(least, most)?;
                let sigma = ((tau * rate)?.exp()? * most)?;
                Coefficients {
                    alpha: tau.ones_like()?,
                    alpha_dot: tau.zeros_like()?,
                    sigma_dot: (&sigma * rate)?,
                    sigma,
                }
            }
        })
    }

    /// z_τ = α(τ) z₁ + σ(τ) z₀; `tau` broadcasts against the others.
    ///
    /// # Errors
    /// Returns an error if the shapes do not match or if a level is outside [0, 1].
    pub fn interpolate(self, noise: &Tensor, data: &Tensor, tau: &Tensor) -> Result<Tensor> {
        let c = self.coefficients(tau)?;
        Ok((noise.broadcast_mul(&c.sigma)? + data.broadcast_mul(&c.alpha)?)?)
    }

    /// The level with the ratio α/σ = `ratio` in [0, ∞], or the nearest end of the path if there is
    /// none.
    ///
    /// # Errors
    /// Returns an error if the ratio is negative or NaN, or if the exploding path's parameters are
    /// invalid.
    pub fn level_of_ratio(self, ratio: f64) -> Result<f64> {
        if ratio.is_nan() || ratio < 0.0 {
            return Err(FlowError::Ratio { ratio }.into());
        }
        let tau = match self {
            Self::Linear if ratio.is_infinite() => 1.0,
            Self::Linear => ratio / (1.0 + ratio),
            Self::Cosine => ratio.atan() / FRAC_PI_2,
            Self::Exploding { least, most } => (1.0 / (ratio * most)).ln() / rate(least, most)?,
        };
        Ok(tau.clamp(0.0, 1.0))
    }

    /// The level and scale on another path that match a level of this one. A network trained on
    /// `other` gives x̂ and ε̂ for z if it is evaluated at the matching level on scale · z.
    ///
    /// # Errors
    /// Returns an error if the level is outside [0, 1], or if an exploding path's parameters are
    /// invalid.
    pub fn matching(self, tau: f64, other: Self) -> Result<Match> {
        let own = self.at(tau)?;
        if self == other {
            return Ok(Match { tau, scale: 1.0 });
        }
        let there = other.level_of_ratio(own.alpha / own.sigma)?;
        let c = other.at(there)?;
        let scale = scale(&own, &c);
        Ok(Match { tau: there, scale })
    }
}

/// The factor from z at the coefficients `own` to z at the coefficients `there` of the same ratio.
pub(super) fn scale(own: &Coefficients<f64>, there: &Coefficients<f64>) -> f64 {
    // Both quotients equal the scale; the larger divisor loses fewer digits.
    if own.alpha > own.sigma {
        there.alpha / own.alpha
    } else {
        there.sigma / own.sigma
    }
}

/// d ln σ / dτ of the variance-exploding path.
fn rate(least: f64, most: f64) -> Result<f64> {
    if !(least > 0.0 && most > least && most.is_finite()) {
        return Err(FlowError::Exploding { least, most }.into());
    }
    Ok((least / most).ln())
}

/// Checks a signal level.
///
/// # Errors
/// Returns an error if the level is outside [0, 1].
pub fn level(tau: f64) -> Result<()> {
    if !(0.0..=1.0).contains(&tau) {
        return Err(FlowError::Level { tau }.into());
    }
    Ok(())
}

/// Appends dimensions of size 1 to τ until it has as many as `like`, so that it broadcasts.
///
/// # Errors
/// Returns an error if the device fails.
pub fn expand(tau: &Tensor, like: &Tensor) -> Result<Tensor> {
    let mut dims = tau.dims().to_vec();
    dims.resize(like.rank().max(dims.len()), 1);
    Ok(tau.reshape(dims)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    const ALL: [Path; 3] = [
        Path::Linear,
        Path::Cosine,
        Path::Exploding {
            least: 0.01,
            most: 50.0,
        },
    ];

    #[test]
    fn the_linear_path_starts_at_noise_and_ends_at_data() {
        let noise = Tensor::new(&[[1f32, -2.0], [3.0, 4.0], [5.0, 6.0]], &Device::Cpu).unwrap();
        let data = Tensor::new(&[[9f32, 9.0], [7.0, -4.0], [1.0, 2.0]], &Device::Cpu).unwrap();
        let tau = Tensor::new(&[0f32, 0.25, 1.0], &Device::Cpu).unwrap();
        let tau = expand(&tau, &data).unwrap();
        let z = Path::Linear.interpolate(&noise, &data, &tau).unwrap();
        let z: Vec<Vec<f32>> = z.to_vec2().unwrap();
        assert_eq!(z, [[1.0, -2.0], [4.0, 2.0], [1.0, 2.0]]);
    }

    #[test]
    fn derivatives_match_differences() {
        for path in ALL {
            for tau in [0.1, 0.5, 0.9] {
                let h = 1e-6;
                let (a, c, b) = (
                    path.at(tau - h).unwrap(),
                    path.at(tau).unwrap(),
                    path.at(tau + h).unwrap(),
                );
                let slope = |low: f64, high: f64| (high - low) / (2.0 * h);
                assert!((slope(a.alpha, b.alpha) - c.alpha_dot).abs() < 1e-7);
                let error = (slope(a.sigma, b.sigma) - c.sigma_dot).abs();
                assert!(error < 1e-6 * c.sigma.max(1.0), "{path:?} {tau} {error}");
                assert!(c.determinant() > 0.0);
            }
        }
    }

    #[test]
    fn tensors_and_scalars_agree() {
        let levels = [0.0, 0.2, 0.75, 1.0];
        let tau = Tensor::new(&levels, &Device::Cpu).unwrap();
        for path in ALL {
            let many = path.coefficients(&tau).unwrap();
            let rows = [&many.alpha, &many.sigma, &many.alpha_dot, &many.sigma_dot]
                .map(|t| t.to_vec1::<f64>().unwrap());
            for (i, &level) in levels.iter().enumerate() {
                let one = path.at(level).unwrap();
                let one = [one.alpha, one.sigma, one.alpha_dot, one.sigma_dot];
                for (row, one) in rows.iter().zip(one) {
                    assert!((row[i] - one).abs() < 1e-12, "{path:?} {level}");
                }
            }
        }
    }

    #[test]
    fn matching_levels_have_equal_ratios() {
        for own in ALL {
            for other in ALL {
                for tau in [0.3, 0.5, 0.8] {
                    let a = own.at(tau).unwrap();
                    let Match { tau: there, scale } = own.matching(tau, other).unwrap();
                    let b = other.at(there).unwrap();
                    if there == 0.0 || there == 1.0 {
                        continue;
                    }
                    assert!((scale * a.alpha - b.alpha).abs() < 1e-9 * b.alpha.max(1.0));
                    assert!((scale * a.sigma - b.sigma).abs() < 1e-9 * b.sigma.max(1.0));
                    let back = other.matching(there, own).unwrap();
                    assert!((back.tau - tau).abs() < 1e-9);
                    assert!((back.scale * scale - 1.0).abs() < 1e-9);
                }
            }
        }
        assert_eq!(Path::Cosine.matching(0.0, Path::Linear).unwrap().tau, 0.0);
        assert_eq!(Path::Linear.matching(1.0, Path::Cosine).unwrap().tau, 1.0);
    }

    #[test]
    fn invalid_levels_are_rejected() {
        let message = |error: crate::Error| error.to_string();
        let error = message(Path::Linear.at(1.5).unwrap_err());
        assert_eq!(error, "signal level τ is 1.5, expected 0 to 1");
        assert!(Path::Cosine.at(f64::NAN).is_err());
        let levels = Tensor::new(&[0.5f32, -0.25], &Device::Cpu).unwrap();
        let error = message(
            Path::Linear
                .interpolate(&levels, &levels, &levels)
                .unwrap_err(),
        );
        assert_eq!(error, "signal level τ is -0.25, expected 0 to 1");
        let error = message(
            Path::Exploding {
                least: 2.0,
                most: 1.0,
            }
            .at(0.5)
            .unwrap_err(),
        );
        assert!(error.contains("0 < least < most"), "{error}");
    }
}
