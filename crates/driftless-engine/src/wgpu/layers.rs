//! Layers of the dynamics network: offsets of their weights.

use driftless_model::export::{
    ExportedAttention, ExportedConditions, ExportedDelta, ExportedLayer, ExportedMemory,
    ExportedMlp, ExportedOutcomeHead, ExportedRecall,
};

use super::heads::HeadLayout;
use super::kernel_args::{Activation, RowLayout};
use super::operations::{ArenaLayout, RmsNorm};
use super::program::ProgramBuilder;
use super::weights::{MatrixRef, Weights};

/// Offsets of the embeddings of action, signal level and step size.
pub(super) struct ConditionTables {
    pub action: u32,
    pub signal: u32,
    pub step_size: u32,
    /// Of the map of the axes, and their number.
    pub axes: (u32, u32),
}

impl ConditionTables {
    pub fn new(weights: &mut Weights, conditions: &ExportedConditions) -> Self {
        Self {
            action: weights.push(&conditions.action),
            signal: weights.push(&conditions.signal.values),
            step_size: weights.push(&conditions.step_size),
            axes: (
                weights.push(&conditions.axes.values),
                conditions.axes.inputs as u32,
            ),
        }
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
        Self {
            norm: RmsNorm::new(weights, &layer.norm),
            qkv: heads.into_heads(weights, 3, &layer.qkv),
            parameters: weights.push(&layer.parameters.values),
            out: heads.out_of_heads(weights, &layer.out),
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
        Self {
            norm: RmsNorm::new(weights, &layer.norm),
            q: heads.into_heads(weights, 1, &layer.q),
            memory_norm: RmsNorm::new(weights, &layer.memory_norm),
            kv: heads.into_heads(weights, 2, &layer.kv),
            parameters: weights.push(&layer.parameters.values),
            out: heads.out_of_heads(weights, &layer.out),
            read: arena.allocate(memory_tokens * 2 * heads.width()),
        }
    }
}

/// Offsets of the weights of a layer with a delta state, and its state, [tokens, heads, padded, padded].
pub(super) struct Delta {
    pub norm: RmsNorm,
    pub q: MatrixRef,
    pub read_gate: MatrixRef,
    pub kv: MatrixRef,
    pub write_gates: MatrixRef,
    pub out: MatrixRef,
    pub state: u32,
}

impl Delta {
    fn new(
        weights: &mut Weights,
        arena: &mut ArenaLayout,
        layer: &ExportedDelta,
        heads: HeadLayout,
        tokens: usize,
    ) -> Self {
        Self {
            norm: RmsNorm::new(weights, &layer.norm),
            q: heads.into_heads(weights, 1, &layer.q),
            read_gate: weights.linear(&layer.read_gate),
            kv: heads.into_heads(weights, 2, &layer.kv),
            write_gates: weights.linear(&layer.write_gates),
            out: heads.out_of_heads(weights, &layer.out),
            state: arena.allocate(tokens * heads.width() * heads.padded),
        }
    }
}

/// Offsets of the weights of a SwiGLU layer.
pub(super) struct Mlp {
    pub norm: RmsNorm,
    pub up: MatrixRef,
    pub down: MatrixRef,
}

impl Mlp {
    fn new(weights: &mut Weights, layer: &ExportedMlp) -> Self {
        Self {
            norm: RmsNorm::new(weights, &layer.norm),
            up: weights.swiglu_linear(&layer.up),
            down: weights.linear(&layer.down),
        }
    }

    /// x ← x + W_down swiglu(W_up norm x) over `rows` rows. Scratch: `normed` is as large as x, `hidden` is
    /// [rows, hidden width].
    pub fn record(
        &self,
        r: &mut ProgramBuilder,
        rows: u32,
        x: RowLayout,
        [normed, hidden]: [u32; 2],
    ) {
        let normed = RowLayout::contiguous(normed, self.norm.width);
        let hidden = RowLayout::contiguous(hidden, self.down.k);
        r.rms_norm(self.norm, rows, x, normed);
        r.matmul_activated(self.up, rows, normed, hidden, Activation::SwiGlu);
        r.matmul_add(self.down, rows, hidden, x);
    }
}

/// Offsets of what turns recalled frames into tokens, and of these tokens, of `rows` memory tokens.
pub(super) struct MemoryEncoder {
    pub rows: u32,
    pub inputs: u32,
    pub input: MatrixRef,
    /// Positions of all memory tokens, in the weights.
    pub position: u32,
    pub mlp: Mlp,
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
            mlp: Mlp::new(weights, &memory.mlp),
            cells: arena.allocate(rows * inputs),
            tokens: arena.allocate(rows * width),
            normed: arena.allocate(rows * width),
            hidden: arena.allocate(rows * memory.mlp.down.inputs),
        }
    }
}

/// Sizes of a layer's buffers.
#[derive(Clone, Copy, Debug)]
pub(super) struct LayerSizes {
    /// Tokens of a frame.
    pub tokens: usize,
    /// Elements of the cached keys, and of the cached values.
    pub cache_len: usize,
    /// The most tokens of a memory.
    pub memory_tokens: usize,
}

/// A transformer layer.
pub(super) struct Layer {
    pub space: AttentionWeights,
    pub delta: Option<Delta>,
    pub time: Option<TemporalAttention>,
    pub recall: Option<Recall>,
    pub mlp: Mlp,
}

impl Layer {
    /// A layer with buffers of these sizes.
    pub fn new(
        weights: &mut Weights,
        arena: &mut ArenaLayout,
        layer: &ExportedLayer,
        heads: HeadLayout,
        sizes: LayerSizes,
    ) -> Self {
        let LayerSizes {
            tokens,
            cache_len,
            memory_tokens,
        } = sizes;
        let time = layer.time.as_ref().map(|time| TemporalAttention {
            attention: AttentionWeights::new(weights, time, heads),
            kv_cache: KvCache {
                keys: arena.allocate(cache_len),
                values: arena.allocate(cache_len),
            },
        });
        let (delta, recall) = (layer.delta.as_ref(), layer.recall.as_ref());
        Self {
            space: AttentionWeights::new(weights, &layer.space, heads),
            delta: delta.map(|delta| Delta::new(weights, arena, delta, heads, tokens)),
            time,
            recall: recall.map(|recall| Recall::new(weights, arena, recall, heads, memory_tokens)),
            mlp: Mlp::new(weights, &layer.mlp),
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
