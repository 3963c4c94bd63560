//! The declaration of every sampler parameter. The range check, the command line, the Tuning panel,
//! presets and the arrays of recordings are built from it.

use std::ops::Bound::{self, Excluded, Included, Unbounded};
use std::ops::RangeBounds as _;

use serde_json::Value;

use driftless_flow::FlowError;

use super::SamplerParams;
use super::choices::{Choice, ON_OFF, PATHS, SOLVERS, SamplingPath, Solver};
use crate::Result;

/// Upper limit on the steps per frame.
pub const MAX_STEPS: usize = 1024;

/// A sampler parameter. Its value is a number here: a choice is its index, as in recordings.
#[derive(Debug)]
pub struct ParamSpec {
    /// The field of [`SamplerParams`], the key in presets and, with hyphens, the command-line option.
    pub name: &'static str,
    /// The array that holds the parameter in recordings.
    pub column: &'static str,
    /// The name in the Tuning panel.
    pub label: &'static str,
    /// What the parameter does, for the command line and the Tuning panel.
    pub help: &'static str,
    /// What stands for the value in the command line's help; `None` if there is no such option.
    pub placeholder: Option<&'static str>,
    /// The values that the parameter can take.
    pub kind: ParamKind,
    get: fn(&SamplerParams) -> f64,
    set: fn(&mut SamplerParams, f64),
}

/// The values that a parameter can take.
#[derive(Debug)]
pub enum ParamKind {
    /// A finite number.
    Number {
        /// Whether it is a whole number.
        whole: bool,
        /// The valid numbers.
        range: (Bound<f32>, Bound<f32>),
        /// The valid numbers in words.
        expected: &'static str,
        /// The slider in the Tuning panel.
        slider: SliderSpec,
    },
    /// One of a list.
    Choice(&'static [Choice]),
}

/// A slider: the useful part of a parameter's range.
#[derive(Clone, Copy, Debug)]
pub struct SliderSpec {
    /// The ends.
    pub ends: (f64, f64),
    /// The distance of two positions; `None` on a logarithmic scale.
    pub step: Option<f64>,
    /// Decimals shown.
    pub decimals: usize,
}

impl ParamSpec {
    /// The parameter's value.
    pub fn get(&self, params: &SamplerParams) -> f64 {
        (self.get)(params)
    }

    /// Sets the parameter. A choice that does not exist changes nothing.
    pub fn set(&self, params: &mut SamplerParams, value: f64) {
        (self.set)(params, value);
    }

    /// The parameter's value as a person would write it: 0.1, not 0.10000000149 as the nearest f32 is.
    pub fn decimal(&self, params: &SamplerParams) -> f64 {
        let value = self.get(params);
        match self.kind {
            ParamKind::Number { whole: false, .. } => {
                (value as f32).to_string().parse().unwrap_or(value)
            }
            _ => value,
        }
    }

    /// A value as JSON: a number, or the name of a choice.
    pub fn to_json(&self, value: f64) -> Value {
        match &self.kind {
            // The conversion saturates, as that of a length without a limit shall.
            ParamKind::Number { whole: true, .. } => (value as u64).into(),
            ParamKind::Number { .. } => value.into(),
            ParamKind::Choice(choices) => {
                let choice = choices.get(value as usize);
                choice.map_or(Value::Null, |choice| choice.name.into())
            }
        }
    }

    /// The value that JSON stands for; the inverse of [`ParamSpec::to_json`]. `None` if it is of another kind.
    pub fn of_json(&self, value: &Value) -> Option<f64> {
        match &self.kind {
            ParamKind::Number { whole: true, .. } => value.as_u64().map(|value| value as f64),
            ParamKind::Number { .. } => value.as_f64(),
            ParamKind::Choice(choices) => {
                let name = value.as_str()?;
                let index = choices.iter().position(|choice| choice.name == name)?;
                Some(index as f64)
            }
        }
    }

    /// Checks that the parameter is in its range.
    ///
    /// # Errors
    /// Returns an error that names the parameter, its value and its range.
    pub fn check(&self, params: &SamplerParams) -> Result<()> {
        let ParamKind::Number {
            range, expected, ..
        } = &self.kind
        else {
            return Ok(());
        };
        // As f32, which the parameters are: 1e-6 as f32 is less than 1e-6.
        let value = self.get(params) as f32;
        if value.is_finite() && range.contains(&value) {
            return Ok(());
        }
        Err(FlowError::Range {
            what: self.name,
            value: self.decimal(params),
            expected,
        }
        .into())
    }
}

const fn steps_of(ends: (f64, f64), step: f64, decimals: usize) -> SliderSpec {
    SliderSpec {
        ends,
        step: Some(step),
        decimals,
    }
}

const fn logarithmic(ends: (f64, f64), decimals: usize) -> SliderSpec {
    SliderSpec {
        ends,
        step: None,
        decimals,
    }
}

/// All sampler parameters but the seed, in the order of the Tuning panel.
pub static PARAMS: [ParamSpec; 15] = [
    ParamSpec {
        name: "solver",
        column: "solver",
        label: "Solver",
        help: "How a frame gets from noise to data. Shortcut takes the K equal steps that the network \
               was trained for. The others follow its finest velocity; Euler can also add noise, \
               adaptive chooses its own steps.",
        placeholder: Some("SOLVER"),
        kind: ParamKind::Choice(&SOLVERS),
        get: |params| params.solver as usize as f64,
        set: |params, index| {
            params.solver = *Solver::ALL.get(index as usize).unwrap_or(&params.solver);
        },
    },
    ParamSpec {
        name: "path",
        column: "path",
        label: "Path",
        help: "The path from noise to data: as trained, or another one. With many steps all give the \
               same frame; with few steps the errors differ.",
        placeholder: Some("PATH"),
        kind: ParamKind::Choice(&PATHS),
        get: |params| params.path as usize as f64,
        set: |params, index| {
            params.path = *SamplingPath::ALL
                .get(index as usize)
                .unwrap_or(&params.path);
        },
    },
    ParamSpec {
        name: "steps",
        column: "steps",
        label: "Steps K",
        help: "Sampling steps per frame: more is sharper and slower.",
        placeholder: Some("K"),
        kind: ParamKind::Number {
            whole: true,
            range: (Included(1.0), Included(MAX_STEPS as f32)),
            expected: "1 to 1024",
            slider: steps_of((1.0, 64.0), 1.0, 0),
        },
        get: |params| params.steps as f64,
        set: |params, value| params.steps = value as usize,
    },
    ParamSpec {
        name: "tolerance",
        column: "tolerance",
        label: "Tolerance",
        help: "Largest error of a step of the adaptive solver: smaller is more accurate and slower.",
        placeholder: Some("TOL"),
        kind: ParamKind::Number {
            whole: false,
            range: (Included(1e-6), Included(1.0)),
            expected: "0.000001 to 1",
            slider: logarithmic((1e-3, 0.5), 3),
        },
        get: |params| params.tolerance.into(),
        set: |params, value| params.tolerance = value as f32,
    },
    ParamSpec {
        name: "shift",
        column: "shift",
        label: "Timestep shift",
        help: "Where the steps lie: 1 spaces them evenly, above 1 denser near the noise, below 1 \
               denser near the data.",
        placeholder: Some("S"),
        kind: ParamKind::Number {
            whole: false,
            range: (Included(0.01), Included(100.0)),
            expected: "0.01 to 100",
            slider: logarithmic((0.1, 10.0), 2),
        },
        get: |params| params.shift.into(),
        set: |params, value| params.shift = value as f32,
    },
    ParamSpec {
        name: "churn",
        column: "churn",
        label: "Stochasticity (churn)",
        help: "Noise added between Euler steps: 0 solves the ODE, above 0 the SDE with the same \
               marginals.",
        placeholder: Some("C"),
        kind: ParamKind::Number {
            whole: false,
            range: (Included(0.0), Unbounded),
            expected: "a finite number, at least 0",
            slider: steps_of((0.0, 4.0), 0.05, 2),
        },
        get: |params| params.churn.into(),
        set: |params, value| params.churn = value as f32,
    },
    ParamSpec {
        name: "context_signal",
        column: "context_signal",
        label: "Context noise",
        help: "Signal level τ_ctx at which past frames enter the context, above 0: 1 is clean, lower \
               adds noise and forgives errors.",
        placeholder: Some("TAU"),
        kind: ParamKind::Number {
            whole: false,
            range: (Excluded(0.0), Included(1.0)),
            expected: "above 0, at most 1",
            slider: steps_of((0.1, 1.0), 0.01, 2),
        },
        get: |params| params.context_signal.into(),
        set: |params, value| params.context_signal = value as f32,
    },
    ParamSpec {
        name: "context",
        column: "context_length",
        label: "Context length",
        help: "Frames in the model's context, including the current one.",
        // `--context` is an older name of `--clip`.
        placeholder: None,
        kind: ParamKind::Number {
            whole: true,
            range: (Included(1.0), Unbounded),
            expected: "at least 1",
            slider: steps_of((1.0, 64.0), 1.0, 0),
        },
        get: |params| params.context as f64,
        set: |params, value| params.context = value as usize,
    },
    ParamSpec {
        name: "recall",
        column: "recall",
        label: "Memory",
        help: "Whether the world recalls frames that left its context. Without effect on worlds that \
               have no memory.",
        placeholder: Some("RECALL"),
        kind: ParamKind::Choice(&ON_OFF),
        get: |params| f64::from(u8::from(params.recall)),
        set: |params, index| params.recall = index >= 1.0,
    },
    ParamSpec {
        name: "temperature",
        column: "temperature",
        label: "Temperature",
        help: "Scale of the initial noise: 1 as in training, 0 for no noise.",
        placeholder: Some("T"),
        kind: ParamKind::Number {
            whole: false,
            range: (Included(0.0), Unbounded),
            expected: "a finite number, at least 0",
            slider: steps_of((0.0, 2.0), 0.05, 2),
        },
        get: |params| params.temperature.into(),
        set: |params, value| params.temperature = value as f32,
    },
    ParamSpec {
        name: "guidance",
        column: "guidance",
        label: "Action guidance (CFG)",
        help: "How strongly actions count: 1 as trained, above 1 more, at twice the cost; 0 ignores \
               them.",
        placeholder: Some("G"),
        kind: ParamKind::Number {
            whole: false,
            range: (Included(0.0), Included(10.0)),
            expected: "0 to 10",
            slider: steps_of((0.0, 4.0), 0.05, 2),
        },
        get: |params| params.guidance.into(),
        set: |params, value| params.guidance = value as f32,
    },
    ParamSpec {
        name: "sigma_max",
        column: "sigma_max",
        label: "Highest noise σ max",
        help: "Where sampling begins, in published worlds only: the noise level of the first step.",
        placeholder: Some("SIGMA"),
        kind: ParamKind::Number {
            whole: false,
            range: (Excluded(0.0), Included(1000.0)),
            expected: "above 0, at most 1000",
            slider: logarithmic((0.5, 80.0), 2),
        },
        get: |params| params.sigma_max.into(),
        set: |params, value| params.sigma_max = value as f32,
    },
    ParamSpec {
        name: "sigma_min",
        column: "sigma_min",
        label: "Lowest noise σ min",
        help: "The noise level of the last step, in published worlds only.",
        placeholder: Some("SIGMA"),
        kind: ParamKind::Number {
            whole: false,
            range: (Excluded(0.0), Included(1000.0)),
            expected: "above 0, at most 1000",
            slider: logarithmic((1e-3, 0.5), 3),
        },
        get: |params| params.sigma_min.into(),
        set: |params, value| params.sigma_min = value as f32,
    },
    ParamSpec {
        name: "rho",
        column: "rho",
        label: "Level spacing ρ",
        help: "How the noise levels are spaced, in published worlds only: more puts more of them near the lowest.",
        placeholder: Some("RHO"),
        kind: ParamKind::Number {
            whole: false,
            range: (Included(1.0), Included(100.0)),
            expected: "1 to 100",
            slider: steps_of((1.0, 15.0), 0.5, 1),
        },
        get: |params| params.rho.into(),
        set: |params, value| params.rho = value as f32,
    },
    ParamSpec {
        name: "hop",
        column: "hop",
        label: "Window hop",
        help: "Frames by which a full window moves on, in Oasis and Dreamer 4 only: 1 forgets one frame at a time and \
               computes all others again for each frame, more does so less often.",
        placeholder: Some("N"),
        kind: ParamKind::Number {
            whole: true,
            range: (Included(1.0), Included(1024.0)),
            expected: "1 to 1024",
            slider: steps_of((1.0, 31.0), 1.0, 0),
        },
        get: |params| params.hop as f64,
        set: |params, value| params.hop = value as usize,
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_but_the_seed_is_declared_once() {
        let fields = serde_json::to_value(SamplerParams::default()).unwrap();
        let mut fields: Vec<_> = fields.as_object().unwrap().keys().cloned().collect();
        fields.retain(|field| field != "seed");
        let mut names = PARAMS.each_ref().map(|spec| spec.name);
        fields.sort();
        names.sort_unstable();
        assert_eq!(fields, names);
    }

    #[test]
    fn values_come_back_and_change_their_own_field_only() {
        let defaults = SamplerParams::default();
        for spec in &PARAMS {
            let mut params = defaults;
            let other = match &spec.kind {
                ParamKind::Choice(choices) if choices.len() == 2 => 1.0 - spec.get(&defaults),
                _ => 2.0,
            };
            spec.set(&mut params, other);
            assert_eq!(spec.get(&params), other, "{}", spec.name);
            assert_ne!(params, defaults, "{}", spec.name);
            spec.set(&mut params, spec.get(&defaults));
            assert_eq!(params, defaults, "{}", spec.name);
        }
    }

    #[test]
    fn ranges_hold_their_ends_and_the_defaults() {
        for spec in &PARAMS {
            let ParamKind::Number {
                range,
                expected,
                slider,
                ..
            } = &spec.kind
            else {
                continue;
            };
            let check = |value: f64| {
                let mut params = SamplerParams::default();
                spec.set(&mut params, value);
                spec.check(&params)
            };
            spec.check(&SamplerParams::default()).unwrap();
            check(slider.ends.0).unwrap();
            check(slider.ends.1).unwrap();
            for end in [range.0, range.1] {
                if let Included(end) | Excluded(end) = end {
                    assert!(expected.contains(&end.to_string()), "{}", spec.name);
                    let inside = matches!(range.0, Included(_)) || end != 0.0;
                    assert_eq!(check(end.into()).is_ok(), inside, "{}", spec.name);
                }
            }
        }
    }

    #[test]
    fn decimals_are_as_written() {
        let params = SamplerParams {
            churn: 0.1,
            ..SamplerParams::default()
        };
        let churn = PARAMS.iter().find(|spec| spec.name == "churn").unwrap();
        assert_eq!(churn.decimal(&params), 0.1);
    }
}
