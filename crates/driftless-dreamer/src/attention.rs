//! Attention among the tokens of a frame, of which some do not see others.

use std::ops::Range;

use driftless_engine::kernels::{
    LANES, MatmulArgs, RowLayout, SharedSlice, Workers, WriteMode, multiply, multiply_shared,
    pack_keys, pack_values, softmax,
};
use driftless_published::Shape;

/// Most queries of a task: their logits stay near.
const QUERIES: usize = 48;

/// Which tokens see which: queries in a row, and the keys that all of them see.
pub(crate) type Sight = Vec<[Range<usize>; 2]>;

/// Who sees whom, with buffers.
pub(crate) struct SpaceAttention {
    shape: Shape,
    /// For each part of [`Sight`], 0 for keys that are seen, or else −∞, up to whole panels.
    masks: Vec<Vec<f32>>,
    /// The queries of a task, and their mask.
    pieces: Vec<(Range<usize>, usize)>,
    /// Packed keys, then values, of each frame and head.
    panels: Vec<f32>,
    /// Of each thread, [QUERIES, keys].
    logits: Vec<Vec<f32>>,
}

impl SpaceAttention {
    pub(crate) fn new(shape: Shape, sight: Sight) -> Self {
        let padded = shape.tokens.next_multiple_of(LANES);
        let (mut masks, mut pieces) = (Vec::new(), Vec::new());
        for [queries, keys] in sight {
            let starts = queries.clone().step_by(QUERIES);
            let piece = |start| (start..queries.end.min(start + QUERIES), masks.len());
            pieces.extend(starts.map(piece));
            let mut mask = vec![f32::NEG_INFINITY; padded];
            mask[keys].fill(0.0);
            masks.push(mask);
        }
        let mut attention = Self {
            shape,
            masks,
            pieces,
            panels: Vec::new(),
            logits: Vec::new(),
        };
        attention.reserve(1);
        attention
    }

    /// Makes room for so many threads.
    pub(crate) fn reserve(&mut self, threads: usize) {
        let padded = self.shape.tokens.next_multiple_of(LANES);
        self.logits.resize_with(threads.max(self.logits.len()), || {
            vec![0.0; QUERIES * padded]
        });
    }

    /// softmax(q kᵀ) v of every head of some frames, from `qkv` `[frames, tokens, 3·width]` into `y`
    /// `[frames, tokens, width]`. Queries are already divided by √d.
    pub(crate) fn attend(&mut self, workers: &Workers, qkv: &[f32], y: &mut [f32]) {
        let Shape { tokens, heads, d } = self.shape;
        let width = self.shape.width();
        let row = 3 * width;
        let frames = qkv.len() / (tokens * row);
        let keys_len = tokens.next_multiple_of(LANES) * d;
        let len = keys_len + d.next_multiple_of(LANES) * tokens;
        if self.panels.len() < frames * heads * len {
            self.panels.resize(frames * heads * len, 0.0);
        }
        let panels = &mut self.panels[..frames * heads * len];
        workers.for_rows(panels, len, workers.least().light, |first, panels| {
            for (i, panels) in panels.chunks_exact_mut(len).enumerate() {
                let (frame, head) = ((first + i) / heads, (first + i) % heads);
                let rows = &qkv[frame * tokens * row..][..tokens * row];
                let (keys, values) = panels.split_at_mut(keys_len);
                pack_keys(&rows[width + head * d..], row, d, keys);
                pack_values(&rows[2 * width + head * d..], row, d, tokens, values);
            }
        });
        let (panels, y) = (&*panels, SharedSlice::new(y));
        let (pieces, masks) = (&self.pieces, &self.masks);
        let tasks = frames * heads * pieces.len();
        workers.run_with(&mut self.logits, tasks, |logits, task| {
            let (of_head, (queries, mask)) = (task / pieces.len(), &pieces[task % pieces.len()]);
            let (frame, head) = (of_head / heads, of_head % heads);
            let (keys, values) = panels[of_head * len..][..len].split_at(keys_len);
            let mask = &masks[*mask];
            let first = frame * tokens + queries.start;
            let logits = &mut logits[..queries.len() * mask.len()];
            let scores = MatmulArgs {
                x: &qkv[first * row + head * d..],
                rows: RowLayout::contiguous(queries.len(), row),
                panels: keys,
                inputs: d,
                outputs: mask.len(),
                stride: mask.len(),
                mode: WriteMode::Set,
            };
            multiply(&scores, logits);
            softmax(mask, logits);
            let output = MatmulArgs {
                x: logits,
                rows: RowLayout::contiguous(queries.len(), mask.len()),
                panels: values,
                inputs: tokens,
                outputs: d,
                stride: width,
                mode: WriteMode::Set,
            };
            multiply_shared(&output, &y.tail(first * width + head * d));
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Attention by its definition.
    fn plain(shape: Shape, sight: &Sight, qkv: &[f32]) -> Vec<f32> {
        let (Shape { tokens, heads, d }, width) = (shape, shape.width());
        let mut y = vec![0.0; qkv.len() / 3];
        for (frame, y) in y.chunks_exact_mut(tokens * width).enumerate() {
            let at = |token: usize, part: usize, i: usize| {
                qkv[((frame * tokens + token) * 3 + part) * width + i]
            };
            for [queries, keys] in sight {
                for (token, head) in queries
                    .clone()
                    .flat_map(|q| (0..heads).map(move |h| (q, h)))
                {
                    let of_head = head * d..(head + 1) * d;
                    let logit = |key: usize| -> f32 {
                        let products = of_head.clone().map(|i| at(token, 0, i) * at(key, 1, i));
                        products.sum()
                    };
                    let weights = keys.clone().map(|key| logit(key).exp());
                    let weights: Vec<f32> = weights.collect();
                    let total: f32 = weights.iter().sum();
                    for i in of_head.clone() {
                        let parts = keys.clone().zip(&weights);
                        let sum: f32 = parts.map(|(key, weight)| weight * at(key, 2, i)).sum();
                        y[token * width + i] = sum / total;
                    }
                }
            }
        }
        y
    }

    #[test]
    fn tokens_see_what_they_may_see() {
        let shape = Shape {
            tokens: 53,
            heads: 2,
            d: 5,
        };
        let qkv: Vec<f32> = (0..2 * 53 * 30)
            .map(|i| (i * 7 % 31) as f32 / 20.0 - 0.7)
            .collect();
        for sight in [
            vec![[0..53, 0..53]],
            vec![[0..3, 0..53], [3..53, 3..53]],
            vec![[0..3, 0..3], [3..53, 0..53]],
        ] {
            let expected = plain(shape, &sight, &qkv);
            for threads in [1, 2] {
                let mut attention = SpaceAttention::new(shape, sight.clone());
                attention.reserve(threads);
                let mut y = vec![0.0; qkv.len() / 3];
                attention.attend(&Workers::new(threads).unwrap(), &qkv, &mut y);
                let pairs = y.iter().zip(&expected);
                assert!(pairs.map(|(a, b)| (a - b).abs()).all(|e| e < 1e-5));
            }
        }
    }
}
