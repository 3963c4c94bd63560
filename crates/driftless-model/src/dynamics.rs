//! The dynamics: a block-causal transformer that predicts the clean latent x̂ of a frame from its
//! noised latent z_τ, the signal level τ, the step size d, the action, and the frames before it. An action is
//! a row of a table for its index and, in a world with axes, a linear map of their values added to it.
//!
//! It has three parts. The *stem* applies 3×3 convolutions to single latent cells and also sees the
//! same cells in the last `stem_frames` frames, so that it can follow a small moving object locally
//! and across token borders. The *trunk* merges cells into tokens; each layer attends over the
//! tokens of a frame (latent, action, signal, registers), every n-th layer also over time. The
//! *head* converts tokens back to cells.
//!
//! The tokens of a frame, in order: the latent tokens row by row, where the token in row r and
//! column c holds `merge`×`merge` cells from row `r·merge` and column `c·merge` on ([`token_of_cell`]);
//! the action token; the signal token (level and step size); and the registers, whose input is only
//! their position embedding.
//!
//! An optional second head reads the signal tokens of nearly clean frames after the last time
//! attention and predicts the frame's reward and whether it ends the episode.
//!
//! A network with a [`memory`](super::memory) also reads recalled frames, after each time attention;
//! its second head then predicts how the camera moved to the frame as well. A network with a delta state
//! reads it before each time attention.

mod action_tensors;

use candle_core::{D, DType, Device, Tensor};

pub use self::action_tensors::ActionTensors;

use super::attention::AttentionPattern;
use super::config::{DynamicsConfig, WorldConfig};
use super::layers::{AttentionLayer, CellBlock, Linear, MlpLayer, RmsNorm};
use super::memory::{DeltaLayer, MemoryEncoder, MemoryInput, MemoryTokens, RecallLayer};
use super::params::{Init, Params};
use super::precision::Precision;
use crate::{Error, Result};

/// Number of cosine features of the signal level.
pub const SIGNAL_FEATURES: usize = 16;

/// One layer of the trunk.
pub struct Layer {
    /// Attention among the tokens of a frame.
    pub space: AttentionLayer,
    /// The state that holds what frames long ago wrote, before each time attention of a network with one.
    pub delta: Option<DeltaLayer>,
    /// Attention of a token to itself in earlier frames, in every `time_every`-th layer.
    pub time: Option<AttentionLayer>,
    /// Attention to recalled frames, after each time attention of a network with a memory.
    pub recall: Option<RecallLayer>,
    /// The SwiGLU of the layer.
    pub mlp: MlpLayer,
}

/// Embeddings of action, signal level and step size.
pub(crate) struct ConditionEmbeddings {
    /// One row an action, [actions, width].
    pub(crate) action: Tensor,
    /// Of the axes, of a world that has some.
    pub(crate) axes: Option<Linear>,
    /// Of the cosine features of the signal level.
    pub(crate) signal: Linear,
    /// One row a step size, [step sizes, width].
    pub(crate) step: Tensor,
}

impl ConditionEmbeddings {
    fn new(p: &Params, name: &str, config: &WorldConfig, width: usize) -> Result<Self> {
        let steps = step_size_count(config.dynamics.k_max);
        let init = Init::Normal(0.5);
        let axes = |count| {
            let size = [width, count];
            // A world starts as if its axes were unknown, as one that was trained without them does.
            let init = Init::Constant(0.0);
            Linear::new(p, &format!("{name}.axes"), size, init, false)
        };
        Ok(Self {
            axes: match config.axes.len() {
                0 => None,
                count => Some(axes(count)?),
            },
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

    /// Returns (action embedding, signal plus step embedding), each [B, F, width].
    fn forward(&self, input: &DynamicsInput) -> Result<(Tensor, Tensor)> {
        let ActionTensors { indices, axes } = &input.actions;
        let (b, f) = indices.dims2()?;
        let lookup = |table: &Tensor, index: &Tensor| -> Result<Tensor> {
            Ok(table
                .index_select(&index.flatten_all()?, 0)?
                .reshape((b, f, ()))?)
        };
        let signal = self.signal.forward(&signal_features(&input.signal)?)?;
        let mut action = lookup(&self.action, indices)?;
        if let (Some(linear), Some(axes)) = (&self.axes, axes) {
            action = (action + linear.forward(axes)?)?;
        }
        Ok((action, (signal + lookup(&self.step, &input.steps)?)?))
    }
}

/// cos(π k τ) for k = 0 .. 15; maps [B, F] to [B, F, 16].
fn signal_features(signal: &Tensor) -> Result<Tensor> {
    let k: Vec<f32> = (0..SIGNAL_FEATURES)
        .map(|k| k as f32 * std::f32::consts::PI)
        .collect();
    let k = Tensor::from_vec(k, SIGNAL_FEATURES, signal.device())?;
    Ok(signal.unsqueeze(D::Minus1)?.broadcast_mul(&k)?.cos()?)
}

/// Index of the latent token that holds a cell. `grid` is (height, width) in cells; cells are
/// numbered row by row.
pub fn token_of_cell(cell: usize, grid: [usize; 2], merge: usize) -> usize {
    let (width, merge) = (grid[1].max(1), merge.max(1));
    let (row, column) = (cell / width / merge, cell % width / merge);
    row * (width / merge) + column
}

/// Number of step sizes 1, 1/2, …, 1/`k_max`.
pub fn step_size_count(k_max: usize) -> usize {
    k_max.ilog2() as usize + 1
}

/// Index of the embedding of step size 1/`steps`: log₂ of `steps`, clamped to 1/`k_max`.
pub fn step_index(steps: usize, k_max: usize) -> u32 {
    steps.clamp(1, k_max).ilog2()
}

/// A batch of B sequences of F frames for one forward pass.
pub struct DynamicsInput {
    /// z_τ, [B, F, gh, gw, c].
    pub latents: Tensor,
    /// The `stem_frames` previous frames of each, latest first, [B, F, gh, gw, stem_frames·c].
    pub past: Tensor,
    /// The action that led to each frame.
    pub actions: ActionTensors,
    /// Signal level τ of each frame, f32 [B, F].
    pub signal: Tensor,
    /// Step size of each frame, u32 [B, F]; see [`step_index`].
    pub steps: Tensor,
    /// The frames recalled for T time steps, where F is a multiple of T; `None` to recall nothing.
    pub memory: Option<MemoryInput>,
}

/// Predicts reward, end of episode and, with a memory, the motion of the camera from a frame's signal
/// token: W₂ silu(W₁ norm x + b₁) + b₂.
pub(crate) struct OutcomeHead {
    /// Before the first product.
    pub(crate) norm: RmsNorm,
    /// W₁ and b₁.
    pub(crate) up: Linear,
    /// W₂ and b₂.
    pub(crate) out: Linear,
}

impl OutcomeHead {
    fn new(p: &Params, d: &DynamicsConfig) -> Result<Self> {
        let (hidden, outputs) = (d.outcome, d.outcome_outputs());
        Ok(Self {
            norm: RmsNorm::new(p, "outcome.norm", d.width)?,
            up: Linear::new(p, "outcome.up", [hidden, d.width], Init::FanIn, true)?,
            out: Linear::new(
                p,
                "outcome.out",
                [outputs, hidden],
                Init::Constant(0.0),
                true,
            )?,
        })
    }

    /// Maps signal tokens [.., w] to outcomes; see [`DynamicsOutput::outcome`].
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.out
            .forward(&self.up.forward(&self.norm.forward(x)?)?.silu()?)
    }
}

/// Output of [`Dynamics::forward`].
pub struct DynamicsOutput {
    /// The prediction, x̂ (or v̂, ε̂), of the frames from `first` on, [B, F − `first`, gh, gw, c].
    pub prediction: Tensor,
    /// Reward and end-of-episode logit of the frames before `first`, [B, `first`, 2], followed by the
    /// motion of the camera to them (ahead, aside, turn) if the network has a memory, [B, `first`, 5];
    /// `None` if the network has no outcome head.
    pub outcome: Option<Tensor>,
}

/// The dynamics network.
pub struct Dynamics {
    grid: [usize; 2],
    merge: usize,
    pub(crate) channels: usize,
    window: usize,
    last_time_layer: usize,
    precision: Precision,
    /// What the stem knows of action, signal level and step size.
    pub(crate) stem_conditions: ConditionEmbeddings,
    /// The 3×3 convolution from the latents of `stem_frames` + 1 frames to the stem.
    pub(crate) stem_in: Tensor,
    /// The block of the stem.
    pub(crate) stem_block: CellBlock,
    /// From `merge`×`merge` cells to a token.
    pub(crate) merge_in: Linear,
    /// What the signal token is made of.
    pub(crate) conditions: ConditionEmbeddings,
    /// Learned positions of the tokens.
    pub(crate) position: Tensor,
    /// The trunk.
    pub layers: Vec<Layer>,
    /// After the trunk.
    pub(crate) norm_out: RmsNorm,
    /// From a token to `merge`×`merge` cells.
    pub(crate) merge_out: Linear,
    /// The block of the head.
    pub(crate) head_block: CellBlock,
    /// Before the last product.
    pub(crate) head_norm: RmsNorm,
    /// From a cell to its prediction.
    pub(crate) head_out: Linear,
    /// From the noised latent straight to the prediction.
    pub(crate) skip: Linear,
    /// Reward and end, of a network with that head.
    pub(crate) outcome: Option<OutcomeHead>,
    /// What turns recalled frames into tokens, of a network with a memory.
    pub(crate) memory: Option<MemoryEncoder>,
}

impl Layer {
    /// Builds the layer with this index.
    fn new(p: &Params, d: &DynamicsConfig, index: usize) -> Result<Self> {
        let name = |part: &str| format!("layers.{index}.{part}");
        let attention =
            |part: &str, pattern| AttentionLayer::new(p, &name(part), d.width, d.heads, pattern);
        let time = AttentionPattern::Time {
            frames: d.context,
            window: d.context,
        };
        let has_time = d.has_time(index);
        let delta = || DeltaLayer::new(p, &name("state"), d.width, d.heads);
        let recall = || RecallLayer::new(p, &name("memory"), d.width, d.heads);
        Ok(Self {
            space: attention("space", AttentionPattern::Space)?,
            delta: (has_time && d.delta_state).then(delta).transpose()?,
            time: has_time.then(|| attention("time", time)).transpose()?,
            recall: (has_time && d.memory.is_some()).then(recall).transpose()?,
            mlp: MlpLayer::new(p, &name("mlp"), d.width, d.mlp)?,
        })
    }
}

impl Dynamics {
    /// Builds the network for a configuration.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(p: &Params, config: &WorldConfig) -> Result<Self> {
        let (d, c) = (&config.dynamics, config.tokenizer.channels);
        let stem_channels = (1 + d.stem_frames) * c;
        let merged_width = d.merge * d.merge * d.stem_width;
        let layers = (0..d.depth).map(|i| Layer::new(p, d, i));
        let layers = layers.collect::<Result<_>>()?;
        Ok(Self {
            grid: config.grid(),
            merge: d.merge,
            channels: c,
            window: d.context,
            last_time_layer: d.last_time_layer().unwrap_or(0),
            precision: p.precision(),
            stem_conditions: ConditionEmbeddings::new(p, "stem", config, d.stem_width)?,
            stem_in: p.get(
                "stem.conv.weight",
                &[d.stem_width, 9 * stem_channels],
                Init::FanIn,
            )?,
            stem_block: CellBlock::new(p, "stem.block", d.stem_width)?,
            merge_in: Linear::new(p, "merge", [d.width, merged_width], Init::FanIn, false)?,
            conditions: ConditionEmbeddings::new(p, "token", config, d.width)?,
            position: p.get("position", &[config.tokens(), d.width], Init::Normal(0.5))?,
            layers,
            norm_out: RmsNorm::new(p, "norm", d.width)?,
            merge_out: Linear::new(
                p,
                "unmerge",
                [merged_width, d.width],
                Init::Normal(0.5 / (d.width as f32).sqrt()),
                false,
            )?,
            head_block: CellBlock::new(p, "head.block", d.stem_width)?,
            head_norm: RmsNorm::new(p, "head.norm", d.stem_width)?,
            head_out: Linear::new(p, "head.out", [c, d.stem_width], Init::Constant(0.0), true)?,
            skip: Linear::new(p, "skip", [c, stem_channels], Init::Constant(0.0), false)?,
            outcome: match d.outcome {
                0 => None,
                _ => Some(OutcomeHead::new(p, d)?),
            },
            memory: match &d.memory {
                None => None,
                Some(_) => Some(MemoryEncoder::new(p, config)?),
            },
        })
    }

    /// The time attention pattern over `frames` time steps.
    pub fn time_pattern(&self, frames: usize) -> AttentionPattern {
        AttentionPattern::Time {
            frames,
            window: self.window,
        }
    }

    /// Predicts the frames from `first` on, and the outcomes of the frames before. `time` is the
    /// pattern of time attention.
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn forward(
        &self,
        input: &DynamicsInput,
        time: AttentionPattern,
        first: usize,
    ) -> Result<DynamicsOutput> {
        let (mut latents, mut cells, mut x) = self.stem(input)?;
        let memory = self.memory_tokens(input.memory.as_ref())?;
        let mut outcome = None;
        // After the last time attention, the frames before `first` are no longer needed.
        let narrow = |x: &Tensor| x.narrow(1, first, x.dim(1)? - first)?.contiguous();
        for (i, layer) in self.layers.iter().enumerate() {
            x = layer.space.forward(&x, AttentionPattern::Space)?;
            if let (Some(delta), AttentionPattern::Time { frames, .. }) = (&layer.delta, time) {
                (x, _) = delta.forward(&x, frames, None)?;
            }
            if let Some(attention) = &layer.time {
                x = attention.forward(&x, time)?;
            }
            if first > 0 && i == self.last_time_layer {
                outcome = self.predict_outcome(&x.narrow(1, 0, first)?)?;
                (latents, cells, x) = (narrow(&latents)?, narrow(&cells)?, narrow(&x)?);
            }
            if let (Some(recall), Some(memory)) = (&layer.recall, &memory) {
                x = recall.forward(&x, memory)?;
            }
            x = layer.mlp.forward(&x)?;
        }
        Ok(DynamicsOutput {
            prediction: self.head(&latents, &cells, &x)?,
            outcome,
        })
    }

    /// The tokens of recalled frames; `None` if there are none or the network has no memory.
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn memory_tokens(&self, memory: Option<&MemoryInput>) -> Result<Option<MemoryTokens>> {
        match (&self.memory, memory) {
            (Some(encoder), Some(memory)) => Ok(Some(encoder.forward(memory)?)),
            _ => Ok(None),
        }
    }

    /// The device of the network's weights.
    pub fn device(&self) -> &Device {
        self.position.device()
    }

    /// Predicts the outcomes of frames, as in [`DynamicsOutput::outcome`], from their tokens
    /// [B, F, S, w] after the last time attention.
    pub fn predict_outcome(&self, tokens: &Tensor) -> Result<Option<Tensor>> {
        let Some(head) = &self.outcome else {
            return Ok(None);
        };
        let signal_token = self.grid[0] * self.grid[1] / (self.merge * self.merge) + 1;
        let signal = tokens.narrow(2, signal_token, 1)?.squeeze(2)?;
        Ok(Some(head.forward(&signal)?))
    }

    /// Everything before the trunk. Returns (latents with past [B, F, gh, gw, (1 + stem_frames)·c],
    /// stem features [B, F, gh, gw, stem_width], tokens [B, F, S, w]).
    pub fn stem(&self, input: &DynamicsInput) -> Result<(Tensor, Tensor, Tensor)> {
        let (b, f) = input.actions.indices.dims2()?;
        let ([gh, gw], m) = (self.grid, self.merge);
        if input.latents.dims() != [b, f, gh, gw, self.channels] {
            return Err(Error::Shape(format!(
                "latents are {:?}, expected {:?}",
                input.latents.dims(),
                [b, f, gh, gw, self.channels]
            )));
        }
        let latents =
            Tensor::cat(&[&input.latents, &input.past], 4)?.reshape((b * f, gh, gw, ()))?;
        let (action, signal) = self.stem_conditions.forward(input)?;
        let condition = (action + signal)?.reshape((b * f, 1, 1, ()))?;
        let cells = self
            .precision
            .conv3x3(&latents, &self.stem_in)?
            .broadcast_add(&condition)?;
        let cells = self.stem_block.forward(&cells)?;
        // [B·F, gh/m, m, gw/m, m, sw] → [B, F, tokens, m·m·sw]
        let merged = cells
            .reshape(vec![b * f, gh / m, m, gw / m, m, cells.dim(3)?])?
            .permute(vec![0, 1, 3, 2, 4, 5])?
            .reshape((b, f, gh * gw / (m * m), ()))?;
        let latent_tokens = self.merge_in.forward(&merged)?;
        let (action, signal) = self.conditions.forward(input)?;
        let register_count = self.position.dim(0)? - latent_tokens.dim(2)? - 2;
        let shape = (b, f, register_count, latent_tokens.dim(3)?);
        let registers = Tensor::zeros(shape, DType::F32, latent_tokens.device())?;
        let tokens = Tensor::cat(
            &[
                &latent_tokens,
                &action.unsqueeze(2)?,
                &signal.unsqueeze(2)?,
                &registers,
            ],
            2,
        )?;
        let grid = |x: Tensor| x.reshape((b, f, gh, gw, ()));
        Ok((
            grid(latents)?,
            grid(cells)?,
            tokens.broadcast_add(&self.position)?,
        ))
    }

    /// Everything after the trunk: maps tokens [B, F, S, w] to the prediction [B, F, gh, gw, c].
    /// `latents` and `cells` are from [`Self::stem`].
    pub fn head(&self, latents: &Tensor, cells: &Tensor, tokens: &Tensor) -> Result<Tensor> {
        let (b, f, _, _) = tokens.dims4()?;
        let ([gh, gw], m) = (self.grid, self.merge);
        let latent_tokens = tokens.narrow(2, 0, gh * gw / (m * m))?.contiguous()?;
        let merged = self
            .merge_out
            .forward(&self.norm_out.forward(&latent_tokens)?)?;
        // [B·F, gh/m, gw/m, m, m, sw] → [B·F, gh, gw, sw]
        let cells = cells.reshape((b * f, gh, gw, ()))?;
        let latents = latents.reshape((b * f, gh, gw, ()))?;
        let unmerged = merged
            .reshape(vec![b * f, gh / m, gw / m, m, m, cells.dim(3)?])?
            .permute(vec![0, 1, 3, 2, 4, 5])?
            .reshape((b * f, gh, gw, ()))?;
        let h = self.head_block.forward(&(cells + unmerged)?)?;
        let x = self.head_out.forward(&self.head_norm.forward(&h)?)?;
        Ok((x + self.skip.forward(&latents)?)?.reshape((b, f, gh, gw, self.channels))?)
    }
}
