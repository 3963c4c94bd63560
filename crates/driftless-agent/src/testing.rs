//! Agents that have learned nothing, for the tests of crates above this one.

#![allow(clippy::unwrap_used, reason = "a failure fails the test")]

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use driftless_model::config::WorldConfig;

use crate::agent::HEADS;
use crate::config::FORMAT_VERSION;
use crate::network::{name, seeded};
use crate::{Agent, AgentConfig, FeatureShape, Pooling, TwoHot};

/// Small heads for a world.
pub fn config(world: &WorldConfig) -> AgentConfig {
    AgentConfig {
        format: FORMAT_VERSION,
        features: FeatureShape::of_world(world, Pooling::Mean),
        actions: world.actions.len(),
        hidden: 16,
        distances: 3,
        reward: TwoHot {
            bins: 11,
            limit: 2.0,
        },
        value: TwoHot {
            bins: 21,
            limit: 20.0,
        },
        discount: 0.99,
        horizon: 0,
    }
}

/// Random weights of [`config`]'s heads, as a file has them. Features of mean ¼ and deviation 2 are standard.
pub fn tensors(config: &AgentConfig, seed: u64) -> BTreeMap<String, Tensor> {
    let (_, vars) = seeded(config, HEADS, seed).unwrap();
    let vars = vars.into_iter();
    let mut tensors: BTreeMap<String, Tensor> = vars
        .map(|(name, var)| (name, var.as_detached_tensor()))
        .collect();
    for (name, value) in [(name::MEAN, 0.25_f32), (name::STD, 2.0)] {
        let tensor = Tensor::full(value, config.features.len(), &Device::Cpu).unwrap();
        tensors.insert(name.into(), tensor);
    }
    tensors
}

/// An agent of a world.
pub fn agent(world: &WorldConfig, seed: u64) -> Agent {
    let config = config(world);
    Agent::new(&config, &tensors(&config, seed)).unwrap()
}
