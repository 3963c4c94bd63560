//! Network parameters as plain `f32` values.

use candle_core::{Device, Tensor};

use driftless_model::layers::Linear;

use crate::Result;

/// The elements of a tensor in row-major order.
pub(super) fn tensor_values(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?)
}

/// The bias of a linear layer; zeros if it has none.
pub(super) fn bias_or_zeros(linear: &Linear) -> Result<Vec<f32>> {
    match &linear.bias {
        Some(bias) => tensor_values(bias),
        None => Ok(vec![0.0; linear.weight.dim(0)?]),
    }
}
