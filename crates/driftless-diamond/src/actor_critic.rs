//! The actor-critic: the policy that was trained inside the world, and its value of a frame.

use crate::Result;
use crate::blocks::Linear;
use crate::conv::{Conv1x1, Conv3x3, Onto, Source};
use crate::lstm::{Lstm, LstmState};
use crate::map::{COLOURS, Compute, Map};
use crate::norm::GroupNorm;
use crate::reward_end::frame_map;
use crate::weights::Weights;

/// What the policy makes of a frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// A logit for each action.
    pub actions: Vec<f32>,
    /// The expected discounted return.
    pub value: f32,
}

/// Normalization, SiLU and a convolution beside a skip connection; then, in some, maxima of 2×2 pixels.
struct SmallBlock {
    norm: GroupNorm,
    conv: Conv3x3,
    projection: Option<Conv1x1>,
    pools: bool,
}

pub(crate) struct ActorCritic {
    size: [usize; 2],
    conv_in: Conv3x3,
    blocks: Vec<SmallBlock>,
    lstm: Lstm,
    actor: Linear,
    critic: Linear,
}

impl ActorCritic {
    pub(crate) fn new(weights: &mut Weights, name: &str, size: [usize; 2]) -> Result<Self> {
        let layer = |i: usize| format!("{name}.encoder.encoder.{i}");
        let conv_in = weights.convolution(&layer(0), Some(COLOURS), 3)?;
        let mut channels = conv_in.outputs();
        let indices: Vec<usize> = (1..64)
            .filter(|&i| weights.has(&format!("{}.f.2.weight", layer(i))))
            .collect();
        let lstm_name = format!("{name}.lstm");
        let mut blocks = Vec::new();
        let mut at = size;
        for (nth, &i) in indices.iter().enumerate() {
            let mut block = small_block(weights, &layer(i), at, channels)?;
            channels = block.conv.outputs();
            // Pooling has no weights: it shows as a gap, and after the last block in what the memory reads.
            block.pools = match indices.get(nth + 1) {
                Some(next) => *next > i + 1,
                None => !weights.fits(&format!("{lstm_name}.weight_ih"), at, channels),
            };
            if block.pools {
                at = at.map(|side| side / 2);
            }
            blocks.push(block);
        }
        let lstm = Lstm::new(weights, &lstm_name, "", [at[0] * at[1], channels])?;
        let actor = weights.linear(&format!("{name}.actor_linear"), Some(lstm.len()))?;
        let critic = weights.linear(&format!("{name}.critic_linear"), Some(lstm.len()))?;
        if critic.outputs() != 1 {
            let name = format!("{name}.critic_linear.weight");
            return Err(weights.wrong(&name, &critic.shape, "1 output"));
        }
        Ok(Self {
            size,
            conv_in: Conv3x3::new(conv_in, size, 1),
            blocks,
            lstm,
            actor: Linear::new(&actor),
            critic: Linear::new(&critic),
        })
    }

    pub(crate) fn actions(&self) -> usize {
        self.actor.outputs()
    }

    pub(crate) fn zeros(&self) -> LstmState {
        self.lstm.zeros()
    }

    /// Sees a frame u8 RGB `[H, W, 3]`.
    pub(crate) fn step(
        &self,
        compute: &mut Compute,
        frame: &[u8],
        state: &mut LstmState,
    ) -> Policy {
        let frame = frame_map(self.size, frame);
        let mut x = self
            .conv_in
            .apply(compute, &Source::plain(&[&frame]), Onto::Zero);
        for block in &self.blocks {
            let y = block.apply(compute, &x);
            compute.give(std::mem::replace(&mut x, y));
        }
        self.lstm.step(&compute.workers, &x, state);
        compute.give(x);
        let value = self.critic.apply(&compute.workers, &state.hidden);
        Policy {
            actions: self.actor.apply(&compute.workers, &state.hidden),
            value: value.first().copied().unwrap_or_default(),
        }
    }
}

fn small_block(
    weights: &mut Weights,
    name: &str,
    size: [usize; 2],
    channels: usize,
) -> Result<SmallBlock> {
    let norm = GroupNorm::new(weights, &format!("{name}.f.0.norm"), channels)?;
    let conv = weights.convolution(&format!("{name}.f.2"), Some(channels), 3)?;
    let outputs = conv.outputs();
    let mut conv = Conv3x3::new(conv, size, 1);
    let skip = format!("{name}.skip_projection");
    let mut projection = None;
    if weights.has(&format!("{skip}.weight")) || outputs != channels {
        let affine = weights.convolution(&skip, Some(channels), 1)?;
        if affine.outputs() != outputs {
            let expected = format!("{outputs} outputs");
            return Err(weights.wrong(&format!("{skip}.weight"), &affine.shape, &expected));
        }
        conv.add_bias(&affine.bias);
        projection = Some(Conv1x1::new(affine, &[channels]));
    }
    Ok(SmallBlock {
        norm,
        conv,
        projection,
        pools: false,
    })
}

impl SmallBlock {
    fn apply(&self, compute: &mut Compute, x: &Map) -> Map {
        let onto = match &self.projection {
            Some(projection) => Onto::Buffer(projection.products(compute, &[x])),
            None => Onto::Map(x),
        };
        let affine = self.norm.affine(x);
        let y = self
            .conv
            .apply(compute, &Source::activated(&[x], &affine), onto);
        if !self.pools {
            return y;
        }
        let pooled = max_pool(compute, &y);
        compute.give(y);
        pooled
    }
}

/// The maxima of blocks of 2×2 pixels, with their sums.
fn max_pool(compute: &mut Compute, x: &Map) -> Map {
    let c = x.channels;
    let mut y = compute.map(x.size.map(|side| side / 2), c);
    let row = x.size[1] * c;
    let mut sums = vec![[0.0; 2]; c];
    let width = y.size[1];
    for (at, to) in y.data.chunks_exact_mut(c).enumerate() {
        let corner = at / width * 2 * row + at % width * 2 * c;
        for (i, to) in to.iter_mut().enumerate() {
            let values = [0, c, row, row + c].map(|step| x.data[corner + step + i]);
            *to = values.into_iter().fold(f32::NEG_INFINITY, f32::max);
            let value = f64::from(*to);
            sums[i] = [sums[i][0] + value, sums[i][1] + value * value];
        }
    }
    y.sums = sums;
    y
}
