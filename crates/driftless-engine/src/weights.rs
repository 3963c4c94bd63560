//! Parameters as plain numbers.

use candle_core::{Device, Tensor};

use crate::Result;
use driftless_model::layers::Linear;

/// The elements of a tensor.
pub(super) fn numbers(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?)
}

/// The bias of a linear map that has one; zeros for one that has none.
pub(super) fn bias(linear: &Linear) -> Result<Vec<f32>> {
    match &linear.bias {
        Some(bias) => numbers(bias),
        None => Ok(vec![0.0; linear.weight.dim(0)?]),
    }
}
