//! Temporal attention: of a token to itself in earlier frames.

use super::attention::{
    AttentionLayer, AttentionScratch, SavedAttention, StridedProduct, transpose,
};
use super::attention_heads::{padded, scale_rows};
use super::parameters::Weights;
use super::row_ops::{axpy, dot_rows};
use super::softmax::{HIDDEN, softmax_with_self, softmax_with_self_gradient};

/// The number of frames of a sequence: the clean ones, then the noised copies.
#[derive(Clone, Copy, Debug)]
pub(super) struct FrameCounts {
    /// Clean frames, T.
    pub length: usize,
    /// All frames.
    pub count: usize,
}

impl AttentionLayer {
    /// Biases of the logits of one head, [T, padded]: a frame at time m attends to the clean frames
    /// before m in the context window.
    fn biases(&self, parameters: &[f32], length: usize, bias: &mut [f32]) {
        let n = padded(length);
        bias[..length * n].fill(HIDDEN);
        for (m, bias) in bias.chunks_exact_mut(n).take(length).enumerate() {
            for (distance, b) in parameters.iter().skip(1).enumerate().skip(1).take(m) {
                bias[m - distance] = *b;
            }
        }
    }

    fn head_parameters<'a>(&self, w: &'a Weights, head: usize) -> &'a [f32] {
        let n = self.columns();
        &w.get(self.parameters)[head * n..(head + 1) * n]
    }

    /// Computes `saved.mixed` of the frames `frames`. Their projections and those of the clean
    /// frames must have been computed.
    pub(super) fn temporal_forward(
        &self,
        w: &Weights,
        frames: std::ops::Range<usize>,
        all: FrameCounts,
        saved: &mut SavedAttention,
        t: &mut AttentionScratch,
    ) {
        let (s, width, d, length) = (self.tokens, self.width, self.size(), all.length);
        let n = padded(length);
        let (row, out) = (s * 3 * width, s * width);
        let count = frames.len();
        for head in 0..self.heads {
            let parameters = self.head_parameters(w, head);
            self.biases(parameters, length, &mut t.bias);
            for token in 0..s {
                let at = token * 3 * width + head * d;
                let keys = &mut t.columns[..d * n];
                transpose(length, d, &saved.qkv[width + at..], row, n, keys);
                let group = token * self.heads + head;
                let first = group * all.count + frames.start;
                let weights = &mut saved.weights[first * n..(first + count) * n];
                let queries = &saved.qkv[frames.start * row + at..];
                // The bias hides the padding columns.
                let logits = StridedProduct::new([count, n], d, [row, 1], n, n);
                logits.run(queries, keys, weights);
                let own = &mut saved.own[first..first + count];
                for (i, (weights, own)) in weights.chunks_exact_mut(n).zip(&mut *own).enumerate() {
                    let qkv = &queries[i * row..];
                    *own = dot_rows(1, d, qkv, 0, &qkv[width..], 0);
                    let time = (frames.start + i) % length;
                    let bias = &t.bias[time * n..(time + 1) * n];
                    softmax_with_self(parameters[0], bias, parameters[1], weights, own);
                }
                let mixed = &mut saved.mixed[frames.start * out + token * width + head * d..];
                let mix = StridedProduct::new([count, d], length, [n, 1], row, out);
                mix.run(weights, &saved.qkv[2 * width + at..], mixed);
                for (i, own) in own.iter().enumerate() {
                    let value = &queries[i * row + 2 * width..][..d];
                    axpy(*own, value, &mut mixed[i * out..i * out + d]);
                }
            }
        }
    }

    /// Computes the gradient of q̂, k̂ and v of all frames from that of `saved.mixed`.
    pub(super) fn temporal_backward(
        &self,
        w: &Weights,
        all: FrameCounts,
        saved: &SavedAttention,
        (dmixed, dqkv): (&[f32], &mut [f32]),
        gradient: &mut [f32],
        t: &mut AttentionScratch,
    ) {
        let (s, width, d, length) = (self.tokens, self.width, self.size(), all.length);
        let n = padded(length);
        let (row, out) = (s * 3 * width, s * width);
        let columns = self.columns();
        let small = StridedProduct::new;
        for head in 0..self.heads {
            let scale = self.head_parameters(w, head)[0];
            let (mut dscale, mut dnear) = (0.0, 0.0);
            t.dbias[..length * n].fill(0.0);
            for token in 0..s {
                let at = token * 3 * width + head * d;
                let dy = &dmixed[token * width + head * d..];
                let first = (token * self.heads + head) * all.count;
                let weights = &saved.weights[first * n..(first + all.count) * n];
                let own = &saved.own[first..first + all.count];
                let values = &mut t.columns[..d * n];
                transpose(length, d, &saved.qkv[2 * width + at..], row, n, values);
                let dlogits = &mut t.dlogits[..all.count * n];
                small([all.count, n], d, [out, 1], n, n).run(dy, values, dlogits);
                let down = &mut t.down[..all.count];
                let rows = dlogits.chunks_exact_mut(n).zip(weights.chunks_exact(n));
                for (i, (dlogits, weights)) in rows.enumerate() {
                    let value = &saved.qkv[i * row + at + 2 * width..];
                    down[i] = dot_rows(1, d, &dy[i * out..], 0, value, 0);
                    softmax_with_self_gradient(weights, own[i], dlogits, &mut down[i]);
                    let time = i % length;
                    axpy(1.0, dlogits, &mut t.dbias[time * n..(time + 1) * n]);
                    dnear += down[i];
                }
                // All frames attend to keys and values of clean frames, which come first.
                let dvalues = small([length, d], all.count, [1, n], out, row);
                dvalues.run(weights, dy, &mut dqkv[at + 2 * width..]);
                let dqueries = small([all.count, d], length, [n, 1], row, row);
                dqueries.run(dlogits, &saved.qkv[at + width..], &mut dqkv[at..]);
                let dkeys = small([length, d], all.count, [1, n], row, row);
                dkeys.run(dlogits, &saved.qkv[at..], &mut dqkv[at + width..]);
                let alone = OwnAttention {
                    own,
                    down,
                    clean: length,
                    sizes: [d, width, row, out],
                };
                alone.backward(at, dy, &saved.qkv, dqkv);
                dscale += dot_rows(all.count, d, &saved.qkv[at..], row, &dqkv[at..], row);
                scale_rows(all.count, d, scale, &mut dqkv[at..], row);
                scale_rows(all.count, d, scale, &mut dqkv[at + width..], row);
            }
            let dhead = &mut self.parameters.of_mut(gradient)[head * columns..(head + 1) * columns];
            dhead[0] += dscale;
            dhead[1] += dnear;
            add_by_distance(t.dbias.chunks_exact(n).take(length), &mut dhead[1..]);
        }
    }
}

/// Adds the gradient of a frame's biases, by the frame attended to, to that of the biases by distance.
fn add_by_distance<'a>(dbias: impl Iterator<Item = &'a [f32]>, sums: &mut [f32]) {
    for (m, dbias) in dbias.enumerate() {
        for (distance, sum) in sums.iter_mut().enumerate().skip(1).take(m) {
            *sum += dbias[m - distance];
        }
    }
}

/// Adds what each frame of one head gets from attending to itself: `own` are the weights, `down` the
/// gradients of the logits. Keys and values of frames from `clean` on are used by the frame itself only.
struct OwnAttention<'a> {
    own: &'a [f32],
    down: &'a [f32],
    clean: usize,
    /// Head size, width, and the row lengths of the projection and of the output.
    sizes: [usize; 4],
}

impl OwnAttention<'_> {
    fn backward(&self, at: usize, dy: &[f32], qkv: &[f32], dqkv: &mut [f32]) {
        let [d, width, row, out] = self.sizes;
        for (i, (own, down)) in self.own.iter().zip(self.down).enumerate() {
            let q = i * row + at;
            let (k, v) = (q + width, q + 2 * width);
            if i >= self.clean {
                dqkv[k..k + d].fill(0.0);
                dqkv[v..v + d].fill(0.0);
            }
            axpy(*own, &dy[i * out..i * out + d], &mut dqkv[v..v + d]);
            axpy(*down, &qkv[k..k + d], &mut dqkv[q..q + d]);
            axpy(*down, &qkv[q..q + d], &mut dqkv[k..k + d]);
        }
    }
}
