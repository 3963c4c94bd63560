//! Self-attention over the pixels of a small feature map.

use driftless_model::simd::{axpy, dispatch, dot, exp};

use crate::Result;
use crate::conv::Conv1x1;
use crate::map::{Compute, Map};
use crate::norm::GroupNorm;
use crate::weights::{Affine, Weights};

/// Channels of a head.
const HEAD: usize = 8;

/// The weights of a [`SelfAttention`].
pub(crate) struct AttentionWeights {
    pub heads: usize,
    pub norm: GroupNorm,
    pub qkv: Affine,
    pub out: Affine,
}

impl AttentionWeights {
    pub(crate) fn take(weights: &mut Weights, name: &str, channels: usize) -> Result<Self> {
        let norm = GroupNorm::new(weights, &format!("{name}.norm.norm"), channels)?;
        let qkv_name = format!("{name}.qkv_proj");
        let qkv = weights.convolution(&qkv_name, Some(channels), 1)?;
        let out_name = format!("{name}.out_proj");
        let out = weights.convolution(&out_name, Some(channels), 1)?;
        let heads = (channels / HEAD).max(1);
        if qkv.outputs() != 3 * channels
            || out.outputs() != channels
            || !channels.is_multiple_of(heads)
        {
            let expected = format!("{} outputs, for heads of {HEAD}", 3 * channels);
            return Err(weights.wrong(&format!("{qkv_name}.weight"), &qkv.shape, &expected));
        }
        Ok(Self {
            heads,
            norm,
            qkv,
            out,
        })
    }
}

/// x̂ + W softmax(q kᵀ / √d) v with q, k and v from x̂, the normalized x. (The published program adds to x̂, not to x.)
pub(crate) struct SelfAttention {
    heads: usize,
    norm: GroupNorm,
    qkv: Conv1x1,
    out: Conv1x1,
}

impl SelfAttention {
    pub(crate) fn new(weights: AttentionWeights) -> Self {
        let channels = [weights.out.inputs()];
        Self {
            heads: weights.heads,
            norm: weights.norm,
            qkv: Conv1x1::new(weights.qkv, &channels),
            out: Conv1x1::new(weights.out, &channels),
        }
    }

    pub(crate) fn apply(&self, compute: &mut Compute, x: Map) -> Map {
        let affine = self.norm.affine(&x);
        let mut normalized = compute.map(x.size, x.channels);
        let pixels = normalized.data.chunks_exact_mut(x.channels);
        for (to, from) in pixels.zip(x.data.chunks_exact(x.channels)) {
            for (c, to) in to.iter_mut().enumerate() {
                *to = affine.gain[c] * from[c] + affine.offset[c];
            }
        }
        let mut qkv = self.qkv.products(compute, &[&normalized]);
        for pixel in qkv.data.chunks_exact_mut(qkv.channels) {
            for (value, bias) in pixel.iter_mut().zip(&self.qkv.bias) {
                *value += bias;
            }
        }
        let mut attended = x;
        attend(self.heads, &qkv.data, &mut attended);
        self.out.add_to(compute, &attended, &mut normalized);
        compute.give(qkv);
        compute.give(attended);
        normalized
    }
}

dispatch!(fn attend = attend_body(heads: usize, qkv: &[f32], y: &mut Map));
/// Attention of all heads; `qkv` is `[pixels, 3 · channels]`.
#[inline(always)]
fn attend_body<const FMA: bool>(heads: usize, qkv: &[f32], y: &mut Map) {
    let channels = y.channels;
    let pixels = y.pixels();
    let d = channels / heads;
    let scale = 1.0 / (d as f32).sqrt();
    let at = |pixel: usize, part: usize, head: usize| {
        &qkv[pixel * 3 * channels + part * channels + head * d..][..d]
    };
    let mut weights = vec![0.0; pixels];
    for head in 0..heads {
        for pixel in 0..pixels {
            let query = at(pixel, 0, head);
            for (key, weight) in weights.iter_mut().enumerate() {
                *weight = scale * dot::<FMA>(query, at(key, 1, head));
            }
            let most = weights
                .iter()
                .fold(f32::NEG_INFINITY, |most, w| most.max(*w));
            let mut sum = 0.0;
            for weight in &mut weights {
                *weight = exp::<FMA>(*weight - most);
                sum += *weight;
            }
            let out = &mut y.data[pixel * channels + head * d..][..d];
            out.fill(0.0);
            for (value, weight) in weights.iter().enumerate() {
                axpy::<FMA>(weight / sum, at(value, 2, head), out);
            }
        }
    }
}
