//! How much a given frame surprises, for the price of one pass.

use super::denoise::Denoiser;
use super::drift::latent_difference;
use super::network::Network;
use super::noise::{self, Use};
use crate::Result;

/// The signal level at which a given frame is looked at.
const LEVEL: f64 = 0.5;

impl<N: Network> Denoiser<'_, N> {
    /// ‖x̂(z_τ, τ) − x‖² / numbers at τ = ½ of the latent `x` of a given frame, where z_τ = α x + σ ε: one
    /// term of the loss that the network was trained by, in terms of x̂. ε is fixed by seed and frame.
    pub fn surprise(&mut self, x: &[f32]) -> Result<f32> {
        let tau = LEVEL.max(self.world.flow.least_level());
        let at = self.world.flow.path.at(tau)?;
        let (alpha, sigma) = (at.alpha as f32, at.sigma as f32);
        let mut z = vec![0.0; x.len()];
        noise::fill(&mut z, self.params.seed, self.frame, Use::Likelihood);
        for (z, x) in z.iter_mut().zip(x) {
            *z = alpha * x + sigma * *z;
        }
        let found = self.clean(&z, tau, self.finest())?;
        Ok(latent_difference(&found, x).powi(2) as f32)
    }
}
