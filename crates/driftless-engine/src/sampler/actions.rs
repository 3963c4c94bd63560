//! Actions of frames that came without any: those of a film, or of a clip that was made from words.

use driftless_data::{Action, Clip};

use super::Sampler;
use crate::{Result, SamplerParams};

impl Sampler {
    /// The actions that explain given frames best, u8 RGB `[T, H, W, 3]`: for each frame, the one under
    /// which it surprises least ([`Sampler::surprise`]) after the frames before it and their actions. The
    /// first frame has no cause and gets action 0. Axes are taken to be at rest. Starts over; afterwards, the state is that after the
    /// frames.
    ///
    /// # Errors
    /// Returns an error if there is no frame, if their size does not match the world, if a parameter is
    /// invalid, or if the device fails.
    pub fn infer_actions(&mut self, images: &[u8], params: &SamplerParams) -> Result<Vec<u32>> {
        let len = self.world.image_len();
        let first = Clip {
            images: images.get(..len).unwrap_or(images).to_vec(),
            actions: vec![Action::IDLE],
        };
        self.reset(&first, params)?;
        let mut actions = vec![0];
        let latents = self.encode(&images[len..])?;
        let frames = images[len..].chunks_exact(len);
        for (image, latent) in frames.zip(latents.chunks_exact(self.latent.len())) {
            let mut best = (f32::INFINITY, 0);
            for action in 0..self.world.actions.len() as u32 {
                let surprise = self.latent_surprise(latent, action.into(), params)?;
                if surprise < best.0 {
                    best = (surprise, action);
                }
            }
            self.give_latent(image, latent, best.1.into(), params)?;
            actions.push(best.1);
        }
        Ok(actions)
    }
}
