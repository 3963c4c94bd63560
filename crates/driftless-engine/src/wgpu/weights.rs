//! Weights as the kernels read them: products' matrices in panels, all else in one buffer.

use candle_core::Tensor;
use half::f16;
use wgpu::Buffer;

use super::gpu::Gpu;
use super::kernels::PANEL;
use super::ops::NONE;
use crate::Result;
use crate::weights::numbers;
use driftless_model::layers::Linear;

/// All weights of a world in the making.
#[derive(Default)]
pub(super) struct Weights {
    /// Tables, gains and biases.
    pub data: Vec<f32>,
    /// Matrices.
    panels: Vec<f32>,
}

/// Where a product's matrix [n, k] and bias [n] are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Matrix {
    pub n: u32,
    pub k: u32,
    /// Of the panels, in vec4s.
    pub panels: u32,
    /// In numbers, or [`NONE`].
    pub bias: u32,
}

impl Weights {
    /// Adds numbers; where they are.
    pub fn push(&mut self, numbers: &[f32]) -> u32 {
        let at = self.data.len();
        self.data.extend_from_slice(numbers);
        self.data.resize(self.data.len().next_multiple_of(4), 0.0);
        at as u32
    }

    /// The elements of a tensor.
    pub fn tensor(&mut self, tensor: &Tensor) -> Result<u32> {
        Ok(self.push(&numbers(tensor)?))
    }

    /// A matrix of `n` outputs and `k` inputs whose elements `weight(output, input)` gives.
    pub fn matrix(&mut self, n: usize, k: usize, weight: impl Fn(usize, usize) -> f32) -> Matrix {
        let panel = PANEL as usize;
        let at = self.panels.len();
        for first in (0..n).step_by(panel) {
            for i in 0..k {
                let outputs = first..first + panel;
                let row = outputs.map(|o| if o < n { weight(o, i) } else { 0.0 });
                self.panels.extend(row);
            }
        }
        Matrix {
            n: n as u32,
            k: k as u32,
            panels: (at / 4) as u32,
            bias: NONE,
        }
    }

    /// Tables, gains and biases on the device.
    ///
    /// # Errors
    /// They do not fit into a buffer.
    pub fn upload(&self, gpu: &Gpu) -> Result<Buffer> {
        let buffer = gpu.storage("tables", self.data.len())?;
        let bytes = bytemuck::cast_slice(&self.data);
        gpu.queue.write_buffer(&buffer, 0, bytes);
        Ok(buffer)
    }

    /// Matrices on the device, in 16 bits where that is asked of it.
    ///
    /// # Errors
    /// They do not fit into a buffer.
    pub fn upload_panels(&self, gpu: &Gpu) -> Result<Buffer> {
        if !gpu.half {
            let buffer = gpu.storage("matrices", self.panels.len())?;
            let bytes = bytemuck::cast_slice(&self.panels);
            gpu.queue.write_buffer(&buffer, 0, bytes);
            return Ok(buffer);
        }
        let half: Vec<f16> = self.panels.iter().copied().map(f16::from_f32).collect();
        // Rows of panels are whole vec4s, so there are as many pairs as half the numbers.
        let buffer = gpu.storage("matrices", half.len() / 2)?;
        gpu.queue
            .write_buffer(&buffer, 0, bytemuck::cast_slice(&half));
        Ok(buffer)
    }

    /// A matrix [n, k], row by row.
    pub fn rows(&mut self, tensor: &Tensor) -> Result<Matrix> {
        let (n, k) = tensor.dims2()?;
        let all = numbers(tensor)?;
        Ok(self.matrix(n, k, |o, i| all[o * k + i]))
    }

    /// A linear map, with its bias where it has one.
    pub fn linear(&mut self, linear: &Linear) -> Result<Matrix> {
        let matrix = self.rows(&linear.weight)?;
        Ok(match &linear.bias {
            Some(bias) => Matrix {
                bias: self.tensor(bias)?,
                ..matrix
            },
            None => matrix,
        })
    }

    /// The linear map before a SwiGLU, the halves of an output side by side.
    pub fn halves(&mut self, linear: &Linear) -> Result<Matrix> {
        let (n, k) = linear.weight.dims2()?;
        let all = numbers(&linear.weight)?;
        let of = |o: usize| o / 2 + o % 2 * (n / 2);
        let matrix = self.matrix(n, k, |o, i| all[of(o) * k + i]);
        let Some(bias) = &linear.bias else {
            return Ok(matrix);
        };
        let bias = numbers(bias)?;
        let bias: Vec<f32> = (0..n).map(|o| bias[of(o)]).collect();
        Ok(Matrix {
            bias: self.push(&bias),
            ..matrix
        })
    }
}
