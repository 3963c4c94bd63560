//! One frame from noise to data: the player's solver around the network's passes.

use super::network::{Ask, Network, Share};
use super::noise::{self, Use};
use super::params::{SamplerParams, Solver};
use crate::Result;
use driftless_flow::FlowError;
use driftless_flow::objective::step_shares;
use driftless_flow::path::{Match, Path};
use driftless_flow::prediction::Prediction;
use driftless_flow::solver::{Adaptive, Estimates, Grid, Method, State, solve, solve_sde};
use driftless_model::config::WorldConfig;
use driftless_model::dynamics::step_index;

/// Most steps of the adaptive solver for one frame.
const MOST_ADAPTIVE_STEPS: usize = 256;

/// The steps of shortcut sampling in terms of what the network puts out: its x̂ is affine in that and
/// in z, and the next z in both.
pub(super) fn shares(world: &WorldConfig, steps: usize) -> Result<Vec<Share>> {
    let flow = world.flow;
    let share = |k: usize| {
        let from = (k as f64 / steps as f64).max(flow.least_level());
        let to = (k + 1) as f64 / steps as f64;
        let (keep, take) = step_shares(flow.path, from, to)?;
        let [own, from_z] = match flow.prediction {
            Prediction::X => [1.0, 0.0],
            _ => flow.prediction.weights(&flow.path.at(from)?).clean,
        };
        Ok(Share {
            signal: from as f32,
            keep: (keep + take * from_z) as f32,
            take: (take * own) as f32,
        })
    };
    (0..steps).map(share).collect()
}

/// One pass of the network on the way from noise to data, on the network's own path.
#[derive(Clone, Debug, PartialEq)]
pub struct Pass {
    /// Signal level τ at which the network was asked.
    pub tau: f32,
    /// z_τ, `[cells, channels]`.
    pub z: Vec<f32>,
    /// x̂, `[cells, channels]`.
    pub x: Vec<f32>,
}

/// The network at one frame.
pub(super) struct Denoiser<'a, N> {
    pub network: &'a mut N,
    pub world: &'a WorldConfig,
    pub params: &'a SamplerParams,
    /// The action that leads to the frame.
    pub action: u32,
    /// Frames since the reset, which addresses the noise.
    pub frame: u64,
    /// Where every pass is noted, if anywhere.
    pub passes: Option<&'a mut Vec<Pass>>,
}

impl<N: Network> Denoiser<'_, N> {
    /// Turns the starting noise in `z` into the clean latent.
    ///
    /// Whatever the solver, the last step is one pass and leads to its x̂: velocities are unbounded
    /// at τ = 1, and noise that is added there would stay.
    pub fn run(&mut self, z: &mut Vec<f32>) -> Result<()> {
        let least = self.world.flow.least_level();
        if self.params.solver == Solver::Shortcut {
            return self.shortcut(z, least);
        }
        let own = self.world.flow.path;
        let least = own.matching(least, self.path())?.tau;
        let method = match self.params.solver {
            Solver::Adaptive => return self.adaptive(z, least),
            Solver::Midpoint => Method::Midpoint,
            Solver::Heun => Method::Heun,
            Solver::Shortcut | Solver::Euler => Method::Euler,
        };
        let shift = f64::from(self.params.shift);
        let levels = Grid::Shifted { shift }.levels(self.params.steps, least, 1.0)?;
        let before = &levels[..levels.len() - 1];
        if before.len() > 1 {
            *z = match self.params.churn {
                0.0 => solve(method, before, z, &mut |z, tau| self.velocity(z, tau))?,
                churn => {
                    let mut rng = noise::rng(self.params.seed, self.frame, Use::Churn);
                    let (path, churn) = (self.path(), f64::from(churn));
                    let mut ask = |z: &Vec<f32>, tau| self.estimates(z, tau);
                    solve_sde(path, churn, before, z, &mut ask, &mut rng)?
                }
            };
        }
        let last = before.last().copied().unwrap_or(least);
        *z = self.clean_along(z, last)?;
        Ok(())
    }

    fn shortcut(&mut self, z: &mut [f32], least: f64) -> Result<()> {
        let steps = self.params.steps;
        let step = step_index(steps, self.world.dynamics.k_max);
        for k in 0..steps {
            let from = (k as f64 / steps as f64).max(least);
            let to = (k + 1) as f64 / steps as f64;
            let x = self.clean(z, from, step)?;
            let (keep, take) = step_shares(self.world.flow.path, from, to)?;
            let (keep, take) = (keep as f32, take as f32);
            for (z, x) in z.iter_mut().zip(&x) {
                *z = keep * *z + take * x;
            }
        }
        Ok(())
    }

    fn adaptive(&mut self, z: &mut Vec<f32>, least: f64) -> Result<()> {
        let tolerance = self.params.tolerance;
        let tolerance = tolerance
            .to_string()
            .parse()
            .unwrap_or(f64::from(tolerance));
        let solver = Adaptive {
            tolerance,
            absolute: tolerance,
            max_steps: MOST_ADAPTIVE_STEPS,
        };
        // Half the finest step from the end.
        let last = 1.0 - 0.5 / self.world.dynamics.k_max as f64;
        *z = solver
            .solve(least, last, z, &mut |z, tau| self.velocity(z, tau))?
            .state;
        *z = self.clean_along(z, last)?;
        Ok(())
    }

    /// The path that the solver follows.
    fn path(&self) -> Path {
        self.params.path.path(self.world.flow.path)
    }

    /// The index of the finest step size, whose velocity is the ODE's own.
    pub(super) fn finest(&self) -> u32 {
        step_index(usize::MAX, self.world.dynamics.k_max)
    }

    /// x̂ of z at a signal level of the solver's path.
    fn clean_along(&mut self, z: &[f32], tau: f64) -> Result<Vec<f32>> {
        let Match { tau, scale } = self.path().matching(tau, self.world.flow.path)?;
        let step = self.finest();
        if scale == 1.0 {
            return self.clean(z, tau, step);
        }
        let z: Vec<f32> = z.iter().map(|z| scale as f32 * z).collect();
        self.clean(&z, tau, step)
    }

    /// x̂ of z at a signal level of the network's own path.
    pub(super) fn clean(&mut self, z: &[f32], tau: f64, step: u32) -> Result<Vec<f32>> {
        let mut output = self.guided(z, tau as f32, step)?;
        if output.iter().any(|value| !value.is_finite()) {
            let what = "the network's prediction";
            return Err(FlowError::NotFinite { what, tau }.into());
        }
        let flow = self.world.flow;
        if flow.prediction != Prediction::X {
            let weights = flow.prediction.weights(&flow.path.at(tau)?).clean;
            let [own, from_z] = weights.map(|weight| weight as f32);
            for (value, z) in output.iter_mut().zip(z) {
                *value = own * *value + from_z * z;
            }
        }
        if let Some(passes) = &mut self.passes {
            passes.push(Pass {
                tau: tau as f32,
                z: z.to_vec(),
                x: output.clone(),
            });
        }
        Ok(output)
    }

    /// What the network puts out, drawn away from what it would without knowing the action:
    /// o(∅) + g (o(a) − o(∅)) with guidance g (Ho and Salimans, *Classifier-Free Diffusion Guidance*,
    /// 2022, eq. 6 with w = g − 1). x̂, v̂ and ε̂ are affine in each other at one z, so it is the same
    /// in every space.
    fn guided(&mut self, z: &[f32], signal: f32, step: u32) -> Result<Vec<f32>> {
        let mut ask = Ask {
            z,
            signal,
            step,
            action: self.action,
        };
        let mut output = vec![0.0; z.len()];
        self.network.denoise(&ask, &mut output)?;
        let guidance = self.params.guidance;
        if let Some(unknown) = self.world.unknown_action().filter(|_| guidance != 1.0) {
            ask.action = unknown;
            let mut free = vec![0.0; z.len()];
            self.network.denoise(&ask, &mut free)?;
            for (output, free) in output.iter_mut().zip(free) {
                *output = free + guidance * (*output - free);
            }
        }
        Ok(output)
    }

    /// v̂ and ε̂ of z at a signal level below 1 of the solver's path.
    fn estimates(&mut self, z: &Vec<f32>, tau: f64) -> Result<Estimates<Vec<f32>>> {
        let x = self.clean_along(z, tau)?;
        let at = self.path().at(tau)?;
        let [own, from_z] = Prediction::X.weights(&at).noise;
        let noise = Vec::combine(&[(own, &x), (from_z, z)])?;
        let velocity = Vec::combine(&[(at.alpha_dot, &x), (at.sigma_dot, &noise)])?;
        Ok(Estimates { velocity, noise })
    }

    fn velocity(&mut self, z: &Vec<f32>, tau: f64) -> Result<Vec<f32>> {
        Ok(self.estimates(z, tau)?.velocity)
    }
}
