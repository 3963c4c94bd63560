//! What solvers move.

use candle_core::{DType, Tensor};
use rand::RngCore;
use rand_distr::{Distribution, StandardNormal};

use crate::FlowError;
use crate::Result;

/// What a solver moves: a tensor, or a plain vector where an engine has no use for tensors.
pub trait State: Clone {
    /// Σ wᵢ termᵢ; terms are of one shape, at least one.
    ///
    /// # Errors
    /// There is no term, the shapes differ, or the device failed.
    fn combine(terms: &[(f64, &Self)]) -> Result<Self>;

    /// Standard normal numbers in the shape of this state.
    ///
    /// # Errors
    /// The device failed.
    fn normal_like(&self, rng: &mut dyn RngCore) -> Result<Self>;

    /// All numbers, for norms and for checks of finiteness.
    ///
    /// # Errors
    /// The device failed.
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
