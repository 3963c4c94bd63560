//! The second phase: policy and value learn in the dream.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::Path;

use candle_core::{Device, Tensor, Var};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPool;

use driftless_agent::config::AGENT_WEIGHTS;
use driftless_agent::network::{Head, LastLayer, name, seeded, size};
use driftless_agent::objective::{PmpoWeights, lambda_returns, pmpo, two_hot_loss};
use driftless_agent::{Agent, AgentConfig, AgentPolicy, Dream, PlainHead, Trajectory, imagine};
use driftless_data::{Clip, PathError as _};
use driftless_engine::{Batch, Sampler, SamplerParams, reencoding_error};
use driftless_model::checkpoint::write_tensors;
use driftless_model::params::Params;

use super::alone::one_thread;
use super::settings::ImaginationSettings;
use crate::frame_store::FrameStore;
use crate::optimizer::Optimizer;
use crate::task::{BatchReport, Gradient, StepOutput, Task};
use crate::{Error, Result, RunLayout, TrainStage};

/// What the averaged value is called in a saved state.
const SLOW: &str = "slow/";
/// Rollouts that the floor of the re-encoding error is measured on.
const FLOOR_ROLLOUTS: usize = 16;

/// The training of policy and value in the dream.
pub(super) struct ImaginationTask<'a> {
    layout: &'a RunLayout,
    store: &'a FrameStore,
    settings: ImaginationSettings,
    config: AgentConfig,
    batch: Batch<Sampler>,
    agent: Agent,
    learner: Learner,
    thread: ThreadPool,
    vars: BTreeMap<String, Var>,
    /// The averaged value.
    slow: BTreeMap<String, Tensor>,
    /// The heads that do not change, and the statistics of the features.
    fixed: BTreeMap<String, Tensor>,
    dream: Dream,
    context: usize,
}

/// The heads that learn, and the prior of one.
struct Learner {
    policy: Head,
    value: Head,
    prior: Head,
    config: AgentConfig,
    settings: ImaginationSettings,
}

/// What the rollouts of a step taught.
struct Lesson {
    features: Vec<f32>,
    actions: Vec<u32>,
    returns: Vec<f32>,
    advantages: Vec<f32>,
    rewards: f32,
    penalties: f32,
    ended: usize,
}

/// What phase two begins with: the world and where it dreams.
pub(super) struct DreamWorld<'a> {
    pub sampler: &'a Sampler,
    pub threads: NonZeroUsize,
    pub store: &'a FrameStore,
}

impl<'a> ImaginationTask<'a> {
    /// Begins with the cloned policy in the run's checkpoint and the value of recorded play, which is about its
    /// own; also returns the parameters.
    ///
    /// # Errors
    /// Returns an error if the checkpoint lacks one of them.
    pub fn new(
        layout: &'a RunLayout,
        (settings, seed): (&ImaginationSettings, u64),
        config: &AgentConfig,
        world: &DreamWorld<'a>,
    ) -> Result<(Self, BTreeMap<String, Var>)> {
        let mut fixed = read(&layout.checkpoint().join(AGENT_WEIGHTS))?;
        let ([policy, value], vars) = seeded(config, [name::POLICY, name::VALUE], seed)?;
        for (key, var) in &vars {
            let learned = match key.strip_prefix(name::POLICY) {
                Some(rest) => fixed.get(&format!("{}{rest}", name::CLONED)),
                None => fixed.get(key),
            };
            let missing = || Error::Shape(format!("the first phase left no '{key}'"));
            var.set(learned.ok_or_else(missing)?)?;
        }
        fixed.retain(|key, _| !vars.contains_key(key));
        let all = with(&fixed, vars.iter().map(|(k, v)| (k, v.as_tensor())));
        let agent = Agent::new(config, &all)?;
        let params = Params::from_tensors(
            &layout.checkpoint(),
            fixed.clone().into_iter().collect(),
            &Device::Cpu,
        );
        let prior = size(config, name::CLONED);
        let mut batch = Batch::of(world.sampler, settings.games, world.threads)?;
        for game in batch.games_mut() {
            Agent::attach(game)?;
        }
        let mut task = Self {
            layout,
            store: world.store,
            settings: settings.clone(),
            config: config.clone(),
            batch,
            agent,
            learner: Learner {
                policy,
                value,
                prior: Head::new(&params, name::CLONED, prior, LastLayer::Random)?,
                config: config.clone(),
                settings: settings.clone(),
            },
            thread: one_thread()?,
            slow: slow_of(&vars)?,
            vars: vars.clone(),
            fixed,
            dream: Dream {
                horizon: settings.horizon,
                policy: AgentPolicy::Trained,
                params: SamplerParams {
                    steps: settings.steps,
                    ..SamplerParams::of_world(world.sampler.world())
                },
                penalty: settings.penalty as f32,
                floor: 0.0,
            },
            context: world.sampler.world().dynamics.context,
        };
        if settings.penalty > 0.0 {
            task.dream.floor = task.measure_floor(seed)?;
        }
        Ok((task, vars))
    }

    /// The mean re-encoding error of the first frame that the world dreams after a recorded context, under
    /// the recorded action.
    fn measure_floor(&mut self, seed: u64) -> Result<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let (mut sum, mut count) = (0.0, 0);
        for _ in 0..FLOOR_ROLLOUTS.div_ceil(self.settings.games) {
            let (clips, _) = self.contexts(&mut rng)?;
            let params = self.dream.params;
            let errors = self.batch.advance(|i, game| {
                // The last frame of the clip is dreamt instead.
                let clip = &clips[i];
                let len = game.world().image_len();
                let before = clip.frames().saturating_sub(1).max(1);
                let start = Clip {
                    images: clip.images[..before * len].to_vec(),
                    actions: clip.actions[..before].to_vec(),
                };
                game.reset(&start, &params)?;
                game.step_undrawn(clip.actions[clip.frames() - 1], &params)?;
                reencoding_error(game)
            })?;
            sum += errors.iter().sum::<f32>();
            count += errors.len();
        }
        Ok(sum / count.max(1) as f32)
    }

    /// A recorded context for each game, whose last frame does not end its episode; also the frames where
    /// they begin.
    fn contexts(&self, rng: &mut ChaCha8Rng) -> Result<(Vec<Clip>, Vec<usize>)> {
        let (mut clips, mut firsts) = (Vec::new(), Vec::new());
        while clips.len() < self.settings.games {
            let frame = rng.random_range(0..self.store.frames());
            let after = self.store.episodes.partition_point(|e| e.start <= frame);
            let episode = &self.store.episodes[after - 1];
            let t = frame - episode.start;
            if episode.ends[t] > 0.5 {
                continue;
            }
            let first = (t + 1).saturating_sub(self.context);
            clips.push(self.store.clip(episode, first..t + 1)?);
            firsts.push(episode.start + first);
        }
        Ok((clips, firsts))
    }

    /// Lets every game dream, and computes returns and advantages.
    fn dream(&mut self, clips: &[Clip], seeds: &[u64]) -> Result<Lesson> {
        let (agent, config, settings) = (&self.agent, &self.config, &self.settings);
        let (dream, len) = (self.dream, config.features.len());
        let dreamt = self.batch.advance(|i, game| {
            let mut rng = ChaCha8Rng::seed_from_u64(seeds[i]);
            let params = SamplerParams {
                seed: seeds[i],
                ..dream.params
            };
            game.reset(&clips[i], &params)?;
            let trajectory = imagine(game, agent, &Dream { params, ..dream }, &mut rng)?;
            let values = trajectory.features.chunks_exact(len);
            let values: Vec<f32> = values.map(|features| agent.value(features)).collect();
            Ok::<_, Error>((trajectory, values))
        })?;
        let mut lesson = Lesson {
            features: Vec::new(),
            actions: Vec::new(),
            returns: Vec::new(),
            advantages: Vec::new(),
            rewards: 0.0,
            penalties: 0.0,
            ended: 0,
        };
        for (trajectory, values) in &dreamt {
            lesson.add(
                trajectory,
                values,
                [config.discount, settings.lambda as f32],
            );
        }
        Ok(lesson)
    }
}

impl Learner {
    /// The loss of a lesson, and what is logged of it.
    fn losses(&self, lesson: &Lesson) -> Result<(Tensor, Vec<(&'static str, Tensor)>)> {
        let (n, config) = (lesson.actions.len(), &self.config);
        let shape = (n, config.features.len());
        let features = Tensor::from_slice(&lesson.features, shape, &Device::Cpu)?;
        // Those of the first distance.
        let first = |head: &Head| -> Result<Tensor> {
            Ok(head.forward(&features)?.narrow(1, 0, config.actions)?)
        };
        let prior = first(&self.prior)?;
        let weights = PmpoWeights {
            alpha: self.settings.alpha,
            beta: self.settings.beta,
        };
        let logits = first(&self.policy)?.contiguous()?;
        let (actions, advantages) = (&lesson.actions, &lesson.advantages);
        let policy = pmpo(&logits, &prior.contiguous()?, actions, advantages, weights)?;
        let values = self.value.forward(&features)?;
        let all = vec![1.0; n];
        let value = two_hot_loss(&values, &lesson.returns, &all, &config.value)?;
        let loss = (&policy.loss + &value)?;
        let scalar = |x: f32| Tensor::new(x, &Device::Cpu);
        let mean = |values: &[f32]| scalar(values.iter().sum::<f32>() / n as f32);
        let good = advantages.iter().filter(|a| **a >= 0.0).count();
        let metrics = vec![
            ("policy_loss", policy.loss.detach()),
            ("value_loss", value.detach()),
            ("divergence", policy.divergence.detach()),
            ("entropy", policy.entropy.detach()),
            ("imagined_return", mean(&lesson.returns)?),
            ("advantage", mean(advantages)?),
            ("good", scalar(good as f32 / n as f32)?),
            ("imagined_reward", scalar(lesson.rewards / n as f32)?),
            ("penalty", scalar(lesson.penalties / n as f32)?),
            (
                "ended",
                scalar(lesson.ended as f32 / self.settings.games as f32)?,
            ),
        ];
        Ok((loss, metrics))
    }
}

impl Lesson {
    /// Adds a rollout with the values of its frames.
    fn add(&mut self, trajectory: &Trajectory, values: &[f32], [discount, lambda]: [f32; 2]) {
        let n = trajectory.actions.len();
        let rewards: Vec<f32> = trajectory
            .rewards
            .iter()
            .zip(&trajectory.penalties)
            .map(|(reward, penalty)| reward - penalty)
            .collect();
        let returns = lambda_returns(&rewards, &trajectory.continues, values, discount, lambda);
        let len = trajectory.features.len() / (n + 1);
        self.features
            .extend_from_slice(&trajectory.features[..n * len]);
        self.actions.extend_from_slice(&trajectory.actions);
        self.advantages
            .extend(returns.iter().zip(values).map(|(r, v)| r - v));
        self.returns.extend(returns);
        self.rewards += trajectory.rewards.iter().sum::<f32>();
        self.penalties += trajectory.penalties.iter().sum::<f32>();
        self.ended += usize::from(trajectory.continues.last() == Some(&0.0));
    }
}

impl Task for ImaginationTask<'_> {
    fn stage(&self) -> TrainStage {
        TrainStage::Imagination
    }

    fn frames_per_step(&self, _step: u64) -> u64 {
        (self.settings.games * self.settings.horizon) as u64
    }

    fn before_step(&mut self, _step: u64, _optimizer: &mut Optimizer) -> Result<()> {
        let decay = self.settings.slow_decay;
        for (key, slow) in &mut self.slow {
            if let Some(var) = self.vars.get(key) {
                let new = (var.as_tensor().detach() * (1.0 - decay))?;
                *slow = ((&*slow * decay)? + new)?;
            }
        }
        let policy = self.vars.iter();
        let policy = policy.map(|(key, var)| (key.clone(), var.as_detached_tensor()));
        let policy: BTreeMap<String, Tensor> = policy.collect();
        self.agent
            .set_policy(PlainHead::new(&policy, name::POLICY)?);
        self.agent
            .set_value(PlainHead::new(&self.slow, name::VALUE)?);
        Ok(())
    }

    fn step(
        &mut self,
        _step: u64,
        rng: &mut ChaCha8Rng,
        _mean_squares: &mut BTreeMap<String, f64>,
    ) -> Result<StepOutput> {
        let started = std::time::Instant::now();
        let (clips, frames) = self.contexts(rng)?;
        let fetch_time = started.elapsed();
        let seeds: Vec<u64> = clips.iter().map(|_| rng.random()).collect();
        let lesson = self.dream(&clips, &seeds)?;
        let learner = &self.learner;
        let (loss, metrics, gradient) = self.thread.install(|| -> Result<_> {
            let (loss, metrics) = learner.losses(&lesson)?;
            let gradient = loss.backward()?;
            Ok((loss, metrics, gradient))
        })?;
        Ok(StepOutput {
            loss: f64::from(loss.to_scalar::<f32>()?),
            gradient: Gradient::PerTensor(gradient),
            metrics,
            batch: BatchReport {
                frames,
                fetch_time,
                errors: Vec::new(),
            },
        })
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        let slow = self.slow.iter();
        Ok(slow
            .map(|(key, tensor)| (format!("{SLOW}{key}"), tensor.clone()))
            .collect())
    }

    fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        for (key, slow) in &mut self.slow {
            match state.get(&format!("{SLOW}{key}")) {
                Some(saved) if saved.dims() == slow.dims() => *slow = saved.clone(),
                _ => return Err(Error::Shape(format!("'{SLOW}{key}' is missing"))),
            }
        }
        Ok(())
    }

    fn export(&self, _step: u64, optimizer: &Optimizer) -> Result<()> {
        let trained = optimizer.ema_weights();
        let all = with(&self.fixed, trained.iter());
        let path = self.layout.checkpoint().join(AGENT_WEIGHTS);
        Ok(write_tensors(&path, &all)?)
    }
}

/// Both sets of tensors.
fn with<'t>(
    fixed: &BTreeMap<String, Tensor>,
    others: impl Iterator<Item = (&'t String, &'t Tensor)>,
) -> BTreeMap<String, Tensor> {
    let mut all = fixed.clone();
    all.extend(others.map(|(key, tensor)| (key.clone(), tensor.detach())));
    all
}

/// Copies of the parameters of the value.
fn slow_of(vars: &BTreeMap<String, Var>) -> Result<BTreeMap<String, Tensor>> {
    let of_value = vars.iter().filter(|(key, _)| key.starts_with(name::VALUE));
    of_value
        .map(|(key, var)| Ok((key.clone(), var.as_tensor().copy()?.detach())))
        .collect()
}

fn read(path: &Path) -> Result<BTreeMap<String, Tensor>> {
    let bytes = driftless_data::fs::read_source(path, u64::MAX)?;
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| Error::invalid(path, format!("not a valid safetensors file ({e})")))?;
    Ok(tensors.into_iter().collect())
}
