//! Layers on the grid of cells: RMSNorm, 3×3 convolutions and residual blocks.

use driftless_model::export::ExportedCellBlock;
use driftless_model::ops::rms_norm_rows;
use driftless_model::simd::{dispatch, sigmoid};

use super::matrix::{PackedMatrix, RowLayout, WriteMode};

/// A grid [gh, gw, c] with a border of zeros, so that every 3×3 neighbourhood is in bounds.
pub(super) struct PaddedGrid {
    grid: [usize; 2],
    c: usize,
    data: Vec<f32>,
}

impl PaddedGrid {
    pub(super) fn new(grid: [usize; 2], c: usize) -> Self {
        Self {
            grid,
            c,
            data: vec![0.0; (grid[0] + 2) * (grid[1] + 2) * c],
        }
    }

    /// Fills the interior from `x` [gh, gw, c]; `f(source row, target row)` copies or transforms a row.
    pub(super) fn fill(&mut self, x: &[f32], f: impl Fn(&[f32], &mut [f32])) {
        let [_, gw] = self.grid;
        let row = gw * self.c;
        let padded_row = row + 2 * self.c;
        let targets = self.data.chunks_exact_mut(padded_row.max(1)).skip(1);
        for (from, to) in x.chunks_exact(row.max(1)).zip(targets) {
            f(from, &mut to[self.c..self.c + row]);
        }
    }

    /// 3×3 convolution of the interior into y [gh, gw, outputs].
    pub(super) fn convolve(&self, weight: &PackedMatrix, y: &mut [f32], mode: WriteMode) {
        let [gh, gw] = self.grid;
        let row = (gw + 2) * self.c;
        let rows = RowLayout {
            count: gh * gw,
            run: gw,
            outer: row,
            inner: self.c,
            segments: 3,
            stride: row,
        };
        weight.apply(&self.data, rows, y, mode);
    }
}

/// RMSNorm, stored as its gain [width].
pub(super) struct RmsNorm(Vec<f32>);

impl RmsNorm {
    pub(super) fn new(gain: &[f32]) -> Self {
        Self(gain.to_vec())
    }

    /// Normalises the rows of `x` [.., width] into `y`.
    pub(super) fn apply(&self, x: &[f32], y: &mut [f32]) {
        rms_norm_rows(x, &self.0, y);
    }
}

/// x + W silu(conv₃ₓ₃(norm x) + b).
pub(super) struct CellBlock {
    norm: RmsNorm,
    conv: PackedMatrix,
    bias: Vec<f32>,
    out: PackedMatrix,
}

impl CellBlock {
    pub(super) fn new(block: &ExportedCellBlock) -> Self {
        Self {
            norm: RmsNorm::new(&block.norm),
            conv: PackedMatrix::new(&block.conv),
            bias: block.conv.bias_or_zeros(),
            out: PackedMatrix::new(&block.out),
        }
    }

    /// Updates `x` [gh, gw, width] in place; `hidden` is scratch of the same size.
    pub(super) fn apply(&self, x: &mut [f32], padded: &mut PaddedGrid, hidden: &mut [f32]) {
        padded.fill(x, |from, to| self.norm.apply(from, to));
        padded.convolve(&self.conv, hidden, WriteMode::Set);
        biased_silu(&self.bias, hidden);
        let width = self.bias.len();
        let rows = RowLayout::contiguous(x.len() / width, width);
        self.out.apply(hidden, rows, x, WriteMode::Add);
    }
}

dispatch!(fn biased_silu = biased_silu_body(bias: &[f32], x: &mut [f32]));
/// x ← silu(x + bias), row by row.
#[inline(always)]
fn biased_silu_body<const FMA: bool>(bias: &[f32], x: &mut [f32]) {
    for row in x.chunks_exact_mut(bias.len()) {
        for (x, bias) in row.iter_mut().zip(bias) {
            let h = *x + bias;
            *x = h * sigmoid::<FMA>(h);
        }
    }
}
