//! The networks' weights as plain numbers, for engines that compute without tensors.
//!
//! Everything is as trained: what an engine folds together, and in which order, is its own affair,
//! because it decides the last bits of a frame.

mod layers;

use self::layers::values;
use super::dynamics::{ConditionEmbeddings, Dynamics, Layer, OutcomeHead};
use super::layers::CellBlock;
use super::tokenizer::Tokenizer;
use crate::Result;

pub use self::layers::{
    ExportedAttention, ExportedCellBlock, ExportedDelta, ExportedMatrix, ExportedMemory,
    ExportedMlp, ExportedRecall, gain, matrix,
};

/// The weights of a layer of the trunk.
#[derive(Clone, Debug, PartialEq)]
pub struct ExportedLayer {
    /// Attention among the tokens of a frame.
    pub space: ExportedAttention,
    /// The state before each time attention of a network with one.
    pub delta: Option<ExportedDelta>,
    /// Attention over time, in some layers.
    pub time: Option<ExportedAttention>,
    /// Attention to recalled frames, after each time attention of a network with a memory.
    pub recall: Option<ExportedRecall>,
    /// The SwiGLU layer.
    pub mlp: ExportedMlp,
}

impl ExportedLayer {
    fn new(layer: &Layer) -> Result<Self> {
        let delta = layer.delta.as_ref().map(ExportedDelta::new);
        let recall = layer.recall.as_ref().map(ExportedRecall::new);
        Ok(Self {
            space: ExportedAttention::new(&layer.space)?,
            delta: delta.transpose()?,
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
    /// From the axes; of a world without any, a matrix without columns.
    pub axes: ExportedMatrix,
    /// From the features of the signal level.
    pub signal: ExportedMatrix,
    /// One row for each step size.
    pub step_size: Vec<f32>,
}

impl ExportedConditions {
    fn new(conditions: &ConditionEmbeddings) -> Result<Self> {
        let width = conditions.action.dim(1)?;
        let no_axes = ExportedMatrix {
            outputs: width,
            inputs: 0,
            values: Vec::new(),
            bias: None,
        };
        Ok(Self {
            width,
            axes: conditions.axes.as_ref().map_or(Ok(no_axes), matrix)?,
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
