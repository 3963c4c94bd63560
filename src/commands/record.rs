//! `driftless record`: records a dataset from a built-in simulator.

use std::path::PathBuf;

use driftless::{Result, interrupt};
use driftless_worlds::record::{RecordingPlan, record};
use driftless_worlds::{Policy, SimulatorKind};

/// Arguments of `record`.
#[derive(clap::Args)]
pub struct Args {
    /// Simulator to record.
    #[arg(long, value_enum)]
    world: SimulatorKind,
    /// Frames in total; the last episode is cut short.
    #[arg(long, value_name = "N")]
    frames: usize,
    /// Seed of the dataset; episode i depends only on the seed and i.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Seed of the maze or track of all episodes [default: a different one per episode].
    #[arg(long, value_name = "S")]
    world_seed: Option<u64>,
    /// Policy that plays.
    #[arg(long, value_enum, default_value_t)]
    policy: Policy,
    /// Maximum number of frames per episode.
    #[arg(long, value_name = "L", default_value_t = 1000)]
    episode_frames: usize,
    /// Dataset folder to write, new or empty.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

/// Records a dataset from a simulator.
///
/// # Errors
/// Returns an error if the arguments leave nothing to record, if the folder is not empty or cannot be
/// written, or on Ctrl-C.
pub fn run(args: &Args) -> Result<()> {
    let plan = RecordingPlan {
        world: args.world,
        policy: args.policy,
        seed: args.seed,
        world_seed: args.world_seed,
        frames: args.frames,
        episode_frames: args.episode_frames,
    };
    super::recover::remind(None);
    interrupt::watch();
    let bar = super::bar(args.frames as u64, "frames");
    let manifest = record(&plan, &args.out, &|frames| {
        bar.inc(frames as u64);
        !interrupt::requested()
    })?;
    bar.finish_and_clear();
    let episodes = match manifest.episodes.len() {
        1 => "1 episode".to_owned(),
        n => format!("{n} episodes"),
    };
    super::print(&format!(
        "{episodes}, {} frames in {}",
        manifest.frames,
        args.out.display()
    ))
}
