//! An agent at play: by its policy, or by thinking ahead.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use driftless_engine::Sampler;

use crate::agent::draw;
use crate::{Agent, AgentPolicy, Decision, PlanSettings, Planner, Result};

/// An agent at play. Its policy's actions are drawn, never the likeliest alone; a planner's are those that promise
/// most. The same seed and frames lead to the same actions.
pub struct AgentPlayer {
    agent: Arc<Agent>,
    policy: AgentPolicy,
    rng: ChaCha8Rng,
    planner: Option<Planner>,
}

impl AgentPlayer {
    /// An agent that plays by one of its policies.
    pub fn new(agent: Arc<Agent>, policy: AgentPolicy, seed: u64) -> Self {
        Self {
            agent,
            policy,
            rng: ChaCha8Rng::seed_from_u64(seed),
            planner: None,
        }
    }

    /// Thinks ahead before every move, on so many threads, if the settings' budget allows it.
    #[must_use]
    pub fn with_planner(self, settings: PlanSettings, threads: NonZeroUsize, seed: u64) -> Self {
        let planner = Planner::new(Arc::clone(&self.agent), settings, threads, seed);
        Self {
            planner: Some(planner),
            ..self
        }
    }

    /// The planner, if it has one.
    pub fn planner_mut(&mut self) -> Option<&mut Planner> {
        self.planner.as_mut()
    }

    /// The agent.
    pub fn agent(&self) -> &Agent {
        &self.agent
    }

    /// The action that it takes after the last frame of `sampler`, which is a dream, or follows a real game
    /// by [`Sampler::give`].
    ///
    /// # Errors
    /// As [`Agent::features`] and [`Planner::plan`].
    pub fn decide(&mut self, sampler: &mut Sampler) -> Result<Decision> {
        if let Some(planner) = &mut self.planner
            && let Some(decision) = planner.plan(sampler)?
        {
            return Ok(decision);
        }
        let features = self.agent.features(sampler)?;
        let probabilities = self.agent.probabilities(&features, self.policy);
        Ok(Decision {
            action: draw(&probabilities, &mut self.rng),
            value: self.agent.value(&features),
            probabilities,
        })
    }
}
