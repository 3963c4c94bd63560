//! The backward loops.

use super::forward::{Scratch, load, weights_of_query};
use super::plan::AttentionPlan;
use crate::simd::{axpy, dispatch, dot};

/// Buffers for the gradients of one sequence and one head.
struct GradientScratch {
    dlogit: Vec<f32>,
    dscaled: Vec<f32>,
    dq: Vec<f32>,
    dk: Vec<f32>,
    dv: Vec<f32>,
    /// [L, padded], summed over the sequences of a head.
    dbias: Vec<f32>,
    /// Summed over the sequences of a head.
    dscale: f32,
}

impl GradientScratch {
    fn new(p: &AttentionPlan) -> Self {
        let rows = vec![0f32; p.length * p.d];
        Self {
            dlogit: vec![0f32; p.padded],
            dscaled: vec![0f32; p.padded],
            dq: rows.clone(),
            dk: rows.clone(),
            dv: rows,
            dbias: vec![0f32; p.length * p.padded],
            dscale: 0.0,
        }
    }
}

dispatch!(/// The gradient of one batch entry: writes that of `qkv`, returns that of the parameters.
pub(super) fn backward_entry = backward_body(p: &AttentionPlan, qkv: &[f32], dy: &[f32], dqkv: &mut [f32]) -> Vec<f32>);
#[inline(always)]
fn backward_body<const FMA: bool>(
    p: &AttentionPlan,
    qkv: &[f32],
    dy: &[f32],
    dqkv: &mut [f32],
) -> Vec<f32> {
    let (w, d, columns) = (p.width(), p.d, p.pattern.parameters());
    let (mut t, mut g) = (Scratch::new(p), GradientScratch::new(p));
    let mut dparameters = vec![0f32; p.heads * columns];
    for head in 0..p.heads {
        let (scale, bias) = (p.head_parameters(head)[0], p.bias(head));
        g.dbias.fill(0.0);
        g.dscale = 0.0;
        for sequence in 0..p.sequences() {
            load::<FMA>(p, qkv, sequence, head, &mut t);
            g.dq.fill(0.0);
            g.dk.fill(0.0);
            g.dv.fill(0.0);
            for i in 0..p.length {
                weights_of_query::<FMA>(p, scale, &bias, i, &mut t);
                let at = p.token(sequence, i) * w + head * d;
                backward_of_query::<FMA>(p, scale, i, &t, &dy[at..at + d], &mut g);
            }
            store_gradients::<FMA>(p, sequence, head, &t, &g, dqkv);
        }
        let dhead = &mut dparameters[head * columns..(head + 1) * columns];
        dhead[0] = g.dscale;
        if columns > 1 {
            for i in 0..p.length {
                for j in 0..p.length {
                    if let Some(distance) = p.pattern.distance(i, j) {
                        dhead[1 + distance] += g.dbias[i * p.padded + j];
                    }
                }
            }
        }
    }
    dparameters
}

/// Adds the gradients of query `i`, whose output gradient is `dy` `[d]`.
#[inline(always)]
fn backward_of_query<const FMA: bool>(
    p: &AttentionPlan,
    scale: f32,
    i: usize,
    t: &Scratch,
    dy: &[f32],
    g: &mut GradientScratch,
) {
    let (d, n) = (p.d, p.padded);
    g.dlogit.fill(0.0);
    for x in 0..d {
        axpy::<FMA>(dy[x], &t.v_columns[x * n..(x + 1) * n], &mut g.dlogit);
    }
    let mean = dot::<FMA>(&g.dlogit, &t.weight);
    for j in 0..n {
        g.dlogit[j] = t.weight[j] * (g.dlogit[j] - mean);
        g.dscaled[j] = g.dlogit[j] * scale;
    }
    g.dscale += dot::<FMA>(&g.dlogit, &t.cosine);
    for (sum, dlogit) in g.dbias[i * n..(i + 1) * n].iter_mut().zip(&g.dlogit) {
        *sum += dlogit;
    }
    let q = &t.q[i * d..(i + 1) * d];
    for j in 0..p.length {
        if t.weight[j] != 0.0 {
            let row = j * d..(j + 1) * d;
            axpy::<FMA>(t.weight[j], dy, &mut g.dv[row.clone()]);
            axpy::<FMA>(g.dscaled[j], q, &mut g.dk[row.clone()]);
            axpy::<FMA>(g.dscaled[j], &t.k[row], &mut g.dq[i * d..(i + 1) * d]);
        }
    }
}

/// Writes the gradients of one sequence and one head to `dqkv`, through the normalization of
/// queries and keys.
#[inline(always)]
fn store_gradients<const FMA: bool>(
    p: &AttentionPlan,
    sequence: usize,
    head: usize,
    t: &Scratch,
    g: &GradientScratch,
    dqkv: &mut [f32],
) {
    let (w, d) = (p.width(), p.d);
    for i in 0..p.length {
        let (row, at) = (i * d..(i + 1) * d, p.token(sequence, i) * 3 * w + head * d);
        let normalized = [
            (0, &t.q[row.clone()], &g.dq[row.clone()], t.q_scale[i]),
            (w, &t.k[row.clone()], &g.dk[row.clone()], t.k_scale[i]),
        ];
        for (offset, unit, grad, scale) in normalized {
            let radial = dot::<FMA>(unit, grad);
            let out = &mut dqkv[at + offset..at + offset + d];
            for x in 0..d {
                out[x] = scale * (grad[x] - unit[x] * radial);
            }
        }
        dqkv[at + 2 * w..at + 2 * w + d].copy_from_slice(&g.dv[row]);
    }
}
