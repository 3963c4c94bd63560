//! Re-encoding error: how far a generated frame has drifted from what the tokenizer can represent.

use super::Sampler;
use crate::Result;

/// Root mean square difference between two latents; 0 if they are empty.
pub fn latent_difference(a: &[f32], b: &[f32]) -> f64 {
    let count = a.len().min(b.len()).max(1);
    let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
    (squares.sum::<f64>() / count as f64).sqrt()
}

/// Re-encoding error of the last frame: the [`latent_difference`] between its latent and the encoding of
/// its image.
///
/// It needs no ground truth and grows when a rollout degrades. It is 0 for a context frame, whose latent
/// is the encoding of its image. `driftless eval` reports the values of real frames, which are the floor.
/// Costs one encoding. Returns an error if the device fails.
pub fn reencoding_error(engine: &mut Sampler) -> Result<f32> {
    let image = engine.image()?.to_vec();
    let reencoded = engine.encode(&image)?;
    Ok(latent_difference(engine.latent()?, &reencoded) as f32)
}
