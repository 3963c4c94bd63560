//! `driftless train`.

use std::path::PathBuf;

use driftless::Result;
use driftless_engine::DeviceChoice;
use driftless_train::{Options, Preset, Stage};

/// What to train, from what, to where, and for how long.
#[derive(clap::Args)]
pub struct Args {
    /// Which network.
    stage: Stage,
    /// Folder of the dataset: dataset.json and episodes (*.npz).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Folder of a dataset whose actions are unknown or count as such: film of the same world, to be
    /// trained on beside --data.
    #[arg(long, value_name = "DIR")]
    unlabelled: Option<PathBuf>,
    /// Start from the weights of a checkpoint (a folder, or a shipped world by its name) instead of
    /// random ones; `train dynamics` also takes its tokenizer where the run has none.
    #[arg(long, value_name = "DIR|NAME", conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// The run's folder; its `checkpoint` is what is played.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Settings (TOML); keys left out keep their defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sizes of networks and batches that keys left out are taken from, instead of the run's own
    /// settings or the defaults (`tiny`).
    #[arg(long, value_enum)]
    preset: Option<Preset>,
    /// Leave out episodes that cannot be read, with a warning for each.
    #[arg(long)]
    skip_bad: bool,
    /// Continue the run in --out from its last saved step.
    #[arg(long)]
    resume: bool,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Save and stop each stage at this step; the schedule stays that of the settings.
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Save and stop after so many minutes.
    #[arg(long, value_name = "M")]
    max_minutes: Option<f64>,
    /// Seed of weights, batches and noise, instead of the settings'.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// Trains.
///
/// # Errors
/// As [`driftless_train::run`].
pub fn run(args: Args) -> Result<()> {
    let from = args.from.map(super::checkpoint).transpose()?;
    Ok(driftless_train::run(&Options {
        from,
        stage: args.stage,
        data: args.data,
        unlabelled: args.unlabelled,
        out: args.out,
        config: args.config,
        preset: args.preset,
        skip_bad: args.skip_bad,
        resume: args.resume,
        device: args.device,
        max_steps: args.max_steps,
        max_minutes: args.max_minutes,
        seed: args.seed,
    })?)
}
