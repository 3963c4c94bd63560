//! Options of a world elsewhere: which server, and how to get in.

use std::path::PathBuf;
use std::sync::Arc;

use clap::builder::{PossibleValue, StringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, ValueEnum as _};

use driftless::{Error, Result};
use driftless_remote::{Address, RemoteServer, RemoteWorld, Trust};
use driftless_serve::Token;
use driftless_worlds::SimulatorKind;

use super::sampler_args;

const HEADING: &str = "On a server";
const WORLD: &str = "world";
const REMOTE: &str = "remote";

/// The server that a world is on.
#[derive(clap::Args)]
pub struct RemoteArgs {
    /// Play on the server at this address, of `driftless serve`: wss://HOST[:PORT], or ws:// without TLS. --world
    /// names its world.
    #[arg(long, value_name = "URL", help_heading = HEADING, conflicts_with_all = ["checkpoint", "device", "threads", "record"])]
    remote: Option<String>,
    /// The server's token. Other users of this machine can see it; --token-file is safer.
    #[arg(long, value_name = "T", help_heading = HEADING, requires = REMOTE, conflicts_with = "token_file")]
    token: Option<String>,
    /// File with the server's token, in one line.
    #[arg(long, value_name = "FILE", help_heading = HEADING, requires = REMOTE)]
    token_file: Option<PathBuf>,
    /// Certificates (PEM) to trust instead of those that browsers trust: the server's own, or of who signed it.
    #[arg(long, value_name = "CERT", help_heading = HEADING, requires = REMOTE)]
    ca: Option<PathBuf>,
}

impl RemoteArgs {
    /// The world of this name on the server, or its first one; `None` without --remote. Waits for the server.
    ///
    /// # Errors
    /// Returns an error if the address, the token or the certificates cannot be used, if the server cannot be reached
    /// or refuses, or if it has no such world.
    pub fn world(&self, name: Option<&str>) -> Result<Option<Arc<RemoteWorld>>> {
        let Some(address) = &self.remote else {
            return Ok(None);
        };
        let address = Address::parse(address)?;
        let token = match (&self.token, &self.token_file) {
            (Some(token), _) => {
                let token = Token::new(token);
                Some(token.map_err(|what| Error::Argument(format!("--token: {what}")))?)
            }
            (None, Some(file)) => Some(Token::read(file)?),
            (None, None) => None,
        };
        let trust = self.ca.as_deref().map(Trust::read).transpose()?;
        let server = RemoteServer::new(address, token, trust)?;
        if server.tells_token() {
            tracing::warn!(
                "without TLS, the token and the frames can be read on their way: use wss://"
            );
        }
        Ok(Some(server.world(name)?))
    }
}

/// `--world`: a simulator, or with `--remote` a world of the server.
#[derive(Clone, Debug, Default)]
pub struct WorldArg {
    /// The simulator that was named.
    pub simulator: Option<SimulatorKind>,
    /// The name of a server's world.
    pub remote: Option<String>,
}

impl WorldArg {
    /// Whether a world was named.
    pub fn is_given(&self) -> bool {
        self.simulator.is_some() || self.remote.is_some()
    }
}

impl clap::Args for WorldArg {
    fn augment_args(command: Command) -> Command {
        command.arg(
            Arg::new(WORLD)
                .long(WORLD)
                .value_name("WORLD")
                .value_parser(SimulatorName)
                .help_heading("World")
                .help(
                    "Play a simulator instead of a learned world; --seed chooses its maze or track. With \
                     --remote: the name of the server's world",
                ),
        )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for WorldArg {
    fn from_arg_matches(matches: &ArgMatches) -> std::result::Result<Self, clap::Error> {
        let mut arg = Self::default();
        arg.update_from_arg_matches(matches)?;
        Ok(arg)
    }

    fn update_from_arg_matches(
        &mut self,
        matches: &ArgMatches,
    ) -> std::result::Result<(), clap::Error> {
        let Some(name) = matches.get_one::<String>(WORLD) else {
            return Ok(());
        };
        if matches.contains_id(REMOTE) {
            self.remote = Some(name.clone());
            return Ok(());
        }
        let others = ["checkpoint", "device", "threads", "clip"];
        let mut others = sampler_args::of_learned_worlds().chain(others);
        let given = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if let Some(other) = others.find(given) {
            let other = other.replace('_', "-");
            let what = format!("the argument '--world <WORLD>' cannot be used with '--{other}'\n");
            return Err(clap::Error::raw(ErrorKind::ArgumentConflict, what));
        }
        let known = SimulatorKind::from_str(name, false).map_err(|_| {
            let known = SimulatorKind::value_variants().iter();
            let known =
                known.filter_map(|kind| Some(kind.to_possible_value()?.get_name().to_owned()));
            let known = known.collect::<Vec<_>>().join(", ");
            let what = format!(
                "invalid value '{name}' for '--world <WORLD>'\n  [possible values: {known}]\n"
            );
            clap::Error::raw(ErrorKind::InvalidValue, what)
        })?;
        self.simulator = Some(known);
        Ok(())
    }
}

/// Any name; the simulators' are offered.
#[derive(Clone)]
struct SimulatorName;

impl TypedValueParser for SimulatorName {
    type Value = String;

    fn parse_ref(
        &self,
        command: &Command,
        arg: Option<&Arg>,
        value: &std::ffi::OsStr,
    ) -> std::result::Result<String, clap::Error> {
        StringValueParser::new().parse_ref(command, arg, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let kinds = SimulatorKind::value_variants().iter();
        Some(Box::new(
            kinds.filter_map(clap::ValueEnum::to_possible_value),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[derive(clap::Parser)]
    struct Program {
        #[command(flatten)]
        play: crate::commands::play::Args,
    }

    fn fault(options: &[&str]) -> (ErrorKind, String) {
        let options = ["program"].iter().chain(options);
        let error = Program::try_parse_from(options).err().expect("an error");
        (error.kind(), error.to_string())
    }

    #[test]
    fn world_is_a_simulator_without_a_server() {
        let parse = |options: &[&str]| Program::try_parse_from(["program"].iter().chain(options));
        assert!(parse(&["--world", "maze"]).is_ok());
        assert!(parse(&["--remote", "wss://host", "--world", "pong", "--steps=2"]).is_ok());
        let (kind, text) = fault(&["--world", "pong"]);
        assert_eq!(kind, ErrorKind::InvalidValue);
        assert!(
            text.contains("possible values: ") && text.contains("maze"),
            "{text}"
        );
        for other in ["--steps=2", "--checkpoint=pong", "--clip=1"] {
            let (kind, text) = fault(&["--world", "maze", other]);
            assert_eq!(kind, ErrorKind::ArgumentConflict, "{text}");
        }
    }

    #[test]
    fn options_of_this_machine_conflict_with_a_server() {
        for other in ["--checkpoint=pong", "--device=cpu", "--record=game.npz"] {
            let (kind, _) = fault(&["--remote", "wss://host", other]);
            assert_eq!(kind, ErrorKind::ArgumentConflict, "{other}");
        }
        assert_eq!(fault(&["--token=T"]).0, ErrorKind::MissingRequiredArgument);
    }
}
