//! Attention with normalized queries and keys, fused with its backward pass.
//!
//! The logits of head h are `scale_h · q̂·k̂ + bias_h[distance]` with q̂ = q/‖q‖ and k̂ = k/‖k‖: a
//! learned scale per head (QK normalization) and, over time, a learned bias for each distance in
//! frames. Relative distances need no absolute positions, so a rollout can be arbitrarily long.

mod backward;
mod block_sparse;
mod composed;
mod forward;
mod fused;
mod pattern;
mod plan;

use candle_core::Tensor;

use self::composed::composed;
use self::fused::AttentionOp;
use super::ops::TensorResult;

pub use self::block_sparse::{BLOCK, BlockSparse, block_sparse_attention};
pub use self::composed::{attention_weights, l2_normalize};
pub use self::pattern::AttentionPattern;

/// Attention over a batch of frames of tokens.
///
/// Takes `qkv` [B, F, S, 3·w] (queries, keys and values, each of width w = heads · head size) and
/// `parameters` [heads, 1 + distances] (see [`AttentionPattern::parameters`]); returns [B, F, S, w].
///
/// # Errors
/// Returns an error if the shapes are inconsistent.
pub fn attention(
    qkv: &Tensor,
    parameters: &Tensor,
    pattern: AttentionPattern,
) -> TensorResult<Tensor> {
    if qkv.device().is_cpu() {
        return qkv
            .contiguous()?
            .apply_op2(&parameters.contiguous()?, AttentionOp { pattern });
    }
    composed(qkv, parameters, pattern)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::test_support::{assert_same, random};

    fn compare(pattern: AttentionPattern, f: usize, s: usize) {
        let (heads, d) = (2, 5);
        let qkv = random(&[3, f, s, 3 * heads * d], 1);
        let parameters = random(&[heads, pattern.parameters()], 2);
        assert_same(
            &[&qkv, &parameters],
            || attention(&qkv, &parameters, pattern).unwrap(),
            || composed(&qkv, &parameters, pattern).unwrap(),
        );
    }

    #[test]
    fn space_attention_matches_composed_form() {
        compare(AttentionPattern::Space, 2, 11);
    }

    #[test]
    fn time_attention_matches_composed_form() {
        let pattern = |frames, window| AttentionPattern::Time { frames, window };
        compare(pattern(9, 4), 9, 2);
        compare(pattern(5, 8), 10, 2);
        compare(pattern(4, 3), 12, 1);
    }

    #[test]
    fn noised_frame_sees_past_clean_frames() {
        let pattern = AttentionPattern::Time {
            frames: 4,
            window: 3,
        };
        let visible = |i: usize| -> Vec<usize> {
            (0..8)
                .filter(|&j| pattern.distance(i, j).is_some())
                .collect()
        };
        assert_eq!(visible(3), [1, 2, 3], "clean frame 3 with a window of 3");
        assert_eq!(visible(7), [1, 2, 7], "noised frame 3");
        assert_eq!(visible(4), [4], "noised frame 0");
        assert_eq!(pattern.distance(7, 2), Some(1));
    }
}
