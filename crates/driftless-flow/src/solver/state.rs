//! The states of solvers.

use candle_core::{DType, Tensor};
use rand::RngCore;
use rand_distr::{Distribution, StandardNormal};

use crate::{FlowError, Result};

/// The state of a solver: a tensor, or a plain vector for engines without tensors.
pub trait State: Clone {
    /// The weighted sum Σ wᵢ termᵢ of one or more terms of the same shape.
    ///
    /// # Errors
    /// Returns an error if there is no term, if the shapes differ, or if the device fails.
    fn combine(terms: &[(f64, &Self)]) -> Result<Self>;

    /// Standard normal numbers with the shape of this state.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    fn normal_like(&self, rng: &mut dyn RngCore) -> Result<Self>;

    /// All numbers, for norms and for checking that they are finite.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    fn numbers(&self) -> Result<Vec<f64>>;
}

/// Any shape, any floating-point type, any device.
impl State for Tensor {
    fn combine(terms: &[(f64, &Self)]) -> Result<Self> {
        let [(weight, term), rest @ ..] = terms else {
            return Err(no_term());
        };
        let mut sum = (*term * *weight)?;
        for (weight, term) in rest {
            sum = (sum + (*term * *weight)?)?;
        }
        Ok(sum)
    }

    fn normal_like(&self, rng: &mut dyn RngCore) -> Result<Self> {
        let numbers: Vec<f64> = normal(self.elem_count(), rng).collect();
        let numbers = Self::from_vec(numbers, self.shape(), self.device())?;
        Ok(numbers.to_dtype(self.dtype())?)
    }

    fn numbers(&self) -> Result<Vec<f64>> {
        Ok(self.flatten_all()?.to_dtype(DType::F64)?.to_vec1()?)
    }
}

/// Sums are taken in double precision and rounded once.
impl State for Vec<f32> {
    fn combine(terms: &[(f64, &Self)]) -> Result<Self> {
        let [(_, first), ..] = terms else {
            return Err(no_term());
        };
        if let Some((_, odd)) = terms.iter().find(|(_, term)| term.len() != first.len()) {
            return Err(FlowError::Range {
                what: "the length of a state",
                value: odd.len() as f64,
                expected: "that of the others it is added to",
            }
            .into());
        }
        let sum = |i| -> f64 { terms.iter().map(|(w, term)| w * f64::from(term[i])).sum() };
        Ok((0..first.len()).map(|i| sum(i) as f32).collect())
    }

    fn normal_like(&self, rng: &mut dyn RngCore) -> Result<Self> {
        Ok(normal(self.len(), rng).map(|x| x as f32).collect())
    }

    fn numbers(&self) -> Result<Vec<f64>> {
        Ok(self.iter().map(|&x| f64::from(x)).collect())
    }
}

fn normal(count: usize, rng: &mut dyn RngCore) -> impl Iterator<Item = f64> {
    (0..count).map(|_| StandardNormal.sample(&mut *rng))
}

fn no_term() -> crate::Error {
    FlowError::Range {
        what: "the number of terms of a sum",
        value: 0.0,
        expected: "1 or more",
    }
    .into()
}

/// Returns the state if all its numbers are finite.
pub(super) fn finite<S: State>(state: S, what: &'static str, tau: f64) -> Result<S> {
    if !state.numbers()?.iter().all(|x| x.is_finite()) {
        return Err(FlowError::NotFinite { what, tau }.into());
    }
    Ok(state)
}
