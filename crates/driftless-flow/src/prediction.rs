//! What a network may predict, and conversions between the predictions, on any affine path.
//!
//! With z_τ = α x + σ ε, the velocity is v = α′ x + σ′ ε and the score is ∇ log p(z_τ) = −ε/σ (Lipman
//! et al., *Flow Matching Guide and Code*, 2024, table 1). Given z_τ, each of x, v, ε and the score
//! determines the others, except at the ends: where σ = 0, x says nothing about ε and the score;
//! where α = 0, ε and the score say nothing about x. [`LEAST_DIVISOR`] keeps the conversions finite
//! there. The velocity determines x and ε everywhere, since σα′ − σ′α > 0.

use std::fmt;
use std::str::FromStr;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::path::{Coefficients, LEAST_DIVISOR};
use crate::{Error, FlowError, Result};

/// A quantity that a network predicts about z_τ.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prediction {
    /// The data, x̂.
    #[default]
    X,
    /// The velocity of the probability-flow ODE, v̂ = dz/dτ.
    V,
    /// The noise, ε̂.
    Eps,
    /// The score, ∇ log p_τ(z_τ).
    Score,
}

/// x̂ and ε̂ as linear combinations of a prediction and z.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weights {
    /// x̂ = `clean[0]` · prediction + `clean[1]` · z.
    pub clean: [f64; 2],
    /// ε̂ = `noise[0]` · prediction + `noise[1]` · z.
    pub noise: [f64; 2],
}

impl Prediction {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::X, Self::V, Self::Eps, Self::Score];

    /// Its name in settings and checkpoints.
    pub fn name(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::V => "v",
            Self::Eps => "eps",
            Self::Score => "score",
        }
    }

    /// The weights of [`Prediction::estimates`] at one level.
    pub fn weights(self, at: &Coefficients<f64>) -> Weights {
        let &Coefficients {
            alpha,
            sigma,
            alpha_dot,
            sigma_dot,
        } = at;
        let alpha_least = alpha.max(LEAST_DIVISOR);
        match self {
            Self::X => {
                let sigma = sigma.max(LEAST_DIVISOR);
                Weights {
                    clean: [1.0, 0.0],
                    noise: [-alpha / sigma, 1.0 / sigma],
                }
            }
            Self::V => {
                let determinant = at.determinant();
                Weights {
                    clean: [sigma / determinant, -sigma_dot / determinant],
                    noise: [-alpha / determinant, alpha_dot / determinant],
                }
            }
            Self::Eps => Weights {
                clean: [-sigma / alpha_least, 1.0 / alpha_least],
                noise: [1.0, 0.0],
            },
            Self::Score => Weights {
                clean: [sigma * sigma / alpha_least, 1.0 / alpha_least],
                noise: [-sigma, 0.0],
            },
        }
    }

    /// (x̂, ε̂) from this prediction `value` for `z`; `at` broadcasts against `z`.
    ///
    /// # Errors
    /// Returns an error if the shapes do not match.
    pub fn estimates(
        self,
        value: &Tensor,
        z: &Tensor,
        at: &Coefficients<Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let clean = |noise: &Tensor| -> Result<Tensor> {
            let data = (z - noise.broadcast_mul(&at.sigma)?)?;
            Ok(data.broadcast_div(&divisor(&at.alpha)?)?)
        };
        Ok(match self {
            Self::X => {
                let noise = (z - value.broadcast_mul(&at.alpha)?)?;
                (value.clone(), noise.broadcast_div(&divisor(&at.sigma)?)?)
            }
            Self::V => {
                let determinant = ((&at.sigma * &at.alpha_dot)? - (&at.sigma_dot * &at.alpha)?)?;
                let x = (value.broadcast_mul(&at.sigma)? - z.broadcast_mul(&at.sigma_dot)?)?;
                let noise = (z.broadcast_mul(&at.alpha_dot)? - value.broadcast_mul(&at.alpha)?)?;
                (
                    x.broadcast_div(&determinant)?,
                    noise.broadcast_div(&determinant)?,
                )
            }
            Self::Eps => (clean(value)?, value.clone()),
            Self::Score => {
                let noise = value.broadcast_mul(&at.sigma)?.neg()?;
                (clean(&noise)?, noise)
            }
        })
    }

    /// This prediction from (x̂, ε̂).
    ///
    /// # Errors
    /// Returns an error if the shapes do not match.
    pub fn of(self, (x, noise): (&Tensor, &Tensor), at: &Coefficients<Tensor>) -> Result<Tensor> {
        Ok(match self {
            Self::X => x.clone(),
            Self::V => (x.broadcast_mul(&at.alpha_dot)? + noise.broadcast_mul(&at.sigma_dot)?)?,
            Self::Eps => noise.clone(),
            Self::Score => noise.broadcast_div(&divisor(&at.sigma)?)?.neg()?,
        })
    }

    /// Converts this prediction for `z` into another.
    ///
    /// # Errors
    /// Returns an error if the shapes do not match.
    pub fn convert(
        self,
        to: Self,
        value: &Tensor,
        z: &Tensor,
        at: &Coefficients<Tensor>,
    ) -> Result<Tensor> {
        if self == to {
            return Ok(value.clone());
        }
        let (x, noise) = self.estimates(value, z, at)?;
        to.of((&x, &noise), at)
    }
}

impl fmt::Display for Prediction {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Prediction {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|p| p.name() == name);
        found.ok_or_else(|| {
            FlowError::Name {
                what: "prediction",
                name: name.to_owned(),
                expected: "x, v, eps or score",
            }
            .into()
        })
    }
}

/// A coefficient to divide by.
fn divisor(coefficient: &Tensor) -> Result<Tensor> {
    Ok(coefficient.maximum(LEAST_DIVISOR)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};
    use proptest::prelude::*;

    use super::super::path::{Path, expand};
    use super::*;

    fn rows(t: &Tensor) -> Vec<f64> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn close(a: &Tensor, b: &Tensor, within: f64) -> bool {
        let pairs = rows(a).into_iter().zip(rows(b));
        pairs
            .into_iter()
            .all(|(a, b)| (a - b).abs() <= within * (1.0 + b.abs()))
    }

    fn path() -> impl Strategy<Value = Path> {
        prop_oneof![
            Just(Path::Linear),
            Just(Path::Cosine),
            (0.01..0.5, 1.0..80.0).prop_map(|(least, most)| Path::Exploding { least, most }),
        ]
    }

    /// Data, noise and a level for each sample, of a random shape.
    fn samples() -> impl Strategy<Value = (Vec<usize>, Vec<f64>, Vec<f64>, Vec<f64>)> {
        proptest::collection::vec(1usize..4, 1..4).prop_flat_map(|shape| {
            let (count, first) = (shape.iter().product::<usize>(), shape[0]);
            let values = || proptest::collection::vec(-4.0..4.0, count);
            let levels = proptest::collection::vec(0.02..0.98, first);
            (Just(shape), values(), values(), levels)
        })
    }

    proptest! {
        #[test]
        fn predictions_convert_into_each_other(
            path in path(),
            (shape, data, noise, tau) in samples(),
        ) {
            let tensor = |values| Tensor::from_vec(values, shape.clone(), &Device::Cpu).unwrap();
            let (x, noise) = (tensor(data), tensor(noise));
            let tau = Tensor::from_vec(tau, shape[0], &Device::Cpu).unwrap();
            let tau = expand(&tau, &x).unwrap();
            let at = path.coefficients(&tau).unwrap();
            let z = path.interpolate(&noise, &x, &tau).unwrap();
            for from in Prediction::ALL {
                let value = from.of((&x, &noise), &at).unwrap();
                let (clean, eps) = from.estimates(&value, &z, &at).unwrap();
                // Dividing by the smaller coefficient, at least 0.01, loses digits.
                prop_assert!(close(&clean, &x, 1e-9), "{from} {path:?}");
                prop_assert!(close(&eps, &noise, 1e-9), "{from} {path:?}");
                for to in Prediction::ALL {
                    let there = from.convert(to, &value, &z, &at).unwrap();
                    prop_assert!(close(&there, &to.of((&x, &noise), &at).unwrap(), 1e-8));
                    let back = to.convert(from, &there, &z, &at).unwrap();
                    prop_assert!(close(&back, &value, 1e-8), "{from} {to} {path:?}");
                }
            }
        }
    }

    #[test]
    fn conversions_are_finite_at_the_ends() {
        let value = Tensor::new(&[0.5f32, -2.0], &Device::Cpu).unwrap();
        let z = Tensor::new(&[1.5f32, 0.25], &Device::Cpu).unwrap();
        for path in [Path::Linear, Path::Cosine] {
            for tau in [0f32, 1e-7, 1.0 - 1e-7, 1.0] {
                let tau = Tensor::new(&[tau], &Device::Cpu).unwrap();
                let at = path.coefficients(&tau).unwrap();
                for from in Prediction::ALL {
                    for to in Prediction::ALL {
                        let there = from.convert(to, &value, &z, &at).unwrap();
                        let there: Vec<f32> = there.to_vec1().unwrap();
                        assert!(there.iter().all(|x| x.is_finite()), "{from} {to} {path:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn weights_agree_with_estimates() {
        let tensor = |v: f64| Tensor::new(&[v], &Device::Cpu).unwrap();
        let (value, z) = (0.75, -1.5);
        for path in [Path::Linear, Path::Cosine] {
            for tau in [0.0, 0.3, 1.0] {
                let at = path.coefficients(&tensor(tau)).unwrap();
                for prediction in Prediction::ALL {
                    let weights = prediction.weights(&path.at(tau).unwrap());
                    let (x, noise) = prediction
                        .estimates(&tensor(value), &tensor(z), &at)
                        .unwrap();
                    for ([a, b], tensor) in [(weights.clean, x), (weights.noise, noise)] {
                        let (sum, tensor) = (a * value + b * z, rows(&tensor)[0]);
                        let gap = (sum - tensor).abs() / (1.0 + tensor.abs());
                        assert!(gap < 1e-9, "{prediction} {path:?} {tau}: {sum} {tensor}");
                    }
                }
            }
        }
    }

    #[test]
    fn linear_path_matches_known_formulas() {
        // x = 3, ε = 0.5, τ = 0.25: z = 1.125, v = x − ε = 2.5, score = −ε/(1 − τ).
        let tensor = |v: f64| Tensor::new(&[v], &Device::Cpu).unwrap();
        let at = Path::Linear.coefficients(&tensor(0.25)).unwrap();
        let z = tensor(1.125);
        let v = Prediction::X.convert(Prediction::V, &tensor(3.0), &z, &at);
        assert!((rows(&v.unwrap())[0] - 2.5).abs() < 1e-12);
        let score = Prediction::V.convert(Prediction::Score, &tensor(2.5), &z, &at);
        assert!((rows(&score.unwrap())[0] + 0.5 / 0.75).abs() < 1e-12);
    }

    #[test]
    fn names_round_trip() {
        for p in Prediction::ALL {
            assert_eq!(p.name().parse::<Prediction>().unwrap(), p);
        }
        let error = "w".parse::<Prediction>().unwrap_err().to_string();
        assert_eq!(
            error,
            "unknown prediction \"w\", expected x, v, eps or score"
        );
    }
}
