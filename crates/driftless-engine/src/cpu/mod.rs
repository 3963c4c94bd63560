//! The CPU backend: weights packed once, buffers allocated once, one thread.

mod attention;
mod dynamics;
mod grid;
mod matmul;
mod matrix;
mod tokenizer;

use dynamics::PackedDynamics;
use tokenizer::PackedTokenizer;

use driftless_model::checkpoint::WorldModel;

use super::Attention;
use super::network::{DenoiseInput, FrameContext, Network, Outcome};
use crate::Result;

/// A world's packed networks with their KV caches and buffers.
pub struct CpuNetwork {
    image_len: usize,
    latent_len: usize,
    tokenizer: PackedTokenizer,
    dynamics: PackedDynamics,
}

impl CpuNetwork {
    /// Packs a world's weights.
    ///
    /// # Errors
    /// Returns an error if the weights cannot be read from the world's device.
    pub fn new(world: &WorldModel) -> Result<Self> {
        Ok(Self {
            image_len: world.config.image_len(),
            latent_len: world.config.latent_len(),
            tokenizer: PackedTokenizer::new(world.tokenizer.export()?, &world.config),
            dynamics: PackedDynamics::new(world.dynamics.export()?, &world.config),
        })
    }
}

impl Network for CpuNetwork {
    fn name(&self) -> &str {
        "cpu"
    }

    fn begin_frame(&mut self, context: &FrameContext) -> Result<()> {
        self.dynamics.begin_frame(context);
        Ok(())
    }

    fn denoise(&mut self, input: &DenoiseInput, output: &mut [f32]) -> Result<()> {
        self.dynamics.denoise(input, output);
        Ok(())
    }

    fn write_cache(&mut self, input: &DenoiseInput) -> Result<Option<Outcome>> {
        Ok(self.dynamics.write_cache(input))
    }

    fn record_attention(&mut self, on: bool) {
        self.dynamics.record_attention(on);
    }

    fn attention(&mut self) -> Result<Option<Attention>> {
        Ok(self.dynamics.last_attention().cloned())
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

    fn save_cache(&self, out: &mut [f32]) -> Result<()> {
        let mut rest = out;
        for values in self.dynamics.kv_caches() {
            let (out, tail) = rest.split_at_mut(values.len());
            out.copy_from_slice(values);
            rest = tail;
        }
        Ok(())
    }

    fn load_cache(&mut self, cache: &[f32]) -> Result<()> {
        self.dynamics.clear_attention();
        let mut rest = cache;
        for values in self.dynamics.kv_caches_mut() {
            let (saved, tail) = rest.split_at(values.len());
            values.copy_from_slice(saved);
            rest = tail;
        }
        Ok(())
    }
}
