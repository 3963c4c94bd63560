//! The tokenizer on packed weights: one frame at a time, in place.

use super::cells::{Bordered, CellBlock, Norm};
use super::matrix::{Matrix, Mode, Rows};
use crate::Result;
use crate::weights::{bias, numbers};
use driftless_model::config::WorldConfig;
use driftless_model::ops::swiglu_rows;
use driftless_model::simd::dispatch;
use driftless_model::tokenizer;
use driftless_model::tokenizer::to_byte;

/// Encoder and decoder with their buffers.
pub(super) struct Tokenizer {
    image: [usize; 2],
    grid: [usize; 2],
    patch: usize,
    channels: usize,
    width: usize,
    patch_in: Matrix,
    patch_in_bias: Vec<f32>,
    narrow: Matrix,
    position_in: Vec<f32>,
    encoder: Vec<CellBlock>,
    norm_in: Norm,
    latent_in: Matrix,
    /// Bias less mean, [cells, channels].
    shift: Vec<f32>,
    std: Vec<f32>,
    latent_out: Matrix,
    /// Bias and position, [cells, width].
    start_out: Vec<f32>,
    decoder: Vec<CellBlock>,
    norm_out: Norm,
    widen: Matrix,
    widen_bias: Vec<f32>,
    patch_out: Matrix,
    patch_bias: Vec<f32>,
    /// Halves of the SwiGLU, [cells, 2·hidden], and its result.
    halves: Vec<f32>,
    wide: Vec<f32>,
    bordered: Bordered,
    x: Vec<f32>,
    hidden: Vec<f32>,
    pixels: Vec<f32>,
}

impl Tokenizer {
    pub(super) fn new(t: &tokenizer::Tokenizer, config: &WorldConfig) -> Result<Self> {
        let (grid, cells) = (config.grid(), config.cells());
        let (width, channels) = (config.tokenizer.width, config.tokenizer.channels);
        let wide = config.tokenizer.hidden;
        let blocks = |all: &[driftless_model::layers::CellBlock]| -> Result<Vec<CellBlock>> {
            all.iter().map(CellBlock::new).collect()
        };
        let latent_bias = bias(&t.latent_in)?;
        let shift = added(&numbers(&t.mean)?, &latent_bias, |mean, bias| bias - mean);
        let sum = |a: f32, b: f32| a + b;
        Ok(Self {
            image: config.image,
            grid,
            patch: config.tokenizer.patch,
            channels,
            width,
            patch_in: Matrix::new(&t.patch_in.weight)?,
            patch_in_bias: bias(&t.patch_in)?,
            narrow: Matrix::new(&t.narrow.weight)?,
            position_in: numbers(&t.position_in)?,
            encoder: blocks(&t.encoder)?,
            norm_in: Norm::new(&t.norm_in)?,
            latent_in: Matrix::new(&t.latent_in.weight)?,
            shift,
            std: numbers(&t.std)?,
            latent_out: Matrix::new(&t.latent_out.weight)?,
            start_out: added(&numbers(&t.position_out)?, &bias(&t.latent_out)?, sum),
            decoder: blocks(&t.decoder)?,
            norm_out: Norm::new(&t.norm_out)?,
            widen: Matrix::new(&t.widen.weight)?,
            widen_bias: bias(&t.widen)?,
            patch_out: Matrix::new(&t.patch_out.weight)?,
            patch_bias: bias(&t.patch_out)?,
            bordered: Bordered::new(grid, width),
            x: vec![0.0; cells * width],
            hidden: vec![0.0; cells * width],
            pixels: vec![0.0; config.image_len()],
            halves: vec![0.0; cells * 2 * wide],
            wide: vec![0.0; cells * wide],
        })
    }

    /// u8 RGB [H, W, 3] → standardised latent [cells, channels].
    pub(super) fn encode(&mut self, image: &[u8], latent: &mut [f32]) {
        for (pixel, &byte) in self.pixels.iter_mut().zip(image) {
            *pixel = f32::from(byte) / 127.5 - 1.0;
        }
        let count = self.shift.len() / self.channels;
        let hidden = self.wide.len() / count;
        let patches = Rows::blocks(self.image, self.patch, 3);
        repeat(&self.patch_in_bias, &mut self.halves);
        self.patch_in
            .apply(&self.pixels, patches, &mut self.halves, Mode::Add);
        swiglu_rows(hidden, &self.halves, &mut self.wide);
        self.x.copy_from_slice(&self.position_in);
        let rows = Rows::plain(count, hidden);
        self.narrow.apply(&self.wide, rows, &mut self.x, Mode::Add);
        for block in &self.encoder {
            block.apply(&mut self.x, &mut self.bordered, &mut self.hidden);
        }
        self.norm_in.apply(&self.x, &mut self.hidden);
        latent.copy_from_slice(&self.shift);
        let cells = Rows::plain(count, self.width);
        self.latent_in.apply(&self.hidden, cells, latent, Mode::Add);
        for cell in latent.chunks_exact_mut(self.channels) {
            for (z, std) in cell.iter_mut().zip(&self.std) {
                *z /= std;
            }
        }
    }

    /// Latent [cells, channels] → u8 RGB [H, W, 3].
    pub(super) fn decode(&mut self, latent: &[f32], image: &mut [u8]) {
        let cells = self.shift.len() / self.channels;
        self.x.copy_from_slice(&self.start_out);
        let rows = Rows::plain(cells, self.channels);
        self.latent_out.apply(latent, rows, &mut self.x, Mode::Add);
        for block in &self.decoder {
            block.apply(&mut self.x, &mut self.bordered, &mut self.hidden);
        }
        self.norm_out.apply(&self.x, &mut self.hidden);
        let rows = Rows::plain(cells, self.width);
        repeat(&self.widen_bias, &mut self.halves);
        self.widen
            .apply(&self.hidden, rows, &mut self.halves, Mode::Add);
        let hidden = self.wide.len() / cells;
        swiglu_rows(hidden, &self.halves, &mut self.wide);
        let rows = Rows::plain(cells, hidden);
        self.patch_out
            .apply(&self.wide, rows, &mut self.pixels, Mode::Set);
        let (line, patch) = (self.image[1] * 3, self.patch * 3);
        for (cell, pixels) in self.pixels.chunks_exact(patch * self.patch).enumerate() {
            let (gy, gx) = (cell / self.grid[1], cell % self.grid[1]);
            let at = gy * self.patch * line + gx * patch;
            let rows = pixels
                .chunks_exact(patch)
                .zip(self.patch_bias.chunks_exact(patch));
            for (y, (pixels, bias)) in rows.enumerate() {
                let at = at + y * line;
                bytes(pixels, bias, &mut image[at..at + patch]);
            }
        }
    }
}

/// Every row of `rows` [.., n] becomes `row` [n].
fn repeat(row: &[f32], rows: &mut [f32]) {
    for to in rows.chunks_exact_mut(row.len()) {
        to.copy_from_slice(row);
    }
}

/// `table` [rows, n] combined with `row` [n].
fn added(table: &[f32], row: &[f32], f: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let rows = table.iter().zip(row.iter().cycle());
    rows.map(|(a, b)| f(*a, *b)).collect()
}

dispatch!(fn bytes = bytes_body(pixels: &[f32], bias: &[f32], out: &mut [u8]));
#[inline(always)]
fn bytes_body<const FMA: bool>(pixels: &[f32], bias: &[f32], out: &mut [u8]) {
    for ((out, pixel), bias) in out.iter_mut().zip(pixels).zip(bias) {
        *out = to_byte(pixel + bias);
    }
}
