//! Affine paths from noise to data: z_τ = α(τ) z₁ + σ(τ) z₀.
//!
//! Lipman et al., *Flow Matching for Generative Modeling* (2023); the general form and the change
//! of path follow Lipman et al., *Flow Matching Guide and Code* (2024), sections 4.6 and 4.7.

use std::f64::consts::FRAC_PI_2;

use candle_core::{DType, Tensor};
use serde::{Deserialize, Serialize};

use super::FlowError;
use crate::Result;

/// Divisors that vanish at an end of a path are kept at least this large.
///
/// At τ = 0 (α = 0) or τ = 1 (σ = 0) some quantities do not determine others: noise alone says
/// nothing about the data that was lost in it. There, conversions stay finite instead.
pub const LEAST_DIVISOR: f64 = 1e-6;

/// How the shares of data and noise change with the signal level.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Path {
    /// α = τ, σ = 1 − τ: straight lines, optimal transport from N(0, I) to a point.
    #[default]
    Linear,
    /// α = sin(πτ/2), σ = cos(πτ/2): variance preserving, α² + σ² = 1.
    Cosine,
    /// α = 1, σ = most · (least/most)^τ: variance exploding. At τ = 0 the data is still there
    /// under noise of standard deviation `most`.
    Exploding {
        /// σ at τ = 1.
        least: f64,
        /// σ at τ = 0.
        most: f64,
    },
}

/// α, σ and their derivatives by τ at one level or at many.
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
    /// σα′ − σ′α, which vanishes nowhere on a path.
    pub fn determinant(&self) -> f64 {
        self.sigma * self.alpha_dot - self.sigma_dot * self.alpha
    }
}

/// A level on another path that shows the same thing, up to a scale.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Match {
    /// The other path's level of the same ratio α/σ.
    pub tau: f64,
    /// z on the other path is this many times z on the own one.
    pub scale: f64,
}

impl Path {
    /// The coefficients at a signal level in [0, 1].
    ///
    /// # Errors
    /// The level lies outside, or the path's own numbers do not fit each other.
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
    /// A level lies outside [0, 1], the path's own numbers do not fit each other, or the device failed.
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
    /// The shapes do not fit, or a level lies outside [0, 1].
    pub fn interpolate(self, noise: &Tensor, data: &Tensor, tau: &Tensor) -> Result<Tensor> {
        let c = self.coefficients(tau)?;
        Ok((noise.broadcast_mul(&c.sigma)? + data.broadcast_mul(&c.alpha)?)?)
    }

    /// The level at which α/σ has a value in [0, ∞], the nearest one where no level has it.
    ///
    /// # Errors
    /// The ratio is negative or not a number, or the path's own numbers do not fit each other.
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

    /// Where a level of this path lies on another one: what was learned on `other` is asked at
    /// `tau` for `scale` · z, and answers with the same x̂ and ε̂.
    ///
    /// # Errors
    /// The level lies outside [0, 1], or a path's own numbers do not fit each other.
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

/// What z at the coefficients `own` is multiplied by to be z at those of the same ratio, `there`.
pub(super) fn scale(own: &Coefficients<f64>, there: &Coefficients<f64>) -> f64 {
    // Either quotient is the scale; the larger divisor loses less.
    match own.alpha > own.sigma {
        true => there.alpha / own.alpha,
        false => there.sigma / own.sigma,
    }
}

/// d ln σ / dτ of the variance-exploding path.
fn rate(least: f64, most: f64) -> Result<f64> {
    if !(least > 0.0 && most > least && most.is_finite()) {
        return Err(FlowError::Exploding { least, most }.into());
    }
    Ok((least / most).ln())
}

/// Whether a signal level lies in [0, 1].
///
/// # Errors
/// It does not.
pub fn level(tau: f64) -> Result<()> {
    if !(0.0..=1.0).contains(&tau) {
        return Err(FlowError::Level { tau }.into());
    }
    Ok(())
}

/// τ as [B, F] with as many trailing dimensions of size 1 as `like` has more.
///
/// # Errors
/// `like` has fewer dimensions than `tau`.
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
    fn derivatives_are_those_of_the_coefficients() {
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
    fn a_matching_level_has_the_same_ratio_and_its_scale_turns_one_z_into_the_other() {
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
    fn what_lies_outside_is_refused() {
        let said = |error: crate::Error| error.to_string();
        let error = said(Path::Linear.at(1.5).unwrap_err());
        assert_eq!(error, "signal level τ is 1.5, expected 0 to 1");
        assert!(Path::Cosine.at(f64::NAN).is_err());
        let levels = Tensor::new(&[0.5f32, -0.25], &Device::Cpu).unwrap();
        let error = said(
            Path::Linear
                .interpolate(&levels, &levels, &levels)
                .unwrap_err(),
        );
        assert_eq!(error, "signal level τ is -0.25, expected 0 to 1");
        let error = said(
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
