//! A memory of fixed size: a matrix for each head and token, written by the gated delta rule.

use candle_core::{D, DType, Tensor};

use crate::Result;
use crate::attention::l2_normalize;
use crate::layers::{Linear, RmsNorm};
use crate::params::{Init, Params};

/// Added to the logit of what a state keeps, so that at first a state forgets half in about 280 frames:
/// sigmoid(6) = 0.9975.
pub const KEEP_OFFSET: f32 = 6.0;

/// x + W (γ ⊙ S q̂): each token reads the state S of its position, a matrix for each head, which holds what
/// the frames before wrote into it. A finished frame then writes by the gated delta rule (Yang, Kautz and
/// Hatamizadeh 2024, arXiv 2412.06464, equation 10):
///
/// S ← α S (I − β k̂ k̂ᵀ) + β v k̂ᵀ
///
/// with q̂ = q/‖q‖ and k̂ = k/‖k‖. What is kept, α = sigmoid(a + 6), how much is replaced, β = sigmoid(b), and
/// how much is read, γ = sigmoid(g), are numbers for each head and token. W starts at zero, so that a network
/// that gets a state computes at first what it computed before.
///
/// A state is stored transposed, [keys, values]: row j holds what key element j leads to.
pub struct DeltaLayer {
    /// Before all products.
    pub(crate) norm: RmsNorm,
    /// Queries of all heads.
    pub(crate) q: Linear,
    /// Logits g of all heads.
    pub(crate) read_gate: Linear,
    /// Keys and values of all heads, in this order.
    pub(crate) kv: Linear,
    /// Logits a, then b, of all heads.
    pub(crate) write_gates: Linear,
    /// W.
    pub(crate) out: Linear,
    heads: usize,
}

/// What a frame writes: keys and values [B, T, S, heads, d], and α and β [B, T, S, heads].
struct Writes {
    keys: Tensor,
    values: Tensor,
    keep: Tensor,
    replace: Tensor,
}

impl DeltaLayer {
    /// Creates `{name}.norm`, `.q` [w, w], `.read_gate` [heads, w], `.kv` [2·w, w], `.write_gates`
    /// [2·heads, w] and `.out` [w, w].
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(p: &Params, name: &str, width: usize, heads: usize) -> Result<Self> {
        let linear = |part: &str, outputs, init, bias| {
            Linear::new(p, &format!("{name}.{part}"), [outputs, width], init, bias)
        };
        Ok(Self {
            norm: RmsNorm::new(p, &format!("{name}.norm"), width)?,
            q: linear("q", width, Init::FanIn, false)?,
            read_gate: linear("read_gate", heads, Init::FanIn, true)?,
            kv: linear("kv", 2 * width, Init::FanIn, false)?,
            write_gates: linear("write_gates", 2 * heads, Init::FanIn, true)?,
            out: linear("out", width, Init::Constant(0.0), false)?,
            heads,
        })
    }

    /// Maps x [B, n·T, S, w], n copies of T time steps of which the first is written, to the same shape;
    /// time step t reads what those before it wrote. `before` is the state before the first step, zero if
    /// `None`, [B, S, heads, d, d]. Also returns the states after each step, [B, T, S, heads, d, d].
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn forward(
        &self,
        x: &Tensor,
        times: usize,
        before: Option<&Tensor>,
    ) -> Result<(Tensor, Tensor)> {
        let (b, f, s, w) = x.dims4()?;
        let (n, heads) = (f / times.max(1), self.heads);
        let (d, all) = (w / heads, b * s * heads);
        let normed = self.norm.forward(x)?;
        let q = self.q.forward(&normed)?.reshape((b, f, s, heads, d))?;
        // [B, n, T, S, heads, d] → [T, B·S·heads, n, d]
        let q = l2_normalize(&q)?
            .reshape(vec![b, n, times, s, heads, d])?
            .permute(vec![2, 0, 3, 4, 1, 5])?
            .reshape((times, all, n, d))?;
        let writes = self.writes(&normed.narrow(1, 0, times)?.contiguous()?)?;
        let mut state = match before {
            Some(state) => state.reshape((all, d, d))?,
            None => Tensor::zeros((all, d, d), DType::F32, x.device())?,
        };
        let (mut read, mut states) = (Vec::new(), Vec::new());
        for time in 0..times {
            read.push(q.get(time)?.matmul(&state)?);
            state = writes.apply(&state, time)?;
            states.push(state.reshape(vec![b, s, heads, d, d])?);
        }
        // [T, B, S, heads, n, d] → [B, n·T, S, heads, d]
        let read = Tensor::stack(&read, 0)?
            .reshape(vec![times, b, s, heads, n, d])?
            .permute(vec![1, 4, 0, 2, 3, 5])?
            .reshape((b, f, s, heads, d))?;
        let gate = candle_nn::ops::sigmoid(&self.read_gate.forward(&normed)?)?;
        let y = read
            .broadcast_mul(&gate.unsqueeze(D::Minus1)?)?
            .reshape((b, f, s, w))?;
        let states = Tensor::stack(&states, 1)?;
        Ok(((x + self.out.forward(&y)?)?, states))
    }

    /// What frames whose normalized tokens are `x` [B, T, S, w] write.
    fn writes(&self, x: &Tensor) -> Result<Writes> {
        let (b, t, s, w) = x.dims4()?;
        let heads = self.heads;
        let kv = self
            .kv
            .forward(x)?
            .reshape(vec![b, t, s, 2, heads, w / heads])?;
        let gates = self.write_gates.forward(x)?.reshape((b, t, s, 2, heads))?;
        let part = |x: &Tensor, i: usize| -> Result<Tensor> {
            Ok(x.narrow(3, i, 1)?.squeeze(3)?.contiguous()?)
        };
        let keep = (part(&gates, 0)? + f64::from(KEEP_OFFSET))?;
        Ok(Writes {
            keys: l2_normalize(&part(&kv, 0)?)?,
            values: part(&kv, 1)?,
            keep: candle_nn::ops::sigmoid(&keep)?,
            replace: candle_nn::ops::sigmoid(&part(&gates, 1)?)?,
        })
    }
}

impl Writes {
    /// `state` [B·S·heads, d, d] after time step `time` has written.
    fn apply(&self, state: &Tensor, time: usize) -> Result<Tensor> {
        let (all, d, _) = state.dims3()?;
        let at = |x: &Tensor, columns: usize| -> Result<Tensor> {
            Ok(x.narrow(1, time, 1)?.reshape((all, 1, columns))?)
        };
        let (k, v) = (at(&self.keys, d)?, at(&self.values, d)?);
        let (keep, replace) = (at(&self.keep, 1)?, at(&self.replace, 1)?);
        let state = state.broadcast_mul(&keep)?;
        let change = (v - k.matmul(&state)?)?.broadcast_mul(&replace)?;
        Ok((state + k.transpose(1, 2)?.contiguous()?.matmul(&change)?)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::ops::test_support::random;

    const WIDTH: usize = 6;
    const HEADS: usize = 2;

    /// A layer whose W is not zero.
    fn layer() -> DeltaLayer {
        let p = Params::seeded(3, &Device::Cpu);
        let layer = DeltaLayer::new(&p, "state", WIDTH, HEADS).unwrap();
        let vars = p.finish().unwrap();
        let w = random(&[WIDTH, WIDTH], 4);
        vars["state.out.weight"].set(&w).unwrap();
        layer
    }

    fn values(x: &Tensor) -> Vec<f32> {
        x.flatten_all().unwrap().to_vec1().unwrap()
    }

    fn difference(a: &Tensor, b: &Tensor) -> f32 {
        let pairs = values(a).into_iter().zip(values(b));
        pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_new_layer_changes_nothing() {
        let p = Params::seeded(3, &Device::Cpu);
        let layer = DeltaLayer::new(&p, "state", WIDTH, HEADS).unwrap();
        let x = random(&[2, 8, 3, WIDTH], 1);
        let (y, _) = layer.forward(&x, 4, None).unwrap();
        assert_eq!(values(&x), values(&y));
    }

    #[test]
    fn the_first_step_reads_nothing() {
        let x = random(&[1, 4, 2, WIDTH], 1);
        let (y, _) = layer().forward(&x, 4, None).unwrap();
        let first = |x: &Tensor| x.narrow(1, 0, 1).unwrap();
        assert_eq!(values(&first(&x)), values(&first(&y)));
        assert!(difference(&x, &y) > 1e-3);
    }

    #[test]
    fn copies_read_what_the_first_copy_wrote() {
        let layer = layer();
        let random = |seed| random(&[1, 5, 2, WIDTH], seed).into_inner();
        let (clean, copy) = (random(1), random(2));
        let both = Tensor::cat(&[&clean, &copy], 1).unwrap();
        let (y, states) = layer.forward(&both, 5, None).unwrap();
        let (alone, same_states) = layer.forward(&clean, 5, None).unwrap();
        assert_eq!(values(&states), values(&same_states));
        assert!(difference(&y.narrow(1, 0, 5).unwrap(), &alone) < 1e-6);
        // Frame 3 of the copy, after the state that the clean frames 0 to 2 left.
        let before = states.narrow(1, 2, 1).unwrap().squeeze(1).unwrap();
        let frame = copy.narrow(1, 3, 1).unwrap();
        let (expected, _) = layer.forward(&frame, 1, Some(&before)).unwrap();
        assert!(difference(&y.narrow(1, 8, 1).unwrap(), &expected) < 1e-6);
    }

    #[test]
    fn a_state_is_carried_on() {
        let layer = layer();
        let x = random(&[2, 6, 2, WIDTH], 1);
        let (whole, states) = layer.forward(&x, 6, None).unwrap();
        let (_, first) = layer.forward(&x.narrow(1, 0, 4).unwrap(), 4, None).unwrap();
        let before = first.narrow(1, 3, 1).unwrap().squeeze(1).unwrap();
        let rest = x.narrow(1, 4, 2).unwrap().contiguous().unwrap();
        let (second, last) = layer.forward(&rest, 2, Some(&before)).unwrap();
        assert!(difference(&whole.narrow(1, 4, 2).unwrap(), &second) < 1e-6);
        assert!(difference(&states.narrow(1, 4, 2).unwrap(), &last) < 1e-6);
    }

    /// With α = 1 and β = 1 a key leads to the value that was last written for it.
    #[test]
    fn the_delta_rule_replaces_what_a_key_leads_to() {
        let tensor = |values: &[f32]| Tensor::new(values, &Device::Cpu).unwrap();
        let writes = |k: &[f32], v: &[f32]| Writes {
            keys: tensor(k).reshape((1, 1, 1, 1, 2)).unwrap(),
            values: tensor(v).reshape((1, 1, 1, 1, 2)).unwrap(),
            keep: tensor(&[1.0]).reshape((1, 1, 1, 1)).unwrap(),
            replace: tensor(&[1.0]).reshape((1, 1, 1, 1)).unwrap(),
        };
        let mut state = Tensor::zeros((1, 2, 2), DType::F32, &Device::Cpu).unwrap();
        for (k, v) in [
            ([1.0, 0.0], [5.0, 6.0]),
            ([0.0, 1.0], [7.0, 8.0]),
            ([1.0, 0.0], [1.0, 2.0]),
        ] {
            state = writes(&k, &v).apply(&state, 0).unwrap();
        }
        assert_eq!(values(&state), [1.0, 2.0, 7.0, 8.0]);
    }
}
