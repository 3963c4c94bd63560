//! Layers of the dynamics network: offsets of their weights, and the layout of attention heads.

use driftless_model::export::{
    ExportedAttention, ExportedConditions, ExportedLayer, ExportedMatrix, ExportedMemory,
    ExportedOutcomeHead, ExportedRecall,
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

/// Offsets of a layer that reads recalled frames: its weights, and the keys and values of these frames,
/// [memory tokens, 2 · heads · padded].
pub(super) struct Recall {
    pub norm: RmsNorm,
    pub q: MatrixRef,
    pub memory_norm: RmsNorm,
    pub kv: MatrixRef,
    pub parameters: u32,
    pub out: MatrixRef,
    pub read: u32,
}

impl Recall {
    fn new(
        weights: &mut Weights,
        arena: &mut ArenaLayout,
        layer: &ExportedRecall,
        heads: HeadLayout,
        memory_tokens: usize,
    ) -> Self {
        let (width, padded) = (heads.count * heads.size, heads.width());
        let rows = |weights: &mut Weights, parts: usize, matrix: &ExportedMatrix| {
            weights.matrix(parts * padded, width, |o, i| {
                let source = heads.source(o % padded);
                source.map_or(0.0, |at| matrix.at(o / padded * width + at, i))
            })
        };
        Self {
            norm: RmsNorm::new(weights, &layer.norm),
            q: rows(weights, 1, &layer.q),
            memory_norm: RmsNorm::new(weights, &layer.memory_norm),
            kv: rows(weights, 2, &layer.kv),
            parameters: weights.push(&layer.parameters.values),
            out: weights.matrix(width, padded, |o, i| {
                heads.source(i).map_or(0.0, |at| layer.out.at(o, at))
            }),
            read: arena.allocate(memory_tokens * 2 * padded),
        }
    }
}

/// Offsets of what turns recalled frames into tokens, and of these tokens, of `rows` memory tokens.
pub(super) struct MemoryEncoder {
    pub rows: u32,
    pub inputs: u32,
    pub input: MatrixRef,
    /// Positions of all memory tokens, in the weights.
    pub position: u32,
    pub norm: RmsNorm,
    pub up: MatrixRef,
    pub down: MatrixRef,
    /// Arena offsets: cells and features, tokens, and scratch.
    pub cells: u32,
    pub tokens: u32,
    pub normed: u32,
    pub hidden: u32,
}

impl MemoryEncoder {
    pub fn new(
        weights: &mut Weights,
        arena: &mut ArenaLayout,
        memory: &ExportedMemory,
        rows: usize,
    ) -> Self {
        let (inputs, width) = (memory.input.inputs, memory.input.outputs);
        let frames = rows * width / memory.position.len();
        Self {
            rows: rows as u32,
            inputs: inputs as u32,
            input: weights.linear(&memory.input),
            position: weights.push(&memory.position.repeat(frames)),
            norm: RmsNorm::new(weights, &memory.mlp.norm),
            up: weights.swiglu_linear(&memory.mlp.up),
            down: weights.linear(&memory.mlp.down),
            cells: arena.allocate(rows * inputs),
            tokens: arena.allocate(rows * width),
            normed: arena.allocate(rows * width),
            hidden: arena.allocate(rows * memory.mlp.down.inputs),
        }
    }
}

/// A transformer layer.
pub(super) struct Layer {
    pub space: AttentionWeights,
    pub time: Option<TemporalAttention>,
    pub recall: Option<Recall>,
    pub norm: RmsNorm,
    pub up: MatrixRef,
    pub down: MatrixRef,
}

impl Layer {
    /// `cache_len` is the length of the layer's cached keys, and of its cached values; a memory has up to
    /// `memory_tokens` tokens.
    pub fn new(
        weights: &mut Weights,
        arena: &mut ArenaLayout,
        layer: &ExportedLayer,
        heads: HeadLayout,
        (cache_len, memory_tokens): (usize, usize),
    ) -> Self {
        let time = layer.time.as_ref().map(|time| TemporalAttention {
            attention: AttentionWeights::new(weights, time, heads),
            kv_cache: KvCache {
                keys: arena.allocate(cache_len),
                values: arena.allocate(cache_len),
            },
        });
        let recall = layer.recall.as_ref();
        Self {
            space: AttentionWeights::new(weights, &layer.space, heads),
            time,
            recall: recall.map(|recall| Recall::new(weights, arena, recall, heads, memory_tokens)),
            norm: RmsNorm::new(weights, &layer.mlp.norm),
            up: weights.swiglu_linear(&layer.mlp.up),
            down: weights.linear(&layer.mlp.down),
        }
    }
}

/// The head that predicts reward, episode end and, with a memory, the camera's motion.
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
