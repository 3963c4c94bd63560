//! The networks' weights as plain numbers, for engines that compute without tensors.
//!
//! Everything is as trained: what an engine folds together, and in which order, is its own affair,
//! because it decides the last bits of a frame.

use std::ops::Range;

use candle_core::{Device, Tensor};

use super::dynamics::{ConditionEmbeddings, Dynamics, Layer, OutcomeHead};
use super::layers::{AttentionLayer, CellBlock, Linear, MlpLayer, RmsNorm};
use super::memory::{MemoryEncoder, RecallLayer};
use super::tokenizer::Tokenizer;
use crate::Result;

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
    fn new(weight: &Tensor, bias: Option<&Tensor>) -> Result<Self> {
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
    fn channels(&self, taps: usize, range: Range<usize>) -> Self {
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
    fn new(layer: &AttentionLayer) -> Result<Self> {
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

    fn heads(&self) -> impl Iterator<Item = &[f32]> {
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
    fn new(layer: &MlpLayer) -> Result<Self> {
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
    fn new(layer: &RecallLayer) -> Result<Self> {
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
    fn new(memory: &MemoryEncoder) -> Result<Self> {
        Ok(Self {
            input: matrix(&memory.input)?,
            position: values(&memory.position)?,
            mlp: ExportedMlp::new(&memory.mlp)?,
        })
    }
}

/// The weights of a layer of the trunk.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedLayer {
    /// Attention among the tokens of a frame.
    pub space: ExportedAttention,
    /// Attention over time, in some layers.
    pub time: Option<ExportedAttention>,
    /// Attention to recalled frames, after each time attention of a network with a memory.
    pub recall: Option<ExportedRecall>,
    /// The SwiGLU layer.
    pub mlp: ExportedMlp,
}

impl ExportedLayer {
    fn new(layer: &Layer) -> Result<Self> {
        let recall = layer.recall.as_ref().map(ExportedRecall::new);
        Ok(Self {
            space: ExportedAttention::new(&layer.space)?,
            time: layer
                .time
                .as_ref()
                .map(ExportedAttention::new)
                .transpose()?,
            recall: recall.transpose()?,
            mlp: ExportedMlp::new(&layer.mlp)?,
        })
    }
}

/// The embeddings of action, signal level and step size.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedConditions {
    /// Length of an embedding.
    pub width: usize,
    /// One row for each action.
    pub action: Vec<f32>,
    /// From the features of the signal level.
    pub signal: ExportedMatrix,
    /// One row for each step size.
    pub step_size: Vec<f32>,
}

impl ExportedConditions {
    fn new(conditions: &ConditionEmbeddings) -> Result<Self> {
        Ok(Self {
            width: conditions.action.dim(1)?,
            action: values(&conditions.action)?,
            signal: matrix(&conditions.signal)?,
            step_size: values(&conditions.step)?,
        })
    }
}

/// The weights of the head that predicts reward, end and, with a memory, the camera's motion.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedOutcomeHead {
    /// Gain of the norm.
    pub norm: Vec<f32>,
    /// The first product.
    pub up: ExportedMatrix,
    /// The second, to the outputs.
    pub out: ExportedMatrix,
}

impl ExportedOutcomeHead {
    fn new(head: &OutcomeHead) -> Result<Self> {
        Ok(Self {
            norm: gain(&head.norm)?,
            up: matrix(&head.up)?,
            out: matrix(&head.out)?,
        })
    }
}

/// The weights of the dynamics. The convolutions that read the noised latent and the past latents are
/// cut in two, because the past contributes the same to every pass over a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedDynamics {
    /// What the stem knows of action, signal level and step size.
    pub stem_conditions: ExportedConditions,
    /// The stem's 3×3 convolution of the noised latent.
    pub stem_latent: ExportedMatrix,
    /// The stem's 3×3 convolution of the past latents.
    pub stem_past: ExportedMatrix,
    /// The block of the stem.
    pub stem_block: ExportedCellBlock,
    /// From cells to a token.
    pub merge_in: ExportedMatrix,
    /// What the signal token is made of.
    pub conditions: ExportedConditions,
    /// Positions of the tokens, [tokens, width].
    pub position: Vec<f32>,
    /// The trunk.
    pub layers: Vec<ExportedLayer>,
    /// Gain of the norm after the trunk.
    pub norm_out: Vec<f32>,
    /// From a token to cells.
    pub merge_out: ExportedMatrix,
    /// The block of the head.
    pub head_block: ExportedCellBlock,
    /// Gain of the norm before the last product.
    pub head_norm: Vec<f32>,
    /// From a cell to its prediction.
    pub head_out: ExportedMatrix,
    /// From the noised latent straight to the prediction.
    pub skip_latent: ExportedMatrix,
    /// From the past latents straight to the prediction.
    pub skip_past: ExportedMatrix,
    /// Reward and end, of a network with that head.
    pub outcome: Option<ExportedOutcomeHead>,
    /// What turns recalled frames into tokens, of a network with a memory.
    pub memory: Option<ExportedMemory>,
}

impl Dynamics {
    /// The network's weights as plain numbers.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn export(&self) -> Result<ExportedDynamics> {
        let stem = ExportedMatrix::new(&self.stem_in, None)?;
        let skip = matrix(&self.skip)?;
        let (latent, all) = (self.channels, skip.inputs);
        Ok(ExportedDynamics {
            stem_conditions: ExportedConditions::new(&self.stem_conditions)?,
            stem_latent: stem.channels(9, 0..latent),
            stem_past: stem.channels(9, latent..all),
            stem_block: ExportedCellBlock::new(&self.stem_block)?,
            merge_in: matrix(&self.merge_in)?,
            conditions: ExportedConditions::new(&self.conditions)?,
            position: values(&self.position)?,
            layers: self
                .layers
                .iter()
                .map(ExportedLayer::new)
                .collect::<Result<_>>()?,
            norm_out: gain(&self.norm_out)?,
            merge_out: matrix(&self.merge_out)?,
            head_block: ExportedCellBlock::new(&self.head_block)?,
            head_norm: gain(&self.head_norm)?,
            head_out: matrix(&self.head_out)?,
            skip_latent: skip.channels(1, 0..latent),
            skip_past: skip.channels(1, latent..all),
            outcome: self
                .outcome
                .as_ref()
                .map(ExportedOutcomeHead::new)
                .transpose()?,
            memory: self.memory.as_ref().map(ExportedMemory::new).transpose()?,
        })
    }
}

/// The weights of the tokenizer.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedTokenizer {
    /// From the pixels of a patch: all gates, then all values.
    pub patch_in: ExportedMatrix,
    /// To the width of the cells.
    pub narrow: ExportedMatrix,
    /// Positions before the encoder, [cells, width].
    pub position_in: Vec<f32>,
    /// The blocks of the encoder.
    pub encoder: Vec<ExportedCellBlock>,
    /// Gain of the norm after the encoder.
    pub norm_in: Vec<f32>,
    /// From a cell to its raw latent.
    pub latent_in: ExportedMatrix,
    /// Mean of the raw latents, [cells, channels].
    pub mean: Vec<f32>,
    /// Standard deviation of the raw latents, `[channels]`.
    pub std: Vec<f32>,
    /// From a latent to a cell.
    pub latent_out: ExportedMatrix,
    /// Positions before the decoder, [cells, width].
    pub position_out: Vec<f32>,
    /// The blocks of the decoder.
    pub decoder: Vec<ExportedCellBlock>,
    /// Gain of the norm after the decoder.
    pub norm_out: Vec<f32>,
    /// To the width of a patch: all gates, then all values.
    pub widen: ExportedMatrix,
    /// To the pixels of a patch.
    pub patch_out: ExportedMatrix,
}

impl Tokenizer {
    /// The network's weights as plain numbers.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn export(&self) -> Result<ExportedTokenizer> {
        let blocks =
            |all: &[CellBlock]| -> Result<_> { all.iter().map(ExportedCellBlock::new).collect() };
        Ok(ExportedTokenizer {
            patch_in: matrix(&self.patch_in)?,
            narrow: matrix(&self.narrow)?,
            position_in: values(&self.position_in)?,
            encoder: blocks(&self.encoder)?,
            norm_in: gain(&self.norm_in)?,
            latent_in: matrix(&self.latent_in)?,
            mean: values(&self.mean)?,
            std: values(&self.std)?,
            latent_out: matrix(&self.latent_out)?,
            position_out: values(&self.position_out)?,
            decoder: blocks(&self.decoder)?,
            norm_out: gain(&self.norm_out)?,
            widen: matrix(&self.widen)?,
            patch_out: matrix(&self.patch_out)?,
        })
    }
}

fn values(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()?)
}

fn matrix(linear: &Linear) -> Result<ExportedMatrix> {
    ExportedMatrix::new(&linear.weight, linear.bias.as_ref())
}

fn gain(norm: &RmsNorm) -> Result<Vec<f32>> {
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
