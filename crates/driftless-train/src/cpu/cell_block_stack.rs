//! A stack of residual 3×3 blocks: the middle part of the encoder and of the decoder.

use super::buffer::Buffer;
use super::cell_block::{CellBlock, CellScratch};
use super::linear::Grid;
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{add, sum_rows};
use super::sizes::pieces;
use crate::Result;

/// Cells processed together in the backward pass.
const CELLS: usize = 256;

/// The blocks, and the position embedding that is added before them.
pub(super) struct CellBlockStack {
    position: Slot,
    blocks: Vec<CellBlock>,
    grid: Grid,
    width: usize,
}

/// What the blocks save of some frames for their backward passes.
pub(super) struct StackActivations {
    /// The input of every block and the output of the last one, [frames, cells, width].
    x: Vec<Buffer>,
    before: Vec<Buffer>,
}

impl StackActivations {
    /// The input of the first block, before the position embedding is added.
    pub(super) fn input(&mut self) -> &mut [f32] {
        self.x.first_mut().map_or(&mut [], |x| x)
    }

    /// The output of the last block.
    pub(super) fn output(&self) -> &[f32] {
        self.x.last().map_or(&[], |x| x)
    }
}

impl CellBlockStack {
    pub(super) fn new(
        layout: &mut Layout,
        side: &str,
        blocks: usize,
        grid: Grid,
        width: usize,
    ) -> Result<Self> {
        Ok(Self {
            position: layout.slot(&format!("{side}.position"))?,
            blocks: (0..blocks)
                .map(|i| CellBlock::new(layout, &format!("{side}.blocks.{i}"), grid))
                .collect::<Result<_>>()?,
            grid,
            width,
        })
    }

    fn frame(&self) -> usize {
        self.grid.cells() * self.width
    }

    /// Frames processed together in the backward pass.
    fn together(&self) -> usize {
        (CELLS / self.grid.cells()).max(1)
    }

    pub(super) fn state(&self, frames: usize) -> StackActivations {
        let buffers = |n: usize| (0..n).map(|_| Buffer::new(frames * self.frame()));
        StackActivations {
            x: buffers(self.blocks.len() + 1).collect(),
            before: buffers(self.blocks.len()).collect(),
        }
    }

    pub(super) fn scratch(&self) -> CellScratch {
        CellScratch::new(self.grid, self.width, self.together())
    }

    /// Runs all blocks.
    pub(super) fn forward(
        &self,
        w: &Weights,
        frames: usize,
        state: &mut StackActivations,
        t: &mut CellScratch,
    ) {
        let len = frames * self.frame();
        for x in state.input()[..len].chunks_exact_mut(self.frame()) {
            add(w.get(self.position), x);
        }
        for (i, block) in self.blocks.iter().enumerate() {
            let (x, y) = state.x.split_at_mut(i + 1);
            let (Some(x), Some(y)) = (x.last(), y.first_mut()) else {
                return;
            };
            block.forward(w, &x[..len], &mut state.before[i][..len], &mut y[..len], t);
        }
    }

    /// Replaces the gradient of the output in `dx` by that of the input.
    pub(super) fn backward(
        &self,
        w: &Weights,
        state: &StackActivations,
        dx: &mut [f32],
        gradient: &mut [f32],
        t: &mut CellScratch,
    ) {
        let frame = self.frame();
        for (i, block) in self.blocks.iter().enumerate().rev() {
            for part in pieces(0..dx.len() / frame, self.together()) {
                let part = part.start * frame..part.end * frame;
                let (x, before) = (&state.x[i][part.clone()], &state.before[i][part.clone()]);
                block.backward(w, x, before, &mut dx[part], gradient, t);
            }
        }
        sum_rows(dx, self.position.of_mut(gradient));
    }
}
