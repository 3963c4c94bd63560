//! The dynamics: a block-causal transformer that predicts the clean latent x̂ of a frame from its
//! noised latent z_τ, the signal level τ, the step size d, the action, and the frames before it.
//!
//! Three parts. The *stem* works on single latent cells with 3×3 convolutions and sees the same
//! cells in the last `stem_frames` frames, so a small moving object is followed locally and across
//! token borders. The *trunk* merges cells into tokens; each layer attends over the frame's tokens
//! (latent, action, signal, registers), every n-th also over time. The *head* goes back to cells.
//!
//! The tokens of a frame, in order: latent tokens row by row, of which the one in row r and column c
//! holds the cells of rows `r·merge ..` and columns `c·merge ..`, as many as `merge` either way
//! ([`token_of`]); then the action's, the signal's (level and step size), and the registers, which hold
//! nothing of their own.
//!
//! A second, optional head reads the signal token of nearly clean frames behind the last time
//! attention, and predicts the frame's reward and whether it ends the episode.

use candle_core::{D, DType, Tensor};

use super::attention::Pattern;
use super::config::WorldConfig;
use super::layers::{AttentionLayer, CellBlock, Linear, MlpLayer, Norm};
use super::params::{Init, Params};
use super::precision::Precision;
use crate::{Error, Result};

/// Cosine features of the signal level.
pub const SIGNAL_FEATURES: usize = 16;

/// One layer of the trunk.
pub struct Layer {
    /// Attention among the tokens of a frame.
    pub space: AttentionLayer,
    /// Attention of a token to itself in earlier frames, in every `time_every`-th layer.
    pub time: Option<AttentionLayer>,
    /// The SwiGLU of the layer.
    pub mlp: MlpLayer,
}

/// Embeddings of action, signal level and step size.
pub struct Conditions {
    /// One row an action, [actions, width].
    pub action: Tensor,
    /// Of the cosine features of the signal level.
    pub signal: Linear,
    /// One row a step size, [step sizes, width].
    pub step: Tensor,
}

impl Conditions {
    fn new(p: &Params, name: &str, config: &WorldConfig, width: usize) -> Result<Self> {
        let steps = step_sizes(config.dynamics.k_max);
        let init = Init::Normal(0.5);
        Ok(Self {
            action: p.get(
                &format!("{name}.action"),
                &[
                    config.actions.len() + usize::from(config.dynamics.unknown_action),
                    width,
                ],
                init,
            )?,
            signal: Linear::new(
                p,
                &format!("{name}.signal"),
                [width, SIGNAL_FEATURES],
                Init::FanIn,
                false,
            )?,
            step: p.get(&format!("{name}.step"), &[steps, width], init)?,
        })
    }

    /// (action embedding, signal and step embedding), each [B, F, width].
    fn forward(&self, input: &DynamicsInput) -> Result<(Tensor, Tensor)> {
        let (b, f) = input.actions.dims2()?;
        let pick = |table: &Tensor, index: &Tensor| -> Result<Tensor> {
            Ok(table
                .index_select(&index.flatten_all()?, 0)?
                .reshape((b, f, ()))?)
        };
        let signal = self.signal.forward(&signal_features(&input.signal)?)?;
        Ok((
            pick(&self.action, &input.actions)?,
            (signal + pick(&self.step, &input.steps)?)?,
        ))
    }
}

/// cos(π k τ) for k = 0 .. 15: [B, F] → [B, F, 16].
fn signal_features(signal: &Tensor) -> Result<Tensor> {
    let k: Vec<f32> = (0..SIGNAL_FEATURES)
        .map(|k| k as f32 * std::f32::consts::PI)
        .collect();
    let k = Tensor::from_vec(k, SIGNAL_FEATURES, signal.device())?;
    Ok(signal.unsqueeze(D::Minus1)?.broadcast_mul(&k)?.cos()?)
}

/// The latent token that holds a cell of a grid (height and width in cells); cells count row by row.
pub fn token_of(cell: usize, grid: [usize; 2], merge: usize) -> usize {
    let (width, merge) = (grid[1].max(1), merge.max(1));
    let (row, column) = (cell / width / merge, cell % width / merge);
    row * (width / merge) + column
}

/// Distinct step sizes 1, 1/2, …, 1/`k_max`.
pub fn step_sizes(k_max: usize) -> usize {
    k_max.ilog2() as usize + 1
}

/// Index of the embedding of step size 1/`steps`: log₂ of `steps`, no finer than 1/`k_max`.
pub fn step_index(steps: usize, k_max: usize) -> u32 {
    steps.clamp(1, k_max).ilog2()
}

/// A batch of frames for one pass; B sequences of F frames.
pub struct DynamicsInput {
    /// z_τ, [B, F, gh, gw, c].
    pub latents: Tensor,
    /// The `stem_frames` frames before each, latest first, [B, F, gh, gw, stem_frames·c].
    pub past: Tensor,
    /// u32 [B, F]; the action that leads to each frame, or one more than the last for an unknown one.
    pub actions: Tensor,
    /// Signal level τ of each frame, f32 [B, F].
    pub signal: Tensor,
    /// u32 [B, F]; see [`step_index`].
    pub steps: Tensor,
}

/// Reward and end of an episode from a frame's signal token: W₂ silu(W₁ norm x + b₁) + b₂.
pub struct OutcomeHead {
    /// Before the first product.
    pub norm: Norm,
    /// W₁ and b₁.
    pub up: Linear,
    /// W₂ and b₂.
    pub out: Linear,
}

impl OutcomeHead {
    fn new(p: &Params, width: usize, hidden: usize) -> Result<Self> {
        Ok(Self {
            norm: Norm::new(p, "outcome.norm", width)?,
            up: Linear::new(p, "outcome.up", [hidden, width], Init::FanIn, true)?,
            out: Linear::new(p, "outcome.out", [2, hidden], Init::Constant(0.0), true)?,
        })
    }

    /// Signal tokens [.., w] → reward, and logit of the end, [.., 2].
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.out
            .forward(&self.up.forward(&self.norm.forward(x)?)?.silu()?)
    }
}

/// What [`Dynamics::forward`] predicts.
pub struct Predicted {
    /// x̂ (or v̂, ε̂) of the frames from `first` on, [B, F − `first`, gh, gw, c].
    pub clean: Tensor,
    /// Reward and logit of the end of the frames before `first`, [B, `first`, 2]; none of a network
    /// without that head.
    pub outcome: Option<Tensor>,
}

/// The network.
pub struct Dynamics {
    grid: [usize; 2],
    merge: usize,
    channels: usize,
    window: usize,
    precision: Precision,
    /// What the stem knows of action, signal level and step size.
    pub stem_conditions: Conditions,
    /// The 3×3 convolution from the latents of `stem_frames` + 1 frames to the stem.
    pub stem_in: Tensor,
    /// The block of the stem.
    pub stem_block: CellBlock,
    /// From `merge`×`merge` cells to a token.
    pub merge_in: Linear,
    /// What the signal token is made of.
    pub conditions: Conditions,
    /// Learned positions of the tokens.
    pub position: Tensor,
    /// The trunk.
    pub layers: Vec<Layer>,
    /// After the trunk.
    pub norm_out: Norm,
    /// From a token to `merge`×`merge` cells.
    pub merge_out: Linear,
    /// The block of the head.
    pub head_block: CellBlock,
    /// Before the last product.
    pub head_norm: Norm,
    /// From a cell to its prediction.
    pub head_out: Linear,
    /// From the noised latent straight to the prediction.
    pub skip: Linear,
    /// Reward and end, of a network with that head.
    pub outcome: Option<OutcomeHead>,
}

impl Dynamics {
    /// Builds the network of a configuration from its parameters.
    ///
    /// # Errors
    /// A parameter is missing or of another shape.
    pub fn new(p: &Params, config: &WorldConfig) -> Result<Self> {
        let (d, c) = (&config.dynamics, config.tokenizer.channels);
        let seen = (1 + d.stem_frames) * c;
        let merged = d.merge * d.merge * d.stem_width;
        let time = Pattern::Time {
            frames: d.context,
            window: d.context,
        };
        let layers = (0..d.depth)
            .map(|i| {
                let name = |part: &str| format!("layers.{i}.{part}");
                let over = |part: &str, pattern| {
                    AttentionLayer::new(p, &name(part), d.width, d.heads, pattern)
                };
                Ok(Layer {
                    space: over("space", Pattern::Space)?,
                    time: match (i + 1) % d.time_every {
                        0 => Some(over("time", time)?),
                        _ => None,
                    },
                    mlp: MlpLayer::new(p, &name("mlp"), d.width, d.mlp)?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            grid: config.grid(),
            merge: d.merge,
            channels: c,
            window: d.context,
            precision: p.precision(),
            stem_conditions: Conditions::new(p, "stem", config, d.stem_width)?,
            stem_in: p.get("stem.conv.weight", &[d.stem_width, 9 * seen], Init::FanIn)?,
            stem_block: CellBlock::new(p, "stem.block", d.stem_width)?,
            merge_in: Linear::new(p, "merge", [d.width, merged], Init::FanIn, false)?,
            conditions: Conditions::new(p, "token", config, d.width)?,
            position: p.get("position", &[config.tokens(), d.width], Init::Normal(0.5))?,
            layers,
            norm_out: Norm::new(p, "norm", d.width)?,
            merge_out: Linear::new(
                p,
                "unmerge",
                [merged, d.width],
                Init::Normal(0.5 / (d.width as f32).sqrt()),
                false,
            )?,
            head_block: CellBlock::new(p, "head.block", d.stem_width)?,
            head_norm: Norm::new(p, "head.norm", d.stem_width)?,
            head_out: Linear::new(p, "head.out", [c, d.stem_width], Init::Constant(0.0), true)?,
            skip: Linear::new(p, "skip", [c, seen], Init::Constant(0.0), false)?,
            outcome: match d.outcome {
                0 => None,
                hidden => Some(OutcomeHead::new(p, d.width, hidden)?),
            },
        })
    }

    /// The time pattern of `frames` moments.
    pub fn time(&self, frames: usize) -> Pattern {
        Pattern::Time {
            frames,
            window: self.window,
        }
    }

    /// Predicts the frames from `first` on, and the outcomes of those before; `time` says which
    /// frames see each other.
    ///
    /// # Errors
    /// The shapes do not fit, or the device failed.
    pub fn forward(&self, input: &DynamicsInput, time: Pattern, first: usize) -> Result<Predicted> {
        let (mut seen, mut cells, mut x) = self.stem(input)?;
        let last = self.last_time();
        let mut outcome = None;
        // Behind the last time attention nobody reads the earlier frames any more.
        let narrow = |x: &Tensor| x.narrow(1, first, x.dim(1)? - first)?.contiguous();
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.space.forward(&x, Pattern::Space)?;
            if let Some(attention) = &layer.time {
                x = attention.forward(&x, time)?;
            }
            if first > 0 && i == last {
                outcome = self.outcome_of(&x.narrow(1, 0, first)?)?;
                (seen, cells, x) = (narrow(&seen)?, narrow(&cells)?, narrow(&x)?);
            }
            x = layer.mlp.forward(&x)?;
        }
        Ok(Predicted {
            clean: self.head(&seen, &cells, &x)?,
            outcome,
        })
    }

    /// The last layer that attends over time; the first layer where none does. Earlier frames are
    /// read up to there, and there the outcomes are read.
    pub fn last_time(&self) -> usize {
        let last = self.layers.iter().rposition(|layer| layer.time.is_some());
        last.unwrap_or(0)
    }

    /// Reward and logit of the end [B, F, 2] from tokens [B, F, S, w] behind the last time attention.
    pub fn outcome_of(&self, tokens: &Tensor) -> Result<Option<Tensor>> {
        let Some(head) = &self.outcome else {
            return Ok(None);
        };
        let at = self.grid[0] * self.grid[1] / (self.merge * self.merge) + 1;
        let signal = tokens.narrow(2, at, 1)?.squeeze(2)?;
        Ok(Some(head.forward(&signal)?))
    }

    /// Before the trunk: (latents with their past [B, F, gh, gw, ·], stem features [B, F, gh, gw, ·],
    /// tokens [B, F, S, w]).
    pub fn stem(&self, input: &DynamicsInput) -> Result<(Tensor, Tensor, Tensor)> {
        let (b, f) = input.actions.dims2()?;
        let ([gh, gw], m) = (self.grid, self.merge);
        if input.latents.dims() != [b, f, gh, gw, self.channels] {
            return Err(Error::Argument(format!(
                "latents are {:?}, expected {:?}",
                input.latents.dims(),
                [b, f, gh, gw, self.channels]
            )));
        }
        let seen = Tensor::cat(&[&input.latents, &input.past], 4)?.reshape((b * f, gh, gw, ()))?;
        let (action, signal) = self.stem_conditions.forward(input)?;
        let condition = (action + signal)?.reshape((b * f, 1, 1, ()))?;
        let cells = self
            .precision
            .conv3x3(&seen, &self.stem_in)?
            .broadcast_add(&condition)?;
        let cells = self.stem_block.forward(&cells)?;
        // [B·F, gh/m, m, gw/m, m, sw] → [B, F, tokens, m·m·sw]
        let merged = cells
            .reshape(vec![b * f, gh / m, m, gw / m, m, cells.dim(3)?])?
            .permute(vec![0, 1, 3, 2, 4, 5])?
            .reshape((b, f, gh * gw / (m * m), ()))?;
        let latent = self.merge_in.forward(&merged)?;
        let (action, signal) = self.conditions.forward(input)?;
        let extra = self.position.dim(0)? - latent.dim(2)? - 2;
        let width = latent.dim(3)?;
        let registers = Tensor::zeros((b, f, extra, width), DType::F32, latent.device())?;
        let tokens = Tensor::cat(
            &[
                &latent,
                &action.unsqueeze(2)?,
                &signal.unsqueeze(2)?,
                &registers,
            ],
            2,
        )?;
        let grid = |x: Tensor| x.reshape((b, f, gh, gw, ()));
        Ok((
            grid(seen)?,
            grid(cells)?,
            tokens.broadcast_add(&self.position)?,
        ))
    }

    /// After the trunk: tokens [B, F, S, w] → x̂ [B, F, gh, gw, c].
    pub fn head(&self, seen: &Tensor, cells: &Tensor, tokens: &Tensor) -> Result<Tensor> {
        let (b, f, _, _) = tokens.dims4()?;
        let ([gh, gw], m) = (self.grid, self.merge);
        let latent = tokens.narrow(2, 0, gh * gw / (m * m))?.contiguous()?;
        let merged = self.merge_out.forward(&self.norm_out.forward(&latent)?)?;
        // [B·F, gh/m, gw/m, m, m, sw] → [B·F, gh, gw, sw]
        let cells = cells.reshape((b * f, gh, gw, ()))?;
        let seen = seen.reshape((b * f, gh, gw, ()))?;
        let back = merged
            .reshape(vec![b * f, gh / m, gw / m, m, m, cells.dim(3)?])?
            .permute(vec![0, 1, 3, 2, 4, 5])?
            .reshape((b * f, gh, gw, ()))?;
        let h = self.head_block.forward(&(cells + back)?)?;
        let x = self.head_out.forward(&self.head_norm.forward(&h)?)?;
        Ok((x + self.skip.forward(&seen)?)?.reshape((b, f, gh, gw, self.channels))?)
    }
}
