//! Spatial attention without allocation, and what it shares with temporal attention.

use driftless_model::export::ExportedAttention;

use super::attention_loops::{WEIGHT_LANES, gather, normalize, pack_keys, pack_values, softmax};
use super::grid::RmsNorm;
use super::matmul::{LANES, MatmulArgs, multiply, multiply_shared};
use super::matrix::PackedMatrix;
use super::row_layout::{RowLayout, WriteMode};
use super::shared_slice::SharedSlice;
use super::workers::Workers;
use crate::Attention;

/// Sizes of the token sequence.
#[derive(Clone, Copy, Debug)]
pub(super) struct TokenShape {
    pub(super) tokens: usize,
    pub(super) heads: usize,
    /// Head size.
    pub(super) d: usize,
}

impl TokenShape {
    pub(super) fn width(self) -> usize {
        self.heads * self.d
    }

    pub(super) fn rows(self) -> RowLayout {
        RowLayout::contiguous(self.tokens, self.width())
    }
}

/// Buffers shared by all attention layers.
#[derive(Clone)]
pub(super) struct AttentionScratch {
    pub(super) shape: TokenShape,
    pub(super) context: usize,
    pub(super) normed: Vec<f32>,
    /// Queries, keys, values, [tokens, 3·width].
    pub(super) qkv: Vec<f32>,
    pub(super) y: Vec<f32>,
    /// 0 for tokens, then −∞ up to whole panels.
    pub(super) mask: Vec<f32>,
    pub(super) threads: Vec<ThreadScratch>,
    /// Receives the attention weights of a pass, if they are recorded.
    pub(super) recorded: Option<Attention>,
}

/// Buffers of one thread.
#[derive(Clone)]
pub(super) struct ThreadScratch {
    /// Normalized keys or queries of a head, [tokens, d].
    pub(super) rows: Vec<f32>,
    pub(super) key_panels: Vec<f32>,
    pub(super) value_panels: Vec<f32>,
    /// Logits, then weights: of a head, or of a token in all heads.
    pub(super) logits: Vec<f32>,
}

impl AttentionScratch {
    /// For one thread.
    pub(super) fn new(shape: TokenShape, context: usize) -> Self {
        let s = shape.tokens;
        let mut mask = vec![0.0; s.next_multiple_of(LANES)];
        mask[s..].fill(f32::NEG_INFINITY);
        let mut scratch = Self {
            shape,
            context,
            normed: vec![0.0; s * shape.width()],
            qkv: vec![0.0; 3 * s * shape.width()],
            y: vec![0.0; s * shape.width()],
            mask,
            threads: Vec::new(),
            recorded: None,
        };
        scratch.reserve(1);
        scratch
    }

    /// Makes room for `threads` threads.
    pub(super) fn reserve(&mut self, threads: usize) {
        let TokenShape { tokens, heads, d } = self.shape;
        let padded = self.mask.len();
        let weights = heads * self.context.next_multiple_of(WEIGHT_LANES);
        while self.threads.len() < threads {
            self.threads.push(ThreadScratch {
                rows: vec![0.0; tokens * d],
                key_panels: vec![0.0; padded * d],
                value_panels: vec![0.0; d.next_multiple_of(LANES) * tokens],
                logits: vec![0.0; (tokens * padded).max(weights)],
            });
        }
    }
}

/// Spatial attention: x + W attention(norm x) over the tokens of a frame.
#[derive(Clone)]
pub(super) struct SpatialAttention {
    shape: TokenShape,
    norm: RmsNorm,
    qkv: PackedMatrix,
    /// Logit scale of each head.
    scale: Vec<f32>,
    out: PackedMatrix,
}

impl SpatialAttention {
    pub(super) fn new(layer: &ExportedAttention, shape: TokenShape) -> Self {
        Self {
            shape,
            norm: RmsNorm::new(&layer.norm),
            qkv: PackedMatrix::new(&layer.qkv),
            scale: layer.scales(),
            out: PackedMatrix::new(&layer.out),
        }
    }

    pub(super) fn shape(&self) -> TokenShape {
        self.shape
    }

    /// Updates `x` [tokens, width] in place.
    pub(super) fn apply(&self, workers: &Workers, x: &mut [f32], t: &mut AttentionScratch) {
        let rows = self.shape.rows();
        self.norm.apply_on(workers, x, &mut t.normed);
        self.qkv
            .apply(workers, &t.normed, rows, &mut t.qkv, WriteMode::Set);
        self.attend(workers, t);
        self.out.apply(workers, &t.y, rows, x, WriteMode::Add);
    }

    /// Writes the attention output of all heads into `t.y` [tokens, width].
    fn attend(&self, workers: &Workers, t: &mut AttentionScratch) {
        let heads = self.shape.heads;
        let y = SharedSlice::new(&mut t.y);
        let (qkv, mask) = (&t.qkv, &t.mask);
        match &mut t.recorded {
            None => workers.run_with(&mut t.threads, heads, |own, head| {
                self.attend_head(head, qkv, mask, own, &y);
            }),
            Some(recorded) => {
                let (own, stride) = (&mut t.threads[0], mask.len());
                for head in 0..heads {
                    self.attend_head(head, qkv, mask, own, &y);
                    for row in own.logits.chunks_exact(stride).take(self.shape.tokens) {
                        recorded.space.extend_from_slice(&row[..self.shape.tokens]);
                    }
                }
            }
        }
    }

    /// Writes the output of a head into its part of the rows of `y`, and leaves the weights in `t.logits`.
    fn attend_head(
        &self,
        head: usize,
        qkv: &[f32],
        mask: &[f32],
        t: &mut ThreadScratch,
        y: &SharedSlice<f32>,
    ) {
        let TokenShape { tokens, d, .. } = self.shape;
        let w = self.shape.width();
        gather(&qkv[w + head * d..], 3 * w, d, &mut t.rows);
        normalize(&mut t.rows, d, d, tokens, 1.0);
        pack_keys(&t.rows, d, d, &mut t.key_panels);
        let values = &qkv[2 * w + head * d..];
        pack_values(values, 3 * w, d, tokens, &mut t.value_panels);
        gather(&qkv[head * d..], 3 * w, d, &mut t.rows);
        normalize(&mut t.rows, d, d, tokens, self.scale[head]);
        // Store whole panels: reading back a full vector store does not stall.
        let stride = mask.len();
        let logits = MatmulArgs {
            x: &t.rows,
            rows: RowLayout::contiguous(tokens, d),
            panels: &t.key_panels,
            inputs: d,
            outputs: stride,
            stride,
            mode: WriteMode::Set,
        };
        multiply(&logits, &mut t.logits);
        softmax(mask, &mut t.logits[..tokens * stride]);
        let output = MatmulArgs {
            x: &t.logits,
            rows: RowLayout::contiguous(tokens, stride),
            panels: &t.value_panels,
            inputs: tokens,
            outputs: d,
            stride: w,
            mode: WriteMode::Set,
        };
        multiply_shared(&output, &y.tail(head * d));
    }
}
