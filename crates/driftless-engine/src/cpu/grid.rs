//! RMSNorm and SwiGLU, and layers on the grid of cells: 3×3 convolutions and residual blocks.

use driftless_model::export::ExportedCellBlock;
use driftless_model::ops::{rms_norm_rows, swiglu_rows};
use driftless_model::simd::{dispatch, sigmoid};

use super::matrix::PackedMatrix;
use super::row_layout::{RowLayout, WriteMode};
use super::workers::Workers;

/// A grid [gh, gw, c] with a border of zeros, so that every 3×3 neighbourhood is in bounds.
#[derive(Clone)]
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
    pub(super) fn fill(
        &mut self,
        workers: &Workers,
        x: &[f32],
        f: impl Fn(&[f32], &mut [f32]) + Sync,
    ) {
        let [gh, gw] = self.grid;
        let (c, row) = (self.c, gw * self.c);
        let padded = row + 2 * c;
        let interior = &mut self.data[padded..(gh + 1) * padded];
        workers.for_rows(interior, padded, workers.least().light, |first, to| {
            let from = x[first * row..].chunks_exact(row.max(1));
            for (from, to) in from.zip(to.chunks_exact_mut(padded.max(1))) {
                f(from, &mut to[c..c + row]);
            }
        });
    }

    /// 3×3 convolution of the interior into y [gh, gw, outputs].
    pub(super) fn convolve(
        &self,
        workers: &Workers,
        weight: &PackedMatrix,
        y: &mut [f32],
        mode: WriteMode,
    ) {
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
        weight.apply(workers, &self.data, rows, y, mode);
    }
}

/// RMSNorm, stored as its gain [width].
#[derive(Clone)]
pub(super) struct RmsNorm(Vec<f32>);

impl RmsNorm {
    pub(super) fn new(gain: &[f32]) -> Self {
        Self(gain.to_vec())
    }

    /// Normalizes the rows of `x` [.., width] into `y`.
    pub(super) fn apply(&self, x: &[f32], y: &mut [f32]) {
        rms_norm_rows(x, &self.0, y);
    }

    /// As [`RmsNorm::apply`], on all threads.
    pub(super) fn apply_on(&self, workers: &Workers, x: &[f32], y: &mut [f32]) {
        let width = self.0.len();
        workers.for_rows(y, width, workers.least().light, |first, y| {
            let at = first * width;
            self.apply(&x[at..at + y.len()], y);
        });
    }
}

/// x + W silu(conv₃ₓ₃(norm x) + b).
#[derive(Clone)]
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
    pub(super) fn apply(
        &self,
        workers: &Workers,
        x: &mut [f32],
        padded: &mut PaddedGrid,
        hidden: &mut [f32],
    ) {
        padded.fill(workers, x, |from, to| self.norm.apply(from, to));
        padded.convolve(workers, &self.conv, hidden, WriteMode::Set);
        let width = self.bias.len();
        workers.for_rows(hidden, width, workers.least().heavy, |_, hidden| {
            biased_silu(&self.bias, hidden);
        });
        let rows = RowLayout::contiguous(x.len() / width, width);
        self.out.apply(workers, hidden, rows, x, WriteMode::Add);
    }
}

/// SwiGLU of the rows of `x` [.., 2·hidden] into `y` [.., hidden], on all threads.
pub(super) fn swiglu_on(workers: &Workers, hidden: usize, x: &[f32], y: &mut [f32]) {
    workers.for_rows(y, hidden, workers.least().heavy, |first, y| {
        let at = first * 2 * hidden;
        swiglu_rows(hidden, &x[at..at + 2 * y.len()], y);
    });
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
