//! `driftless replay`: replays a recorded session and compares it frame by frame.

use std::path::PathBuf;

use driftless::workspace::published::Published;
use driftless::{Error, Result};
use driftless_clip::ClipOrigin;
use driftless_data::{PathError as _, export};
use driftless_engine::{DeviceChoice, DeviceOptions, GpuSource, Threads};
use driftless_model::checkpoint::{STARTING_CLIPS, read_config};
use driftless_model::starting_clips;
use driftless_sim::{LearnedWorld, Player, RecordedSession, Session, SimulatedWorld};
use driftless_worlds::SimulatorKind;

use super::hub::HubArgs;

/// Arguments of `replay`.
#[derive(clap::Args)]
pub struct Args {
    /// Session (.npz) written by `play --record` or `play --headless --out`.
    file: PathBuf,
    /// Checkpoint folder, a world's .driftless file, published checkpoint (.pt, .safetensors, or hf:OWNER/NAME), or
    /// name of an included or a saved world [default: the included world that the session was recorded in].
    #[arg(long, value_name = "DIR|FILE|NAME")]
    checkpoint: Option<PathBuf>,
    #[command(flatten)]
    hub: HubArgs,
    /// Simulator, for a session of one [default: the simulator that the session was recorded in].
    #[arg(long, value_enum, conflicts_with_all = ["checkpoint", "device", "threads"])]
    world: Option<SimulatorKind>,
    /// Compute device; frames are bit-identical only on the device that recorded them.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Threads of the CPU engine: a number, or `auto`. The frames do not depend on it.
    #[arg(long, value_name = "N", default_value_t)]
    threads: Threads,
    /// Write the replayed frames: .gif, .mp4 (needs ffmpeg), .npz, or a new folder for PNG files.
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
    /// Replace the file of --out if it exists.
    #[arg(long, requires = "out")]
    overwrite: bool,
    /// Integer scale of the written images.
    #[arg(long, value_name = "N", default_value_t = 4, requires = "out")]
    scale: u32,
    /// Frame rate of the written file [default: the world's own].
    #[arg(long, value_name = "N", requires = "out")]
    fps: Option<f32>,
    /// Print the result as one JSON object.
    #[arg(long)]
    json: bool,
}

/// Replays the session and compares each frame with the recorded one.
///
/// # Errors
/// Returns an error if the file is not a session, if the world or device is missing, if a frame
/// differs from the recorded one, or if a file cannot be written.
pub fn run(args: &Args) -> Result<()> {
    super::recover::remind(None);
    let recording = RecordedSession::read(&args.file)?;
    if let Some(out) = &args.out {
        export::check(out, args.overwrite)?;
    }
    let (mut player, fps) = if recording.simulated() {
        simulator(args, &recording)?
    } else {
        learned(args, &recording)?
    };
    let mut replayed = args.out.clone().map(Session::new);
    let bar = super::bar(recording.episode().frames() as u64, "frames");
    let mut tick = || bar.inc(1);
    let report = recording.replay(player.as_mut(), replayed.as_mut(), &mut tick)?;
    bar.finish_and_clear();
    if let (Some(session), Some(out)) = (replayed, &args.out) {
        let episode = session.into_episode();
        super::export(
            &episode,
            out,
            args.scale,
            args.fps.unwrap_or(fps),
            args.overwrite,
        )?;
    }
    if args.json {
        super::print_json(&report)?;
    }
    if !report.is_identical() {
        return Err(Error::invalid(&args.file, report.to_string()));
    }
    if args.json {
        return Ok(());
    }
    for note in recording.start_notes().values() {
        if let Ok(origin) = serde_json::from_value::<ClipOrigin>(note.clone()) {
            super::print(&format!("It starts from a clip made from words: {origin}"))?;
        }
    }
    super::print(&report.to_string())
}

/// A player for the session's simulator, and its frame rate.
fn simulator(args: &Args, recording: &RecordedSession) -> Result<(Box<dyn Player>, f32)> {
    let invalid = |what: String| Error::invalid(&args.file, what);
    let name = recording.world().unwrap_or("without a name");
    if args.checkpoint.is_some() {
        let what = "is a session of a simulator: --checkpoint does not apply";
        return Err(invalid(what.into()));
    }
    let kind = args
        .world
        .or_else(|| SimulatorKind::from_name(name))
        .ok_or_else(|| {
            invalid(format!(
                "is a session of a simulator {name}, which is unknown: choose one with --world"
            ))
        })?;
    let world = kind.open(0);
    let fps = world.info().fps;
    Ok((Box::new(SimulatedWorld::new(world)), fps))
}

/// A player for the session's learned world, and its frame rate.
fn learned(args: &Args, recording: &RecordedSession) -> Result<(Box<dyn Player>, f32)> {
    if let Some(kind) = args.world {
        let what = format!(
            "is a session of a learned world: --world {} does not apply",
            kind.name()
        );
        return Err(Error::invalid(&args.file, what));
    }
    let checkpoint = args.hub.local_option(args.checkpoint.as_deref())?;
    if let Some(world) = &checkpoint
        && let Some(world) = Published::at(world)?
    {
        return published(args, recording, &world);
    }
    let folder = match (&checkpoint, recording.world()) {
        (Some(world), _) => super::checkpoint(world)?,
        (None, Some(name)) => super::included_world(name).ok_or_else(|| {
            let what = format!(
                "was recorded in {name}, which is not an included world: say where it is with --checkpoint"
            );
            Error::invalid(&args.file, what)
        })?,
        (None, None) => super::checkpoint_or_default(None)?,
    };
    let config = read_config(&folder)?;
    let starts =
        recording.clips(|| Ok(starting_clips::read(&folder.join(STARTING_CLIPS), &config)?))?;
    let options = DeviceOptions {
        device: args.device,
        threads: args.threads,
    };
    let engine = driftless_engine::open(&folder, options, &GpuSource::Own)?;
    Ok((
        Box::new(
            LearnedWorld::new(engine, starts.into()).with_notes(recording.start_notes().clone()),
        ),
        config.fps,
    ))
}

/// A player for the session's published world, and its frame rate.
fn published(
    args: &Args,
    recording: &RecordedSession,
    world: &Published,
) -> Result<(Box<dyn Player>, f32)> {
    let options = DeviceOptions {
        device: args.device,
        threads: args.threads,
    };
    let starts = recording.clips(|| Ok(Vec::new()))?;
    let game = world.open_with_clips(options, starts)?;
    Ok(((game.player)(&GpuSource::Own)?, game.world.fps))
}
