//! Denoising of one frame: the chosen solver around the network's passes.

use driftless_data::Action;
use driftless_flow::FlowError;
use driftless_flow::objective::Step;
use driftless_flow::path::{Match, Path};
use driftless_flow::prediction::Prediction;
use driftless_flow::solver::{Adaptive, Estimates, Grid, Method, State, solve, solve_sde};
use driftless_model::config::WorldConfig;
use driftless_model::dynamics::step_index;

use super::network::{DenoiseInput, Network, StepCoefficients};
use super::noise;
use super::noise::NoisePurpose;
use super::params::{SamplerParams, Solver};
use crate::Result;

/// Upper limit on the adaptive solver's steps per frame.
const MAX_ADAPTIVE_STEPS: usize = 256;

/// Coefficients of all shortcut steps, in terms of the network's output instead of x̂. Both x̂ and the next
/// z are affine in that output and in z.
pub(super) fn step_coefficients(
    world: &WorldConfig,
    steps: usize,
) -> Result<Vec<StepCoefficients>> {
    let flow = world.flow;
    let coefficients = |k: usize| {
        let step = Step::shortcut(flow.path, k, steps, flow.min_signal_level())?;
        let [from_output, from_z] = flow.prediction.weights(&flow.path.at(step.from)?).clean;
        Ok(StepCoefficients {
            tau: step.from as f32,
            z_scale: (step.z_scale + step.x_scale * from_z) as f32,
            output_scale: (step.x_scale * from_output) as f32,
        })
    };
    (0..steps).map(coefficients).collect()
}

/// A recorded denoise pass, on the path that the network was trained on.
#[derive(Clone, Debug, PartialEq)]
pub struct DenoisePass {
    /// Signal level τ of the network's input.
    pub tau: f32,
    /// z_τ, `[cells, channels]`.
    pub z: Vec<f32>,
    /// x̂, `[cells, channels]`.
    pub x: Vec<f32>,
}

/// Denoises one frame with a network.
pub(super) struct Denoiser<'a> {
    pub network: &'a mut dyn Network,
    pub world: &'a WorldConfig,
    pub params: &'a SamplerParams,
    /// The action that leads to the frame.
    pub action: Action,
    /// Frames since the reset; part of the noise address.
    pub frame: u64,
    /// Records every pass if set.
    pub passes: Option<&'a mut Vec<DenoisePass>>,
}

impl Denoiser<'_> {
    /// Turns the initial noise in `z` into the clean latent.
    ///
    /// With every solver, the last step is a single pass whose x̂ is the result: velocities are unbounded
    /// at τ = 1, and noise added there would remain.
    pub fn run(&mut self, z: &mut Vec<f32>) -> Result<()> {
        let min_level = self.world.flow.min_signal_level();
        if self.params.solver == Solver::Shortcut {
            return self.shortcut(z, min_level);
        }
        let trained = self.world.flow.path;
        let min_level = trained.matching(min_level, self.path())?.tau;
        let method = match self.params.solver {
            Solver::Adaptive => return self.adaptive(z, min_level),
            Solver::Midpoint => Method::Midpoint,
            Solver::Heun => Method::Heun,
            Solver::Shortcut | Solver::Euler => Method::Euler,
        };
        let shift = f64::from(self.params.shift);
        let levels = Grid::Shifted { shift }.levels(self.params.steps, min_level, 1.0)?;
        let before_last = &levels[..levels.len() - 1];
        if before_last.len() > 1 {
            *z = match self.params.churn {
                0.0 => solve(method, before_last, z, &mut |z, tau| self.velocity(z, tau))?,
                churn => {
                    let mut rng = noise::rng(self.params.seed, self.frame, NoisePurpose::Churn);
                    let (path, churn) = (self.path(), f64::from(churn));
                    let mut estimate = |z: &Vec<f32>, tau| self.estimates(z, tau);
                    solve_sde(path, churn, before_last, z, &mut estimate, &mut rng)?
                }
            };
        }
        let last = before_last.last().copied().unwrap_or(min_level);
        *z = self.clean_on_solver_path(z, last)?;
        Ok(())
    }

    fn shortcut(&mut self, z: &mut [f32], min_level: f64) -> Result<()> {
        let steps = self.params.steps;
        let step_index = step_index(steps, self.world.dynamics.k_max);
        for k in 0..steps {
            let step = Step::shortcut(self.world.flow.path, k, steps, min_level)?;
            let x = self.predict_clean(z, step.from, step_index)?;
            let (z_scale, x_scale) = (step.z_scale as f32, step.x_scale as f32);
            for (z, x) in z.iter_mut().zip(&x) {
                *z = z_scale * *z + x_scale * x;
            }
        }
        Ok(())
    }

    fn adaptive(&mut self, z: &mut Vec<f32>, min_level: f64) -> Result<()> {
        // Through decimal, so that 0.1f32 becomes 0.1.
        let tolerance = self.params.tolerance;
        let tolerance = tolerance
            .to_string()
            .parse()
            .unwrap_or(f64::from(tolerance));
        let solver = Adaptive {
            tolerance,
            absolute: tolerance,
            max_steps: MAX_ADAPTIVE_STEPS,
        };
        // Stop half the finest step before τ = 1.
        let last = 1.0 - 0.5 / self.world.dynamics.k_max as f64;
        *z = solver
            .solve(min_level, last, z, &mut |z, tau| self.velocity(z, tau))?
            .state;
        *z = self.clean_on_solver_path(z, last)?;
        Ok(())
    }

    /// The path that the solver follows.
    fn path(&self) -> Path {
        self.params.path.path(self.world.flow.path)
    }

    /// Index of the finest step size, at which the network predicts the velocity of the ODE.
    pub(super) fn finest_step(&self) -> u32 {
        step_index(usize::MAX, self.world.dynamics.k_max)
    }

    /// x̂ of `z`, with `tau` on the solver's path.
    fn clean_on_solver_path(&mut self, z: &[f32], tau: f64) -> Result<Vec<f32>> {
        let Match { tau, scale } = self.path().matching(tau, self.world.flow.path)?;
        let step_index = self.finest_step();
        if scale == 1.0 {
            return self.predict_clean(z, tau, step_index);
        }
        let z: Vec<f32> = z.iter().map(|z| scale as f32 * z).collect();
        self.predict_clean(&z, tau, step_index)
    }

    /// x̂ of `z`, with `tau` on the network's own path. Returns an error if it is not finite.
    pub(super) fn predict_clean(
        &mut self,
        z: &[f32],
        tau: f64,
        step_index: u32,
    ) -> Result<Vec<f32>> {
        let mut output = self.guided_output(z, tau as f32, step_index)?;
        if output.iter().any(|value| !value.is_finite()) {
            let what = "the network's prediction";
            return Err(FlowError::NotFinite { what, tau }.into());
        }
        let flow = self.world.flow;
        if flow.prediction != Prediction::X {
            let weights = flow.prediction.weights(&flow.path.at(tau)?).clean;
            let [from_output, from_z] = weights.map(|weight| weight as f32);
            for (value, z) in output.iter_mut().zip(z) {
                *value = from_output * *value + from_z * z;
            }
        }
        if let Some(passes) = &mut self.passes {
            passes.push(DenoisePass {
                tau: tau as f32,
                z: z.to_vec(),
                x: output.clone(),
            });
        }
        Ok(output)
    }

    /// The network's output with action guidance g: o(∅) + g (o(a) − o(∅)), with o(∅) the output for the
    /// unknown action (Ho and Salimans, *Classifier-Free Diffusion Guidance*, 2022, eq. 6 with w = g − 1).
    /// x̂, v̂ and ε̂ are affine in each other at a fixed z, so the result does not depend on which of them
    /// the network predicts.
    fn guided_output(&mut self, z: &[f32], tau: f32, step_index: u32) -> Result<Vec<f32>> {
        let mut input = DenoiseInput {
            z,
            tau,
            step_index,
            action: self.action,
        };
        let mut output = vec![0.0; z.len()];
        self.network.denoise(&input, &mut output)?;
        let guidance = self.params.guidance;
        if let Some(unknown) = self.world.unknown_action().filter(|_| guidance != 1.0) {
            input.action = unknown.into();
            let mut unconditional = vec![0.0; z.len()];
            self.network.denoise(&input, &mut unconditional)?;
            for (output, unconditional) in output.iter_mut().zip(unconditional) {
                *output = unconditional + guidance * (*output - unconditional);
            }
        }
        Ok(output)
    }

    /// v̂ and ε̂ of `z`, with `tau` < 1 on the solver's path.
    fn estimates(&mut self, z: &Vec<f32>, tau: f64) -> Result<Estimates<Vec<f32>>> {
        let x = self.clean_on_solver_path(z, tau)?;
        let at = self.path().at(tau)?;
        let [from_x, from_z] = Prediction::X.weights(&at).noise;
        let noise = Vec::combine(&[(from_x, &x), (from_z, z)])?;
        let velocity = Vec::combine(&[(at.alpha_dot, &x), (at.sigma_dot, &noise)])?;
        Ok(Estimates { velocity, noise })
    }

    fn velocity(&mut self, z: &Vec<f32>, tau: f64) -> Result<Vec<f32>> {
        Ok(self.estimates(z, tau)?.velocity)
    }
}
