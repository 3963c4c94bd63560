//! `driftless play`, in a window or headless.

use driftless_data::PathError as _;
use std::path::{Path, PathBuf};

use driftless::workspace::Game;
use driftless::{Error, Result, app};
use driftless_data::export;
use driftless_engine::rollout::held_actions;
use driftless_engine::{DeviceChoice, Seat};
use driftless_sim::headless;
use driftless_worlds::Kind;

/// Which world to play, and how.
#[derive(clap::Args)]
pub struct Args {
    /// The world: a checkpoint folder, or a shipped world by its name; pong without it.
    #[arg(long, value_name = "DIR|NAME")]
    checkpoint: Option<PathBuf>,
    /// Play a real simulator instead of a learned world; --seed chooses its maze or track.
    #[arg(long, value_enum, conflicts_with_all = ["checkpoint", "device", "context", "steps",
        "context_signal", "temperature", "guidance", "solver", "path", "shift", "churn", "tolerance"])]
    world: Option<Kind>,
    /// Where to compute.
    #[arg(long, value_enum, default_value_t)]
    device: DeviceChoice,
    /// Target frames a second; the world's own without it.
    #[arg(long, value_name = "N")]
    fps: Option<f32>,
    /// Starting context: an index, or a file whose first frames are taken: an episode (.npz), a picture
    /// (.png, .jpg), a .gif, or a video (.mp4, ...; needs ffmpeg).
    #[arg(long, value_name = "I|FILE")]
    context: Option<String>,
    #[command(flatten)]
    sampling: super::Sampling,
    /// Write what was played as an episode (.npz) when the window closes; `replay` plays it again.
    #[arg(long, value_name = "FILE", conflicts_with = "headless")]
    record: Option<PathBuf>,
    /// Play without a window, as fast as possible, into --out.
    #[arg(long, requires = "frames", requires = "out")]
    headless: bool,
    /// Frames to play headless.
    #[arg(long, value_name = "N", requires = "headless")]
    frames: Option<usize>,
    /// Actions to play: lines `NAME` or `NAME FRAMES`, or an episode (.npz). When they run out, your
    /// keys count in the window, the first that you press ends them; headless, the idle action is
    /// played. Without it, random held keys are played headless.
    #[arg(long, value_name = "FILE")]
    actions: Option<PathBuf>,
    /// What to write headless: .gif, .mp4 (needs ffmpeg), .npz, or a new folder for PNG files.
    #[arg(long, value_name = "FILE|DIR", requires = "headless")]
    out: Option<PathBuf>,
    /// Enlarges written pictures by whole pixels.
    #[arg(long, value_name = "N", default_value_t = 4, requires = "headless")]
    scale: u32,
}

/// Plays.
///
/// # Errors
/// The world or an argument is wrong, there is no display, or a file cannot be written.
pub fn run(args: Args) -> Result<()> {
    if let Some(fps) = args.fps.filter(|fps| !(*fps > 0.0 && *fps <= 1000.0)) {
        let what = format!("--fps {fps}: expected above 0, at most 1000");
        return Err(Error::Argument(what));
    }
    let game = match args.world {
        Some(kind) => Game::simulator(kind),
        None => {
            let folder = super::checkpoint_or_default(args.checkpoint.clone())?;
            Game::learned(&folder, args.device, args.context.as_deref())?
        }
    };
    match (args.frames, args.out.clone()) {
        (Some(frames), Some(out)) if args.headless => play_headless(&args, &game, frames, &out),
        _ => play_in_window(args, game),
    }
}

fn play_in_window(args: Args, game: Game) -> Result<()> {
    if let Some(path) = &args.record {
        check_record(path)?;
    }
    let actions = match &args.actions {
        Some(path) => headless::read_actions(path, &game.world.actions)?,
        None => Vec::new(),
    };
    app::run(app::Options {
        game,
        actions: actions.into(),
        fps: args.fps,
        params: args.sampling.params()?,
        record: args.record,
        new_world: None,
        home: None,
    })
}

/// Whether a recording can be written here at the end.
fn check_record(path: &Path) -> Result<()> {
    if path.extension().is_none_or(|end| end != "npz") {
        return Err(Error::invalid(
            path,
            "expected the name of an episode (.npz)",
        ));
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match folder {
        Some(folder) if !folder.is_dir() => Err(Error::invalid(folder, "no such folder")),
        _ => Ok(()),
    }
}

fn play_headless(args: &Args, game: &Game, frames: usize, out: &Path) -> Result<()> {
    export::check(out)?;
    let mut player = (game.player)(&Seat::Own)?;
    let Game {
        world,
        first_context,
        ..
    } = game;
    let mut actions = match &args.actions {
        Some(path) => headless::read_actions(path, &world.actions)?,
        None => held_actions(frames, world.actions.len(), args.sampling.seed),
    };
    actions.resize(frames, 0);
    let bar = super::bar(frames as u64, "frames");
    let params = args.sampling.params()?;
    let mut tick = || bar.inc(1);
    let episode = headless::play(
        player.as_mut(),
        *first_context,
        &actions,
        &params,
        &mut tick,
    )?;
    bar.finish_and_clear();
    super::export(&episode, out, args.scale, args.fps.unwrap_or(world.fps))
}
