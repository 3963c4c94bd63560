//! Sampler parameters, and which of them can be combined.

mod choices;
mod spec;

pub use choices::{Choice, SamplingPath, Solver};
pub use spec::{MAX_STEPS, PARAMS, ParamKind, ParamSpec, SliderSpec};

use serde::{Deserialize, Serialize};

use driftless_flow::FlowError;
use driftless_model::config::{SamplingConfig, WorldConfig};

use crate::{Error, Result};

/// Parameters of the sampler; they can change between two frames. [`PARAMS`] describes each to its users.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerParams {
    /// Steps per frame, K; the step size is d = 1/K. The adaptive solver ignores it.
    pub steps: usize,
    /// The solver.
    pub solver: Solver,
    /// The path that the solver follows.
    pub path: SamplingPath,
    /// Timestep shift: 1 spaces the signal levels evenly, above 1 puts more near the noise, below 1 more
    /// near the data (t′ = s t / (1 + (s − 1) t) for t = 1 − τ, Esser et al., 2024, eq. 23).
    pub shift: f32,
    /// Noise added between steps, in units of the SDE in `flow::solver`; 0 is the ODE.
    pub churn: f32,
    /// Error tolerance of an adaptive step, relative and absolute.
    pub tolerance: f32,
    /// Action guidance (classifier-free guidance): 1 is as trained, above 1 strengthens the effect of
    /// actions. Values other than 1 double the number of passes.
    pub guidance: f32,
    /// Signal level τ_ctx of finished frames in the context, in (0, 1]; 1 is clean.
    pub context_signal: f32,
    /// Frames that temporal attention sees, the current one included; capped by the world's `context`.
    pub context: usize,
    /// Whether a world with a long-term memory reads it.
    pub recall: bool,
    /// Standard deviation of the initial noise; 1 is the training distribution.
    pub temperature: f32,
    /// The highest noise level of a published world, whose sampler is EDM's (Karras et al., 2022, eq. 5).
    pub sigma_max: f32,
    /// Its lowest noise level above 0.
    pub sigma_min: f32,
    /// How its noise levels are spaced: more puts more of them near the lowest.
    pub rho: f32,
    /// Frames by which a full window of a published world moves on, if it is one that computes all of its window again
    /// when it moves.
    pub hop: usize,
    /// Seed of the noise: frame n of a session takes its noise from the address (seed, n).
    pub seed: u64,
}

impl Default for SamplerParams {
    fn default() -> Self {
        Self {
            steps: 4,
            solver: Solver::Shortcut,
            path: SamplingPath::Own,
            shift: 1.0,
            churn: 0.0,
            tolerance: 1e-2,
            guidance: 1.0,
            context_signal: 0.9,
            context: usize::MAX,
            recall: true,
            temperature: 1.0,
            sigma_max: 5.0,
            sigma_min: 2e-3,
            rho: 7.0,
            hop: 1,
            seed: 0,
        }
    }
}

impl SamplerParams {
    /// The parameters that suit a world: those of its configuration, and the defaults of all others.
    pub fn of_world(world: &WorldConfig) -> Self {
        let SamplingConfig {
            steps,
            temperature,
            context_signal,
        } = world.sampling;
        Self {
            steps,
            temperature,
            context_signal,
            ..Self::default()
        }
    }

    /// The same parameters with the default solver settings: plain shortcut sampling.
    #[must_use]
    pub fn with_default_solver(self) -> Self {
        let Self {
            steps,
            solver,
            path,
            shift,
            churn,
            ..
        } = Self::default();
        Self {
            steps,
            solver,
            path,
            shift,
            churn,
            ..self
        }
    }

    /// Checks every parameter's range and the combination of all.
    ///
    /// # Errors
    /// Returns an error that names the first parameter out of range and its range, or says which parameters
    /// cannot be combined and why.
    pub fn check(&self) -> Result<()> {
        for spec in &PARAMS {
            spec.check(self)?;
        }
        self.check_combination()
    }

    /// Checks that the parameters can be combined.
    ///
    /// # Errors
    /// Returns an error that says which ones cannot, and what would work.
    pub fn check_combination(&self) -> Result<()> {
        let refuse = |why: &str| Err(Error::from(FlowError::Pairing(why.to_owned())));
        if self.sigma_min > self.sigma_max {
            return refuse(
                "the lowest noise level is above the highest: swap sigma_min and sigma_max",
            );
        }
        let shortcut = self.solver == Solver::Shortcut;
        if shortcut && !self.steps.is_power_of_two() {
            return Err(FlowError::ShortcutSteps { steps: self.steps }.into());
        }
        if shortcut && self.shift != 1.0 {
            return refuse(
                "shift moves the levels, but a shortcut step is 1/K long: choose euler, midpoint or heun",
            );
        }
        if shortcut && self.path != SamplingPath::Own {
            return refuse(
                "a shortcut step is 1/K long on the world's own path: set path to own, or choose \
                 euler, midpoint, heun or adaptive",
            );
        }
        if self.solver == Solver::Adaptive && self.shift != 1.0 {
            return refuse(
                "shift moves the levels, but the adaptive solver places its own: set it to 1",
            );
        }
        if self.churn > 0.0 && self.solver != Solver::Euler {
            return refuse(
                "churn adds noise between steps, which only euler does (Euler-Maruyama): \
                 choose euler or set it to 0",
            );
        }
        if self.churn > 0.0 && self.steps == 1 {
            return refuse(
                "churn adds noise between steps, and K = 1 is a single step: set K to 2 or more, or churn to 0",
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(params: SamplerParams) -> String {
        params.check().unwrap_err().to_string()
    }

    #[test]
    fn invalid_combinations_are_explained() {
        let base = SamplerParams::default();
        base.check().unwrap();
        let of = |solver| SamplerParams { solver, ..base };
        assert!(why(SamplerParams { steps: 6, ..base }).contains("power of two"));
        assert!(why(SamplerParams { shift: 2.0, ..base }).contains("choose euler"));
        for solver in Solver::ALL {
            let noisy = SamplerParams {
                churn: 0.5,
                ..of(solver)
            };
            assert_eq!(noisy.check().is_ok(), solver == Solver::Euler, "{solver}");
            let one = SamplerParams {
                churn: 0.5,
                steps: 1,
                ..of(solver)
            };
            assert!(one.check().is_err(), "{solver}");
            let six = SamplerParams {
                steps: 6,
                ..of(solver)
            };
            assert_eq!(six.check().is_ok(), solver != Solver::Shortcut, "{solver}");
            let shifted = SamplerParams {
                shift: 2.0,
                ..of(solver)
            };
            let fixed = !matches!(solver, Solver::Shortcut | Solver::Adaptive);
            assert_eq!(shifted.check().is_ok(), fixed, "{solver}");
            for path in SamplingPath::ALL {
                let there = SamplerParams { path, ..of(solver) };
                let goes = solver != Solver::Shortcut || path == SamplingPath::Own;
                assert_eq!(there.check().is_ok(), goes, "{solver} {path}");
            }
        }
    }

    #[test]
    fn out_of_range_errors_name_the_range() {
        let base = SamplerParams::default();
        let error = why(SamplerParams { steps: 0, ..base });
        assert_eq!(error, "steps is 0, expected 1 to 1024");
        let error = why(SamplerParams {
            churn: -0.1,
            ..base
        });
        assert_eq!(error, "churn is -0.1, expected a finite number, at least 0");
        for (name, params) in [
            (
                "context_signal",
                SamplerParams {
                    context_signal: 0.0,
                    ..base
                },
            ),
            ("context", SamplerParams { context: 0, ..base }),
            (
                "temperature",
                SamplerParams {
                    temperature: f32::NAN,
                    ..base
                },
            ),
            ("shift", SamplerParams { shift: 0.0, ..base }),
            (
                "churn",
                SamplerParams {
                    churn: -1.0,
                    ..base
                },
            ),
            (
                "guidance",
                SamplerParams {
                    guidance: 10.5,
                    ..base
                },
            ),
            (
                "tolerance",
                SamplerParams {
                    tolerance: 0.0,
                    ..base
                },
            ),
        ] {
            assert!(why(params).starts_with(name), "{name}");
        }
    }
}
