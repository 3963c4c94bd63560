//! What games are made of: devices, players of learned worlds, clips to start from.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::Arc;

use numpy::{PyReadonlyArray1, PyReadonlyArray2, PyReadonlyArray4};

use driftless_data::{Action, Clip, MAX_AXES};
use driftless_engine::{DeviceChoice, DeviceOptions, GpuSource, Threads};
use driftless_model::checkpoint::STARTING_CLIPS;
use driftless_model::starting_clips;
use driftless_sim::{LearnedWorld, Player};

use crate::error::{Error, Result};

/// The most games.
const MAX_GAMES: usize = 4096;

/// Checks the number of games.
///
/// # Errors
/// Returns an error if it is out of range.
pub fn check_count(count: usize) -> Result<()> {
    if (1..=MAX_GAMES).contains(&count) {
        return Ok(());
    }
    let what = format!("{count} games are out of range, expected 1 to {MAX_GAMES}");
    Err(Error::Value(what))
}

/// The devices, as the command line names them.
const DEVICES: [(&str, DeviceChoice); 6] = [
    ("auto", DeviceChoice::Auto),
    ("cpu", DeviceChoice::Cpu),
    ("cuda", DeviceChoice::Cuda),
    ("metal", DeviceChoice::Metal),
    ("wgpu", DeviceChoice::Wgpu),
    ("wgpu-f16", DeviceChoice::WgpuF16),
];

/// The device with this name.
///
/// # Errors
/// Returns an error that lists the names.
pub fn device(name: &str) -> Result<DeviceChoice> {
    let known = DEVICES.iter().find(|(known, _)| *known == name);
    known.map(|(_, device)| *device).ok_or_else(|| {
        let names = DEVICES.map(|(name, _)| name).join(", ");
        Error::Value(format!("no device {name:?}, expected one of {names}"))
    })
}

/// Players of a learned world that share its weights.
///
/// # Errors
/// Returns an error if the folder holds no world, or if the device is missing or plays one game only.
pub fn learned(
    folder: &Path,
    count: usize,
    device_name: &str,
    threads: usize,
) -> Result<Vec<Box<dyn Player>>> {
    check_count(count)?;
    let own = match (count, NonZeroUsize::new(threads)) {
        (1, Some(threads)) => Threads::Exactly(threads),
        (1, None) => Threads::Auto,
        _ => Threads::Exactly(NonZeroUsize::MIN),
    };
    let options = DeviceOptions {
        device: device(device_name)?,
        threads: own,
    };
    let engine = driftless_engine::open(folder, options, &GpuSource::Own)?;
    let clips = starting_clips::read(&folder.join(STARTING_CLIPS), engine.world())?;
    let clips: Arc<[Clip]> = clips.into();
    let mut engines = Vec::with_capacity(count);
    for _ in 1..count {
        engines.push(engine.fork()?);
    }
    engines.push(engine);
    let player = |engine| {
        let player: Box<dyn Player> = Box::new(LearnedWorld::new(engine, Arc::clone(&clips)));
        player
    };
    Ok(engines.into_iter().map(player).collect())
}

/// Where a learned world is from.
pub fn source_of(folder: &Path) -> String {
    let whole = folder.canonicalize();
    whole.as_deref().unwrap_or(folder).display().to_string()
}

/// Checks that a snapshot is of this world: its numbers would fit any of the same size.
///
/// # Errors
/// Returns an error that names both worlds.
pub fn check_source(snapshot: &str, world: &str) -> Result<()> {
    if snapshot == world {
        return Ok(());
    }
    let what = format!("the snapshot is of another world, {snapshot}, expected one of {world}");
    Err(Error::Value(what))
}

/// Frames u8 [T, H, W, 3] of this height and width, and the actions and axes that led to them, [T] and [T, A].
///
/// # Errors
/// Returns an error if they have another shape, or if there are more axes than any world has.
pub fn clip_of(
    images: &PyReadonlyArray4<'_, u8>,
    actions: &PyReadonlyArray1<'_, u32>,
    axes: &PyReadonlyArray2<'_, f32>,
    [height, width]: [usize; 2],
) -> Result<Clip> {
    let (images, axes) = (images.as_array(), axes.as_array());
    let actions = actions.as_array();
    let expected = [actions.len(), height, width, 3];
    if actions.is_empty() {
        return Err(Error::Value("no frames, expected 1 or more".into()));
    }
    if images.shape() != expected {
        let what = format!(
            "images have shape {:?}, expected {expected:?} for {} actions",
            images.shape(),
            actions.len()
        );
        return Err(Error::Value(what));
    }
    if axes.shape()[0] != actions.len() {
        let what = format!(
            "axes have shape {:?} for {} actions",
            axes.shape(),
            actions.len()
        );
        return Err(Error::Value(what));
    }
    let rows = actions.iter().zip(axes.rows());
    let actions = rows.map(|(action, axes)| action_of(*action, &axes.to_vec()));
    Ok(Clip {
        images: images.iter().copied().collect(),
        actions: actions.collect::<Result<_>>()?,
    })
}

/// An action with the first axes there.
///
/// # Errors
/// Returns an error if there are more axes than any world has.
pub fn action_of(index: u32, axes: &[f32]) -> Result<Action> {
    if axes.len() > MAX_AXES {
        let what = format!("{} axes, expected at most {MAX_AXES}", axes.len());
        return Err(Error::Value(what));
    }
    Ok(Action::with_axes(index, axes))
}
