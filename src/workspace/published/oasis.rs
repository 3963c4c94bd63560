//! Oasis's worlds.

use std::sync::{Arc, Mutex, PoisonError};

use driftless_data::{Clip, DatasetInfo};
use driftless_engine::{DeviceOptions, Threads};
use driftless_oasis::controls::{FPS, actions, axes};
use driftless_oasis::{MAX_WINDOW, Oasis, OasisFiles, OasisInfo, World};
use driftless_sim::OasisWorld;

use crate::Result;
use crate::workspace::playable_world::{PlayableWorld, PublishedSampler};
use crate::workspace::starting_clip::{self, ClipShape};

/// The name of the published file of the transformer, and of its world.
const PUBLISHED: (&str, &str) = ("oasis500m", "Oasis 500M");

/// Name, frames, actions and axes of the world in `files`.
pub fn describe(files: &OasisFiles, info: OasisInfo) -> DatasetInfo {
    let stem = files.transformer.file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy();
    let (file, name) = PUBLISHED;
    DatasetInfo {
        actions: actions(),
        axes: axes(),
        name: if stem == file {
            name.to_owned()
        } else {
            format!("Oasis {stem}")
        },
        fps: FPS,
        image: info.image,
    }
}

/// The playable world; see [`super::Published::open`].
pub(super) fn open(
    files: &OasisFiles,
    device: DeviceOptions,
    clip: Option<&str>,
) -> Result<PlayableWorld> {
    let oasis = Oasis::read(files)?;
    let world = describe(files, oasis.info());
    let shape = ClipShape {
        image: world.image,
        fps: world.fps,
        frames: MAX_WINDOW - 1,
        least: 1,
        actions: world.actions.len(),
        axes: world.axes.len(),
        world: &world.name,
    };
    let clips = starting_clip::given(clip, shape)?;
    Ok(playable(files, oasis, device, clips))
}

/// The same with starting clips that were read.
pub(super) fn open_with_clips(
    files: &OasisFiles,
    device: DeviceOptions,
    clips: Vec<Clip>,
) -> Result<PlayableWorld> {
    Ok(playable(files, Oasis::read(files)?, device, clips))
}

fn playable(
    files: &OasisFiles,
    oasis: Oasis,
    device: DeviceOptions,
    clips: Vec<Clip>,
) -> PlayableWorld {
    let world = describe(files, oasis.info());
    let name = world.name.clone();
    let files = files.clone();
    // Gigabytes: the first player takes what was read.
    let read = Mutex::new(Some(oasis));
    PlayableWorld {
        world,
        dynamics: None,
        published: Some(PublishedSampler::Ddim { window: MAX_WINDOW }),
        sampling: OasisWorld::sampling(),
        first_clip: 0,
        game: None,
        origin: None,
        remote: None,
        player: Arc::new(move |_| {
            let first = read.lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut oasis = match first {
                Some(oasis) => oasis,
                None => Oasis::read(&files)?,
            };
            match device.threads {
                Threads::Auto => oasis.set_fastest_threads()?,
                Threads::Exactly(count) => oasis.set_threads(count.get())?,
            }
            let player = OasisWorld::new(World::new(oasis), name.clone(), clips.clone());
            Ok(Box::new(player))
        }),
    }
}
