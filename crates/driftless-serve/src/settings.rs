//! Sampler settings by name, within what the server allows.

use driftless_engine::{PARAMS, ParamKind, ParamSpec, SamplerParams, Solver};
use driftless_model::config::WorldConfig;
use serde_json::{Map, Value};

use crate::protocol::{SettingInfo, SettingKind};

/// Adaptive steps of a smaller tolerance would take a worker from the other players.
const LEAST_TOLERANCE: f32 = 1e-2;

/// The settings of a world.
#[derive(Clone, Debug)]
pub struct Settings {
    context: usize,
    least_context: usize,
    guidance: bool,
    memory: bool,
    max_steps: usize,
}

impl Settings {
    /// The settings that have an effect in `world`, with at most `max_steps` steps per frame.
    pub fn new(world: &WorldConfig, max_steps: usize) -> Self {
        Self {
            context: world.dynamics.context,
            least_context: world.dynamics.stem_frames + 1,
            guidance: world.dynamics.unknown_action,
            memory: world.dynamics.remembers(),
            max_steps,
        }
    }

    /// What a panel shows.
    pub fn infos(&self) -> Vec<SettingInfo> {
        let info = |spec: &ParamSpec| SettingInfo {
            name: spec.name.to_owned(),
            label: spec.label.to_owned(),
            help: spec.help.to_owned(),
            kind: self.kind(spec),
        };
        PARAMS.iter().filter(|s| self.has(s)).map(info).collect()
    }

    /// Whether a parameter has an effect.
    fn has(&self, spec: &ParamSpec) -> bool {
        match spec.name {
            "sigma_max" | "sigma_min" | "rho" | "hop" => false,
            "guidance" => self.guidance,
            "recall" => self.memory,
            _ => true,
        }
    }

    fn kind(&self, spec: &ParamSpec) -> SettingKind {
        match &spec.kind {
            ParamKind::Number { slider, .. } => {
                let (min, max) = match spec.name {
                    "steps" => (1.0, self.max_steps as f64),
                    "context" => (self.least_context as f64, self.context as f64),
                    "tolerance" => (LEAST_TOLERANCE.into(), slider.ends.1),
                    _ => slider.ends,
                };
                SettingKind::Number {
                    min,
                    max,
                    step: slider.step.unwrap_or_default(),
                    decimals: slider.decimals,
                }
            }
            ParamKind::Choice(choices) => SettingKind::Choice {
                choices: choices
                    .iter()
                    .map(|choice| [choice.name.to_owned(), choice.label.to_owned()])
                    .collect(),
            },
        }
    }

    /// The values of the settings that have an effect.
    pub fn values(&self, params: &SamplerParams) -> Map<String, Value> {
        let shown = SamplerParams {
            context: params.context.min(self.context),
            ..*params
        };
        let value = |spec: &ParamSpec| (spec.name.to_owned(), spec.to_json(spec.decimal(&shown)));
        PARAMS.iter().filter(|s| self.has(s)).map(value).collect()
    }

    /// `params` with those settings that `values` names.
    ///
    /// # Errors
    /// Returns a sentence that names the setting that does not exist or is out of range, or those that cannot be
    /// combined.
    pub fn changed(
        &self,
        mut params: SamplerParams,
        values: &Map<String, Value>,
    ) -> Result<SamplerParams, String> {
        for (name, value) in values {
            let spec = PARAMS.iter().find(|s| s.name == name && self.has(s));
            let spec = spec.ok_or_else(|| format!("this world has no setting `{name}`"))?;
            let number = spec.of_json(value);
            let number =
                number.ok_or_else(|| format!("`{name}` is {value}, which is not valid"))?;
            spec.set(&mut params, number);
        }
        params.check().map_err(|e| e.to_string())?;
        if params.steps > self.max_steps {
            let (steps, most) = (params.steps, self.max_steps);
            return Err(format!(
                "steps is {steps}, expected 1 to {most} on this server"
            ));
        }
        if params.solver == Solver::Adaptive && params.tolerance < LEAST_TOLERANCE {
            let tolerance = params.tolerance;
            return Err(format!(
                "tolerance is {tolerance}, expected at least {LEAST_TOLERANCE} on this server"
            ));
        }
        Ok(params)
    }
}

#[cfg(test)]
mod tests {
    use driftless_engine::testing::small_config;
    use serde_json::json;

    use super::*;

    fn settings() -> Settings {
        Settings::new(&small_config(), 16)
    }

    fn change(values: &Value) -> Result<SamplerParams, String> {
        let values = values.as_object().unwrap();
        settings().changed(SamplerParams::default(), values)
    }

    #[test]
    fn values_come_back() {
        let changed = change(&json!({"solver": "euler", "steps": 6, "churn": 0.1})).unwrap();
        assert_eq!((changed.solver, changed.steps), (Solver::Euler, 6));
        let values = settings().values(&changed);
        assert_eq!(
            (&values["solver"], &values["churn"]),
            (&json!("euler"), &json!(0.1))
        );
        assert_eq!(
            settings()
                .changed(SamplerParams::default(), &values)
                .unwrap(),
            {
                let context = small_config().dynamics.context;
                SamplerParams { context, ..changed }
            }
        );
    }

    #[test]
    fn every_setting_has_a_value() {
        let (infos, values) = (
            settings().infos(),
            settings().values(&SamplerParams::default()),
        );
        let names: Vec<_> = infos.iter().map(|info| info.name.as_str()).collect();
        assert_eq!(names.len(), values.len());
        assert!(names.iter().all(|name| values.contains_key(*name)));
        assert!(!names.contains(&"rho"));
    }

    #[test]
    fn refusals_name_the_setting() {
        for (values, expected) in [
            (json!({"magic": 1}), "no setting `magic`"),
            (json!({"rho": 2.0}), "no setting `rho`"),
            (json!({"seed": 2}), "no setting `seed`"),
            (json!({"steps": -1}), "`steps` is -1"),
            (json!({"steps": 64}), "expected 1 to 16 on this server"),
            (json!({"solver": "rk9"}), "`solver` is \"rk9\""),
            (json!({"temperature": -1}), "temperature is -1"),
            (json!({"churn": 0.5}), "which only euler does"),
            (
                json!({"solver": "adaptive", "tolerance": 1e-5}),
                "at least 0.01",
            ),
        ] {
            let error = change(&values).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
