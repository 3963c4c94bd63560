//! The divergence ∇·v of a differentiable velocity, exact or estimated with random probes.
//!
//! The sum of ∂vᵢ/∂zᵢ takes one backward pass for each dimension. Hutchinson's estimator
//! E[εᵀ (∂v/∂z) ε] with random probes of E[ε εᵀ] = I takes one pass for each probe (Grathwohl et al.,
//! *FFJORD*, 2019, section 3.1). A pass serves all items of a batch.

use candle_core::{DType, Tensor, Var};
use rand::{Rng, RngCore};

use super::path::level;
use super::solver::State;
use crate::{CallbackError, FlowError, Result};

/// v(z, τ) made of differentiable tensor operations, with z and v [N, ..]. The velocity of an item
/// must depend on that item alone. Items that depend on each other must be one item: [1, N, ..].
///
/// Detach parameters that are variables: their gradients would be computed in vain.
pub type Velocity<'a, E = crate::Error> =
    dyn Fn(&Tensor, f64) -> std::result::Result<Tensor, E> + 'a;

/// How ∇·v is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Divergence {
    /// One backward pass for each dimension of an item.
    Exact,
    /// An unbiased estimate, by one backward pass for each probe.
    Hutchinson {
        /// Number of probes, at least 1. Two or more give a standard error.
        probes: usize,
        /// Their distribution.
        kind: Probe,
    },
}

/// The distribution of a probe's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// −1 or 1: the least variance, and exact if ∂v/∂z is diagonal.
    Rademacher,
    /// N(0, 1).
    Gaussian,
}

impl Probe {
    /// Draws a probe with the shape of `like`.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn draw(self, like: &Tensor, rng: &mut dyn RngCore) -> Result<Tensor> {
        if self == Self::Gaussian {
            return like.normal_like(rng);
        }
        let sign = |_| if rng.random() { 1.0 } else { -1.0 };
        let signs: Vec<f64> = (0..like.elem_count()).map(sign).collect();
        let signs = Tensor::from_vec(signs, like.shape(), like.device())?;
        Ok(signs.to_dtype(like.dtype())?)
    }
}

/// ∇·v of every item of z [N, ..] at a level.
///
/// # Errors
/// Returns an error if the level is outside [0, 1], if z is empty, if there are no probes, or if the
/// velocity has another shape or is not differentiable.
pub fn divergences<E: CallbackError>(
    velocity: &Velocity<E>,
    z: &Tensor,
    tau: f64,
    divergence: Divergence,
    rng: &mut dyn RngCore,
) -> Result<Vec<f64>, E> {
    level(tau)?;
    let probes = Probes::draw(divergence, z, rng)?;
    let slope = probes.slope(velocity, z, tau)?.1;
    Ok((0..z.dim(0)?).map(|n| probes.mean(&slope, n).0).collect())
}

/// The probes, each a tensor with the shape of z; `None` means the exact divergence. They stay the
/// same along a trajectory, so that the integrand is smooth (Grathwohl et al. 2019, section 3.1).
pub struct Probes(pub(super) Option<Vec<Tensor>>);

impl Probes {
    /// Draws the probes of `divergence` for z [N, ..].
    ///
    /// # Errors
    /// Returns an error if z is empty or if the number of probes is 0.
    pub fn draw(divergence: Divergence, z: &Tensor, rng: &mut dyn RngCore) -> Result<Self> {
        if z.elem_count() == 0 {
            return Err(shape("z", z, "at least one number".to_owned()));
        }
        match divergence {
            Divergence::Exact => Ok(Self(None)),
            Divergence::Hutchinson { probes, kind } => {
                let drawn: Result<_> = (0..probes).map(|_| kind.draw(z, rng)).collect();
                Self::given(drawn?)
            }
        }
    }

    /// Uses given probes, so that those of an item need not depend on its batch.
    ///
    /// # Errors
    /// Returns an error if there are none.
    pub fn given(probes: Vec<Tensor>) -> Result<Self> {
        if probes.is_empty() {
            return Err(FlowError::Range {
                what: "the number of probes",
                value: 0.0,
                expected: "1 or more",
            }
            .into());
        }
        Ok(Self(Some(probes)))
    }

    /// Number of estimates for each item.
    pub(super) fn count(&self) -> usize {
        self.0.as_ref().map_or(1, Vec::len)
    }

    /// v and, for every probe and item, ∇·v: `[probe][item]`.
    pub(super) fn slope<E: CallbackError>(
        &self,
        velocity: &Velocity<E>,
        z: &Tensor,
        tau: f64,
    ) -> Result<(Tensor, Vec<f64>), E> {
        let z = Var::from_tensor(&z.detach())?;
        let v = velocity(&z, tau)?;
        if v.dims() != z.dims() {
            return Err(shape("the velocity", &v, format!("that of z, {:?}", z.dims())).into());
        }
        // Items are independent, so the gradient of a sum over them holds each item's own gradient.
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
        Ok((v.detach(), integrals))
    }

    /// The mean over the probes for item n, and its standard error.
    pub(super) fn mean(&self, integrals: &[f64], n: usize) -> (f64, Option<f64>) {
        let count = self.count();
        let own = || integrals.iter().skip(n).step_by(integrals.len() / count);
        let mean = own().sum::<f64>() / count as f64;
        let squares: f64 = own().map(|x| (x - mean).powi(2)).sum();
        let error = (count > 1).then(|| (squares / ((count - 1) * count) as f64).sqrt());
        (mean, error)
    }
}

pub(super) fn shape(what: &'static str, tensor: &Tensor, expected: String) -> crate::Error {
    let shape = tensor.dims().to_vec();
    FlowError::Shape {
        what,
        shape,
        expected,
    }
    .into()
}
