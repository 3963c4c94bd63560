//! What the dynamics network consists of: its weights, and its scratch regions of the arena.

use driftless_model::config::WorldConfig;
use driftless_model::export::ExportedDynamics;

use super::heads::HeadLayout;
use super::kernel_args::NONE;
use super::layers::{ConditionTables, Layer, LayerSizes, MemoryEncoder, OutcomeHead};
use super::operations::{ArenaLayout, CellBlock, RmsNorm};
use super::weights::{MatrixRef, Weights};

/// The weights, and the KV caches of the layers.
pub(super) struct DynamicsWeights {
    pub stem_conditions: ConditionTables,
    pub stem_latent: MatrixRef,
    pub stem_past: MatrixRef,
    pub stem_block: CellBlock,
    pub merge_in: MatrixRef,
    pub conditions: ConditionTables,
    pub layers: Vec<Layer>,
    pub norm_out: RmsNorm,
    pub merge_out: MatrixRef,
    pub head_block: CellBlock,
    pub head_norm: RmsNorm,
    pub head_out: MatrixRef,
    pub skip_latent: MatrixRef,
    pub skip_past: MatrixRef,
    pub outcome_head: Option<OutcomeHead>,
    pub memory: Option<MemoryEncoder>,
}

impl DynamicsWeights {
    /// Packs the weights.
    pub fn new(
        weights: &mut Weights,
        arena: &mut ArenaLayout,
        net: &ExportedDynamics,
        heads: HeadLayout,
        sizes: LayerSizes,
    ) -> Self {
        let memory_tokens = sizes.memory_tokens;
        let layers = net.layers.iter();
        let layers = layers.map(|layer| Layer::new(weights, arena, layer, heads, sizes));
        let layers = layers.collect();
        let (head_out, skip_past) = (
            weights.linear(&net.head_out),
            weights.linear(&net.skip_past),
        );
        let outcome_head = net.outcome.as_ref();
        let memory = net.memory.as_ref();
        Self {
            stem_conditions: ConditionTables::new(weights, &net.stem_conditions),
            stem_latent: weights.linear(&net.stem_latent),
            stem_past: weights.linear(&net.stem_past),
            stem_block: CellBlock::new(weights, &net.stem_block),
            merge_in: weights.linear(&net.merge_in),
            conditions: ConditionTables::new(weights, &net.conditions),
            layers,
            norm_out: RmsNorm::new(weights, &net.norm_out),
            merge_out: weights.linear(&net.merge_out),
            head_block: CellBlock::new(weights, &net.head_block),
            head_norm: RmsNorm::new(weights, &net.head_norm),
            // Its bias is added with the skip connection of the past, once per frame.
            head_out: MatrixRef {
                bias: NONE,
                ..head_out
            },
            skip_latent: weights.linear(&net.skip_latent),
            skip_past: MatrixRef {
                bias: head_out.bias,
                ..skip_past
            },
            memory: memory.map(|memory| MemoryEncoder::new(weights, arena, memory, memory_tokens)),
            outcome_head: outcome_head.map(|head| OutcomeHead::new(weights, head)),
        }
    }
}

/// Arena regions of intermediate results. The borders of the padded ones stay 0.
pub(super) struct ScratchRegions {
    /// Contribution of past frames to the stem and to the output; they hold for a frame.
    pub cells_start: u32,
    pub output_start: u32,
    pub cells: u32,
    pub cells_hidden: u32,
    pub padded_latent: u32,
    pub padded_past: u32,
    pub padded_cells: u32,
    /// Residual stream, [tokens, width].
    pub stream: u32,
    pub normed: u32,
    pub qkv: u32,
    pub attention_out: u32,
    /// Logits of reading and writing a delta state, [tokens, heads] and [tokens, 2 · heads].
    pub read_gates: u32,
    pub write_gates: u32,
    pub hidden: u32,
    pub outcome_hidden: u32,
}

impl ScratchRegions {
    pub fn new(arena: &mut ArenaLayout, config: &WorldConfig, heads: HeadLayout) -> Self {
        let (d, c) = (&config.dynamics, config.tokenizer.channels);
        let ([gh, gw], cells, tokens) = (config.grid(), config.cells(), config.tokens());
        let padded_cells = (gh + 2) * (gw + 2);
        Self {
            cells_start: arena.allocate(cells * d.stem_width),
            output_start: arena.allocate(cells * c),
            cells: arena.allocate(cells * d.stem_width),
            cells_hidden: arena.allocate(cells * d.stem_width),
            padded_latent: arena.allocate(padded_cells * c),
            padded_past: arena.allocate(padded_cells * d.stem_frames * c),
            padded_cells: arena.allocate(padded_cells * d.stem_width),
            stream: arena.allocate(tokens * d.width),
            normed: arena.allocate(tokens * d.width),
            qkv: arena.allocate(tokens * 3 * heads.width()),
            attention_out: arena.allocate(tokens * heads.width()),
            read_gates: arena.allocate(tokens * d.heads),
            write_gates: arena.allocate(2 * tokens * d.heads),
            hidden: arena.allocate(tokens * d.mlp),
            outcome_hidden: arena.allocate(d.outcome),
        }
    }
}
