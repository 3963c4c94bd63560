//! Spatial attention: over the tokens of one frame.

use super::attention::{
    AttentionLayer, AttentionScratch, SavedAttention, StridedProduct, transpose,
};
use super::matmul::LANES;
use super::parameters::Weights;
use super::row_ops::dot_rows;
use super::softmax::{HIDDEN, softmax, softmax_gradient};

/// `length` rounded up to whole vectors.
pub(super) fn padded(length: usize) -> usize {
    length.next_multiple_of(LANES)
}

impl AttentionLayer {
    /// Computes the frames `frames` of y from x.
    pub(super) fn spatial_forward(
        &self,
        w: &Weights,
        frames: std::ops::Range<usize>,
        x: &[f32],
        y: &mut [f32],
        saved: &mut SavedAttention,
        t: &mut AttentionScratch,
    ) {
        let (s, width, heads) = (self.tokens, self.width, self.heads);
        let rows = frames.start * s..frames.end * s;
        let wide = |n: usize| rows.start * n..rows.end * n;
        let (x, y) = (&x[wide(width)], &mut y[wide(width)]);
        let qkv = &mut saved.qkv[wide(3 * width)];
        self.project(w, x, qkv, &mut saved.scales[wide(2 * heads)], t);
        let (d, n) = (self.size(), padded(s));
        let mixed = &mut saved.mixed[wide(width)];
        let weights = &mut saved.weights[frames.start * heads * s * n..frames.end * heads * s * n];
        let parameters = w.get(self.parameters);
        let bias = &mut t.bias[..n];
        bias[..s].fill(0.0);
        bias[s..].fill(HIDDEN);
        let frames = qkv
            .chunks_exact(s * 3 * width)
            .zip(mixed.chunks_exact_mut(s * width))
            .zip(weights.chunks_exact_mut(heads * s * n));
        for ((qkv, mixed), weights) in frames {
            for (head, weights) in weights.chunks_exact_mut(s * n).enumerate() {
                let at = head * d;
                let keys = &mut t.columns[..d * n];
                transpose(s, d, &qkv[width + at..], 3 * width, n, keys);
                // The bias hides the padding columns.
                let logits = StridedProduct::new([s, n], d, [3 * width, 1], n, n);
                logits.run(&qkv[at..], keys, weights);
                softmax(parameters[head], bias, weights);
                let mix = StridedProduct::new([s, d], s, [n, 1], 3 * width, width);
                mix.run(weights, &qkv[2 * width + at..], &mut mixed[at..]);
            }
        }
        self.join(w, x, mixed, y);
    }

    /// For the frames `frames`, replaces the gradient of y in `dx` by that of x.
    pub(super) fn spatial_backward(
        &self,
        w: &Weights,
        frames: std::ops::Range<usize>,
        (x, saved): (&[f32], &SavedAttention),
        dx: &mut [f32],
        gradient: &mut [f32],
        t: &mut AttentionScratch,
    ) {
        let (s, width, heads) = (self.tokens, self.width, self.heads);
        let rows = frames.start * s..frames.end * s;
        let wide = |n: usize| rows.start * n..rows.end * n;
        let (x, dx) = (&x[wide(width)], &mut dx[wide(width)]);
        let (d, n) = (self.size(), padded(s));
        let qkv = &saved.qkv[wide(3 * width)];
        let dmixed = &mut t.gradient[..x.len()];
        self.split(w, dx, &saved.mixed[wide(width)], dmixed, gradient);
        let weights = &saved.weights[frames.start * heads * s * n..frames.end * heads * s * n];
        let dqkv = &mut t.dqkv[..3 * x.len()];
        let parameters = w.get(self.parameters);
        let dparameters = self.parameters.of_mut(gradient);
        let frames = qkv
            .chunks_exact(s * 3 * width)
            .zip(dqkv.chunks_exact_mut(s * 3 * width))
            .zip(dmixed.chunks_exact(s * width))
            .zip(weights.chunks_exact(heads * s * n));
        for (((qkv, dqkv), dmixed), weights) in frames {
            for (head, weights) in weights.chunks_exact(s * n).enumerate() {
                let (at, scale) = (head * d, parameters[head]);
                let values = &mut t.columns[..d * n];
                transpose(s, d, &qkv[2 * width + at..], 3 * width, n, values);
                let dlogits = &mut t.dlogits[..s * n];
                let small = StridedProduct::new;
                let dy = &dmixed[at..];
                small([s, n], d, [width, 1], n, n).run(dy, values, dlogits);
                softmax_gradient(n, weights, dlogits);
                let (back, far) = (3 * width, 3 * width);
                let values = small([s, d], s, [1, n], width, back);
                values.run(weights, dy, &mut dqkv[2 * width + at..]);
                let queries = small([s, d], s, [n, 1], far, back);
                queries.run(dlogits, &qkv[width + at..], &mut dqkv[at..]);
                let keys = small([s, d], s, [1, n], far, back);
                keys.run(dlogits, &qkv[at..], &mut dqkv[width + at..]);
                // Σ dS cos = Σ q̂·(dS k̂).
                dparameters[head] += dot_rows(s, d, &qkv[at..], far, &dqkv[at..], back);
                scale_rows(s, d, scale, &mut dqkv[at..], back);
                scale_rows(s, d, scale, &mut dqkv[width + at..], back);
            }
        }
        let saved = [x, qkv, &saved.scales[wide(2 * heads)]];
        let scratch = (&mut t.normed[..], &mut t.gradient[..]);
        self.unproject(w, saved, dqkv, dx, gradient, scratch);
    }
}

/// Scales rows of `width` numbers that are `stride` apart.
pub(super) fn scale_rows(count: usize, width: usize, scale: f32, x: &mut [f32], stride: usize) {
    for row in x.chunks_mut(stride).take(count) {
        for x in &mut row[..width] {
            *x *= scale;
        }
    }
}
