//! EDM's stochastic sampler (Karras et al., 2022, algorithm 2), as DIAMOND's published program runs it.

use crate::{Error, Result};

/// Most steps per frame.
pub const MAX_STEPS: usize = 1024;

/// How the noise levels are stepped through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EdmSolver {
    /// One pass per step.
    #[default]
    Euler,
    /// Two passes per step, but for the last one.
    Heun,
}

/// Parameters of the sampler. The defaults are those of the published Atari worlds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct EdmParams {
    /// Steps per frame.
    pub steps: usize,
    /// The lowest noise level above 0.
    pub sigma_min: f64,
    /// The highest noise level.
    pub sigma_max: f64,
    /// How the levels between are spaced; more puts more of them near σ_min.
    pub rho: f64,
    /// The solver.
    pub solver: EdmSolver,
    /// How much noise is added before the steps, S_churn; 0 is the deterministic sampler.
    pub churn: f64,
}

impl Default for EdmParams {
    fn default() -> Self {
        Self {
            steps: 3,
            sigma_min: 2e-3,
            sigma_max: 5.0,
            rho: 7.0,
            solver: EdmSolver::Euler,
            churn: 0.0,
        }
    }
}

impl EdmParams {
    /// Checks the parameters.
    ///
    /// # Errors
    /// Returns an error that names the first that is out of its range.
    pub fn check(&self) -> Result<()> {
        let refuse = |what: String| Err(Error::Argument(what));
        let Self {
            steps,
            sigma_min,
            sigma_max,
            rho,
            churn,
            ..
        } = *self;
        if !(1..=MAX_STEPS).contains(&steps) {
            return refuse(format!("steps {steps}: expected 1 to {MAX_STEPS}"));
        }
        if !(sigma_min > 0.0 && sigma_min <= sigma_max && sigma_max <= 1000.0) {
            return refuse(format!(
                "noise levels from {sigma_min} to {sigma_max}: expected above 0, the second no less, at most 1000"
            ));
        }
        if !(1.0..=100.0).contains(&rho) {
            return refuse(format!("rho {rho}: expected 1 to 100"));
        }
        if !(0.0..=1000.0).contains(&churn) {
            return refuse(format!("churn {churn}: expected 0 to 1000"));
        }
        Ok(())
    }

    /// The noise levels in the order of the steps, then 0 (equation 5).
    pub fn sigmas(&self) -> Vec<f64> {
        let [low, high] = [self.sigma_min, self.sigma_max].map(|sigma| sigma.powf(1.0 / self.rho));
        let between = (self.steps.max(2) - 1) as f64;
        let sigma = |i: usize| (high + i as f64 / between * (low - high)).powf(self.rho);
        (0..self.steps).map(sigma).chain([0.0]).collect()
    }

    /// γ: by how much noise raises the level before each step.
    fn gamma(&self) -> f64 {
        (self.churn / self.steps as f64).min(std::f64::consts::SQRT_2 - 1.0)
    }
}

/// Samples a frame that starts as `x`, standard normal numbers. (Algorithm 2 would scale them by σ_max; the published
/// program does not.)
///
/// `denoise(x, i)` is the clean frame at the noise level `sigmas()[i]`. The published program names this level also
/// where churn has raised it. `noise` fills a buffer with standard normal numbers.
///
/// # Errors
/// Returns those of `denoise`.
pub fn sample(
    params: &EdmParams,
    mut x: Vec<f32>,
    mut noise: impl FnMut(&mut [f32]),
    mut denoise: impl FnMut(&[f32], usize) -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    let sigmas = params.sigmas();
    let gamma = params.gamma();
    for (i, pair) in sigmas.windows(2).enumerate() {
        let (sigma, next) = (pair[0], pair[1]);
        let raised = sigma * (1.0 + gamma);
        if gamma > 0.0 {
            let mut added = vec![0.0; x.len()];
            noise(&mut added);
            let scale = (raised * raised - sigma * sigma).sqrt() as f32;
            for (x, added) in x.iter_mut().zip(&added) {
                *x += scale * added;
            }
        }
        let clean = denoise(&x, i)?;
        if next == 0.0 {
            // The step to 0 ends at the clean frame.
            return Ok(clean);
        }
        let [raised, dt, next] = [raised, next - raised, next].map(|x| x as f32);
        let slope = |x: &[f32], clean: &[f32], sigma: f32| -> Vec<f32> {
            x.iter()
                .zip(clean)
                .map(|(x, clean)| (x - clean) / sigma)
                .collect()
        };
        let mut direction = slope(&x, &clean, raised);
        if params.solver == EdmSolver::Heun {
            let ahead: Vec<f32> = x.iter().zip(&direction).map(|(x, d)| x + d * dt).collect();
            let clean = denoise(&ahead, i + 1)?;
            let second = slope(&ahead, &clean, next);
            for (d, second) in direction.iter_mut().zip(second) {
                *d = 0.5 * (*d + second);
            }
        }
        for (x, d) in x.iter_mut().zip(direction) {
            *x += d * dt;
        }
    }
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_follow_equation_5() {
        let sigmas = EdmParams::default().sigmas();
        assert_eq!(sigmas.len(), 4);
        let middle = (0.5 * (5.0f64.powf(1.0 / 7.0) + 0.002f64.powf(1.0 / 7.0))).powi(7);
        for (sigma, expected) in sigmas.iter().zip([5.0, middle, 0.002, 0.0]) {
            assert!((sigma - expected).abs() < 1e-12);
        }
        let one = EdmParams {
            steps: 1,
            ..EdmParams::default()
        };
        assert!((one.sigmas()[0] - 5.0).abs() < 1e-12);
    }

    /// Frames that are N(0, 1): the clean frame is x / (1 + σ²), and the exact flow scales x by
    /// √((1 + σ'²) / (1 + σ²)).
    fn gaussian(params: &EdmParams) -> f32 {
        let sigmas = params.sigmas();
        let denoise = |x: &[f32], i: usize| {
            Ok(x.iter()
                .map(|x| x / (1.0 + sigmas[i] * sigmas[i]) as f32)
                .collect())
        };
        sample(params, vec![5.0], |_| {}, denoise).unwrap()[0]
    }

    #[test]
    fn heun_is_nearer_the_flow() {
        let exact = 5.0 / 26f32.sqrt();
        let params = |steps, solver| EdmParams {
            steps,
            solver,
            ..EdmParams::default()
        };
        let error = |steps, solver| (gaussian(&params(steps, solver)) - exact).abs();
        // First and second order: four times the steps, a quarter and a sixteenth of the error.
        let euler = error(16, EdmSolver::Euler) / error(64, EdmSolver::Euler);
        assert!((3.0..5.5).contains(&euler), "{euler}");
        assert!(error(16, EdmSolver::Heun) < 0.2 * error(16, EdmSolver::Euler));
    }

    #[test]
    fn churn_adds_noise_before_each_step() {
        let params = EdmParams {
            churn: 0.3,
            ..EdmParams::default()
        };
        let mut calls = 0;
        let mut seen = Vec::new();
        let clean = sample(
            &params,
            vec![0.0],
            |noise| {
                calls += 1;
                noise.fill(1.0);
            },
            |x, _| {
                seen.push(x[0]);
                Ok(vec![0.0])
            },
        );
        assert_eq!((clean.unwrap(), calls), (vec![0.0], 3));
        // σ rises from 5 to 5.5 by noise of variance 5.5² − 5².
        assert!((seen[0] - 5.25f32.sqrt()).abs() < 1e-6);
    }

    #[test]
    fn parameters_out_of_range_are_named() {
        let default = EdmParams::default();
        for (params, what) in [
            (
                EdmParams {
                    steps: 0,
                    ..default
                },
                "steps 0",
            ),
            (
                EdmParams {
                    sigma_min: 0.0,
                    ..default
                },
                "noise levels from 0",
            ),
            (
                EdmParams {
                    sigma_max: 1e-3,
                    ..default
                },
                "noise levels",
            ),
            (
                EdmParams {
                    rho: f64::NAN,
                    ..default
                },
                "rho NaN",
            ),
            (
                EdmParams {
                    churn: -1.0,
                    ..default
                },
                "churn -1",
            ),
        ] {
            let error = params.check().unwrap_err().to_string();
            assert!(error.contains(what), "{error}");
        }
        default.check().unwrap();
    }
}
