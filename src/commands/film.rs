//! `driftless film`: makes a clip from a prompt.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use driftless::{Error, Result, interrupt};
use driftless_clip::{ClipMaker, ClipParams, ClipRequest, MadeClip, text_encoder};
use driftless_data::layout::is_episode;
use driftless_data::{Episode, PathError as _, export, media};
use driftless_engine::rollout::redraw;
use driftless_engine::{DeviceChoice, GpuSource, SamplerParams, candle_device};

/// Arguments of `film`.
#[derive(clap::Args)]
pub struct Args {
    /// What the clip shall show, in English or Russian.
    prompt: String,
    /// Checkpoint folder, or name of an included or a saved world, with a clip network.
    #[arg(long, value_name = "DIR|NAME", default_value = "maze")]
    world: PathBuf,
    /// File to write: a .gif, an .mp4 (needs ffmpeg), an episode (.npz), or a new folder for PNG files.
    #[arg(long, value_name = "FILE|DIR")]
    out: PathBuf,
    /// Folder of the text encoder that the network was trained with, if it was with one.
    #[arg(long, value_name = "DIR")]
    text_encoder: Option<PathBuf>,
    /// Picture that is the first frame; it is scaled to the world's frames.
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// What the clip shall not show.
    #[arg(long, value_name = "PROMPT", default_value = "")]
    negative: String,
    /// Frames of the clip [default: the shortest length that the network has learned].
    #[arg(long, value_name = "N")]
    frames: Option<usize>,
    /// Sampling steps; for 4, 8 and 16 the network has learned shortcuts [default: the network's own].
    #[arg(long, value_name = "N")]
    steps: Option<usize>,
    /// How much the prompt counts: 1 is as trained, more follows it closer and takes two passes a step
    /// [default: the network's own].
    #[arg(long, value_name = "W")]
    guidance: Option<f64>,
    /// Share of the attention between blocks of 64 tokens that is computed, from 0 to 1: less makes long clips
    /// faster, and changes them [default: the network's own].
    #[arg(long, value_name = "P")]
    attention_mass: Option<f64>,
    /// What draws the frames after the first: the clip network, all at once, or the world, one after another
    /// under the actions that the network has made of the words [default: the world, if the network makes
    /// actions].
    #[arg(long, value_enum)]
    frames_by: Option<FramesBy>,
    /// Seed of the noise.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Clips to make, side by side, with this seed and those after it.
    #[arg(long, value_name = "N", default_value_t = 1)]
    variants: usize,
    /// Compute device.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Integer scale of pictures.
    #[arg(long, value_name = "N", default_value_t = 4)]
    scale: u32,
    /// Replace the file of --out if it exists.
    #[arg(long)]
    overwrite: bool,
}

/// What draws the frames of a clip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum FramesBy {
    /// The clip network.
    Network,
    /// The world.
    World,
}

/// Most clips side by side.
const MAX_VARIANTS: usize = 16;

/// Makes the clip and writes it.
///
/// # Errors
/// Returns an error if the world makes no clips, if an argument is out of its range, or if a file cannot be
/// read or written.
pub fn run(args: &Args) -> Result<()> {
    export::check(&args.out, args.overwrite)?;
    if !(1..=MAX_VARIANTS).contains(&args.variants) {
        let what = format!(
            "--variants {} is out of range, expected 1 to {MAX_VARIANTS}",
            args.variants
        );
        return Err(Error::Argument(what));
    }
    let folder = super::checkpoint(&args.world)?;
    let device = candle_device(args.device)?;
    let mut maker = ClipMaker::read(&folder, &device)?;
    if let Some(folder) = &args.text_encoder {
        maker = maker.with_text_encoder(text_encoder::read(folder, &device)?)?;
    }
    let world = maker.world();
    let mut engine = match (args.frames_by, maker.config().actions) {
        (Some(FramesBy::World), 0) => {
            let what = "makes no actions with its clips, expected --frames-by network";
            return Err(Error::invalid(&folder, what));
        }
        (Some(FramesBy::Network), _) | (None, 0) => None,
        _ => Some(driftless_engine::open(
            &folder,
            args.device,
            &GpuSource::Own,
        )?),
    };
    let first = args.image.as_ref().map(|path| {
        let image = media::read_frames(path, world.image, world.fps, 1)?;
        Ok::<_, Error>(image)
    });
    let request = ClipRequest {
        prompt: args.prompt.clone(),
        negative: args.negative.clone(),
        first: first.transpose()?,
    };
    let own = ClipParams::of(maker.config());
    let params = ClipParams {
        frames: args.frames.unwrap_or(own.frames),
        steps: args.steps.unwrap_or(own.steps),
        guidance: args.guidance.unwrap_or(own.guidance),
        seed: args.seed,
        attention_mass: args.attention_mass.unwrap_or(own.attention_mass),
    };
    interrupt::watch();
    let bar = super::bar((params.steps * args.variants) as u64, "steps");
    let mut clips = Vec::new();
    for i in 0..args.variants {
        let params = ClipParams {
            seed: args.seed.wrapping_add(i as u64),
            ..params
        };
        let mut clip = maker.make(&request, &params, &mut |_| {
            bar.inc(1);
            !interrupt::requested()
        })?;
        if let Some(engine) = &mut engine {
            clip.images = redraw(engine, &clip.clip(), params.seed)?;
        }
        clips.push(clip);
    }
    bar.finish_and_clear();
    if let Some(clip) = clips.first() {
        warn(&clip.unknown, clip.left_out);
    }
    let [height, width] = world.image;
    let columns: Vec<&[u8]> = clips.iter().map(|clip| clip.images.as_slice()).collect();
    let episode = Episode {
        height,
        width: width * columns.len(),
        images: super::side_by_side(&columns, 3 * width),
        actions: actions(args, &folder, &clips, params.frames)?,
        rewards: vec![0.0; params.frames],
        extras: BTreeMap::new(),
    };
    super::export(&episode, &args.out, args.scale, world.fps, args.overwrite)?;
    super::wrote(&args.out, &format!("{} frames", params.frames));
    Ok(())
}

/// The clip's actions, for an episode to play on from: those that the network tells, or those that explain
/// the frames best. Other files hold none.
fn actions(args: &Args, folder: &Path, clips: &[MadeClip], frames: usize) -> Result<Vec<u32>> {
    match clips {
        [clip] if is_episode(&args.out) && clip.actions.is_empty() => {
            let mut engine = driftless_engine::open(folder, args.device, &GpuSource::Own)?;
            let params = SamplerParams::of_world(engine.world());
            Ok(engine.infer_actions(&clip.images, &params)?)
        }
        [clip] if is_episode(&args.out) => Ok(clip.actions.clone()),
        _ => Ok(vec![0; frames]),
    }
}

/// Says what of the prompts the network did not read.
fn warn(unknown: &[String], left_out: usize) {
    if !unknown.is_empty() {
        tracing::warn!("the network does not know: {}", unknown.join(", "));
    }
    if left_out > 0 {
        tracing::warn!("the prompt is too long: its last {left_out} words were left out");
    }
}
