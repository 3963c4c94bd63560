//! The forward loops, and what the backward ones share with them.

use super::plan::AttentionPlan;
use crate::ops::NORM_EPS;
use crate::simd::{axpy, dispatch, dot, exp, fma};

/// Buffers for one sequence and one head. `columns` are transposed, [d, padded].
pub(super) struct Scratch {
    pub(super) q: Vec<f32>,
    pub(super) q_scale: Vec<f32>,
    pub(super) k: Vec<f32>,
    pub(super) k_scale: Vec<f32>,
    pub(super) k_columns: Vec<f32>,
    pub(super) v: Vec<f32>,
    pub(super) v_columns: Vec<f32>,
    pub(super) cosine: Vec<f32>,
    pub(super) weight: Vec<f32>,
}

impl Scratch {
    pub(super) fn new(p: &AttentionPlan) -> Self {
        let (rows, columns) = (vec![0f32; p.length * p.d], vec![0f32; p.padded * p.d]);
        Self {
            q: rows.clone(),
            q_scale: vec![0f32; p.length],
            k: rows.clone(),
            k_scale: vec![0f32; p.length],
            k_columns: columns.clone(),
            v: rows,
            v_columns: columns,
            cosine: vec![0f32; p.padded],
            weight: vec![0f32; p.padded],
        }
    }
}

/// Loads one sequence of one head into `t`, normalizing queries and keys.
#[inline(always)]
pub(super) fn load<const FMA: bool>(
    p: &AttentionPlan,
    qkv: &[f32],
    sequence: usize,
    head: usize,
    t: &mut Scratch,
) {
    let (w, d) = (p.width(), p.d);
    for i in 0..p.length {
        let at = p.token(sequence, i) * 3 * w + head * d;
        let (q, k, v) = (
            &qkv[at..at + d],
            &qkv[at + w..at + w + d],
            &qkv[at + 2 * w..at + 2 * w + d],
        );
        let q_scale = (dot::<FMA>(q, q) + NORM_EPS).sqrt().recip();
        let k_scale = (dot::<FMA>(k, k) + NORM_EPS).sqrt().recip();
        t.q_scale[i] = q_scale;
        t.k_scale[i] = k_scale;
        for x in 0..d {
            t.q[i * d + x] = q[x] * q_scale;
            t.k[i * d + x] = k[x] * k_scale;
            t.k_columns[x * p.padded + i] = k[x] * k_scale;
            t.v[i * d + x] = v[x];
            t.v_columns[x * p.padded + i] = v[x];
        }
    }
}

/// Writes the attention weights of query `i` to `t.weight` and its cosines to `t.cosine`.
#[inline(always)]
pub(super) fn weights_of_query<const FMA: bool>(
    p: &AttentionPlan,
    scale: f32,
    bias: &[f32],
    i: usize,
    t: &mut Scratch,
) {
    let (d, n) = (p.d, p.padded);
    t.cosine.fill(0.0);
    for x in 0..d {
        axpy::<FMA>(
            t.q[i * d + x],
            &t.k_columns[x * n..(x + 1) * n],
            &mut t.cosine,
        );
    }
    let (mask, bias) = (&p.mask[i * n..(i + 1) * n], &bias[i * n..(i + 1) * n]);
    let mut largest = f32::NEG_INFINITY;
    for j in 0..n {
        t.weight[j] = fma::<FMA>(scale, t.cosine[j], bias[j]);
        largest = largest.max(if mask[j] > 0.0 {
            t.weight[j]
        } else {
            f32::NEG_INFINITY
        });
    }
    let mut total = 0.0;
    for j in 0..n {
        t.weight[j] = exp::<FMA>(t.weight[j] - largest) * mask[j];
        total += t.weight[j];
    }
    let total = total.recip();
    for weight in &mut t.weight {
        *weight *= total;
    }
}

dispatch!(/// Attention of one batch entry.
pub(super) fn forward_entry = forward_body(p: &AttentionPlan, qkv: &[f32], y: &mut [f32]));
#[inline(always)]
fn forward_body<const FMA: bool>(p: &AttentionPlan, qkv: &[f32], y: &mut [f32]) {
    let (w, d) = (p.width(), p.d);
    let mut t = Scratch::new(p);
    for head in 0..p.heads {
        let (scale, bias) = (p.head_parameters(head)[0], p.bias(head));
        for sequence in 0..p.sequences() {
            load::<FMA>(p, qkv, sequence, head, &mut t);
            for i in 0..p.length {
                weights_of_query::<FMA>(p, scale, &bias, i, &mut t);
                let at = p.token(sequence, i) * w + head * d;
                let out = &mut y[at..at + d];
                for (v, weight) in t.v.chunks_exact(d).zip(&t.weight) {
                    if *weight != 0.0 {
                        axpy::<FMA>(*weight, v, out);
                    }
                }
            }
        }
    }
}
