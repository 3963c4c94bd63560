//! The first phase: heads on the features of recorded frames.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::{D, Device, Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rayon::ThreadPool;

use driftless_agent::AgentConfig;
use driftless_agent::config::AGENT_WEIGHTS;
use driftless_agent::network::{Head, name, seeded};
use driftless_agent::objective::{binary_loss, cloning_loss, two_hot_loss};
use driftless_model::checkpoint::write_tensors;

use super::AgentSettings;
use super::alone::one_thread;
use super::features::FeatureStore;
use crate::frame_store::FrameStore;
use crate::log::LOG_EVERY;
use crate::optimizer::Optimizer;
use crate::task::{BatchReport, Gradient, StepOutput, Task};
use crate::{Error, Result, RunLayout, TrainStage};

/// Frames that the held-out measures are taken on.
const MEASURED: usize = 512;

/// The heads of this phase, in the order of [`CloningTask::heads`].
const HEADS: [&str; 4] = [name::CLONED, name::REWARD, name::CONTINUE, name::VALUE];

/// The training of the cloned policy, of reward and continuation, and of the value of recorded play.
pub(super) struct CloningTask<'a> {
    layout: &'a RunLayout,
    data: RecordedFrames<'a>,
    config: AgentConfig,
    heads: [Head; 4],
    batch_size: usize,
    thread: ThreadPool,
}

/// Recorded frames with their features, some of which are not trained on.
#[derive(Clone, Copy)]
pub(super) struct RecordedFrames<'a> {
    pub store: &'a FrameStore,
    pub features: &'a FeatureStore,
    /// Of every episode: returns and their weights, see [`driftless_agent::objective::recorded_returns`].
    pub returns: &'a [(Vec<f32>, Vec<f32>)],
    /// Episodes from this one on are only measured on.
    pub trained_episodes: usize,
}

/// Features of frames, and what the heads should say of them.
struct Frames {
    features: Tensor,
    /// `[N, distances]`, with weight 0 past the end of the episode.
    actions: Vec<u32>,
    action_weights: Vec<f32>,
    rewards: Vec<f32>,
    continues: Vec<f32>,
    /// Returns of the recorded play, with weight 0 where they are not known.
    returns: Vec<f32>,
    return_weights: Vec<f32>,
}

impl RecordedFrames<'_> {
    /// First frame that is only measured on.
    fn trained_frames(&self) -> usize {
        let first = self.store.episodes.get(self.trained_episodes);
        first.map_or(self.store.frames(), |episode| episode.start)
    }

    /// What is known of these frames.
    fn read(&self, config: &AgentConfig, frames: &[usize]) -> Result<Frames> {
        let (distances, len) = (config.distances, config.features.len());
        let (mut actions, mut action_weights) = (Vec::new(), Vec::new());
        let (mut rewards, mut continues) = (Vec::new(), Vec::new());
        let (mut returns, mut return_weights) = (Vec::new(), Vec::new());
        let mut features = Vec::with_capacity(frames.len() * len);
        let mut scratch = Vec::new();
        for &frame in frames {
            self.features.read(frame, &mut scratch, &mut features)?;
            let after = self.store.episodes.partition_point(|e| e.start <= frame);
            let episode = &self.store.episodes[after - 1];
            let t = frame - episode.start;
            for distance in 0..distances {
                // `action[t]` led to frame t: the first that the policy chooses is the one after it.
                let action = episode.actions.get(t + 1 + distance);
                actions.push(action.map_or(0, |action| action.index));
                action_weights.push(if action.is_some() { 1.0 } else { 0.0 });
            }
            rewards.push(episode.rewards[t]);
            continues.push(1.0 - episode.ends[t]);
            let (of_episode, weights) = &self.returns[after - 1];
            returns.push(of_episode[t]);
            return_weights.push(weights[t]);
        }
        self.features.standardize(&mut features);
        Ok(Frames {
            features: Tensor::from_vec(features, (frames.len(), len), &Device::Cpu)?,
            actions,
            action_weights,
            rewards,
            continues,
            returns,
            return_weights,
        })
    }
}

impl<'a> CloningTask<'a> {
    /// New heads; also their parameters.
    ///
    /// # Errors
    /// Returns an error if there is nothing to train on.
    pub fn new(
        layout: &'a RunLayout,
        settings: &AgentSettings,
        config: &AgentConfig,
        data: RecordedFrames<'a>,
    ) -> Result<(Self, BTreeMap<String, Var>)> {
        if data.trained_frames() == 0 {
            return Err(Error::Episodes("there is no episode to train on".into()));
        }
        let (heads, vars) = seeded(config, HEADS, settings.seed)?;
        let task = Self {
            layout,
            data,
            config: config.clone(),
            heads,
            batch_size: settings.cloning.batch_size,
            thread: one_thread()?,
        };
        Ok((task, vars))
    }

    /// Losses of policy, reward, continuation and value, and the share of next actions that the policy finds
    /// likeliest.
    fn losses(&self, frames: &Frames) -> Result<([Tensor; 4], Tensor)> {
        let [policy, reward, goes_on, value] = &self.heads;
        let (config, n) = (&self.config, frames.rewards.len());
        let logits = policy.forward(&frames.features)?;
        let logits = logits.reshape((n, config.distances, config.actions))?;
        let cloning = cloning_loss(&logits, &frames.actions, &frames.action_weights)?;
        let rewards = reward.forward(&frames.features)?;
        let all = vec![1.0; n];
        let rewards = two_hot_loss(&rewards, &frames.rewards, &all, &config.reward)?;
        let values = value.forward(&frames.features)?;
        let (returns, known) = (&frames.returns, &frames.return_weights);
        let values = two_hot_loss(&values, returns, known, &config.value)?;
        let ends = goes_on.forward(&frames.features)?;
        let ends = binary_loss(&ends, &frames.continues, &all)?;
        let first: Vec<u32> = frames
            .actions
            .iter()
            .copied()
            .step_by(config.distances)
            .collect();
        let first = Tensor::from_vec(first, n, &Device::Cpu)?;
        let likeliest = logits.narrow(1, 0, 1)?.squeeze(1)?.argmax(D::Minus1)?;
        let right = likeliest
            .eq(&first)?
            .to_dtype(candle_core::DType::F32)?
            .mean_all()?;
        Ok(([cloning, rewards, ends, values], right))
    }

    /// Losses on episodes that are not trained on, for the log.
    fn held_out(&self) -> Result<Vec<(&'static str, Tensor)>> {
        let (from, to) = (self.data.trained_frames(), self.data.store.frames());
        if from == to {
            return Ok(Vec::new());
        }
        let count = MEASURED.min(to - from);
        let frames: Vec<usize> = (0..count).map(|i| from + i * (to - from) / count).collect();
        let frames = self.data.read(&self.config, &frames)?;
        let (losses, right) = self.thread.install(|| self.losses(&frames))?;
        let [cloning, reward, ends, value] = losses.map(|loss| loss.detach());
        Ok(vec![
            ("held_out_cloning", cloning),
            ("held_out_reward", reward),
            ("held_out_continue", ends),
            ("held_out_value", value),
            ("held_out_right", right),
        ])
    }
}

impl Task for CloningTask<'_> {
    fn stage(&self) -> TrainStage {
        TrainStage::Cloning
    }

    fn frames_per_step(&self, _step: u64) -> u64 {
        self.batch_size as u64
    }

    fn step(
        &mut self,
        step: u64,
        rng: &mut ChaCha8Rng,
        _mean_squares: &mut BTreeMap<String, f64>,
    ) -> Result<StepOutput> {
        let started = Instant::now();
        let total = self.data.trained_frames();
        let drawn: Vec<usize> = (0..self.batch_size)
            .map(|_| rng.random_range(0..total))
            .collect();
        let frames = self.data.read(&self.config, &drawn)?;
        let fetch_time = started.elapsed();
        let (losses, loss, right, gradient) = self.thread.install(|| -> Result<_> {
            let (losses, right) = self.losses(&frames)?;
            let [cloning, reward, ends, value] = &losses;
            // No head shares a parameter with another.
            let loss = (((cloning + reward)? + ends)? + value)?;
            let gradient = loss.backward()?;
            Ok((losses, loss.detach(), right, gradient))
        })?;
        let [cloning, reward, ends, value] = losses.map(|loss| loss.detach());
        let mut metrics = vec![
            ("cloning", cloning),
            ("reward", reward),
            ("continue", ends),
            ("value", value),
            ("right", right),
        ];
        if step.is_multiple_of(LOG_EVERY) {
            metrics.extend(self.held_out()?);
        }
        Ok(StepOutput {
            loss: f64::from(loss.to_scalar::<f32>()?),
            gradient: Gradient::PerTensor(gradient),
            metrics,
            batch: BatchReport {
                frames: drawn,
                fetch_time,
                errors: Vec::new(),
            },
        })
    }

    /// Until it dreams, the agent plays by the cloned policy.
    fn export(&self, _step: u64, optimizer: &Optimizer) -> Result<()> {
        let mut tensors = optimizer.ema_weights();
        let cloned: Vec<(String, Tensor)> = tensors
            .iter()
            .filter_map(|(key, tensor)| {
                let rest = key.strip_prefix(name::CLONED)?;
                Some((format!("{}{rest}", name::POLICY), tensor.clone()))
            })
            .collect();
        tensors.extend(cloned);
        let statistics = [
            (name::MEAN, &self.data.features.mean),
            (name::STD, &self.data.features.std),
        ];
        for (key, values) in statistics {
            let tensor = Tensor::from_slice(values, values.len(), &Device::Cpu)?;
            tensors.insert(key.to_owned(), tensor);
        }
        let path = self.layout.checkpoint().join(AGENT_WEIGHTS);
        Ok(write_tensors(&path, &tensors)?)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use driftless_agent::{FeatureShape, Pooling, TwoHot};
    use driftless_data::{DatasetInfo, Episode, ExtraArray};

    use super::*;

    /// An episode of 1×1 pixels whose action t is 10 e + t, and whose reward t is −t; it ends if `ends`.
    fn episode(e: u32, frames: usize, ends: bool) -> Episode {
        let t = 0..frames as u32;
        let mut terminal = vec![0.0; frames];
        terminal[frames - 1] = if ends { 1.0 } else { 0.0 };
        let end = ExtraArray {
            shape: vec![frames],
            values: terminal,
        };
        Episode {
            height: 1,
            width: 1,
            images: vec![0; 3 * frames],
            actions: t.clone().map(|t| 10 * e + t).collect(),
            rewards: t.map(|t| -(t as f32)).collect(),
            extras: [("is_terminal".to_owned(), end)].into(),
        }
    }

    /// Frame t has seen action t: cloning must ask for action t + 1. Reward and end are those of frame t.
    #[test]
    fn heads_learn_the_next_action_and_this_reward() {
        let info = DatasetInfo {
            name: "test".into(),
            fps: 1.0,
            image: [1, 1],
            actions: Vec::new(),
            axes: Vec::new(),
        };
        let mut store = FrameStore::new(info, Path::new("unused"), u64::MAX);
        for (e, frames) in [(0, 3), (1, 4)] {
            let path = format!("episode_{e}.npz");
            store
                .push(&episode(e, frames, e == 1), Path::new(&path))
                .unwrap();
        }
        let bins = TwoHot {
            bins: 3,
            limit: 1.0,
        };
        let config = AgentConfig {
            format: 1,
            features: FeatureShape {
                latent_tokens: 0,
                registers: 0,
                width: 1,
                pooling: Pooling::All,
            },
            actions: 20,
            hidden: 1,
            distances: 2,
            reward: bins,
            value: bins,
            discount: 0.9,
            horizon: 0,
        };
        let features = FeatureStore::counting(7);
        let data = RecordedFrames {
            store: &store,
            features: &features,
            returns: &[
                (vec![1.0, 2.0, 3.0], vec![1.0; 3]),
                (vec![4.0; 4], vec![0.5; 4]),
            ],
            trained_episodes: 1,
        };
        assert_eq!(data.trained_frames(), 3);
        let frames = data.read(&config, &[0, 1, 2, 4, 6]).unwrap();
        let seen = frames.features.flatten_all().unwrap().to_vec1::<f32>();
        assert_eq!(seen.unwrap(), [0.0, 1.0, 2.0, 4.0, 6.0]);
        assert_eq!(frames.actions, [1, 2, 2, 0, 0, 0, 12, 13, 0, 0]);
        let weights = [1.0, 1.0, 1.0, 0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0];
        assert_eq!(frames.action_weights, weights);
        assert_eq!(frames.rewards, [0.0, -1.0, -2.0, -1.0, -3.0]);
        assert_eq!(frames.continues, [1.0, 1.0, 1.0, 1.0, 0.0]);
        assert_eq!(frames.returns, [1.0, 2.0, 3.0, 4.0, 4.0]);
        assert_eq!(frames.return_weights, [1.0, 1.0, 1.0, 0.5, 0.5]);
    }
}
