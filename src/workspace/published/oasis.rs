//! Oasis's worlds.

use driftless_data::DatasetInfo;
use driftless_oasis::controls::{FPS, actions, axes};
use driftless_oasis::{MAX_WINDOW, Oasis, OasisFiles, OasisInfo};

use super::window::WindowWorld;
use crate::Result;
use crate::workspace::playable_world::PublishedSampler;

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

/// The world in `files`, to be played.
pub(super) fn read(files: &OasisFiles) -> Result<WindowWorld<Oasis>> {
    let network = Oasis::read(files)?;
    let files = files.clone();
    Ok(WindowWorld {
        world: describe(&files, network.info()),
        sampler: PublishedSampler::Ddim { window: MAX_WINDOW },
        network,
        again: Box::new(move || Oasis::read(&files)),
    })
}
