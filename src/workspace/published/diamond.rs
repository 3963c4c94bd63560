//! DIAMOND's Atari worlds.

use std::path::Path;
use std::sync::Arc;

use driftless_data::{Clip, DatasetInfo};
use driftless_diamond::{Agent, EdmParams, World, atari};
use driftless_engine::{
    DeviceChoice, DeviceOptions, GpuSource, SamplerParams, Solver, Threads, choose_backend,
};
use driftless_sim::DiamondWorld;

use crate::Result;
use crate::workspace::playable_world::{PlayableWorld, PublishedSampler};
use crate::workspace::starting_clip::{self, ClipShape};

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

/// Reads the agent in `file` to compute on the chosen device, with its tiles and threads chosen. With
/// [`DeviceChoice::Auto`], on the CPU if it does not fit on the GPU.
///
/// # Errors
/// Returns an error if the file is not that of an agent, or if the device is not available or fails.
pub fn read_on(
    file: &Path,
    options: DeviceOptions,
    gpu_source: &GpuSource,
) -> driftless_sim::Result<Agent> {
    let opened = Agent::read_on(file, &choose_backend(options, gpu_source)?);
    let mut agent = match (opened, options.device) {
        (Err(error), DeviceChoice::Auto) if error.is_device() => {
            tracing::warn!("{error}; playing on the CPU");
            Agent::read(file)?
        }
        (opened, _) => opened?,
    };
    agent.set_fastest_tiles()?;
    match options.threads {
        Threads::Auto => agent.set_fastest_threads()?,
        Threads::Exactly(count) => agent.set_threads(count.get())?,
    }
    Ok(agent)
}

/// The playable world; see [`super::Published::open`].
pub(super) fn open(
    file: &Path,
    device: DeviceOptions,
    clip: Option<&str>,
) -> Result<PlayableWorld> {
    let agent = Agent::read(file)?;
    let (world, past) = (describe(file, &agent), agent.info().past);
    // The player's thread reads its own.
    drop(agent);
    let shape = ClipShape {
        image: world.image,
        fps: world.fps,
        frames: past,
        least: past,
        actions: world.actions.len(),
        axes: 0,
        world: &world.name,
    };
    let clips = starting_clip::given(clip, shape)?;
    Ok(playable(file, world, device, clips))
}

/// The same with starting clips that were read.
pub(super) fn open_with_clips(
    file: &Path,
    device: DeviceOptions,
    clips: Vec<Clip>,
) -> Result<PlayableWorld> {
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
        published: Some(PublishedSampler::Edm),
        sampling: sampling(),
        first_clip: 0,
        game: None,
        origin: None,
        remote: None,
        player: Arc::new(move |gpu_source| {
            let world = World::new(read_on(&path, device, gpu_source)?);
            let player = DiamondWorld::new(world, name.clone(), clips.clone());
            Ok(Box::new(player))
        }),
    }
}
