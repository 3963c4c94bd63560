//! A player that thinks ahead: it tries sequences of actions in the dream before every move.
//!
//! The cross-entropy method (Rubinstein, *The cross-entropy method for combinatorial and continuous optimization*,
//! 1999) over sequences of discrete actions, as in planning with learned models: some candidates are the policy's
//! own rollouts, what lies beyond the horizon is the value's (Hansen et al., *TD-MPC2*, 2024, section 3.2), and the
//! next plan begins with this one, a frame on.

use std::num::NonZeroUsize;
use std::sync::Arc;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use driftless_data::Action;
use driftless_engine::{Batch, Sampler, SamplerParams, Snapshot};

use crate::agent::draw;
use crate::{Agent, AgentPolicy, Decision, Result};

/// The share of the best candidates that shape the next round.
const ELITES: f64 = 1.0 / 6.0;
/// The least share of a distribution that is uniform: no action is ever given up.
const UNIFORM: f32 = 0.05;
/// The share that is uniform where a plan begins with the last one.
const UNIFORM_AT_FIRST: f32 = 0.4;

/// How a [`Planner`] thinks.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PlanSettings {
    /// Frames that it looks ahead, H.
    pub horizon: usize,
    /// Rounds of trying and choosing.
    pub rounds: usize,
    /// Sampling steps of a dreamt frame, K.
    pub steps: usize,
    /// The share of the candidates that follow the policy.
    pub policy_share: f64,
    /// Frames that it may dream before a move; at 0, or too few to compare two candidates, the policy decides.
    pub budget: usize,
}

impl Default for PlanSettings {
    fn default() -> Self {
        Self {
            horizon: 10,
            rounds: 2,
            steps: 1,
            policy_share: 0.25,
            budget: 320,
        }
    }
}

impl PlanSettings {
    /// Candidates of a round; 0 if the budget is too small to choose.
    pub fn candidates(&self) -> usize {
        let count = self.budget / (self.horizon * self.rounds).max(1);
        if count < 2 { 0 } else { count }
    }
}

/// An agent that plans. The same seed, frames and settings lead to the same actions, on any number of threads.
pub struct Planner {
    agent: Arc<Agent>,
    settings: PlanSettings,
    threads: NonZeroUsize,
    batch: Option<Batch<Sampler>>,
    chances: Chances,
    rng: ChaCha8Rng,
}

/// A sequence of actions that was tried, and the return that the dream promises for it.
struct Candidate {
    actions: Vec<u32>,
    value: f32,
}

impl Planner {
    /// A planner that dreams on so many threads.
    pub fn new(
        agent: Arc<Agent>,
        settings: PlanSettings,
        threads: NonZeroUsize,
        seed: u64,
    ) -> Self {
        Self {
            chances: Chances::uniform(settings.horizon, agent.config().actions),
            agent,
            settings,
            threads,
            batch: None,
            rng: ChaCha8Rng::seed_from_u64(seed),
        }
    }

    /// How it thinks.
    pub fn settings(&self) -> &PlanSettings {
        &self.settings
    }

    /// How many frames it may dream before a move, from now on.
    pub fn set_budget(&mut self, frames: usize) {
        self.settings.budget = frames;
    }

    /// Forgets the plan that it had: the game has gone on elsewhere.
    pub fn forget(&mut self) {
        self.chances = Chances::uniform(self.settings.horizon, self.agent.config().actions);
    }

    /// The action that promises most after the last frame of `sampler`, whose state it does not change; the
    /// probabilities are the shares of the best candidates that begin with each action. `None` if the budget
    /// is too small.
    ///
    /// # Errors
    /// Returns an error if the backend cannot copy its state (the CPU engine can), if the sampler has made no
    /// frame since [`Agent::attach`], or if a prediction is not finite.
    pub fn plan(&mut self, sampler: &mut Sampler) -> Result<Option<Decision>> {
        let count = self.settings.candidates();
        if count == 0 {
            return Ok(None);
        }
        let first = self.agent.features(sampler)?;
        let start = sampler.snapshot()?;
        self.prepare(sampler, count)?;
        self.chances.shift();
        let mut elites: Vec<Candidate> = Vec::new();
        for _ in 0..self.settings.rounds {
            let mut tried = self.try_all(&first, &start, count)?;
            tried.append(&mut elites);
            tried.sort_by(|a, b| b.value.total_cmp(&a.value));
            tried.truncate(elite_count(count));
            self.chances.learn(&tried);
            elites = tried;
        }
        let value = elites.iter().map(|one| one.value).sum::<f32>() / elites.len().max(1) as f32;
        let probabilities = self.chances.shares(&elites);
        Ok(Some(Decision {
            action: likeliest(&probabilities),
            probabilities,
            value,
        }))
    }

    /// Has at least so many copies of the sampler.
    fn prepare(&mut self, sampler: &Sampler, count: usize) -> Result<()> {
        let ready = self.batch.as_ref().map_or(0, |batch| batch.games().len());
        if ready < count {
            let mut batch = Batch::of(sampler, count, self.threads)?;
            for game in batch.games_mut() {
                Agent::attach(game)?;
            }
            self.batch = Some(batch);
        }
        Ok(())
    }

    /// Dreams `count` candidates of a round.
    fn try_all(&mut self, first: &[f32], start: &Snapshot, count: usize) -> Result<Vec<Candidate>> {
        let Some(batch) = &mut self.batch else {
            return Ok(Vec::new());
        };
        let (agent, chances, settings) = (&self.agent, &self.chances, &self.settings);
        let of_policy = (settings.policy_share * count as f64).round() as usize;
        // All candidates of a round meet the same noise: none wins by luck alone.
        let noise: u64 = self.rng.random();
        let draws: u64 = self.rng.random();
        let tried = batch.advance(|i, game| {
            if i >= count {
                return Ok(None);
            }
            let mut rng = ChaCha8Rng::seed_from_u64(draws.wrapping_add(i as u64));
            let params = SamplerParams {
                steps: settings.steps,
                seed: noise,
                ..SamplerParams::of_world(game.world())
            };
            let choose = |t: usize, features: &[f32]| {
                let policy;
                let chances = if i < of_policy {
                    policy = agent.probabilities(features, AgentPolicy::Trained);
                    &policy
                } else {
                    chances.at(t)
                };
                draw(chances, &mut rng)
            };
            game.restore(start)?;
            follow(game, agent, (first, settings.horizon), &params, choose).map(Some)
        })?;
        Ok(tried.into_iter().flatten().collect())
    }
}

/// Dreams `horizon` frames under the actions that `choose` takes for each, and adds up what they promise:
/// Σ γ^k c_1…c_k r_{k+1}, and γ^H c_1…c_H times the value of the last frame.
fn follow(
    game: &mut Sampler,
    agent: &Agent,
    (first, horizon): (&[f32], usize),
    params: &SamplerParams,
    mut choose: impl FnMut(usize, &[f32]) -> u32,
) -> Result<Candidate> {
    let gamma = agent.config().discount;
    let (mut value, mut weight) = (0.0, 1.0);
    let mut features = first.to_vec();
    let mut actions = Vec::with_capacity(horizon);
    for t in 0..horizon {
        let action = choose(t, &features);
        actions.push(action);
        game.step_undrawn(Action::from(action), params)?;
        features = agent.features(game)?;
        value += weight * agent.reward(&features);
        let continues = agent.continues(&features);
        if continues < 0.5 {
            return Ok(Candidate { actions, value });
        }
        weight *= gamma * continues;
    }
    value += weight * agent.value(&features);
    Ok(Candidate { actions, value })
}

/// How many candidates shape the next round.
fn elite_count(candidates: usize) -> usize {
    ((ELITES * candidates as f64).round() as usize).clamp(1, candidates.max(1))
}

fn likeliest(probabilities: &[f32]) -> u32 {
    let pairs = probabilities.iter().enumerate();
    let best = pairs.max_by(|(i, a), (j, b)| a.total_cmp(b).then(j.cmp(i)));
    best.map_or(0, |(i, _)| i as u32)
}

/// A distribution over the actions of each frame ahead.
struct Chances {
    actions: usize,
    /// `[H, A]`.
    p: Vec<f32>,
}

impl Chances {
    fn uniform(horizon: usize, actions: usize) -> Self {
        Self {
            actions,
            p: vec![1.0 / actions as f32; horizon * actions],
        }
    }

    fn at(&self, t: usize) -> &[f32] {
        &self.p[t * self.actions..(t + 1) * self.actions]
    }

    /// Goes a frame on: what was planned for the second frame is now of the first, less surely.
    fn shift(&mut self) {
        let a = self.actions;
        self.p.copy_within(a.., 0);
        let last = self.p.len() - a;
        let even = 1.0 / a as f32;
        self.p[last..].fill(even);
        for p in &mut self.p {
            *p += UNIFORM_AT_FIRST * (even - *p);
        }
    }

    /// The shares of the elites' actions. A candidate that ended has no part in the frames after its end; where
    /// all have ended, nothing changes.
    fn learn(&mut self, elites: &[Candidate]) {
        let a = self.actions;
        for (t, p) in self.p.chunks_exact_mut(a).enumerate() {
            let mut counts = vec![0.0; a];
            for action in elites.iter().filter_map(|one| one.actions.get(t)) {
                counts[*action as usize] += 1.0;
            }
            let total: f32 = counts.iter().sum();
            if total > 0.0 {
                for (p, count) in p.iter_mut().zip(counts) {
                    *p = (1.0 - UNIFORM) * count / total + UNIFORM / a as f32;
                }
            }
        }
    }

    /// The shares of the elites that begin with each action.
    fn shares(&self, elites: &[Candidate]) -> Vec<f32> {
        let mut shares = vec![0.0; self.actions];
        let share = 1.0 / elites.len().max(1) as f32;
        for action in elites.iter().filter_map(|one| one.actions.first()) {
            shares[*action as usize] += share;
        }
        shares
    }
}

#[cfg(test)]
#[path = "planner_tests.rs"]
mod tests;
