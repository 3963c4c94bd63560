//! The SwiGLU layer y = x + W_down swiglu(W_up norm x).

use super::buffer::Buffer;
use super::linear::Linear;
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{norm, norm_gradient, swiglu, swiglu_gradient};
use crate::Result;

/// The parameters of a layer.
pub(super) struct MlpLayer {
    gain: Slot,
    up: Linear,
    down: Linear,
}

/// Buffers for a block of tokens.
pub(super) struct MlpScratch {
    normed: Buffer,
    hidden: Buffer,
    up: Buffer,
    gradient: Buffer,
}

impl MlpScratch {
    pub(super) fn new(rows: usize, width: usize, hidden: usize) -> Self {
        Self {
            normed: Buffer::new(rows * width),
            hidden: Buffer::new(rows * hidden),
            up: Buffer::new(rows * 2 * hidden),
            gradient: Buffer::new(rows * width),
        }
    }
}

impl MlpLayer {
    pub(super) fn new(layout: &mut Layout, name: &str) -> Result<Self> {
        Ok(Self {
            gain: layout.slot(&format!("{name}.norm.weight"))?,
            up: Linear::new(layout, &format!("{name}.up"), false)?,
            down: Linear::new(layout, &format!("{name}.down"), false)?,
        })
    }

    /// Computes y for rows of x, and the output of W_up.
    pub(super) fn forward(
        &self,
        w: &Weights,
        x: &[f32],
        up: &mut [f32],
        y: &mut [f32],
        t: &mut MlpScratch,
    ) {
        let half = self.down.inputs();
        let normed = &mut t.normed[..x.len()];
        let hidden = &mut t.hidden[..up.len() / 2];
        norm(x, w.get(self.gain), normed);
        self.up.forward(w, normed, up);
        swiglu(half, up, hidden);
        y.copy_from_slice(x);
        self.down.forward_add(w, hidden, y);
    }

    /// Replaces the gradient of y in `dx` by that of x.
    pub(super) fn backward(
        &self,
        w: &Weights,
        x: &[f32],
        up: &[f32],
        dx: &mut [f32],
        gradient: &mut [f32],
        t: &mut MlpScratch,
    ) {
        let half = self.down.inputs();
        let (hidden, dup) = (&mut t.hidden[..up.len() / 2], &mut t.up[..up.len()]);
        self.down.input_gradient(w, dx, hidden);
        swiglu_gradient(half, up, hidden, dup);
        self.down.weight_gradient(dx, hidden, gradient);
        let normed = &mut t.normed[..x.len()];
        norm(x, w.get(self.gain), normed);
        self.up.weight_gradient(dup, normed, gradient);
        let dnormed = &mut t.gradient[..x.len()];
        self.up.input_gradient(w, dup, dnormed);
        norm_gradient(x, w.get(self.gain), dnormed, dx, self.gain.of_mut(gradient));
    }
}
