//! Command-line options of the sampler, from the declarations of its parameters.

use std::marker::PhantomData;

use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser as _, ValueParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command};

use driftless::Result;
use driftless::workspace::PlayableWorld;
use driftless_engine::{PARAMS, ParamKind, ParamSpec, SamplerParams};

const HEADING: &str = "Sampler (a world may have other defaults)";

/// All options of the sampler.
#[derive(clap::Args)]
pub struct SamplerArgs {
    #[command(flatten)]
    options: ParamOptions<Every>,
    /// Seed of the noise [default: 0, or that of a shared game].
    #[arg(long, value_name = "S", help_heading = HEADING)]
    seed: Option<u64>,
}

impl SamplerArgs {
    /// The seed where nothing else has one.
    pub fn seed(&self) -> u64 {
        self.seed.unwrap_or_default()
    }

    /// Refuses options that the world's sampler does not have.
    ///
    /// # Errors
    /// Returns an error that names the option and what the world has instead.
    pub fn check(&self, world: &PlayableWorld) -> Result<()> {
        let mut given = self.options.given.iter();
        given.try_for_each(|(spec, value)| world.check_option(spec, *value))
    }

    /// The parameters `own` of a world with those given on the command line, checked.
    ///
    /// # Errors
    /// Returns an error if a parameter is out of range or conflicts with another.
    pub fn params(&self, own: SamplerParams) -> Result<SamplerParams> {
        let params = SamplerParams {
            seed: self.seed.unwrap_or(own.seed),
            ..self.options.over(own)
        };
        params.check()?;
        Ok(params)
    }
}

/// The parameters for which a command has options.
pub trait Selection {
    /// The parameters that it sets in another way, or not at all.
    const WITHOUT: &[&str];

    /// The parameters that have an option.
    fn params() -> impl Iterator<Item = &'static ParamSpec> {
        let offered =
            |spec: &&ParamSpec| spec.placeholder.is_some() && !Self::WITHOUT.contains(&spec.name);
        PARAMS.iter().filter(offered)
    }
}

/// Every parameter.
pub struct Every;

impl Selection for Every {
    const WITHOUT: &[&str] = &[];
}

/// Options that set the parameters of a [`Selection`]; the others keep their values.
pub struct ParamOptions<S> {
    given: Vec<(&'static ParamSpec, f64)>,
    selection: PhantomData<S>,
}

impl<S> ParamOptions<S> {
    /// `params` with those that were given.
    pub fn over(&self, mut params: SamplerParams) -> SamplerParams {
        for (spec, value) in &self.given {
            spec.set(&mut params, *value);
        }
        params
    }
}

impl<S: Selection> clap::Args for ParamOptions<S> {
    fn augment_args(command: Command) -> Command {
        command.args(S::params().map(option))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<S: Selection> clap::FromArgMatches for ParamOptions<S> {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let mut options = Self {
            given: Vec::new(),
            selection: PhantomData,
        };
        options.update_from_arg_matches(matches)?;
        Ok(options)
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        for spec in S::params() {
            if let (Some(value), Some(ValueSource::CommandLine)) = (
                matches.get_one::<f64>(spec.name),
                matches.value_source(spec.name),
            ) {
                self.given.push((spec, *value));
            }
        }
        Ok(())
    }
}

/// The option of a parameter, whose value is an f64.
fn option(spec: &'static ParamSpec) -> Arg {
    let default = spec.decimal(&SamplerParams::default());
    let (parser, default) = match &spec.kind {
        ParamKind::Number { whole: true, .. } => {
            let count = |text: &str| text.parse::<usize>().map(|value| value as f64);
            (ValueParser::new(count), default.to_string())
        }
        ParamKind::Number { .. } => {
            let number = |text: &str| text.parse::<f32>().map(f64::from);
            (ValueParser::new(number), default.to_string())
        }
        ParamKind::Choice(choices) => {
            let named = |name: &str| choices.iter().position(|choice| choice.name == name);
            let values = choices
                .iter()
                .map(|choice| PossibleValue::new(choice.name).help(choice.help));
            let index = PossibleValuesParser::new(values)
                .map(move |name| named(&name).unwrap_or_default() as f64);
            (
                ValueParser::new(index),
                choices[default as usize].name.to_owned(),
            )
        }
    };
    Arg::new(spec.name)
        .long(spec.name.replace('_', "-"))
        .value_name(spec.placeholder.unwrap_or_default())
        .value_parser(parser)
        .default_value(default)
        .help(spec.help.trim_end_matches('.'))
        .help_heading(HEADING)
}

/// The ids of the options of [`SamplerArgs`] that a simulator does not have; it has a seed.
pub fn of_learned_worlds() -> impl Iterator<Item = &'static str> {
    Every::params().map(|spec| spec.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_engine::{SamplingPath, Solver};

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        sampler: SamplerArgs,
    }

    fn params(options: &[&str]) -> Result<SamplerParams> {
        let options = ["program"].iter().chain(options);
        let program: Program = clap::Parser::try_parse_from(options).unwrap();
        program.sampler.params(own())
    }

    /// The parameters of a world that is best at two steps.
    fn own() -> SamplerParams {
        SamplerParams {
            steps: 2,
            temperature: 0.7,
            ..SamplerParams::default()
        }
    }

    #[test]
    fn options_set_parameters() {
        assert_eq!(params(&[]).unwrap(), own());
        // Also where the value is the general default.
        let given = params(&["--temperature=1"]).unwrap();
        assert_eq!((given.steps, given.temperature), (2, 1.0));
        let options = [
            "--steps=6",
            "--solver=heun",
            "--path=cosine",
            "--context-signal=0.8",
            "--seed=7",
        ];
        let expected = SamplerParams {
            steps: 6,
            solver: Solver::Heun,
            path: SamplingPath::Cosine,
            context_signal: 0.8,
            seed: 7,
            ..own()
        };
        assert_eq!(params(&options).unwrap(), expected);
        let error = params(&["--churn=-0.1"]).unwrap_err().to_string();
        assert!(error.contains("churn is -0.1"), "{error}");
    }

    #[test]
    fn documentation_names_every_parameter() {
        let data = include_str!("../../docs/data.md");
        let glossary = include_str!("../../docs/glossary.md");
        for ParamSpec { name, column, .. } in &PARAMS {
            assert!(data.contains(&format!("`{column}`")), "{column}");
            assert!(
                glossary.contains(&format!("`SamplerParams::{name}`")),
                "{name}"
            );
        }
    }
}
