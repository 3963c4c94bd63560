//! A forward pass that reuses the cached keys and values of earlier frames.

use candle_core::Tensor;

use super::attention::{AttentionPattern, attention};
use super::dynamics::{Dynamics, DynamicsInput};
use crate::Result;

impl Dynamics {
    /// Predicts the frames of `input` [B, F]. Each attends to itself, to the frames of `input`
    /// before it, and to the `cached` frames.
    ///
    /// `cached` holds the queries, keys and values of the earlier frames, [B, E, S, 3·w], one
    /// tensor per layer with time attention; it is empty if there are no earlier frames. Returns
    /// the prediction [B, F, gh, gw, c] and the queries, keys and values of the frames of `input`,
    /// in the same form.
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn cached_forward(
        &self,
        input: &DynamicsInput,
        cached: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let f = input.actions.dim(1)?;
        let (latents, cells, mut x) = self.stem(input)?;
        let memory = self.memory_tokens(input.memory.as_ref())?;
        let mut new_qkv = Vec::new();
        for layer in &self.layers {
            x = layer.space.forward(&x, AttentionPattern::Space)?;
            if let Some(time) = &layer.time {
                let qkv = time.qkv.forward(&time.norm.forward(&x)?)?;
                let all = match cached.get(new_qkv.len()) {
                    Some(cached) => Tensor::cat(&[cached, &qkv], 1)?,
                    None => qkv.clone(),
                };
                let frames = all.dim(1)?;
                let y = attention(&all, &time.parameters, self.time_pattern(frames))?;
                let y = y.narrow(1, frames - f, f)?.contiguous()?;
                x = (x + time.out.forward(&y)?)?;
                new_qkv.push(qkv);
            }
            if let (Some(recall), Some(memory)) = (&layer.recall, &memory) {
                x = recall.forward(&x, memory)?;
            }
            x = layer.mlp.forward(&x)?;
        }
        Ok((self.head(&latents, &cells, &x)?, new_qkv))
    }
}
