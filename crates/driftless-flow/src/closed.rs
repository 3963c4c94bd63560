//! Data of which everything is known: Gaussian mixtures on any affine path, in double precision.
//!
//! With x ~ Σ wₖ N(mₖ, Cₖ) and z = α x + σ ε, z ~ Σ wₖ N(α mₖ, α² Cₖ + σ² I), and given z and
//! component k, x and ε are Gaussian too, with means linear in z. States are [N, D]. All of it is
//! made of differentiable tensor operations.

use candle_core::{D, Device, Tensor};
use rand::{Rng, RngCore};
use rand_distr::{Distribution, StandardNormal};

use super::path::{Coefficients, Path};
use super::solver::Estimates;
use crate::Result;

/// Σ wₖ N(mₖ, Q diag(sₖ²) Qᵀ), with one orthonormal Q for all components.
#[derive(Clone, Debug)]
pub(crate) struct Mixture {
    weights: Vec<f64>,
    /// In the axes Q, [K, D].
    means: Vec<Vec<f64>>,
    deviations: Vec<Vec<f64>>,
    /// Q [D, D], the identity where there is none.
    axes: Option<Tensor>,
}

/// What every component knows about z.
struct Components {
    /// ln (wₖ · its density at z), [K, N, 1].
    log_densities: Tensor,
    /// E[x | z, k] and E[ε | z, k], in the axes Q, [K, N, D].
    clean: Tensor,
    noise: Tensor,
}

fn tensor(rows: &[Vec<f64>]) -> Tensor {
    let shape = (rows.len(), rows[0].len());
    Tensor::from_vec(rows.concat(), shape, &Device::Cpu).unwrap()
}

fn row(values: impl Iterator<Item = f64>) -> Tensor {
    tensor(&[values.collect()])
}

/// Every row of `z` times `by` from the left, without waking the threads of a matrix product.
fn rows_times(z: &Tensor, by: &Tensor) -> Result<Tensor> {
    let products = z.unsqueeze(1)?.broadcast_mul(&by.unsqueeze(0)?)?;
    Ok(products.sum(D::Minus1)?)
}

impl Mixture {
    /// Weights of sum 1, means and standard deviations along the axes, [K], [K, D], [K, D].
    pub(crate) fn new(weights: &[f64], means: &[&[f64]], deviations: &[&[f64]]) -> Self {
        assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-12);
        let rows = |rows: &[&[f64]]| rows.iter().map(|row| row.to_vec()).collect();
        Self {
            weights: weights.to_vec(),
            means: rows(means),
            deviations: rows(deviations),
            axes: None,
        }
    }

    /// N(m, diag s²).
    pub(crate) fn gaussian(mean: &[f64], deviations: &[f64]) -> Self {
        Self::new(&[1.0], &[mean], &[deviations])
    }

    /// A mixture of `components` with random means, about as far apart in any number of
    /// dimensions, deviations of 0.5 to 1.2 and axes: all covariances are full.
    pub(crate) fn random(components: usize, dimensions: usize, rng: &mut impl Rng) -> Self {
        let mut rows = |low: f64, high: f64| -> Vec<Vec<f64>> {
            let mut row = || {
                (0..dimensions)
                    .map(|_| rng.random_range(low..high))
                    .collect()
            };
            (0..components).map(|_| row()).collect()
        };
        let far = 3.0 / (dimensions as f64).sqrt();
        let (means, deviations) = (rows(-far, far), rows(0.5, 1.2));
        let weights: Vec<f64> = (1..=components).map(|k| k as f64).collect();
        let sum: f64 = weights.iter().sum();
        Self {
            weights: weights.into_iter().map(|w| w / sum).collect(),
            means,
            deviations,
            axes: None,
        }
        .turned(rng)
    }

    /// That of x · `factor`.
    pub(crate) fn scaled(mut self, factor: f64) -> Self {
        let rows = self.means.iter_mut().chain(&mut self.deviations);
        rows.flatten().for_each(|x| *x *= factor);
        self
    }

    /// The same turned by random orthonormal axes (Gram and Schmidt on normal vectors).
    pub(crate) fn turned(mut self, rng: &mut impl Rng) -> Self {
        let d = self.dimensions();
        let mut axes: Vec<Vec<f64>> = Vec::new();
        while axes.len() < d {
            let mut new: Vec<f64> = (0..d).map(|_| StandardNormal.sample(rng)).collect();
            // Twice, for what rounding leaves the first time.
            for axis in axes.iter().chain(&axes) {
                let along: f64 = axis.iter().zip(&new).map(|(a, b)| a * b).sum();
                new.iter_mut().zip(axis).for_each(|(x, a)| *x -= along * a);
            }
            let length = new.iter().map(|x| x * x).sum::<f64>().sqrt();
            axes.push(new.into_iter().map(|x| x / length).collect());
        }
        self.axes = Some(tensor(&axes).t().unwrap().contiguous().unwrap());
        self
    }

    pub(crate) fn dimensions(&self) -> usize {
        self.means[0].len()
    }

    /// Rows of coordinates along Q to rows of coordinates of the space.
    fn out(&self, along: &Tensor) -> Result<Tensor> {
        match &self.axes {
            Some(q) => rows_times(along, q),
            None => Ok(along.clone()),
        }
    }

    fn along(&self, z: &Tensor) -> Result<Tensor> {
        match &self.axes {
            Some(q) => rows_times(z, &q.t()?.contiguous()?),
            None => Ok(z.clone()),
        }
    }

    fn components(&self, at: &Coefficients<f64>, z: &Tensor) -> Result<Components> {
        let (alpha, sigma) = (at.alpha, at.sigma);
        let of = |rows: &[Vec<f64>], f: &dyn Fn(f64) -> f64| -> Result<Tensor> {
            let rows: Vec<f64> = rows.iter().flatten().map(|&x| f(x)).collect();
            let shape = (self.weights.len(), 1, self.dimensions());
            Ok(Tensor::from_vec(rows, shape, &Device::Cpu)?)
        };
        let variance = |s: f64| (alpha * s).powi(2) + sigma * sigma;
        let away = self
            .along(z)?
            .unsqueeze(0)?
            .broadcast_sub(&of(&self.means, &|m| alpha * m)?)?;
        let scaled = away.broadcast_mul(&of(&self.deviations, &|s| 1.0 / variance(s))?)?;
        let volumes = self.weights.iter().zip(&self.deviations).map(|(w, row)| {
            let volume = |s: &f64| (std::f64::consts::TAU * variance(*s)).ln();
            w.ln() - 0.5 * row.iter().map(volume).sum::<f64>()
        });
        let volumes = Tensor::from_iter(volumes, &Device::Cpu)?.reshape(((), 1, 1))?;
        let square = (away * &scaled)?.sum_keepdim(D::Minus1)?;
        Ok(Components {
            log_densities: (square * -0.5)?.broadcast_add(&volumes)?,
            clean: scaled
                .broadcast_mul(&of(&self.deviations, &|s| alpha * s * s)?)?
                .broadcast_add(&of(&self.means, &|m| m)?)?,
            noise: (scaled * sigma)?,
        })
    }

    /// (x̂, ε̂) = (E[x | z], E[ε | z]).
    pub(crate) fn estimates(&self, path: Path, z: &Tensor, tau: f64) -> Result<(Tensor, Tensor)> {
        let all = self.components(&path.at(tau)?, z)?;
        let total = all.log_densities.log_sum_exp(0)?;
        let shares = all.log_densities.broadcast_sub(&total)?.exp()?;
        let mean = |of: &Tensor| self.out(&of.broadcast_mul(&shares)?.sum(0)?);
        Ok((mean(&all.clean)?, mean(&all.noise)?))
    }

    /// The velocity of the probability-flow ODE and ε̂.
    pub(crate) fn flow(&self, path: Path, z: &Tensor, tau: f64) -> Result<Estimates<Tensor>> {
        let at = path.at(tau)?;
        let (clean, noise) = self.estimates(path, z, tau)?;
        let velocity = ((clean * at.alpha_dot)? + (&noise * at.sigma_dot)?)?;
        Ok(Estimates { velocity, noise })
    }

    /// α′ x̂ + σ′ ε̂, finite at both ends.
    pub(crate) fn velocity(&self, path: Path, z: &Tensor, tau: f64) -> Result<Tensor> {
        Ok(self.flow(path, z, tau)?.velocity)
    }

    /// ∇ ln p_τ(z) = −ε̂/σ, where σ > 0.
    pub(crate) fn score(&self, path: Path, z: &Tensor, tau: f64) -> Result<Tensor> {
        let sigma = path.at(tau)?.sigma;
        Ok((self.estimates(path, z, tau)?.1 * (-1.0 / sigma))?)
    }

    /// ln p_τ(z) of every row, [N], in nats; at τ = 1 (σ = 0) that of the data.
    pub(crate) fn log_density(&self, path: Path, z: &Tensor, tau: f64) -> Result<Tensor> {
        let all = self.components(&path.at(tau)?, z)?;
        Ok(all.log_densities.log_sum_exp(0)?.squeeze(1)?)
    }

    /// `count` samples of the data, [N, D].
    pub(crate) fn samples(&self, count: usize, rng: &mut dyn RngCore) -> Result<Tensor> {
        let rows: Vec<Vec<f64>> = (0..count)
            .map(|_| {
                let mut rest: f64 = rng.random();
                let k = self.weights.iter().position(|w| {
                    rest -= w;
                    rest < 0.0
                });
                let k = k.unwrap_or(self.weights.len() - 1);
                let moments = self.means[k].iter().zip(&self.deviations[k]);
                let mut normal = || -> f64 { StandardNormal.sample(rng) };
                moments.map(|(m, s)| m + s * normal()).collect()
            })
            .collect();
        self.out(&tensor(&rows))
    }

    /// `count` samples of z_τ, [N, D].
    pub(crate) fn samples_at(
        &self,
        path: Path,
        tau: f64,
        count: usize,
        rng: &mut dyn RngCore,
    ) -> Result<Tensor> {
        let at = path.at(tau)?;
        let data = self.samples(count, rng)?;
        let noise = super::solver::State::normal_like(&data, rng)?;
        Ok(((data * at.alpha)? + (noise * at.sigma)?)?)
    }

    /// The mean of the data, [D], and its covariance, [D][D].
    pub(crate) fn moments(&self) -> (Vec<f64>, Vec<Vec<f64>>) {
        let d = self.dimensions();
        let (mut mean, mut second) = (vec![0.0; d], vec![vec![0.0; d]; d]);
        for ((w, m), s) in self.weights.iter().zip(&self.means).zip(&self.deviations) {
            for i in 0..d {
                mean[i] += w * m[i];
                second[i][i] += w * s[i] * s[i];
                (0..d).for_each(|j| second[i][j] += w * m[i] * m[j]);
            }
        }
        for i in 0..d {
            (0..d).for_each(|j| second[i][j] -= mean[i] * mean[j]);
        }
        // Q C Qᵀ is (Q (Q C)ᵀ)ᵀ, and C is symmetric.
        let half = self.out(&tensor(&second)).unwrap().t().unwrap();
        let covariance = self.out(&half.contiguous().unwrap()).unwrap();
        let mean = self.out(&tensor(&[mean])).unwrap();
        (
            mean.to_vec2().unwrap().remove(0),
            covariance.to_vec2().unwrap(),
        )
    }

    /// Where the ODE carries `start` from one level to another, for a single Gaussian:
    /// (z − α m)/√(α² s² + σ²) along every axis stays as it is.
    pub(crate) fn carried(&self, path: Path, start: &Tensor, from: f64, to: f64) -> Result<Tensor> {
        assert_eq!(self.weights.len(), 1, "known for one component only");
        let (a, b) = (path.at(from)?, path.at(to)?);
        let (mean, deviations) = (&self.means[0], &self.deviations[0]);
        let spread = |at: &Coefficients<f64>, s: f64| (at.alpha * s).hypot(at.sigma);
        let ratio = row(deviations.iter().map(|&s| spread(&b, s) / spread(&a, s)));
        let away = self
            .along(start)?
            .broadcast_sub(&row(mean.iter().map(|m| a.alpha * m)))?;
        let there = away
            .broadcast_mul(&ratio)?
            .broadcast_add(&row(mean.iter().map(|m| b.alpha * m)))?;
        self.out(&there)
    }
}

#[cfg(test)]
#[path = "closed_tests.rs"]
mod tests;
