//! `driftless rollout`.

use driftless_data::PathError as _;
use std::collections::BTreeMap;
use std::path::PathBuf;

use driftless::{Error, Result};
use driftless_data::Episode;
use driftless_engine::rollout::{rollout, shuffled};
use driftless_engine::{DeviceChoice, Seat};

/// Which frames to predict, and how.
#[derive(clap::Args)]
pub struct Args {
    /// The world: a checkpoint folder, or a shipped world by its name; pong without it.
    #[arg(long, value_name = "DIR|NAME")]
    checkpoint: Option<PathBuf>,
    /// The recorded episode (.npz) that gives context and actions.
    #[arg(long, value_name = "FILE")]
    episode: PathBuf,
    /// First frame of the context.
    #[arg(long, value_name = "T", default_value_t = 0)]
    start: usize,
    /// Context frames.
    #[arg(long, value_name = "C", default_value_t = 12)]
    context: usize,
    /// Frames to predict.
    #[arg(long, value_name = "H", default_value_t = 64)]
    horizon: usize,
    #[command(flatten)]
    sampling: super::Sampling,
    /// Use the episode's actions in another order (by the seed).
    #[arg(long)]
    shuffle_actions: bool,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Episode file to write: the predicted frames (image u8 [H, height, width, 3]) and their actions.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Predicts.
///
/// # Errors
/// The episode is too short or does not fit the world, or a file cannot be read or written.
pub fn run(args: &Args) -> Result<()> {
    let folder = super::checkpoint_or_default(args.checkpoint.clone())?;
    let mut engine = driftless_engine::open(&folder, args.device, &Seat::Own)?;
    let episode = Episode::read(&args.episode)?;
    let first = args.start.saturating_add(args.context);
    let end = first.saturating_add(args.horizon);
    if args.context == 0 || args.horizon == 0 || end > episode.frames() {
        return Err(Error::invalid(
            &args.episode,
            format!(
                "has {} frames, expected at least {end} for start {}, context {} and horizon {} (both at least 1)",
                episode.frames(),
                args.start,
                args.context,
                args.horizon
            ),
        ));
    }
    let future = episode.clip(first..end);
    let actions = match args.shuffle_actions {
        true => shuffled(&future.actions, args.sampling.seed),
        false => future.actions,
    };
    let context = episode.clip(args.start..first);
    let params = args.sampling.params()?;
    let images = rollout(engine.as_mut(), &context, &actions, &params)?;
    Ok(Episode {
        height: episode.height,
        width: episode.width,
        images,
        rewards: vec![0.0; actions.len()],
        actions,
        extras: BTreeMap::new(),
    }
    .write(&args.out)?)
}
