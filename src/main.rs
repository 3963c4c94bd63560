//! The command line: parses, calls one library function a subcommand, prints.
//!
//! Exit status: 0 done; 1 it failed, and one line on stderr says what; 2 wrong usage.

mod commands;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use commands::{
    bench, devices, eval, import, info, likelihood, new, play, record, replay, rollout, train,
};

/// Training and likelihoods need the same large blocks again at every step. glibc's allocator gives
/// them back to the system in between, which costs a third of a step in page faults.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Play inside a learned world model: record, train, measure and play.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    play: play::Args,
}

#[derive(Subcommand)]
enum Command {
    /// Play a world in a window, or headless into a file (the default command).
    Play(play::Args),
    /// Make a world in the window: record, train, try, save.
    New(new::Args),
    /// Record a dataset from a simulator that is built in.
    Record(record::Args),
    /// Play a recorded session again, and compare it frame by frame.
    Replay(replay::Args),
    /// Predict frames of a recorded episode from its actions.
    Rollout(rollout::Args),
    /// Measure a world on held-out episodes.
    Eval(eval::Args),
    /// Measure how likely the frames of a recorded episode are to a world: the surprise meter.
    Likelihood(likelihood::Args),
    /// Measure the engine's speed.
    Bench(bench::Args),
    /// Train a world from a folder of episodes.
    Train(train::Args),
    /// Make a dataset of other recordings: pictures, videos, VPT, Minari, LeRobot.
    Import(import::Args),
    /// List what there is to compute on, and what each engine makes of it.
    Devices(devices::Args),
    /// Describe a checkpoint, a dataset or an episode.
    Info(info::Args),
}

fn main() -> ExitCode {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DRIFTLESS_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("driftless=warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .without_time()
        .init();
    let cli = Cli::parse();
    let done = match cli.command.unwrap_or(Command::Play(cli.play)) {
        Command::Play(args) => play::run(args),
        Command::New(args) => new::run(args),
        Command::Record(args) => record::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Rollout(args) => rollout::run(&args),
        Command::Eval(args) => eval::run(&args),
        Command::Likelihood(args) => likelihood::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::Train(args) => train::run(args),
        Command::Import(args) => import::run(args),
        Command::Devices(args) => devices::run(&args),
        Command::Info(args) => info::run(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("driftless: {}", error.to_string().replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}
