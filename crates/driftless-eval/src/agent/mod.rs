//! Agents in the real game: the simulator's pictures, the world's view of them, the agent's actions.
//!
//! What an agent earns in the dream says little about what it earns outside, since it may have learned to
//! deceive the dream. So every policy plays the same episodes of the simulator, and actions are drawn, as in
//! training: the likeliest alone would often stand still.

mod statistics;
mod tables;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use driftless_agent::{Agent, AgentPlayer, AgentPolicy, Dream, PlanSettings, imagine};
use driftless_data::{Action, Clip, DatasetInfo};
use driftless_engine::{Batch, Sampler, SamplerParams};
use driftless_worlds::{Policy, PolicyAgent, Simulator, SimulatorKind};

pub use statistics::Interval;
pub use tables::tables;

use crate::{Error, Result};

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AgentEvalOptions {
    /// Episodes of every policy.
    pub episodes: usize,
    /// Most frames of an episode.
    pub frames: usize,
    /// Frames of the dreams that are compared with as many frames of the episodes.
    pub dreamt_frames: usize,
    /// Seed of the first episode; the others follow.
    pub seed: u64,
    /// Threads, each with an episode.
    pub threads: NonZeroUsize,
    /// Frames that every agent also dreams before each move, as a planner; not measured if 0.
    pub planned_frames: usize,
}

impl Default for AgentEvalOptions {
    fn default() -> Self {
        Self {
            episodes: 30,
            frames: 400,
            dreamt_frames: 64,
            seed: 0,
            threads: NonZeroUsize::MIN,
            planned_frames: 0,
        }
    }
}

impl AgentEvalOptions {
    /// How agents plan, if they do.
    fn plan(&self) -> Option<PlanSettings> {
        (self.planned_frames > 0).then(|| PlanSettings {
            budget: self.planned_frames,
            ..PlanSettings::default()
        })
    }

    fn check(&self) -> Result<()> {
        let wrong = |what: String| Err(Error::Argument(what));
        if self.episodes < 2 {
            return wrong(format!(
                "episodes is {}, expected at least 2",
                self.episodes
            ));
        }
        if self.frames == 0 {
            return wrong("episode-frames is 0, expected at least 1".into());
        }
        match self.plan() {
            Some(plan) if plan.candidates() == 0 => {
                let least = 2 * plan.horizon * plan.rounds;
                wrong(format!(
                    "planned-frames is {}, expected 0 or at least {least}: two plans of {} frames, in {} rounds",
                    self.planned_frames, plan.horizon, plan.rounds
                ))
            }
            _ => Ok(()),
        }
    }
}

/// How the policies did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct AgentReport {
    /// The simulator.
    pub game: &'static str,
    /// Episodes of every policy.
    pub episodes: usize,
    /// Most frames of an episode.
    pub frames: usize,
    /// Frames of the dreams.
    pub dreamt_frames: usize,
    /// Every policy, agents in the order in which they were given.
    pub policies: Vec<PolicyReport>,
    /// All agents together: what the trained policies earned more than the cloned ones on the same episodes.
    pub gain: Interval,
}

/// How one policy did.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PolicyReport {
    /// `random`, `scripted`, `cloned`, `trained` or `planning`.
    pub policy: &'static str,
    /// Which agent's, from 0.
    pub agent: Option<usize>,
    /// Sum of the rewards of an episode.
    pub returns: Interval,
    /// Frames of an episode, the first not counted.
    pub length: Interval,
    /// Share of the episodes that ended before their last frame.
    pub ended: f64,
    /// What the agent read from the pictures of its episodes: the sum of the rewards that it saw.
    pub seen: Option<Interval>,
    /// The same sum in dreams from the same starts.
    pub dreamt: Option<Interval>,
    /// Sum of the true rewards of as many frames as the dreams have.
    pub beside_dreams: Option<Interval>,
    /// Of every episode, in the order of the seeds.
    pub all_returns: Vec<f64>,
}

/// What came of an episode.
#[derive(Clone, Debug, Default)]
struct Played {
    rewards: Vec<f32>,
    seen: f64,
    ended: bool,
}

/// Called from the threads that play, before each frame, with how many of how many episodes and dreams are done; `false`
/// stops.
pub type Tick<'a> = &'a (dyn Fn(usize, usize) -> bool + Sync);

/// How far it is.
struct Progress<'a> {
    tick: Tick<'a>,
    done: AtomicUsize,
    total: usize,
}

impl Progress<'_> {
    /// # Errors
    /// Returns an error if it is to stop.
    fn go_on(&self) -> Result<()> {
        if (self.tick)(self.done.load(Ordering::Relaxed), self.total) {
            Ok(())
        } else {
            Err(driftless_data::Error::Interrupted.into())
        }
    }

    fn add_one(&self) {
        self.done.fetch_add(1, Ordering::Relaxed);
    }
}

/// Lets agents of one world play its simulator, beside random actions and the scripted policy.
///
/// # Errors
/// Returns an error if there is no simulator of this world, if a frame fails, or if `tick` stops.
pub fn run(
    sampler: &Sampler,
    agents: &[Arc<Agent>],
    options: &AgentEvalOptions,
    tick: Tick,
) -> Result<AgentReport> {
    let kind = simulator(sampler)?;
    options.check()?;
    // Dreams are set beside as many real frames.
    let options = &AgentEvalOptions {
        dreamt_frames: options.dreamt_frames.min(options.frames),
        ..*options
    };
    let mut batch = Batch::of(sampler, options.episodes, options.threads)?;
    for game in batch.games_mut() {
        Agent::attach(game)?;
    }
    let plan = options.plan();
    // Episodes and dreams of the cloned and the trained policy, and episodes that are planned.
    let of_agent = 4 + usize::from(plan.is_some());
    let progress = Progress {
        tick,
        done: AtomicUsize::new(0),
        total: options.episodes * (2 + of_agent * agents.len()),
    };
    let progress = &progress;
    let mut policies = Vec::new();
    for (policy, name) in [(Policy::Random, "random"), (Policy::Scripted, "scripted")] {
        let played = batch.advance(|i, _| {
            let seed = options.seed.wrapping_add(i as u64);
            play_without(kind, policy, seed, options.frames, progress)
        })?;
        policies.push(PolicyReport::new(name, None, &played, options));
    }
    for (i, agent) in agents.iter().enumerate() {
        for (policy, name) in [
            (AgentPolicy::Cloned, "cloned"),
            (AgentPolicy::Trained, "trained"),
        ] {
            let contest = Contest {
                kind,
                agent,
                policy,
                plan: None,
                options,
                progress,
            };
            let played = batch.advance(|episode, game| contest.play(game, episode))?;
            let dreamt = batch.advance(|episode, game| contest.dream(game, episode))?;
            let mut report = PolicyReport::new(name, Some(i), &played, options);
            report.add_dreams(&played, &dreamt, options);
            policies.push(report);
        }
        if plan.is_some() {
            let contest = Contest {
                kind,
                agent,
                policy: AgentPolicy::Trained,
                plan,
                options,
                progress,
            };
            let played = batch.advance(|episode, game| contest.play(game, episode))?;
            let mut report = PolicyReport::new("planning", Some(i), &played, options);
            report.add_seen(&played);
            policies.push(report);
        }
    }
    let all = |name: &str| -> Vec<f64> {
        let of_name = policies.iter().filter(|report| report.policy == name);
        of_name
            .flat_map(|report| report.all_returns.iter().copied())
            .collect()
    };
    let gains = all("trained").into_iter().zip(all("cloned"));
    Ok(AgentReport {
        game: kind.name(),
        episodes: options.episodes,
        frames: options.frames,
        dreamt_frames: options.dreamt_frames,
        gain: Interval::of(&gains.map(|(a, b)| a - b).collect::<Vec<_>>()),
        policies,
    })
}

/// The simulator that the world was learned from.
fn simulator(sampler: &Sampler) -> Result<SimulatorKind> {
    let world = sampler.world();
    let info = DatasetInfo::from(world);
    SimulatorKind::matching(&info).ok_or_else(|| {
        let names = SimulatorKind::ALL.map(SimulatorKind::name).join(", ");
        Error::Argument(format!(
            "no simulator has the frames and actions of {}, expected a world of {names}",
            world.name
        ))
    })
}

/// An episode of a policy that does not look at the pictures.
fn play_without(
    kind: SimulatorKind,
    policy: Policy,
    seed: u64,
    frames: usize,
    progress: &Progress,
) -> Result<Played> {
    let mut game = kind.open(seed);
    game.reset(seed);
    let mut agent = PolicyAgent::new(policy, game.as_ref(), seed);
    let mut played = Played::default();
    while played.goes_on(frames) {
        progress.go_on()?;
        let action = agent.act(game.as_ref());
        game.step(action)?;
        played.add(game.as_ref());
    }
    progress.add_one();
    Ok(played)
}

impl Played {
    fn goes_on(&self, frames: usize) -> bool {
        !self.ended && self.rewards.len() < frames
    }

    fn add(&mut self, game: &dyn Simulator) {
        self.rewards.push(game.reward());
        self.ended = game.ended();
    }

    fn sum(&self, frames: usize) -> f64 {
        let rewards = self.rewards.iter().take(frames);
        rewards.map(|reward| f64::from(*reward)).sum()
    }
}

/// An agent at play.
struct Contest<'a> {
    kind: SimulatorKind,
    agent: &'a Arc<Agent>,
    policy: AgentPolicy,
    plan: Option<PlanSettings>,
    options: &'a AgentEvalOptions,
    progress: &'a Progress<'a>,
}

impl Contest<'_> {
    fn seed(&self, episode: usize) -> u64 {
        self.options.seed.wrapping_add(episode as u64)
    }

    /// Goes to the start of an episode, and shows its first picture to the world.
    fn start(
        &self,
        sampler: &mut Sampler,
        episode: usize,
    ) -> Result<(Box<dyn Simulator>, SamplerParams)> {
        let seed = self.seed(episode);
        let mut game = self.kind.open(seed);
        game.reset(seed);
        let params = SamplerParams {
            seed,
            ..SamplerParams::of_world(sampler.world())
        };
        let clip = Clip {
            images: game.image().to_vec(),
            actions: vec![Action::IDLE],
        };
        sampler.reset(&clip, &params)?;
        Ok((game, params))
    }

    /// An episode of the real game.
    fn play(&self, sampler: &mut Sampler, episode: usize) -> Result<Played> {
        let (mut game, params) = self.start(sampler, episode)?;
        let seed = self.seed(episode);
        let mut player = AgentPlayer::new(Arc::clone(self.agent), self.policy, seed);
        if let Some(plan) = self.plan {
            player = player.with_planner(plan, NonZeroUsize::MIN, seed);
        }
        let mut played = Played::default();
        while played.goes_on(self.options.frames) {
            self.progress.go_on()?;
            let action = Action::from(player.decide(sampler)?.action);
            game.step(action)?;
            sampler.give(game.image(), action, &params)?;
            played.add(game.as_ref());
            let features = self.agent.features(sampler)?;
            played.seen += f64::from(self.agent.reward(&features));
        }
        self.progress.add_one();
        Ok(played)
    }

    /// The sum of the rewards in a dream from the same start.
    fn dream(&self, sampler: &mut Sampler, episode: usize) -> Result<f64> {
        self.progress.go_on()?;
        let (_, params) = self.start(sampler, episode)?;
        let dream = Dream {
            horizon: self.options.dreamt_frames,
            policy: self.policy,
            params,
            penalty: 0.0,
            floor: 0.0,
        };
        // Other draws than in the episode.
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed(episode));
        let mut rng = ChaCha8Rng::seed_from_u64(rng.random());
        let dreamt = imagine(sampler, self.agent, &dream, &mut rng)?;
        self.progress.add_one();
        Ok(dreamt.rewards.iter().map(|reward| f64::from(*reward)).sum())
    }
}

impl PolicyReport {
    fn new(
        policy: &'static str,
        agent: Option<usize>,
        played: &[Played],
        options: &AgentEvalOptions,
    ) -> Self {
        let all_returns: Vec<f64> = played.iter().map(|p| p.sum(options.frames)).collect();
        let lengths: Vec<f64> = played.iter().map(|p| p.rewards.len() as f64).collect();
        let ended = played.iter().filter(|p| p.ended).count();
        Self {
            policy,
            agent,
            returns: Interval::of(&all_returns),
            length: Interval::of(&lengths),
            ended: ended as f64 / played.len().max(1) as f64,
            seen: None,
            dreamt: None,
            beside_dreams: None,
            all_returns,
        }
    }

    fn add_seen(&mut self, played: &[Played]) {
        let seen: Vec<f64> = played.iter().map(|p| p.seen).collect();
        self.seen = Some(Interval::of(&seen));
    }

    fn add_dreams(&mut self, played: &[Played], dreamt: &[f64], options: &AgentEvalOptions) {
        self.add_seen(played);
        let beside: Vec<f64> = played
            .iter()
            .map(|p| p.sum(options.dreamt_frames))
            .collect();
        self.dreamt = Some(Interval::of(dreamt));
        self.beside_dreams = Some(Interval::of(&beside));
    }
}

#[cfg(test)]
mod tests;
