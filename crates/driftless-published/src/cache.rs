//! Keys and values of past frames, and attention to them.
//!
//! Where attention over time is causal, and a finished frame is always seen in the same way, its keys and values in a
//! window never change, and are computed once; published programs compute them again in every step. When the window
//! moves they do change: the frames in it then see fewer frames before them, and the cache is filled anew.

use driftless_engine::kernels::Workers;
use driftless_model::simd::{axpy, dispatch_avx512, dot, exp};

/// Tokens, heads and the size of a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Tokens of a frame.
    pub tokens: usize,
    /// Heads.
    pub heads: usize,
    /// Head size.
    pub d: usize,
}

impl Shape {
    /// Numbers of a token.
    pub fn width(self) -> usize {
        self.heads * self.d
    }
}

/// Keys and values of the frames of a window, in all layers.
pub struct Cache {
    shape: Shape,
    layers: usize,
    frames: Vec<FrameKeys>,
}

/// Of one frame, [layers, tokens, width] each.
struct FrameKeys {
    keys: Vec<f32>,
    values: Vec<f32>,
}

impl Cache {
    /// An empty cache.
    pub fn new(shape: Shape, layers: usize) -> Self {
        Self {
            shape,
            layers,
            frames: Vec::new(),
        }
    }

    /// Makes room for the frame at `position`.
    pub fn reserve(&mut self, position: usize) {
        let len = self.layers * self.shape.tokens * self.shape.width();
        while self.frames.len() <= position {
            self.frames.push(FrameKeys {
                keys: vec![0.0; len],
                values: vec![0.0; len],
            });
        }
    }

    /// Attention of frames in a row, the first of which is at `first`, in a layer: of each token to the same one in the
    /// frames before and its own, softmax(q kᵀ / √d) v. Keys and values are written into the cache; queries, keys and
    /// values come from `qkv` `[frames, tokens, 3·width]`.
    pub fn attend(
        &mut self,
        workers: &Workers,
        layer: usize,
        first: usize,
        qkv: &[f32],
        y: &mut [f32],
    ) {
        self.write(layer, first, qkv);
        let (shape, frames) = (self.shape, &self.frames);
        let width = shape.width();
        workers.for_rows(y, width, workers.least().heavy, |row, y| {
            let mut weights = vec![0.0; frames.len()];
            for (i, y) in y.chunks_exact_mut(width).enumerate() {
                let (frame, token) = ((row + i) / shape.tokens, (row + i) % shape.tokens);
                let seen = first + frame + 1;
                let queries = &qkv[3 * width * (row + i)..][..width];
                let at = (layer * shape.tokens + token) * width;
                attend_token(shape, queries, &frames[..seen], at, &mut weights[..seen], y);
            }
        });
    }

    /// Takes over the keys and values of frames in a row, the first of which is at `first`.
    pub fn write(&mut self, layer: usize, first: usize, qkv: &[f32]) {
        let width = self.shape.width();
        let len = self.shape.tokens * width;
        let frames = self.frames[first..].iter_mut();
        for (frame, qkv) in frames.zip(qkv.chunks_exact(3 * len)) {
            let keys = frame.keys[layer * len..][..len].chunks_exact_mut(width);
            let values = frame.values[layer * len..][..len].chunks_exact_mut(width);
            for ((keys, values), qkv) in keys.zip(values).zip(qkv.chunks_exact(3 * width)) {
                keys.copy_from_slice(&qkv[width..2 * width]);
                values.copy_from_slice(&qkv[2 * width..]);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_at_once_give_what_frames_in_turn_give() {
        let shape = Shape {
            tokens: 2,
            heads: 3,
            d: 4,
        };
        let workers = Workers::none();
        let qkv: Vec<f32> = (0..3 * 2 * 36).map(|i| (i * i % 17) as f32 / 9.0).collect();
        let (mut one, mut all) = (Cache::new(shape, 2), Cache::new(shape, 2));
        let mut in_turn = vec![0.0; 72];
        for (t, y) in in_turn.chunks_exact_mut(24).enumerate() {
            one.reserve(t);
            one.attend(&workers, 1, t, &qkv[72 * t..][..72], y);
        }
        let mut at_once = vec![0.0; 72];
        all.reserve(2);
        all.attend(&workers, 1, 0, &qkv, &mut at_once);
        assert_eq!(at_once, in_turn);
        // A frame that sees only itself gives its own values.
        assert_eq!(in_turn[..12], qkv[24..36]);
    }
}
