//! What a player can turn between two frames, and which of it goes together.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};
use driftless_flow::FlowError;
use driftless_flow::path::Path as FlowPath;

/// Most denoise passes a frame.
pub const MAX_STEPS: usize = 1024;

/// How a frame is brought from noise to data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", value(rename_all = "snake_case"))]
pub enum Solver {
    /// K equal steps of the size that the network was asked to learn (shortcut forcing).
    #[default]
    Shortcut,
    /// Euler's method on the network's finest velocity; with churn, Euler-Maruyama on the SDE.
    Euler,
    /// The midpoint method: two passes a step.
    Midpoint,
    /// Heun's method: two passes a step, one in the last.
    Heun,
    /// Dormand-Prince 5(4) with as many steps as the tolerance needs.
    Adaptive,
}

impl Solver {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Shortcut,
        Self::Euler,
        Self::Midpoint,
        Self::Heun,
        Self::Adaptive,
    ];

    /// Its name in settings and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Shortcut => "shortcut",
            Self::Euler => "euler",
            Self::Midpoint => "midpoint",
            Self::Heun => "heun",
            Self::Adaptive => "adaptive",
        }
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The path that a frame is brought along, from noise to data.
///
/// A network knows one path; on another it is asked at the level of the same ratio α/σ, with z
/// scaled to it ([`FlowPath::matching`]). In the limit of many steps all lead to one frame; with few,
/// the steps lie elsewhere and err otherwise. Paths of exploding variance are not among them: noise
/// falls by e^(ln(σ_max/σ_min)/K) a step there, which no fixed solver follows with a few steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "clap", value(rename_all = "snake_case"))]
pub enum Along {
    /// The one that the world was trained on.
    #[default]
    Own,
    /// α = τ, σ = 1 − τ.
    Linear,
    /// α = sin(πτ/2), σ = cos(πτ/2).
    Cosine,
}

impl Along {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Own, Self::Linear, Self::Cosine];

    /// Its name in settings and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Linear => "linear",
            Self::Cosine => "cosine",
        }
    }

    /// The path, for a world whose own is `own`.
    pub fn path(self, own: FlowPath) -> FlowPath {
        match self {
            Self::Own => own,
            Self::Linear => FlowPath::Linear,
            Self::Cosine => FlowPath::Cosine,
        }
    }
}

impl fmt::Display for Along {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a player can turn between two frames.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplerParams {
    /// Steps a frame, K; the step size is d = 1/K. The adaptive solver chooses its own.
    pub steps: usize,
    /// The method.
    pub solver: Solver,
    /// The path that it follows.
    pub path: Along,
    /// Where the levels of the steps lie: 1 evenly, above 1 denser near the noise, below 1 near
    /// the data (t′ = s t / (1 + (s − 1) t) for t = 1 − τ, Esser et al., 2024, eq. 23).
    pub shift: f32,
    /// Noise added between the steps, in units of the SDE of `flow::solver`; 0 is the ODE.
    pub churn: f32,
    /// Largest error of an adaptive step, relative and absolute.
    pub tolerance: f32,
    /// How far a frame is drawn from what would come without knowing the action towards what comes
    /// with it: 1 as trained, above it actions count for more. Other values cost a second pass.
    pub guidance: f32,
    /// Signal level τ_ctx at which finished frames are kept, in (0, 1]; 1 is clean.
    pub context_signal: f32,
    /// Frames that time attention sees, the current one included; at most the world's `context`.
    pub context: usize,
    /// Standard deviation of the starting noise; 1 is the training distribution.
    pub temperature: f32,
    /// Seed of the noise: frame n of a session draws its noise from (seed, n).
    pub seed: u64,
}

impl Default for SamplerParams {
    fn default() -> Self {
        Self {
            steps: 4,
            solver: Solver::Shortcut,
            path: Along::Own,
            shift: 1.0,
            churn: 0.0,
            tolerance: 1e-2,
            guidance: 1.0,
            context_signal: 0.9,
            context: usize::MAX,
            temperature: 1.0,
            seed: 0,
        }
    }
}

impl SamplerParams {
    /// The same with the plain shortcut sampler, which asks nothing of the network but its steps.
    #[must_use]
    pub fn plain(self) -> Self {
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

    /// Whether every parameter is in its range, and goes with the others.
    ///
    /// # Errors
    /// Names the first one that is not and its range, or says what does not go together and why.
    pub fn check(&self) -> Result<()> {
        let finite = |value: f32, least: f32| value >= least && value.is_finite();
        // As it was written: 0.1, not 0.10000000149.
        let shown = |value: f32| value.to_string().parse().unwrap_or(f64::from(value));
        let ranges = [
            (
                "steps",
                (1..=MAX_STEPS).contains(&self.steps),
                self.steps as f64,
                "1 to 1024",
            ),
            (
                "context_signal",
                self.context_signal > 0.0 && self.context_signal <= 1.0,
                shown(self.context_signal),
                "above 0, at most 1",
            ),
            (
                "context",
                self.context > 0,
                self.context as f64,
                "at least 1",
            ),
            (
                "temperature",
                finite(self.temperature, 0.0),
                shown(self.temperature),
                "a finite number, at least 0",
            ),
            (
                "shift",
                finite(self.shift, 0.01) && self.shift <= 100.0,
                shown(self.shift),
                "0.01 to 100",
            ),
            (
                "churn",
                finite(self.churn, 0.0),
                shown(self.churn),
                "a finite number, at least 0",
            ),
            (
                "tolerance",
                finite(self.tolerance, 1e-6) && self.tolerance <= 1.0,
                shown(self.tolerance),
                "0.000001 to 1",
            ),
            (
                "guidance",
                finite(self.guidance, 0.0) && self.guidance <= 10.0,
                shown(self.guidance),
                "0 to 10",
            ),
        ];
        for (what, fits, value, expected) in ranges {
            if !fits {
                return Err(FlowError::Range {
                    what,
                    value,
                    expected,
                }
                .into());
            }
        }
        self.pairing()
    }

    /// Whether the parameters go together.
    ///
    /// # Errors
    /// Says what does not, and what would.
    pub fn pairing(&self) -> Result<()> {
        let refuse = |why: &str| Err(Error::from(FlowError::Pairing(why.to_owned())));
        let shortcut = self.solver == Solver::Shortcut;
        if shortcut && !self.steps.is_power_of_two() {
            return Err(FlowError::ShortcutSteps { steps: self.steps }.into());
        }
        if shortcut && self.shift != 1.0 {
            return refuse(
                "shift moves the levels, but a shortcut step is 1/K long: choose euler, midpoint or heun",
            );
        }
        if shortcut && self.path != Along::Own {
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
                "churn adds noise between steps, and K = 1 has no between: set K to 2 or more, or churn to 0",
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
    fn what_does_not_go_together_is_explained() {
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
            for path in Along::ALL {
                let there = SamplerParams { path, ..of(solver) };
                let goes = solver != Solver::Shortcut || path == Along::Own;
                assert_eq!(there.check().is_ok(), goes, "{solver} {path}");
            }
        }
    }

    #[test]
    fn a_number_out_of_its_range_is_named_with_it() {
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
