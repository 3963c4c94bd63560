//! The attention layer y = x + W_out attention(W_qkv norm x), over the tokens of a frame or over
//! time.
//!
//! As in `driftless_model::attention`, the logits are scale · q̂·k̂ + bias[distance] with normalized
//! queries and keys. Saved for the backward pass are the projection, with normalized queries and
//! keys, and the weights of the softmax. A sequence consists of T clean frames and then noised copies
//! of them; each frame attends to the clean frames before it and to itself.

use super::buffer::Buffer;
use super::linear::Linear;
use super::matmul::{PANEL, Product, Rows, SumLoop, multiply, single_loop};
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{norm, norm_gradient, normalize, normalize_gradient};
use crate::Result;

/// The parameters of a layer, and its sizes.
pub(super) struct AttentionLayer {
    gain: Slot,
    qkv: Linear,
    /// [heads, columns]: the scale, then one bias per distance.
    pub(super) parameters: Slot,
    out: Linear,
    pub(super) heads: usize,
    pub(super) width: usize,
    /// Tokens per frame.
    pub(super) tokens: usize,
}

/// What a layer saves of a sequence for its backward pass.
#[derive(Default)]
pub(super) struct SavedAttention {
    /// The projection with normalized queries and keys, [F, S, 3·w].
    pub qkv: Buffer,
    /// 1/‖q‖ and 1/‖k‖, [F, S, 2·heads].
    pub scales: Buffer,
    /// Weights of the softmax: [F, heads, S, padded] over tokens, [S, heads, F, padded] over time.
    pub weights: Buffer,
    /// Over time: the weight of the frame itself, [S, heads, F].
    pub own: Buffer,
    /// The input of W_out, [F, S, w].
    pub mixed: Buffer,
}

/// Buffers for a block of frames and for one head.
pub(super) struct AttentionScratch {
    pub normed: Buffer,
    pub gradient: Buffer,
    /// The gradient of the projection.
    pub dqkv: Buffer,
    /// Keys or values of one head, transposed, [d, padded].
    pub columns: Buffer,
    /// The gradient of the logits of one head.
    pub dlogits: Buffer,
    pub down: Buffer,
    /// The biases of the logits.
    pub bias: Buffer,
    pub dbias: Buffer,
}

impl AttentionLayer {
    pub(super) fn new(
        layout: &mut Layout,
        name: &str,
        heads: usize,
        tokens: usize,
    ) -> Result<Self> {
        let out = Linear::new(layout, &format!("{name}.out"), false)?;
        Ok(Self {
            gain: layout.slot(&format!("{name}.norm.weight"))?,
            qkv: Linear::new(layout, &format!("{name}.qkv"), false)?,
            parameters: layout.slot(&format!("{name}.attention"))?,
            width: out.outputs(),
            out,
            heads,
            tokens,
        })
    }

    /// Width of a head.
    pub(super) fn size(&self) -> usize {
        self.width / self.heads
    }

    /// Columns of `parameters`.
    pub(super) fn columns(&self) -> usize {
        self.parameters.len / self.heads
    }

    /// Projects rows of x to q̂, k̂ and v; also writes the scales.
    pub(super) fn project(
        &self,
        w: &Weights,
        x: &[f32],
        qkv: &mut [f32],
        scales: &mut [f32],
        t: &mut AttentionScratch,
    ) {
        let normed = &mut t.normed[..x.len()];
        norm(x, w.get(self.gain), normed);
        self.qkv.forward(w, normed, qkv);
        normalize(self.size(), 2 * self.heads, 3 * self.width, qkv, scales);
    }

    /// y ← x + W_out mixed.
    pub(super) fn join(&self, w: &Weights, x: &[f32], mixed: &[f32], y: &mut [f32]) {
        y.copy_from_slice(x);
        self.out.forward_add(w, mixed, y);
    }

    /// dmixed ← dy W_out, and the gradient of W_out.
    pub(super) fn split(
        &self,
        w: &Weights,
        dy: &[f32],
        mixed: &[f32],
        dmixed: &mut [f32],
        gradient: &mut [f32],
    ) {
        self.out.input_gradient(w, dy, dmixed);
        self.out.weight_gradient(dy, mixed, gradient);
    }

    /// Adds the gradient of x to `dx`, given the gradients of q̂, k̂ and v, and adds those of the
    /// weights to `gradient`.
    pub(super) fn unproject(
        &self,
        w: &Weights,
        [x, qkv, scales]: [&[f32]; 3],
        dqkv: &mut [f32],
        dx: &mut [f32],
        gradient: &mut [f32],
        (normed, dnormed): (&mut [f32], &mut [f32]),
    ) {
        let (normed, dnormed) = (&mut normed[..x.len()], &mut dnormed[..x.len()]);
        let (size, pieces, stride) = (self.size(), 2 * self.heads, 3 * self.width);
        normalize_gradient(size, pieces, stride, qkv, scales, dqkv);
        norm(x, w.get(self.gain), normed);
        self.qkv.weight_gradient(dqkv, normed, gradient);
        self.qkv.input_gradient(w, dqkv, dnormed);
        norm_gradient(x, w.get(self.gain), dnormed, dx, self.gain.of_mut(gradient));
    }
}

/// Transposes the rows of one head, which are `stride` apart: [length, d] to [d, padded].
pub(super) fn transpose(
    length: usize,
    d: usize,
    x: &[f32],
    stride: usize,
    padded: usize,
    columns: &mut [f32],
) {
    for i in 0..length {
        let row = &x[i * stride..i * stride + d];
        for (column, x) in columns.chunks_exact_mut(padded).zip(row) {
            column[i] = *x;
        }
    }
}

/// The product c = a·b, with any strides of `a` and any row stride of `b`.
pub(super) struct StridedProduct {
    size: [usize; 2],
    inner: usize,
    /// (row, column) strides of `a`.
    a: [usize; 2],
    /// Row stride of `b`.
    b: usize,
    /// Row stride of `c`.
    c: usize,
    /// Whether to add the product to `c`.
    add: bool,
}

impl StridedProduct {
    pub(super) fn new(size: [usize; 2], inner: usize, a: [usize; 2], b: usize, c: usize) -> Self {
        Self {
            size,
            inner,
            a,
            b,
            c,
            add: false,
        }
    }

    /// The product that is added to `c`.
    pub(super) fn adding(self) -> Self {
        Self { add: true, ..self }
    }

    pub(super) fn run(&self, a: &[f32], b: &[f32], c: &mut [f32]) {
        let product = Product {
            size: self.size,
            a,
            rows: Rows::Every(self.a[0]),
            b,
            panel: PANEL,
            sum: match self.inner {
                0 => [SumLoop::ONE; 3],
                inner => single_loop(inner, self.a[1], self.b),
            },
            stride: self.c,
            add: self.add,
        };
        multiply(&product, c);
    }
}
