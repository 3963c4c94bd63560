//! The sizes of a dynamics network, and the blocks in which its frames are processed.

use std::ops::Range;

use super::attention_heads::padded;
use super::linear::Grid;
use driftless_model::config::WorldConfig;
use driftless_model::memory::TokenInputs;

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

    /// Inputs of a memory token.
    pub(super) fn memory_inputs(&self) -> usize {
        TokenInputs::per_token(self.merge, self.channels)
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
    pub(super) fn cell_block(&self) -> usize {
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
