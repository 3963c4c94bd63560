//! How likely a sample is to the model: the change of variables along the probability-flow ODE.
//!
//! With dz/dτ = v(z, τ) the log density along a trajectory changes by d ln p_τ(z)/dτ = −∇·v, so
//!
//! ln p_τ(z_τ) = ln p_0(z_0) − ∫₀^τ ∇·v(z_s, s) ds
//!
//! where z_0 is where the ODE carries z_τ backwards (Chen et al., *Neural Ordinary Differential
//! Equations*, 2018, theorem 1; Song et al., *Score-Based Generative Modeling through Stochastic
//! Differential Equations*, 2021, appendix D.2). The sum of the derivatives ∂vᵢ/∂zᵢ is taken by one
//! backward pass for each dimension, or estimated as E[εᵀ (∂v/∂z) ε] with random probes of
//! E[ε εᵀ] = I, one pass for each probe (Hutchinson's estimator; Grathwohl et al., *FFJORD*, 2019,
//! section 3.1). A pass serves all items of a batch.

use std::f64::consts::{LN_2, TAU};

use candle_core::{DType, Tensor, Var};
use rand::{Rng, RngCore};

use super::FlowError;
use super::path::{Path, level};
use super::solver::{Adaptive, Grid, Method, State, solve};
use crate::Result;

/// v(z, τ) made of differentiable tensor operations; z and v are [N, ..], and every item's velocity
/// depends on that item alone. Where items depend on each other, give them as one: [1, N, ..].
///
/// Parameters that are variables get gradients too, for nothing: better detach them.
pub type Velocity<'a> = dyn Fn(&Tensor, f64) -> Result<Tensor> + 'a;

/// How ∇·v is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// One backward pass for each dimension of an item.
    Exact,
    /// An unbiased estimate, by one backward pass for each probe. The probes stay the same along
    /// the path (Grathwohl et al. 2019, section 3.1), so that the integrand is smooth.
    Hutchinson {
        /// How many, at least 1. From 2 on there is a standard error.
        probes: usize,
        /// Of what.
        kind: Probe,
    },
}

/// What a probe is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// −1 or 1: of least variance, and exact where ∂v/∂z is diagonal.
    Rademacher,
    /// N(0, 1).
    Gaussian,
}

/// How the ODE is integrated.
#[derive(Clone, Debug, PartialEq)]
pub enum Integrator {
    /// In steps that are given.
    Fixed {
        /// The method.
        method: Method,
        /// How the steps are spaced.
        grid: Grid,
        /// Their number.
        steps: usize,
    },
    /// In steps as large as a tolerance allows.
    Adaptive(Adaptive),
}

impl Integrator {
    /// The state at the level `to`.
    ///
    /// # Errors
    /// As [`solve`] and [`Grid::levels`], or [`Adaptive::solve`].
    pub fn solve<S: State>(
        &self,
        from: f64,
        to: f64,
        start: &S,
        velocity: &mut dyn FnMut(&S, f64) -> Result<S>,
    ) -> Result<S> {
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
    /// The standard error of `nats` over the probes, where there are several.
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

/// ln p(z) of every item of z [N, ..] at the level `from`, by the ODE from there to noise, which is
/// N(0, σ(0)² I).
///
/// A velocity made of x̂ or ε̂ is not finite at τ = 1: start a little below it. On the exploding path
/// the start is noise plus data, here taken for noise alone: the larger σ(0), the better. The error
/// is of the order of ‖E x‖/σ(0) nats.
///
/// # Errors
/// `from` is not in (0, 1], z is empty or not finite, there are no probes, the velocity is of another
/// shape, not finite or not differentiable, or the integrator gave up.
pub fn log_likelihood(
    velocity: &Velocity,
    z: &Tensor,
    path: Path,
    from: f64,
    integrator: &Integrator,
    divergence: Divergence,
    rng: &mut dyn RngCore,
) -> Result<Vec<LogLikelihood>> {
    level(from)?;
    let probes = Probes::draw(divergence, z, rng)?;
    let items = z.dim(0)?;
    let start = Joint {
        z: z.detach(),
        integrals: vec![0.0; items * probes.count()],
    };
    let end = integrator.solve(from, 0.0, &start, &mut |at: &Joint, tau| {
        probes.slope(velocity, &at.z, tau)
    })?;
    let (noise, dimensions) = (end.z.numbers()?, z.elem_count() / items);
    let variance = path.at(0.0)?.sigma.powi(2);
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

/// ∇·v of every item of z [N, ..] at a level.
///
/// # Errors
/// As [`log_likelihood`].
pub fn divergences(
    velocity: &Velocity,
    z: &Tensor,
    tau: f64,
    divergence: Divergence,
    rng: &mut dyn RngCore,
) -> Result<Vec<f64>> {
    level(tau)?;
    let probes = Probes::draw(divergence, z, rng)?;
    let slope = probes.slope(velocity, z, tau)?.integrals;
    Ok((0..z.dim(0)?).map(|n| probes.mean(&slope, n).0).collect())
}

/// What the solver moves: z and the integrals of ∇·v, [probe][item], in double precision.
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

/// The probes of every item, each a tensor of the shape of z; none stands for the exact way.
struct Probes(Option<Vec<Tensor>>);

impl Probes {
    fn draw(divergence: Divergence, z: &Tensor, rng: &mut dyn RngCore) -> Result<Self> {
        if z.elem_count() == 0 {
            return Err(shape("z", z, "at least one number".to_owned()));
        }
        let Divergence::Hutchinson { probes, kind } = divergence else {
            return Ok(Self(None));
        };
        if probes == 0 {
            return Err(FlowError::Range {
                what: "the number of probes",
                value: 0.0,
                expected: "1 or more",
            }
            .into());
        }
        let mut probe = || match kind {
            Probe::Gaussian => z.normal_like(&mut *rng),
            Probe::Rademacher => {
                let sign = |_| if rng.random() { 1.0 } else { -1.0 };
                let signs: Vec<f64> = (0..z.elem_count()).map(sign).collect();
                let signs = Tensor::from_vec(signs, z.shape(), z.device())?;
                Ok(signs.to_dtype(z.dtype())?)
            }
        };
        let drawn: Result<_> = (0..probes).map(|_| probe()).collect();
        Ok(Self(Some(drawn?)))
    }

    /// Estimates for each item.
    fn count(&self) -> usize {
        self.0.as_ref().map_or(1, Vec::len)
    }

    /// v and, for every probe and item, ∇·v.
    fn slope(&self, velocity: &Velocity, z: &Tensor, tau: f64) -> Result<Joint> {
        let z = Var::from_tensor(&z.detach())?;
        let v = velocity(&z, tau)?;
        if v.dims() != z.dims() {
            return Err(shape(
                "the velocity",
                &v,
                format!("that of z, {:?}", z.dims()),
            ));
        }
        // Items do not depend on each other: the gradient of a sum over them is theirs, row by row.
        let gradient = |sum: Tensor| -> Result<Tensor> {
            let mut all = sum.backward()?;
            all.remove(&z)
                .ok_or_else(|| FlowError::NotDifferentiable { tau }.into())
        };
        let rows = |t: &Tensor| t.reshape((z.dim(0)?, ()));
        let numbers = |per_item: Tensor| per_item.to_dtype(DType::F64)?.numbers();
        let integrals = match &self.0 {
            None => {
                let v = rows(&v)?;
                let mut sum = vec![0.0; z.dim(0)?];
                for d in 0..v.dim(1)? {
                    let row = rows(&gradient(v.narrow(1, d, 1)?.sum_all()?)?)?;
                    let own = numbers(row.narrow(1, d, 1)?)?;
                    sum.iter_mut().zip(own).for_each(|(sum, x)| *sum += x);
                }
                sum
            }
            Some(probes) => {
                let mut all = Vec::new();
                for probe in probes {
                    let pulled = gradient((&v * probe)?.sum_all()?)?;
                    all.extend(numbers(rows(&(pulled * probe)?)?.sum(1)?)?);
                }
                all
            }
        };
        let z = v.detach();
        Ok(Joint { z, integrals })
    }

    /// The mean over the probes of item n, and its standard error.
    fn mean(&self, integrals: &[f64], n: usize) -> (f64, Option<f64>) {
        let count = self.count();
        let own = || integrals.iter().skip(n).step_by(integrals.len() / count);
        let mean = own().sum::<f64>() / count as f64;
        let squares: f64 = own().map(|x| (x - mean).powi(2)).sum();
        let error = (count > 1).then(|| (squares / ((count - 1) * count) as f64).sqrt());
        (mean, error)
    }
}

fn shape(what: &'static str, tensor: &Tensor, expected: String) -> crate::Error {
    let shape = tensor.dims().to_vec();
    FlowError::Shape {
        what,
        shape,
        expected,
    }
    .into()
}

#[cfg(test)]
#[path = "likelihood_tests.rs"]
mod tests;
