//! The weights of single layers.

use std::ops::Range;

use candle_core::{Device, Tensor};

use crate::Result;
use crate::layers::{AttentionLayer, CellBlock, Linear, MlpLayer, RmsNorm};
use crate::memory::{DeltaLayer, MemoryEncoder, RecallLayer};

/// A matrix, and what is added to its products.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedMatrix {
    /// Number of rows.
    pub outputs: usize,
    /// Number of columns.
    pub inputs: usize,
    /// The elements, row by row.
    pub values: Vec<f32>,
    /// One number for each output, if the layer has a bias.
    pub bias: Option<Vec<f32>>,
}

impl ExportedMatrix {
    pub(super) fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
        let (outputs, inputs) = weight.dims2()?;
        Ok(Self {
            outputs,
            inputs,
            values: values(weight)?,
            bias: bias.map(values).transpose()?,
        })
    }

    /// The element of an output and an input.
    pub fn at(&self, output: usize, input: usize) -> f32 {
        self.values[output * self.inputs + input]
    }

    /// The bias; zeros if there is none.
    pub fn bias_or_zeros(&self) -> Vec<f32> {
        let zeros = || vec![0.0; self.outputs];
        self.bias.clone().unwrap_or_else(zeros)
    }

    /// The part of a convolution of `taps` cells that reads a range of each cell's channels, without
    /// the bias.
    pub(super) fn channels(&self, taps: usize, range: Range<usize>) -> Self {
        let all = self.inputs / taps;
        let cells = self.values.chunks_exact(all.max(1));
        Self {
            outputs: self.outputs,
            inputs: taps * range.len(),
            values: cells
                .flat_map(|cell| &cell[range.clone()])
                .copied()
                .collect(),
            bias: None,
        }
    }
}

/// The weights of a residual 3×3 block.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedCellBlock {
    /// Gain of the norm.
    pub norm: Vec<f32>,
    /// The convolution: nine cells in, row by row.
    pub conv: ExportedMatrix,
    /// The product after it.
    pub out: ExportedMatrix,
}

impl ExportedCellBlock {
    /// The weights of a block.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn new(block: &CellBlock) -> Result<Self> {
        Ok(Self {
            norm: gain(&block.norm)?,
            conv: ExportedMatrix::new(&block.conv, Some(&block.bias))?,
            out: matrix(&block.out)?,
        })
    }
}

/// The weights of an attention layer.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedAttention {
    /// Gain of the norm.
    pub norm: Vec<f32>,
    /// Queries, keys and values, one after the other, of all heads.
    pub qkv: ExportedMatrix,
    /// A row for each head: the scale of its logits, then, over time, a bias for each distance.
    pub parameters: ExportedMatrix,
    /// The product after attention.
    pub out: ExportedMatrix,
}

impl ExportedAttention {
    /// The weights of a layer.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn new(layer: &AttentionLayer) -> Result<Self> {
        Ok(Self {
            norm: gain(&layer.norm)?,
            qkv: matrix(&layer.qkv)?,
            parameters: ExportedMatrix::new(&layer.parameters, None)?,
            out: matrix(&layer.out)?,
        })
    }

    /// The logit scale of each head.
    pub fn scales(&self) -> Vec<f32> {
        self.heads().map(|head| head[0]).collect()
    }

    /// The biases of the logits, [heads, distances].
    pub fn biases(&self) -> Vec<f32> {
        self.heads().flat_map(|head| &head[1..]).copied().collect()
    }

    pub(super) fn heads(&self) -> impl Iterator<Item = &[f32]> {
        self.parameters.values.chunks_exact(self.parameters.inputs)
    }
}

/// The weights of a SwiGLU layer.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedMlp {
    /// Gain of the norm.
    pub norm: Vec<f32>,
    /// The first product: all gates, then all values.
    pub up: ExportedMatrix,
    /// The product after it.
    pub down: ExportedMatrix,
}

impl ExportedMlp {
    /// The weights of a layer.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn new(layer: &MlpLayer) -> Result<Self> {
        Ok(Self {
            norm: gain(&layer.norm)?,
            up: matrix(&layer.up)?,
            down: matrix(&layer.down)?,
        })
    }
}

/// The weights of a layer that reads recalled frames.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedRecall {
    /// Gain of the norm before the queries.
    pub norm: Vec<f32>,
    /// Queries of all heads.
    pub q: ExportedMatrix,
    /// Gain of the norm before keys and values.
    pub memory_norm: Vec<f32>,
    /// Keys and values, one after the other, of all heads.
    pub kv: ExportedMatrix,
    /// A row for each head: the scale of its logits, and the logit of reading nothing.
    pub parameters: ExportedMatrix,
    /// The product after attention.
    pub out: ExportedMatrix,
}

impl ExportedRecall {
    pub(super) fn new(layer: &RecallLayer) -> Result<Self> {
        Ok(Self {
            norm: gain(&layer.norm)?,
            q: matrix(&layer.q)?,
            memory_norm: gain(&layer.memory_norm)?,
            kv: matrix(&layer.kv)?,
            parameters: ExportedMatrix::new(&layer.parameters, None)?,
            out: matrix(&layer.out)?,
        })
    }
}

/// The weights of a layer with a delta state.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedDelta {
    /// Gain of the norm.
    pub norm: Vec<f32>,
    /// Queries of all heads.
    pub q: ExportedMatrix,
    /// Logits of how much each head reads.
    pub read_gate: ExportedMatrix,
    /// Keys and values, one after the other, of all heads.
    pub kv: ExportedMatrix,
    /// Logits of what each head keeps, then of how much it replaces.
    pub write_gates: ExportedMatrix,
    /// The product after reading.
    pub out: ExportedMatrix,
}

impl ExportedDelta {
    pub(super) fn new(layer: &DeltaLayer) -> Result<Self> {
        Ok(Self {
            norm: gain(&layer.norm)?,
            q: matrix(&layer.q)?,
            read_gate: matrix(&layer.read_gate)?,
            kv: matrix(&layer.kv)?,
            write_gates: matrix(&layer.write_gates)?,
            out: matrix(&layer.out)?,
        })
    }
}

/// The weights that turn recalled frames into tokens.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedMemory {
    /// From the cells of a token and the features of its frame.
    pub input: ExportedMatrix,
    /// Positions of the tokens, [latent tokens, width].
    pub position: Vec<f32>,
    /// The SwiGLU layer.
    pub mlp: ExportedMlp,
}

impl ExportedMemory {
    pub(super) fn new(memory: &MemoryEncoder) -> Result<Self> {
        Ok(Self {
            input: matrix(&memory.input)?,
            position: values(&memory.position)?,
            mlp: ExportedMlp::new(&memory.mlp)?,
        })
    }
}

pub(super) fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?)
}

/// The weights of a linear map.
///
/// # Errors
/// Returns an error if the device fails.
pub fn matrix(linear: &Linear) -> Result<ExportedMatrix> {
    ExportedMatrix::new(&linear.weight, linear.bias.as_ref())
}

/// The gain of a norm.
///
/// # Errors
/// Returns an error if the device fails.
pub fn gain(norm: &RmsNorm) -> Result<Vec<f32>> {
    values(&norm.gain)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::precision::Precision;

    /// The two parts of a convolution add up to it.
    #[test]
    fn parts_of_a_convolution_add_up() {
        let [cells, latent, past, outputs] = [6, 2, 3, 4];
        let tensor = |dims: &[usize]| {
            let len: usize = dims.iter().product();
            let values: Vec<f32> = (0..len).map(|i| (i * 7 % 11) as f32 - 5.0).collect();
            Tensor::from_vec(values, dims, &Device::Cpu).unwrap()
        };
        let x = tensor(&[1, 2, cells / 2, latent + past]);
        let weight = tensor(&[outputs, 9 * (latent + past)]);
        let convolve = |x: &Tensor, weight: &Tensor| {
            values(&Precision::default().conv3x3(x, weight).unwrap()).unwrap()
        };
        let whole = ExportedMatrix::new(&weight, None).unwrap();
        let part = |first: usize, count: usize| {
            let part = whole.channels(9, first..first + count);
            let shape = (part.outputs, part.inputs);
            let weight = Tensor::from_vec(part.values, shape, &Device::Cpu).unwrap();
            convolve(
                &x.narrow(3, first, count).unwrap().contiguous().unwrap(),
                &weight,
            )
        };
        let sums = part(0, latent).into_iter().zip(part(latent, past));
        let sums: Vec<f32> = sums.map(|(a, b)| a + b).collect();
        assert_eq!(sums, convolve(&x, &weight));
    }
}
