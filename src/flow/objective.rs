//! Shortcut forcing with x-prediction: what the network is trained towards, at which levels.
//!
//! Frans et al., *One Step Diffusion via Shortcut Models* (2024), in the clean-space form and with
//! the ramp weight of Hafner et al., *Training Agents Inside of Scalable World Models* (2025).

use candle_core::Tensor;
use rand::Rng;

use super::path::expand;
use super::prediction::velocity;
use crate::Result;

/// Ramp weight w(τ) = 0.9 τ + 0.1, elementwise.
///
/// # Errors
/// The device failed.
pub fn ramp_weight(tau: &Tensor) -> Result<Tensor> {
    Ok(tau.affine(0.9, 0.1)?)
}

/// A signal level on the grid of step size 1/`steps`: pure noise with probability `pure`, else
/// ⌊steps · u²⌋/steps with u ~ U(0, 1), so that early levels, which decide where things are, are
/// drawn more often.
pub fn draw_signal(rng: &mut impl Rng, steps: usize, pure: f64) -> f32 {
    if rng.random_bool(pure) {
        return 0.0;
    }
    let u: f32 = rng.random();
    (u * u * steps as f32).floor().min(steps as f32 - 1.0) / steps as f32
}

/// The clean-space target of one step of size d from z_τ: two half steps of the network itself.
///
/// b′ = v̂(z_τ, τ, d/2), z′ = z_τ + b′ d/2, b″ = v̂(z′, τ + d/2, d/2); a velocity (b′ + b″)/2 means
/// x = z_τ + (1 − τ)(b′ + b″)/2, and ‖x̂ − x‖² = (1 − τ)² ‖v̂ − (b′ + b″)/2‖². No gradient flows.
///
/// `predict(z, τ, half)` is the network's x̂ at step size d/2, with `tau` and `d` [B, F].
///
/// # Errors
/// The network failed, or shapes do not fit.
pub fn shortcut_target(
    predict: impl Fn(&Tensor, &Tensor) -> Result<Tensor>,
    z: &Tensor,
    tau: &Tensor,
    d: &Tensor,
) -> Result<Tensor> {
    let half = d.affine(0.5, 0.0)?;
    let wide = expand(tau, z)?;
    let first = velocity(&predict(z, tau)?.detach(), z, &wide)?;
    let middle = (z + first.broadcast_mul(&expand(&half, z)?)?)?;
    let later = (tau + &half)?;
    let second = velocity(
        &predict(&middle, &later)?.detach(),
        &middle,
        &expand(&later, z)?,
    )?;
    let mean = ((first + second)? * 0.5)?;
    Ok((z + mean.broadcast_mul(&wide.affine(-1.0, 1.0)?)?)?.detach())
}

/// Σ w(τ) ‖x̂ − x‖² / count over the frames that `mask` [B, F] marks with 1.
///
/// # Errors
/// The shapes do not fit.
pub fn clean_space_loss(
    x: &Tensor,
    target: &Tensor,
    tau: &Tensor,
    mask: &Tensor,
) -> Result<Tensor> {
    let (b, f) = tau.dims2()?;
    let error = frame_errors(x, target)?;
    let total = (error * ramp_weight(tau)?)?.mul(mask)?.sum_all()?;
    let count = mask.sum_all()?.clamp(1.0, (b * f) as f64)?;
    Ok(total.div(&count)?)
}

/// Mean squared error of every frame, [B, F].
///
/// # Errors
/// The shapes do not fit.
pub fn frame_errors(x: &Tensor, target: &Tensor) -> Result<Tensor> {
    let (b, f) = (x.dim(0)?, x.dim(1)?);
    Ok((x - target)?.sqr()?.reshape((b, f, ()))?.mean(2)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn levels_lie_on_the_grid_and_below_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut pure = 0;
        for _ in 0..4000 {
            let tau = draw_signal(&mut rng, 8, 0.4);
            assert!(
                (tau * 8.0).fract() == 0.0 && (0.0..1.0).contains(&tau),
                "{tau}"
            );
            pure += usize::from(tau == 0.0);
        }
        // 0.4 + 0.6 √(1/8) = 0.612
        assert!((2300..2600).contains(&pure), "{pure} of 4000 at τ = 0");
    }

    #[test]
    fn a_network_that_knows_the_data_is_its_own_shortcut_target() {
        // x̂ = z₁ everywhere: both half steps point at z₁, and so does the whole step.
        let data = Tensor::new(&[[[1f32, 2.0]], [[-1.0, 0.5]]], &Device::Cpu).unwrap();
        let z = Tensor::new(&[[[0f32, 0.3]], [[0.2, 0.1]]], &Device::Cpu).unwrap();
        let tau = Tensor::new(&[[0f32], [0.5]], &Device::Cpu).unwrap();
        let d = Tensor::new(&[[1f32], [0.25]], &Device::Cpu).unwrap();
        let target = shortcut_target(|_, _| Ok(data.clone()), &z, &tau, &d).unwrap();
        let gap = (target - &data)
            .unwrap()
            .abs()
            .unwrap()
            .flatten_all()
            .unwrap();
        assert!(gap.max(0).unwrap().to_scalar::<f32>().unwrap() < 1e-6);
    }

    #[test]
    fn the_shortcut_target_averages_the_two_half_velocities() {
        // A velocity field v(z, τ) = τ: from τ = 0 with d = 1 the halves are 0 and 1/2.
        let z = Tensor::new(&[[[0f32]]], &Device::Cpu).unwrap();
        let (tau, d) = (
            Tensor::new(&[[0f32]], &Device::Cpu).unwrap(),
            Tensor::new(&[[1f32]], &Device::Cpu).unwrap(),
        );
        let predict = |z: &Tensor, tau: &Tensor| {
            let t = expand(tau, z)?;
            Ok((z + (t.affine(-1.0, 1.0)? * t)?)?)
        };
        let x: f32 = shortcut_target(predict, &z, &tau, &d)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1()
            .unwrap()[0];
        assert!((x - 0.25).abs() < 1e-6, "{x}");
    }

    #[test]
    fn masked_frames_do_not_count_and_late_levels_weigh_more() {
        let x = Tensor::new(&[[[1f32, 1.0], [5.0, 5.0]]], &Device::Cpu).unwrap();
        let target = x.zeros_like().unwrap();
        let tau = Tensor::new(&[[0.5f32, 0.0]], &Device::Cpu).unwrap();
        let mask = Tensor::new(&[[1f32, 0.0]], &Device::Cpu).unwrap();
        let loss: f32 = clean_space_loss(&x, &target, &tau, &mask)
            .unwrap()
            .to_scalar()
            .unwrap();
        assert!((loss - 0.55).abs() < 1e-6, "{loss}");
    }
}
