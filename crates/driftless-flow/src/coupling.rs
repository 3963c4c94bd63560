//! Which sample of a source starts the path to which sample of the data, where the source is data
//! itself (z₀ from a batch) rather than N(0, I).
//!
//! The path carries the source's distribution to the data's whatever the coupling; what the
//! velocity field looks like depends on it. Optimal transport within each batch gives straighter
//! trajectories, which few steps follow well (Tong et al., *Improving and Generalizing Flow-Based
//! Generative Models with Minibatch Optimal Transport*, 2023; Pooladian et al., *Multisample Flow
//! Matching*, 2023). Velocity and x̂ stay defined; the score −ε̂/σ is one only for Gaussian sources.

use candle_core::{DType, Device, Tensor};
use pathfinding::prelude::{Matrix, kuhn_munkres};
use rand::Rng;
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use super::FlowError;
use crate::Result;

/// How the two ends of the paths are paired within a batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Coupling {
    /// At random.
    #[default]
    Independent,
    /// As given: sample n of the source belongs to sample n of the data.
    Paired,
    /// The pairing of the least summed squared distance, found exactly in O(N³).
    MinibatchOt,
}

impl Coupling {
    /// The source [N, ..] reordered: its sample n belongs to sample n of the data [N, ..].
    ///
    /// # Errors
    /// The batches are empty, not of one shape or not finite, or the device failed.
    pub fn pair(self, source: &Tensor, data: &Tensor, rng: &mut impl Rng) -> Result<Tensor> {
        let order = self.order(source, data, rng)?;
        let order = order.into_iter().map(|n| n as u32).collect::<Vec<_>>();
        Ok(source.index_select(&Tensor::new(order, source.device())?, 0)?)
    }

    /// The sample of the source for each sample of the data, a permutation of 0..N.
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

/// The assignment of least Σ‖x − y‖². The squares do not depend on it, so it is the one of greatest
/// Σ⟨x − x̄, y − ȳ⟩, which keeps its digits where the batches lie far apart.
fn assignment(source: &Tensor, data: &Tensor) -> Result<Vec<usize>> {
    let n = data.dim(0)?;
    let x = centred("the source", source, 0.0)?;
    let y = centred("the data", data, 1.0)?;
    let gain: Vec<f64> = y.matmul(&x.t()?)?.flatten_all()?.to_vec1()?;
    let most = gain.iter().fold(f64::MIN_POSITIVE, |m, g| m.max(g.abs()));
    // Integers end the search exactly; labels grow to 2N times the largest one, sums to 4N² times.
    let scale = 2f64.powi(58) / (n * n) as f64;
    let weights = Matrix::from_fn(n, n, |(row, column)| {
        (gain[row * n + column] / most * scale).round() as i64
    });
    Ok(kuhn_munkres(&weights).1)
}

/// The batch as [N, D] of f64 on the CPU with mean 0.
fn centred(what: &'static str, batch: &Tensor, tau: f64) -> Result<Tensor> {
    let flat = batch.to_device(&Device::Cpu)?.to_dtype(DType::F64)?;
    let flat = flat.reshape((batch.dim(0)?, ()))?;
    let flat = flat.broadcast_sub(&flat.mean_keepdim(0)?)?;
    match flat.abs()?.sum_all()?.to_scalar::<f64>()?.is_finite() {
        true => Ok(flat),
        false => Err(FlowError::NotFinite { what, tau }.into()),
    }
}

#[cfg(test)]
#[path = "coupling_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "coupling_carried_tests.rs"]
mod carried;
