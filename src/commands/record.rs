//! `driftless record`.

use std::path::PathBuf;

use driftless::{Result, interrupt};
use driftless_worlds::record::{Plan, record};
use driftless_worlds::{Kind, Policy};

/// What to record, and where.
#[derive(clap::Args)]
pub struct Args {
    /// The simulator.
    #[arg(long, value_enum)]
    world: Kind,
    /// Frames of all episodes at least; the last episode is not cut.
    #[arg(long, value_name = "N")]
    frames: usize,
    /// Episode i depends on this and i alone.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// The seed of the maze or track that all episodes are played in; without it each has another.
    #[arg(long, value_name = "S")]
    world_seed: Option<u64>,
    /// Who plays.
    #[arg(long, value_enum, default_value_t)]
    policy: Policy,
    /// Frames of an episode at most.
    #[arg(long, value_name = "L", default_value_t = 1000)]
    episode_frames: usize,
    /// The folder to write, new or empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Records a dataset from a simulator.
///
/// # Errors
/// There is nothing to record, or the folder is not empty or cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let plan = Plan {
        world: args.world,
        policy: args.policy,
        seed: args.seed,
        world_seed: args.world_seed,
        frames: args.frames,
        episode_frames: args.episode_frames,
    };
    interrupt::watch();
    let bar = super::bar(args.frames as u64, "frames");
    let manifest = record(&plan, &args.out, &|frames| bar.inc(frames as u64))?;
    bar.finish_and_clear();
    super::print(&format!(
        "{} episodes, {} frames in {}",
        manifest.episodes.len(),
        manifest.frames,
        args.out.display()
    ))
}
