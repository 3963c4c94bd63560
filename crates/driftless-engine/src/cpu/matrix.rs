//! Weight matrices packed into panels of 16 outputs.

use std::sync::Arc;

use driftless_model::export::ExportedMatrix;

use super::matmul::{LANES, MatmulArgs, multiply_on};
use super::row_layout::{RowLayout, WriteMode};
use super::workers::Workers;

/// A weight matrix `[outputs, inputs]` in panels `[outputs / 16][inputs][16]`, padded with zeros. Clones share
/// them.
#[derive(Clone)]
pub struct PackedMatrix {
    inputs: usize,
    outputs: usize,
    panels: Arc<[f32]>,
}

impl PackedMatrix {
    /// Packs a matrix. The bias, if there is one, is the caller's.
    pub fn new(matrix: &ExportedMatrix) -> Self {
        Self::pack(matrix.outputs, matrix.inputs, |o, i| matrix.at(o, i))
    }

    /// Packs the matrix whose elements are `weight(output, input)`.
    pub fn pack(outputs: usize, inputs: usize, weight: impl Fn(usize, usize) -> f32) -> Self {
        let mut panels = vec![0.0; outputs.div_ceil(LANES) * inputs * LANES];
        for o in 0..outputs {
            for i in 0..inputs {
                panels[(o / LANES * inputs + i) * LANES + o % LANES] = weight(o, i);
            }
        }
        Self {
            inputs,
            outputs,
            panels: panels.into(),
        }
    }

    /// Inputs, and outputs.
    pub fn size(&self) -> [usize; 2] {
        [self.inputs, self.outputs]
    }

    /// The panels of the outputs from `first` on, which is a multiple of 16.
    pub fn panels_from(&self, first: usize) -> &[f32] {
        &self.panels[first * self.inputs..]
    }

    /// y ← x Wᵀ, or y ← y + x Wᵀ; y is `[count, outputs]`.
    pub fn apply(
        &self,
        workers: &Workers,
        x: &[f32],
        rows: RowLayout,
        y: &mut [f32],
        mode: WriteMode,
    ) {
        self.apply_strided(workers, x, rows, y, self.outputs, mode);
    }

    /// As [`Self::apply`], with rows of `y` that are `stride` apart.
    pub(super) fn apply_strided(
        &self,
        workers: &Workers,
        x: &[f32],
        rows: RowLayout,
        y: &mut [f32],
        stride: usize,
        mode: WriteMode,
    ) {
        let product = MatmulArgs {
            x,
            rows,
            panels: &self.panels,
            inputs: self.inputs,
            outputs: self.outputs,
            stride,
            mode,
        };
        multiply_on(workers, &product, y);
    }
}
