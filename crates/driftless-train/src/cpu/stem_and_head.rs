//! The stem and the head of the dynamics, which work on single cells.

use std::ops::Range;

use super::cell_block::CellBlock;
use super::condition_embeddings::ConditionEmbeddings;
use super::linear::{Convolution, Grid, Linear};
use super::matmul::{Rows, SumLoop};
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{norm, norm_gradient, sum_rows};
use super::sequence_buffers::SequenceBuffers;
use super::sizes::Sizes;
use crate::{Error, Result};

/// Maps latents to tokens.
pub(super) struct Stem {
    conditions: ConditionEmbeddings,
    convolution: Convolution,
    block: CellBlock,
    merge: Linear,
    sizes: Sizes,
}

/// Maps tokens to the network's output.
pub(super) struct Head {
    gain: Slot,
    unmerge: Linear,
    block: CellBlock,
    block_gain: Slot,
    out: Linear,
    skip: Linear,
    /// Start indices of the cells in the bordered input of the stem.
    seen: Vec<usize>,
    sizes: Sizes,
}

/// Groups cells by token: [gh, gw, c] to [tokens, merge·merge·c].
fn gather(s: &Sizes, cells: &[f32], merged: &mut [f32]) {
    let (run, c) = (s.merge * s.stem_width, s.stem_width);
    for (piece, out) in merged.chunks_exact_mut(run).enumerate() {
        let at = s.piece(piece) * c;
        out.copy_from_slice(&cells[at..at + run]);
    }
}

/// The transpose of [`gather`]; adds to `cells`.
fn scatter(s: &Sizes, merged: &[f32], cells: &mut [f32]) {
    let (run, c) = (s.merge * s.stem_width, s.stem_width);
    for (piece, from) in merged.chunks_exact(run).enumerate() {
        let at = s.piece(piece) * c;
        for (cell, from) in cells[at..at + run].iter_mut().zip(from) {
            *cell += from;
        }
    }
}

impl Stem {
    pub(super) fn new(layout: &mut Layout, s: &Sizes) -> Result<Self> {
        Ok(Self {
            conditions: ConditionEmbeddings::new(layout, "stem", s.stem_width)?,
            convolution: Convolution::new(layout, "stem.conv.weight", s.grid)?,
            block: CellBlock::new(layout, "stem.block", s.grid)?,
            merge: Linear::new(layout, "merge", false)?,
            sizes: *s,
        })
    }

    /// Writes a latent and its past into the bordered grid.
    pub(super) fn load(
        &self,
        at: usize,
        latent: &[f32],
        past: &[f32],
        t: &mut SequenceBuffers,
    ) -> Result<()> {
        let (s, Grid { width, .. }) = (&self.sizes, self.sizes.grid);
        let (c, seen) = (s.channels, s.seen);
        if latent.len() != s.grid.cells() * c || past.len() != s.grid.cells() * (seen - c) {
            return Err(Error::Internal("a latent has another size"));
        }
        let frame = &mut t.seen[at * s.grid.bordered(seen)..(at + 1) * s.grid.bordered(seen)];
        for (cell, latent) in latent.chunks_exact(c).enumerate() {
            let to = s.grid.inside(seen) + cell / width * s.grid.line(seen) + cell % width * seen;
            let (now, before) = frame[to..to + seen].split_at_mut(c);
            now.copy_from_slice(latent);
            before.copy_from_slice(&past[cell * (seen - c)..(cell + 1) * (seen - c)]);
        }
        Ok(())
    }

    /// Computes the cells of `frames`, and their latent tokens in `t.x[0]`.
    pub(super) fn forward(&self, w: &Weights, frames: Range<usize>, t: &mut SequenceBuffers) {
        let s = &self.sizes;
        let (cells, bordered) = (s.grid.cells() * s.stem_width, s.grid.bordered(s.seen));
        for f in frames.clone() {
            let out = &mut t.stem.input[f * cells..(f + 1) * cells];
            let (first, rest) = out.split_at_mut(s.stem_width);
            first.fill(0.0);
            self.conditions.add_action(w, &t.conditions[f], first);
            self.conditions.add_signal(w, &t.conditions[f], first);
            for cell in rest.chunks_exact_mut(s.stem_width) {
                cell.copy_from_slice(first);
            }
            let seen = &t.seen[f * bordered..(f + 1) * bordered];
            self.convolution.forward(w, seen, out, true);
        }
        let all = frames.start * cells..frames.end * cells;
        let (before, y) = (
            &mut t.stem.before[all.clone()],
            &mut t.stem.output[all.clone()],
        );
        self.block
            .forward(w, &t.stem.input[all], before, y, &mut t.cells);
        let frame = s.tokens * s.width;
        for f in frames {
            let merged = &mut t.merged[..cells];
            gather(s, &t.stem.output[f * cells..(f + 1) * cells], merged);
            let tokens = &mut t.x[0][f * frame..f * frame + s.latent_tokens * s.width];
            self.merge.forward(w, merged, tokens);
        }
    }

    /// Adds the gradients of the parameters, given those of the tokens in `t.dx` and of the cells in
    /// `t.dcells`.
    pub(super) fn backward(
        &self,
        w: &Weights,
        frames: Range<usize>,
        gradient: &mut [f32],
        t: &mut SequenceBuffers,
    ) {
        let s = &self.sizes;
        let (cells, width) = (s.grid.cells() * s.stem_width, s.stem_width);
        let bordered = s.grid.bordered(s.seen);
        for block in s.cell_blocks(frames) {
            for f in block.clone() {
                let inside = f * cells..(f + 1) * cells;
                let at = f * s.tokens * s.width;
                let dx = &t.dx[at..at + s.latent_tokens * s.width];
                let merged = &mut t.merged[..cells];
                gather(s, &t.stem.output[inside.clone()], merged);
                self.merge.weight_gradient(dx, merged, gradient);
                self.merge.input_gradient(w, dx, merged);
                let dcells = &mut t.dcells[inside];
                if f < t.all.length {
                    dcells.fill(0.0);
                }
                scatter(s, merged, dcells);
            }
            let all = block.start * cells..block.end * cells;
            let dcells = &mut t.dcells[all.clone()];
            let (x, before) = (&t.stem.input[all.clone()], &t.stem.before[all]);
            self.block
                .backward(w, x, before, dcells, gradient, &mut t.cells);
            let line = s.grid.bordered(width);
            let each = dcells.chunks_exact(cells).zip(block.clone());
            for (i, (dcells, f)) in each.enumerate() {
                s.grid
                    .put(width, dcells, &mut t.bordered[i * line..(i + 1) * line]);
                let sum = &mut t.condition[..width];
                sum.fill(0.0);
                sum_rows(dcells, sum);
                let condition = &t.conditions[f];
                self.conditions.action_gradient(condition, sum, gradient);
                self.conditions.signal_gradient(condition, sum, gradient);
            }
            let seen = &t.seen[block.start * bordered..block.end * bordered];
            let count = block.len();
            self.convolution
                .weight_gradient(count, &t.bordered, seen, gradient);
        }
    }
}

impl Head {
    pub(super) fn new(layout: &mut Layout, s: &Sizes) -> Result<Self> {
        let inside = s.grid.inside(s.seen);
        Ok(Self {
            gain: layout.slot("norm.weight")?,
            unmerge: Linear::new(layout, "unmerge", false)?,
            block: CellBlock::new(layout, "head.block", s.grid)?,
            block_gain: layout.slot("head.norm.weight")?,
            out: Linear::new(layout, "head.out", true)?,
            skip: Linear::new(layout, "skip", false)?,
            seen: s.grid.starts(s.seen).iter().map(|at| at + inside).collect(),
            sizes: *s,
        })
    }

    /// Computes `t.output` of `frames` from the output of the trunk.
    pub(super) fn forward(&self, w: &Weights, frames: Range<usize>, t: &mut SequenceBuffers) {
        let s = &self.sizes;
        let (cells, frame) = (s.grid.cells() * s.stem_width, s.tokens * s.width);
        let latent = s.latent_tokens * s.width;
        let Some(x) = t.x.last() else { return };
        for f in frames.clone() {
            let normed = &mut t.latents[..latent];
            norm(&x[f * frame..f * frame + latent], w.get(self.gain), normed);
            let merged = &mut t.merged[..cells];
            self.unmerge.forward(w, normed, merged);
            let inside = f * cells..(f + 1) * cells;
            let input = &mut t.head.input[inside.clone()];
            input.copy_from_slice(&t.stem.output[inside]);
            scatter(s, merged, input);
        }
        let all = frames.start * cells..frames.end * cells;
        let (before, y) = (
            &mut t.head.before[all.clone()],
            &mut t.head.output[all.clone()],
        );
        self.block
            .forward(w, &t.head.input[all], before, y, &mut t.cells);
        let (bordered, out) = (s.grid.bordered(s.seen), s.grid.cells() * s.channels);
        for f in frames {
            let normed = &mut t.merged[..cells];
            let block = &t.head.output[f * cells..(f + 1) * cells];
            norm(block, w.get(self.block_gain), normed);
            let y = &mut t.output[f * out..(f + 1) * out];
            self.out.forward(w, normed, y);
            let seen = &t.seen[f * bordered..(f + 1) * bordered];
            self.skip.apply(w, seen, Rows::At(&self.seen), y, true);
        }
    }

    /// Given `t.doutput`, adds the gradient of the tokens to `t.dx`, writes that of the stem's cells
    /// into `t.dcells`, and adds those of the parameters.
    pub(super) fn backward(
        &self,
        w: &Weights,
        frames: Range<usize>,
        gradient: &mut [f32],
        t: &mut SequenceBuffers,
    ) {
        let s = &self.sizes;
        let (g, c, width) = (s.grid, s.channels, s.stem_width);
        let (cells, bordered) = (g.cells() * width, g.bordered(s.seen));
        for block in s.cell_blocks(frames) {
            let all = block.start * cells..block.end * cells;
            let dy = &t.doutput[block.start * g.cells() * c..block.end * g.cells() * c];
            let output = &t.head.output[all.clone()];
            let (normed, dnormed) = (
                &mut t.normed[..output.len()],
                &mut t.dnormed[..output.len()],
            );
            norm(output, w.get(self.block_gain), normed);
            self.out.weight_gradient(dy, normed, gradient);
            let level = |count, a, b| SumLoop { count, a, b };
            let rows = [
                level(block.len(), g.cells() * c, bordered),
                level(g.height, g.width * c, g.line(s.seen)),
                level(g.width, c, s.seen),
            ];
            let seen = &t.seen[block.start * bordered + g.inside(s.seen)..];
            self.skip.weight_gradient_of(dy, seen, rows, gradient);
            self.out.input_gradient(w, dy, dnormed);
            let dcells = &mut t.dcells[all.clone()];
            dcells.fill(0.0);
            let (gain, dgain) = (w.get(self.block_gain), self.block_gain.of_mut(gradient));
            norm_gradient(output, gain, dnormed, dcells, dgain);
            let (x, before) = (&t.head.input[all.clone()], &t.head.before[all]);
            self.block
                .backward(w, x, before, dcells, gradient, &mut t.cells);
            self.unmerge_backward(w, block, gradient, t);
        }
    }

    fn unmerge_backward(
        &self,
        w: &Weights,
        block: Range<usize>,
        gradient: &mut [f32],
        t: &mut SequenceBuffers,
    ) {
        let s = &self.sizes;
        let (cells, frame) = (s.grid.cells() * s.stem_width, s.tokens * s.width);
        let latent = s.latent_tokens * s.width;
        let Some(x) = t.x.last() else { return };
        for f in block {
            let merged = &mut t.merged[..cells];
            gather(s, &t.dcells[f * cells..(f + 1) * cells], merged);
            let tokens = f * frame..f * frame + latent;
            let (x, dx) = (&x[tokens.clone()], &mut t.dx[tokens]);
            let (normed, dnormed) = (&mut t.latents[..latent], &mut t.dlatents[..latent]);
            norm(x, w.get(self.gain), normed);
            self.unmerge.weight_gradient(merged, normed, gradient);
            self.unmerge.input_gradient(w, merged, dnormed);
            norm_gradient(x, w.get(self.gain), dnormed, dx, self.gain.of_mut(gradient));
        }
    }
}
