//! Published checkpoints: which file is one, and the playable world in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use driftless_data::{Clip, DatasetInfo, PathError as _};
use driftless_diamond::{Agent, EdmParams, World, atari};
use driftless_engine::{DeviceChoice, DeviceOptions, SamplerParams, Solver, Threads};
use driftless_model::checkpoint::CONFIG;
use driftless_sim::PublishedWorld;

use super::PlayableWorld;
use super::starting_clip::{self, ClipShape};
use crate::{Error, Result};

/// What PyTorch calls its files.
const EXTENSIONS: [&str; 2] = ["pt", "pth"];

/// The file of a published checkpoint that `path` names: a PyTorch file, or a folder that holds one and is no world of
/// this program. `None` if it is anything else.
///
/// # Errors
/// Returns an error if a folder cannot be read, or holds several such files and nothing says which one.
pub fn file_of(path: &Path) -> Result<Option<PathBuf>> {
    if path.is_file() {
        return Ok(is_torch_file(path).then(|| path.to_owned()));
    }
    if !path.is_dir() || path.join(CONFIG).exists() {
        return Ok(None);
    }
    let entries = path.read_dir().map_err(|error| Error::io(path, error))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|file| file.is_file() && is_torch_file(file))
        .collect();
    files.sort();
    match files.len() {
        0 | 1 => Ok(files.pop()),
        count => {
            let what = format!("holds {count} PyTorch files, expected one: name it");
            Err(Error::invalid(path, what))
        }
    }
}

fn is_torch_file(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| {
        EXTENSIONS
            .iter()
            .any(|known| known.eq_ignore_ascii_case(extension))
    })
}

/// Name, frames and actions of the world in `agent`, which was read from `file`.
pub fn describe(file: &Path, agent: &Agent) -> DatasetInfo {
    let game = file
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let info = agent.info();
    DatasetInfo {
        actions: atari::actions(&game, info.actions),
        axes: Vec::new(),
        name: format!("DIAMOND {game}"),
        fps: atari::FPS,
        image: info.image,
    }
}

/// The sampler parameters of the published program, as far as they have a counterpart here.
fn sampling() -> SamplerParams {
    SamplerParams {
        steps: EdmParams::default().steps,
        solver: Solver::Euler,
        ..SamplerParams::default()
    }
}

/// The world in the published checkpoint `file`. `clip` is a file for [`starting_clip::read`]; without one, the world
/// starts from black frames.
///
/// # Errors
/// Returns an error if the checkpoint or the clip is missing or broken, if the clip is an index, or if the device is
/// none that such worlds are computed on.
pub fn open(file: &Path, device: DeviceOptions, clip: Option<&str>) -> Result<PlayableWorld> {
    check_device(file, device)?;
    let agent = Agent::read(file)?;
    let (world, past) = (describe(file, &agent), agent.info().past);
    // The player's thread reads its own.
    drop(agent);
    let shape = ClipShape {
        image: world.image,
        fps: world.fps,
        frames: past,
        actions: world.actions.len(),
        axes: 0,
        world: &world.name,
    };
    let clips = match clip {
        Some(index) if index.parse::<usize>().is_ok() => {
            return Err(Error::Argument(format!(
                "--clip {index}: a published checkpoint holds no starting clips, expected a file"
            )));
        }
        Some(file) => vec![starting_clip::read(Path::new(file), shape)?],
        None => Vec::new(),
    };
    Ok(playable(file, world, device, clips))
}

/// Refuses devices that these networks are not computed on.
fn check_device(file: &Path, device: DeviceOptions) -> Result<()> {
    if !matches!(device.device, DeviceChoice::Auto | DeviceChoice::Cpu) {
        return Err(Error::Argument(format!(
            "--device: {} is computed on the CPU, expected auto or cpu",
            file.display()
        )));
    }
    Ok(())
}

/// As [`open()`], with starting clips that were read.
///
/// # Errors
/// As [`open()`].
pub fn open_with_clips(
    file: &Path,
    device: DeviceOptions,
    clips: Vec<Clip>,
) -> Result<PlayableWorld> {
    check_device(file, device)?;
    let world = describe(file, &Agent::read(file)?);
    Ok(playable(file, world, device, clips))
}

fn playable(
    file: &Path,
    world: DatasetInfo,
    device: DeviceOptions,
    clips: Vec<Clip>,
) -> PlayableWorld {
    let name = world.name.clone();
    let path = file.to_owned();
    PlayableWorld {
        world,
        dynamics: None,
        published: true,
        sampling: sampling(),
        first_clip: 0,
        game: None,
        origin: None,
        remote: None,
        player: Arc::new(move |_| {
            let mut agent = Agent::read(&path)?;
            match device.threads {
                Threads::Auto => agent.set_fastest_threads()?,
                Threads::Exactly(count) => agent.set_threads(count.get())?,
            }
            let world = World::new(agent);
            let player = PublishedWorld::new(world, name.clone(), clips.clone());
            Ok(Box::new(player))
        }),
    }
}
