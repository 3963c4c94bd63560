//! Keys and values of past frames, and attention to them.
//!
//! Attention over time is causal, and a finished frame is always seen at the same noise level. So its keys and values in
//! a window never change, and are computed once; the published program computes them again in every step. When the
//! window moves they do change: the frames in it then see fewer frames before them, and the cache is filled anew.

use driftless_engine::kernels::Workers;
use driftless_model::simd::{axpy, dispatch_avx512, dot, exp};

use crate::attention::Shape;
use crate::rotary::Rotary;

/// Keys and values of the frames of a window, in all layers.
pub(crate) struct Cache {
    shape: Shape,
    layers: usize,
    frames: Vec<FrameKeys>,
}

/// Of one frame, [layers, tokens, width] each; keys are rotated.
struct FrameKeys {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Cache {
    pub(crate) fn new(shape: Shape, layers: usize) -> Self {
        Self {
            shape,
            layers,
            frames: Vec::new(),
        }
    }

    /// Makes room for the frame at `position`.
    pub(crate) fn reserve(&mut self, position: usize) {
        let len = self.layers * self.shape.tokens * self.shape.width();
        while self.frames.len() <= position {
            self.frames.push(FrameKeys {
                keys: vec![0.0; len],
                values: vec![0.0; len],
            });
        }
    }

    /// Attention of the frame at `position` in a layer to those before it and itself. Its rotated keys and its values
    /// are written into the cache; queries, keys and values come from `qkv` [tokens, 3·width].
    pub(crate) fn attend(
        &mut self,
        workers: &Workers,
        layer: usize,
        position: usize,
        rotary: &Rotary,
        qkv: &mut [f32],
        y: &mut [f32],
    ) {
        self.write(layer, position, rotary, qkv);
        let (shape, frames) = (self.shape, &self.frames[..=position]);
        let width = shape.width();
        let qkv = &*qkv;
        workers.for_rows(y, width, workers.least().heavy, |first, y| {
            let mut weights = vec![0.0; frames.len()];
            for (i, y) in y.chunks_exact_mut(width).enumerate() {
                let token = first + i;
                let queries = &qkv[3 * width * token..][..width];
                let at = (layer * shape.tokens + token) * width;
                attend_token(shape, queries, frames, at, &mut weights, y);
            }
        });
    }

    /// Takes over the keys and values of a frame, and rotates its queries in place.
    pub(crate) fn write(
        &mut self,
        layer: usize,
        position: usize,
        rotary: &Rotary,
        qkv: &mut [f32],
    ) {
        let width = self.shape.width();
        let len = self.shape.tokens * width;
        let frame = &mut self.frames[position];
        let keys = &mut frame.keys[layer * len..][..len];
        let values = &mut frame.values[layer * len..][..len];
        let rows = keys
            .chunks_exact_mut(width)
            .zip(values.chunks_exact_mut(width));
        for ((keys, values), qkv) in rows.zip(qkv.chunks_exact_mut(3 * width)) {
            keys.copy_from_slice(&qkv[width..2 * width]);
            values.copy_from_slice(&qkv[2 * width..]);
            let queries = &mut qkv[..width];
            for vectors in [keys, queries] {
                for vector in vectors.chunks_exact_mut(self.shape.d) {
                    rotary.rotate(position, vector);
                }
            }
        }
    }
}

dispatch_avx512!(fn attend_token = attend_token_body(shape: Shape, queries: &[f32], frames: &[FrameKeys], at: usize, weights: &mut [f32], y: &mut [f32]));
/// softmax(q kᵀ / √d) v of every head of a token, whose keys and values begin at `at` in each frame.
#[inline(always)]
fn attend_token_body<const FMA: bool>(
    shape: Shape,
    queries: &[f32],
    frames: &[FrameKeys],
    at: usize,
    weights: &mut [f32],
    y: &mut [f32],
) {
    let d = shape.d;
    let scale = 1.0 / (d as f32).sqrt();
    for head in 0..shape.heads {
        let query = &queries[head * d..][..d];
        let at = at + head * d;
        let mut most = f32::NEG_INFINITY;
        for (weight, frame) in weights.iter_mut().zip(frames) {
            *weight = scale * dot::<FMA>(query, &frame.keys[at..at + d]);
            most = most.max(*weight);
        }
        let mut sum = 0.0;
        for weight in weights.iter_mut() {
            *weight = exp::<FMA>(*weight - most);
            sum += *weight;
        }
        let y = &mut y[head * d..][..d];
        y.fill(0.0);
        for (weight, frame) in weights.iter().zip(frames) {
            axpy::<FMA>(weight / sum, &frame.values[at..at + d], y);
        }
    }
}
