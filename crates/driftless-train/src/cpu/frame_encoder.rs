//! Encodes many frames on all threads.

use std::collections::BTreeMap;

use candle_core::Var;

use super::encoder_decoder::{Encoder, EncoderState, HalfScratch};
use super::frame_patches::{FramePatches, PixelWeights, Shift};
use super::gradient_chunks::on_threads;
use super::parameters::{Layout, Slot, Weights};
use crate::Result;
use crate::tokenizer::backgrounds::Backgrounds;
use driftless_model::config::WorldConfig;
use driftless_model::tokenizer::{LATENT_MEAN, LATENT_STD};

/// Cells encoded together.
const CELLS: usize = 256;

/// An encoder with fixed weights.
pub(crate) struct FrameEncoder {
    weights: Weights,
    encoder: Encoder,
    pictures: FramePatches,
    mean: Slot,
    std: Slot,
    latent: usize,
    /// Frames encoded together.
    together: usize,
    threads: Vec<(EncoderState, HalfScratch)>,
}

impl FrameEncoder {
    /// The encoder of a tokenizer with the parameters `vars`.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub(crate) fn new(config: &WorldConfig, vars: &BTreeMap<String, Var>) -> Result<Self> {
        let mut layout = Layout::new(vars);
        let encoder = Encoder::new(&mut layout, config)?;
        let mut weights = Weights::new(&layout);
        weights.refresh(&layout, vars)?;
        let together = (CELLS / config.cells().max(1)).max(1);
        let threads = (0..rayon::current_num_threads())
            .map(|_| (encoder.state(together), encoder.scratch(together)));
        let nothing = PixelWeights {
            foreground: vec![0.0; config.image_len() / 3],
            surroundings: 0.0,
            change: 0.0,
        };
        let black = Backgrounds::single(vec![0; config.image_len()]);
        Ok(Self {
            mean: layout.slot(LATENT_MEAN)?,
            std: layout.slot(LATENT_STD)?,
            pictures: FramePatches::new(config, &black, nothing),
            latent: config.latent_len(),
            together,
            threads: threads.collect(),
            weights,
            encoder,
        })
    }

    /// Standardized latents [N, gh, gw, c] of the bytes of N frames.
    ///
    /// # Errors
    /// Returns an error if a job was not run.
    pub(crate) fn encode(&mut self, images: &[u8]) -> Result<Vec<f32>> {
        let (len, latent) = (self.pictures.len(), self.latent);
        let mut all = vec![0.0; images.len() / len * latent];
        let parts = all.chunks_mut(self.together * latent);
        let jobs = images.chunks(self.together * len).zip(parts).collect();
        let (pictures, encoder, weights) = (&self.pictures, &self.encoder, &self.weights);
        let (mean, std) = (weights.get(self.mean), weights.get(self.std));
        type Job<'a> = (&'a [u8], &'a mut [f32]);
        on_threads(jobs, &mut self.threads, |(images, out): Job, thread| {
            let (state, scratch) = thread;
            let frames = out.len() / latent;
            let patches = state.patches.chunks_exact_mut(len);
            for (image, patches) in images.chunks_exact(len).zip(patches) {
                pictures.patches(image, None, Shift::default(), patches);
            }
            encoder.forward(weights, frames, state, scratch);
            let statistics = mean.iter().zip(std.iter().cycle()).cycle();
            for ((z, raw), (mean, std)) in out.iter_mut().zip(&*state.latents).zip(statistics) {
                *z = (raw - mean) / std;
            }
            Ok(())
        })?;
        Ok(all)
    }
}
