//! Layers of the dynamics network: offsets of their weights, and the layout of attention heads.

use driftless_model::{dynamics, layers};

use super::operations::{ArenaLayout, RmsNorm};
use super::weights::{MatrixRef, Weights};
use crate::Result;
use crate::weights::tensor_values;

/// Offsets of the embedding tables of action, signal level and step size.
pub(super) struct ConditionTables {
    pub action: u32,
    pub signal: u32,
    pub step_size: u32,
}

impl ConditionTables {
    pub fn new(weights: &mut Weights, c: &dynamics::ConditionEmbeddings) -> Result<Self> {
        Ok(Self {
            action: weights.tensor(&c.action)?,
            signal: weights.tensor(&c.signal.weight)?,
            step_size: weights.tensor(&c.step)?,
        })
    }
}

/// Attention heads in the model, and padded to whole vec4s for the kernels.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadLayout {
    /// Number of heads.
    pub count: usize,
    /// Head size in the model.
    pub size: usize,
    /// Head size for the kernels.
    pub padded: usize,
}

impl HeadLayout {
    pub fn new(count: usize, width: usize) -> Self {
        let size = width / count;
        Self {
            count,
            size,
            padded: size.next_multiple_of(4),
        }
    }

    /// Padded size of a token over all heads.
    pub fn width(self) -> usize {
        self.count * self.padded
    }

    /// Model index of the padded element `i` of a token; `None` for padding.
    pub fn source(self, i: usize) -> Option<usize> {
        let (head, at) = (i / self.padded, i % self.padded);
        (at < self.size).then_some(head * self.size + at)
    }
}

/// Offsets of an attention layer's weights.
pub(super) struct AttentionWeights {
    pub norm: RmsNorm,
    pub qkv: MatrixRef,
    pub parameters: u32,
    pub out: MatrixRef,
}

impl AttentionWeights {
    pub fn new(
        weights: &mut Weights,
        layer: &layers::AttentionLayer,
        heads: HeadLayout,
    ) -> Result<Self> {
        let (width, padded) = (heads.count * heads.size, heads.width());
        let qkv = tensor_values(&layer.qkv.weight)?;
        let out = tensor_values(&layer.out.weight)?;
        Ok(Self {
            norm: RmsNorm::new(weights, &layer.norm)?,
            qkv: weights.matrix(3 * padded, width, |o, i| {
                let source = heads.source(o % padded);
                source.map_or(0.0, |at| qkv[(o / padded * width + at) * width + i])
            }),
            parameters: weights.tensor(&layer.parameters)?,
            out: weights.matrix(width, padded, |o, i| {
                heads.source(i).map_or(0.0, |at| out[o * width + at])
            }),
        })
    }
}

/// Temporal attention of a layer and its KV cache.
pub(super) struct TemporalAttention {
    pub attention: AttentionWeights,
    pub kv_cache: KvCache,
}

/// Arena offsets of a layer's cached keys and values, each [slots, tokens, heads · padded].
#[derive(Clone, Copy, Debug)]
pub(super) struct KvCache {
    pub keys: u32,
    pub values: u32,
}

/// A transformer layer.
pub(super) struct Layer {
    pub space: AttentionWeights,
    pub time: Option<TemporalAttention>,
    pub norm: RmsNorm,
    pub up: MatrixRef,
    pub down: MatrixRef,
}

impl Layer {
    /// `cache_len` is the length of the layer's cached keys, and of its cached values.
    pub fn new(
        weights: &mut Weights,
        arena: &mut ArenaLayout,
        layer: &dynamics::Layer,
        heads: HeadLayout,
        cache_len: usize,
    ) -> Result<Self> {
        let time = match &layer.time {
            Some(time) => Some(TemporalAttention {
                attention: AttentionWeights::new(weights, time, heads)?,
                kv_cache: KvCache {
                    keys: arena.allocate(cache_len),
                    values: arena.allocate(cache_len),
                },
            }),
            None => None,
        };
        Ok(Self {
            space: AttentionWeights::new(weights, &layer.space, heads)?,
            time,
            norm: RmsNorm::new(weights, &layer.mlp.norm)?,
            up: weights.swiglu_linear(&layer.mlp.up)?,
            down: weights.linear(&layer.mlp.down)?,
        })
    }
}

/// The head that predicts reward and episode end.
pub(super) struct OutcomeHead {
    pub norm: RmsNorm,
    pub up: MatrixRef,
    pub out: MatrixRef,
}

impl OutcomeHead {
    pub fn new(weights: &mut Weights, head: &dynamics::OutcomeHead) -> Result<Self> {
        Ok(Self {
            norm: RmsNorm::new(weights, &head.norm)?,
            up: weights.linear(&head.up)?,
            out: weights.linear(&head.out)?,
        })
    }
}
