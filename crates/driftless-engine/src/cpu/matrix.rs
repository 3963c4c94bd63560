//! Weights packed once into panels of sixteen outputs, and where a product finds its rows.

use candle_core::Tensor;

use super::kernel::{LANES, Product, multiply};
use crate::Result;
use crate::weights::numbers;

/// Where the rows of a product's left side lie in a slice.
///
/// Row r starts at `(r / run) · outer + (r % run) · inner` and consists of `segments` pieces,
/// `stride` apart. So a 3×3 neighbourhood, a patch of an image or a token of merged cells is read
/// in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Rows {
    pub(super) count: usize,
    pub(super) run: usize,
    pub(super) outer: usize,
    pub(super) inner: usize,
    pub(super) segments: usize,
    pub(super) stride: usize,
}

impl Rows {
    /// `count` rows, `stride` apart.
    pub(super) fn plain(count: usize, stride: usize) -> Self {
        Self {
            count,
            run: 1,
            outer: stride,
            inner: 0,
            segments: 1,
            stride: 0,
        }
    }

    /// Blocks of `side`×`side` cells of a grid [gh, gw, c], row by row.
    pub(super) fn blocks([gh, gw]: [usize; 2], side: usize, c: usize) -> Self {
        Self {
            count: gh * gw / (side * side),
            run: gw / side,
            outer: side * gw * c,
            inner: side * c,
            segments: side,
            stride: gw * c,
        }
    }

    #[inline(always)]
    pub(super) fn start(&self, r: usize) -> usize {
        (r / self.run) * self.outer + (r % self.run) * self.inner
    }

    /// Numbers that the slice must hold for rows of `width` numbers.
    pub(super) fn extent(&self, width: usize) -> usize {
        match self.count {
            0 => 0,
            n => self.start(n - 1) + (self.segments - 1) * self.stride + width / self.segments,
        }
    }
}

/// What becomes of the old content of a product's target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Set,
    Add,
}

/// A weight matrix [outputs, inputs] in panels [outputs / 16][inputs][16], padded with zeros.
pub(super) struct Matrix {
    inputs: usize,
    outputs: usize,
    panels: Vec<f32>,
}

impl Matrix {
    pub(super) fn new(weight: &Tensor) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        let weight = numbers(weight)?;
        Ok(Self::pack(outputs, inputs, |o, i| weight[o * inputs + i]))
    }

    pub(super) fn pack(
        outputs: usize,
        inputs: usize,
        weight: impl Fn(usize, usize) -> f32,
    ) -> Self {
        let mut panels = vec![0.0; outputs.div_ceil(LANES) * inputs * LANES];
        for o in 0..outputs {
            for i in 0..inputs {
                panels[(o / LANES * inputs + i) * LANES + o % LANES] = weight(o, i);
            }
        }
        Self {
            inputs,
            outputs,
            panels,
        }
    }

    /// y ← x Wᵀ or y ← y + x Wᵀ; y [count, outputs].
    pub(super) fn apply(&self, x: &[f32], rows: Rows, y: &mut [f32], mode: Mode) {
        self.apply_into(x, rows, y, self.outputs, mode);
    }

    /// The same with rows of `y` that are `stride` apart.
    pub(super) fn apply_into(
        &self,
        x: &[f32],
        rows: Rows,
        y: &mut [f32],
        stride: usize,
        mode: Mode,
    ) {
        let product = Product {
            x,
            rows,
            panels: &self.panels,
            inputs: self.inputs,
            outputs: self.outputs,
            stride,
            mode,
        };
        multiply(&product, y);
    }
}
