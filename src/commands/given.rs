//! Which options were given on the command line, and not left at their defaults.

use clap::parser::ValueSource;
use clap::{ArgMatches, Command};

use driftless::{Error, Result};

/// The names of the options that were given, as the fields that hold them. It must be the first field of the
/// arguments: those that come before are no longer known when it is read.
pub struct GivenOptions(Vec<String>);

impl GivenOptions {
    /// Whether an option was given.
    pub fn contains(&self, name: &str) -> bool {
        self.0.iter().any(|given| given == name)
    }

    /// Refuses the first of these options that was given: what is asked for has no use for them.
    ///
    /// # Errors
    /// Returns an error that names the option, and `of`, what it is for.
    pub fn refuse<'a>(&self, names: impl IntoIterator<Item = &'a str>, of: &str) -> Result<()> {
        match names.into_iter().find(|name| self.contains(name)) {
            Some(name) => {
                let option = name.replace('_', "-");
                Err(Error::Argument(format!(
                    "--{option} is for {of}, expected to be left out"
                )))
            }
            None => Ok(()),
        }
    }
}

impl clap::Args for GivenOptions {
    fn augment_args(command: Command) -> Command {
        command
    }

    fn augment_args_for_update(command: Command) -> Command {
        command
    }
}

impl clap::FromArgMatches for GivenOptions {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let is_given = |name: &str| matches.value_source(name) == Some(ValueSource::CommandLine);
        let names = matches.ids().map(clap::Id::as_str);
        let given = names.filter(|name| is_given(name));
        Ok(Self(given.map(str::to_owned).collect()))
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
