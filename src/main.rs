//! The command line: parses the arguments and runs one subcommand.
//!
//! Exit status: 0 on success, 1 on failure with one line on stderr, 2 on wrong usage.

mod commands;

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::{ArgAction, CommandFactory as _, Parser, Subcommand};
use commands::{
    bench, browse, caption, capture, completions, devices, eval, film, import, info, likelihood,
    new, play, record, recover, replay, rollout, serve, shard, train, worlds,
};
use driftless::ERROR_PREFIX;
use driftless_data::text::printable;

/// Training and likelihoods need the same large blocks again at every step. glibc's allocator gives
/// them back to the system in between, which costs a third of a step in page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Play inside a learned world model. Also records, trains and evaluates world models.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    play: play::Args,
    /// Log more: -v what happens, -vv every detail. DRIFTLESS_LOG chooses by module.
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "quiet", help_heading = "Messages")]
    verbose: u8,
    /// Print results and errors only: no progress, no warnings.
    #[arg(short, long, global = true, help_heading = "Messages")]
    quiet: bool,
}

impl Cli {
    /// What is logged where DRIFTLESS_LOG does not say.
    fn log_filter(&self) -> &'static str {
        match (self.quiet, self.verbose) {
            (true, _) => "driftless=error",
            (false, 0) => "driftless=warn",
            (false, 1) => "driftless=info",
            (false, _) => "driftless=debug,warn",
        }
    }
}

#[derive(Subcommand)]
enum Command {
    /// Play a world in a window, or headless into a file. This is the default command.
    Play(play::Args),
    /// Open the "New world" page: record or import data, train, try and save a world.
    New(new::Args),
    /// Record a dataset from a built-in simulator.
    Record(record::Args),
    /// Look through a dataset, and cut, split or remove its episodes.
    Browse(browse::Args),
    /// Record another program's window, a game for example, with the keys that are held, as a dataset.
    Capture(capture::Args),
    /// Describe the clips of a simulator's recording in words.
    Caption(caption::Args),
    /// Save the recordings that a killed program has left.
    Recover(recover::Args),
    /// Replay a recorded session and compare it frame by frame.
    Replay(replay::Args),
    /// Serve worlds over HTTP and WebSocket, with a web page to play them in.
    Serve(serve::Args),
    /// Predict the frames of a recorded episode from its actions.
    Rollout(rollout::Args),
    /// Make a clip from a prompt, all its frames at once.
    Film(film::Args),
    /// Evaluate a world on held-out episodes.
    Eval(eval::Args),
    /// Compute the log-likelihood of the frames of a recorded episode.
    Likelihood(likelihood::Args),
    /// Measure the speed of the engine.
    Bench(bench::Args),
    /// Train a world from a folder of episodes.
    Train(train::Args),
    /// Import recordings in other formats as a dataset.
    Import(import::Args),
    /// Cut a dataset into shards, in a folder or an object store, for training on data of any size.
    Shard(shard::Args),
    /// List the compute devices, and which of them each engine can use.
    Devices(devices::Args),
    /// List the worlds that can be played, with their names.
    Worlds(worlds::Args),
    /// Describe a world, a checkpoint, a dataset or an episode.
    Info(info::Args),
    /// Print the completions of a shell.
    Completions(completions::Args),
    /// Write the manual pages.
    #[command(hide = true)]
    Man(completions::ManArgs),
}

/// The arguments with the subcommand before options like -q that precede it: there they would be those of `play`, which
/// no subcommand may follow.
fn subcommand_first(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_message = |argument: &&OsString| {
        let text = argument.to_string_lossy();
        let letters = text.strip_prefix('-').unwrap_or_default();
        let is_short = !letters.is_empty() && letters.chars().all(|c| "qv".contains(c));
        is_short || matches!(&*text, "--quiet" | "--verbose")
    };
    let before = arguments.iter().skip(1).take_while(is_message).count();
    let is_option = |argument: &OsString| argument.to_string_lossy().starts_with('-');
    if let Some(moved) = arguments.get_mut(1..before + 2)
        && moved.last().is_some_and(|last| !is_option(last))
    {
        moved.rotate_right(1);
    }
    arguments
}

fn main() -> ExitCode {
    let cli = Cli::parse_from(subcommand_first(std::env::args_os().collect()));
    let filter = tracing_subscriber::EnvFilter::try_from_env("DRIFTLESS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new(cli.log_filter()));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .init();
    if cli.quiet {
        commands::be_quiet();
    }
    let result = match cli.command.unwrap_or(Command::Play(cli.play)) {
        Command::Play(args) => play::run(args),
        Command::New(args) => new::run(args),
        Command::Record(args) => record::run(&args),
        Command::Browse(args) => browse::run(args),
        Command::Capture(args) => capture::run(&args),
        Command::Caption(args) => caption::run(&args),
        Command::Recover(args) => recover::run(args),
        Command::Replay(args) => replay::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Rollout(args) => rollout::run(&args),
        Command::Film(args) => film::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Likelihood(args) => likelihood::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Train(args) => train::run(args),
        Command::Import(args) => import::run(args),
        Command::Shard(args) => shard::run(&args),
        Command::Devices(args) => devices::run(&args),
        Command::Worlds(args) => worlds::run(&args),
        Command::Info(args) => info::run(&args),
        Command::Completions(args) => completions::run(&args, Cli::command()),
        Command::Man(args) => completions::write_manual(&args, Cli::command()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let error = error.to_string().replace('\n', " ");
            eprintln!("{ERROR_PREFIX}{}", printable(&error));
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_chosen_before_and_after_the_subcommand() {
        let parse = |line: &str| {
            let arguments = line.split(' ').map(OsString::from).collect();
            Cli::try_parse_from(subcommand_first(arguments))
        };
        for line in ["driftless -q worlds", "driftless worlds --quiet"] {
            let cli = parse(line).ok().unwrap();
            assert!(cli.quiet && matches!(cli.command, Some(Command::Worlds(_))));
        }
        let cli = parse("driftless -v -v worlds").ok().unwrap();
        assert_eq!(cli.verbose, 2);
        let cli = parse("driftless -vv --checkpoint pong").ok().unwrap();
        assert!(cli.verbose == 2 && cli.command.is_none());
        assert!(parse("driftless -q").ok().unwrap().quiet);
        for line in ["driftless --steps 2 worlds", "driftless -q -v worlds"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
