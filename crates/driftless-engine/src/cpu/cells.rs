//! Work on the grid of cells: 3×3 convolutions over a grid with a border, and residual blocks.

use super::matrix::{Matrix, Mode, Rows};
use crate::Result;
use crate::weights::numbers;
use driftless_model::layers;
use driftless_model::ops::rms_norm_rows;
use driftless_model::simd::{dispatch, sigmoid};

/// A grid [gh, gw, c] with a border of zeros, so that every 3×3 neighbourhood lies inside.
pub(super) struct Bordered {
    grid: [usize; 2],
    c: usize,
    data: Vec<f32>,
}

impl Bordered {
    pub(super) fn new(grid: [usize; 2], c: usize) -> Self {
        Self {
            grid,
            c,
            data: vec![0.0; (grid[0] + 2) * (grid[1] + 2) * c],
        }
    }

    /// Fills the inside row by row: `f(source row, target row)` of `x` [gh, gw, c].
    pub(super) fn fill(&mut self, x: &[f32], f: impl Fn(&[f32], &mut [f32])) {
        let [_, gw] = self.grid;
        let row = gw * self.c;
        let bordered = row + 2 * self.c;
        let targets = self.data.chunks_exact_mut(bordered.max(1)).skip(1);
        for (from, to) in x.chunks_exact(row.max(1)).zip(targets) {
            f(from, &mut to[self.c..self.c + row]);
        }
    }

    /// y ← (y +) the convolution of the inside; y [gh, gw, outputs].
    pub(super) fn convolve(&self, weight: &Matrix, y: &mut [f32], mode: Mode) {
        let [gh, gw] = self.grid;
        let row = (gw + 2) * self.c;
        let rows = Rows {
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

/// RMSNorm's gain.
pub(super) struct Norm(Vec<f32>);

impl Norm {
    pub(super) fn new(norm: &layers::Norm) -> Result<Self> {
        Ok(Self(numbers(&norm.gain)?))
    }

    /// Rows [.., width] of `x` into `y`.
    pub(super) fn apply(&self, x: &[f32], y: &mut [f32]) {
        rms_norm_rows(x, &self.0, y);
    }
}

/// x + W silu(conv₃ₓ₃(norm x) + b).
pub(super) struct CellBlock {
    norm: Norm,
    conv: Matrix,
    bias: Vec<f32>,
    out: Matrix,
}

impl CellBlock {
    pub(super) fn new(block: &layers::CellBlock) -> Result<Self> {
        Ok(Self {
            norm: Norm::new(&block.norm)?,
            conv: Matrix::new(&block.conv)?,
            bias: numbers(&block.bias)?,
            out: Matrix::new(&block.out.weight)?,
        })
    }

    /// In place on `x` [gh, gw, width]; `hidden` is as large.
    pub(super) fn apply(&self, x: &mut [f32], bordered: &mut Bordered, hidden: &mut [f32]) {
        bordered.fill(x, |from, to| self.norm.apply(from, to));
        bordered.convolve(&self.conv, hidden, Mode::Set);
        biased_silu(&self.bias, hidden);
        let width = self.bias.len();
        let rows = Rows::plain(x.len() / width, width);
        self.out.apply(hidden, rows, x, Mode::Add);
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
