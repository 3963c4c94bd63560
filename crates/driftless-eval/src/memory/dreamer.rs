//! Worlds as the memory tests play them.

use serde::Serialize;

use driftless_data::Pose;
use driftless_engine::{Sampler, SamplerParams};

use super::case::MemoryCase;
use crate::{Error, Result};

/// What a dream may remember beyond the world's context.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum MemoryMode {
    /// Its own memory, filled from all that is given and from the dream.
    On,
    /// Nothing.
    Off,
    /// The memory of another episode: what is given comes from another maze.
    OtherEpisode,
    /// The true frames of what is given and of the dream so far, at their true poses.
    Oracle,
}

impl MemoryMode {
    /// All modes, in the order of the tables.
    pub const ALL: [Self; 4] = [Self::Off, Self::On, Self::OtherEpisode, Self::Oracle];

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::On => "memory on",
            Self::Off => "memory off",
            Self::OtherEpisode => "memory of another episode",
            Self::Oracle => "true frames in memory",
        }
    }
}

/// A world that dreams a case frame by frame.
pub trait Dreamer: Send {
    /// The modes that it can dream in; without a memory, [`MemoryMode::Off`] alone.
    fn modes(&self) -> Vec<MemoryMode>;

    /// Starts the dream of `case` from what the case is given. `other` is a case in another maze, for
    /// [`MemoryMode::OtherEpisode`].
    ///
    /// # Errors
    /// Returns an error if the world cannot dream in this mode, if the case does not fit it, or if the
    /// device fails.
    fn begin(&mut self, case: &MemoryCase, other: &MemoryCase, mode: MemoryMode) -> Result<()>;

    /// Dreams the next frame under `action`, u8 RGB `[H, W, 3]`.
    ///
    /// # Errors
    /// Returns an error before the first dream, if the action is unknown, or if the device fails.
    fn step(&mut self, action: u32) -> Result<&[u8]>;
}

/// A learned world with its sampler parameters. The seed of each dream is that of the parameters plus
/// the number of the maze, so that cases in one maze share their noise.
pub struct WorldDreamer {
    engine: Sampler,
    params: SamplerParams,
    seed: u64,
    truth: Option<Truth>,
}

/// What the memory is given in [`MemoryMode::Oracle`].
struct Truth {
    /// True poses of the given frames and of the dream.
    poses: Vec<Pose>,
    /// True frames of the dream, u8 RGB `[frames, H, W, 3]`.
    images: Vec<u8>,
    /// Frames dreamt so far.
    dreamt: usize,
}

impl Truth {
    fn of(case: &MemoryCase) -> Self {
        let first = case.given_poses.first().copied().unwrap_or_default();
        let all = case.given_poses.iter().chain(&case.poses);
        Self {
            // A memory's poses begin at zero.
            poses: all
                .map(|pose| Pose::default().after(first.motion_to(*pose)))
                .collect(),
            images: case.truth.clone(),
            dreamt: 0,
        }
    }
}

impl WorldDreamer {
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

    /// Puts the true frame and poses into the memory after a dreamt frame.
    fn tell_truth(&mut self) -> Result<()> {
        let Some(truth) = &mut self.truth else {
            return Ok(());
        };
        let len = self.engine.world().image_len();
        let image = &truth.images[truth.dreamt * len..(truth.dreamt + 1) * len];
        truth.dreamt += 1;
        let latent = self.engine.encode(image)?;
        if let Some(memory) = self.engine.memory_mut() {
            memory.set_last_latent(&latent);
            memory.correct_poses(|frame| truth.poses.get(frame as usize).copied());
        }
        Ok(())
    }
}

impl Dreamer for WorldDreamer {
    fn modes(&self) -> Vec<MemoryMode> {
        match self.engine.memory() {
            Some(_) => MemoryMode::ALL.to_vec(),
            None => vec![MemoryMode::Off],
        }
    }

    fn begin(&mut self, case: &MemoryCase, other: &MemoryCase, mode: MemoryMode) -> Result<()> {
        if !self.modes().contains(&mode) {
            let what = format!(
                "this world has no memory, it cannot dream with {}",
                mode.name()
            );
            return Err(Error::Argument(what));
        }
        self.params.seed = self.seed.wrapping_add(case.maze);
        self.params.recall = mode != MemoryMode::Off;
        self.truth = None;
        let mut elsewhere = None;
        if mode == MemoryMode::OtherEpisode {
            self.engine.reset(&other.given, &self.params)?;
            elsewhere = self.engine.memory().cloned();
        }
        self.engine.reset(&case.given, &self.params)?;
        if let (Some(memory), Some(elsewhere)) = (self.engine.memory_mut(), &elsewhere) {
            memory.take_frames_of(elsewhere);
        }
        if mode == MemoryMode::Oracle {
            let truth = Truth::of(case);
            if let Some(memory) = self.engine.memory_mut() {
                memory.correct_poses(|frame| truth.poses.get(frame as usize).copied());
            }
            self.truth = Some(truth);
        }
        Ok(())
    }

    fn step(&mut self, action: u32) -> Result<&[u8]> {
        self.engine.step(action, &self.params)?;
        self.tell_truth()?;
        Ok(self.engine.image()?)
    }
}
