//! `driftless eval`.

use std::path::PathBuf;

use driftless::Result;
use driftless_data::Dataset;
use driftless_engine::{DeviceChoice, Seat};
use driftless_eval::pose;
use driftless_eval::pose::Probe;
use driftless_eval::report;
use driftless_eval::report::{Options, Progress};
use driftless_eval::table;

/// What to measure on which episodes.
#[derive(clap::Args)]
pub struct Args {
    /// The world: a checkpoint folder, or a shipped world by its name; pong without it.
    #[arg(long, value_name = "DIR|NAME")]
    checkpoint: Option<PathBuf>,
    /// Folder of held-out episodes.
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Frames to predict after the context.
    #[arg(long, value_name = "H", default_value_t = Options::default().horizon)]
    horizon: usize,
    /// Context frames.
    #[arg(long, value_name = "C", default_value_t = Options::default().context)]
    context: usize,
    /// Sequences to roll out, spread evenly over the episodes.
    #[arg(long, value_name = "N", default_value_t = Options::default().sequences)]
    sequences: usize,
    /// Denoise passes a frame; each is measured.
    #[arg(long, value_name = "K,...", value_delimiter = ',', default_values_t = Options::default().steps)]
    steps: Vec<usize>,
    /// Frames of each free run; 0 leaves free running out.
    #[arg(long, value_name = "N", default_value_t = Options::default().free_frames)]
    free_frames: usize,
    /// Free runs, each from another start.
    #[arg(long, value_name = "N", default_value_t = Options::default().free_runs)]
    free_runs: usize,
    /// Frames of a free run that are counted together.
    #[arg(long, value_name = "N", default_value_t = Options::default().free_bin)]
    free_bin: usize,
    /// Signal level at which finished frames are kept.
    #[arg(long, value_name = "TAU", default_value_t = Options::default().params.context_signal)]
    context_signal: f32,
    #[command(flatten)]
    method: super::Method,
    /// Seed of the first sequence.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Episodes (not the held-out ones) on which a probe learns to read place and direction from a
    /// picture, for worlds whose episodes say them, such as the maze.
    #[arg(long, value_name = "DIR")]
    probe: Option<PathBuf>,
    /// Folder for contact sheets (PNG): truth above prediction, and free runs.
    #[arg(long, value_name = "DIR")]
    pictures: Option<PathBuf>,
    /// Print Markdown tables.
    #[arg(long)]
    markdown: bool,
    /// Print one JSON object.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
}

/// Measures and prints.
///
/// # Errors
/// As [`report::run`].
pub fn run(args: &Args) -> Result<()> {
    let folder = super::checkpoint_or_default(args.checkpoint.clone())?;
    let mut engine = driftless_engine::open(&folder, args.device, &Seat::Own)?;
    let dataset = Dataset::read(&args.data)?;
    let mut options = Options {
        horizon: args.horizon,
        context: args.context,
        sequences: args.sequences,
        steps: args.steps.clone(),
        free_frames: args.free_frames,
        free_runs: args.free_runs,
        free_bin: args.free_bin,
        ..Options::default()
    };
    options.params.context_signal = args.context_signal;
    options.params.seed = args.seed;
    options.params = args.method.put_into(options.params);
    let probe = args.probe.as_deref().map(|folder| {
        let real = Dataset::read(folder)?;
        Probe::train(&real.episodes, pose::STEPS, args.seed)
            .map_err(|error| super::about(folder, error))
    });
    let probe = probe.transpose()?;
    let bar = super::bar(0, "frames");
    let mut show = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let progress = &mut Progress::new(&mut show);
    let report = report::run(
        engine.as_mut(),
        &dataset,
        &options,
        probe.as_ref(),
        args.pictures.as_deref(),
        progress,
    )
    .map_err(|error| super::about(&args.data, error))?;
    bar.finish_and_clear();
    if args.json {
        return super::print_json(&report);
    }
    let tables = table::tables(&report);
    super::print(&match args.markdown {
        true => table::markdown(&tables),
        false => table::text(&tables),
    })
}
