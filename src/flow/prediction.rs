//! What a network may predict on the linear path, each from the clean estimate x̂.
//!
//! With z_τ = (1 − τ) z₀ + τ z₁ and z₀ ~ N(0, I): the velocity is v = z₁ − z₀, the noise ε = z₀,
//! the score ∇ log p(z_τ) = −ε/(1 − τ). All are singular at τ = 1, where z_τ is the data itself;
//! callers stay at τ < 1.

use candle_core::Tensor;

use crate::Result;

/// v̂ = (x̂ − z_τ)/(1 − τ).
///
/// # Errors
/// The shapes do not fit.
pub fn velocity(x: &Tensor, z: &Tensor, tau: &Tensor) -> Result<Tensor> {
    Ok((x - z)?.broadcast_div(&tau.affine(-1.0, 1.0)?)?)
}

/// x̂ = z_τ + (1 − τ) v̂, the inverse of [`velocity`].
///
/// # Errors
/// The shapes do not fit.
pub fn clean(v: &Tensor, z: &Tensor, tau: &Tensor) -> Result<Tensor> {
    Ok((z + v.broadcast_mul(&tau.affine(-1.0, 1.0)?)?)?)
}

/// ε̂ = (z_τ − τ x̂)/(1 − τ).
///
/// # Errors
/// The shapes do not fit.
pub fn noise(x: &Tensor, z: &Tensor, tau: &Tensor) -> Result<Tensor> {
    Ok((z - x.broadcast_mul(tau)?)?.broadcast_div(&tau.affine(-1.0, 1.0)?)?)
}

/// Score (τ x̂ − z_τ)/(1 − τ)².
///
/// # Errors
/// The shapes do not fit.
pub fn score(x: &Tensor, z: &Tensor, tau: &Tensor) -> Result<Tensor> {
    Ok((x.broadcast_mul(tau)? - z)?.broadcast_div(&tau.affine(-1.0, 1.0)?.sqr()?)?)
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Tensor};

    use super::super::path::interpolate;
    use super::*;

    fn rows(t: &Tensor) -> Vec<f32> {
        t.flatten_all().unwrap().to_vec1().unwrap()
    }

    #[test]
    fn every_prediction_recovers_what_made_the_sample() {
        let noise_in = Tensor::new(&[0.5f32, -1.25, 2.0], &Device::Cpu).unwrap();
        let data = Tensor::new(&[3f32, 0.75, -1.0], &Device::Cpu).unwrap();
        for tau in [0f32, 0.25, 0.875] {
            let t = Tensor::new(&[tau], &Device::Cpu).unwrap();
            let z = interpolate(&noise_in, &data, &t).unwrap();
            let v = velocity(&data, &z, &t).unwrap();
            let eps = noise(&data, &z, &t).unwrap();
            let s = score(&data, &z, &t).unwrap();
            let back = clean(&v, &z, &t).unwrap();
            for i in 0..3 {
                let (z0, z1) = (rows(&noise_in)[i], rows(&data)[i]);
                assert!((rows(&v)[i] - (z1 - z0)).abs() < 1e-4, "velocity at {tau}");
                assert!((rows(&eps)[i] - z0).abs() < 1e-4, "noise at {tau}");
                assert!(
                    (rows(&s)[i] + z0 / (1.0 - tau)).abs() < 1e-3,
                    "score at {tau}"
                );
                assert!((rows(&back)[i] - z1).abs() < 1e-4, "clean at {tau}");
            }
        }
    }
}
