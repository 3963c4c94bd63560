//! The CPU backend: weights packed once, buffers allocated once, one thread or several.

mod attention;
mod attention_loops;
mod attention_temporal;
mod delta;
mod dynamics;
mod dynamics_parts;
mod grid;
mod matmul;
mod matrix;
mod mlp;
mod recall;
mod row_layout;
mod shared_slice;
mod space_layer;
// They share helpers with the tests of all backends.
#[cfg(feature = "wgpu")]
#[cfg(test)]
mod tests;
mod threads;
mod tokenizer;
mod workers;

use std::num::NonZeroUsize;

use driftless_model::checkpoint::WorldModel;

pub use attention_loops::{gather, pack_keys, pack_values, softmax};
pub use matmul::{LANES, MatmulArgs, multiply, multiply_shared};
pub use matrix::PackedMatrix;
pub use row_layout::{RowLayout, WriteMode};
pub use shared_slice::SharedSlice;
pub use space_layer::{SpaceLayer, SpaceScratch};
pub use threads::{Threads, fastest_threads, threads_label};
pub use workers::{TaskSize, Workers};

use dynamics::PackedDynamics;
use tokenizer::PackedTokenizer;

use super::Attention;
use super::network::{DenoiseInput, FrameContext, Inspect, Network, Outcome, Threaded};
use crate::Result;

/// A world's packed networks with their KV caches and buffers.
pub struct CpuNetwork {
    image_len: usize,
    latent_len: usize,
    tokenizer: PackedTokenizer,
    dynamics: PackedDynamics,
    workers: Workers,
    label: String,
}

impl CpuNetwork {
    /// Packs a world's weights. With [`Threads::Auto`], measures how many threads are fastest.
    ///
    /// # Errors
    /// Returns an error if the weights cannot be read from the world's device, or if the threads cannot be
    /// started.
    pub fn new(world: &WorldModel, threads: Threads) -> Result<Self> {
        let config = &world.config;
        let mut network = Self {
            image_len: config.image_len(),
            latent_len: config.latent_len(),
            tokenizer: PackedTokenizer::new(world.tokenizer.export()?, config),
            dynamics: PackedDynamics::new(world.dynamics.export()?, config),
            workers: Workers::none(),
            label: String::new(),
        };
        let workers = match threads {
            Threads::Auto => threads::measured(&mut network.dynamics, config)?,
            Threads::Exactly(count) => Workers::new(count.get())?,
        };
        network.set_workers(workers);
        Ok(network)
    }

    fn set_workers(&mut self, workers: Workers) {
        self.label = threads_label(workers.threads());
        self.dynamics.reserve(workers.threads());
        self.workers = workers;
    }
}

impl Network for CpuNetwork {
    fn name(&self) -> &str {
        "cpu"
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn begin_frame(&mut self, context: &FrameContext) -> Result<()> {
        self.dynamics.begin_frame(&self.workers, context);
        Ok(())
    }

    fn denoise(&mut self, input: &DenoiseInput, output: &mut [f32]) -> Result<()> {
        self.dynamics.denoise(&self.workers, input, output);
        Ok(())
    }

    fn write_cache(&mut self, input: &DenoiseInput) -> Result<Option<Outcome>> {
        Ok(self.dynamics.write_cache(&self.workers, input))
    }

    fn encode(&mut self, images: &[u8], latents: &mut [f32]) -> Result<()> {
        let latents = latents.chunks_exact_mut(self.latent_len);
        for (image, latent) in images.chunks_exact(self.image_len).zip(latents) {
            self.tokenizer.encode(&self.workers, image, latent);
        }
        Ok(())
    }

    fn decode(&mut self, latents: &[f32], images: &mut [u8]) -> Result<()> {
        let images = images.chunks_exact_mut(self.image_len);
        for (latent, image) in latents.chunks_exact(self.latent_len).zip(images) {
            self.tokenizer.decode(&self.workers, latent, image);
        }
        Ok(())
    }

    fn save_cache(&self, out: &mut [f32]) -> Result<()> {
        let mut rest = out;
        for values in self.dynamics.caches() {
            let (out, tail) = rest.split_at_mut(values.len());
            out.copy_from_slice(values);
            rest = tail;
        }
        Ok(())
    }

    fn load_cache(&mut self, cache: &[f32]) -> Result<()> {
        self.dynamics.clear_recorded();
        self.dynamics.load_caches(cache);
        Ok(())
    }

    fn inspection(&mut self) -> Option<&mut dyn Inspect> {
        Some(self)
    }

    fn fork(&self) -> Option<Box<dyn Network>> {
        let mut fork = Self {
            image_len: self.image_len,
            latent_len: self.latent_len,
            tokenizer: self.tokenizer.clone(),
            dynamics: self.dynamics.clone(),
            workers: Workers::none(),
            label: String::new(),
        };
        fork.set_workers(Workers::none());
        Some(Box::new(fork))
    }

    fn threads(&self) -> Option<&dyn Threaded> {
        Some(self)
    }

    fn threads_mut(&mut self) -> Option<&mut dyn Threaded> {
        Some(self)
    }
}

impl Inspect for CpuNetwork {
    fn record_attention(&mut self, on: bool) {
        self.dynamics.record_attention(on);
    }

    fn attention(&mut self) -> Result<Option<Attention>> {
        Ok(self.dynamics.last_attention().cloned())
    }

    fn record_tokens(&mut self, on: bool) {
        self.dynamics.record_tokens(on);
    }

    fn tokens(&self) -> Option<&[f32]> {
        self.dynamics.last_tokens()
    }
}

impl Threaded for CpuNetwork {
    fn count(&self) -> usize {
        self.workers.threads()
    }

    fn set_count(&mut self, threads: NonZeroUsize) -> Result<()> {
        if threads.get() != self.workers.threads() {
            self.set_workers(Workers::new(threads.get())?);
        }
        Ok(())
    }
}
