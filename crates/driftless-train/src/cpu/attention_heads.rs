//! What attention does with queries, keys and values that are projected and normalized already: the tokens
//! of one group attend to each other, or to those of another group.

use super::attention::{AttentionScratch, StridedProduct, transpose};
use super::matmul::LANES;
use super::row_ops::dot_rows;
use super::softmax::{HIDDEN, softmax, softmax_gradient};

/// `length` rounded up to whole vectors.
pub(super) fn padded(length: usize) -> usize {
    length.next_multiple_of(LANES)
}

/// Sizes of a group, and how far its rows are apart.
#[derive(Clone, Copy, Debug)]
pub(super) struct HeadSizes {
    /// Tokens that read.
    pub queries: usize,
    /// Tokens that are read.
    pub keys: usize,
    pub heads: usize,
    /// Width of all heads together, and of a row of the output.
    pub width: usize,
    /// Distance between two rows of queries, and of keys and values.
    pub strides: [usize; 2],
}

impl HeadSizes {
    /// Tokens that read each other, projected to rows (q, k, v).
    pub(super) fn own(tokens: usize, heads: usize, width: usize) -> Self {
        Self {
            queries: tokens,
            keys: tokens,
            heads,
            width,
            strides: [3 * width; 2],
        }
    }

    /// Tokens with rows (q) that read others with rows (k, v).
    pub(super) fn across(queries: usize, keys: usize, heads: usize, width: usize) -> Self {
        Self {
            queries,
            keys,
            heads,
            width,
            strides: [width, 2 * width],
        }
    }

    /// Width of a head.
    pub(super) fn size(&self) -> usize {
        self.width / self.heads
    }

    /// Numbers of a head's softmax weights.
    pub(super) fn weights(&self) -> usize {
        self.queries * padded(self.keys)
    }

    /// Computes the softmax weights of all heads, [heads, queries, padded keys], and `mixed`
    /// [queries, width], from q̂, k̂ and v, with a scale of the logits for each head.
    pub(super) fn mix(
        &self,
        scales: &[f32],
        [q, k, v]: [&[f32]; 3],
        weights: &mut [f32],
        mixed: &mut [f32],
        t: &mut AttentionScratch,
    ) {
        let (d, n) = (self.size(), padded(self.keys));
        let [far, apart] = self.strides;
        let bias = &mut t.bias[..n];
        bias[..self.keys].fill(0.0);
        bias[self.keys..].fill(HIDDEN);
        for (head, weights) in weights.chunks_exact_mut(self.weights()).enumerate() {
            let at = head * d;
            let columns = &mut t.columns[..d * n];
            transpose(self.keys, d, &k[at..], apart, n, columns);
            // The bias hides the padding columns.
            let logits = StridedProduct::new([self.queries, n], d, [far, 1], n, n);
            logits.run(&q[at..], columns, weights);
            softmax(scales[head], bias, weights);
            let mix = StridedProduct::new([self.queries, d], self.keys, [n, 1], apart, self.width);
            mix.run(weights, &v[at..], &mut mixed[at..]);
        }
    }

    /// Writes the gradients of q̂, k̂ and v, given the weights and the gradient of `mixed`, and adds those of
    /// the scales.
    pub(super) fn mix_gradient(
        &self,
        scales: &[f32],
        [q, k, v]: [&[f32]; 3],
        (weights, dmixed): (&[f32], &[f32]),
        projected: &mut ProjectedGradient,
        dscales: &mut [f32],
        t: (&mut [f32], &mut [f32]),
    ) {
        let (columns, dlogits) = t;
        let (d, n) = (self.size(), padded(self.keys));
        let [far, apart] = self.strides;
        let small = StridedProduct::new;
        for (head, weights) in weights.chunks_exact(self.weights()).enumerate() {
            let (at, scale) = (head * d, scales[head]);
            let columns = &mut columns[..d * n];
            transpose(self.keys, d, &v[at..], apart, n, columns);
            let dlogits = &mut dlogits[..self.weights()];
            let dy = &dmixed[at..];
            small([self.queries, n], d, [self.width, 1], n, n).run(dy, columns, dlogits);
            softmax_gradient(n, weights, dlogits);
            let values = small([self.keys, d], self.queries, [1, n], self.width, apart);
            values.run(weights, dy, &mut projected.v()[at..]);
            let queries = small([self.queries, d], self.keys, [n, 1], apart, far);
            queries.run(dlogits, &k[at..], &mut projected.q()[at..]);
            let keys = small([self.keys, d], self.queries, [1, n], far, apart);
            keys.run(dlogits, &q[at..], &mut projected.k()[at..]);
            // Σ dS cos = Σ q̂·(dS k̂).
            let dq = &projected.q()[at..];
            dscales[head] += dot_rows(self.queries, d, &q[at..], far, dq, far);
            scale_rows(self.queries, d, scale, &mut projected.q()[at..], far);
            scale_rows(self.keys, d, scale, &mut projected.k()[at..], apart);
        }
    }
}

/// The gradients of queries, keys and values.
pub(super) enum ProjectedGradient<'a> {
    /// In rows (q, k, v), each of this width.
    Joint(&'a mut [f32], usize),
    /// In rows (q) and rows (k, v), each of this width.
    Split(&'a mut [f32], &'a mut [f32], usize),
}

impl ProjectedGradient<'_> {
    fn q(&mut self) -> &mut [f32] {
        match self {
            Self::Joint(rows, _) | Self::Split(rows, _, _) => rows,
        }
    }

    fn k(&mut self) -> &mut [f32] {
        match self {
            Self::Joint(rows, width) => &mut rows[*width..],
            Self::Split(_, rows, _) => rows,
        }
    }

    fn v(&mut self) -> &mut [f32] {
        match self {
            Self::Joint(rows, width) => &mut rows[2 * *width..],
            Self::Split(_, rows, width) => &mut rows[*width..],
        }
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
