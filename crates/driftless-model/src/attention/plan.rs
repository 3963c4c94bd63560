//! Shapes and parameters of one call of the fused operation.

use super::pattern::AttentionPattern;

/// Shapes and parameters of one call, as its loops need them.
#[derive(Clone, Copy)]
pub(super) struct AttentionPlan<'a> {
    pub(super) pattern: AttentionPattern,
    /// Frames F.
    pub(super) f: usize,
    /// Tokens per frame S.
    pub(super) s: usize,
    pub(super) heads: usize,
    /// Head size.
    pub(super) d: usize,
    /// Sequence length L.
    pub(super) length: usize,
    /// L rounded up to whole vectors.
    pub(super) padded: usize,
    pub(super) parameters: &'a [f32],
    /// [L, padded]: 1 for visible pairs, 0 for masked ones.
    pub(super) mask: &'a [f32],
}

impl AttentionPlan<'_> {
    pub(super) fn width(&self) -> usize {
        self.heads * self.d
    }

    /// Sequences per batch entry.
    pub(super) fn sequences(&self) -> usize {
        self.f * self.s / self.length
    }

    /// Index within the batch entry of token `i` of a sequence.
    pub(super) fn token(&self, sequence: usize, i: usize) -> usize {
        match self.pattern {
            AttentionPattern::Space => sequence * self.s + i,
            AttentionPattern::Time { .. } => i * self.s + sequence,
        }
    }

    pub(super) fn head_parameters(&self, head: usize) -> &[f32] {
        let n = self.pattern.parameters();
        &self.parameters[head * n..(head + 1) * n]
    }

    /// The biases of one head, [L, padded].
    pub(super) fn bias(&self, head: usize) -> Vec<f32> {
        let mut bias = vec![0f32; self.length * self.padded];
        if let [_, by_distance @ ..] = self.head_parameters(head)
            && !by_distance.is_empty()
        {
            for i in 0..self.length {
                for j in 0..self.length {
                    if let Some(distance) = self.pattern.distance(i, j) {
                        bias[i * self.padded + j] = by_distance[distance];
                    }
                }
            }
        }
        bias
    }
}
