//! `driftless train`: trains a world from a dataset.

use std::path::PathBuf;

use driftless::Result;
use driftless_engine::DeviceChoice;
use driftless_train::{TrainOptions, TrainPreset, TrainStage};

/// Arguments of `train`.
#[derive(clap::Args)]
pub struct Args {
    /// Network to train.
    stage: TrainStage,
    /// Dataset folder: dataset.json and episodes (*.npz).
    #[arg(long, value_name = "DIR")]
    data: PathBuf,
    /// Dataset folder of additional video of the same world, trained on together with --data. Its
    /// actions are treated as unknown.
    #[arg(long, value_name = "DIR")]
    unlabelled: Option<PathBuf>,
    /// Start from the weights of a checkpoint (a folder, or the name of an included world) instead of
    /// random ones; `train dynamics` also uses its tokenizer if the run has none.
    #[arg(long, value_name = "DIR|NAME", conflicts_with = "resume")]
    from: Option<PathBuf>,
    /// Folder of the run; the playable world is in its `checkpoint` folder.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Settings file (TOML); missing keys keep their defaults.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Preset sizes of networks and batches for the keys that --config does not set, instead of the
    /// run's own settings or the defaults (`tiny`).
    #[arg(long, value_enum)]
    preset: Option<TrainPreset>,
    /// Skip episodes that cannot be read, with a warning for each.
    #[arg(long)]
    skip_bad: bool,
    /// Resume the run in --out from its last saved step.
    #[arg(long)]
    resume: bool,
    /// Compute device.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Save and stop each stage at this step; the schedule in the settings is unchanged.
    #[arg(long, value_name = "N")]
    max_steps: Option<u64>,
    /// Save and stop after this many minutes.
    #[arg(long, value_name = "M")]
    max_minutes: Option<f64>,
    /// Seed of weights, batches and noise, instead of the one in the settings.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// Trains the networks.
///
/// # Errors
/// Returns an error if the data, the settings or the device cannot be used, if the run exists and
/// --resume is not given, if the loss diverges, or if a file cannot be written.
pub fn run(args: Args) -> Result<()> {
    let from = args.from.map(super::checkpoint).transpose()?;
    Ok(driftless_train::run(&TrainOptions {
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
