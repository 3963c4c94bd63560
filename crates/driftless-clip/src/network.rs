//! The network: all frames of a clip at once.
//!
//! ```text
//! t   = silu(A·cos(π k τ) + D[step size])                      time
//! y   = refine(E[words] + W_s states) under t                  words, each knowing the others; states of a text
//!                                                              encoder, if it has one
//! e   = B t + P norm(mean y)                                   time and prompt, which modulate the blocks
//! x   = W_in [z | z before and after | mask | action | place]  one token for merge × merge cells of a frame
//! x   = MLP(cross-attention(self-attention(x), y)) under e     for each block
//! x̂   = W_out (norm(x) (1 + scale) + shift)
//! ```

use candle_core::{DType, Device, Tensor};

use driftless_model::attention::{BLOCK, BlockSparse};
use driftless_model::layers::Linear;
use driftless_model::ops::rms_norm;
use driftless_model::params::{Init, Params};

use crate::config::{ClipConfig, PLACE_FEATURES, SHORTCUT_STEPS};
use crate::layers::{Block, BlockSize, Modulation, Places, modulated};
use crate::rotary::Rotary;
use crate::vocabulary::{NO_PROMPT, PADDING, SPECIAL};
use crate::{Error, Result};

/// Cosine features of the signal level τ.
pub const TIME_FEATURES: usize = 16;

/// Frames before and after a token's own whose blocks it attends to in any case.
const WINDOW_FRAMES: usize = 4;

/// Where frame `t` of `frames` lies in its clip: cos(π k (t + ½)/T) for k from 1. Attention knows only how far
/// tokens are apart, and "first … then …" asks for more.
pub fn place(t: usize, frames: usize) -> [f32; PLACE_FEATURES] {
    let part = (t as f32 + 0.5) / frames as f32;
    std::array::from_fn(|k| (std::f32::consts::PI * (k + 1) as f32 * part).cos())
}

/// The prompts of a batch.
#[derive(Clone, Debug)]
pub struct TextBatch {
    /// Indices of words, padded, u32 [B, L].
    words: Tensor,
    /// 1/count for a word and 0 for padding, f32 [B, L].
    shares: Tensor,
    /// States of a text encoder, 0 for padding, f32 [B, L, width].
    states: Option<Tensor>,
}

impl TextBatch {
    /// Prompts as indices of words, at most `most` each.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn new(prompts: &[Vec<u32>], most: usize, device: &Device) -> Result<Self> {
        let (mut words, mut shares) = (Vec::new(), Vec::new());
        for prompt in prompts {
            let count = prompt.len().min(most);
            words.extend(prompt.iter().take(count));
            shares.extend(vec![1.0 / count.max(1) as f32; count]);
            words.resize(words.len() + most - count, PADDING);
            shares.resize(shares.len() + most - count, 0_f32);
        }
        let size = (prompts.len(), most);
        Ok(Self {
            words: Tensor::from_vec(words, size, device)?,
            shares: Tensor::from_vec(shares, size, device)?,
            states: None,
        })
    }

    /// Adds the states of a text encoder's tokens, [tokens, width] for each prompt; those that are missing are 0.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn with_states<'a>(
        self,
        states: impl Iterator<Item = &'a [f32]>,
        width: usize,
    ) -> Result<Self> {
        let (b, most) = self.words.dims2()?;
        let mut all = Vec::with_capacity(b * most * width);
        for states in states.take(b) {
            let end = all.len() + most * width;
            all.extend(states.iter().take(most * width));
            all.resize(end, 0.0);
        }
        all.resize(b * most * width, 0.0);
        let states = Tensor::from_vec(all, (b, most, width), self.words.device())?;
        Ok(Self {
            states: Some(states),
            ..self
        })
    }

    /// The prompt that says nothing.
    pub fn none() -> Vec<u32> {
        vec![NO_PROMPT]
    }
}

/// What the network sees.
#[derive(Clone, Debug)]
pub struct ClipInput {
    /// Noised frames z_τ, [B, T, numbers]: the latent [gh, gw, c], then the action
    /// ([`crate::actions`]). A given frame is in its place without noise.
    pub z: Tensor,
    /// 1 for a frame that is given, else 0, [B, T].
    pub given: Tensor,
    /// Signal levels τ, `[B]`.
    pub tau: Tensor,
    /// Indices of the step sizes ([`crate::config::step_index`]), u32 `[B]`.
    pub steps: Tensor,
    /// The prompts.
    pub text: TextBatch,
}

/// The network.
pub struct ClipNetwork {
    config: ClipConfig,
    signal: Linear,
    step: Tensor,
    time: Linear,
    words: Tensor,
    /// What states of a text encoder become.
    encoded: Option<Linear>,
    text_blocks: Vec<Block>,
    pooled: Linear,
    input: Linear,
    blocks: Vec<Block>,
    modulation: Modulation,
    output: Linear,
}

impl ClipNetwork {
    /// Builds the network with the given parameters.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(p: &Params, config: &ClipConfig) -> Result<Self> {
        let n = &config.network;
        let w = n.width;
        let size = |reads_words| BlockSize {
            width: w,
            heads: n.heads,
            mlp: n.mlp,
            reads_words,
        };
        let block = |kind: &str, i: usize, reads_words| {
            Block::new(p, &format!("{kind}.{i}"), size(reads_words))
        };
        let linear = |name: &str, size, init| Linear::new(p, name, size, init, true);
        let encoder = config.text_encoder.as_ref();
        let encoded =
            encoder.map(|e| Linear::new(p, "text.encoder", [w, e.width], Init::FanIn, false));
        let inputs = config.token_inputs();
        let outputs = config.token_len() + config.actions;
        Ok(Self {
            signal: linear("time.signal", [w, TIME_FEATURES], Init::FanIn)?,
            step: p.get(
                "time.step",
                &[SHORTCUT_STEPS.len() + 1, w],
                Init::Normal(0.1),
            )?,
            time: linear("time.out", [w, w], Init::FanIn)?,
            words: p.get(
                "text.words",
                &[SPECIAL + config.vocabulary.len(), w],
                Init::Normal(1.0),
            )?,
            encoded: encoded.transpose()?,
            text_blocks: (0..n.text_blocks)
                .map(|i| block("text", i, false))
                .collect::<Result<_>>()?,
            pooled: linear("pooled", [w, w], Init::FanIn)?,
            input: linear("token.in", [w, inputs], Init::FanIn)?,
            blocks: (0..n.depth)
                .map(|i| block("blocks", i, true))
                .collect::<Result<_>>()?,
            modulation: Modulation::new(p, "out", w, 2)?,
            output: linear("token.out", [outputs, w], Init::Constant(0.0))?,
            config: config.clone(),
        })
    }

    /// Its configuration.
    pub fn config(&self) -> &ClipConfig {
        &self.config
    }

    /// x̂, [B, T, numbers].
    ///
    /// # Errors
    /// Returns an error if the shapes do not match or the device fails.
    pub fn forward(&self, input: &ClipInput) -> Result<Tensor> {
        self.forward_sparse(input, 1.0)
    }

    /// As [`ClipNetwork::forward`], where the clip's tokens attend to each other block by block
    /// ([`driftless_model::attention::BlockSparse`]): to the fewest blocks of 64 tokens in order that have the
    /// share `mass` of the attention, 0 to 1, and to those within four frames. 1 is full attention; less has no
    /// gradient.
    ///
    /// # Errors
    /// As [`ClipNetwork::forward`].
    pub fn forward_sparse(&self, input: &ClipInput, mass: f64) -> Result<Tensor> {
        let (dims, numbers) = (input.z.dims(), self.config.frame_numbers());
        let &[b, frames, last] = dims else {
            return Err(Error::Argument(format!("frames are {dims:?}")));
        };
        if last != numbers || input.given.dims() != [b, frames] {
            return Err(Error::Argument(format!(
                "frames are {dims:?} with a mask {:?}, expected [B, T, {numbers}] and [B, T]",
                input.given.dims()
            )));
        }
        let time = self.time(&input.tau, &input.steps)?;
        let words = self.refined_words(&input.text, &time)?;
        let mean = input.text.shares.unsqueeze(1)?.matmul(&words)?.squeeze(1)?;
        let ones = Tensor::ones(self.config.network.width, DType::F32, mean.device())?;
        let e = (self.time.forward(&time)? + self.pooled.forward(&rms_norm(&mean, &ones)?)?)?;
        let grid = self.config.token_grid();
        let d = self.config.network.width / self.config.network.heads;
        let places = Places {
            positions: &Rotary::clip(frames, grid, d),
            sparse: (mass < 1.0).then(|| BlockSparse {
                mass: mass as f32,
                window: (WINDOW_FRAMES * grid[0] * grid[1]).div_ceil(BLOCK),
            }),
        };
        let mut x = self.input.forward(&self.token_inputs(input)?)?;
        for block in &self.blocks {
            x = block.forward(&x, &e, places, Some(&words))?;
        }
        let vectors = self.modulation.forward(&e)?;
        let out = self
            .output
            .forward(&modulated(&x, &vectors[0], &vectors[1])?)?;
        let (m, c) = (self.config.network.merge, self.config.channels);
        let (one, per_frame) = (self.config.token_len(), grid[0] * grid[1]);
        let out = out.reshape((b, frames, per_frame, one + self.config.actions))?;
        let latent = out
            .narrow(3, 0, one)?
            .reshape(vec![b * frames, grid[0], grid[1], m, m, c])?
            .permute(vec![0, 1, 3, 2, 4, 5])?
            .reshape((b, frames, per_frame * one))?;
        if self.config.actions == 0 {
            return Ok(latent);
        }
        // All tokens of a frame have a say in its action.
        let action = out.narrow(3, one, self.config.actions)?.mean(2)?;
        Ok(Tensor::cat(&[latent, action], 2)?)
    }

    /// The inputs of all tokens: latent, the same where the frame is given, the same cells one frame
    /// before and after, whether the three frames are given, the frame's action and its place in the clip,
    /// [B, tokens, inputs].
    fn token_inputs(&self, input: &ClipInput) -> Result<Tensor> {
        let (b, frames) = input.given.dims2()?;
        let [rows, columns] = self.config.token_grid();
        let (m, c) = (self.config.network.merge, self.config.channels);
        let (one, per_frame) = (self.config.token_len(), rows * columns);
        let z = input
            .z
            .narrow(2, 0, self.config.frame_len())?
            .reshape(vec![b * frames, rows, m, columns, m, c])?
            .permute(vec![0, 1, 3, 2, 4, 5])?
            .reshape((b, frames, per_frame, one))?;
        let given = input.given.reshape((b, frames, 1, 1))?;
        let given = given.repeat((1, 1, per_frame, 1))?;
        let before = |x: &Tensor| x.pad_with_zeros(1, 1, 0)?.narrow(1, 0, frames);
        let after = |x: &Tensor| x.pad_with_zeros(1, 0, 1)?.narrow(1, 1, frames);
        let mut parts = vec![
            z.clone(),
            z.broadcast_mul(&given)?,
            before(&z)?,
            after(&z)?,
            given.clone(),
            before(&given)?,
            after(&given)?,
        ];
        if self.config.actions > 0 {
            let action = input
                .z
                .narrow(2, self.config.frame_len(), self.config.actions)?;
            parts.push(action.unsqueeze(2)?.repeat((1, 1, per_frame, 1))?);
        }
        let places: Vec<f32> = (0..frames).flat_map(|t| place(t, frames)).collect();
        let places = Tensor::from_vec(places, (1, frames, 1, PLACE_FEATURES), given.device())?;
        parts.push(places.repeat((b, 1, per_frame, 1))?);
        let inputs = self.config.token_inputs();
        Ok(Tensor::cat(&parts, 3)?.reshape((b, frames * per_frame, inputs))?)
    }

    /// [B, w].
    fn time(&self, tau: &Tensor, steps: &Tensor) -> Result<Tensor> {
        let k: Vec<f32> = (0..TIME_FEATURES)
            .map(|k| k as f32 * std::f32::consts::PI)
            .collect();
        let k = Tensor::from_vec(k, (1, TIME_FEATURES), tau.device())?;
        let features = tau.unsqueeze(1)?.broadcast_mul(&k)?.cos()?;
        let t = (self.signal.forward(&features)? + self.step.index_select(steps, 0)?)?;
        Ok(candle_nn::ops::silu(&t)?)
    }

    /// The words of the prompts after the text blocks, [B, L, w].
    fn refined_words(&self, text: &TextBatch, time: &Tensor) -> Result<Tensor> {
        let (b, l) = text.words.dims2()?;
        let n = &self.config.network;
        let flat = text.words.flatten_all()?;
        let mut y = self
            .words
            .index_select(&flat, 0)?
            .reshape((b, l, n.width))?;
        match (&self.encoded, &text.states) {
            (Some(encoded), Some(states)) => y = (y + encoded.forward(states)?)?,
            (None, None) => {}
            _ => {
                let what =
                    "prompts have states of a text encoder, or lack those that the network reads";
                return Err(Error::Argument(what.to_owned()));
            }
        }
        let places = Places {
            positions: &Rotary::line(l, n.width / n.heads),
            sparse: None,
        };
        for block in &self.text_blocks {
            y = block.forward(&y, time, places, None)?;
        }
        Ok(y)
    }
}
