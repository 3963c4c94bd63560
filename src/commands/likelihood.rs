//! `driftless likelihood`: computes the log-likelihood of recorded frames.

use std::ops::Range;
use std::path::PathBuf;

use driftless::Result;
use driftless_data::Episode;
use driftless_engine::DeviceChoice;
use driftless_eval::likelihood::LikelihoodOptions;
use driftless_eval::{surprise, table};
use driftless_model::checkpoint::WorldModel;

/// Arguments of `likelihood`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint folder, or name of an included or a saved world [default: pong].
    #[arg(long, value_name = "DIR|NAME")]
    checkpoint: Option<PathBuf>,
    /// Recorded episode (.npz) to measure.
    #[arg(long, value_name = "FILE")]
    episode: PathBuf,
    /// Frames to measure, A to B − 1 [default: all frames that have a full context before them].
    #[arg(long, value_name = "A..B", value_parser = range)]
    frames: Option<Range<usize>>,
    /// Random probes of the divergence (Hutchinson); 2 or more give a standard error.
    #[arg(long, value_name = "N", default_value_t = LikelihoodOptions::default().probes)]
    probes: usize,
    /// Signal level τ of the measured frames, at most 0.99 [default: 1 − 1/k_max].
    #[arg(long, value_name = "TAU")]
    level: Option<f64>,
    /// Midpoint steps from that level to noise.
    #[arg(long, value_name = "K", default_value_t = LikelihoodOptions::default().steps)]
    steps: usize,
    /// Signal level τ of the context frames, above 0 to 1 (clean).
    #[arg(long, value_name = "TAU", default_value_t = LikelihoodOptions::default().context_signal)]
    context_signal: f32,
    /// Seed of the noise and the probes.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Compare the real frames with perturbed ones: other actions, no ball, a shifted ball, noise.
    #[arg(long, alias = "against")]
    perturbed: bool,
    /// Compute device.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Print Markdown tables.
    #[arg(long)]
    markdown: bool,
    /// Print the result as one JSON object.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
}

/// Parses `A..B`.
fn range(text: &str) -> std::result::Result<Range<usize>, String> {
    let ends = text.split_once("..").and_then(|(from, to)| {
        let ends = from.parse().ok().zip(to.parse().ok());
        ends.map(|(from, to)| from..to)
    });
    ends.ok_or_else(|| "expected A..B, for example 20..60".to_owned())
}

/// Computes the likelihoods and prints the report.
///
/// # Errors
/// Returns an error if the episode is too short or does not fit the world, if an option is out of
/// range, or if a file cannot be read.
pub fn run(args: &Args) -> Result<()> {
    let folder = super::checkpoint_or_default(args.checkpoint.clone())?;
    let world = WorldModel::read(&folder, &driftless_engine::candle_device(args.device)?)?;
    let episode = Episode::read(&args.episode)?;
    let options = LikelihoodOptions {
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
        args.perturbed,
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
    let text = if args.markdown {
        table::markdown(&tables)
    } else {
        table::text(&tables)
    };
    super::print(&text)
}
