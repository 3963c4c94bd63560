//! Worlds of Dreamer 4 in PyTorch.

use driftless_data::DatasetInfo;
use driftless_dreamer::controls::{FPS, actions, axes};
use driftless_dreamer::{Dreamer, DreamerFiles, DreamerInfo};

use super::window::WindowWorld;
use crate::Result;
use crate::workspace::playable_world::PublishedSampler;

/// The published file of the dynamics, and the name of its world.
const PUBLISHED: (&str, &str) = ("dynamics_ckpt", "Dreamer 4 DMControl");

/// Name, frames, actions and axes of the world in `files`.
pub fn describe(files: &DreamerFiles, info: DreamerInfo) -> DatasetInfo {
    let stem = files.dynamics.file_stem().unwrap_or_default();
    let stem = stem.to_string_lossy();
    let (file, name) = PUBLISHED;
    DatasetInfo {
        actions: actions(),
        axes: axes(info.actuators),
        name: if stem == file {
            name.to_owned()
        } else {
            format!("Dreamer 4 {stem}")
        },
        fps: FPS,
        image: info.image,
    }
}

/// The world in `files`, to be played.
pub(super) fn read(files: &DreamerFiles) -> Result<WindowWorld<Dreamer>> {
    let network = Dreamer::read(files)?;
    let (files, info) = (files.clone(), network.info());
    Ok(WindowWorld {
        world: describe(&files, info),
        sampler: PublishedSampler::Shortcut {
            window: info.window,
            k_max: info.k_max,
        },
        network,
        again: Box::new(move || Dreamer::read(&files)),
    })
}
