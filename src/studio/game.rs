//! What a window or a headless player plays.

use std::path::Path;
use std::sync::Arc;

use crate::data::{self, DatasetInfo, Episode};
use crate::engine::{self, Clip, DeviceChoice};
use crate::model::checkpoint::{self, CONTEXTS};
use crate::model::config::{DynamicsConfig, WorldConfig};
use crate::sim::{Dream, PlayerFactory, Real};
use crate::worlds::Kind;
use crate::{Error, Result};

/// A world, and how to make what plays it.
#[derive(Clone)]
pub struct Game {
    /// Name, pace, frame size, actions and keys.
    pub world: DatasetInfo,
    /// What the sampler's panel turns; none of a simulator, which samples nothing.
    pub dynamics: Option<DynamicsConfig>,
    /// Index of the first starting context.
    pub first_context: usize,
    /// Makes what is played inside the world-model thread, again after each failure.
    pub player: Arc<PlayerFactory>,
}

impl Game {
    /// The learned world in a checkpoint folder, from the starting context that is `wanted`: an
    /// index, or an episode whose first frames are taken.
    ///
    /// # Errors
    /// The folder or the starting context is missing or broken.
    pub fn learned(folder: &Path, device: DeviceChoice, wanted: Option<&str>) -> Result<Self> {
        let config = checkpoint::read_config(folder)?;
        let (contexts, first_context) = starts(folder, &config, wanted)?;
        let contexts: Arc<[Clip]> = contexts.into();
        let folder = folder.to_path_buf();
        Ok(Self {
            world: DatasetInfo::from(&config),
            dynamics: Some(config.dynamics),
            first_context,
            player: Arc::new(move |seat| {
                let engine = engine::open(&folder, device, seat)?;
                Ok(Box::new(Dream::new(engine, Arc::clone(&contexts))))
            }),
        })
    }

    /// A simulator itself.
    pub fn simulator(kind: Kind) -> Self {
        Self {
            world: kind.open(0).info(),
            dynamics: None,
            first_context: 0,
            player: Arc::new(move |_| Ok(Box::new(Real::new(kind.open(0))))),
        }
    }
}

/// Starting contexts and the index of the first: the world's own, or the start of an episode.
///
/// # Errors
/// They are missing or broken, or there is none of that index.
pub fn starts(
    folder: &Path,
    world: &WorldConfig,
    wanted: Option<&str>,
) -> Result<(Vec<Clip>, usize)> {
    let own = || data::contexts::read(&folder.join(CONTEXTS), world);
    let Some(wanted) = wanted else {
        return Ok((own()?, 0));
    };
    if let Ok(index) = wanted.parse::<usize>() {
        let clips = own()?;
        if index >= clips.len() {
            return Err(Error::Argument(format!(
                "--context {index}: the world has {} starting contexts (0 to {})",
                clips.len(),
                clips.len().saturating_sub(1)
            )));
        }
        return Ok((clips, index));
    }
    let episode = Episode::read(Path::new(wanted))?;
    Ok((vec![episode.clip(0..world.dynamics.context)], 0))
}
