//! Attention with normalised queries and keys, fused with its backward pass.
//!
//! Logits are `scale_h · q̂·k̂ + bias_h[distance]` with q̂ = q/‖q‖, k̂ = k/‖k‖: a learned scale a
//! head (QK normalisation) and, over time, a learned bias for every distance in frames. Relative
//! distances need no absolute position, so a session has no last frame.

use candle_core::{CpuStorage, CustomOp2, D, DType, Layout, Shape, Tensor, bail};
use rayon::prelude::*;

use super::ops::{NORM_EPS, cpu_slice, sum_in_order, with_cpu};
use super::simd::{axpy, dispatch, dot, exp, fma};

type TensorResult<T> = candle_core::Result<T>;

/// Which tokens see each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// All tokens of one frame.
    Space,
    /// The same token in other frames. The frames are one or more copies of the same `frames`
    /// moments: the first copy is the clean context and is causal; a frame of a later copy sees
    /// the clean frames strictly before its moment, and itself. No distance reaches `window`.
    Time {
        /// Moments, T.
        frames: usize,
        /// Frames seen, the current one included, W.
        window: usize,
    },
}

impl Pattern {
    /// Columns of the attention parameters: the scale, and a bias for each distance.
    pub fn parameters(self) -> usize {
        match self {
            Self::Space => 1,
            Self::Time { window, .. } => 1 + window,
        }
    }

    /// Distance from query `i` back to key `j`; `None` where `i` does not see `j`.
    pub fn distance(self, i: usize, j: usize) -> Option<usize> {
        match self {
            Self::Space => Some(0),
            Self::Time { frames, window } => {
                let (moment, clean) = (i % frames, i < frames);
                let distance = if i == j {
                    0
                } else if j < frames && (j < moment || (clean && j == moment)) {
                    moment - j
                } else {
                    return None;
                };
                (distance < window).then_some(distance)
            }
        }
    }

    /// Tokens that attend to each other in a [B, F, S] batch.
    fn length(self, f: usize, s: usize) -> usize {
        match self {
            Self::Space => s,
            Self::Time { .. } => f,
        }
    }
}

/// Attention over a batch of frames of tokens.
///
/// `qkv` [B, F, S, 3·w] (queries, keys, values; each w = heads · head size), `parameters`
/// [heads, 1 + distances] (see [`Pattern::parameters`]); result [B, F, S, w].
///
/// # Errors
/// The shapes do not fit.
pub fn attention(qkv: &Tensor, parameters: &Tensor, pattern: Pattern) -> TensorResult<Tensor> {
    if qkv.device().is_cpu() {
        return qkv
            .contiguous()?
            .apply_op2(&parameters.contiguous()?, Attention { pattern });
    }
    composed(qkv, parameters, pattern)
}

/// q/‖q‖ over the last dimension.
///
/// # Errors
/// Only where the device fails.
pub fn normalise(x: &Tensor) -> TensorResult<Tensor> {
    let r = (x.sqr()?.sum_keepdim(D::Minus1)? + f64::from(NORM_EPS))?.sqrt()?;
    x.broadcast_div(&r)
}

/// The same function from candle's own operations.
fn composed(qkv: &Tensor, parameters: &Tensor, pattern: Pattern) -> TensorResult<Tensor> {
    let (b, f, s, w3) = qkv.dims4()?;
    let heads = parameters.dim(0)?;
    let (w, d) = (w3 / 3, w3 / 3 / heads);
    let [q, k, v] = parts(qkv, heads, pattern)?;
    let y = softmax(&q, &k, parameters, pattern)?.matmul(&v)?;
    match pattern {
        Pattern::Space => y.reshape((b, f, heads, s, d))?.permute((0, 1, 3, 2, 4))?,
        Pattern::Time { .. } => y.reshape((b, s, heads, f, d))?.permute((0, 3, 1, 2, 4))?,
    }
    .reshape((b, f, s, w))
}

/// The weights of [`attention`], [sequences, heads, L, L]: rows of queries over keys. A sequence is a
/// frame of tokens in space, a token of all frames in time.
///
/// # Errors
/// The shapes do not fit.
pub fn weights(qkv: &Tensor, parameters: &Tensor, pattern: Pattern) -> TensorResult<Tensor> {
    let [q, k, _] = parts(qkv, parameters.dim(0)?, pattern)?;
    softmax(&q, &k, parameters, pattern)
}

/// Queries, keys and values, each [sequences, heads, L, d].
fn parts(qkv: &Tensor, heads: usize, pattern: Pattern) -> TensorResult<[Tensor; 3]> {
    let (b, f, s, w3) = qkv.dims4()?;
    let d = w3 / 3 / heads;
    let length = pattern.length(f, s);
    // [B, F, S, 3, heads, d] → [3, B, sequences, heads, L, d]
    let x = qkv.reshape(vec![b, f, s, 3, heads, d])?;
    let x = match pattern {
        Pattern::Space => x.permute(vec![3, 0, 1, 4, 2, 5])?,
        Pattern::Time { .. } => x.permute(vec![3, 0, 2, 4, 1, 5])?,
    }
    .contiguous()?;
    let part = |i: usize| x.get(i)?.reshape(((), heads, length, d));
    Ok([part(0)?, part(1)?, part(2)?])
}

/// The softmax of the logits of queries and keys, each [sequences, heads, L, d].
fn softmax(q: &Tensor, k: &Tensor, parameters: &Tensor, pattern: Pattern) -> TensorResult<Tensor> {
    let (_, heads, length, _) = q.dims4()?;
    let (q, k) = (normalise(q)?, normalise(k)?);
    let scale = parameters.narrow(1, 0, 1)?.reshape((1, heads, 1, 1))?;
    let mut logits = q
        .matmul(&k.transpose(2, 3)?.contiguous()?)?
        .broadcast_mul(&scale)?;
    if let Pattern::Time { window, .. } = pattern {
        // A further column of −∞ stands for "not seen".
        let hidden = Tensor::full(f32::NEG_INFINITY, (heads, 1), q.device())?;
        let bias = Tensor::cat(&[&parameters.narrow(1, 1, window)?, &hidden], 1)?;
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

struct Attention {
    pattern: Pattern,
}

/// Everything about one call that its loops need.
#[derive(Clone, Copy)]
struct Plan<'a> {
    pattern: Pattern,
    f: usize,
    s: usize,
    heads: usize,
    /// Head size.
    d: usize,
    /// Sequence length L, and L rounded up to whole vectors.
    length: usize,
    padded: usize,
    parameters: &'a [f32],
    /// [L, padded]: 1 where seen.
    mask: &'a [f32],
}

impl Plan<'_> {
    fn width(&self) -> usize {
        self.heads * self.d
    }

    /// Sequences in one batch entry.
    fn sequences(&self) -> usize {
        self.f * self.s / self.length
    }

    /// Token index of element `i` of a sequence, inside its batch entry.
    fn token(&self, sequence: usize, i: usize) -> usize {
        match self.pattern {
            Pattern::Space => sequence * self.s + i,
            Pattern::Time { .. } => i * self.s + sequence,
        }
    }

    fn head_parameters(&self, head: usize) -> &[f32] {
        let n = self.pattern.parameters();
        &self.parameters[head * n..(head + 1) * n]
    }

    /// [L, padded] biases of one head.
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

/// Buffers for one sequence and one head.
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
    fn new(p: &Plan) -> Self {
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

#[inline(always)]
fn load<const FMA: bool>(p: &Plan, qkv: &[f32], sequence: usize, head: usize, t: &mut Scratch) {
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

/// Softmax weights of query `i` into `t.weight`, cosines into `t.cosine`.
#[inline(always)]
fn weigh<const FMA: bool>(p: &Plan, scale: f32, bias: &[f32], i: usize, t: &mut Scratch) {
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

dispatch!(fn forward_entry = forward_body(p: &Plan, qkv: &[f32], y: &mut [f32]));
#[inline(always)]
fn forward_body<const FMA: bool>(p: &Plan, qkv: &[f32], y: &mut [f32]) {
    let (w, d) = (p.width(), p.d);
    let mut t = Scratch::new(p);
    for head in 0..p.heads {
        let (scale, bias) = (p.head_parameters(head)[0], p.bias(head));
        for sequence in 0..p.sequences() {
            load::<FMA>(p, qkv, sequence, head, &mut t);
            for i in 0..p.length {
                weigh::<FMA>(p, scale, &bias, i, &mut t);
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

dispatch!(fn backward_entry = backward_body(p: &Plan, qkv: &[f32], dy: &[f32], dqkv: &mut [f32]) -> Vec<f32>);
#[inline(always)]
fn backward_body<const FMA: bool>(p: &Plan, qkv: &[f32], dy: &[f32], dqkv: &mut [f32]) -> Vec<f32> {
    let (w, d, n, columns) = (p.width(), p.d, p.padded, p.pattern.parameters());
    let mut t = Scratch::new(p);
    let mut dparameters = vec![0f32; p.heads * columns];
    let mut dlogit = vec![0f32; n];
    let mut dscaled = vec![0f32; n];
    let (mut dq, mut dk) = (vec![0f32; p.length * d], vec![0f32; p.length * d]);
    let mut dv = vec![0f32; p.length * d];
    for head in 0..p.heads {
        let (scale, bias) = (p.head_parameters(head)[0], p.bias(head));
        let mut dbias = vec![0f32; p.length * n];
        let mut dscale = 0.0;
        for sequence in 0..p.sequences() {
            load::<FMA>(p, qkv, sequence, head, &mut t);
            dq.fill(0.0);
            dk.fill(0.0);
            dv.fill(0.0);
            for i in 0..p.length {
                weigh::<FMA>(p, scale, &bias, i, &mut t);
                let at = p.token(sequence, i) * w + head * d;
                let dy = &dy[at..at + d];
                dlogit.fill(0.0);
                for x in 0..d {
                    axpy::<FMA>(dy[x], &t.v_columns[x * n..(x + 1) * n], &mut dlogit);
                }
                let mean = dot::<FMA>(&dlogit, &t.weight);
                for j in 0..n {
                    dlogit[j] = t.weight[j] * (dlogit[j] - mean);
                    dscaled[j] = dlogit[j] * scale;
                }
                dscale += dot::<FMA>(&dlogit, &t.cosine);
                for (sum, g) in dbias[i * n..(i + 1) * n].iter_mut().zip(&dlogit) {
                    *sum += g;
                }
                let q = &t.q[i * d..(i + 1) * d];
                for j in 0..p.length {
                    if t.weight[j] != 0.0 {
                        let row = j * d..(j + 1) * d;
                        axpy::<FMA>(t.weight[j], dy, &mut dv[row.clone()]);
                        axpy::<FMA>(dscaled[j], q, &mut dk[row.clone()]);
                        axpy::<FMA>(dscaled[j], &t.k[row], &mut dq[i * d..(i + 1) * d]);
                    }
                }
            }
            for i in 0..p.length {
                let (row, at) = (i * d..(i + 1) * d, p.token(sequence, i) * 3 * w + head * d);
                let parts = [
                    (0, &t.q[row.clone()], &dq[row.clone()], t.q_scale[i]),
                    (w, &t.k[row.clone()], &dk[row.clone()], t.k_scale[i]),
                ];
                for (offset, unit, grad, scale) in parts {
                    let along = dot::<FMA>(unit, grad);
                    let out = &mut dqkv[at + offset..at + offset + d];
                    for x in 0..d {
                        out[x] = scale * (grad[x] - unit[x] * along);
                    }
                }
                dqkv[at + 2 * w..at + 2 * w + d].copy_from_slice(&dv[row]);
            }
        }
        let dhead = &mut dparameters[head * columns..(head + 1) * columns];
        dhead[0] = dscale;
        if columns > 1 {
            for i in 0..p.length {
                for j in 0..p.length {
                    if let Some(distance) = p.pattern.distance(i, j) {
                        dhead[1 + distance] += dbias[i * n + j];
                    }
                }
            }
        }
    }
    dparameters
}

impl Attention {
    /// Checks the shapes and runs `f` with the plan.
    fn plan<R>(
        &self,
        qkv: &[usize],
        parameters: (&[usize], &[f32]),
        f: impl FnOnce(&Plan) -> R,
    ) -> TensorResult<R> {
        let (&[_, frames, s, w3], &[heads, columns]) = (qkv, parameters.0) else {
            bail!("attention: shapes {qkv:?} and {:?}", parameters.0)
        };
        let whole = match self.pattern {
            Pattern::Space => true,
            Pattern::Time { frames: t, window } => t > 0 && window > 0 && frames % t == 0,
        };
        if !whole || columns != self.pattern.parameters() || heads == 0 || w3 % (3 * heads) != 0 {
            bail!(
                "attention: {qkv:?} and {:?} for {:?}",
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
        Ok(f(&Plan {
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

impl CustomOp2 for Attention {
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
        let (dqkv, dparameters) = with_cpu(qkv, |x| {
            with_cpu(parameters, |values| {
                with_cpu(dy, |dy| {
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

    fn compare(pattern: Pattern, f: usize, s: usize) {
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
    fn space_attention_and_its_gradients_equal_the_composed_form() {
        compare(Pattern::Space, 2, 11);
    }

    #[test]
    fn time_attention_and_its_gradients_equal_the_composed_form() {
        let pattern = |frames, window| Pattern::Time { frames, window };
        compare(pattern(9, 4), 9, 2);
        compare(pattern(5, 8), 10, 2);
        compare(pattern(4, 3), 12, 1);
    }

    #[test]
    fn a_noised_frame_sees_clean_frames_before_it_and_itself_only() {
        let pattern = Pattern::Time {
            frames: 4,
            window: 3,
        };
        let seen = |i: usize| -> Vec<usize> {
            (0..8)
                .filter(|&j| pattern.distance(i, j).is_some())
                .collect()
        };
        assert_eq!(seen(3), [1, 2, 3], "clean frame 3 with a window of 3");
        assert_eq!(seen(7), [1, 2, 7], "noised frame 3");
        assert_eq!(seen(4), [4], "noised frame 0");
        assert_eq!(pattern.distance(7, 2), Some(1));
    }
}
