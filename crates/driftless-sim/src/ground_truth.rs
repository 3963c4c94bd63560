//! What an episode starts from, and the ground truth that goes with it.

use std::sync::Arc;

use driftless_data::{Action, Clip, Episode};
use driftless_engine::SamplerParams;
use driftless_worlds::{Policy, PolicyAgent, Simulator, SimulatorKind};

use super::{LearnedWorld, Player};
use crate::{Error, Result};

/// What a reset starts from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Start {
    /// A starting clip of the player.
    Clip,
    /// The first frames of a simulator, played by the scripted policy.
    Simulator(SimulatorKind),
    /// The first frames of an episode.
    Episode(Arc<Episode>),
}

/// Ground truth for the frames of a learned world, stepped along with it.
pub(super) enum GroundTruthSource {
    Simulator(Box<dyn Simulator>),
    Episode {
        episode: Arc<Episode>,
        /// Index of the current frame.
        index: usize,
    },
}

impl GroundTruthSource {
    /// The ground truth of `start` and the clip of up to `frames` frames that the learned world
    /// starts from, or `None` if the start has no ground truth. `index`, the clip's, is added to the seed, so
    /// that each starting clip has a world of its own.
    ///
    /// # Errors
    /// Returns an error if the simulator rejects an action.
    pub fn start(
        start: &Start,
        params: &SamplerParams,
        index: usize,
        frames: usize,
    ) -> Result<Option<(Self, Clip)>> {
        Ok(match start {
            Start::Clip => None,
            Start::Simulator(kind) => {
                let seed = params.seed.wrapping_add(index as u64);
                let mut simulator = kind.open(seed);
                simulator.reset(seed);
                let mut agent = PolicyAgent::new(Policy::Scripted, simulator.as_ref(), seed);
                let clip = play_clip(simulator.as_mut(), &mut agent, frames)?;
                Some((Self::Simulator(simulator), clip))
            }
            Start::Episode(episode) => {
                let clip = episode.clip(0..frames);
                let index = clip.frames().saturating_sub(1);
                let episode = Arc::clone(episode);
                Some((Self::Episode { episode, index }, clip))
            }
        })
    }

    /// The recorded action that leads to the next frame; `None` for a simulator.
    pub fn action(&self) -> Option<Action> {
        match self {
            Self::Simulator(_) => None,
            Self::Episode { episode, index } => {
                let next = index + 1;
                (next < episode.frames()).then(|| episode.action(next))
            }
        }
    }

    /// Advances by one frame.
    ///
    /// # Errors
    /// Returns an error if the simulator does not know the action.
    pub fn step(&mut self, action: Action) -> Result<()> {
        match self {
            Self::Simulator(simulator) => simulator.step(action)?,
            Self::Episode { index, .. } => *index += 1,
        }
        Ok(())
    }

    /// The current frame, u8 RGB `[H, W, 3]`; `None` past the end of an episode.
    pub fn image(&self) -> Option<&[u8]> {
        match self {
            Self::Simulator(simulator) => Some(simulator.image()),
            Self::Episode { episode, index } => {
                (*index < episode.frames()).then(|| episode.frame(*index))
            }
        }
    }

    /// Whether the current frame is the last one.
    pub fn ended(&self) -> bool {
        match self {
            Self::Simulator(simulator) => simulator.ended(),
            Self::Episode { episode, index } => index + 1 >= episode.frames(),
        }
    }
}

/// Resets the player to `start`. Returns the ground truth to compare with, if the start has one.
pub(super) fn start_player(
    player: &mut dyn Player,
    start: &Start,
    index: usize,
    params: &SamplerParams,
) -> Result<Option<GroundTruthSource>> {
    let frames = player.learned().map_or(0, LearnedWorld::context_frames);
    let Some((truth, clip)) = GroundTruthSource::start(start, params, index, frames)? else {
        player.start(index, params)?;
        return Ok(None);
    };
    let learned = player
        .learned_mut()
        .ok_or_else(|| Error::NotLearned("a simulator cannot start from given frames".into()))?;
    learned.start_from(&clip, params)?;
    Ok(Some(truth))
}

/// Plays until the clip holds `frames` frames. Its last frame is the simulator's current one.
fn play_clip(
    simulator: &mut dyn Simulator,
    agent: &mut PolicyAgent,
    frames: usize,
) -> Result<Clip> {
    let mut clip = Clip {
        images: simulator.image().to_vec(),
        actions: vec![Action::IDLE],
    };
    while clip.frames() < frames {
        let action = agent.act(simulator);
        simulator.step(action)?;
        clip.images.extend_from_slice(simulator.image());
        clip.actions.push(action);
    }
    Ok(clip)
}
