//! What a network is trained towards, and at which levels: flow matching and shortcut forcing.
//!
//! Frans et al., *One Step Diffusion via Shortcut Models* (2024), in the clean-space form and with
//! the ramp weight of Hafner et al., *Training Agents Inside of Scalable World Models* (2025); here
//! on any affine path and for any prediction.

use crate::CallbackError;
use candle_core::Tensor;
use rand::Rng;

use super::path::{LEAST_DIVISOR, Path, expand};
use super::prediction::Prediction;
use crate::Result;

/// Ramp weight w(τ) = 0.9 τ + 0.1, elementwise.
///
/// # Errors
/// The device failed.
pub fn ramp_weight(tau: &Tensor) -> Result<Tensor> {
    Ok(tau.affine(0.9, 0.1)?)
}

/// A signal level: pure noise with probability `pure`, else u² with u ~ U(0, 1), so that early
/// levels, which decide where things are, are drawn more often. Rounded down to the grid of step
/// size 1/`steps`, but with probability `between` left where it is.
pub fn draw_signal(rng: &mut impl Rng, steps: usize, pure: f64, between: f64) -> f32 {
    if rng.random_bool(pure) {
        return 0.0;
    }
    let u: f32 = rng.random();
    if rng.random_bool(between) {
        return u * u;
    }
    (u * u * steps as f32).floor().min(steps as f32 - 1.0) / steps as f32
}

/// What a network learns: which quantity it puts out, on which path, and where errors count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Objective {
    /// From noise to data.
    pub path: Path,
    /// What the network puts out.
    pub prediction: Prediction,
    /// Whose squared error is the loss. In x-space it is weighted by [`ramp_weight`], elsewhere
    /// evenly; ‖v̂ − v‖² = (α′ − σ′α/σ)² ‖x̂ − x‖² and ‖ε̂ − ε‖² = (α/σ)² ‖x̂ − x‖².
    pub space: Prediction,
}

impl Objective {
    /// x̂ from the network's output for `z` at the levels `tau` [B, F].
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn clean(&self, output: &Tensor, z: &Tensor, tau: &Tensor) -> Result<Tensor> {
        if self.prediction == Prediction::X {
            return Ok(output.clone());
        }
        let at = self.path.coefficients(&expand(tau, z)?)?;
        Ok(self.prediction.estimates(output, z, &at)?.0)
    }

    /// The loss of the network's output for `z` against the clean `target`: the mean over the
    /// frames that `mask` [B, F] marks with 1.
    ///
    /// # Errors
    /// The shapes do not fit.
    pub fn loss(
        &self,
        output: &Tensor,
        z: &Tensor,
        target: &Tensor,
        tau: &Tensor,
        mask: &Tensor,
    ) -> Result<Tensor> {
        let (b, f) = tau.dims2()?;
        let at = self.path.coefficients(&expand(tau, z)?)?;
        let output = self.prediction.convert(self.space, output, z, &at)?;
        let target = Prediction::X.convert(self.space, target, z, &at)?;
        let mut error = frame_errors(&output, &target)?;
        if self.space == Prediction::X {
            error = (error * ramp_weight(tau)?)?;
        }
        let count = mask.sum_all()?.clamp(1.0, (b * f) as f64)?;
        Ok((error * mask)?.sum_all()?.div(&count)?)
    }

    /// The clean target of one step of size d from z: the x̂ whose single step lands where two half
    /// steps of the network itself land. No gradient flows.
    ///
    /// Steps are those of [`step`]. On the linear path this is z + (1 − τ)(b′ + b″)/2 with the
    /// velocities b′ and b″ of the half steps, as in the papers.
    ///
    /// `predict(z, τ)` is the network's x̂ at step size d/2, with `tau` and `d` [B, F]; a level is
    /// a multiple of d, or a little above one where no lower level is asked.
    ///
    /// # Errors
    /// The network failed, or shapes do not fit.
    pub fn shortcut_target<E: CallbackError>(
        &self,
        predict: impl Fn(&Tensor, &Tensor) -> Result<Tensor, E>,
        z: &Tensor,
        tau: &Tensor,
        d: &Tensor,
    ) -> Result<Tensor, E> {
        let grid = (tau.div(d)?.floor()? * d)?;
        let middle = (&grid + d.affine(0.5, 0.0)?)?;
        let end = (grid + d)?;
        let half = step(self.path, z, &predict(z, tau)?.detach(), tau, &middle)?;
        let whole = step(
            self.path,
            &half,
            &predict(&half, &middle)?.detach(),
            &middle,
            &end,
        )?;
        let (keep, take) = shares(self.path, &expand(tau, z)?, &expand(&end, z)?)?;
        Ok((whole - z.broadcast_mul(&keep)?)?
            .broadcast_div(&take)?
            .detach())
    }
}

/// Moves z from the levels `from` to `to`, both [B, F], as if x̂ (and with it ε̂) held all the way:
/// z′ = (σ′/σ) z + (α′ − α σ′/σ) x̂, which is Euler's step on the linear path and DDIM's on any
/// (Song et al., *Denoising Diffusion Implicit Models*, 2021, eq. 12 with η = 0).
///
/// # Errors
/// The shapes do not fit.
pub fn step(path: Path, z: &Tensor, x: &Tensor, from: &Tensor, to: &Tensor) -> Result<Tensor> {
    let (keep, take) = shares(path, &expand(from, z)?, &expand(to, z)?)?;
    Ok((z.broadcast_mul(&keep)? + x.broadcast_mul(&take)?)?)
}

/// The shares of z and of x̂ in [`step`], for one pair of levels.
///
/// # Errors
/// A level lies outside [0, 1].
pub fn step_shares(path: Path, from: f64, to: f64) -> Result<(f64, f64)> {
    let (a, b) = (path.at(from)?, path.at(to)?);
    let keep = b.sigma / a.sigma.max(LEAST_DIVISOR);
    Ok((keep, b.alpha - a.alpha * keep))
}

fn shares(path: Path, from: &Tensor, to: &Tensor) -> Result<(Tensor, Tensor)> {
    let (a, b) = (path.coefficients(from)?, path.coefficients(to)?);
    let keep = b.sigma.div(&a.sigma.maximum(LEAST_DIVISOR)?)?;
    let take = (b.alpha - (a.alpha * &keep)?)?;
    Ok((keep, take))
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
            let tau = draw_signal(&mut rng, 8, 0.4, 0.0);
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
    fn some_levels_lie_between_the_grids() {
        let mut rng = ChaCha8Rng::seed_from_u64(2);
        let levels: Vec<f32> = (0..4000)
            .map(|_| draw_signal(&mut rng, 8, 0.4, 0.5))
            .collect();
        assert!(levels.iter().all(|tau| (0.0..1.0).contains(tau)));
        let between = levels.iter().filter(|tau| (*tau * 8.0).fract() != 0.0);
        // 0.6 · 0.5
        let between = between.count();
        assert!((1100..1300).contains(&between), "{between} of 4000");
    }

    #[test]
    fn a_network_that_knows_the_data_is_its_own_shortcut_target() {
        // x̂ = z₁ everywhere: both half steps point at z₁, and so does the whole step.
        let data = Tensor::new(&[[[1f32, 2.0]], [[-1.0, 0.5]]], &Device::Cpu).unwrap();
        let z = Tensor::new(&[[[0f32, 0.3]], [[0.2, 0.1]]], &Device::Cpu).unwrap();
        let tau = Tensor::new(&[[0f32], [0.5]], &Device::Cpu).unwrap();
        let d = Tensor::new(&[[1f32], [0.25]], &Device::Cpu).unwrap();
        for path in [Path::Linear, Path::Cosine] {
            let objective = Objective {
                path,
                ..Objective::default()
            };
            let target =
                objective.shortcut_target(|_, _| -> Result<_> { Ok(data.clone()) }, &z, &tau, &d);
            let gap = (target.unwrap() - &data).unwrap().abs().unwrap();
            let gap = gap.flatten_all().unwrap().max(0).unwrap();
            assert!(gap.to_scalar::<f32>().unwrap() < 1e-5, "{path:?}");
        }
    }

    #[test]
    fn the_shortcut_target_averages_the_two_half_velocities() {
        // A velocity field v(z, τ) = τ: from τ = 0 with d = 1 the halves are 0 and 1/2.
        let z = Tensor::new(&[[[0f32]]], &Device::Cpu).unwrap();
        let (tau, d) = (
            Tensor::new(&[[0f32]], &Device::Cpu).unwrap(),
            Tensor::new(&[[1f32]], &Device::Cpu).unwrap(),
        );
        let predict = |z: &Tensor, tau: &Tensor| -> Result<_> {
            let t = expand(tau, z)?;
            Ok((z + (t.affine(-1.0, 1.0)? * t)?)?)
        };
        let x: f32 = Objective::default()
            .shortcut_target(predict, &z, &tau, &d)
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
        let loss: f32 = Objective::default()
            .loss(&x, &target, &target, &tau, &mask)
            .unwrap()
            .to_scalar()
            .unwrap();
        assert!((loss - 0.55).abs() < 1e-6, "{loss}");
    }

    /// A sample of two numbers at one level: (x, ε, τ).
    fn sample(tau: f32) -> (Tensor, Tensor, Tensor) {
        let x = Tensor::new(&[[[1f32, -2.0]]], &Device::Cpu).unwrap();
        let noise = Tensor::new(&[[[0.5f32, 0.25]]], &Device::Cpu).unwrap();
        (x, noise, Tensor::new(&[[tau]], &Device::Cpu).unwrap())
    }

    #[test]
    fn the_truth_costs_nothing_for_any_prediction_in_any_space_and_spaces_differ_by_known_factors()
    {
        for path in [Path::Linear, Path::Cosine] {
            let (x, noise, tau) = sample(0.5);
            let wide = expand(&tau, &x).unwrap();
            let at = path.coefficients(&wide).unwrap();
            let z = path.interpolate(&noise, &x, &wide).unwrap();
            let mask = tau.ones_like().unwrap();
            let c = path.at(0.5).unwrap();
            for prediction in Prediction::ALL {
                for space in Prediction::ALL {
                    let objective = Objective {
                        path,
                        prediction,
                        space,
                    };
                    let loss = |x: &Tensor| -> f32 {
                        let output = Prediction::X.convert(prediction, x, &z, &at).unwrap();
                        let loss = objective.loss(&output, &z, &sample(0.5).0, &tau, &mask);
                        loss.unwrap().to_scalar().unwrap()
                    };
                    assert!(loss(&x) < 1e-9, "{objective:?}");
                    // x̂ is off by 0.1 everywhere.
                    let off = f64::from(loss(&(&x + 0.1).unwrap()));
                    let factor = match space {
                        Prediction::X => 0.55,
                        Prediction::V => (c.determinant() / c.sigma).powi(2),
                        Prediction::Eps => (c.alpha / c.sigma).powi(2),
                        Prediction::Score => (c.alpha / c.sigma.powi(2)).powi(2),
                    };
                    assert!(
                        (off / 0.01 - factor).abs() < 1e-3 * factor,
                        "{objective:?} {off}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_step_with_the_true_data_stays_on_the_path() {
        for path in [Path::Linear, Path::Cosine] {
            let (x, noise, from) = sample(0.25);
            let to = sample(0.875).2;
            let on = |tau: &Tensor| {
                let tau = expand(tau, &x).unwrap();
                path.interpolate(&noise, &x, &tau).unwrap()
            };
            let there = step(path, &on(&from), &x, &from, &to).unwrap();
            let gap = (there - on(&to))
                .unwrap()
                .abs()
                .unwrap()
                .flatten_all()
                .unwrap();
            assert!(gap.max(0).unwrap().to_scalar::<f32>().unwrap() < 1e-6);
            let (keep, take) = step_shares(path, 0.25, 1.0).unwrap();
            assert!(keep.abs() < 1e-12 && (take - 1.0).abs() < 1e-12);
        }
    }
}
