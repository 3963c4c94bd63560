//! Which parameters of the sampler a world has: for the Tuning panel, and for the options of the command line.

use driftless_engine::{PARAMS, ParamKind, ParamSpec, Solver};

use super::playable_world::{PlayableWorld, PublishedSampler};
use crate::{Error, Result};

/// The parameters that only published worlds have.
pub const ONLY_PUBLISHED: [&str; 4] = ["sigma_max", "sigma_min", "rho", "hop"];

impl PublishedSampler {
    /// The names of the parameters that it has, besides the seed.
    pub fn params(self) -> &'static [&'static str] {
        match self {
            Self::Edm => &[
                "solver",
                "steps",
                "churn",
                "temperature",
                "sigma_max",
                "sigma_min",
                "rho",
            ],
            Self::Ddim { .. } | Self::Shortcut { .. } => {
                &["steps", "context_signal", "context", "temperature", "hop"]
            }
        }
    }

    /// The solvers to choose from; none if it has its own.
    pub fn solvers(self) -> &'static [Solver] {
        match self {
            Self::Edm => &[Solver::Euler, Solver::Heun],
            Self::Ddim { .. } | Self::Shortcut { .. } => &[],
        }
    }
}

impl PlayableWorld {
    /// Refuses a parameter, given with this value, that the world's sampler does not have.
    ///
    /// # Errors
    /// Returns an error that names the option and what the world has instead.
    pub fn check_option(&self, spec: &ParamSpec, value: f64) -> Result<()> {
        let name = &self.world.name;
        let refused = |what: String| Err(Error::Argument(format!("{}: {what}", option(spec))));
        match self.published {
            Some(sampler) if !sampler.params().contains(&spec.name) => {
                let known = PARAMS.iter().filter(|known| {
                    known.placeholder.is_some() && sampler.params().contains(&known.name)
                });
                let known: Vec<String> = known.map(option).collect();
                refused(format!(
                    "the sampler of {name} has no such option, expected some of {}",
                    known.join(", ")
                ))
            }
            Some(sampler) => {
                let solvers = sampler.solvers();
                let has = |solver: &Solver| *solver as usize as f64 == value;
                if spec.name != "solver" || solvers.iter().any(has) {
                    return Ok(());
                }
                let names: Vec<&str> = solvers.iter().map(|solver| solver.name()).collect();
                refused(format!(
                    "{name} has no solver {}, expected {}",
                    value_name(spec, value),
                    names.join(" or ")
                ))
            }
            None if self.dynamics.is_some() && ONLY_PUBLISHED.contains(&spec.name) => refused(
                format!("the sampler of {name} has no such option, only those of published worlds"),
            ),
            None => Ok(()),
        }
    }
}

/// A parameter as it is written on the command line.
fn option(spec: &ParamSpec) -> String {
    format!("--{}", spec.name.replace('_', "-"))
}

/// The name of a choice.
fn value_name(spec: &ParamSpec, value: f64) -> &'static str {
    match &spec.kind {
        ParamKind::Choice(choices) => choices
            .get(value as usize)
            .map_or("of this number", |choice| choice.name),
        ParamKind::Number { .. } => "of this number",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_worlds::SimulatorKind;

    #[test]
    fn parameters_exist() {
        let edm = PublishedSampler::Edm.params();
        let ddim = PublishedSampler::Ddim { window: 32 }.params();
        for name in edm.iter().chain(ddim).chain(&ONLY_PUBLISHED) {
            assert!(PARAMS.iter().any(|spec| spec.name == *name), "{name}");
        }
    }

    #[test]
    fn what_a_published_sampler_lacks_is_refused() {
        let refusal = |sampler, name: &str, value| {
            let world = PlayableWorld {
                published: Some(sampler),
                ..PlayableWorld::simulator(SimulatorKind::Maze)
            };
            let spec = PARAMS.iter().find(|spec| spec.name == name).unwrap();
            world.check_option(spec, value).err().map(|e| e.to_string())
        };
        let edm = PublishedSampler::Edm;
        assert_eq!(refusal(edm, "solver", Solver::Heun as usize as f64), None);
        let text = refusal(edm, "solver", Solver::Shortcut as usize as f64).unwrap();
        assert!(
            text.contains("no solver shortcut, expected euler or heun"),
            "{text}"
        );
        let text = refusal(edm, "context_signal", 0.5).unwrap();
        assert!(
            text.starts_with("--context-signal: ") && text.contains("--sigma-max"),
            "{text}"
        );
        let shortcut = PublishedSampler::Shortcut {
            window: 32,
            k_max: 8,
        };
        assert_eq!(refusal(shortcut, "context_signal", 0.5), None);
        let text = refusal(shortcut, "solver", 0.0).unwrap();
        assert!(
            text.ends_with("expected some of --steps, --context-signal, --temperature, --hop"),
            "{text}"
        );
    }

    #[test]
    fn own_worlds_have_no_options_of_published_ones() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong");
        let device = driftless_engine::DeviceChoice::Cpu;
        let world = PlayableWorld::learned(&folder, device, None).unwrap();
        let refused: Vec<&str> = PARAMS
            .iter()
            .filter(|spec| world.check_option(spec, 1.0).is_err())
            .map(|spec| spec.name)
            .collect();
        assert_eq!(refused, ONLY_PUBLISHED);
    }
}
