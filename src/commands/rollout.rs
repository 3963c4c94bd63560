//! `driftless rollout`: predicts the frames of a recorded episode from its actions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use driftless::{Error, Result};
use driftless_data::{Episode, PathError as _, export};
use driftless_engine::rollout::{rollout_with_progress, shuffle_actions};
use driftless_engine::{DeviceOptions, GpuSource, SamplerParams};

/// Arguments of `rollout`.
#[derive(clap::Args)]
pub struct Args {
    /// Checkpoint folder, or name of an included or a saved world [default: pong].
    #[arg(long, value_name = "DIR|NAME")]
    checkpoint: Option<PathBuf>,
    /// Recorded episode (.npz) with the starting clip and the actions.
    #[arg(long, value_name = "FILE")]
    episode: PathBuf,
    /// Index of the starting clip's first frame.
    #[arg(long, value_name = "T", default_value_t = 0)]
    start: usize,
    /// Frames of the starting clip; a world uses as many of the last ones as it can.
    #[arg(long, alias = "context", value_name = "C", default_value_t = 12)]
    clip: usize,
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
    /// File to write: an episode (.npz) with the predicted frames (image u8 [H, height, width, 3]) and their
    /// actions, a .gif, an .mp4 (needs ffmpeg), or a new folder for PNG files.
    #[arg(long, value_name = "FILE|DIR")]
    out: PathBuf,
    /// Episode (.npz) whose frames go to the left of the predicted ones, for pictures; may be repeated. One of
    /// --horizon frames, as this command writes, or a longer one, from the first predicted frame on: the
    /// recorded episode itself shows the truth.
    #[arg(long, alias = "beside", value_name = "FILE")]
    compare_with: Vec<PathBuf>,
    /// Integer scale of pictures.
    #[arg(long, value_name = "N", default_value_t = 4)]
    scale: u32,
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
    export::check(&args.out, args.overwrite)?;
    let folder = super::checkpoint_or_default(args.checkpoint.clone())?;
    let mut engine = driftless_engine::open(&folder, args.device, &GpuSource::Own)?;
    let episode = Episode::read(&args.episode)?;
    let first = args.start.saturating_add(args.clip);
    let end = first.saturating_add(args.horizon);
    if args.clip == 0 || args.horizon == 0 || end > episode.frames() {
        return Err(Error::invalid(
            &args.episode,
            format!(
                "has {} frames, expected at least {end} for start {}, clip {} and horizon {} (both at least 1)",
                episode.frames(),
                args.start,
                args.clip,
                args.horizon
            ),
        ));
    }
    let beside = args.compare_with.iter().map(|path| {
        let shown = Episode::read(path)?;
        part_beside(&shown, &episode, first, args.horizon)
            .map_err(|what| Error::invalid(path, what))
    });
    let beside = beside.collect::<Result<Vec<_>>>()?;
    let future = episode.clip(first..end);
    let actions = if args.shuffle_actions {
        shuffle_actions(&future.actions, args.sampler.seed())
    } else {
        future.actions
    };
    let clip = episode.clip(args.start..first);
    let params = args
        .sampler
        .params(SamplerParams::of_world(engine.world()))?;
    let bar = super::bar(actions.len() as u64, "frames");
    let mut tick = || bar.inc(1);
    let images = rollout_with_progress(&mut engine, &clip, &actions, &params, &mut tick)?;
    bar.finish_and_clear();
    let frames = actions.len();
    let columns: Vec<&[u8]> = beside.iter().chain([&images]).map(Vec::as_slice).collect();
    let mut predicted = Episode {
        height: episode.height,
        width: episode.width * columns.len(),
        images: super::side_by_side(&columns, 3 * episode.width),
        rewards: vec![0.0; actions.len()],
        actions: Vec::new(),
        extras: BTreeMap::new(),
    };
    predicted.set_played(&actions, engine.world().axes.len());
    let fps = engine.world().fps;
    super::export(&predicted, &args.out, args.scale, fps, args.overwrite)?;
    super::wrote(&args.out, &format!("{frames} predicted frames"));
    Ok(())
}

/// The frames of `shown` that go beside `horizon` predicted ones, of which `first` is the first.
///
/// # Errors
/// Returns what was expected if it has other frames than `episode`, or too few.
fn part_beside(
    shown: &Episode,
    episode: &Episode,
    first: usize,
    horizon: usize,
) -> std::result::Result<Vec<u8>, String> {
    if [shown.height, shown.width] != [episode.height, episode.width] {
        return Err(format!(
            "has frames of {}×{}, expected {}×{}",
            shown.height, shown.width, episode.height, episode.width
        ));
    }
    let start = if shown.frames() == horizon { 0 } else { first };
    if shown.frames() < start + horizon {
        return Err(format!(
            "has {} frames, expected {horizon}, or at least {}",
            shown.frames(),
            start + horizon
        ));
    }
    Ok(shown.clip(start..start + horizon).images)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(frames: usize, width: usize) -> Episode {
        Episode {
            height: 1,
            width,
            images: (0..frames * width * 3).map(|i| i as u8).collect(),
            actions: vec![0; frames],
            rewards: vec![0.0; frames],
            extras: BTreeMap::new(),
        }
    }

    #[test]
    fn what_goes_beside_begins_with_the_first_predicted_frame() {
        let whole = episode(6, 2);
        let part = part_beside(&whole, &whole, 3, 2).unwrap();
        assert_eq!(part, whole.images[18..30]);
        assert_eq!(
            part_beside(&episode(2, 2), &whole, 3, 2).unwrap(),
            episode(2, 2).images
        );
        let short = part_beside(&episode(4, 2), &whole, 3, 2).unwrap_err();
        assert!(
            short.contains("has 4 frames, expected 2, or at least 5"),
            "{short}"
        );
        let wide = part_beside(&episode(6, 3), &whole, 3, 2).unwrap_err();
        assert!(wide.contains("1×3, expected 1×2"), "{wide}");
    }
}
