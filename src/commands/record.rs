//! `driftless record`: records a dataset from a built-in simulator, or pictures of cells.

use std::path::PathBuf;

use clap::ValueEnum;
use clap::builder::PossibleValue;
use driftless::{Result, interrupt};
use driftless_worlds::cells::{self, CellPlan};
use driftless_worlds::record::{RecordingPlan, record};
use driftless_worlds::{Policy, SimulatorKind};

use super::given::GivenOptions;

/// What is recorded.
#[derive(Clone, Copy)]
enum World {
    /// Episodes of a simulator.
    Simulator(SimulatorKind),
    /// Pictures of cells under drugs.
    Cells,
}

impl ValueEnum for World {
    fn value_variants<'a>() -> &'a [Self] {
        const SIMULATORS: usize = SimulatorKind::ALL.len();
        static ALL: [World; SIMULATORS + 1] = {
            let mut all = [World::Cells; SIMULATORS + 1];
            let mut i = 0;
            while i < SIMULATORS {
                all[i] = World::Simulator(SimulatorKind::ALL[i]);
                i += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<PossibleValue> {
        match self {
            Self::Simulator(kind) => kind.to_possible_value(),
            Self::Cells => {
                Some(PossibleValue::new(CELLS).help("Cells under drugs (docs/cells.md)"))
            }
        }
    }
}

/// The name of the cells on the command line.
const CELLS: &str = "cells";

/// Arguments of `record`.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    given: GivenOptions,
    /// Simulator to record.
    #[arg(long, value_enum)]
    world: World,
    /// Frames in total, 2 or more; the last episode is cut short. Needed for all simulators but cells.
    #[arg(long, value_name = "N", required_if_eq_any = SimulatorKind::ALL.map(|kind| ("world", kind.name())))]
    frames: Option<usize>,
    /// Treated cells of each drug and dose on each plate (cells).
    #[arg(long, value_name = "N", default_value_t = CellPlan::default().cells, conflicts_with = "frames")]
    cells: usize,
    /// Untreated cells on each plate (cells).
    #[arg(long, value_name = "N", default_value_t = CellPlan::default().controls, conflicts_with = "frames")]
    controls: usize,
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
    let (world, frames) = match (args.world, args.frames) {
        (World::Simulator(world), Some(frames)) => (world, frames),
        _ => return record_cells(args),
    };
    let plan = RecordingPlan {
        world,
        policy: args.policy,
        seed: args.seed,
        world_seed: args.world_seed,
        frames,
        episode_frames: args.episode_frames,
    };
    super::recover::remind(None);
    interrupt::watch();
    let bar = super::bar(frames as u64, "frames");
    let manifest = record(&plan, &args.out, &|frames| {
        bar.inc(frames as u64);
        !interrupt::requested()
    })?;
    bar.finish_and_clear();
    let episodes = super::episodes(manifest.episodes.len());
    super::print(&format!(
        "{episodes}, {} frames in {}",
        manifest.frames,
        args.out.display()
    ))
}

/// Records pictures of cells.
fn record_cells(args: &Args) -> Result<()> {
    let of_worlds = ["world_seed", "policy", "episode_frames"];
    args.given.refuse(of_worlds, "worlds that are played")?;
    let plan = CellPlan {
        seed: args.seed,
        cells: args.cells,
        controls: args.controls,
    };
    interrupt::watch();
    let pictures = cells::PLATES.saturating_mul(plan.pictures_per_plate());
    let bar = super::bar(pictures as u64, "pictures");
    let info = cells::record(&plan, &args.out, &|pictures| {
        bar.inc(pictures as u64);
        !interrupt::requested()
    })?;
    bar.finish_and_clear();
    super::print(&format!(
        "{pictures} pictures of {} drugs on {} plates in {}",
        info.compounds.len(),
        info.plates.len(),
        args.out.display()
    ))
}
