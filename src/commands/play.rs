//! `driftless play`: plays a world in a window, or headless into a file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftless::workspace::PlayableWorld;
use driftless::workspace::published::Published;
use driftless::{Error, Result, app};
use driftless_data::fs::{check_new, check_target};
use driftless_data::layout::{EPISODE_EXTENSION, is_episode};
use driftless_data::{Action, PathError as _, export};
use driftless_engine::rollout::random_held_actions;
use driftless_engine::{DeviceOptions, GpuSource};
use driftless_remote::RemoteWorld;
use driftless_sim::{RecordOptions, headless};
use driftless_transport::TransportConfig;

use super::hub::HubArgs;
use super::remote_args::{RemoteArgs, WorldArg};
use super::sampler_args::SamplerArgs;

const WORLD: &str = "World";
const RECORDING: &str = "Recording";
const HEADLESS: &str = "Headless";

/// Arguments of `play`.
#[derive(clap::Args)]
pub struct Args {
    // First, since it looks at the others before they are taken.
    #[command(flatten)]
    world: WorldArg,
    /// Checkpoint folder, a world's .driftless file, a published checkpoint (.pt, .safetensors, or
    /// hf:OWNER/NAME), or name of an included or a saved world [default: pong].
    #[arg(long, value_name = "DIR|FILE|NAME", help_heading = WORLD)]
    checkpoint: Option<PathBuf>,
    #[command(flatten, next_help_heading = WORLD)]
    hub: HubArgs,
    #[command(flatten)]
    remote: RemoteArgs,
    #[command(flatten, next_help_heading = WORLD)]
    device: DeviceOptions,
    /// Target frames per second [default: the world's own].
    #[arg(long, value_name = "N", help_heading = WORLD)]
    fps: Option<f32>,
    /// Starting clip: an index, or a file whose first frames are used: an episode (.npz), an image
    /// (.png, .jpg; also --image), a .gif, or a video (.mp4, ...; needs ffmpeg).
    #[arg(long, aliases = ["context", "image"], value_name = "I|FILE", help_heading = WORLD)]
    clip: Option<String>,
    #[command(flatten)]
    sampler: SamplerArgs,
    /// Save the session as an episode (.npz) when the window closes; `replay` replays it.
    #[arg(long, value_name = "FILE", help_heading = RECORDING, conflicts_with = "headless")]
    record: Option<PathBuf>,
    /// Replace the file of --record or --out if it exists.
    #[arg(long, help_heading = RECORDING)]
    overwrite: bool,
    /// Actions to play: lines `NAME` or `NAME FRAMES`, or an episode (.npz). A name may have spaces, and stand in
    /// double quotes. In the window, your keys take over when they run out or when you press one. Headless, the idle action follows; without a
    /// file, and without a game in the world's file, random actions are held for a while each.
    #[arg(long, value_name = "FILE", help_heading = RECORDING)]
    actions: Option<PathBuf>,
    /// Play without a window, as fast as possible, and write --out.
    #[arg(long, help_heading = HEADLESS, requires = "frames", requires = "out")]
    headless: bool,
    /// Frames to play headless.
    #[arg(long, value_name = "N", help_heading = HEADLESS, requires = "headless")]
    frames: Option<usize>,
    /// File to write headless: .gif, .mp4 (needs ffmpeg), .npz, or a new folder for PNG files.
    #[arg(long, value_name = "FILE|DIR", help_heading = HEADLESS, requires = "headless")]
    out: Option<PathBuf>,
    /// Integer scale of the written images.
    #[arg(long, value_name = "N", default_value_t = 4, help_heading = HEADLESS, requires = "headless")]
    scale: u32,
}

/// Plays a world in a window, or headless.
///
/// # Errors
/// Returns an error if the world cannot be opened, if an argument is out of range, if there is no
/// display, or if a file cannot be written.
pub fn run(mut args: Args) -> Result<()> {
    if let Some(fps) = args.fps.filter(|fps| !(*fps > 0.0 && *fps <= 1000.0)) {
        let what = format!("--fps {fps}: expected above 0, at most 1000");
        return Err(Error::Argument(what));
    }
    super::recover::remind(None);
    args.checkpoint = args.hub.local_option(args.checkpoint.as_deref())?;
    if let Some(world) = args.remote.world(args.world.remote.as_deref())? {
        return play_remote(args, &world);
    }
    let mut game = match args.world.simulator {
        Some(kind) => PlayableWorld::simulator(kind),
        None if let Some(published) = published(&args)? => {
            let game = published.open(args.device, args.clip.as_deref())?;
            if args.clip.is_none() {
                let start = match published {
                    Published::Diamond(_) => "it starts from black ones",
                    Published::Oasis(_) | Published::Dreamer(_) => "it makes up the first one",
                };
                tracing::warn!("no starting frames: {start}, see --clip");
            }
            game
        }
        None => {
            let opened = super::open_world(args.checkpoint.as_deref())?;
            if TransportConfig::is_in(&opened.folder) {
                return show_cells(&args, opened.folder);
            }
            // Whoever says where to start or what to do wants the world alone.
            if args.clip.is_some() || args.actions.is_some() {
                PlayableWorld::learned(&opened.folder, args.device, args.clip.as_deref())?
            } else {
                PlayableWorld::opened(opened, args.device)?
            }
        }
    };
    args.sampler.check(&game)?;
    if let Some(shared) = &mut game.game {
        // Options count for all of its frames.
        *shared = Arc::new(shared.with_params(|own| args.sampler.params(own))?);
    }
    match (args.frames, args.out.clone()) {
        (Some(frames), Some(out)) if args.headless => play_headless(&args, &game, frames, &out),
        _ => play_in_window(args, game),
    }
}

/// Plays a world on a server, in a window or headless.
fn play_remote(args: Args, world: &Arc<RemoteWorld>) -> Result<()> {
    let game = PlayableWorld::remote(Arc::clone(world), args.clip.as_deref())?;
    match (args.frames, args.out.as_deref()) {
        (Some(frames), Some(out)) if args.headless => {
            export::check(out, args.overwrite)?;
            headless::check_frames(frames, game.world.image)?;
            let actions = actions(&args, &game, frames)?;
            let params = args.sampler.params(game.sampling)?;
            let bar = super::bar(frames as u64, "frames");
            let mut tick = || bar.inc(1);
            let player = &mut world.player();
            let episode = headless::play(player, game.first_clip, &actions, &params, &mut tick)?;
            bar.finish_and_clear();
            let fps = args.fps.unwrap_or(game.world.fps);
            super::export(&episode, out, args.scale, fps, args.overwrite)?;
            let (name, server) = (&game.world.name, world.server().address());
            super::wrote(out, &format!("{frames} frames of {name} on {server}"));
            Ok(())
        }
        _ if args.actions.is_some() => Err(Error::Argument(
            "--actions: a server takes no actions from a file in the window, expected --headless"
                .into(),
        )),
        _ => play_in_window(args, game),
    }
}

/// The published checkpoint that was named, if it is one.
fn published(args: &Args) -> Result<Option<Published>> {
    match &args.checkpoint {
        Some(path) => Published::at(path),
        None => Ok(None),
    }
}

fn play_in_window(args: Args, game: PlayableWorld) -> Result<()> {
    if let Some(path) = &args.record {
        check_record_path(path, args.overwrite)?;
    }
    // Whoever asks for something gets it at once.
    let gallery = args.checkpoint.is_none()
        && !args.world.is_given()
        && game.remote.is_none()
        && args.record.is_none()
        && args.actions.is_none()
        && args.clip.is_none();
    let actions = match &args.actions {
        Some(path) => headless::read_actions(path, &game.world)?,
        None => Vec::new(),
    };
    app::run(app::WindowOptions {
        params: args.sampler.params(game.first_params())?,
        game,
        actions: actions.into(),
        fps: args.fps,
        record: args.record.map(|path| RecordOptions {
            path,
            overwrite: args.overwrite,
            ..RecordOptions::default()
        }),
        first: if gallery {
            app::FirstPage::Worlds
        } else {
            app::FirstPage::Game
        },
        home: None,
    })
}

/// Opens the page of a transport network, with a paused world behind it.
fn show_cells(args: &Args, folder: PathBuf) -> Result<()> {
    let of_worlds = [
        ("--headless", args.headless),
        ("--record", args.record.is_some()),
        ("--actions", args.actions.is_some()),
        ("--clip", args.clip.is_some()),
        ("--fps", args.fps.is_some()),
    ];
    if let Some((option, _)) = of_worlds.iter().find(|(_, given)| *given) {
        let what = format!("holds pictures of cells and no frames, expected a world for {option}");
        return Err(Error::invalid(folder, what));
    }
    super::open_page(app::FirstPage::Cells(folder), None)
}

/// Checks that a recording can be written to `path` when the window closes.
fn check_record_path(path: &Path, overwrite: bool) -> Result<()> {
    if !is_episode(path) {
        return Err(Error::invalid(
            path,
            format!("expected the extension .{EPISODE_EXTENSION} of an episode"),
        ));
    }
    if !overwrite {
        check_new(path)?;
    }
    Ok(check_target(path)?)
}

/// What is played headless: the given actions, a game's, or random ones; then the idle one.
fn actions(args: &Args, game: &PlayableWorld, frames: usize) -> Result<Vec<Action>> {
    let world = &game.world;
    let mut actions = match (&args.actions, &game.game) {
        (Some(path), _) => headless::read_actions(path, world)?,
        (None, Some(game)) => game.actions().to_vec(),
        (None, None) => {
            let (kinds, axes) = (world.actions.len(), world.axes.len());
            random_held_actions(frames, kinds, axes, args.sampler.seed())
        }
    };
    actions.resize(frames, Action::IDLE);
    Ok(actions)
}

fn play_headless(args: &Args, game: &PlayableWorld, frames: usize, out: &Path) -> Result<()> {
    export::check(out, args.overwrite)?;
    headless::check_frames(frames, game.world.image)?;
    let mut player = (game.player)(&GpuSource::Own)?;
    let PlayableWorld {
        world, first_clip, ..
    } = game;
    let actions = actions(args, game, frames)?;
    let bar = super::bar(frames as u64, "frames");
    let own = args.sampler.params(game.first_params())?;
    let params = |frame| match &game.game {
        Some(game) => game.params_at(frame),
        None => own,
    };
    let mut tick = || bar.inc(1);
    let (player, start) = (player.as_mut(), *first_clip);
    let episode = headless::play_under(player, start, &actions, &params, &mut tick)?;
    bar.finish_and_clear();
    super::export(
        &episode,
        out,
        args.scale,
        args.fps.unwrap_or(world.fps),
        args.overwrite,
    )?;
    let next = if is_episode(out) {
        let file = super::shell_word(out);
        let world = world_to_name(args, game);
        let world = world.map(|world| format!(" --checkpoint {}", super::shell_word(world)));
        let world = world.unwrap_or_default();
        format!("replay it with: driftless replay {file}{world}")
    } else {
        format!("{frames} frames of {}", world.name)
    };
    super::wrote(out, &next);
    Ok(())
}

/// The world that `replay` has to be told: any that was named, unless it is the included one that it finds by itself.
fn world_to_name<'a>(args: &'a Args, game: &PlayableWorld) -> Option<&'a Path> {
    let named = args.checkpoint.as_deref()?;
    let folder = game.origin.as_ref().map(|origin| &origin.folder);
    let found = super::included_world(&game.world.name);
    (folder.is_none() || folder != found.as_ref()).then_some(named)
}
