//! A thread's buffers for the sequence that it works on.

use super::attention::{AttentionScratch, SavedAttention};
use super::attention_heads::padded;
use super::attention_temporal::FrameCounts;
use super::buffer::Buffer;
use super::cell_block::CellScratch;
use super::condition_embeddings::Condition;
use super::delta::{DeltaScratch, SavedDelta};
use super::memory::MemoryState;
use super::mlp::MlpScratch;
use super::outcome_head::{OutcomeHead, OutcomeState};
use super::recall::SavedRecall;
use super::sizes::Sizes;
use super::sublayer::Sublayer;

/// Input, output of the convolution, and output of a cell block.
pub(super) struct CellState {
    pub input: Buffer,
    pub before: Buffer,
    pub output: Buffer,
}

/// What a sublayer saves for its backward pass, besides its input.
#[derive(Default)]
pub(super) struct SavedActivations {
    pub attention: SavedAttention,
    pub delta: SavedDelta,
    pub recall: SavedRecall,
    pub up: Buffer,
}

impl SavedActivations {
    fn new(sublayer: &Sublayer, s: &Sizes, all: FrameCounts) -> Self {
        let rows = all.count * s.tokens;
        let attention = |weights: usize, own: usize| Self {
            attention: SavedAttention {
                qkv: Buffer::new(rows * 3 * s.width),
                scales: Buffer::new(rows * 2 * s.heads),
                weights: Buffer::new(weights),
                own: Buffer::new(own),
                mixed: Buffer::new(rows * s.width),
            },
            ..Self::default()
        };
        match sublayer {
            Sublayer::SpatialAttention(_) => attention(rows * s.heads * padded(s.tokens), 0),
            Sublayer::TemporalAttention(_) => {
                attention(rows * s.heads * padded(all.length), rows * s.heads)
            }
            Sublayer::Delta(_) => Self {
                delta: SavedDelta::new(s, all),
                ..Self::default()
            },
            Sublayer::Recall(_) => Self {
                recall: SavedRecall::new(s, all.count, all.length),
                ..Self::default()
            },
            Sublayer::Mlp(_) => Self {
                up: Buffer::new(rows * 2 * s.hidden),
                ..Self::default()
            },
        }
    }
}

fn attention_scratch(s: &Sizes, all: FrameCounts) -> AttentionScratch {
    let block = s.rows();
    let columns = padded(s.tokens)
        .max(padded(all.length))
        .max(s.memory_columns());
    let table = all.length * padded(all.length);
    AttentionScratch {
        normed: Buffer::new(block * s.width),
        gradient: Buffer::new(block * s.width),
        dqkv: Buffer::new(block * 3 * s.width),
        columns: Buffer::new(s.width / s.heads * columns),
        dlogits: Buffer::new(all.count.max(s.tokens) * columns),
        down: Buffer::new(all.count),
        bias: Buffer::new(table.max(columns)),
        dbias: Buffer::new(table),
    }
}

/// The buffers of a thread.
pub(super) struct SequenceBuffers {
    /// The number of frames.
    pub all: FrameCounts,
    pub conditions: Vec<Condition>,
    /// Latents with their past and a border.
    pub seen: Buffer,
    pub stem: CellState,
    /// The input of every sublayer and the output of the last one, [F, S, w].
    pub x: Vec<Buffer>,
    pub kept: Vec<SavedActivations>,
    pub head: CellState,
    /// The network's output for the noised copies, [F, gh, gw, c], and its gradient.
    pub output: Buffer,
    pub doutput: Buffer,
    pub outcome: Option<OutcomeState>,
    /// What the sequence recalls, and the gradient of its keys and values in a layer.
    pub memory: Option<MemoryState>,
    pub dmemory: Buffer,
    /// Of a network with delta states.
    pub delta: Option<DeltaScratch>,
    pub dx: Buffer,
    pub dcells: Buffer,
    /// Gradients of the input of W_out and of the projection: of temporal attention, and of a delta state.
    pub dmixed: Buffer,
    pub dqkv: Buffer,
    pub attention: AttentionScratch,
    pub mlp: MlpScratch,
    pub cells: CellScratch,
    pub merged: Buffer,
    pub latents: Buffer,
    pub dlatents: Buffer,
    pub normed: Buffer,
    pub dnormed: Buffer,
    pub bordered: Buffer,
    /// The gradient of one frame's condition embedding.
    pub condition: Buffer,
}

impl SequenceBuffers {
    /// Buffers for sequences of up to `all` frames in a network of these layers.
    pub(super) fn new(
        s: &Sizes,
        trunk: &[Sublayer],
        outcome: Option<&OutcomeHead>,
        all: FrameCounts,
    ) -> Self {
        let f = all.count;
        let rows = f * s.tokens;
        let cells = s.grid.cells() * s.stem_width;
        let state = || CellState {
            input: Buffer::new(f * cells),
            before: Buffer::new(f * cells),
            output: Buffer::new(f * cells),
        };
        let kept = trunk.iter();
        let kept = kept.map(|sublayer| SavedActivations::new(sublayer, s, all));
        let block = s.rows();
        let cell_block = s.cell_block();
        Self {
            all,
            conditions: vec![Condition::default(); f],
            seen: Buffer::new(f * s.grid.bordered(s.seen)),
            stem: state(),
            x: (0..=trunk.len())
                .map(|_| Buffer::new(rows * s.width))
                .collect(),
            kept: kept.collect(),
            head: state(),
            output: Buffer::new(f * s.grid.cells() * s.channels),
            doutput: Buffer::new(f * s.grid.cells() * s.channels),
            outcome: outcome.map(|h| h.state(all.length)),
            memory: (s.recalled > 0).then(|| MemoryState::new(s, all.length)),
            delta: trunk
                .iter()
                .any(|sublayer| matches!(sublayer, Sublayer::Delta(_)))
                .then(|| DeltaScratch::new(s, all)),
            dmemory: Buffer::new(all.length * s.memory_tokens() * 2 * s.width),
            dx: Buffer::new(rows * s.width),
            dcells: Buffer::new(f * cells),
            dmixed: Buffer::new(rows * s.width),
            dqkv: Buffer::new(rows * 3 * s.width),
            attention: attention_scratch(s, all),
            mlp: MlpScratch::new(block, s.width, s.hidden),
            cells: CellScratch::new(s.grid, s.stem_width, cell_block),
            merged: Buffer::new(cells),
            latents: Buffer::new(s.latent_tokens * s.width),
            dlatents: Buffer::new(s.latent_tokens * s.width),
            normed: Buffer::new(cell_block * cells),
            dnormed: Buffer::new(cell_block * cells),
            bordered: Buffer::new(cell_block * s.grid.bordered(s.stem_width)),
            condition: Buffer::new(s.stem_width),
        }
    }
}
