//! The delta states of a sampler's network.

use super::Sampler;
use crate::{Error, Result};

impl Sampler {
    /// The delta states, `[time layers, tokens, heads, keys, values]`; empty if the world has none.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn delta_states(&self) -> Result<Vec<f32>> {
        let len = self.world.delta_state_len();
        if len == 0 {
            return Ok(Vec::new());
        }
        let mut cache = vec![0.0; self.cache_len];
        self.network.save_cache(&mut cache)?;
        Ok(cache.split_off(self.cache_len - len))
    }

    /// Replaces [`Sampler::delta_states`]. For experiments.
    ///
    /// # Errors
    /// Returns an error if their number is another, or if the device fails.
    pub fn set_delta_states(&mut self, states: &[f32]) -> Result<()> {
        let len = self.world.delta_state_len();
        if states.len() != len {
            return Err(Error::Shape(format!(
                "{} numbers for the delta states, expected {len}",
                states.len()
            )));
        }
        let mut cache = vec![0.0; self.cache_len];
        self.network.save_cache(&mut cache)?;
        cache[self.cache_len - len..].copy_from_slice(states);
        self.network.load_cache(&cache)
    }

    /// The norm of the delta states, root mean square over the tokens: a row for each layer that has them, a
    /// number for each head. `None` if the world has none.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn delta_state_norms(&self) -> Result<Option<Vec<Vec<f32>>>> {
        let states = self.delta_states()?;
        if states.is_empty() {
            return Ok(None);
        }
        let d = &self.world.dynamics;
        let (tokens, head) = (self.world.tokens(), d.width / d.heads);
        let layer = |states: &[f32]| -> Vec<f32> {
            let mut squares = vec![0.0; d.heads];
            for (i, state) in states.chunks_exact(head * head).enumerate() {
                squares[i % d.heads] += state.iter().map(|x| x * x).sum::<f32>();
            }
            let norms = squares.iter().map(|sum| (sum / tokens as f32).sqrt());
            norms.collect()
        };
        let layers = states.chunks_exact(tokens * d.width * head);
        Ok(Some(layers.map(layer).collect()))
    }
}
