//! A thread's buffers for the sequence that it works on.

use std::ops::Range;

use super::attention::{AttentionScratch, SavedAttention};
use super::attention_spatial::padded;
use super::attention_temporal::FrameCounts;
use super::buffer::Buffer;
use super::cell_block::CellScratch;
use super::condition_embeddings::Condition;
use super::dynamics::{DynamicsNetwork, Sublayer};
use super::linear::Grid;
use super::memory::MemoryState;
use super::mlp::MlpScratch;
use super::outcome_head::OutcomeState;
use super::recall::SavedRecall;
use driftless_model::config::WorldConfig;
use driftless_model::memory::MEMORY_FEATURES;

/// Rows processed together by a layer: enough for long sums in the gradients of the weights, few enough
/// for the second-level cache.
const ROWS: usize = 256;

/// The sizes of a dynamics network.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sizes {
    pub grid: Grid,
    pub merge: usize,
    pub channels: usize,
    /// Channels of a latent and its past.
    pub seen: usize,
    pub stem_width: usize,
    pub width: usize,
    pub heads: usize,
    /// Hidden width of the SwiGLU.
    pub hidden: usize,
    pub tokens: usize,
    pub latent_tokens: usize,
    /// Frames that a frame recalls; 0 without a memory.
    pub recalled: usize,
}

impl Sizes {
    pub(super) fn new(config: &WorldConfig) -> Self {
        let d = &config.dynamics;
        let [height, width] = config.grid();
        Self {
            grid: Grid { height, width },
            merge: d.merge,
            channels: config.tokenizer.channels,
            seen: config.tokenizer.channels * (1 + d.stem_frames),
            stem_width: d.stem_width,
            width: d.width,
            heads: d.heads,
            hidden: d.mlp,
            tokens: config.tokens(),
            latent_tokens: config.latent_tokens(),
            recalled: d.memory.as_ref().map_or(0, |memory| memory.frames),
        }
    }

    /// Memory tokens that a frame reads, K.
    pub(super) fn memory_tokens(&self) -> usize {
        self.recalled * self.latent_tokens
    }

    /// [`Self::memory_tokens`], rounded up to whole vectors.
    pub(super) fn memory_columns(&self) -> usize {
        padded(self.memory_tokens())
    }

    /// Inputs of a memory token: its cells, and the features of its frame.
    pub(super) fn memory_inputs(&self) -> usize {
        self.merge * self.merge * self.channels + MEMORY_FEATURES
    }

    /// First cell of a row of a token. A token has `merge` rows of `merge` cells.
    pub(super) fn piece(&self, index: usize) -> usize {
        let (token, line) = (index / self.merge, index % self.merge);
        let across = self.grid.width / self.merge;
        let (row, column) = (token / across, token % across);
        (row * self.merge + line) * self.grid.width + column * self.merge
    }

    /// Frames per block of about [`ROWS`] tokens.
    fn block(&self) -> usize {
        (ROWS / self.tokens).max(1)
    }

    /// Rows of a block of whole frames.
    pub(super) fn rows(&self) -> usize {
        self.block() * self.tokens
    }

    /// Frames per block of about [`ROWS`] cells.
    fn cell_block(&self) -> usize {
        (ROWS / self.grid.cells()).max(1)
    }

    /// Splits `frames` into blocks of about [`ROWS`] tokens.
    pub(super) fn blocks(&self, frames: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        pieces(frames, self.block())
    }

    /// Splits `frames` into blocks of about [`ROWS`] cells.
    pub(super) fn cell_blocks(&self, frames: Range<usize>) -> impl Iterator<Item = Range<usize>> {
        pieces(frames, self.cell_block())
    }
}

/// Splits a range into pieces of `size`.
pub(super) fn pieces(range: Range<usize>, size: usize) -> impl Iterator<Item = Range<usize>> {
    let end = range.end;
    range.step_by(size).map(move |at| at..end.min(at + size))
}

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
    pub dx: Buffer,
    pub dcells: Buffer,
    /// Temporal attention: gradients of the input of W_out and of the projection.
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
    /// Buffers for sequences of up to `all` frames.
    pub(super) fn new(network: &DynamicsNetwork, all: FrameCounts) -> Self {
        let s = &network.sizes;
        let f = all.count;
        let rows = f * s.tokens;
        let cells = s.grid.cells() * s.stem_width;
        let state = || CellState {
            input: Buffer::new(f * cells),
            before: Buffer::new(f * cells),
            output: Buffer::new(f * cells),
        };
        let kept = network.trunk.iter();
        let kept = kept.map(|sublayer| SavedActivations::new(sublayer, s, all));
        let block = s.rows();
        let cell_block = s.cell_block();
        Self {
            all,
            conditions: vec![Condition::default(); f],
            seen: Buffer::new(f * s.grid.bordered(s.seen)),
            stem: state(),
            x: (0..=network.trunk.len())
                .map(|_| Buffer::new(rows * s.width))
                .collect(),
            kept: kept.collect(),
            head: state(),
            output: Buffer::new(f * s.grid.cells() * s.channels),
            doutput: Buffer::new(f * s.grid.cells() * s.channels),
            outcome: network.outcome.as_ref().map(|h| h.state(all.length)),
            memory: (s.recalled > 0).then(|| MemoryState::new(s, all.length)),
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
