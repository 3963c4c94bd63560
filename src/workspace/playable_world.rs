//! A playable world, learned or simulated, for the window and for headless play.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;

use driftless_agent::{Agent, AgentPlayer, AgentPolicy, PlanSettings};
use driftless_clip::ClipOrigin;
use driftless_data::{Action, Clip, DatasetInfo};
use driftless_engine::{DeviceOptions, GpuSource, SamplerParams};
use driftless_model::checkpoint;
use driftless_model::checkpoint::STARTING_CLIPS;
use driftless_model::config::{DynamicsConfig, WorldConfig};
use driftless_remote::RemoteWorld;
use driftless_sim::{Game, LearnedWorld, PlayerFactory, SimulatedWorld};
use driftless_worlds::SimulatorKind;

use super::starting_clip;
use super::world_file::OpenedWorld;
use crate::{Error, Result};

/// The checkpoint and compute device of a learned world.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointOrigin {
    /// Checkpoint folder.
    pub folder: PathBuf,
    /// Compute device.
    pub device: DeviceOptions,
}

/// A clip to go on from.
#[derive(Clone, Debug)]
pub struct GivenClip {
    /// Its frames, u8 RGB `[T, H, W, 3]`.
    pub images: Arc<Vec<u8>>,
    /// The actions that led to them, `[T]`; empty if they are not known.
    pub actions: Vec<Action>,
    /// How it came about, if it was made from words; kept in recordings.
    pub origin: Option<ClipOrigin>,
}

/// How a published world draws frames from noise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PublishedSampler {
    /// EDM's sampler, as DIAMOND's.
    Edm,
    /// DDIM with stabilized past frames, as Oasis's.
    Ddim {
        /// Most frames that the network sees.
        window: usize,
    },
    /// Shortcut steps with labelled past frames, as those of Dreamer 4 in PyTorch.
    Shortcut {
        /// Most frames that the network sees.
        window: usize,
        /// Most steps of a frame.
        k_max: usize,
    },
}

/// A world, with what is needed to start playing it.
#[derive(Clone)]
pub struct PlayableWorld {
    /// Name, frame rate, frame size, actions and keys.
    pub world: DatasetInfo,
    /// Network configuration, for the sampler panel; `None` for a simulator and for a published world.
    pub dynamics: Option<DynamicsConfig>,
    /// The sampler of a published world; `None` for any other.
    pub published: Option<PublishedSampler>,
    /// The sampler parameters that suit the world.
    pub sampling: SamplerParams,
    /// Index of the first starting clip.
    pub first_clip: usize,
    /// A game that is played again first.
    pub game: Option<Arc<Game>>,
    /// Checkpoint and device; `None` for a simulator, and for a world on a server.
    pub origin: Option<CheckpointOrigin>,
    /// The world on a server, if it is one; its player is there.
    pub remote: Option<Arc<RemoteWorld>>,
    /// Creates the player inside the world-model thread, again after each failure.
    pub player: Arc<PlayerFactory>,
}

impl PlayableWorld {
    /// The learned world in a checkpoint folder. `clip` chooses the starting clip: an index, or
    /// a file for [`starting_clip::read`].
    ///
    /// # Errors
    /// Returns an error if the checkpoint's configuration or the starting clip is missing or
    /// broken.
    pub fn learned(
        folder: &Path,
        device: impl Into<DeviceOptions>,
        clip: Option<&str>,
    ) -> Result<Self> {
        let config = checkpoint::read_config(folder)?;
        let (clips, first_clip) = starting_clips(folder, &config, clip)?;
        let origin = CheckpointOrigin {
            folder: folder.to_path_buf(),
            device: device.into(),
        };
        Ok(Self::new(origin, config, clips, first_clip))
    }

    /// A learned world that starts from a file for [`starting_clip::read`]. The world's own follow it.
    ///
    /// # Errors
    /// Returns an error if the checkpoint's configuration or the file is missing or broken.
    pub fn learned_from_file(origin: CheckpointOrigin, file: &Path) -> Result<Self> {
        let config = checkpoint::read_config(&origin.folder)?;
        let mut clips = vec![starting_clip::read(file, &config)?];
        clips.extend(starting_clips(&origin.folder, &config, None)?.0);
        Ok(Self::new(origin, config, clips, 0))
    }

    /// A learned world that goes on from a clip. Without actions, the clip gets those that explain its frames
    /// best ([`driftless_engine::Sampler::infer_actions`]). The world's own starting clips follow.
    ///
    /// # Errors
    /// Returns an error if the checkpoint is missing or broken, or if the frames are not of its size.
    pub fn learned_from_clip(origin: CheckpointOrigin, clip: &GivenClip) -> Result<Self> {
        let config = checkpoint::read_config(&origin.folder)?;
        let mut actions = clip.actions.clone();
        if actions.is_empty() {
            let mut engine =
                driftless_engine::open(&origin.folder, origin.device, &GpuSource::Unavailable)?;
            let params = SamplerParams::of_world(&config);
            let inferred = engine.infer_actions(&clip.images, &params)?;
            actions = inferred.into_iter().map(Action::from).collect();
        }
        let mut clips = vec![Clip {
            images: clip.images.to_vec(),
            actions,
        }];
        clips.extend(starting_clips(&origin.folder, &config, None)?.0);
        let note = clip.origin.as_ref().map(serde_json::to_value);
        let notes = note.and_then(|note| Some((0, note.ok()?)));
        Ok(Self::with_notes(
            origin,
            config,
            clips,
            0,
            notes.into_iter().collect(),
        ))
    }

    /// The learned world in a checkpoint folder, which first plays `game` again. The world's own starting clips
    /// follow that of the game.
    ///
    /// # Errors
    /// Returns an error if the checkpoint's configuration or its starting clips are missing or broken.
    pub fn learned_game(
        folder: &Path,
        device: impl Into<DeviceOptions>,
        game: Game,
    ) -> Result<Self> {
        let config = checkpoint::read_config(folder)?;
        let mut clips = vec![game.clip().clone()];
        clips.extend(starting_clips(folder, &config, None)?.0);
        let origin = CheckpointOrigin {
            folder: folder.to_path_buf(),
            device: device.into(),
        };
        Ok(Self {
            game: Some(Arc::new(game)),
            ..Self::new(origin, config, clips, 0)
        })
    }

    /// The learned world that was opened, with the game that came with it.
    ///
    /// # Errors
    /// As [`PlayableWorld::learned_game`].
    pub fn opened(opened: OpenedWorld, device: impl Into<DeviceOptions>) -> Result<Self> {
        match opened.game {
            Some(game) => Self::learned_game(&opened.folder, device, game),
            None => Self::learned(&opened.folder, device, None),
        }
    }

    /// The sampler parameters of the first frame: those of the game, or else those that suit the world.
    pub fn first_params(&self) -> SamplerParams {
        let game = self.game.as_ref();
        game.map_or(self.sampling, |game| game.params_at(0))
    }

    fn new(
        origin: CheckpointOrigin,
        config: WorldConfig,
        clips: Vec<Clip>,
        first_clip: usize,
    ) -> Self {
        Self::with_notes(origin, config, clips, first_clip, BTreeMap::new())
    }

    /// As [`Self::new`]; `notes` tell how clips came about.
    fn with_notes(
        origin: CheckpointOrigin,
        config: WorldConfig,
        clips: Vec<Clip>,
        first_clip: usize,
        notes: BTreeMap<usize, Value>,
    ) -> Self {
        let clips: Arc<[Clip]> = clips.into();
        let CheckpointOrigin { folder, device } = origin.clone();
        Self {
            world: DatasetInfo::from(&config),
            sampling: SamplerParams::of_world(&config),
            dynamics: Some(config.dynamics.clone()),
            published: None,
            first_clip,
            game: None,
            origin: Some(origin),
            remote: None,
            player: Arc::new(move |gpu_source| {
                let engine = driftless_engine::open(&folder, device, gpu_source)?;
                let mut world = LearnedWorld::new(engine, Arc::clone(&clips));
                if let Some(agent) = agent_of(&folder, &config) {
                    let seed = rand::random();
                    let threads = device.threads.or_all_cores();
                    // The Tuning panel says how many frames it may dream.
                    let plan = PlanSettings {
                        budget: 0,
                        ..PlanSettings::default()
                    };
                    let player = AgentPlayer::new(agent, AgentPolicy::Trained, seed)
                        .with_planner(plan, threads, seed);
                    if let Err(error) = world.set_agent(Some(player)) {
                        tracing::warn!("the world's agent does not play: {error}");
                    }
                }
                Ok(Box::new(world.with_notes(notes.clone())))
            }),
        }
    }

    /// A world on a server, which starts from the clip with this index.
    ///
    /// # Errors
    /// Returns an error if `clip` is no index, or out of range.
    pub fn remote(world: Arc<RemoteWorld>, clip: Option<&str>) -> Result<Self> {
        let clips = world.info().clips;
        let first_clip = match clip.map(str::parse::<usize>) {
            None => 0,
            Some(Ok(index)) if index < clips => index,
            Some(_) => {
                return Err(Error::Argument(format!(
                    "--clip {}: a server has starting clips 0 to {}, and takes no files",
                    clip.unwrap_or_default(),
                    clips.saturating_sub(1)
                )));
            }
        };
        Ok(Self {
            world: world.dataset_info(),
            dynamics: None,
            published: None,
            sampling: world.params(),
            first_clip,
            game: None,
            origin: None,
            remote: Some(world),
            player: Arc::new(|_| {
                let what = "the player of this world is on a server".to_owned();
                Err(driftless_sim::Error::Remote(what))
            }),
        })
    }

    /// A simulator.
    pub fn simulator(kind: SimulatorKind) -> Self {
        Self {
            world: kind.open(0).info(),
            dynamics: None,
            published: None,
            sampling: SamplerParams::default(),
            first_clip: 0,
            game: None,
            origin: None,
            remote: None,
            player: Arc::new(move |_| Ok(Box::new(SimulatedWorld::new(kind.open(0))))),
        }
    }
}

/// The agent beside a world, if there is one. A damaged one only does not play.
fn agent_of(folder: &Path, world: &WorldConfig) -> Option<Arc<Agent>> {
    if !Agent::is_in(folder) {
        return None;
    }
    let agent = Agent::read(folder, world);
    agent
        .map_err(|error| tracing::warn!("the world's agent does not play: {error}"))
        .ok()
        .map(Arc::new)
}

/// A world's starting clips and the index of the first to play. If `clip` names a file for
/// [`starting_clip::read`], that is the only one.
///
/// # Errors
/// Returns an error if the clips or the file are missing or broken, or if the index is out of
/// range.
pub fn starting_clips(
    folder: &Path,
    world: &WorldConfig,
    clip: Option<&str>,
) -> Result<(Vec<Clip>, usize)> {
    let read_own = || driftless_model::starting_clips::read(&folder.join(STARTING_CLIPS), world);
    let Some(clip) = clip else {
        return Ok((read_own()?, 0));
    };
    if let Ok(index) = clip.parse::<usize>() {
        let clips = read_own()?;
        if index >= clips.len() {
            return Err(Error::Argument(format!(
                "--clip {index}: the world has {} starting clips (0 to {})",
                clips.len(),
                clips.len().saturating_sub(1)
            )));
        }
        return Ok((clips, index));
    }
    Ok((vec![starting_clip::read(Path::new(clip), world)?], 0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_clip::{ClipParams, ClipRequest};
    use driftless_engine::{DeviceChoice, GpuSource, SamplerParams};

    #[test]
    fn dropped_file_comes_first() {
        let folder = tempfile::tempdir().unwrap();
        let picture = folder.path().join("red.png");
        image::RgbImage::from_pixel(8, 8, image::Rgb([200, 30, 30]))
            .save(&picture)
            .unwrap();
        let origin = CheckpointOrigin {
            folder: Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong"),
            device: DeviceChoice::Cpu.into(),
        };
        let own = PlayableWorld::learned(&origin.folder, origin.device, None).unwrap();
        assert_eq!(own.origin.as_ref(), Some(&origin));
        let game = PlayableWorld::learned_from_file(origin, &picture).unwrap();
        let mut player = (game.player)(&GpuSource::Own).unwrap();
        let mut plain = (own.player)(&GpuSource::Own).unwrap();
        assert_eq!(player.start_count(), plain.start_count() + 1);
        let params = SamplerParams::default();
        player.start(game.first_clip, &params).unwrap();
        assert_eq!(player.image().unwrap()[..3], [200, 30, 30]);
        player.step(0.into(), &params).unwrap();
        player.start(1, &params).unwrap();
        plain.start(0, &params).unwrap();
        assert!(player.image().unwrap() == plain.image().unwrap());
    }

    #[test]
    fn clip_from_words_keeps_its_actions_and_origin() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("checkpoints/pong");
        let origin = CheckpointOrigin {
            folder,
            device: DeviceChoice::Cpu.into(),
        };
        let made = ClipOrigin::new(&ClipRequest::new("up"), &params());
        let clip = GivenClip {
            images: Arc::new(vec![90; 3 * 64 * 64 * 3]),
            actions: [0, 2, 1].map(Action::from).to_vec(),
            origin: Some(made.clone()),
        };
        let game = PlayableWorld::learned_from_clip(origin, &clip).unwrap();
        let mut player = (game.player)(&GpuSource::Own).unwrap();
        player
            .start(game.first_clip, &SamplerParams::default())
            .unwrap();
        let world = player.learned().unwrap();
        assert_eq!(world.starting_clip().unwrap().actions, clip.actions);
        let note = world.starting_note().unwrap().clone();
        assert_eq!(serde_json::from_value::<ClipOrigin>(note).unwrap(), made);
    }

    fn params() -> ClipParams {
        ClipParams {
            frames: 3,
            steps: 4,
            guidance: 2.0,
            seed: 7,
            attention_mass: 1.0,
        }
    }

    #[test]
    fn simulator_has_no_origin() {
        assert_eq!(PlayableWorld::simulator(SimulatorKind::Drive).origin, None);
    }
}
