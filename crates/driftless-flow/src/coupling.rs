//! Couplings: which sample of a source is paired with which sample of the data, if the source is a
//! batch of data (z₀) instead of N(0, I).
//!
//! Every coupling carries the source's distribution to the data's, but the velocity field depends on
//! it. Optimal transport within each batch gives straighter trajectories, which few steps follow well
//! (Tong et al., *Improving and Generalizing Flow-Based Generative Models with Minibatch Optimal
//! Transport*, 2023; Pooladian et al., *Multisample Flow Matching*, 2023). Velocity and x̂ remain
//! defined; −ε̂/σ is the score only for a Gaussian source.

use candle_core::{DType, Device, Tensor};
use pathfinding::prelude::{Matrix, kuhn_munkres};
use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::{FlowError, Result};

/// How source and data are paired within a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coupling {
    /// At random.
    #[default]
    Independent,
    /// As given: sample n of the source belongs to sample n of the data.
    Paired,
    /// The pairing with the least sum of squared distances, found exactly in O(N³).
    MinibatchOt,
}

impl Coupling {
    /// The source [N, ..] reordered so that sample n belongs to sample n of the data [N, ..].
    ///
    /// # Errors
    /// Returns an error if the batches are empty, differ in shape or are not finite, or if the device
    /// fails.
    pub fn pair(self, source: &Tensor, data: &Tensor, rng: &mut impl Rng) -> Result<Tensor> {
        let order = self.order(source, data, rng)?;
        let order = order.into_iter().map(|n| n as u32).collect::<Vec<_>>();
        Ok(source.index_select(&Tensor::new(order, source.device())?, 0)?)
    }

    /// The index of the source sample for each data sample, a permutation of 0..N.
    ///
    /// # Errors
    /// As [`Coupling::pair`].
    pub fn order(self, source: &Tensor, data: &Tensor, rng: &mut impl Rng) -> Result<Vec<usize>> {
        let (source_len, data_len) = (source.dim(0)?, data.dim(0)?);
        if source_len != data_len {
            return Err(FlowError::Unpaired {
                source_len,
                data_len,
            }
            .into());
        }
        if source.dims() != data.dims() || data.elem_count() == 0 {
            return Err(FlowError::Shape {
                what: "the source",
                shape: source.dims().to_vec(),
                expected: format!("that of the data {:?}, without an empty axis", data.dims()),
            }
            .into());
        }
        let mut order: Vec<usize> = (0..data_len).collect();
        match self {
            Self::Independent => order.shuffle(rng),
            Self::Paired => {}
            Self::MinibatchOt => order = assignment(source, data)?,
        }
        Ok(order)
    }
}

/// The assignment with the least Σ‖x − y‖². The squared norms do not depend on the assignment, so this
/// is the one with the greatest Σ⟨x − x̄, y − ȳ⟩, which stays accurate if the batches are far apart.
fn assignment(source: &Tensor, data: &Tensor) -> Result<Vec<usize>> {
    let n = data.dim(0)?;
    let x = centred("the source", source, 0.0)?;
    let y = centred("the data", data, 1.0)?;
    let gain: Vec<f64> = y.matmul(&x.t()?)?.flatten_all()?.to_vec1()?;
    Ok(greatest(&gain, n))
}

/// The index of the source sample for each data sample, a permutation of 0..N, with the greatest total
/// gain; `gain` is [N, N], a row for each data sample. Exact up to rounding, in O(N³).
pub fn greatest(gain: &[f64], n: usize) -> Vec<usize> {
    let most = gain.iter().fold(f64::MIN_POSITIVE, |m, g| m.max(g.abs()));
    // With integers the search terminates exactly. Labels reach 2N times the largest weight, and
    // sums 4N² times.
    let scale = 2f64.powi(58) / (n * n) as f64;
    let weights = Matrix::from_fn(n, n, |(row, column)| {
        (gain[row * n + column] / most * scale).round() as i64
    });
    kuhn_munkres(&weights).1
}

/// The batch as f64 [N, D] on the CPU, shifted to mean 0.
fn centred(what: &'static str, batch: &Tensor, tau: f64) -> Result<Tensor> {
    let flat = batch.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let flat = flat.reshape((batch.dim(0)?, ()))?;
    let flat = flat.broadcast_sub(&flat.mean_keepdim(0)?)?;
    if !flat.abs()?.sum_all()?.to_scalar::<f64>()?.is_finite() {
        return Err(FlowError::NotFinite { what, tau }.into());
    }
    Ok(flat)
}

#[cfg(test)]
#[path = "coupling_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "coupling_carried_tests.rs"]
mod carried;
