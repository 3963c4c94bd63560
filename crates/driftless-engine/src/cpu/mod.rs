//! The fast engine on the processor: weights packed once, buffers allocated once, one thread.

mod attention;
mod cells;
mod dynamics;
mod kernel;
mod matrix;
mod tokenizer;

use dynamics::Dynamics;
use tokenizer::Tokenizer;

use super::Attention;
use super::network::{Ask, Moment, Network, Outcome};
use super::sampler::Sampler;
use crate::Result;
use driftless_model::checkpoint::World;

/// The engine that runs packed f32 weights on the processor.
pub type CpuEngine = Sampler<CpuNetwork>;

impl CpuEngine {
    /// Packs a world's weights.
    ///
    /// # Errors
    /// The world's device failed.
    pub fn new(world: &World) -> Result<Self> {
        let network = CpuNetwork {
            image_len: world.config.image_len(),
            latent_len: world.config.latent_len(),
            tokenizer: Tokenizer::new(&world.tokenizer, &world.config)?,
            dynamics: Dynamics::new(&world.dynamics, &world.config)?,
        };
        Ok(Self::around(network, world.config.clone()))
    }
}

/// A world's packed networks, their rings and buffers.
pub struct CpuNetwork {
    image_len: usize,
    latent_len: usize,
    tokenizer: Tokenizer,
    dynamics: Dynamics,
}

impl Network for CpuNetwork {
    fn name(&self) -> &str {
        "cpu"
    }

    fn begin(&mut self, moment: &Moment) -> Result<()> {
        self.dynamics.begin(moment);
        Ok(())
    }

    fn denoise(&mut self, ask: &Ask, x: &mut [f32]) -> Result<()> {
        self.dynamics.denoise(ask, x);
        Ok(())
    }

    fn cache(&mut self, ask: &Ask) -> Result<Option<Outcome>> {
        Ok(self.dynamics.cache(ask))
    }

    fn inspect(&mut self, on: bool) {
        self.dynamics.inspect(on);
    }

    fn attention(&mut self) -> Result<Option<Attention>> {
        Ok(self.dynamics.looked().cloned())
    }

    fn encode(&mut self, images: &[u8], latents: &mut [f32]) -> Result<()> {
        let latents = latents.chunks_exact_mut(self.latent_len);
        for (image, latent) in images.chunks_exact(self.image_len).zip(latents) {
            self.tokenizer.encode(image, latent);
        }
        Ok(())
    }

    fn decode(&mut self, latents: &[f32], images: &mut [u8]) -> Result<()> {
        let images = images.chunks_exact_mut(self.image_len);
        for (latent, image) in latents.chunks_exact(self.latent_len).zip(images) {
            self.tokenizer.decode(latent, image);
        }
        Ok(())
    }

    fn save(&self, out: &mut [f32]) -> Result<()> {
        let mut rest = out;
        for part in self.dynamics.rings() {
            let (out, others) = rest.split_at_mut(part.len());
            out.copy_from_slice(part);
            rest = others;
        }
        Ok(())
    }

    fn load(&mut self, cache: &[f32]) -> Result<()> {
        self.dynamics.forget_looks();
        let mut rest = cache;
        for part in self.dynamics.rings_mut() {
            let (values, others) = rest.split_at(part.len());
            part.copy_from_slice(values);
            rest = others;
        }
        Ok(())
    }
}
