//! Attention composed of candle operations, for devices other than the CPU and for inspection.

use candle_core::{D, Tensor};

use super::pattern::AttentionPattern;
use crate::ops::{NORM_EPS, TensorResult};

/// [`super::attention`] composed of candle operations.
pub(super) fn composed(
    qkv: &Tensor,
    parameters: &Tensor,
    pattern: AttentionPattern,
) -> TensorResult<Tensor> {
    let (b, f, s, w3) = qkv.dims4()?;
    let heads = parameters.dim(0)?;
    let (w, d) = (w3 / 3, w3 / 3 / heads);
    let [q, k, v] = split_qkv(qkv, heads, pattern)?;
    let y = qk_weights(&q, &k, parameters, pattern)?.matmul(&v)?;
    match pattern {
        AttentionPattern::Space => y.reshape((b, f, heads, s, d))?.permute((0, 1, 3, 2, 4))?,
        AttentionPattern::Time { .. } => {
            y.reshape((b, s, heads, f, d))?.permute((0, 3, 1, 2, 4))?
        }
    }
    .reshape((b, f, s, w))
}

/// The attention weights of [`super::attention`], [sequences, heads, L queries, L keys]. A sequence is the
/// tokens of one frame in space, or one token of all frames in time.
///
/// # Errors
/// Returns an error if the shapes are inconsistent.
pub fn attention_weights(
    qkv: &Tensor,
    parameters: &Tensor,
    pattern: AttentionPattern,
) -> TensorResult<Tensor> {
    let [q, k, _] = split_qkv(qkv, parameters.dim(0)?, pattern)?;
    qk_weights(&q, &k, parameters, pattern)
}

/// Splits `qkv` into queries, keys and values, each [sequences, heads, L, d].
pub(super) fn split_qkv(
    qkv: &Tensor,
    heads: usize,
    pattern: AttentionPattern,
) -> TensorResult<[Tensor; 3]> {
    let (b, f, s, w3) = qkv.dims4()?;
    let d = w3 / 3 / heads;
    let length = pattern.length(f, s);
    // [B, F, S, 3, heads, d] → [3, B, sequences, heads, L, d]
    let x = qkv.reshape(vec![b, f, s, 3, heads, d])?;
    let x = match pattern {
        AttentionPattern::Space => x.permute(vec![3, 0, 1, 4, 2, 5])?,
        AttentionPattern::Time { .. } => x.permute(vec![3, 0, 2, 4, 1, 5])?,
    }
    .contiguous()?;
    let part = |i: usize| x.get(i)?.reshape(((), heads, length, d));
    Ok([part(0)?, part(1)?, part(2)?])
}

/// Softmax of the logits of `q` and `k`, each [sequences, heads, L, d].
fn qk_weights(
    q: &Tensor,
    k: &Tensor,
    parameters: &Tensor,
    pattern: AttentionPattern,
) -> TensorResult<Tensor> {
    let (_, heads, length, _) = q.dims4()?;
    let (q, k) = (l2_normalize(q)?, l2_normalize(k)?);
    let scale = parameters.narrow(1, 0, 1)?.reshape((1, heads, 1, 1))?;
    let mut logits = q
        .matmul(&k.transpose(2, 3)?.contiguous()?)?
        .broadcast_mul(&scale)?;
    if let AttentionPattern::Time { window, .. } = pattern {
        // An additional column of −∞ for masked pairs.
        let masked = Tensor::full(f32::NEG_INFINITY, (heads, 1), q.device())?;
        let bias = Tensor::cat(&[&parameters.narrow(1, 1, window)?, &masked], 1)?;
        let columns: Vec<u32> = (0..length * length)
            .map(|at| {
                let distance = pattern.distance(at / length, at % length);
                distance.unwrap_or(window) as u32
            })
            .collect();
        let columns = Tensor::from_vec(columns, length * length, q.device())?;
        let bias = bias
            .index_select(&columns, 1)?
            .reshape((1, heads, length, length))?;
        logits = logits.broadcast_add(&bias)?;
    }
    candle_nn::ops::softmax(&logits, D::Minus1)
}

/// q/‖q‖ over the last dimension.
///
/// # Errors
/// Returns an error if the device fails.
pub fn l2_normalize(x: &Tensor) -> TensorResult<Tensor> {
    let r = (x.sqr()?.sum_keepdim(D::Minus1)? + f64::from(NORM_EPS))?.sqrt()?;
    x.broadcast_div(&r)
}
