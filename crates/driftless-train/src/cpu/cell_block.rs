//! The residual 3×3 block on the grid of cells: y = x + W silu(conv₃ₓ₃(norm x) + b).

use super::buffer::Buffer;
use super::linear::{Convolution, Grid, Linear};
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{add_row, norm, norm_gradient, silu, silu_gradient, sum_rows};
use crate::Result;

/// The parameters of a block.
pub(super) struct CellBlock {
    gain: Slot,
    convolution: Convolution,
    bias: Slot,
    out: Linear,
    grid: Grid,
    width: usize,
}

/// Buffers for a few frames of a block.
pub(super) struct CellScratch {
    /// norm x with a border.
    normed: Buffer,
    /// The gradient of the convolution's output, with a border.
    bordered: Buffer,
    active: Buffer,
    gradient: Buffer,
}

impl CellScratch {
    pub(super) fn new(grid: Grid, width: usize, frames: usize) -> Self {
        let inside = frames * grid.cells() * width;
        Self {
            normed: Buffer::new(frames * grid.bordered(width)),
            bordered: Buffer::new(frames * grid.bordered(width)),
            active: Buffer::new(inside),
            gradient: Buffer::new(inside),
        }
    }
}

impl CellBlock {
    pub(super) fn new(layout: &mut Layout, name: &str, grid: Grid) -> Result<Self> {
        let out = Linear::new(layout, &format!("{name}.out"), false)?;
        Ok(Self {
            gain: layout.slot(&format!("{name}.norm.weight"))?,
            convolution: Convolution::new(layout, &format!("{name}.conv.weight"), grid)?,
            bias: layout.slot(&format!("{name}.conv.bias"))?,
            width: out.outputs(),
            out,
            grid,
        })
    }

    /// Numbers per frame.
    fn frame(&self) -> usize {
        self.grid.cells() * self.width
    }

    /// Computes norm x of one frame, with a border.
    fn norm(&self, w: &Weights, x: &[f32], normed: &mut [f32]) {
        let (row, line) = (self.grid.width * self.width, self.grid.line(self.width));
        for (y, x) in x.chunks_exact(row).enumerate() {
            let at = self.grid.inside(self.width) + y * line;
            norm(x, w.get(self.gain), &mut normed[at..at + row]);
        }
    }

    /// Computes y for whole frames x [.., cells, width]. `before` receives the input of the SiLU.
    pub(super) fn forward(
        &self,
        w: &Weights,
        x: &[f32],
        before: &mut [f32],
        y: &mut [f32],
        t: &mut CellScratch,
    ) {
        let (frame, bordered) = (self.frame(), self.grid.bordered(self.width));
        let normed = &mut t.normed[..bordered];
        let active = &mut t.active[..frame];
        let frames = x.chunks_exact(frame).zip(before.chunks_exact_mut(frame));
        for ((x, before), y) in frames.zip(y.chunks_exact_mut(frame)) {
            self.norm(w, x, normed);
            self.convolution.forward(w, normed, before, false);
            add_row(w.get(self.bias), before);
            silu(before, active);
            y.copy_from_slice(x);
            self.out.forward_add(w, active, y);
        }
    }

    /// Replaces the gradient of y in `dx` by that of x, for at most as many frames as `t` has room
    /// for.
    pub(super) fn backward(
        &self,
        w: &Weights,
        x: &[f32],
        before: &[f32],
        dx: &mut [f32],
        gradient: &mut [f32],
        t: &mut CellScratch,
    ) {
        let (frame, bordered) = (self.frame(), self.grid.bordered(self.width));
        let (len, frames) = (x.len(), x.len() / frame);
        let (active, dbefore) = (&mut t.active[..len], &mut t.gradient[..len]);
        self.out.input_gradient(w, dx, dbefore);
        silu_gradient(before, active, dbefore);
        self.out.weight_gradient(dx, active, gradient);
        sum_rows(dbefore, self.bias.of_mut(gradient));
        for f in 0..frames {
            let (inside, outside) = (f * frame..(f + 1) * frame, f * bordered..(f + 1) * bordered);
            self.norm(w, &x[inside.clone()], &mut t.normed[outside.clone()]);
            let dy = &mut t.bordered[outside];
            self.grid.put(self.width, &dbefore[inside.clone()], dy);
            self.convolution.input_gradient(w, dy, &mut active[inside]);
        }
        let (dy, normed) = (&t.bordered[..], &t.normed[..]);
        self.convolution
            .weight_gradient(frames, dy, normed, gradient);
        let (gain, dgain) = (w.get(self.gain), self.gain.of_mut(gradient));
        norm_gradient(x, gain, active, dx, dgain);
    }
}
