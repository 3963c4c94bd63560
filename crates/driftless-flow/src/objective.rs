//! Training objectives and noise levels: flow matching and shortcut forcing.
//!
//! Shortcut models are from Frans et al., *One Step Diffusion via Shortcut Models* (2024). The form
//! in x-space and the ramp weight are from Hafner et al., *Training Agents Inside of Scalable World
//! Models* (2025). Here they are extended to any affine path and any prediction.

use candle_core::{D, Tensor};
use rand::Rng;

use super::path::{LEAST_DIVISOR, Path, expand};
use super::prediction::Prediction;
use crate::{CallbackError, Result};

const RAMP_SLOPE: f64 = 0.9;
const RAMP_START: f64 = 0.1;

/// The ramp weight w(τ) = 0.9 τ + 0.1 (Hafner et al. 2025).
pub fn ramp_weight(tau: f64) -> f64 {
    RAMP_SLOPE * tau + RAMP_START
}

/// Draws a signal level: 0 with probability `pure`, else u² with u ~ U(0, 1). The square favours low
/// levels, which decide where things are. The level is rounded down to a multiple of 1/`steps`, the
/// grid of shortcut models, except with probability `between`.
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

/// What a network learns: the path, the predicted quantity and the space of the loss.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Objective {
    /// The path from noise to data.
    pub path: Path,
    /// What the network outputs.
    pub prediction: Prediction,
    /// The quantity whose squared error is the loss, weighted by [`ramp_weight`] for x and evenly
    /// otherwise. ‖v̂ − v‖² = (α′ − σ′α/σ)² ‖x̂ − x‖² and ‖ε̂ − ε‖² = (α/σ)² ‖x̂ − x‖².
    pub space: Prediction,
}

impl Objective {
    /// x̂ from the network's output for `z` at the levels `tau` [B, F].
    ///
    /// # Errors
    /// Returns an error if the shapes do not match or if a level is outside [0, 1].
    pub fn clean(&self, output: &Tensor, z: &Tensor, tau: &Tensor) -> Result<Tensor> {
        if self.prediction == Prediction::X {
            return Ok(output.clone());
        }
        let at = self.path.coefficients(&expand(tau, z)?)?;
        Ok(self.prediction.estimates(output, z, &at)?.0)
    }

    /// The loss of the network's output for `z` against the clean `target`, as a mean over the frames
    /// for which `mask` [B, F] is 1. `weights` [B, F, ..], without the last dimension of the output, are
    /// factors of the squared errors.
    ///
    /// # Errors
    /// Returns an error if the shapes do not match or if a level is outside [0, 1].
    pub fn loss(
        &self,
        output: &Tensor,
        z: &Tensor,
        target: &Tensor,
        tau: &Tensor,
        mask: &Tensor,
        weights: Option<&Tensor>,
    ) -> Result<Tensor> {
        let (b, f) = tau.dims2()?;
        let at = self.path.coefficients(&expand(tau, z)?)?;
        let output = self.prediction.convert(self.space, output, z, &at)?;
        let target = Prediction::X.convert(self.space, target, z, &at)?;
        let mut error = match weights {
            Some(weights) => weighted_frame_errors(&output, &target, weights)?,
            None => frame_errors(&output, &target)?,
        };
        if self.space == Prediction::X {
            error = (error * tau.affine(RAMP_SLOPE, RAMP_START)?)?;
        }
        let count = mask.sum_all()?.clamp(1.0, (b * f) as f64)?;
        Ok((error * mask)?.sum_all()?.div(&count)?)
    }

    /// The shortcut target for a step of size d from z: the x̂ whose single step ends where two half
    /// steps of the network end (Frans et al. 2024, eq. 4). It carries no gradient.
    ///
    /// Steps are those of [`step`]; [`ShortcutTarget`] has their factors at one level. On the linear path this is z + (1 − τ)(b′ + b″)/2 with the
    /// velocities b′ and b″ of the half steps, as in the papers.
    ///
    /// `predict(z, τ)` is the network's x̂ at step size d/2; `tau` and `d` are [B, F]. If a level is
    /// not a multiple of d, the step ends where that of the multiple below it does.
    ///
    /// # Errors
    /// Returns an error if `predict` fails, if the shapes do not match, or if a level is outside
    /// [0, 1].
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

/// Moves z from the levels `from` to the levels `to`, both [B, F], with x̂ held constant. With α, σ at
/// `from` and α′, σ′ at `to`, z′ = (σ′/σ) z + (α′ − α σ′/σ) x̂. This is Euler's step on the linear
/// path, and DDIM's on any (Song et al., *Denoising Diffusion Implicit Models*, 2021, eq. 12 with
/// η = 0).
///
/// # Errors
/// Returns an error if the shapes do not match or if a level is outside [0, 1].
pub fn step(path: Path, z: &Tensor, x: &Tensor, from: &Tensor, to: &Tensor) -> Result<Tensor> {
    let (keep, take) = shares(path, &expand(from, z)?, &expand(to, z)?)?;
    Ok((z.broadcast_mul(&keep)? + x.broadcast_mul(&take)?)?)
}

/// A step at one pair of levels, as in [`step`]: z′ = `z_scale` · z + `x_scale` · x̂.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step {
    /// The level of z.
    pub from: f64,
    /// The factor of z.
    pub z_scale: f64,
    /// The factor of x̂.
    pub x_scale: f64,
}

impl Step {
    /// From the level `from` to the level `to`.
    ///
    /// # Errors
    /// Returns an error if a level is outside [0, 1].
    pub fn new(path: Path, from: f64, to: f64) -> Result<Self> {
        let (a, b) = (path.at(from)?, path.at(to)?);
        let z_scale = b.sigma / a.sigma.max(LEAST_DIVISOR);
        Ok(Self {
            from,
            z_scale,
            x_scale: b.alpha - a.alpha * z_scale,
        })
    }

    /// Step `k` of the K = `steps` from noise to data of a shortcut model: from τ = k/K to (k + 1)/K with
    /// the x̂ that the network predicts for the step size 1/K (Frans et al. 2024, algorithm 2). No step
    /// starts below `min_level`.
    ///
    /// # Errors
    /// Returns an error if a level is outside [0, 1].
    pub fn shortcut(path: Path, k: usize, steps: usize, min_level: f64) -> Result<Self> {
        let level = |k: usize| k as f64 / steps as f64;
        Self::new(path, level(k).max(min_level), level(k + 1))
    }
}

/// The steps of [`Objective::shortcut_target`] at one signal level and one step size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShortcutTarget {
    /// The level where the second half step starts.
    pub middle: f32,
    /// The half steps.
    pub halves: [Step; 2],
    /// The step of the target, from the start to the end of both.
    pub whole: Step,
}

impl ShortcutTarget {
    /// At the level `tau`, for a step of size `d`.
    ///
    /// # Errors
    /// Returns an error if a level is outside [0, 1].
    pub fn new(path: Path, tau: f32, d: f32) -> Result<Self> {
        let grid = (tau / d).floor() * d;
        Self::between(path, [tau, grid + 0.5 * d, (grid + d).min(1.0)])
    }

    /// For steps between three levels, as of an uneven schedule.
    ///
    /// # Errors
    /// Returns an error if a level is outside [0, 1].
    pub fn between(path: Path, [from, middle, to]: [f32; 3]) -> Result<Self> {
        let step = |from: f32, to: f32| Step::new(path, from.into(), to.into());
        Ok(Self {
            middle,
            halves: [step(from, middle)?, step(middle, to)?],
            whole: step(from, to)?,
        })
    }
}

fn shares(path: Path, from: &Tensor, to: &Tensor) -> Result<(Tensor, Tensor)> {
    let (a, b) = (path.coefficients(from)?, path.coefficients(to)?);
    let keep = b.sigma.div(&a.sigma.maximum(LEAST_DIVISOR)?)?;
    let take = (b.alpha - (a.alpha * &keep)?)?;
    Ok((keep, take))
}

/// The mean squared error of every frame, [B, F], of tensors [B, F, ..].
///
/// # Errors
/// Returns an error if the shapes do not match.
pub fn frame_errors(x: &Tensor, target: &Tensor) -> Result<Tensor> {
    let (b, f) = (x.dim(0)?, x.dim(1)?);
    Ok((x - target)?.sqr()?.reshape((b, f, ()))?.mean(2)?)
}

/// The same with a weight for each position, [B, F, ..] without the last dimension of `x`.
fn weighted_frame_errors(x: &Tensor, target: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let (b, f) = (x.dim(0)?, x.dim(1)?);
    let squares = (x - target)?.sqr()?.mean(D::Minus1)?;
    Ok((squares * weights)?.reshape((b, f, ()))?.mean(2)?)
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    #[test]
    fn levels_are_on_the_grid_below_one() {
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
    fn some_levels_are_off_the_grid() {
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
    fn perfect_network_is_its_own_target() {
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
    fn target_averages_half_velocities() {
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
    fn target_takes_the_steps_of_its_factors() {
        let clean = |z: f64, tau: f64| 0.3 * z + 0.2 * tau + 0.1;
        let predict = |z: &Tensor, tau: &Tensor| -> Result<_> {
            Ok((z.affine(0.3, 0.1)? + expand(tau, z)?.affine(0.2, 0.0)?)?)
        };
        // Also off the grid of d, and to the end of the path.
        for (tau, d) in [(0.0, 1.0), (0.25, 0.25), (0.3, 0.25), (0.75, 0.25)] {
            for path in [Path::Linear, Path::Cosine] {
                let objective = Objective {
                    path,
                    ..Objective::default()
                };
                let row = |value: f32| Tensor::new(&[[value]], &Device::Cpu).unwrap();
                let z = Tensor::new(&[[[0.7f32]]], &Device::Cpu).unwrap();
                let target = objective.shortcut_target(predict, &z, &row(tau), &row(d));
                let factors = ShortcutTarget::new(path, tau, d).unwrap();
                let (mut end, mut level) = (0.7, f64::from(tau));
                for half in factors.halves {
                    assert_eq!(half.from, level);
                    end = half.z_scale * end + half.x_scale * clean(end, level);
                    level = factors.middle.into();
                }
                let Step {
                    z_scale, x_scale, ..
                } = factors.whole;
                let expected = (end - z_scale * 0.7) / x_scale;
                let target: Vec<f32> = target.unwrap().flatten_all().unwrap().to_vec1().unwrap();
                assert!(
                    (f64::from(target[0]) - expected).abs() < 1e-5,
                    "{path:?} {tau}"
                );
            }
        }
    }

    #[test]
    fn shortcut_steps_tile_the_path() {
        for steps in [1, 4] {
            let step = |k| Step::shortcut(Path::Linear, k, steps, 0.1).unwrap();
            assert_eq!(step(0).from, 0.1);
            for k in 1..steps {
                assert_eq!(step(k).from, k as f64 / steps as f64);
            }
            // The last one ends at the data.
            assert_eq!(
                (step(steps - 1).z_scale, step(steps - 1).x_scale),
                (0.0, 1.0)
            );
        }
    }

    #[test]
    fn loss_masks_frames_and_weighs_levels() {
        let x = Tensor::new(&[[[1f32, 1.0], [5.0, 5.0]]], &Device::Cpu).unwrap();
        let target = x.zeros_like().unwrap();
        let tau = Tensor::new(&[[0.5f32, 0.0]], &Device::Cpu).unwrap();
        let mask = Tensor::new(&[[1f32, 0.0]], &Device::Cpu).unwrap();
        let loss: f32 = Objective::default()
            .loss(&x, &target, &target, &tau, &mask, None)
            .unwrap()
            .to_scalar()
            .unwrap();
        assert!((loss - 0.55).abs() < 1e-6, "{loss}");
    }

    #[test]
    fn loss_weighs_positions() {
        // One frame with two positions of two channels.
        let x = Tensor::new(&[[[[1f32, 3.0], [2.0, 2.0]]]], &Device::Cpu).unwrap();
        let target = x.zeros_like().unwrap();
        let [tau, mask] = [0.5f32, 1.0].map(|x| Tensor::new(&[[x]], &Device::Cpu).unwrap());
        let loss = |weights: [f32; 2]| -> f32 {
            let weights = Tensor::new(&[[weights]], &Device::Cpu).unwrap();
            let objective = Objective::default();
            let loss = objective.loss(&x, &target, &target, &tau, &mask, Some(&weights));
            loss.unwrap().to_scalar().unwrap()
        };
        let ramp = 0.55;
        for (weights, expected) in [([1.0, 1.0], 4.5), ([3.0, 0.0], 7.5), ([0.0, 2.0], 4.0)] {
            assert!(
                (loss(weights) - ramp * expected).abs() < 1e-5,
                "{weights:?}"
            );
        }
    }

    /// A sample of two numbers at one level: (x, ε, τ).
    fn sample(tau: f32) -> (Tensor, Tensor, Tensor) {
        let x = Tensor::new(&[[[1f32, -2.0]]], &Device::Cpu).unwrap();
        let noise = Tensor::new(&[[[0.5f32, 0.25]]], &Device::Cpu).unwrap();
        (x, noise, Tensor::new(&[[tau]], &Device::Cpu).unwrap())
    }

    #[test]
    fn losses_vanish_at_truth_and_scale() {
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
                        let loss = objective.loss(&output, &z, &sample(0.5).0, &tau, &mask, None);
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
    fn true_step_stays_on_the_path() {
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
            let Step {
                z_scale: keep,
                x_scale: take,
                ..
            } = Step::new(path, 0.25, 1.0).unwrap();
            assert!(keep.abs() < 1e-12 && (take - 1.0).abs() < 1e-12);
        }
    }
}
