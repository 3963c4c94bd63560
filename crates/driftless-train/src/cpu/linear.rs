//! Linear layers and 3×3 convolutions with packed weights, and their gradients.

use super::matmul::{PANEL, Product, Rows, SumLoop, multiply, multiply_down, single_loop};
use super::parameters::{Layout, Matrix, Slot, Weights};
use super::row_ops::{add_row, sum_rows};
use crate::Result;

/// The linear layer y = x Wᵀ, with or without a bias.
#[derive(Clone, Copy, Debug)]
pub(super) struct Linear {
    matrix: Matrix,
    bias: Option<Slot>,
}

impl Linear {
    pub(super) fn new(layout: &mut Layout, name: &str, bias: bool) -> Result<Self> {
        Ok(Self {
            matrix: layout.matrix(&format!("{name}.weight"))?,
            bias: bias
                .then(|| layout.slot(&format!("{name}.bias")))
                .transpose()?,
        })
    }

    pub(super) fn outputs(&self) -> usize {
        self.matrix.outputs
    }

    pub(super) fn inputs(&self) -> usize {
        self.matrix.inputs
    }

    /// y ← x Wᵀ + b for as many rows as `y` has.
    pub(super) fn forward(&self, w: &Weights, x: &[f32], y: &mut [f32]) {
        self.apply(w, x, Rows::Every(self.matrix.inputs), y, false);
    }

    /// y ← y + x Wᵀ + b.
    pub(super) fn forward_add(&self, w: &Weights, x: &[f32], y: &mut [f32]) {
        self.apply(w, x, Rows::Every(self.matrix.inputs), y, true);
    }

    /// y ← x Wᵀ + b, or y ← y + x Wᵀ + b, for any rows of `x`.
    pub(super) fn apply(&self, w: &Weights, x: &[f32], rows: Rows, y: &mut [f32], add: bool) {
        let Matrix {
            outputs, inputs, ..
        } = self.matrix;
        let product = Product {
            size: [y.len() / outputs, outputs],
            a: x,
            rows,
            b: w.panels(self.matrix.forward),
            panel: inputs * PANEL,
            sum: single_loop(inputs, 1, PANEL),
            stride: outputs,
            add,
        };
        multiply(&product, y);
        if let Some(bias) = self.bias {
            add_row(w.get(bias), y);
        }
    }

    /// dx ← dy W.
    pub(super) fn input_gradient(&self, w: &Weights, dy: &[f32], dx: &mut [f32]) {
        let Matrix {
            outputs, inputs, ..
        } = self.matrix;
        let product = Product {
            size: [dx.len() / inputs, inputs],
            a: dy,
            rows: Rows::Every(outputs),
            b: w.panels(self.matrix.backward),
            panel: outputs * PANEL,
            sum: single_loop(outputs, 1, PANEL),
            stride: inputs,
            add: false,
        };
        multiply(&product, dx);
    }

    /// dW ← dW + dyᵀ x, db ← db + Σ dy.
    pub(super) fn weight_gradient(&self, dy: &[f32], x: &[f32], gradient: &mut [f32]) {
        let Matrix {
            outputs, inputs, ..
        } = self.matrix;
        let rows = [
            SumLoop::ONE,
            SumLoop::ONE,
            SumLoop {
                count: dy.len() / outputs,
                a: outputs,
                b: inputs,
            },
        ];
        self.weight_gradient_of(dy, x, rows, gradient);
    }

    /// The same for any rows of `x`, which `rows` enumerates.
    pub(super) fn weight_gradient_of(
        &self,
        dy: &[f32],
        x: &[f32],
        rows: [SumLoop; 3],
        gradient: &mut [f32],
    ) {
        let Matrix {
            outputs, inputs, ..
        } = self.matrix;
        if dy.is_empty() {
            return;
        }
        let product = Product {
            size: [outputs, inputs],
            a: dy,
            rows: Rows::Every(1),
            b: x,
            panel: PANEL,
            sum: rows,
            stride: inputs,
            add: true,
        };
        multiply_down(&product, self.matrix.weight.of_mut(gradient));
        if let Some(bias) = self.bias {
            sum_rows(dy, bias.of_mut(gradient));
        }
    }
}

/// A grid of cells with a border of zeros around every frame, [frames, gh + 2, gw + 2, channels].
#[derive(Clone, Copy, Debug)]
pub(super) struct Grid {
    pub height: usize,
    pub width: usize,
}

impl Grid {
    pub(super) fn cells(&self) -> usize {
        self.height * self.width
    }

    /// Numbers per frame with its border.
    pub(super) fn bordered(&self, channels: usize) -> usize {
        (self.height + 2) * (self.width + 2) * channels
    }

    /// Distance between two rows of cells, with the border.
    pub(super) fn line(&self, channels: usize) -> usize {
        (self.width + 2) * channels
    }

    /// Index of the first cell inside the border.
    pub(super) fn inside(&self, channels: usize) -> usize {
        self.line(channels) + channels
    }

    /// Index at which the neighbourhood of each cell starts.
    pub(super) fn starts(&self, channels: usize) -> Vec<usize> {
        (0..self.cells())
            .map(|i| (i / self.width) * self.line(channels) + i % self.width * channels)
            .collect()
    }

    /// Copies cells [cells, channels] into the border.
    pub(super) fn put(&self, channels: usize, from: &[f32], to: &mut [f32]) {
        let (row, line) = (self.width * channels, self.line(channels));
        for (y, from) in from.chunks_exact(row).enumerate() {
            let at = self.inside(channels) + y * line;
            to[at..at + row].copy_from_slice(from);
        }
    }
}

/// A 3×3 convolution with zero padding.
pub(super) struct Convolution {
    matrix: Matrix,
    grid: Grid,
    channels: usize,
    /// Start indices of the cells' neighbourhoods, with input and with output channels.
    starts: Vec<usize>,
    starts_back: Vec<usize>,
}

impl Convolution {
    pub(super) fn new(layout: &mut Layout, name: &str, grid: Grid) -> Result<Self> {
        let matrix = layout.convolution(name)?;
        let channels = matrix.inputs / 9;
        Ok(Self {
            matrix,
            grid,
            channels,
            starts: grid.starts(channels),
            starts_back: grid.starts(matrix.outputs),
        })
    }

    /// Computes y [cells, outputs] of one frame, or adds to it; `x` has a border.
    pub(super) fn forward(&self, w: &Weights, x: &[f32], y: &mut [f32], add: bool) {
        let (c, m) = (self.channels, self.matrix.outputs);
        let product = Product {
            size: [self.grid.cells(), m],
            a: x,
            rows: Rows::At(&self.starts),
            b: w.panels(self.matrix.forward),
            panel: 9 * c * PANEL,
            sum: lines(self.grid.line(c), 3 * c),
            stride: m,
            add,
        };
        multiply(&product, y);
    }

    /// Computes dx [cells, channels] of one frame; `dy` has a border.
    pub(super) fn input_gradient(&self, w: &Weights, dy: &[f32], dx: &mut [f32]) {
        let (c, m) = (self.channels, self.matrix.outputs);
        let product = Product {
            size: [self.grid.cells(), c],
            a: dy,
            rows: Rows::At(&self.starts_back),
            b: w.panels(self.matrix.backward),
            panel: 9 * m * PANEL,
            sum: lines(self.grid.line(m), 3 * m),
            stride: c,
            add: false,
        };
        multiply(&product, dx);
    }

    /// Adds dW of some frames; `x` and `dy` have borders.
    pub(super) fn weight_gradient(
        &self,
        frames: usize,
        dy: &[f32],
        x: &[f32],
        gradient: &mut [f32],
    ) {
        let (c, m, g) = (self.channels, self.matrix.outputs, self.grid);
        if frames == 0 {
            return;
        }
        let gradient = self.matrix.weight.of_mut(gradient);
        for tap in 0..3 {
            let level = |count, a, b| SumLoop { count, a, b };
            let product = Product {
                size: [m, 3 * c],
                a: &dy[g.inside(m)..],
                rows: Rows::Every(1),
                b: &x[tap * g.line(c)..],
                panel: PANEL,
                sum: [
                    level(frames, g.bordered(m), g.bordered(c)),
                    level(g.height, g.line(m), g.line(c)),
                    level(g.width, m, c),
                ],
                stride: 9 * c,
                add: true,
            };
            multiply(&product, &mut gradient[tap * 3 * c..]);
        }
    }
}

/// The loops over the three rows of a neighbourhood, each of `run` numbers.
fn lines(line: usize, run: usize) -> [SumLoop; 3] {
    [
        SumLoop::ONE,
        SumLoop {
            count: 3,
            a: line,
            b: run * PANEL,
        },
        SumLoop {
            count: run,
            a: 1,
            b: PANEL,
        },
    ]
}
