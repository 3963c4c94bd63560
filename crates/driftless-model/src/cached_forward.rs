//! A forward pass that reuses what earlier frames left: cached keys and values, and states.

use candle_core::Tensor;

use super::attention::{AttentionPattern, attention};
use super::dynamics::{Dynamics, DynamicsInput};
use crate::Result;

/// What earlier frames left in a network: empty lists before the first frame.
#[derive(Clone, Debug, Default)]
pub struct CachedFrames {
    /// Queries, keys and values of the E earlier frames in the window, [B, E, S, 3·w], for each layer with
    /// time attention.
    pub qkv: Vec<Tensor>,
    /// For each layer of a network with a delta state, its state, [B, S, heads, d, d].
    pub states: Vec<Tensor>,
}

/// What new frames add.
#[derive(Clone, Debug, Default)]
pub struct NewFrames {
    /// Queries, keys and values of the F frames, [B, F, S, 3·w], for each layer with time attention.
    pub qkv: Vec<Tensor>,
    /// The states after each frame, [B, F, S, heads, d, d].
    pub states: Vec<Tensor>,
}

impl Dynamics {
    /// Predicts the frames of `input` [B, F]. Each attends to itself, to the frames of `input`
    /// before it, and to the `cached` frames. Returns the prediction [B, F, gh, gw, c] and what the
    /// frames of `input` add to the cache.
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn cached_forward(
        &self,
        input: &DynamicsInput,
        cached: &CachedFrames,
    ) -> Result<(Tensor, NewFrames)> {
        let f = input.actions.indices.dim(1)?;
        let (latents, cells, mut x) = self.stem(input)?;
        let memory = self.memory_tokens(input.memory.as_ref())?;
        let mut new = NewFrames::default();
        for layer in &self.layers {
            x = layer.space.forward(&x, AttentionPattern::Space)?;
            if let Some(delta) = &layer.delta {
                let (y, states) = delta.forward(&x, f, cached.states.get(new.states.len()))?;
                x = y;
                new.states.push(states);
            }
            if let Some(time) = &layer.time {
                let qkv = time.qkv.forward(&time.norm.forward(&x)?)?;
                let all = match cached.qkv.get(new.qkv.len()) {
                    Some(cached) => Tensor::cat(&[cached, &qkv], 1)?,
                    None => qkv.clone(),
                };
                let frames = all.dim(1)?;
                let y = attention(&all, &time.parameters, self.time_pattern(frames))?;
                let y = y.narrow(1, frames - f, f)?.contiguous()?;
                x = (x + time.out.forward(&y)?)?;
                new.qkv.push(qkv);
            }
            if let (Some(recall), Some(memory)) = (&layer.recall, &memory) {
                x = recall.forward(&x, memory)?;
            }
            x = layer.mlp.forward(&x)?;
        }
        Ok((self.head(&latents, &cells, &x)?, new))
    }
}
