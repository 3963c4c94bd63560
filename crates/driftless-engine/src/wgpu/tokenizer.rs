//! The tokenizer as dispatches, one frame at a time.

use driftless_model::config::WorldConfig;
use driftless_model::export::{ExportedCellBlock, ExportedTokenizer};

use super::kernel_args::{Activation, NONE, RowLayout};
use super::operations::{ArenaLayout, CellBlock, RmsNorm};
use super::program::ProgramBuilder;
use super::weights::{MatrixRef, Weights};

/// Weights and arena regions of encoder and decoder.
pub(super) struct WgpuTokenizer {
    image_size: [u32; 2],
    grid: [u32; 2],
    patch: u32,
    channels: u32,
    width: u32,
    hidden: u32,
    patch_in: MatrixRef,
    narrow: MatrixRef,
    position_in: u32,
    encoder: Vec<CellBlock>,
    norm_in: RmsNorm,
    latent_in: MatrixRef,
    /// −mean, [cells, channels], and 1/std, [channels], of the latents.
    latent_shift: u32,
    latent_scale: u32,
    latent_out: MatrixRef,
    position_out: u32,
    decoder: Vec<CellBlock>,
    norm_out: RmsNorm,
    widen: MatrixRef,
    patch_out: MatrixRef,
    /// Arena offsets: the frame [H, W, 3] in [−1, 1], and scratch.
    pub image: u32,
    x: u32,
    normed: u32,
    swiglu_out: u32,
    padded_cells: u32,
}

impl WgpuTokenizer {
    pub fn new(
        weights: &mut Weights,
        arena: &mut ArenaLayout,
        net: &ExportedTokenizer,
        config: &WorldConfig,
    ) -> Self {
        let t = &config.tokenizer;
        let [gh, gw] = config.grid();
        let cells = config.cells();
        let blocks = |weights: &mut Weights, all: &[ExportedCellBlock]| {
            all.iter()
                .map(|block| CellBlock::new(weights, block))
                .collect()
        };
        let mean: Vec<f32> = net.mean.iter().map(|x| -x).collect();
        let scale: Vec<f32> = net.std.iter().copied().map(f32::recip).collect();
        Self {
            image_size: config.image.map(|side| side as u32),
            grid: [gh as u32, gw as u32],
            patch: t.patch as u32,
            channels: t.channels as u32,
            width: t.width as u32,
            hidden: t.hidden as u32,
            patch_in: weights.swiglu_linear(&net.patch_in),
            narrow: weights.linear(&net.narrow),
            position_in: weights.push(&net.position_in),
            encoder: blocks(weights, &net.encoder),
            norm_in: RmsNorm::new(weights, &net.norm_in),
            latent_in: weights.linear(&net.latent_in),
            latent_shift: weights.push(&mean),
            latent_scale: weights.push(&scale),
            latent_out: weights.linear(&net.latent_out),
            position_out: weights.push(&net.position_out),
            decoder: blocks(weights, &net.decoder),
            norm_out: RmsNorm::new(weights, &net.norm_out),
            widen: weights.swiglu_linear(&net.widen),
            patch_out: weights.linear(&net.patch_out),
            image: arena.allocate(config.image_len()),
            x: arena.allocate(cells * t.width),
            normed: arena.allocate(cells * t.width),
            swiglu_out: arena.allocate(cells * t.hidden),
            padded_cells: arena.allocate((gh + 2) * (gw + 2) * t.width),
        }
    }

    fn cells(&self) -> u32 {
        self.grid[0] * self.grid[1]
    }

    /// Encodes `image` to a standardized latent [cells, channels].
    pub fn encode(&self, r: &mut ProgramBuilder, latent: u32) {
        let (cells, width) = (self.cells(), self.width);
        let patches = RowLayout::blocks(self.image, self.image_size, self.patch, 3);
        let hidden = RowLayout::contiguous(self.swiglu_out, self.hidden);
        let (x, normed) = (
            RowLayout::contiguous(self.x, width),
            RowLayout::contiguous(self.normed, width),
        );
        let latent = RowLayout::contiguous(latent, self.channels);
        r.matmul_activated(self.patch_in, cells, patches, hidden, Activation::SwiGlu);
        r.matmul(self.narrow, cells, hidden, x);
        r.affine([cells, width], x, x, self.position_in, NONE);
        for block in &self.encoder {
            r.cell_block(block, self.grid, self.x, self.padded_cells, self.normed);
        }
        r.rms_norm(self.norm_in, cells, x, normed);
        r.matmul(self.latent_in, cells, normed, latent);
        r.affine(
            [cells, self.channels],
            latent,
            latent,
            self.latent_shift,
            self.latent_scale,
        );
    }

    /// Decodes a standardized latent to `image`, which may exceed [−1, 1].
    pub fn decode(&self, r: &mut ProgramBuilder, latent: u32) {
        let (cells, width) = (self.cells(), self.width);
        let latent = RowLayout::contiguous(latent, self.channels);
        let hidden = RowLayout::contiguous(self.swiglu_out, self.hidden);
        let (x, normed) = (
            RowLayout::contiguous(self.x, width),
            RowLayout::contiguous(self.normed, width),
        );
        let patches = RowLayout::blocks(self.image, self.image_size, self.patch, 3);
        r.matmul(self.latent_out, cells, latent, x);
        r.affine([cells, width], x, x, self.position_out, NONE);
        for block in &self.decoder {
            r.cell_block(block, self.grid, self.x, self.padded_cells, self.normed);
        }
        r.rms_norm(self.norm_out, cells, x, normed);
        r.matmul_activated(self.widen, cells, normed, hidden, Activation::SwiGlu);
        r.matmul(self.patch_out, cells, hidden, patches);
    }
}
