//! What the dynamics is made of: where the weights of its layers are, and the sizes of its heads.

use super::recorder::Norm;
use super::weights::{Matrix, Weights};
use crate::Result;
use crate::weights::numbers;
use driftless_model::{dynamics, layers};

/// Tables of the embeddings of action, signal level and step size.
pub(super) struct Conditions {
    pub action: u32,
    pub signal: u32,
    pub step: u32,
}

impl Conditions {
    pub fn new(weights: &mut Weights, c: &dynamics::Conditions) -> Result<Self> {
        Ok(Self {
            action: weights.tensor(&c.action)?,
            signal: weights.tensor(&c.signal.weight)?,
            step: weights.tensor(&c.step)?,
        })
    }
}

/// Numbers of a head as the networks have them, and as the kernels do: whole vec4s.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heads {
    pub count: usize,
    pub own: usize,
    pub padded: usize,
}

impl Heads {
    pub fn new(count: usize, width: usize) -> Self {
        let own = width / count;
        Self {
            count,
            own,
            padded: own.next_multiple_of(4),
        }
    }

    /// Numbers of a token over all heads, for the kernels.
    pub fn width(self) -> usize {
        self.count * self.padded
    }

    /// Where the kernels' number `i` of a token is among the networks' ones, if anywhere.
    pub fn source(self, i: usize) -> Option<usize> {
        let (head, at) = (i / self.padded, i % self.padded);
        (at < self.own).then_some(head * self.own + at)
    }
}

pub(super) struct Attention {
    pub norm: Norm,
    pub qkv: Matrix,
    pub parameters: u32,
    pub out: Matrix,
}

impl Attention {
    pub fn new(
        weights: &mut Weights,
        layer: &layers::AttentionLayer,
        heads: Heads,
    ) -> Result<Self> {
        let (width, padded) = (heads.count * heads.own, heads.width());
        let qkv = numbers(&layer.qkv.weight)?;
        let out = numbers(&layer.out.weight)?;
        Ok(Self {
            norm: Norm::new(weights, &layer.norm)?,
            qkv: weights.matrix(3 * padded, width, |o, i| {
                let source = heads.source(o % padded);
                source.map_or(0.0, |at| qkv[(o / padded * width + at) * width + i])
            }),
            parameters: weights.tensor(&layer.parameters)?,
            out: weights.matrix(width, padded, |o, i| {
                heads.source(i).map_or(0.0, |at| out[o * width + at])
            }),
        })
    }
}

/// A layer's attention over time and its ring.
pub(super) struct Time {
    pub attention: Attention,
    pub ring: Ring,
}

/// Where a ring's keys and values are, each [slots, tokens, heads · padded].
#[derive(Clone, Copy, Debug)]
pub(super) struct Ring {
    pub keys: u32,
    pub values: u32,
}

pub(super) struct Layer {
    pub space: Attention,
    pub time: Option<Time>,
    pub norm: Norm,
    pub up: Matrix,
    pub down: Matrix,
}

pub(super) struct OutcomeHead {
    pub norm: Norm,
    pub up: Matrix,
    pub out: Matrix,
}
