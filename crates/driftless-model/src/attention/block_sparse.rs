//! Block-sparse attention for long sequences: NABLA (Kandinsky 5, arXiv 2511.14993).
//!
//! ```text
//! A    = softmax(scale · q̄ k̄ᵀ + ln n)     q̄, k̄: mean q̂ and k̂ of each block; n: tokens of the key's block
//! keep = the fewest key blocks of each row whose share of A is at least P, and those in the window
//! ```
//!
//! Within the kept blocks, attention is that of [`super::attention`]. Which blocks are kept depends on the
//! input, so each head, layer and step has its own.

use candle_core::{CpuStorage, CustomOp2, D, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use super::composed::split_qkv;
use super::l2_normalize;
use super::pattern::AttentionPattern;
use crate::ops::{NORM_EPS, TensorResult, cpu_slice};
use crate::simd::{axpy, dispatch, dot, exp};

/// Tokens of a block.
pub const BLOCK: usize = 64;

/// Which blocks of keys are attended to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlockSparse {
    /// Least share P of the attention between blocks' means that is kept, 0 to 1; 1 keeps every block.
    pub mass: f32,
    /// Blocks on either side of a query's own that are kept in any case.
    pub window: usize,
}

/// [`super::attention`] of each frame's tokens to each other, between some blocks of 64 tokens only. It has no
/// gradient.
///
/// Takes `qkv` [B, F, S, 3·w] and `parameters` [heads, 1]; returns [B, F, S, w]. The last block of a sequence
/// may be shorter.
///
/// # Errors
/// Returns an error if the shapes are inconsistent.
pub fn block_sparse_attention(
    qkv: &Tensor,
    parameters: &Tensor,
    sparse: BlockSparse,
) -> TensorResult<Tensor> {
    if qkv.device().is_cpu() {
        return qkv
            .contiguous()?
            .apply_op2_no_bwd(&parameters.contiguous()?, &sparse);
    }
    composed(qkv, parameters, sparse)
}

impl BlockSparse {
    /// Which blocks of keys the queries of each block attend to, [blocks, blocks], from the means [blocks, d] of
    /// q̂ and k̂ in each block of a sequence of `tokens`, and the scale of the logits.
    fn kept(&self, tokens: usize, d: usize, scale: f32, q: &[f32], k: &[f32]) -> Vec<bool> {
        let blocks = tokens.div_ceil(BLOCK);
        let mut kept = vec![false; blocks * blocks];
        for (i, (row, q)) in kept
            .chunks_exact_mut(blocks)
            .zip(q.chunks_exact(d))
            .enumerate()
        {
            for (j, kept) in row.iter_mut().enumerate() {
                *kept = i.abs_diff(j) <= self.window || self.mass >= 1.0;
            }
            let logits = k.chunks_exact(d).enumerate().map(|(j, k)| {
                let product: f32 = q.iter().zip(k).map(|(q, k)| q * k).sum();
                scale * product + (block_len(tokens, j) as f32).ln()
            });
            let logits: Vec<f32> = logits.collect();
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weights: Vec<f32> = logits.iter().map(|x| (x - largest).exp()).collect();
            let total: f32 = weights.iter().sum();
            let mut order: Vec<usize> = (0..blocks).collect();
            order.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
            let mut sum = 0.0;
            for j in order {
                if sum >= self.mass * total {
                    break;
                }
                sum += weights[j];
                row[j] = true;
            }
        }
        kept
    }
}

/// Tokens of block `i`.
fn block_len(tokens: usize, i: usize) -> usize {
    BLOCK.min(tokens - i * BLOCK)
}

impl CustomOp2 for BlockSparse {
    fn name(&self) -> &'static str {
        "block-sparse attention"
    }

    fn cpu_fwd(
        &self,
        qkv: &CpuStorage,
        lq: &Layout,
        parameters: &CpuStorage,
        lp: &Layout,
    ) -> TensorResult<(CpuStorage, Shape)> {
        let (&[b, f, s, w3], &[heads, 1]) = (lq.dims(), lp.dims()) else {
            bail!(
                "block-sparse attention: qkv {:?} and parameters {:?}, expected [B, F, S, 3·w] and [heads, 1]",
                lq.dims(),
                lp.dims()
            )
        };
        if heads == 0 || s == 0 || w3 % (3 * heads) != 0 {
            bail!(
                "block-sparse attention: qkv {:?} with {heads} heads",
                lq.dims()
            )
        }
        let (qkv, scales) = (cpu_slice(qkv, lq)?, cpu_slice(parameters, lp)?);
        let mut y = vec![0f32; b * f * s * w3 / 3];
        y.par_chunks_mut(s * w3 / 3)
            .zip(qkv.par_chunks(s * w3))
            .for_each(|(y, qkv)| sequence(*self, scales, s, qkv, y));
        Ok((CpuStorage::F32(y), Shape::from((b, f, s, w3 / 3))))
    }
}

/// One head of a sequence: q̂ and v in rows [S, d], k̂ in columns [d, S], and the means of q̂ and k̂.
struct Head {
    q: Vec<f32>,
    k_columns: Vec<f32>,
    v: Vec<f32>,
    q_means: Vec<f32>,
    k_means: Vec<f32>,
}

impl Head {
    #[inline(always)]
    fn load<const FMA: bool>(qkv: &[f32], w: usize, d: usize, head: usize) -> Self {
        let s = qkv.len() / (3 * w);
        let (rows, means) = (vec![0f32; s * d], vec![0f32; s.div_ceil(BLOCK) * d]);
        let mut h = Self {
            q: rows.clone(),
            k_columns: rows.clone(),
            v: rows,
            q_means: means.clone(),
            k_means: means,
        };
        for (i, row) in qkv.chunks_exact(3 * w).enumerate() {
            let part = |n: usize| &row[n * w + head * d..n * w + (head + 1) * d];
            let (q, k) = (part(0), part(1));
            let [q_scale, k_scale] = [q, k].map(|x| (dot::<FMA>(x, x) + NORM_EPS).sqrt().recip());
            let block = i / BLOCK * d..(i / BLOCK + 1) * d;
            let share = 1.0 / block_len(s, i / BLOCK) as f32;
            axpy::<FMA>(share * q_scale, q, &mut h.q_means[block.clone()]);
            axpy::<FMA>(share * k_scale, k, &mut h.k_means[block]);
            for x in 0..d {
                h.q[i * d + x] = q[x] * q_scale;
                h.k_columns[x * s + i] = k[x] * k_scale;
            }
            h.v[i * d..(i + 1) * d].copy_from_slice(part(2));
        }
        h
    }
}

dispatch!(/// Attention of one sequence [S, 3·w], added to `y` [S, w].
fn sequence = sequence_body(sparse: BlockSparse, scales: &[f32], s: usize, qkv: &[f32], y: &mut [f32]));
#[inline(always)]
fn sequence_body<const FMA: bool>(
    sparse: BlockSparse,
    scales: &[f32],
    s: usize,
    qkv: &[f32],
    y: &mut [f32],
) {
    let w = y.len() / s;
    let d = w / scales.len();
    let (mut k, mut v, mut weights) = (Vec::new(), Vec::new(), vec![0f32; s]);
    for (head, &scale) in scales.iter().enumerate() {
        let h = Head::load::<FMA>(qkv, w, d, head);
        let kept = sparse.kept(s, d, scale, &h.q_means, &h.k_means);
        for (i, row) in kept.chunks_exact(s.div_ceil(BLOCK)).enumerate() {
            // The kept keys and values side by side, for all queries of the block.
            let tokens = |j: usize| j * BLOCK..j * BLOCK + block_len(s, j);
            let blocks = || (0..row.len()).filter(|&j| row[j]).map(tokens);
            k.clear();
            v.clear();
            for column in h.k_columns.chunks_exact(s) {
                blocks().for_each(|tokens| k.extend_from_slice(&column[tokens]));
            }
            blocks().for_each(|t| v.extend_from_slice(&h.v[t.start * d..t.end * d]));
            let weights = &mut weights[..v.len() / d];
            for query in tokens(i) {
                softmax::<FMA>(scale, &h.q[query * d..(query + 1) * d], &k, weights);
                let out = &mut y[query * w + head * d..query * w + (head + 1) * d];
                for (v, weight) in v.chunks_exact(d).zip(&*weights) {
                    axpy::<FMA>(*weight, v, out);
                }
            }
        }
    }
}

/// The weights of keys in columns [d, n] for a query [d].
#[inline(always)]
fn softmax<const FMA: bool>(scale: f32, q: &[f32], k: &[f32], weights: &mut [f32]) {
    weights.fill(0.0);
    for (q, column) in q.iter().zip(k.chunks_exact(weights.len())) {
        axpy::<FMA>(*q, column, weights);
    }
    let mut largest = f32::NEG_INFINITY;
    for weight in &mut *weights {
        *weight *= scale;
        largest = largest.max(*weight);
    }
    let mut total = 0.0;
    for weight in &mut *weights {
        *weight = exp::<FMA>(*weight - largest);
        total += *weight;
    }
    let total = total.recip();
    for weight in weights {
        *weight *= total;
    }
}

/// [`block_sparse_attention`] composed of candle operations: other devices compute all of it, and hide what is
/// not kept.
fn composed(qkv: &Tensor, parameters: &Tensor, sparse: BlockSparse) -> TensorResult<Tensor> {
    let (b, f, s, w3) = qkv.dims4()?;
    let heads = parameters.dim(0)?;
    let (d, blocks) = (w3 / 3 / heads, s.div_ceil(BLOCK));
    let [q, k, v] = split_qkv(qkv, heads, AttentionPattern::Space)?;
    let (q, k) = (l2_normalize(&q)?, l2_normalize(&k)?);
    let average = |at: usize| {
        let is_inside = at % s / BLOCK == at / s;
        f32::from(u8::from(is_inside)) / block_len(s, at / s) as f32
    };
    let average: Vec<f32> = (0..blocks * s).map(average).collect();
    let average = Tensor::from_vec(average, (blocks, s), qkv.device())?;
    let means = |x: &Tensor| {
        average
            .broadcast_matmul(x)?
            .reshape(((), blocks * d))?
            .to_vec2()
    };
    let (q_means, k_means): (Vec<Vec<f32>>, Vec<Vec<f32>>) = (means(&q)?, means(&k)?);
    let scales: Vec<f32> = parameters.flatten_all()?.to_vec1()?;
    let mut hidden = Vec::with_capacity(b * f * heads * s * s);
    for (i, (q, k)) in q_means.iter().zip(&k_means).enumerate() {
        let kept = sparse.kept(s, d, scales[i % heads], q, k);
        let pairs = (0..s * s).map(|at| kept[at / s / BLOCK * blocks + at % s / BLOCK]);
        hidden.extend(pairs.map(|kept| if kept { 0.0 } else { f32::NEG_INFINITY }));
    }
    let hidden = Tensor::from_vec(hidden, (b * f, heads, s, s), qkv.device())?;
    let logits = q
        .matmul(&k.transpose(2, 3)?.contiguous()?)?
        .broadcast_mul(&parameters.reshape((1, heads, 1, 1))?)?;
    let weights = candle_nn::ops::softmax(&(logits + hidden)?, D::Minus1)?;
    weights
        .matmul(&v)?
        .reshape((b, f, heads, s, d))?
        .permute((0, 1, 3, 2, 4))?
        .reshape((b, f, s, heads * d))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attention::attention;
    use crate::ops::test_support::random;
    use candle_core::Device;

    fn distance(a: &Tensor, b: &Tensor) -> f32 {
        let gap = (a - b).unwrap().abs().unwrap().flatten_all().unwrap();
        gap.max(0).unwrap().to_scalar().unwrap()
    }

    fn sparse(mass: f32, window: usize) -> BlockSparse {
        BlockSparse { mass, window }
    }

    #[test]
    fn whole_mass_is_full_attention() {
        for s in [1, 64, 200] {
            let (qkv, scales) = (random(&[2, 1, s, 3 * 12], 1), random(&[2, 1], 2));
            let full = attention(&qkv, &scales, AttentionPattern::Space).unwrap();
            for sparse in [sparse(1.0, 0), sparse(0.0, 9)] {
                let some = block_sparse_attention(&qkv, &scales, sparse).unwrap();
                assert!(distance(&full, &some) < 1e-5);
            }
        }
    }

    #[test]
    fn both_forms_agree() {
        let (qkv, scales) = (random(&[2, 3, 300, 3 * 12], 1), random(&[2, 1], 2));
        let full = attention(&qkv, &scales, AttentionPattern::Space).unwrap();
        for sparse in [sparse(0.4, 0), sparse(0.6, 1), sparse(0.0, 0)] {
            let some = block_sparse_attention(&qkv, &scales, sparse).unwrap();
            assert!(distance(&some, &composed(&qkv, &scales, sparse).unwrap()) < 1e-5);
            assert!(
                distance(&some, &full) > 1e-3,
                "{sparse:?} leaves nothing out"
            );
        }
    }

    /// Four blocks: the queries of block i and the keys of block i + `by` are the unit vector i, and values
    /// are the number of their token.
    fn pointing(by: usize) -> Tensor {
        let mut qkv = vec![0f32; 4 * BLOCK * 12];
        for (token, row) in qkv.chunks_exact_mut(12).enumerate() {
            let block = token / BLOCK;
            row[block] = 1.0;
            row[4 + (block + 4 - by) % 4] = 1.0;
            row[8] = token as f32;
        }
        Tensor::from_vec(qkv, (1, 1, 4 * BLOCK, 12), &Device::Cpu).unwrap()
    }

    #[test]
    fn blocks_without_mass_are_skipped() {
        // A row of A is e⁵ : 1 : 1 : 1, so that the own block has 0.9802 of it.
        let scale = Tensor::new(&[[5f32]], &Device::Cpu).unwrap();
        let outputs = |mass| -> Vec<f32> {
            let y = block_sparse_attention(&pointing(0), &scale, sparse(mass, 0)).unwrap();
            let y = y.narrow(3, 0, 1).unwrap().flatten_all().unwrap();
            y.to_vec1().unwrap()
        };
        let (e, mean) = (5f32.exp(), |block: usize| block as f32 * 64.0 + 31.5);
        let all: f32 = (0..4).map(mean).sum();
        let (own, whole) = (outputs(0.98), outputs(0.999));
        for (token, (y, whole)) in own.into_iter().zip(whole).enumerate() {
            let own = mean(token / BLOCK);
            assert!((y - own).abs() < 0.01, "{token}: {y}");
            let expected = (own * (e - 1.0) + all) / (e + 3.0);
            assert!((whole - expected).abs() < 0.01, "{token}: {whole}");
        }
    }

    #[test]
    fn window_is_always_kept() {
        // Queries look at the block after the next; means are the same as the rows.
        let unit = |by: usize| -> Vec<f32> {
            (0..16)
                .map(|at| f32::from(u8::from((at / 4 + by) % 4 == at % 4)))
                .collect()
        };
        let kept = |window| sparse(0.9, window).kept(4 * BLOCK, 4, 10.0, &unit(0), &unit(2));
        let far: Vec<bool> = (0..16).map(|at| (at / 4 + 2) % 4 == at % 4).collect();
        assert_eq!(
            kept(0),
            (0..16)
                .map(|at| far[at] || at / 4 == at % 4)
                .collect::<Vec<_>>()
        );
        let near = (0..16).map(|at: usize| far[at] || (at / 4).abs_diff(at % 4) <= 1);
        assert_eq!(kept(1), near.collect::<Vec<_>>());
    }
}
