//! The sampler parameters that are chosen from a list.

use std::fmt;

use serde::{Deserialize, Serialize};

use driftless_flow::path::Path as FlowPath;

/// One value of a parameter that is chosen from a list.
#[derive(Debug)]
pub struct Choice {
    /// The name in settings and on the command line.
    pub name: &'static str,
    /// The name in the Tuning panel.
    pub label: &'static str,
    /// What it means.
    pub help: &'static str,
}

/// The values of [`Solver`], in the order of [`Solver::ALL`].
pub(super) static SOLVERS: [Choice; 5] = [
    Choice {
        name: "shortcut",
        label: "Shortcut",
        help: "K equal steps of size 1/K, which the network was trained on",
    },
    Choice {
        name: "euler",
        label: "Euler",
        help: "Euler's method at the finest step size; with churn, Euler-Maruyama on the SDE",
    },
    Choice {
        name: "midpoint",
        label: "Midpoint",
        help: "The midpoint method: two passes per step",
    },
    Choice {
        name: "heun",
        label: "Heun",
        help: "Heun's method: two passes per step, one in the last step",
    },
    Choice {
        name: "adaptive",
        label: "Adaptive",
        help: "Dormand-Prince 5(4) with as many steps as the tolerance needs",
    },
];

/// The values of [`SamplingPath`], in the order of [`SamplingPath::ALL`].
pub(super) static PATHS: [Choice; 3] = [
    Choice {
        name: "own",
        label: "As trained",
        help: "The path that the world was trained on",
    },
    Choice {
        name: "linear",
        label: "Linear",
        help: "α = τ, σ = 1 − τ",
    },
    Choice {
        name: "cosine",
        label: "Cosine",
        help: "α = sin(πτ/2), σ = cos(πτ/2)",
    },
];

/// The values of a switch.
pub(super) static ON_OFF: [Choice; 2] = [
    Choice {
        name: "off",
        label: "Off",
        help: "Not used",
    },
    Choice {
        name: "on",
        label: "On",
        help: "Used",
    },
];

/// The method that takes a frame from noise to data.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solver {
    /// K equal steps of size 1/K, which the network was trained on (shortcut forcing).
    #[default]
    Shortcut,
    /// Euler's method on the velocity at the finest step size; with churn, Euler-Maruyama on the SDE.
    Euler,
    /// The midpoint method: two passes per step.
    Midpoint,
    /// Heun's method: two passes per step, one in the last step.
    Heun,
    /// Dormand-Prince 5(4) with as many steps as the tolerance needs.
    Adaptive,
}

impl Solver {
    /// All values, in the order of the stored indices.
    pub const ALL: [Self; 5] = [
        Self::Shortcut,
        Self::Euler,
        Self::Midpoint,
        Self::Heun,
        Self::Adaptive,
    ];

    /// The name used in settings and on the command line.
    pub fn name(self) -> &'static str {
        SOLVERS[self as usize].name
    }
}

impl fmt::Display for Solver {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The path from noise to data that the solver follows.
///
/// A network is trained on one path. On another path it is evaluated at the signal level with the same
/// ratio α/σ, with z rescaled to match ([`FlowPath::matching`]). With many steps all paths lead to the
/// same frame; with few steps the errors differ. Exploding-variance paths are excluded: on them the noise
/// falls by e^(ln(σ_max/σ_min)/K) per step, which no fixed-step solver follows with a few steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SamplingPath {
    /// The path that the world was trained on.
    #[default]
    Own,
    /// α = τ, σ = 1 − τ.
    Linear,
    /// α = sin(πτ/2), σ = cos(πτ/2).
    Cosine,
}

impl SamplingPath {
    /// All values, in the order of the stored indices.
    pub const ALL: [Self; 3] = [Self::Own, Self::Linear, Self::Cosine];

    /// The name used in settings and on the command line.
    pub fn name(self) -> &'static str {
        PATHS[self as usize].name
    }

    /// The flow path, for a world trained on `own`.
    pub fn path(self, own: FlowPath) -> FlowPath {
        match self {
            Self::Own => own,
            Self::Linear => FlowPath::Linear,
            Self::Cosine => FlowPath::Cosine,
        }
    }
}

impl fmt::Display for SamplingPath {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_and_options_use_the_same_names() {
        for solver in Solver::ALL {
            assert_eq!(serde_json::to_value(solver).unwrap(), solver.name());
        }
        for path in SamplingPath::ALL {
            assert_eq!(serde_json::to_value(path).unwrap(), path.name());
        }
    }
}
