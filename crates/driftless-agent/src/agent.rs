//! An agent that plays: from the tokens of a frame to the next action.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use rand::Rng;

use driftless_data::PathError as _;
use driftless_engine::Sampler;
use driftless_model::config::WorldConfig;
use driftless_model::params::{Init, Params};

use crate::config::{AGENT_CONFIG, AGENT_WEIGHTS};
use crate::network::{Head, LastLayer, name, size};
use crate::plain::{PlainHead, softmax, tensor};
use crate::{AgentConfig, Error, Result};

/// The heads of `agent.safetensors`.
pub(crate) const HEADS: [&str; 5] = [
    name::POLICY,
    name::CLONED,
    name::REWARD,
    name::CONTINUE,
    name::VALUE,
];

/// Which policy plays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AgentPolicy {
    /// The one that was trained in the dream.
    #[default]
    Trained,
    /// The one that clones recorded play.
    Cloned,
}

/// What an agent thinks of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// The action that it drew.
    pub action: u32,
    /// The probability of every action.
    pub probabilities: Vec<f32>,
    /// The discounted return that it expects from here on.
    pub value: f32,
}

/// An agent of a world, ready to play.
#[derive(Clone)]
pub struct Agent {
    config: AgentConfig,
    mean: Vec<f32>,
    scale: Vec<f32>,
    trained: PlainHead,
    cloned: PlainHead,
    reward: PlainHead,
    goes_on: PlainHead,
    value: PlainHead,
}

impl Agent {
    /// Whether a checkpoint folder has an agent.
    pub fn is_in(folder: &Path) -> bool {
        [AGENT_CONFIG, AGENT_WEIGHTS]
            .iter()
            .all(|file| folder.join(file).is_file())
    }

    /// Reads the agent of a world from its checkpoint folder.
    ///
    /// # Errors
    /// Returns an error if a file is missing or damaged, or if the agent is of another world.
    pub fn read(folder: &Path, world: &WorldConfig) -> Result<Self> {
        let config = AgentConfig::read(folder)?;
        config.check_world(world, folder)?;
        Self::new(&config, &read_tensors(folder, &config)?)
    }

    /// An agent with the tensors of `agent.safetensors`.
    ///
    /// # Errors
    /// Returns an error if one is missing or has another rank.
    pub fn new(config: &AgentConfig, tensors: &BTreeMap<String, Tensor>) -> Result<Self> {
        let head = |name: &str| PlainHead::new(tensors, name);
        let std = tensor(tensors, name::STD)?.to_vec1::<f32>()?;
        Ok(Self {
            mean: tensor(tensors, name::MEAN)?.to_vec1()?,
            scale: std.into_iter().map(scale_of).collect(),
            trained: head(name::POLICY)?,
            cloned: head(name::CLONED)?,
            reward: head(name::REWARD)?,
            goes_on: head(name::CONTINUE)?,
            value: head(name::VALUE)?,
            config: config.clone(),
        })
    }

    /// What is known of it.
    pub fn config(&self) -> &AgentConfig {
        &self.config
    }

    /// Replaces the policy that was trained in the dream.
    pub fn set_policy(&mut self, policy: PlainHead) {
        self.trained = policy;
    }

    /// Replaces the value.
    pub fn set_value(&mut self, value: PlainHead) {
        self.value = value;
    }

    /// Lets `sampler` tell what its agent sees, from the next frame on.
    ///
    /// # Errors
    /// Returns an error if the backend cannot; the CPU engine can.
    pub fn attach(sampler: &mut Sampler) -> Result<()> {
        Ok(sampler.record_tokens(true)?)
    }

    /// Standardized features of the last frame of a sampler, `[F]`.
    ///
    /// # Errors
    /// Returns an error if the sampler has made no frame since [`Agent::attach`].
    pub fn features(&self, sampler: &mut Sampler) -> Result<Vec<f32>> {
        let mut features = Vec::with_capacity(self.mean.len());
        let tokens = sampler.tokens().unwrap_or_default();
        if !self.config.features.read(tokens, &mut features) {
            return Err(Error::NoFrame(
                "the sampler has no frame that an agent could see: attach the agent, then reset"
                    .into(),
            ));
        }
        self.standardize(&mut features);
        Ok(features)
    }

    /// Standardizes features `[N, F]`.
    pub fn standardize(&self, features: &mut [f32]) {
        for row in features.chunks_exact_mut(self.mean.len()) {
            for ((x, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *x = (*x - mean) * scale;
            }
        }
    }

    /// The probability of every next action.
    pub fn probabilities(&self, features: &[f32], policy: AgentPolicy) -> Vec<f32> {
        let head = match policy {
            AgentPolicy::Trained => &self.trained,
            AgentPolicy::Cloned => &self.cloned,
        };
        // Those of the first distance.
        softmax(&head.apply(features)[..self.config.actions])
    }

    /// The expected discounted return after a frame.
    pub fn value(&self, features: &[f32]) -> f32 {
        self.config.value.mean(&self.value.apply(features))
    }

    /// The expected reward that came with a frame.
    pub fn reward(&self, features: &[f32]) -> f32 {
        self.config.reward.mean(&self.reward.apply(features))
    }

    /// Probability that the episode goes on after a frame.
    pub fn continues(&self, features: &[f32]) -> f32 {
        let logit = self.goes_on.apply(features).first().copied().unwrap_or(0.0);
        1.0 / (1.0 + (-logit).exp())
    }
}

/// The factor that standardizes a feature of this standard deviation; 0 if it is constant.
pub fn scale_of(std: f32) -> f32 {
    if std > 1e-6 { std.recip() } else { 0.0 }
}

/// The tensors of an agent, checked against its configuration.
fn read_tensors(folder: &Path, config: &AgentConfig) -> Result<BTreeMap<String, Tensor>> {
    let path = folder.join(AGENT_WEIGHTS);
    let bytes = driftless_data::fs::read_source(&path, u64::MAX)?;
    let stored = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)
        .map_err(|e| driftless_data::Error::invalid(&path, e.to_string()))?;
    // Shipped agents are stored in half precision.
    let single = |(name, tensor): (String, Tensor)| Ok((name, tensor.to_dtype(DType::F32)?));
    let tensors = stored.into_iter().map(single);
    let tensors: HashMap<String, Tensor> = tensors.collect::<Result<_>>()?;
    let params = Params::from_tensors(&path, tensors.clone(), &Device::Cpu);
    for head in HEADS {
        Head::new(&params, head, size(config, head), LastLayer::Random)?;
    }
    for statistic in [name::MEAN, name::STD] {
        params.get(statistic, &[config.features.len()], Init::Constant(0.0))?;
    }
    params.finish()?;
    Ok(tensors.into_iter().collect())
}

/// Draws an index with these probabilities.
pub(crate) fn draw(probabilities: &[f32], rng: &mut impl Rng) -> u32 {
    let mut rest: f32 = rng.random();
    for (i, p) in probabilities.iter().enumerate() {
        rest -= p;
        if rest < 0.0 {
            return i as u32;
        }
    }
    probabilities.len().saturating_sub(1) as u32
}

#[cfg(test)]
#[path = "agent_tests.rs"]
mod tests;
