//! The blocks of the transformer.

use driftless_engine::kernels::Workers;
use driftless_published::{Activation, Linear, Result, Sides, Weights, layer_norm};

use crate::attention::Scratch;

/// Attention over space, then over time.
pub(super) struct Block {
    pub(super) halves: [Half; 2],
}

/// One kind of attention and a feed-forward layer.
pub(super) struct Half {
    qkv: Linear,
    out: Linear,
    up: Linear,
    down: Linear,
    pub(super) modulation: Linear,
}

/// What modulates a half, in some passes: `[passes, 6, width]` with shift, gain and gate of attention, then of the
/// feed-forward layer.
pub(super) struct Modulation {
    width: usize,
    values: Vec<f32>,
}

/// Of one pass, a vector of the width each.
#[derive(Clone, Copy)]
pub(super) struct PassModulation<'a> {
    attention: [&'a [f32]; 3],
    feed_forward: [&'a [f32]; 3],
}

impl Modulation {
    /// From the network's outputs, which have gains less 1.
    pub(super) fn new(mut values: Vec<f32>, width: usize) -> Self {
        for three in values.chunks_exact_mut(3 * width) {
            three[width..2 * width]
                .iter_mut()
                .for_each(|gain| *gain += 1.0);
        }
        Self { width, values }
    }

    pub(super) fn pass(&self, pass: usize) -> PassModulation<'_> {
        let part = |i: usize| &self.values[(6 * pass + i) * self.width..][..self.width];
        PassModulation {
            attention: [part(0), part(1), part(2)],
            feed_forward: [part(3), part(4), part(5)],
        }
    }
}

impl Block {
    pub(super) fn read(weights: &mut Weights, index: usize, width: usize) -> Result<Self> {
        let mut half = |kind: &str| {
            let name = |part: &str| format!("blocks.{index}.{kind}_{part}");
            let square = Sides::of(width).to(width);
            let qkv = Sides::of(width).to(3 * width).plain();
            let qkv = weights.linear(&name("attn.to_qkv"), qkv)?;
            let out = weights.linear(&name("attn.to_out"), square)?;
            let up = weights.linear(&name("mlp.fc1"), Sides::of(width))?;
            let down = Sides::of(up.outputs).to(width);
            let down = weights.linear(&name("mlp.fc2"), down)?;
            let modulation = Sides::of(width).to(6 * width);
            let modulation = weights.linear(&name("adaLN_modulation.1"), modulation)?;
            Result::Ok(Half {
                qkv: Linear::new(&qkv),
                out: Linear::new(&out),
                up: Linear::new(&up),
                down: Linear::new(&down),
                modulation: Linear::new(&modulation),
            })
        };
        Ok(Self {
            halves: [half("s")?, half("t")?],
        })
    }

    /// Most hidden units of a feed-forward layer.
    pub(super) fn hidden(&self) -> usize {
        let hidden = self.halves.each_ref().map(|half| half.up.outputs());
        hidden[0].max(hidden[1])
    }
}

impl Half {
    /// Writes queries, keys and values of the modulated x into the buffers.
    pub(super) fn project(
        &self,
        workers: &Workers,
        x: &[f32],
        modulation: &PassModulation,
        t: &mut Scratch,
    ) {
        let [shift, gain, _] = modulation.attention;
        layer_norm(workers, x, gain, shift, &mut t.normed);
        self.qkv
            .apply(workers, &t.normed, &mut t.qkv, Activation::None);
    }

    /// Adds what attention found, then the feed-forward layer.
    pub(super) fn finish(
        &self,
        workers: &Workers,
        x: &mut [f32],
        modulation: &PassModulation,
        t: &mut Scratch,
    ) {
        let [_, _, gate] = modulation.attention;
        self.out
            .add_to(workers, &t.attended, Some(gate), x, &mut t.products);
        let [shift, gain, gate] = modulation.feed_forward;
        layer_norm(workers, x, gain, shift, &mut t.normed);
        let hidden = &mut t.hidden[..t.shape.tokens * self.up.outputs()];
        self.up
            .apply(workers, &t.normed, hidden, Activation::GeluTanh);
        self.down
            .add_to(workers, hidden, Some(gate), x, &mut t.products);
    }
}
