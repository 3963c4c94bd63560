//! Log likelihoods by the change of variables along the probability-flow ODE.
//!
//! With dz/dτ = v(z, τ) the log density along a trajectory changes by d ln p_τ(z)/dτ = −∇·v, so
//!
//! ln p_τ(z_τ) = ln p_0(z_0) − ∫₀^τ ∇·v(z_s, s) ds
//!
//! where z_0 is where the ODE carries z_τ backwards (Chen et al., *Neural Ordinary Differential
//! Equations*, 2018, theorem 1; Song et al., *Score-Based Generative Modeling through Stochastic
//! Differential Equations*, 2021, appendix D.2). [`super::divergence`] computes ∇·v.

use std::f64::consts::{LN_2, TAU};

use candle_core::Tensor;
use rand::RngCore;

use super::divergence::shape;
use super::path::{Path, level};
use super::solver::{Adaptive, Grid, Method, State, solve};
use crate::{CallbackError, FlowError, Result};

pub use super::divergence::{Divergence, Probe, Probes, Velocity, divergences};

/// How the ODE is integrated.
#[derive(Clone, Debug, PartialEq)]
pub enum Integrator {
    /// With a fixed grid of steps.
    Fixed {
        /// The method.
        method: Method,
        /// How the steps are spaced.
        grid: Grid,
        /// Their number.
        steps: usize,
    },
    /// With steps as large as a tolerance allows.
    Adaptive(Adaptive),
}

impl Integrator {
    /// The state at the level `to`.
    ///
    /// # Errors
    /// As [`solve`] and [`Grid::levels`], or [`Adaptive::solve`].
    pub fn solve<S: State, E: CallbackError>(
        &self,
        from: f64,
        to: f64,
        start: &S,
        velocity: &mut dyn FnMut(&S, f64) -> Result<S, E>,
    ) -> Result<S, E> {
        match self {
            Self::Fixed {
                method,
                grid,
                steps,
            } => solve(*method, &grid.levels(*steps, from, to)?, start, velocity),
            Self::Adaptive(adaptive) => Ok(adaptive.solve(from, to, start, velocity)?.state),
        }
    }
}

/// The log density of one item.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LogLikelihood {
    /// ln p(z).
    pub nats: f64,
    /// The standard error of `nats` over the probes; `None` for a single probe and for exact
    /// divergence.
    pub standard_error: Option<f64>,
    /// Numbers in the item.
    pub dimensions: usize,
}

impl LogLikelihood {
    /// −log₂ p(z) / dimensions.
    pub fn bits_per_dimension(&self) -> f64 {
        -self.nats / (self.dimensions as f64 * LN_2)
    }
}

/// ln p(z) of every item of z [N, ..] at the level `from`, by the ODE from there to the noise
/// N(0, σ(0)² I). This is [`log_likelihood_between`] `from` and 0, with probes drawn for the batch.
///
/// # Errors
/// As [`log_likelihood_between`], or if the number of probes is 0.
pub fn log_likelihood<E: CallbackError>(
    velocity: &Velocity<E>,
    z: &Tensor,
    path: Path,
    from: f64,
    integrator: &Integrator,
    divergence: Divergence,
    rng: &mut dyn RngCore,
) -> Result<Vec<LogLikelihood>, E> {
    let probes = Probes::draw(divergence, z, rng)?;
    log_likelihood_between(velocity, z, path, [from, 0.0], integrator, &probes)
}

/// ln p(z) of every item of z [N, ..] at the first of two levels, by the ODE from there to the
/// second, lower one, where z is assumed to be pure noise N(0, σ² I).
///
/// A velocity computed from x̂ or ε̂ is not finite at τ = 1: start slightly below. If the lower level
/// still contains data (on the exploding path, or above τ = 0), the error is of the order of
/// α ‖E x‖/σ nats.
///
/// # Errors
/// Returns an error if a level is outside [0, 1], if the second level is not below the first, if z is
/// empty or not finite, if the velocity has another shape, is not finite or not differentiable, or
/// if the integrator gives up.
pub fn log_likelihood_between<E: CallbackError>(
    velocity: &Velocity<E>,
    z: &Tensor,
    path: Path,
    [from, to]: [f64; 2],
    integrator: &Integrator,
    probes: &Probes,
) -> Result<Vec<LogLikelihood>, E> {
    level(from)?;
    if to > from {
        return Err(FlowError::Range {
            what: "the level of noise",
            value: to,
            expected: "less than the level of z",
        }
        .into());
    }
    if z.elem_count() == 0 {
        return Err(shape("z", z, "at least one number".to_owned()).into());
    }
    let items = z.dim(0)?;
    let start = Joint {
        z: z.detach(),
        integrals: vec![0.0; items * probes.count()],
    };
    let end = integrator.solve(from, to, &start, &mut |at: &Joint,
                                                        tau|
     -> Result<Joint, E> {
        let (z, integrals) = probes.slope(velocity, &at.z, tau)?;
        Ok(Joint { z, integrals })
    })?;
    let (noise, dimensions) = (end.z.numbers()?, z.elem_count() / items);
    let variance = path.at(to)?.sigma.powi(2);
    let item = |(n, noise): (usize, &[f64])| {
        let square: f64 = noise.iter().map(|x| x * x / variance).sum();
        let volume = dimensions as f64 * (TAU * variance).ln();
        let (mean, standard_error) = probes.mean(&end.integrals, n);
        LogLikelihood {
            nats: mean - 0.5 * (square + volume),
            standard_error,
            dimensions,
        }
    };
    Ok(noise.chunks(dimensions).enumerate().map(item).collect())
}

/// The solver's state: z and the integrals of ∇·v, `[probe][item]`, in double precision.
#[derive(Clone)]
struct Joint {
    z: Tensor,
    integrals: Vec<f64>,
}

impl State for Joint {
    fn combine(terms: &[(f64, &Self)]) -> Result<Self> {
        let z: Vec<_> = terms.iter().map(|(w, term)| (*w, &term.z)).collect();
        let z = Tensor::combine(&z)?;
        let mut integrals = vec![0.0; terms[0].1.integrals.len()];
        for (weight, term) in terms {
            for (sum, x) in integrals.iter_mut().zip(&term.integrals) {
                *sum += weight * x;
            }
        }
        Ok(Self { z, integrals })
    }

    fn normal_like(&self, rng: &mut dyn RngCore) -> Result<Self> {
        let integrals = Tensor::new(self.integrals.as_slice(), self.z.device())?;
        Ok(Self {
            z: self.z.normal_like(rng)?,
            integrals: integrals.normal_like(rng)?.numbers()?,
        })
    }

    fn numbers(&self) -> Result<Vec<f64>> {
        let mut numbers = self.z.numbers()?;
        numbers.extend(&self.integrals);
        Ok(numbers)
    }
}

#[cfg(test)]
#[path = "likelihood_tests.rs"]
mod tests;
