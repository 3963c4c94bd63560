//! `driftless likelihood`.

use std::ops::Range;
use std::path::PathBuf;

use driftless::Result;
use driftless_data::Episode;
use driftless_engine::DeviceChoice;
use driftless_eval::likelihood::Options;
use driftless_eval::{surprise, table};
use driftless_model::checkpoint::World;

/// Which frames to measure, and how.
#[derive(clap::Args)]
pub struct Args {
    /// The world: a checkpoint folder, or a shipped world by its name; pong without it.
    #[arg(long, value_name = "DIR|NAME")]
    checkpoint: Option<PathBuf>,
    /// The recorded episode (.npz) whose frames are measured.
    #[arg(long, value_name = "FILE")]
    episode: PathBuf,
    /// Frames to measure, A to B − 1; all that have a whole context before them without it.
    #[arg(long, value_name = "A..B", value_parser = range)]
    frames: Option<Range<usize>>,
    /// Random probes of the divergence (Hutchinson); from 2 on there is a standard error.
    #[arg(long, value_name = "N", default_value_t = Options::default().probes)]
    probes: usize,
    /// Signal level at which frames are seen, at most 0.99; 1 − 1/k_max without it.
    #[arg(long, value_name = "TAU")]
    level: Option<f64>,
    /// Steps of the midpoint rule from there to noise.
    #[arg(long, value_name = "K", default_value_t = Options::default().steps)]
    steps: usize,
    /// Signal level at which the frames before are kept, above 0 to 1 (clean).
    #[arg(long, value_name = "TAU", default_value_t = Options::default().context_signal)]
    context_signal: f32,
    /// Seed of the noise and of the probes.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Set the real frames against wrong ones: other actions, no ball, a shifted ball, noise.
    #[arg(long)]
    against: bool,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Print Markdown tables.
    #[arg(long)]
    markdown: bool,
    /// Print one JSON object.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
}

/// `A..B`.
fn range(text: &str) -> std::result::Result<Range<usize>, String> {
    let ends = text.split_once("..").and_then(|(from, to)| {
        let ends = from.parse().ok().zip(to.parse().ok());
        ends.map(|(from, to)| from..to)
    });
    ends.ok_or_else(|| "expected A..B, for example 20..60".to_owned())
}

/// Measures and prints.
///
/// # Errors
/// The episode is too short or does not fit the world, an option is out of its range, or a file
/// cannot be read.
pub fn run(args: &Args) -> Result<()> {
    let folder = super::checkpoint_or_default(args.checkpoint.clone())?;
    let world = World::read(&folder, &driftless_engine::candle_device(args.device)?)?;
    let episode = Episode::read(&args.episode)?;
    let options = Options {
        level: args.level,
        steps: args.steps,
        probes: args.probes,
        context_signal: args.context_signal,
        seed: args.seed,
    };
    options.check(&world.config)?;
    let bar = super::bar(0, "frames");
    let report = surprise::run(
        &world,
        &episode,
        args.frames.clone(),
        &options,
        args.against,
        &mut |done, total| {
            bar.set_length(total as u64);
            bar.set_position(done as u64);
        },
    )
    .map_err(|error| super::about(&args.episode, error))?;
    bar.finish_and_clear();
    if args.json {
        return super::print_json(&report);
    }
    let tables = surprise::tables(&report);
    super::print(&match args.markdown {
        true => table::markdown(&tables),
        false => table::text(&tables),
    })
}
