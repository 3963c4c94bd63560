//! The linear (optimal transport) path from noise to data.
//!
//! Lipman et al., *Flow Matching for Generative Modeling* (2023), eq. 22 with σ_min = 0.

use candle_core::Tensor;

use crate::Result;

/// z_τ = (1 − τ) z₀ + τ z₁; `tau` broadcasts against the others.
///
/// # Errors
/// The shapes do not fit.
pub fn interpolate(noise: &Tensor, data: &Tensor, tau: &Tensor) -> Result<Tensor> {
    let rest = tau.affine(-1.0, 1.0)?;
    Ok((noise.broadcast_mul(&rest)? + data.broadcast_mul(tau)?)?)
}

/// τ as [B, F] with as many trailing dimensions of size 1 as `like` has more.
///
/// # Errors
/// `like` has fewer dimensions than `tau`.
pub fn expand(tau: &Tensor, like: &Tensor) -> Result<Tensor> {
    let mut dims = tau.dims().to_vec();
    dims.resize(like.rank().max(dims.len()), 1);
    Ok(tau.reshape(dims)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::*;

    #[test]
    fn the_path_starts_at_noise_and_ends_at_data() {
        let noise = Tensor::new(&[[1f32, -2.0], [3.0, 4.0], [5.0, 6.0]], &Device::Cpu).unwrap();
        let data = Tensor::new(&[[9f32, 9.0], [7.0, -4.0], [1.0, 2.0]], &Device::Cpu).unwrap();
        let tau = Tensor::new(&[0f32, 0.25, 1.0], &Device::Cpu).unwrap();
        let tau = expand(&tau, &data).unwrap();
        let z: Vec<Vec<f32>> = interpolate(&noise, &data, &tau).unwrap().to_vec2().unwrap();
        assert_eq!(z, [[1.0, -2.0], [4.0, 2.0], [1.0, 2.0]]);
    }
}
