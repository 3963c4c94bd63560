//! What a window or a headless player plays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::start;
use crate::{Error, Result};
use driftless_data::Clip;
use driftless_data::DatasetInfo;
use driftless_engine::DeviceChoice;
use driftless_model::checkpoint;
use driftless_model::checkpoint::CONTEXTS;
use driftless_model::config::{DynamicsConfig, WorldConfig};
use driftless_sim::{Dream, PlayerFactory, Real};
use driftless_worlds::Kind;

/// Where a learned world comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Its checkpoint folder.
    pub folder: PathBuf,
    /// Where it is computed.
    pub device: DeviceChoice,
}

/// A world, and how to make what plays it.
#[derive(Clone)]
pub struct Game {
    /// Name, pace, frame size, actions and keys.
    pub world: DatasetInfo,
    /// What the sampler's panel turns; none of a simulator, which samples nothing.
    pub dynamics: Option<DynamicsConfig>,
    /// Index of the first starting context.
    pub first_context: usize,
    /// Where a learned world comes from; none of a simulator.
    pub origin: Option<Origin>,
    /// Makes what is played inside the world-model thread, again after each failure.
    pub player: Arc<PlayerFactory>,
}

impl Game {
    /// The learned world in a checkpoint folder, from the starting context that is `wanted`: an
    /// index, or a file as [`start::clip`] takes it.
    ///
    /// # Errors
    /// The folder or the starting context is missing or broken.
    pub fn learned(folder: &Path, device: DeviceChoice, wanted: Option<&str>) -> Result<Self> {
        let config = checkpoint::read_config(folder)?;
        let (contexts, first_context) = starts(folder, &config, wanted)?;
        let origin = Origin {
            folder: folder.to_path_buf(),
            device,
        };
        Ok(Self::of(origin, config, contexts, first_context))
    }

    /// A learned world from a file as [`start::clip`] takes it; the world's own starting contexts come
    /// after it.
    ///
    /// # Errors
    /// The folder or the file is missing or broken.
    pub fn started_from(origin: Origin, file: &Path) -> Result<Self> {
        let config = checkpoint::read_config(&origin.folder)?;
        let mut contexts = vec![start::clip(file, &config)?];
        contexts.extend(starts(&origin.folder, &config, None)?.0);
        Ok(Self::of(origin, config, contexts, 0))
    }

    fn of(origin: Origin, config: WorldConfig, contexts: Vec<Clip>, first_context: usize) -> Self {
        let contexts: Arc<[Clip]> = contexts.into();
        let Origin { folder, device } = origin.clone();
        Self {
            world: DatasetInfo::from(&config),
            dynamics: Some(config.dynamics),
            first_context,
            origin: Some(origin),
            player: Arc::new(move |seat| {
                let engine = driftless_engine::open(&folder, device, seat)?;
                Ok(Box::new(Dream::new(engine, Arc::clone(&contexts))))
            }),
        }
    }

    /// A simulator itself.
    pub fn simulator(kind: Kind) -> Self {
        Self {
            world: kind.open(0).info(),
            dynamics: None,
            first_context: 0,
            origin: None,
            player: Arc::new(move |_| Ok(Box::new(Real::new(kind.open(0))))),
        }
    }
}

/// Starting contexts and the index of the first: the world's own, or the start of a file as
/// [`start::clip`] takes it.
///
/// # Errors
/// They are missing or broken, or there is none of that index.
pub fn starts(
    folder: &Path,
    world: &WorldConfig,
    wanted: Option<&str>,
) -> Result<(Vec<Clip>, usize)> {
    let own = || driftless_model::contexts::read(&folder.join(CONTEXTS), world);
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
    Ok((vec![start::clip(Path::new(wanted), world)?], 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_engine::{SamplerParams, Seat};

    #[test]
    fn a_dropped_file_is_the_first_start_and_the_worlds_own_follow() {
        let folder = tempfile::tempdir().unwrap();
        let picture = folder.path().join("red.png");
        image::RgbImage::from_pixel(8, 8, image::Rgb([200, 30, 30]))
            .save(&picture)
            .unwrap();
        let origin = Origin {
            folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong"),
            device: DeviceChoice::Cpu,
        };
        let own = Game::learned(&origin.folder, origin.device, None).unwrap();
        assert_eq!(own.origin.as_ref(), Some(&origin));
        let game = Game::started_from(origin, &picture).unwrap();
        let mut player = (game.player)(&Seat::Own).unwrap();
        let mut plain = (own.player)(&Seat::Own).unwrap();
        assert_eq!(player.starts(), plain.starts() + 1);
        let params = SamplerParams::default();
        player.start(game.first_context, &params).unwrap();
        assert_eq!(player.image().unwrap()[..3], [200, 30, 30]);
        player.step(0, &params).unwrap();
        player.start(1, &params).unwrap();
        plain.start(0, &params).unwrap();
        assert!(player.image().unwrap() == plain.image().unwrap());
    }

    #[test]
    fn a_simulator_has_no_checkpoint_behind_it() {
        assert_eq!(Game::simulator(Kind::Drive).origin, None);
    }
}
