//! A long short-term memory cell (Hochreiter and Schmidhuber, 1997, with forget gates), as PyTorch lays it out.

use driftless_engine::kernels::Workers;
use driftless_model::simd::{dispatch, sigmoid};

use crate::Result;
use crate::blocks::Linear;
use crate::map::Map;
use crate::weights::{Affine, Weights};

/// What the cell carries from frame to frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct LstmState {
    /// The output h.
    pub hidden: Vec<f32>,
    /// The cell c.
    pub cell: Vec<f32>,
}

impl LstmState {
    fn zeros(len: usize) -> Self {
        Self {
            hidden: vec![0.0; len],
            cell: vec![0.0; len],
        }
    }
}

pub(crate) struct Lstm {
    len: usize,
    /// [4 · len, inputs + len]: gates i, f, g and o.
    gates: Linear,
}

impl Lstm {
    /// The cell `name`, whose tensors end in `suffix`, for feature maps of `pixels` and `channels`.
    pub(crate) fn new(
        weights: &mut Weights,
        name: &str,
        suffix: &str,
        [pixels, channels]: [usize; 2],
    ) -> Result<Self> {
        let full = |part: &str| format!("{name}.{part}{suffix}");
        let own = weights.take(&full("weight_hh"), 2)?;
        let (gates, len) = (own.shape[0], own.shape[1]);
        if gates != 4 * len {
            return Err(weights.wrong(&full("weight_hh"), &own.shape, "four gates of its width"));
        }
        let inputs = pixels * channels;
        let input = weights.take_shaped(&full("weight_ih"), &[gates, inputs])?;
        let mut bias = weights.take_shaped(&full("bias_ih"), &[gates])?;
        let second = weights.take_shaped(&full("bias_hh"), &[gates])?;
        bias.iter_mut().zip(second).for_each(|(a, b)| *a += b);
        let mut weight = Vec::with_capacity(gates * (inputs + len));
        for (input, own) in input.chunks_exact(inputs).zip(own.values.chunks_exact(len)) {
            // The file's inputs are channels first.
            weight.extend((0..inputs).map(|i| input[i % channels * pixels + i / channels]));
            weight.extend(own);
        }
        let gates = Linear::new(&Affine {
            shape: vec![gates, inputs + len],
            weight,
            bias,
        });
        Ok(Self { len, gates })
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn zeros(&self) -> LstmState {
        LstmState::zeros(self.len)
    }

    /// Takes a map in. The new output is in the state.
    pub(crate) fn step(&self, workers: &Workers, x: &Map, state: &mut LstmState) {
        let input = [x.data.as_slice(), &state.hidden].concat();
        debug_assert_eq!(input.len(), self.gates.inputs());
        let gates = self.gates.apply(workers, &input);
        advance(&gates, &mut state.hidden, &mut state.cell);
    }
}

dispatch!(fn advance = advance_body(gates: &[f32], hidden: &mut [f32], cell: &mut [f32]));
/// c ← σ(f) c + σ(i) tanh(g); h ← σ(o) tanh(c).
#[inline(always)]
fn advance_body<const FMA: bool>(gates: &[f32], hidden: &mut [f32], cell: &mut [f32]) {
    let tanh = |x: f32| 2.0 * sigmoid::<FMA>(2.0 * x) - 1.0;
    let n = hidden.len();
    for i in 0..n {
        let [input, forget, new, output] = [0, 1, 2, 3].map(|gate| gates[gate * n + i]);
        cell[i] = sigmoid::<FMA>(forget) * cell[i] + sigmoid::<FMA>(input) * tanh(new);
        hidden[i] = sigmoid::<FMA>(output) * tanh(cell[i]);
    }
}
