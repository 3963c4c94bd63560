//! Worlds as the memory tests play them.

use serde::Serialize;

use driftless_data::{Action, Pose};
use driftless_engine::{Sampler, SamplerParams, Snapshot};

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
    fn step(&mut self, action: Action) -> Result<&[u8]>;
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
    /// Of a world with delta states: the engine after the true frames so far.
    given: Option<Snapshot>,
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
            given: None,
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

    /// Puts the true frame and poses into the memory after a frame predicted under `action`.
    fn correct_memory(&mut self, action: Action) -> Result<()> {
        let Some(truth) = &mut self.truth else {
            return Ok(());
        };
        let len = self.engine.world().image_len();
        let image = &truth.images[truth.predicted * len..(truth.predicted + 1) * len];
        truth.predicted += 1;
        if let Some(given) = &mut truth.given {
            let predicted = self.engine.snapshot()?;
            self.engine.restore(given)?;
            self.engine.give(image, action, &self.params)?;
            *given = self.engine.snapshot()?;
            let states = self.engine.delta_states()?;
            self.engine.restore(&predicted)?;
            self.engine.set_delta_states(&states)?;
        }
        if self.engine.memory().is_some() {
            let latent = self.engine.encode(image)?;
            if let Some(memory) = self.engine.memory_mut() {
                memory.set_last_latent(&latent);
                memory.correct_poses(|frame| truth.poses.get(frame as usize).copied());
            }
        }
        Ok(())
    }

    fn has_states(&self) -> bool {
        self.engine.world().dynamics.delta_state
    }
}

impl Rollout for WorldRollout {
    fn modes(&self) -> Vec<MemoryMode> {
        if self.engine.world().dynamics.remembers() {
            MemoryMode::ALL.to_vec()
        } else {
            vec![MemoryMode::Off]
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
        let (mut elsewhere, mut states) = (None, Vec::new());
        if mode == MemoryMode::OtherEpisode {
            self.engine.reset(&other.start, &self.params)?;
            elsewhere = self.engine.memory().cloned();
            states = self.engine.delta_states()?;
        }
        self.engine.reset(&case.start, &self.params)?;
        if !states.is_empty() {
            self.engine.set_delta_states(&states)?;
        }
        if let (Some(memory), Some(elsewhere)) = (self.engine.memory_mut(), &elsewhere) {
            memory.take_frames_of(elsewhere);
        }
        if mode == MemoryMode::GroundTruth {
            let mut truth = TrueFrames::of(case);
            if self.has_states() {
                truth.given = Some(self.engine.snapshot()?);
            }
            if let Some(memory) = self.engine.memory_mut() {
                memory.correct_poses(|frame| truth.poses.get(frame as usize).copied());
            }
            self.truth = Some(truth);
        }
        Ok(())
    }

    fn step(&mut self, action: Action) -> Result<&[u8]> {
        self.engine.step(action, &self.params)?;
        self.correct_memory(action)?;
        Ok(self.engine.image()?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::memory::case::{MemoryTest, cases};
    use driftless_engine::{CpuNetwork, Threads};
    use driftless_model::checkpoint::WorldModel;
    use driftless_model::config::{DynamicsConfig, TokenizerConfig, WorldConfig};
    use driftless_worlds::SimulatorKind;

    /// A small random world of the maze with delta states.
    fn small_world() -> WorldRollout {
        let maze = SimulatorKind::Maze.open(0).info();
        let world = WorldConfig {
            name: maze.name,
            fps: maze.fps,
            image: maze.image,
            actions: maze.actions,
            tokenizer: TokenizerConfig {
                patch: 16,
                width: 4,
                hidden: 4,
                blocks: 1,
                channels: 2,
            },
            dynamics: DynamicsConfig {
                stem_width: 4,
                width: 8,
                depth: 2,
                heads: 2,
                mlp: 4,
                delta_state: true,
                ..DynamicsConfig::default()
            },
            ..crate::fake::world()
        };
        let (model, _) = WorldModel::random(&world, &Device::Cpu).unwrap();
        let network = CpuNetwork::new(&model, Threads::ONE).unwrap();
        let engine = Sampler::new(Box::new(network), world);
        WorldRollout::new(engine, SamplerParams::default())
    }

    fn case_in(maze: u64) -> MemoryCase {
        let test = MemoryTest::ThereAndBack { frames: 4 };
        cases(test, maze).unwrap().unwrap().remove(0)
    }

    #[test]
    fn a_state_has_all_modes() {
        assert_eq!(small_world().modes(), MemoryMode::ALL);
    }

    #[test]
    fn true_frames_go_into_the_state() {
        let (mut rollout, case) = (small_world(), case_in(0));
        let mut given = small_world();
        rollout
            .begin(&case, &case_in(1), MemoryMode::GroundTruth)
            .unwrap();
        given.begin(&case, &case_in(1), MemoryMode::On).unwrap();
        let images = case.truth.chunks_exact(rollout.engine.world().image_len());
        for (image, &action) in images.zip(&case.actions) {
            rollout.step(action).unwrap();
            given.engine.give(image, action, &given.params).unwrap();
            let states = rollout.engine.delta_states().unwrap();
            assert!(states == given.engine.delta_states().unwrap());
        }
    }

    #[test]
    fn the_state_of_another_episode_replaces_the_own() {
        let (mut rollout, mut other) = (small_world(), small_world());
        let (case, elsewhere) = (case_in(0), case_in(1));
        rollout
            .begin(&case, &elsewhere, MemoryMode::OtherEpisode)
            .unwrap();
        let states = rollout.engine.delta_states().unwrap();
        rollout.begin(&case, &elsewhere, MemoryMode::On).unwrap();
        assert!(states != rollout.engine.delta_states().unwrap());
        other.begin(&elsewhere, &case, MemoryMode::On).unwrap();
        // The seeds of the mazes' noise differ, so that the states are close, not equal.
        let expected = other.engine.delta_states().unwrap();
        let off =
            |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| (a - b).abs()).sum() };
        let own = rollout.engine.delta_states().unwrap();
        assert!(off(&states, &expected) < 0.5 * off(&own, &expected));
    }
}
