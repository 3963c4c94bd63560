//! Weights in the layout of the kernels: matrices packed in panels, everything else in one buffer.

use half::f16;
use wgpu::Buffer;

use driftless_model::export::ExportedMatrix;

use super::gpu::Gpu;
use super::kernel_args::NONE;
use super::tile_variants::PANEL;
use crate::Result;

/// Collects a world's weights before upload.
#[derive(Debug, Default)]
pub struct Weights {
    /// Embedding tables, gains and biases.
    pub(super) tables: Vec<f32>,
    /// Packed matrices.
    panels: Vec<f32>,
}

/// Where a packed matrix `[n, k]` and its bias `[n]` are.
#[derive(Clone, Copy, Debug)]
pub struct MatrixRef {
    pub(super) n: u32,
    pub(super) k: u32,
    /// Offset in the panels, in vec4s.
    pub(super) panels: u32,
    /// Offset in the tables, in elements, or [`NONE`].
    pub(super) bias: u32,
}

impl Weights {
    /// Appends values to the tables; returns their offset.
    pub(super) fn push(&mut self, values: &[f32]) -> u32 {
        let at = self.tables.len();
        self.tables.extend_from_slice(values);
        self.tables
            .resize(self.tables.len().next_multiple_of(4), 0.0);
        at as u32
    }

    /// Packs a matrix of `n` outputs and `k` inputs whose elements are `weight(output, input)`.
    pub fn matrix(
        &mut self,
        n: usize,
        k: usize,
        weight: impl Fn(usize, usize) -> f32,
    ) -> MatrixRef {
        let panel = PANEL as usize;
        let at = self.panels.len();
        for first in (0..n).step_by(panel) {
            for i in 0..k {
                let outputs = first..first + panel;
                let row = outputs.map(|o| if o < n { weight(o, i) } else { 0.0 });
                self.panels.extend(row);
            }
        }
        MatrixRef {
            n: n as u32,
            k: k as u32,
            panels: (at / 4) as u32,
            bias: NONE,
        }
    }

    /// Packs a matrix as [`Self::matrix`] does, with a bias for each output.
    pub fn matrix_with_bias(
        &mut self,
        n: usize,
        k: usize,
        weight: impl Fn(usize, usize) -> f32,
        bias: &[f32],
    ) -> MatrixRef {
        let packed = self.matrix(n, k, weight);
        MatrixRef {
            bias: self.push(bias),
            ..packed
        }
    }

    /// The packed matrices.
    pub(super) fn panels(&self) -> &[f32] {
        &self.panels
    }

    /// Uploads tables, gains and biases.
    ///
    /// # Errors
    /// Returns an error if they do not fit into a buffer.
    pub(super) fn upload(&self, gpu: &Gpu) -> Result<Buffer> {
        let buffer = gpu.storage("tables", self.tables.len())?;
        let bytes = bytemuck::cast_slice(&self.tables);
        gpu.queue.write_buffer(&buffer, 0, bytes);
        Ok(buffer)
    }

    /// Uploads the packed matrices, in 16 bits if the device was opened so.
    ///
    /// # Errors
    /// Returns an error if they do not fit into a buffer.
    pub(super) fn upload_panels(&self, gpu: &Gpu) -> Result<Buffer> {
        if !gpu.half {
            let buffer = gpu.storage("matrices", self.panels.len())?;
            let bytes = bytemuck::cast_slice(&self.panels);
            gpu.queue.write_buffer(&buffer, 0, bytes);
            return Ok(buffer);
        }
        let half: Vec<f16> = self.panels.iter().copied().map(f16::from_f32).collect();
        // Panel rows are whole vec4s, so the values come in pairs.
        let buffer = gpu.storage("matrices", half.len() / 2)?;
        gpu.queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(&half));
        Ok(buffer)
    }

    /// Packs a matrix with its bias, if it has one.
    pub(super) fn linear(&mut self, matrix: &ExportedMatrix) -> MatrixRef {
        let (n, k) = (matrix.outputs, matrix.inputs);
        let weight = |o, i| matrix.at(o, i);
        match &matrix.bias {
            Some(bias) => self.matrix_with_bias(n, k, weight, bias),
            None => self.matrix(n, k, weight),
        }
    }

    /// Packs the matrix before a SwiGLU, with gate and value of each output in neighbouring columns.
    pub(super) fn swiglu_linear(&mut self, matrix: &ExportedMatrix) -> MatrixRef {
        let n = matrix.outputs;
        let source = |o: usize| o / 2 + o % 2 * (n / 2);
        let packed = self.matrix(n, matrix.inputs, |o, i| matrix.at(source(o), i));
        let Some(bias) = &matrix.bias else {
            return packed;
        };
        let bias: Vec<f32> = (0..n).map(|o| bias[source(o)]).collect();
        MatrixRef {
            bias: self.push(&bias),
            ..packed
        }
    }
}
