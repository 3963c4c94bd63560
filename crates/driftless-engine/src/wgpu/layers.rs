//! Layers of the dynamics network: offsets of their weights, and the layout of attention heads.

use driftless_model::export::{
    ExportedAttention, ExportedConditions, ExportedLayer, ExportedOutcomeHead,
};

use super::operations::{ArenaLayout, RmsNorm};
use super::weights::{MatrixRef, Weights};

/// Offsets of the embedding tables of action, signal level and step size.
pub(super) struct ConditionTables {
    pub action: u32,
    pub signal: u32,
    pub step_size: u32,
}

impl ConditionTables {
    pub fn new(weights: &mut Weights, conditions: &ExportedConditions) -> Self {
        Self {
            action: weights.push(&conditions.action),
            signal: weights.push(&conditions.signal.values),
            step_size: weights.push(&conditions.step_size),
        }
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
    pub fn new(weights: &mut Weights, layer: &ExportedAttention, heads: HeadLayout) -> Self {
        let (width, padded) = (heads.count * heads.size, heads.width());
        let (qkv, out) = (&layer.qkv, &layer.out);
        Self {
            norm: RmsNorm::new(weights, &layer.norm),
            qkv: weights.matrix(3 * padded, width, |o, i| {
                let source = heads.source(o % padded);
                source.map_or(0.0, |at| qkv.at(o / padded * width + at, i))
            }),
            parameters: weights.push(&layer.parameters.values),
            out: weights.matrix(width, padded, |o, i| {
                heads.source(i).map_or(0.0, |at| out.at(o, at))
            }),
        }
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
        layer: &ExportedLayer,
        heads: HeadLayout,
        cache_len: usize,
    ) -> Self {
        let time = layer.time.as_ref().map(|time| TemporalAttention {
            attention: AttentionWeights::new(weights, time, heads),
            kv_cache: KvCache {
                keys: arena.allocate(cache_len),
                values: arena.allocate(cache_len),
            },
        });
        Self {
            space: AttentionWeights::new(weights, &layer.space, heads),
            time,
            norm: RmsNorm::new(weights, &layer.norm),
            up: weights.swiglu_linear(&layer.up),
            down: weights.linear(&layer.down),
        }
    }
}

/// The head that predicts reward and episode end.
pub(super) struct OutcomeHead {
    pub norm: RmsNorm,
    pub up: MatrixRef,
    pub out: MatrixRef,
}

impl OutcomeHead {
    pub fn new(weights: &mut Weights, head: &ExportedOutcomeHead) -> Self {
        Self {
            norm: RmsNorm::new(weights, &head.norm),
            up: weights.linear(&head.up),
            out: weights.linear(&head.out),
        }
    }
}
