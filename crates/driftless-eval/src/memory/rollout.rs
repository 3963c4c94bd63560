//! Worlds as the memory tests play them.

use serde::Serialize;

use driftless_data::Pose;
use driftless_engine::{Sampler, SamplerParams};

use super::case::MemoryCase;
use crate::{Error, Result};

/// What a rollout may remember beyond the world's context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryMode {
    /// Its own memory, filled from the starting clip and from the rollout.
    On,
    /// Nothing.
    Off,
    /// The memory of another episode: the starting clip comes from another maze.
    OtherEpisode,
    /// The true frames of the starting clip and of the rollout so far, at their true poses.
    #[serde(rename = "oracle")]
    GroundTruth,
}

impl MemoryMode {
    /// All modes, in the order of the tables.
    pub const ALL: [Self; 4] = [Self::Off, Self::On, Self::OtherEpisode, Self::GroundTruth];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "memory on",
            Self::Off => "memory off",
            Self::OtherEpisode => "memory of another episode",
            Self::GroundTruth => "true frames in memory",
        }
    }
}

/// A world that predicts a case frame by frame.
pub trait Rollout: Send {
    /// The modes that it has; without a memory, [`MemoryMode::Off`] alone.
    fn modes(&self) -> Vec<MemoryMode>;

    /// Starts the rollout of `case` from its starting clip. `other` is a case in another maze, for
    /// [`MemoryMode::OtherEpisode`].
    ///
    /// # Errors
    /// Returns an error if the world does not have this mode, if the case does not fit it, or if the
    /// device fails.
    fn begin(&mut self, case: &MemoryCase, other: &MemoryCase, mode: MemoryMode) -> Result<()>;

    /// Predicts the next frame under `action`, u8 RGB `[H, W, 3]`.
    ///
    /// # Errors
    /// Returns an error before the first case, if the action is unknown, or if the device fails.
    fn step(&mut self, action: u32) -> Result<&[u8]>;
}

/// A learned world with its sampler parameters. The seed of each rollout is that of the parameters plus
/// the number of the maze, so that cases in one maze share their noise.
pub struct WorldRollout {
    engine: Sampler,
    params: SamplerParams,
    seed: u64,
    truth: Option<TrueFrames>,
}

/// What the memory is given in [`MemoryMode::GroundTruth`].
struct TrueFrames {
    /// True poses of the starting clip and of the rollout.
    poses: Vec<Pose>,
    /// True frames of the rollout, u8 RGB `[frames, H, W, 3]`.
    images: Vec<u8>,
    /// Frames predicted so far.
    predicted: usize,
}

impl TrueFrames {
    fn of(case: &MemoryCase) -> Self {
        let first = case.start_poses.first().copied().unwrap_or_default();
        let all = case.start_poses.iter().chain(&case.poses);
        Self {
            // A memory's poses begin at zero.
            poses: all
                .map(|pose| Pose::default().after(first.motion_to(*pose)))
                .collect(),
            images: case.truth.clone(),
            predicted: 0,
        }
    }
}

impl WorldRollout {
    /// Plays `engine` with `params`.
    pub fn new(engine: Sampler, params: SamplerParams) -> Self {
        let seed = params.seed;
        Self {
            engine,
            params,
            seed,
            truth: None,
        }
    }

    /// Puts the true frame and poses into the memory after a predicted frame.
    fn correct_memory(&mut self) -> Result<()> {
        let Some(truth) = &mut self.truth else {
            return Ok(());
        };
        let len = self.engine.world().image_len();
        let image = &truth.images[truth.predicted * len..(truth.predicted + 1) * len];
        truth.predicted += 1;
        let latent = self.engine.encode(image)?;
        if let Some(memory) = self.engine.memory_mut() {
            memory.set_last_latent(&latent);
            memory.correct_poses(|frame| truth.poses.get(frame as usize).copied());
        }
        Ok(())
    }
}

impl Rollout for WorldRollout {
    fn modes(&self) -> Vec<MemoryMode> {
        match self.engine.memory() {
            Some(_) => MemoryMode::ALL.to_vec(),
            None => vec![MemoryMode::Off],
        }
    }

    fn begin(&mut self, case: &MemoryCase, other: &MemoryCase, mode: MemoryMode) -> Result<()> {
        if !self.modes().contains(&mode) {
            let what = format!(
                "this world has no memory, it cannot be measured with {}",
                mode.name()
            );
            return Err(Error::Argument(what));
        }
        self.params.seed = self.seed.wrapping_add(case.maze);
        self.params.recall = mode != MemoryMode::Off;
        self.truth = None;
        let mut elsewhere = None;
        if mode == MemoryMode::OtherEpisode {
            self.engine.reset(&other.start, &self.params)?;
            elsewhere = self.engine.memory().cloned();
        }
        self.engine.reset(&case.start, &self.params)?;
        if let (Some(memory), Some(elsewhere)) = (self.engine.memory_mut(), &elsewhere) {
            memory.take_frames_of(elsewhere);
        }
        if mode == MemoryMode::GroundTruth {
            let truth = TrueFrames::of(case);
            if let Some(memory) = self.engine.memory_mut() {
                memory.correct_poses(|frame| truth.poses.get(frame as usize).copied());
            }
            self.truth = Some(truth);
        }
        Ok(())
    }

    fn step(&mut self, action: u32) -> Result<&[u8]> {
        self.engine.step(action, &self.params)?;
        self.correct_memory()?;
        Ok(self.engine.image()?)
    }
}
