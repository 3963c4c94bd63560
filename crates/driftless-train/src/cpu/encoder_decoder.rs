//! Forward and backward passes of the tokenizer's encoder and decoder for a few frames.
//!
//! Computes the same functions as `driftless_model::tokenizer`. Frames are given as patches,
//! [cells, patch·patch·3].

use super::buffer::Buffer;
use super::cell_block::CellScratch;
use super::cell_block_stack::{CellBlockStack, StackActivations};
use super::linear::{Grid, Linear};
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{norm, norm_gradient, swiglu, swiglu_gradient};
use crate::Result;
use driftless_model::config::WorldConfig;

/// Maps patches to raw latents.
pub(super) struct Encoder {
    patch: Linear,
    narrow: Linear,
    tower: CellBlockStack,
    gain: Slot,
    latent: Linear,
    cells: usize,
}

/// Inputs, outputs and saved activations of the encoder.
pub(super) struct EncoderState {
    /// [frames, cells, patch·patch·3].
    pub patches: Buffer,
    /// Latents [frames, cells, channels], and their gradient.
    pub latents: Buffer,
    pub dlatents: Buffer,
    up: Buffer,
    tower: StackActivations,
}

/// Maps latents to patches.
pub(super) struct Decoder {
    latent: Linear,
    tower: CellBlockStack,
    gain: Slot,
    widen: Linear,
    patch: Linear,
    cells: usize,
}

/// Inputs, outputs and saved activations of the decoder.
pub(super) struct DecoderState {
    /// [frames, cells, channels], and their gradient.
    pub latents: Buffer,
    pub dlatents: Buffer,
    /// [frames, cells, patch·patch·3], and their gradient.
    pub patches: Buffer,
    pub dpatches: Buffer,
    tower: StackActivations,
    up: Buffer,
    hidden: Buffer,
}

/// A thread's buffers for the encoder or the decoder.
pub(super) struct HalfScratch {
    cells: CellScratch,
    dx: Buffer,
    normed: Buffer,
    dnormed: Buffer,
    hidden: Buffer,
    dup: Buffer,
}

fn grid(config: &WorldConfig) -> Grid {
    let [height, width] = config.grid();
    Grid { height, width }
}

fn scratch(tower: &CellBlockStack, rows: usize, width: usize, hidden: usize) -> HalfScratch {
    HalfScratch {
        cells: tower.scratch(),
        dx: Buffer::new(rows * width),
        normed: Buffer::new(rows * width),
        dnormed: Buffer::new(rows * width),
        hidden: Buffer::new(rows * hidden),
        dup: Buffer::new(rows * 2 * hidden),
    }
}

impl Encoder {
    pub(super) fn new(layout: &mut Layout, config: &WorldConfig) -> Result<Self> {
        let t = &config.tokenizer;
        Ok(Self {
            patch: Linear::new(layout, "encoder.patch", true)?,
            narrow: Linear::new(layout, "encoder.narrow", false)?,
            tower: CellBlockStack::new(layout, "encoder", t.blocks, grid(config), t.width)?,
            gain: layout.slot("encoder.norm.weight")?,
            latent: Linear::new(layout, "encoder.latent", true)?,
            cells: config.cells(),
        })
    }

    pub(super) fn state(&self, frames: usize) -> EncoderState {
        let of = |n: usize| Buffer::new(frames * self.cells * n);
        EncoderState {
            patches: of(self.patch.inputs()),
            up: of(self.patch.outputs()),
            tower: self.tower.state(frames),
            latents: of(self.latent.outputs()),
            dlatents: of(self.latent.outputs()),
        }
    }

    pub(super) fn scratch(&self, frames: usize) -> HalfScratch {
        let (width, hidden) = (self.narrow.outputs(), self.narrow.inputs());
        scratch(&self.tower, frames * self.cells, width, hidden)
    }

    /// Computes `latents` from `patches`.
    pub(super) fn forward(
        &self,
        w: &Weights,
        frames: usize,
        s: &mut EncoderState,
        t: &mut HalfScratch,
    ) {
        let rows = frames * self.cells;
        let (width, half) = (self.narrow.outputs(), self.narrow.inputs());
        let up = &mut s.up[..rows * 2 * half];
        let hidden = &mut t.hidden[..rows * half];
        self.patch
            .forward(w, &s.patches[..rows * self.patch.inputs()], up);
        swiglu(half, up, hidden);
        let input = &mut s.tower.input()[..rows * width];
        self.narrow.forward(w, hidden, input);
        self.tower.forward(w, frames, &mut s.tower, &mut t.cells);
        let normed = &mut t.normed[..rows * width];
        norm(&s.tower.output()[..rows * width], w.get(self.gain), normed);
        let latents = &mut s.latents[..rows * self.latent.outputs()];
        self.latent.forward(w, normed, latents);
    }

    /// Adds the gradients of the parameters, given `dlatents`.
    pub(super) fn backward(
        &self,
        w: &Weights,
        frames: usize,
        s: &EncoderState,
        gradient: &mut [f32],
        t: &mut HalfScratch,
    ) {
        let rows = frames * self.cells;
        let (width, half) = (self.narrow.outputs(), self.narrow.inputs());
        let dy = &s.dlatents[..rows * self.latent.outputs()];
        let output = &s.tower.output()[..rows * width];
        let (normed, dnormed) = (
            &mut t.normed[..rows * width],
            &mut t.dnormed[..rows * width],
        );
        norm(output, w.get(self.gain), normed);
        self.latent.weight_gradient(dy, normed, gradient);
        self.latent.input_gradient(w, dy, dnormed);
        let dx = &mut t.dx[..rows * width];
        dx.fill(0.0);
        let (gain, dgain) = (w.get(self.gain), self.gain.of_mut(gradient));
        norm_gradient(output, gain, dnormed, dx, dgain);
        self.tower.backward(w, &s.tower, dx, gradient, &mut t.cells);
        let (hidden, dup) = (&mut t.hidden[..rows * half], &mut t.dup[..rows * 2 * half]);
        self.narrow.input_gradient(w, dx, hidden);
        swiglu_gradient(half, &s.up[..rows * 2 * half], hidden, dup);
        self.narrow.weight_gradient(dx, hidden, gradient);
        let patches = &s.patches[..rows * self.patch.inputs()];
        self.patch.weight_gradient(dup, patches, gradient);
    }
}

impl Decoder {
    pub(super) fn new(layout: &mut Layout, config: &WorldConfig) -> Result<Self> {
        let t = &config.tokenizer;
        Ok(Self {
            latent: Linear::new(layout, "decoder.latent", true)?,
            tower: CellBlockStack::new(layout, "decoder", t.blocks, grid(config), t.width)?,
            gain: layout.slot("decoder.norm.weight")?,
            widen: Linear::new(layout, "decoder.widen", true)?,
            patch: Linear::new(layout, "decoder.patch", true)?,
            cells: config.cells(),
        })
    }

    pub(super) fn state(&self, frames: usize) -> DecoderState {
        let of = |n: usize| Buffer::new(frames * self.cells * n);
        DecoderState {
            latents: of(self.latent.inputs()),
            dlatents: of(self.latent.inputs()),
            tower: self.tower.state(frames),
            up: of(self.widen.outputs()),
            hidden: of(self.patch.inputs()),
            patches: of(self.patch.outputs()),
            dpatches: of(self.patch.outputs()),
        }
    }

    pub(super) fn scratch(&self, frames: usize) -> HalfScratch {
        let (width, hidden) = (self.widen.inputs(), self.patch.inputs());
        scratch(&self.tower, frames * self.cells, width, hidden)
    }

    /// Computes `patches` from `latents`.
    pub(super) fn forward(
        &self,
        w: &Weights,
        frames: usize,
        s: &mut DecoderState,
        t: &mut HalfScratch,
    ) {
        let rows = frames * self.cells;
        let (width, half) = (self.widen.inputs(), self.patch.inputs());
        let input = &mut s.tower.input()[..rows * width];
        let latents = &s.latents[..rows * self.latent.inputs()];
        self.latent.forward(w, latents, input);
        self.tower.forward(w, frames, &mut s.tower, &mut t.cells);
        let normed = &mut t.normed[..rows * width];
        norm(&s.tower.output()[..rows * width], w.get(self.gain), normed);
        let up = &mut s.up[..rows * 2 * half];
        self.widen.forward(w, normed, up);
        let hidden = &mut s.hidden[..rows * half];
        swiglu(half, up, hidden);
        let patches = &mut s.patches[..rows * self.patch.outputs()];
        self.patch.forward(w, hidden, patches);
    }

    /// Computes `dlatents` and adds the gradients of the parameters, given `dpatches`.
    pub(super) fn backward(
        &self,
        w: &Weights,
        frames: usize,
        s: &mut DecoderState,
        gradient: &mut [f32],
        t: &mut HalfScratch,
    ) {
        let rows = frames * self.cells;
        let (width, half) = (self.widen.inputs(), self.patch.inputs());
        let dy = &s.dpatches[..rows * self.patch.outputs()];
        self.patch
            .weight_gradient(dy, &s.hidden[..rows * half], gradient);
        let (hidden, dup) = (&mut t.hidden[..rows * half], &mut t.dup[..rows * 2 * half]);
        self.patch.input_gradient(w, dy, hidden);
        swiglu_gradient(half, &s.up[..rows * 2 * half], hidden, dup);
        let output = &s.tower.output()[..rows * width];
        let (normed, dnormed) = (
            &mut t.normed[..rows * width],
            &mut t.dnormed[..rows * width],
        );
        norm(output, w.get(self.gain), normed);
        self.widen.weight_gradient(dup, normed, gradient);
        self.widen.input_gradient(w, dup, dnormed);
        let dx = &mut t.dx[..rows * width];
        dx.fill(0.0);
        let (gain, dgain) = (w.get(self.gain), self.gain.of_mut(gradient));
        norm_gradient(output, gain, dnormed, dx, dgain);
        self.tower.backward(w, &s.tower, dx, gradient, &mut t.cells);
        let latents = &s.latents[..rows * self.latent.inputs()];
        self.latent.weight_gradient(dx, latents, gradient);
        let dlatents = &mut s.dlatents[..rows * self.latent.inputs()];
        self.latent.input_gradient(w, dx, dlatents);
    }
}
