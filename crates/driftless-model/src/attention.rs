//! Attention with normalized queries and keys, fused with its backward pass.
//!
//! The logits of head h are `scale_h · q̂·k̂ + bias_h[distance]` with q̂ = q/‖q‖ and k̂ = k/‖k‖: a
//! learned scale per head (QK normalization) and, over time, a learned bias for each distance in
//! frames. Relative distances need no absolute positions, so a rollout can be arbitrarily long.

use candle_core::{CpuStorage, CustomOp2, D, DType, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use super::ops::{NORM_EPS, cpu_slice, sum_in_order, with_cpu_slice};
use super::simd::{axpy, dispatch, dot, exp, fma};

type TensorResult<T> = candle_core::Result<T>;

/// Which tokens attend to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttentionPattern {
    /// All tokens of a frame attend to each other.
    Space,
    /// A token attends to the same token of other frames. The frames are one or more copies of the
    /// same `frames` time steps. The first copy is the clean context, with causal attention; a
    /// frame of a later copy attends to the clean frames of earlier time steps and to itself.
    /// Frames at a distance of `window` or more are masked.
    Time {
        /// Number of time steps, T.
        frames: usize,
        /// Window in frames, including the current one, W.
        window: usize,
    },
}

impl AttentionPattern {
    /// Number of attention parameters per head: the scale, and a bias for each distance.
    pub fn parameters(self) -> usize {
        match self {
            Self::Space => 1,
            Self::Time { window, .. } => 1 + window,
        }
    }

    /// Distance in frames from query `i` back to key `j`; `None` if masked.
    pub fn distance(self, i: usize, j: usize) -> Option<usize> {
        match self {
            Self::Space => Some(0),
            Self::Time { frames, window } => {
                let (step, clean) = (i % frames, i < frames);
                let distance = if i == j {
                    0
                } else if j < frames && (j < step || (clean && j == step)) {
                    step - j
                } else {
                    return None;
                };
                (distance < window).then_some(distance)
            }
        }
    }

    /// Length of the attended sequences in a [B, F, S] batch.
    fn length(self, f: usize, s: usize) -> usize {
        match self {
            Self::Space => s,
            Self::Time { .. } => f,
        }
    }
}

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

/// q/‖q‖ over the last dimension.
///
/// # Errors
/// Returns an error if the device fails.
pub fn l2_normalize(x: &Tensor) -> TensorResult<Tensor> {
    let r = (x.sqr()?.sum_keepdim(D::Minus1)? + f64::from(NORM_EPS))?.sqrt()?;
    x.broadcast_div(&r)
}

/// The same function composed of candle operations.
fn composed(qkv: &Tensor, parameters: &Tensor, pattern: AttentionPattern) -> TensorResult<Tensor> {
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

/// The attention weights of [`attention`], [sequences, heads, L queries, L keys]. A sequence is the
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
fn split_qkv(qkv: &Tensor, heads: usize, pattern: AttentionPattern) -> TensorResult<[Tensor; 3]> {
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

struct AttentionOp {
    pattern: AttentionPattern,
}

/// Shapes and parameters of one call, as its loops need them.
#[derive(Clone, Copy)]
struct AttentionPlan<'a> {
    pattern: AttentionPattern,
    /// Frames F.
    f: usize,
    /// Tokens per frame S.
    s: usize,
    heads: usize,
    /// Head size.
    d: usize,
    /// Sequence length L.
    length: usize,
    /// L rounded up to whole vectors.
    padded: usize,
    parameters: &'a [f32],
    /// [L, padded]: 1 for visible pairs, 0 for masked ones.
    mask: &'a [f32],
}

impl AttentionPlan<'_> {
    fn width(&self) -> usize {
        self.heads * self.d
    }

    /// Sequences per batch entry.
    fn sequences(&self) -> usize {
        self.f * self.s / self.length
    }

    /// Index within the batch entry of token `i` of a sequence.
    fn token(&self, sequence: usize, i: usize) -> usize {
        match self.pattern {
            AttentionPattern::Space => sequence * self.s + i,
            AttentionPattern::Time { .. } => i * self.s + sequence,
        }
    }

    fn head_parameters(&self, head: usize) -> &[f32] {
        let n = self.pattern.parameters();
        &self.parameters[head * n..(head + 1) * n]
    }

    /// The biases of one head, [L, padded].
    fn bias(&self, head: usize) -> Vec<f32> {
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

/// Buffers for one sequence and one head. `columns` are transposed, [d, padded].
struct Scratch {
    q: Vec<f32>,
    q_scale: Vec<f32>,
    k: Vec<f32>,
    k_scale: Vec<f32>,
    k_columns: Vec<f32>,
    v: Vec<f32>,
    v_columns: Vec<f32>,
    cosine: Vec<f32>,
    weight: Vec<f32>,
}

impl Scratch {
    fn new(p: &AttentionPlan) -> Self {
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
fn load<const FMA: bool>(
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
fn weights_of_query<const FMA: bool>(
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

dispatch!(fn forward_entry = forward_body(p: &AttentionPlan, qkv: &[f32], y: &mut [f32]));
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

dispatch!(fn backward_entry = backward_body(p: &AttentionPlan, qkv: &[f32], dy: &[f32], dqkv: &mut [f32]) -> Vec<f32>);
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

/// Adds the gradients of query `i`, whose output gradient is `dy` [d].
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

impl AttentionOp {
    /// Checks the shapes and calls `f` with the plan.
    fn plan<R>(
        &self,
        qkv: &[usize],
        parameters: (&[usize], &[f32]),
        f: impl FnOnce(&AttentionPlan) -> R,
    ) -> TensorResult<R> {
        let (&[_, frames, s, w3], &[heads, columns]) = (qkv, parameters.0) else {
            bail!(
                "attention: qkv {qkv:?} and parameters {:?}, expected 4 and 2 dimensions",
                parameters.0
            )
        };
        let whole_copies = match self.pattern {
            AttentionPattern::Space => true,
            AttentionPattern::Time { frames: t, window } => t > 0 && window > 0 && frames % t == 0,
        };
        if !whole_copies
            || columns != self.pattern.parameters()
            || heads == 0
            || w3 % (3 * heads) != 0
        {
            bail!(
                "attention: qkv {qkv:?} and parameters {:?} do not fit {:?}",
                parameters.0,
                self.pattern
            )
        }
        let length = self.pattern.length(frames, s);
        let padded = length.next_multiple_of(8);
        let mut mask = vec![0f32; length * padded];
        for i in 0..length {
            for j in 0..length {
                if self.pattern.distance(i, j).is_some() {
                    mask[i * padded + j] = 1.0;
                }
            }
        }
        Ok(f(&AttentionPlan {
            pattern: self.pattern,
            f: frames,
            s,
            heads,
            d: w3 / 3 / heads,
            length,
            padded,
            parameters: parameters.1,
            mask: &mask,
        }))
    }
}

impl CustomOp2 for AttentionOp {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        qkv: &CpuStorage,
        lq: &Layout,
        parameters: &CpuStorage,
        lp: &Layout,
    ) -> TensorResult<(CpuStorage, Shape)> {
        let (qkv, parameters) = (cpu_slice(qkv, lq)?, cpu_slice(parameters, lp)?);
        let (y, shape) = self.plan(lq.dims(), (lp.dims(), parameters), |p| {
            let tokens = p.f * p.s;
            let mut y = vec![0f32; qkv.len() / 3];
            y.par_chunks_mut(tokens * p.width())
                .zip(qkv.par_chunks(tokens * p.width() * 3))
                .for_each(|(y, qkv)| forward_entry(p, qkv, y));
            (y, (lq.dims()[0], p.f, p.s, p.width()))
        })?;
        Ok((CpuStorage::F32(y), Shape::from(shape)))
    }

    fn bwd(
        &self,
        qkv: &Tensor,
        parameters: &Tensor,
        _res: &Tensor,
        dy: &Tensor,
    ) -> TensorResult<(Option<Tensor>, Option<Tensor>)> {
        let (dqkv, dparameters) = with_cpu_slice(qkv, |x| {
            with_cpu_slice(parameters, |values| {
                with_cpu_slice(dy, |dy| {
                    self.plan(qkv.dims(), (parameters.dims(), values), |p| {
                        let size = p.f * p.s * p.width();
                        let mut dqkv = vec![0f32; x.len()];
                        let parts = dqkv
                            .par_chunks_mut(3 * size)
                            .zip(x.par_chunks(3 * size))
                            .zip(dy.par_chunks(size))
                            .map(|((dqkv, qkv), dy)| backward_entry(p, qkv, dy, dqkv))
                            .collect();
                        (dqkv, sum_in_order(parts, values.len()))
                    })
                })
            })
        })????;
        let device = qkv.device();
        Ok((
            Some(Tensor::from_vec(dqkv, qkv.shape(), device)?),
            Some(Tensor::from_vec(dparameters, parameters.shape(), device)?.to_dtype(DType::F32)?),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::ops::tests::{assert_same, random};
    use super::*;

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
