//! How far a dream has drifted from what the tokenizer knows, frame by frame.

use super::Engine;
use crate::Result;

/// Root mean square of the differences between the numbers of two latents; 0 of empty ones.
pub fn latent_difference(a: &[f32], b: &[f32]) -> f64 {
    let count = a.len().min(b.len()).max(1);
    let squares = a.iter().zip(b).map(|(a, b)| f64::from(a - b).powi(2));
    (squares.sum::<f64>() / count as f64).sqrt()
}

/// The re-encoding error of the last frame: how far the tokenizer takes its picture from the latent that
/// it was drawn from, as [`latent_difference`] over standardised latents.
///
/// Without a truth to compare with, it tells whether pictures are still such as the tokenizer learned:
/// in a dream that falls apart it grows. 0 of a starting frame, whose latent is its picture's.
/// What real frames cost, which is the least to expect, `driftless eval` reports. It costs one encoding.
///
/// # Errors
/// The device failed.
pub fn reencoding_error(engine: &mut dyn Engine) -> Result<f32> {
    let image = engine.image()?.to_vec();
    let again = engine.encode(&image)?;
    Ok(latent_difference(engine.latent()?, &again) as f32)
}
