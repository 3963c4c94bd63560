//! The heads as tensors, to be trained.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor, Var};
use candle_nn::ops::silu;

use driftless_model::layers::{Linear, RmsNorm};
use driftless_model::params::{Init, Params};

use crate::{AgentConfig, Result};

/// Names of the heads in `agent.safetensors`.
pub mod name {
    /// The policy that plays, trained in the dream.
    pub const POLICY: &str = "policy";
    /// The policy that clones recorded play, from which [`POLICY`] began.
    pub const CLONED: &str = "cloned";
    /// The reward that came with a frame.
    pub const REWARD: &str = "reward";
    /// Whether the episode goes on after a frame.
    pub const CONTINUE: &str = "continue";
    /// The return after a frame.
    pub const VALUE: &str = "value";
    /// Mean of every feature over the training data, `[F]`.
    pub const MEAN: &str = "features.mean";
    /// Standard deviation of every feature over the training data, `[F]`.
    pub const STD: &str = "features.std";
}

/// What a head begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastLayer {
    /// Random weights.
    Random,
    /// Zeros: all outputs are equal.
    Zero,
}

/// A head: two hidden layers with SiLU and RMSNorm, then a linear one.
pub struct Head {
    layers: [(Linear, RmsNorm); 2],
    out: Linear,
}

impl Head {
    /// Creates the parameters `{name}.up1`, `.norm1`, `.up2`, `.norm2` and `.out`; `size` is
    /// `[inputs, hidden, outputs]`.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(p: &Params, name: &str, size: [usize; 3], last: LastLayer) -> Result<Self> {
        let [inputs, hidden, outputs] = size;
        let layer = |i: usize, inputs: usize| -> Result<(Linear, RmsNorm)> {
            let up = format!("{name}.up{i}");
            let norm = format!("{name}.norm{i}");
            Ok((
                Linear::new(p, &up, [hidden, inputs], Init::FanIn, true)?,
                RmsNorm::new(p, &norm, hidden)?,
            ))
        };
        let init = match last {
            LastLayer::Random => Init::FanIn,
            LastLayer::Zero => Init::Constant(0.0),
        };
        Ok(Self {
            layers: [layer(1, inputs)?, layer(2, hidden)?],
            out: Linear::new(p, &format!("{name}.out"), [outputs, hidden], init, true)?,
        })
    }

    /// Maps standardized features `[N, F]` to `[N, outputs]`.
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn forward(&self, features: &Tensor) -> Result<Tensor> {
        let mut x = features.clone();
        for (up, norm) in &self.layers {
            x = norm.forward(&silu(&up.forward(&x)?)?)?;
        }
        Ok(self.out.forward(&x)?)
    }
}

/// Sizes of a head `[inputs, hidden, outputs]`, by its name in the file.
pub fn size(config: &AgentConfig, name: &str) -> [usize; 3] {
    let outputs = match name {
        name::REWARD => config.reward.bins,
        name::CONTINUE => 1,
        name::VALUE => config.value.bins,
        _ => config.distances * config.actions,
    };
    [config.features.len(), config.hidden, outputs]
}

/// New heads of these names with their parameters, from a seed. The value begins at 0 everywhere.
///
/// # Errors
/// Returns an error if the device fails.
pub fn seeded<const N: usize>(
    config: &AgentConfig,
    names: [&str; N],
    seed: u64,
) -> Result<([Head; N], BTreeMap<String, Var>)> {
    let params = Params::seeded(seed, &Device::Cpu);
    let heads = names.map(|name| {
        let last = match name {
            name::VALUE => LastLayer::Zero,
            _ => LastLayer::Random,
        };
        Head::new(&params, name, size(config, name), last)
    });
    let mut built = Vec::with_capacity(N);
    for head in heads {
        built.push(head?);
    }
    let heads = <[Head; N]>::try_from(built)
        .map_err(|_| candle_core::Error::Msg("another number of heads than of names".to_owned()))?;
    Ok((heads, params.finish()?))
}
