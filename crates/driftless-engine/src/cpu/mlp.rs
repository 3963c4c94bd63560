//! The feed-forward layer.

use driftless_model::export::ExportedMlp;
use driftless_model::simd::{dispatch, sigmoid};

use super::attention::TokenShape;
use super::grid::RmsNorm;
use super::matmul::{LANES, MatmulArgs, multiply, share};
use super::matrix::PackedMatrix;
use super::row_layout::{RowLayout, WriteMode};
use super::shared_slice::SharedSlice;
use super::workers::Workers;

/// Outputs of the first matrix that are multiplied at a time: 16 gates, then their 16 values.
const PAIR: usize = 2 * LANES;

/// Feed-forward layer: x + W_down swiglu(W_up norm x).
#[derive(Clone)]
pub(super) struct PackedMlp {
    norm: RmsNorm,
    /// Pairs of panels: gates and values.
    up: PackedMatrix,
    down: PackedMatrix,
    hidden: usize,
}

/// Buffers shared by all feed-forward layers.
#[derive(Clone)]
pub(super) struct MlpScratch {
    shape: TokenShape,
    normed: Vec<f32>,
    /// [tokens, hidden].
    hidden: Vec<f32>,
    /// For each thread, a pair of panels' outputs, [tokens, 32].
    pairs: Vec<Vec<f32>>,
}

impl MlpScratch {
    /// For one thread.
    pub(super) fn new(shape: TokenShape, hidden: usize) -> Self {
        let mut scratch = Self {
            shape,
            normed: vec![0.0; shape.tokens * shape.width()],
            hidden: vec![0.0; shape.tokens * hidden],
            pairs: Vec::new(),
        };
        scratch.reserve(1);
        scratch
    }

    /// Makes room for `threads` threads.
    pub(super) fn reserve(&mut self, threads: usize) {
        let len = self.shape.tokens * PAIR;
        let more = threads.max(self.pairs.len());
        self.pairs.resize_with(more, || vec![0.0; len]);
    }
}

impl PackedMlp {
    pub(super) fn new(layer: &ExportedMlp) -> Self {
        let hidden = layer.down.inputs;
        let pairs = hidden.div_ceil(LANES);
        // Each pair's outputs go through the SwiGLU while they are in the cache of whoever computed them.
        let up = PackedMatrix::pack(pairs * PAIR, layer.up.inputs, |o, i| {
            let at = o / PAIR * LANES + o % LANES;
            let row = if o % PAIR < LANES { at } else { hidden + at };
            if at < hidden {
                layer.up.at(row, i)
            } else {
                0.0
            }
        });
        Self {
            norm: RmsNorm::new(&layer.norm),
            up,
            down: PackedMatrix::new(&layer.down),
            hidden,
        }
    }

    /// Hidden width of the SwiGLU.
    pub(super) fn hidden(&self) -> usize {
        self.hidden
    }

    /// Updates `x` [tokens, width] in place.
    pub(super) fn apply(&self, workers: &Workers, x: &mut [f32], t: &mut MlpScratch) {
        let shape = t.shape;
        self.norm.apply_on(workers, x, &mut t.normed);
        self.gated(workers, t);
        let rows = RowLayout::contiguous(shape.tokens, self.hidden);
        self.down.apply(workers, &t.hidden, rows, x, WriteMode::Add);
    }

    /// Writes swiglu(W_up `t.normed`) into `t.hidden`.
    fn gated(&self, workers: &Workers, t: &mut MlpScratch) {
        let [inputs, outputs] = self.up.size();
        let (pairs, rows) = (outputs / PAIR, t.shape.rows());
        let least = workers.least().product;
        let tasks = (rows.count * inputs * outputs / least.max(1)).max(1);
        let size = share(pairs, workers.threads(), tasks);
        let (normed, hidden) = (&t.normed, SharedSlice::new(&mut t.hidden));
        workers.run_with(&mut t.pairs, pairs.div_ceil(size), |own, task| {
            for pair in task * size..pairs.min((task + 1) * size) {
                let product = MatmulArgs {
                    x: normed,
                    rows,
                    panels: self.up.panels_from(pair * PAIR),
                    inputs,
                    outputs: PAIR,
                    stride: PAIR,
                    mode: WriteMode::Set,
                };
                multiply(&product, own);
                swiglu_pair(own, &hidden, self.hidden, pair * LANES);
            }
        });
    }
}

dispatch!(fn swiglu_pair = swiglu_pair_body(x: &[f32], y: &SharedSlice<f32>, hidden: usize, first: usize));
/// SwiGLU of the rows of `x` [rows, 32], 16 gates and 16 values, into the columns of `y` [rows, hidden]
/// from `first` on.
#[inline(always)]
fn swiglu_pair_body<const FMA: bool>(x: &[f32], y: &SharedSlice<f32>, hidden: usize, first: usize) {
    let width = LANES.min(hidden - first);
    for (row, x) in x.as_chunks::<PAIR>().0.iter().enumerate() {
        let mut out = [0f32; LANES];
        for lane in 0..LANES {
            out[lane] = x[lane] * sigmoid::<FMA>(x[lane]) * x[LANES + lane];
        }
        // SAFETY: each task has its own columns.
        #[expect(unsafe_code, reason = "each task writes its own columns")]
        let y = unsafe { y.slice_mut(row * hidden + first, width) };
        y.copy_from_slice(&out[..width]);
    }
}
