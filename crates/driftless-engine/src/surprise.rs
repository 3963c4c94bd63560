//! Surprise: the network's prediction error on a given frame, from a single pass.

use super::denoise::Denoiser;
use super::drift::latent_difference;
use super::noise;
use super::noise::NoisePurpose;
use crate::Result;

/// Signal level at which the given frame is noised.
const SIGNAL_LEVEL: f64 = 0.5;

impl Denoiser<'_> {
    /// ‖x̂(z_τ, τ) − x‖² / len at τ = ½ for the latent `x` of a given frame, with z_τ = α x + σ ε. This is
    /// one term of the training loss in terms of x̂. Seed and frame fix ε.
    pub fn surprise(&mut self, x: &[f32]) -> Result<f32> {
        let tau = SIGNAL_LEVEL.max(self.world.flow.min_signal_level());
        let at = self.world.flow.path.at(tau)?;
        let (alpha, sigma) = (at.alpha as f32, at.sigma as f32);
        let mut z = vec![0.0; x.len()];
        noise::fill(
            &mut z,
            self.params.seed,
            self.frame,
            NoisePurpose::Likelihood,
        );
        for (z, x) in z.iter_mut().zip(x) {
            *z = alpha * x + sigma * *z;
        }
        let predicted = self.predict_clean(&z, tau, self.finest_step())?;
        Ok(latent_difference(&predicted, x).powi(2) as f32)
    }
}
