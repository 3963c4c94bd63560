//! `driftless rollout`: predicts the frames of a recorded episode from its actions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use driftless::{Error, Result};
use driftless_data::layout::{EPISODE_EXTENSION, is_episode};
use driftless_data::{Episode, PathError as _, export};
use driftless_engine::rollout::{rollout_with_progress, shuffle_actions};
use driftless_engine::{DeviceOptions, GpuSource};

/// Arguments of `rollout`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint folder, or name of an included or a saved world [default: pong].
    #[arg(long, value_name = "DIR|NAME")]
    checkpoint: Option<PathBuf>,
    /// Recorded episode (.npz) with the context and the actions.
    #[arg(long, value_name = "FILE")]
    episode: PathBuf,
    /// Index of the first context frame.
    #[arg(long, value_name = "T", default_value_t = 0)]
    start: usize,
    /// Frames of context.
    #[arg(long, value_name = "C", default_value_t = 12)]
    context: usize,
    /// Frames to predict (horizon).
    #[arg(long, value_name = "H", default_value_t = 64)]
    horizon: usize,
    #[command(flatten)]
    sampler: super::sampler_args::SamplerArgs,
    /// Shuffle the episode's actions, using the seed.
    #[arg(long)]
    shuffle_actions: bool,
    #[command(flatten)]
    device: DeviceOptions,
    /// Episode (.npz) to write: the predicted frames (image u8 [H, height, width, 3]) and their actions.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Replace the file of --out if it exists.
    #[arg(long)]
    overwrite: bool,
}

/// Predicts the frames and writes them as an episode.
///
/// # Errors
/// Returns an error if the episode is too short or does not fit the world, or if a file cannot be read
/// or written.
pub fn run(args: &Args) -> Result<()> {
    if !is_episode(&args.out) {
        let what = format!("expected the extension .{EPISODE_EXTENSION} of an episode");
        return Err(Error::invalid(&args.out, what));
    }
    export::check(&args.out, args.overwrite)?;
    let folder = super::checkpoint_or_default(args.checkpoint.clone())?;
    let mut engine = driftless_engine::open(&folder, args.device, &GpuSource::Own)?;
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
    let actions = if args.shuffle_actions {
        shuffle_actions(&future.actions, args.sampler.seed)
    } else {
        future.actions
    };
    let context = episode.clip(args.start..first);
    let params = args.sampler.params()?;
    let bar = super::bar(actions.len() as u64, "frames");
    let mut tick = || bar.inc(1);
    let images = rollout_with_progress(&mut engine, &context, &actions, &params, &mut tick)?;
    bar.finish_and_clear();
    let frames = actions.len();
    let predicted = Episode {
        height: episode.height,
        width: episode.width,
        images,
        rewards: vec![0.0; actions.len()],
        actions,
        extras: BTreeMap::new(),
    };
    super::export(&predicted, &args.out, 1, 1.0, args.overwrite)?;
    super::wrote(&args.out, &format!("{frames} predicted frames"));
    Ok(())
}
