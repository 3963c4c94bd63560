//! Frames given those before them: the earlier ones run once, any number of passes follow.

use candle_core::Tensor;

use super::attention::{Pattern, attention};
use super::dynamics::{Dynamics, DynamicsInput};
use crate::Result;

impl Dynamics {
    /// What [`Dynamics::forward`] predicts of the frames of `input` [B, F], each of which sees
    /// itself, those of `input` before it, and the `earlier` frames.
    ///
    /// `earlier` holds for every layer that attends over time the queries, keys and values of the
    /// frames before, [B, E, S, 3·w]; empty where there are none. Those of the frames of `input`
    /// come back beside the prediction [B, F, gh, gw, c].
    ///
    /// # Errors
    /// The shapes do not fit, or the device failed.
    pub fn forward_after(
        &self,
        input: &DynamicsInput,
        earlier: &[Tensor],
    ) -> Result<(Tensor, Vec<Tensor>)> {
        let f = input.actions.dim(1)?;
        let (seen, cells, mut x) = self.stem(input)?;
        let mut own = Vec::new();
        for layer in &self.layers {
            x = layer.space.forward(&x, Pattern::Space)?;
            if let Some(time) = &layer.time {
                let qkv = time.qkv.forward(&time.norm.forward(&x)?)?;
                let all = match earlier.get(own.len()) {
                    Some(earlier) => Tensor::cat(&[earlier, &qkv], 1)?,
                    None => qkv.clone(),
                };
                let frames = all.dim(1)?;
                let y = attention(&all, &time.parameters, self.time(frames))?;
                let y = y.narrow(1, frames - f, f)?.contiguous()?;
                x = (x + time.out.forward(&y)?)?;
                own.push(qkv);
            }
            x = layer.mlp.forward(&x)?;
        }
        Ok((self.head(&seen, &cells, &x)?, own))
    }
}
