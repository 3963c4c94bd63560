//! The tokenizer as dispatches: one frame at a time.

use super::ops::{Act, NONE, Rows};
use super::program::Recorder;
use super::recorder::{Arena, CellBlock, Norm};
use super::weights::{Matrix, Weights};
use crate::Result;
use crate::weights::numbers;
use driftless_model::config::WorldConfig;
use driftless_model::tokenizer;

/// Encoder and decoder with their regions of the arena.
pub(super) struct Tokenizer {
    image_size: [u32; 2],
    grid: [u32; 2],
    patch: u32,
    channels: u32,
    width: u32,
    hidden: u32,
    patch_in: Matrix,
    narrow: Matrix,
    position_in: u32,
    encoder: Vec<CellBlock>,
    norm_in: Norm,
    latent_in: Matrix,
    /// Less the mean, [cells, channels], and 1/std, [channels].
    shift: u32,
    scale: u32,
    latent_out: Matrix,
    position_out: u32,
    decoder: Vec<CellBlock>,
    norm_out: Norm,
    widen: Matrix,
    patch_out: Matrix,
    /// Of the arena: a frame [H, W, 3] in [−1, 1], and buffers.
    pub image: u32,
    x: u32,
    normed: u32,
    wide: u32,
    bordered: u32,
}

impl Tokenizer {
    pub fn new(
        weights: &mut Weights,
        arena: &mut Arena,
        net: &tokenizer::Tokenizer,
        config: &WorldConfig,
    ) -> Result<Self> {
        let t = &config.tokenizer;
        let [gh, gw] = config.grid();
        let cells = config.cells();
        let blocks = |weights: &mut Weights, all: &[driftless_model::layers::CellBlock]| {
            let blocks = all.iter().map(|block| CellBlock::new(weights, block));
            blocks.collect::<Result<Vec<_>>>()
        };
        let mean: Vec<f32> = numbers(&net.mean)?.into_iter().map(|x| -x).collect();
        let scale: Vec<f32> = numbers(&net.std)?.into_iter().map(f32::recip).collect();
        Ok(Self {
            image_size: config.image.map(|side| side as u32),
            grid: [gh as u32, gw as u32],
            patch: t.patch as u32,
            channels: t.channels as u32,
            width: t.width as u32,
            hidden: t.hidden as u32,
            patch_in: weights.halves(&net.patch_in)?,
            narrow: weights.linear(&net.narrow)?,
            position_in: weights.tensor(&net.position_in)?,
            encoder: blocks(weights, &net.encoder)?,
            norm_in: Norm::new(weights, &net.norm_in)?,
            latent_in: weights.linear(&net.latent_in)?,
            shift: weights.push(&mean),
            scale: weights.push(&scale),
            latent_out: weights.linear(&net.latent_out)?,
            position_out: weights.tensor(&net.position_out)?,
            decoder: blocks(weights, &net.decoder)?,
            norm_out: Norm::new(weights, &net.norm_out)?,
            widen: weights.halves(&net.widen)?,
            patch_out: weights.linear(&net.patch_out)?,
            image: arena.take(config.image_len()),
            x: arena.take(cells * t.width),
            normed: arena.take(cells * t.width),
            wide: arena.take(cells * t.hidden),
            bordered: arena.take((gh + 2) * (gw + 2) * t.width),
        })
    }

    fn cells(&self) -> u32 {
        self.grid[0] * self.grid[1]
    }

    /// From `image` to a standardised latent [cells, channels].
    pub fn encode(&self, r: &mut Recorder, latent: u32) {
        let (cells, width) = (self.cells(), self.width);
        let patches = Rows::blocks(self.image, self.image_size, self.patch, 3);
        let wide = Rows::plain(self.wide, self.hidden);
        let (x, normed) = (Rows::plain(self.x, width), Rows::plain(self.normed, width));
        let latent = Rows::plain(latent, self.channels);
        r.matmul(self.patch_in, cells, patches, wide, Act::SwiGlu, false);
        r.matmul(self.narrow, cells, wide, x, Act::None, false);
        r.shift([cells, width], x, x, self.position_in, NONE);
        for block in &self.encoder {
            r.block(block, self.grid, self.x, self.bordered, self.normed);
        }
        r.norm(self.norm_in, cells, x, normed);
        r.matmul(self.latent_in, cells, normed, latent, Act::None, false);
        r.shift(
            [cells, self.channels],
            latent,
            latent,
            self.shift,
            self.scale,
        );
    }

    /// From a latent to `image`, which may leave [−1, 1].
    pub fn decode(&self, r: &mut Recorder, latent: u32) {
        let (cells, width) = (self.cells(), self.width);
        let latent = Rows::plain(latent, self.channels);
        let wide = Rows::plain(self.wide, self.hidden);
        let (x, normed) = (Rows::plain(self.x, width), Rows::plain(self.normed, width));
        let patches = Rows::blocks(self.image, self.image_size, self.patch, 3);
        r.matmul(self.latent_out, cells, latent, x, Act::None, false);
        r.shift([cells, width], x, x, self.position_out, NONE);
        for block in &self.decoder {
            r.block(block, self.grid, self.x, self.bordered, self.normed);
        }
        r.norm(self.norm_out, cells, x, normed);
        r.matmul(self.widen, cells, normed, wide, Act::SwiGlu, false);
        r.matmul(self.patch_out, cells, wide, patches, Act::None, false);
    }
}
