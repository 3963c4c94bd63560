//! The tokenizer on packed weights, one frame at a time.

use driftless_model::config::WorldConfig;
use driftless_model::export::{ExportedCellBlock, ExportedTokenizer};
use driftless_model::simd::dispatch;
use driftless_model::tokenizer::{from_byte, to_byte};

use super::grid::{CellBlock, PaddedGrid, RmsNorm, swiglu_on};
use super::matrix::PackedMatrix;
use super::row_layout::{RowLayout, WriteMode};
use super::workers::Workers;

/// Encoder and decoder with their buffers. cells = grid height · grid width.
#[derive(Clone)]
pub(super) struct PackedTokenizer {
    image: [usize; 2],
    grid: [usize; 2],
    patch: usize,
    channels: usize,
    width: usize,
    patch_in: PackedMatrix,
    patch_in_bias: Vec<f32>,
    narrow: PackedMatrix,
    position_in: Vec<f32>,
    encoder: Vec<CellBlock>,
    norm_in: RmsNorm,
    latent_in: PackedMatrix,
    /// Latent bias − latent mean, [cells, channels].
    latent_shift: Vec<f32>,
    /// Standard deviation of the latents, [channels].
    latent_std: Vec<f32>,
    latent_out: PackedMatrix,
    /// Bias + position embedding, [cells, width].
    decoder_start: Vec<f32>,
    decoder: Vec<CellBlock>,
    norm_out: RmsNorm,
    widen: PackedMatrix,
    widen_bias: Vec<f32>,
    patch_out: PackedMatrix,
    patch_bias: Vec<f32>,
    /// Input of the SwiGLU, [cells, 2·hidden], and its output, [cells, hidden].
    swiglu_in: Vec<f32>,
    swiglu_out: Vec<f32>,
    padded: PaddedGrid,
    x: Vec<f32>,
    hidden: Vec<f32>,
    pixels: Vec<f32>,
}

impl PackedTokenizer {
    pub(super) fn new(t: ExportedTokenizer, config: &WorldConfig) -> Self {
        let (grid, cells) = (config.grid(), config.cells());
        let (width, channels) = (config.tokenizer.width, config.tokenizer.channels);
        let hidden = config.tokenizer.hidden;
        let blocks = |all: &[ExportedCellBlock]| all.iter().map(CellBlock::new).collect();
        let latent_bias = t.latent_in.bias_or_zeros();
        let shift = |mean: f32, bias: f32| bias - mean;
        let decoder_bias = t.latent_out.bias_or_zeros();
        let start = |position: f32, bias: f32| position + bias;
        Self {
            image: config.image,
            grid,
            patch: config.tokenizer.patch,
            channels,
            width,
            patch_in: PackedMatrix::new(&t.patch_in),
            patch_in_bias: t.patch_in.bias_or_zeros(),
            narrow: PackedMatrix::new(&t.narrow),
            position_in: t.position_in,
            encoder: blocks(&t.encoder),
            norm_in: RmsNorm::new(&t.norm_in),
            latent_in: PackedMatrix::new(&t.latent_in),
            latent_shift: combine_rows(&t.mean, &latent_bias, shift),
            latent_std: t.std,
            latent_out: PackedMatrix::new(&t.latent_out),
            decoder_start: combine_rows(&t.position_out, &decoder_bias, start),
            decoder: blocks(&t.decoder),
            norm_out: RmsNorm::new(&t.norm_out),
            widen: PackedMatrix::new(&t.widen),
            widen_bias: t.widen.bias_or_zeros(),
            patch_out: PackedMatrix::new(&t.patch_out),
            patch_bias: t.patch_out.bias_or_zeros(),
            padded: PaddedGrid::new(grid, width),
            x: vec![0.0; cells * width],
            hidden: vec![0.0; cells * width],
            pixels: vec![0.0; config.image_len()],
            swiglu_in: vec![0.0; cells * 2 * hidden],
            swiglu_out: vec![0.0; cells * hidden],
        }
    }

    /// Encodes u8 RGB [H, W, 3] to a standardized latent [cells, channels].
    pub(super) fn encode(&mut self, workers: &Workers, image: &[u8], latent: &mut [f32]) {
        for (pixel, &byte) in self.pixels.iter_mut().zip(image) {
            *pixel = from_byte(byte);
        }
        let cells = self.latent_shift.len() / self.channels;
        let hidden = self.swiglu_out.len() / cells;
        let patches = RowLayout::blocks(self.image, self.patch, 3);
        fill_rows(&self.patch_in_bias, &mut self.swiglu_in);
        let swiglu_in = &mut self.swiglu_in;
        self.patch_in
            .apply(workers, &self.pixels, patches, swiglu_in, WriteMode::Add);
        swiglu_on(workers, hidden, &self.swiglu_in, &mut self.swiglu_out);
        self.x.copy_from_slice(&self.position_in);
        let rows = RowLayout::contiguous(cells, hidden);
        self.narrow
            .apply(workers, &self.swiglu_out, rows, &mut self.x, WriteMode::Add);
        for block in &self.encoder {
            block.apply(workers, &mut self.x, &mut self.padded, &mut self.hidden);
        }
        self.norm_in.apply_on(workers, &self.x, &mut self.hidden);
        latent.copy_from_slice(&self.latent_shift);
        let rows = RowLayout::contiguous(cells, self.width);
        self.latent_in
            .apply(workers, &self.hidden, rows, latent, WriteMode::Add);
        for cell in latent.chunks_exact_mut(self.channels) {
            for (z, std) in cell.iter_mut().zip(&self.latent_std) {
                *z /= std;
            }
        }
    }

    /// Decodes a standardized latent [cells, channels] to u8 RGB [H, W, 3].
    pub(super) fn decode(&mut self, workers: &Workers, latent: &[f32], image: &mut [u8]) {
        let cells = self.latent_shift.len() / self.channels;
        self.x.copy_from_slice(&self.decoder_start);
        let rows = RowLayout::contiguous(cells, self.channels);
        self.latent_out
            .apply(workers, latent, rows, &mut self.x, WriteMode::Add);
        for block in &self.decoder {
            block.apply(workers, &mut self.x, &mut self.padded, &mut self.hidden);
        }
        self.norm_out.apply_on(workers, &self.x, &mut self.hidden);
        let rows = RowLayout::contiguous(cells, self.width);
        fill_rows(&self.widen_bias, &mut self.swiglu_in);
        let swiglu_in = &mut self.swiglu_in;
        self.widen
            .apply(workers, &self.hidden, rows, swiglu_in, WriteMode::Add);
        let hidden = self.swiglu_out.len() / cells;
        swiglu_on(workers, hidden, &self.swiglu_in, &mut self.swiglu_out);
        let rows = RowLayout::contiguous(cells, hidden);
        let pixels = &mut self.pixels;
        self.patch_out
            .apply(workers, &self.swiglu_out, rows, pixels, WriteMode::Set);
        self.write_patches(workers, image);
    }

    /// Adds the bias to `pixels`, which are patch by patch, and stores them as rows of bytes.
    fn write_patches(&self, workers: &Workers, image: &mut [u8]) {
        let (line, patch) = (self.image[1] * 3, self.patch * 3);
        let (band, area) = (self.patch * line, patch * self.patch);
        workers.for_rows(image, band, workers.least().light, |first, image| {
            let pixels = self.pixels[first * self.grid[1] * area..].chunks_exact(area);
            let cells = image.len() / band * self.grid[1];
            for (cell, pixels) in pixels.take(cells).enumerate() {
                let (gy, gx) = (cell / self.grid[1], cell % self.grid[1]);
                let at = gy * band + gx * patch;
                let rows = pixels
                    .chunks_exact(patch)
                    .zip(self.patch_bias.chunks_exact(patch));
                for (y, (pixels, bias)) in rows.enumerate() {
                    let at = at + y * line;
                    pixels_to_bytes(pixels, bias, &mut image[at..at + patch]);
                }
            }
        });
    }
}

/// Sets every row of `rows` [.., n] to `row` [n].
fn fill_rows(row: &[f32], rows: &mut [f32]) {
    for to in rows.chunks_exact_mut(row.len()) {
        to.copy_from_slice(row);
    }
}

/// Combines every row of `table` [rows, n] with `row` [n], element by element.
fn combine_rows(table: &[f32], row: &[f32], f: impl Fn(f32, f32) -> f32) -> Vec<f32> {
    let rows = table.iter().zip(row.iter().cycle());
    rows.map(|(a, b)| f(*a, *b)).collect()
}

dispatch!(fn pixels_to_bytes = pixels_to_bytes_body(pixels: &[f32], bias: &[f32], out: &mut [u8]));
/// Writes pixel + bias, in [−1, 1], as bytes.
#[inline(always)]
fn pixels_to_bytes_body<const FMA: bool>(pixels: &[f32], bias: &[f32], out: &mut [u8]) {
    for ((out, pixel), bias) in out.iter_mut().zip(pixels).zip(bias) {
        *out = to_byte(pixel + bias);
    }
}
