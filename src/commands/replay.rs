//! `driftless replay`.

use driftless_data::PathError as _;
use std::path::PathBuf;

use driftless::{Error, Result};
use driftless_data::export;
use driftless_engine::{DeviceChoice, Seat};
use driftless_model::checkpoint::{CONTEXTS, read_config};
use driftless_model::contexts;
use driftless_sim::{Dream, Player, Real, Recording, Session};
use driftless_worlds::Kind;

/// What to play again, and where.
#[derive(clap::Args)]
pub struct Args {
    /// A session (.npz) that `play --record` or `play --headless --out` has written.
    file: PathBuf,
    /// The world: a checkpoint folder, or a shipped world by its name; without it the shipped world
    /// that the session names.
    #[arg(long, value_name = "DIR|NAME")]
    checkpoint: Option<PathBuf>,
    /// The simulator of a simulator's session; without it the one that the session names.
    #[arg(long, value_enum, conflicts_with_all = ["checkpoint", "device"])]
    world: Option<Kind>,
    /// Where to compute; frames are the same to the bit only where they were recorded.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Write the replayed frames: .gif, .mp4 (needs ffmpeg), .npz, or a new folder for PNG files.
    #[arg(long, value_name = "FILE|DIR")]
    out: Option<PathBuf>,
    /// Enlarges written pictures by whole pixels.
    #[arg(long, value_name = "N", default_value_t = 4, requires = "out")]
    scale: u32,
    /// Frames a second of what is written; the world's own without it.
    #[arg(long, value_name = "N", requires = "out")]
    fps: Option<f32>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Plays again, and compares.
///
/// # Errors
/// The file is no session, there is no such world or device, a frame differs from the recorded one,
/// or a file cannot be written.
pub fn run(args: &Args) -> Result<()> {
    let recording = Recording::read(&args.file)?;
    if let Some(out) = &args.out {
        export::check(out)?;
    }
    let (mut player, fps) = match recording.simulated() {
        true => simulator(args, &recording)?,
        false => learned(args, &recording)?,
    };
    let mut kept = args.out.clone().map(Session::new);
    let bar = super::bar(recording.episode().frames() as u64, "frames");
    let mut tick = || bar.inc(1);
    let report = recording.replay(player.as_mut(), kept.as_mut(), &mut tick)?;
    bar.finish_and_clear();
    if let (Some(session), Some(out)) = (kept, &args.out) {
        let episode = session.into_episode();
        super::export(&episode, out, args.scale, args.fps.unwrap_or(fps))?;
    }
    if args.json {
        super::print_json(&report)?;
    }
    match report.is_identical() {
        true if args.json => Ok(()),
        true => super::print(&report.to_string()),
        false => Err(Error::invalid(&args.file, report.to_string())),
    }
}

/// The session's simulator, and its pace.
fn simulator(args: &Args, recording: &Recording) -> Result<(Box<dyn Player>, f32)> {
    let wrong = |what: String| Error::invalid(&args.file, what);
    let name = recording.world().unwrap_or("of no name");
    if args.checkpoint.is_some() {
        let what = "is a session of a simulator, expected none with --checkpoint";
        return Err(wrong(what.into()));
    }
    let kind = args.world.or_else(|| Kind::called(name)).ok_or_else(|| {
        wrong(format!(
            "is a session of a simulator {name}, expected one that --world names"
        ))
    })?;
    let world = kind.open(0);
    let fps = world.info().fps;
    Ok((Box::new(Real::new(world)), fps))
}

/// The session's learned world, and its pace.
fn learned(args: &Args, recording: &Recording) -> Result<(Box<dyn Player>, f32)> {
    if let Some(kind) = args.world {
        let what = "is a session of a learned world, expected one of a simulator with --world";
        return Err(Error::invalid(
            &args.file,
            format!("{what} {}", kind.name()),
        ));
    }
    let folder = match (&args.checkpoint, recording.world()) {
        (Some(given), _) => super::checkpoint(given.clone())?,
        (None, Some(name)) => super::shipped_as(name).ok_or_else(|| {
            let what = format!(
                "was recorded in {name}, which is no shipped world: name its folder with --checkpoint"
            );
            Error::invalid(&args.file, what)
        })?,
        (None, None) => super::checkpoint_or_default(None)?,
    };
    let config = read_config(&folder)?;
    let starts = recording.contexts(|| Ok(contexts::read(&folder.join(CONTEXTS), &config)?))?;
    let engine = driftless_engine::open(&folder, args.device, &Seat::Own)?;
    Ok((Box::new(Dream::new(engine, starts.into())), config.fps))
}
