//! The reward and end model: two frames and the action between them, through a memory, to the sign of the reward and
//! whether the episode ends.

use driftless_engine::kernels::{PackedMatrix, RowLayout, WriteMode};

use crate::Result;
use crate::blocks::{BlockBuilder, Linear, ModulationBuilder, ResBlock};
use crate::conv::{Conv3x3, Onto, Source};
use crate::denoiser::{level, silu};
use crate::lstm::{Lstm, LstmState};
use crate::map::{COLOURS, Compute, Map};
use crate::weights::Weights;

/// Rewards −1, 0 and 1, and end: no and yes.
const OUTPUTS: usize = 5;

/// Logits of what comes with a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RewardEnd {
    /// Of the rewards −1, 0 and 1.
    pub reward: [f32; 3],
    /// Of going on, and of the end.
    pub end: [f32; 2],
}

impl RewardEnd {
    /// The expected sign of the reward, in [−1, 1].
    pub fn expected_reward(&self) -> f32 {
        let [minus, _, plus] = softmax(self.reward);
        plus - minus
    }

    /// Probability that the episode ends.
    pub fn end_probability(&self) -> f32 {
        softmax(self.end)[1]
    }
}

/// Probabilities from logits.
fn softmax<const N: usize>(logits: [f32; N]) -> [f32; N] {
    let most = logits.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
    let weights = logits.map(|logit| (logit - most).exp());
    let sum: f32 = weights.iter().sum();
    weights.map(|weight| weight / sum)
}

/// One size of the encoder.
struct Level {
    halve: Option<Conv3x3>,
    blocks: Vec<ResBlock>,
}

pub(crate) struct RewardEndModel {
    size: [usize; 2],
    /// [actions, condition].
    actions: Vec<f32>,
    condition: usize,
    conv_in: Conv3x3,
    levels: Vec<Level>,
    modulation: Linear,
    lstm: Lstm,
    hidden: Linear,
    out: PackedMatrix,
}

impl RewardEndModel {
    pub(crate) fn new(weights: &mut Weights, name: &str, size: [usize; 2]) -> Result<Self> {
        let part = |part: &str| format!("{name}.{part}");
        let actions = weights.take(&part("act_emb.weight"), 2)?;
        let condition = actions.shape[1];
        let conv_in = weights.convolution(&part("encoder.conv_in"), Some(2 * COLOURS), 3)?;
        let mut channels = conv_in.outputs();
        let mut builder = BlockBuilder {
            weights,
            modulation: ModulationBuilder::default(),
            condition,
        };
        let mut levels = Vec::new();
        let mut at = size;
        for i in 0..builder.weights.count(&part("encoder.blocks.")) {
            // The last blocks have the size of those before, like the middle of a U-Net.
            let conv = part(&format!("encoder.downsamples.{i}.conv"));
            let mut halve = None;
            if builder.weights.has(&format!("{conv}.weight")) {
                let affine = builder.resampling(&conv, channels)?;
                halve = Some(Conv3x3::new(affine, at, 2));
                at = at.map(|side| side.div_ceil(2));
            }
            let name = part(&format!("encoder.blocks.{i}"));
            let blocks = builder.blocks(&name, &mut channels, None)?;
            let blocks = blocks.into_iter();
            levels.push(Level {
                halve,
                blocks: blocks.map(|block| ResBlock::new(block, at)).collect(),
            });
        }
        let BlockBuilder {
            modulation,
            weights,
            ..
        } = builder;
        let lstm = Lstm::new(weights, &part("lstm"), "_l0", [at[0] * at[1], channels])?;
        let hidden = weights.linear(&part("head.0"), Some(lstm.len()))?;
        let outputs = [OUTPUTS, hidden.outputs()];
        let out = weights.take_shaped(&part("head.2.weight"), &outputs)?;
        Ok(Self {
            size,
            actions: actions.values,
            condition,
            conv_in: Conv3x3::new(conv_in, size, 1),
            levels,
            modulation: modulation.build(),
            lstm,
            out: PackedMatrix::pack(OUTPUTS, outputs[1], |o, i| out[o * outputs[1] + i]),
            hidden: Linear::new(&hidden),
        })
    }

    pub(crate) fn actions(&self) -> usize {
        self.actions.len() / self.condition
    }

    pub(crate) fn zeros(&self) -> LstmState {
        self.lstm.zeros()
    }

    /// What comes with the frame `next` after `action` at the frame `before`, both u8 RGB `[H, W, 3]`.
    pub(crate) fn step(
        &self,
        compute: &mut Compute,
        before: &[u8],
        action: u32,
        next: &[u8],
        state: &mut LstmState,
    ) -> RewardEnd {
        let action = &self.actions[action as usize * self.condition..][..self.condition];
        let modulation = self.modulation.apply(&compute.workers, action);
        let frames = [before, next].map(|frame| frame_map(self.size, frame));
        let frames = [&frames[0], &frames[1]];
        let mut x = self
            .conv_in
            .apply(compute, &Source::plain(&frames), Onto::Zero);
        for Level { halve, blocks } in &self.levels {
            if let Some(halve) = halve {
                let y = halve.apply(compute, &Source::plain(&[&x]), Onto::Zero);
                compute.give(std::mem::replace(&mut x, y));
            }
            for block in blocks {
                let y = block.apply(compute, &[&x], &modulation);
                compute.give(std::mem::replace(&mut x, y));
            }
        }
        self.lstm.step(&compute.workers, &x, state);
        compute.give(x);
        let mut hidden = self.hidden.apply(&compute.workers, &state.hidden);
        silu(&mut hidden);
        let mut y = [0.0; OUTPUTS];
        let row = RowLayout::contiguous(1, hidden.len());
        self.out
            .apply(&compute.workers, &hidden, row, &mut y, WriteMode::Set);
        let [minus, zero, plus, on, end] = y;
        RewardEnd {
            reward: [minus, zero, plus],
            end: [on, end],
        }
    }
}

/// A frame u8 RGB `[H, W, 3]` in [−1, 1].
pub(crate) fn frame_map(size: [usize; 2], frame: &[u8]) -> Map {
    Map {
        size,
        channels: COLOURS,
        data: frame.iter().map(|byte| level(*byte)).collect(),
        sums: Vec::new(),
    }
}
