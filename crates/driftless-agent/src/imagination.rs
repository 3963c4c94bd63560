//! Rollouts in the dream: the world goes on under the agent's own actions.

use rand::Rng;

use driftless_engine::{Sampler, SamplerParams, reencoding_error};

use crate::agent::draw;
use crate::{Agent, AgentPolicy, Result};

/// How an agent dreams.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Dream {
    /// Most frames, H. A rollout ends before if the agent sees the end of the episode.
    pub horizon: usize,
    /// Which of its policies acts.
    pub policy: AgentPolicy,
    /// How frames are sampled.
    pub params: SamplerParams,
    /// κ: a reward is less by κ times what a frame's re-encoding error exceeds `floor` by. Costs a decoding
    /// and an encoding a frame unless it is 0.
    pub penalty: f32,
    /// The re-encoding error that costs nothing.
    pub floor: f32,
}

/// A rollout of n frames after a context.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trajectory {
    /// Standardized features of the frames 0 to n, `[n + 1, F]`. Frame 0 is the last of the context.
    pub features: Vec<f32>,
    /// The action that led to each of the frames 1 to n.
    pub actions: Vec<u32>,
    /// The reward that came with each of the frames 1 to n, without the penalty.
    pub rewards: Vec<f32>,
    /// What was taken from each reward.
    pub penalties: Vec<f32>,
    /// Probability that the episode goes on after each of the frames 1 to n; 0 where the rollout ended.
    pub continues: Vec<f32>,
}

/// Lets a game go on from its last frame under an agent's actions, which `rng` draws.
///
/// # Errors
/// Returns an error if the sampler has made no frame since [`Agent::attach`], if a parameter is invalid, or if a
/// prediction is not finite.
pub fn imagine(
    sampler: &mut Sampler,
    agent: &Agent,
    dream: &Dream,
    rng: &mut impl Rng,
) -> Result<Trajectory> {
    let mut features = agent.features(sampler)?;
    let mut trajectory = Trajectory {
        features: features.clone(),
        ..Trajectory::default()
    };
    for _ in 0..dream.horizon {
        let action = draw(&agent.probabilities(&features, dream.policy), rng);
        sampler.step_undrawn(action, &dream.params)?;
        features = agent.features(sampler)?;
        let continues = agent.continues(&features);
        let ends = continues < 0.5;
        let penalty = match dream.penalty {
            0.0 => 0.0,
            kappa => kappa * (reencoding_error(sampler)? - dream.floor).max(0.0),
        };
        trajectory.features.extend_from_slice(&features);
        trajectory.actions.push(action);
        trajectory.rewards.push(agent.reward(&features));
        trajectory.penalties.push(penalty);
        trajectory
            .continues
            .push(if ends { 0.0 } else { continues });
        if ends {
            break;
        }
    }
    Ok(trajectory)
}
