//! The operations that networks are made of, as dispatches.

use super::kernels::{Kernel, PANEL, groups};
use super::ops::{Act, MatmulOp, NONE, NormOp, Rows, SampleOp, ShiftOp};
use super::program::Recorder;
use super::tuning::VARIANTS;
use super::weights::{Matrix, Weights};
use crate::Result;
use driftless_model::layers;

/// Where regions of the arena begin, handed out one after the other.
#[derive(Debug, Default)]
pub(super) struct Arena {
    pub len: u32,
}

impl Arena {
    /// A region of so many numbers; whole vec4s.
    pub fn take(&mut self, numbers: usize) -> u32 {
        let at = self.len;
        // Too many are refused when the buffer is made.
        let numbers = u32::try_from(numbers.next_multiple_of(4)).unwrap_or(u32::MAX);
        self.len = self.len.saturating_add(numbers);
        at
    }
}

impl Recorder {
    /// y ← act(x Wᵀ + b) or y ← y + it, over `m` rows.
    pub fn matmul(&mut self, w: Matrix, m: u32, x: Rows, y: Rows, act: Act, add: bool) {
        let shape = [m, w.n, w.k];
        *self.products.entry(shape).or_default() += 1;
        let variant = self.tuning.choose(shape);
        self.matmul_by(variant, w, m, [x, y], act, add);
    }

    /// The same by one of the variants.
    pub fn matmul_by(
        &mut self,
        variant: usize,
        w: Matrix,
        m: u32,
        [x, y]: [Rows; 2],
        act: Act,
        add: bool,
    ) {
        let op = MatmulOp {
            x,
            y,
            m,
            n: w.n,
            k: w.k,
            weight: w.panels,
            bias: w.bias,
            act: act as u32,
            add: u32::from(add),
            aligned: u32::from(x.is_aligned() && w.k.is_multiple_of(4)),
        };
        let groups = [w.n.div_ceil(PANEL), m.div_ceil(VARIANTS[variant].rows)];
        self.push(Kernel::Matmul(variant), &op, groups);
    }

    /// y ← x / rms(x) · gain, over `rows` rows.
    pub fn norm(&mut self, norm: Norm, rows: u32, x: Rows, y: Rows) {
        let op = NormOp {
            x,
            y,
            width: norm.width,
            gain: norm.gain,
            unused: [0; 2],
        };
        self.push(Kernel::Norm, &op, [rows, 1]);
    }

    /// y ← (x + shift) · scale over `rows` rows of `width` numbers; shift [rows, width] and scale
    /// [width] where they are not [`NONE`].
    pub fn shift(&mut self, [rows, width]: [u32; 2], x: Rows, y: Rows, shift: u32, scale: u32) {
        let op = ShiftOp {
            x,
            y,
            rows,
            width,
            shift,
            scale,
        };
        self.push(Kernel::Shift, &op, [groups(rows * width), 1]);
    }

    /// y ← x over `rows` rows of `width` numbers.
    pub fn copy(&mut self, size: [u32; 2], x: Rows, y: Rows) {
        self.shift(size, x, y, NONE, NONE);
    }

    /// A sampler's part of a frame on `numbers` numbers at `z` and `x`.
    pub fn sample(&mut self, what: Sample, [z, x]: [u32; 2], numbers: u32, index: u32) {
        let op = SampleOp {
            z,
            x,
            numbers,
            what: what as u32,
            index,
            unused: [0; 3],
        };
        self.push(Kernel::Sample, &op, [groups(numbers.div_ceil(4)), 1]);
    }

    /// x ← x + W silu(conv₃ₓ₃(norm x) + b) on a grid of cells at `x`; `bordered` is a grid with a
    /// border of zeros, `hidden` as large as x.
    pub fn block(&mut self, block: &CellBlock, grid: [u32; 2], x: u32, bordered: u32, hidden: u32) {
        let (cells, width) = (grid[0] * grid[1], block.norm.width);
        let rows = |at| Rows::plain(at, width);
        let inside = Rows::inside(bordered, grid, width);
        self.norm(block.norm, cells, rows(x), inside);
        let around = Rows::around(bordered, grid, width);
        self.matmul(block.conv, cells, around, rows(hidden), Act::Silu, false);
        self.matmul(block.out, cells, rows(hidden), rows(x), Act::None, true);
    }
}

/// What a sampler does between the network's passes; see `shaders/sample.wgsl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    /// Starting noise.
    Start = 0,
    /// A step towards the prediction.
    Step = 1,
    /// The context's version of a clean latent.
    Context = 2,
}

/// RMSNorm's gain.
#[derive(Clone, Copy, Debug)]
pub(super) struct Norm {
    pub width: u32,
    pub gain: u32,
}

impl Norm {
    pub fn new(weights: &mut Weights, norm: &layers::Norm) -> Result<Self> {
        Ok(Self {
            width: norm.gain.elem_count() as u32,
            gain: weights.tensor(&norm.gain)?,
        })
    }
}

/// A residual block on the grid of cells.
pub(super) struct CellBlock {
    norm: Norm,
    conv: Matrix,
    out: Matrix,
}

impl CellBlock {
    pub fn new(weights: &mut Weights, block: &layers::CellBlock) -> Result<Self> {
        let conv = weights.rows(&block.conv)?;
        Ok(Self {
            norm: Norm::new(weights, &block.norm)?,
            conv: Matrix {
                bias: weights.tensor(&block.bias)?,
                ..conv
            },
            out: weights.linear(&block.out)?,
        })
    }
}
