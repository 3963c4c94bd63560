//! Spatial attention: over the tokens of one frame.

use super::attention::{AttentionLayer, AttentionScratch, SavedAttention};
use super::attention_heads::{HeadSizes, ProjectedGradient, padded};
use super::parameters::Weights;

impl AttentionLayer {
    /// The tokens of a frame.
    fn group(&self) -> HeadSizes {
        HeadSizes::own(self.tokens, self.heads, self.width)
    }

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
        let n = padded(s);
        let mixed = &mut saved.mixed[wide(width)];
        let weights = &mut saved.weights[frames.start * heads * s * n..frames.end * heads * s * n];
        let group = self.group();
        let frames = qkv
            .chunks_exact(s * 3 * width)
            .zip(mixed.chunks_exact_mut(s * width))
            .zip(weights.chunks_exact_mut(heads * s * n));
        for ((qkv, mixed), weights) in frames {
            let rows = [qkv, &qkv[width..], &qkv[2 * width..]];
            group.mix(w.get(self.parameters), rows, weights, mixed, t);
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
        let n = padded(s);
        let qkv = &saved.qkv[wide(3 * width)];
        let dmixed = &mut t.gradient[..x.len()];
        self.split(w, dx, &saved.mixed[wide(width)], dmixed, gradient);
        let weights = &saved.weights[frames.start * heads * s * n..frames.end * heads * s * n];
        let dqkv = &mut t.dqkv[..3 * x.len()];
        let group = self.group();
        let frames = qkv
            .chunks_exact(s * 3 * width)
            .zip(dqkv.chunks_exact_mut(s * 3 * width))
            .zip(dmixed.chunks_exact(s * width))
            .zip(weights.chunks_exact(heads * s * n));
        for (((qkv, dqkv), dmixed), weights) in frames {
            group.mix_gradient(
                w.get(self.parameters),
                [qkv, &qkv[width..], &qkv[2 * width..]],
                (weights, dmixed),
                &mut ProjectedGradient::Joint(dqkv, width),
                self.parameters.of_mut(gradient),
                (&mut t.columns, &mut t.dlogits),
            );
        }
        let saved = [x, qkv, &saved.scales[wide(2 * heads)]];
        let scratch = (&mut t.normed[..], &mut t.gradient[..]);
        self.unproject(w, saved, dqkv, dx, gradient, scratch);
    }
}
