//! `config.json`: the shapes of a world's networks, its actions and its frame rate.

mod memory;
mod sampling;

pub use memory::MemoryConfig;
pub use sampling::SamplingConfig;

use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use driftless_data::{ActionSpec, AxisSpec, DatasetInfo, PathError as _, check_axes};
use driftless_flow::objective::Objective;
use driftless_flow::path::Path as FlowPath;
use driftless_flow::prediction::Prediction;

use crate::{Error, Result};

/// The checkpoint format that this version writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// Configuration of a learned world, the contents of `config.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldConfig {
    /// Format version, [`FORMAT_VERSION`].
    pub format: u32,
    /// The world's name as shown to the player.
    pub name: String,
    /// Frame rate in frames per second, as of the training data.
    pub fps: f32,
    /// Frame height and width in pixels.
    pub image: [usize; 2],
    /// The discrete actions; index 0 is the idle action.
    pub actions: Vec<ActionSpec>,
    /// The axes, which move while any action is played.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub axes: Vec<AxisSpec>,
    /// Shape of the tokenizer.
    pub tokenizer: TokenizerConfig,
    /// Shape of the dynamics.
    pub dynamics: DynamicsConfig,
    /// What the dynamics predicts, and the path it was trained on.
    #[serde(default)]
    pub flow: FlowConfig,
    /// How the world is sampled unless a player says otherwise.
    #[serde(default, skip_serializing_if = "SamplingConfig::is_default")]
    pub sampling: SamplingConfig,
}

/// What the dynamics puts out, and on which path it was trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlowConfig {
    /// `x`, `v` or `eps`.
    #[serde(deserialize_with = "deserialize_prediction")]
    pub prediction: Prediction,
    /// `linear` or `cosine`.
    #[serde(deserialize_with = "deserialize_path")]
    pub path: FlowPath,
}

/// Deserializes the name of a prediction that a dynamics can be trained on.
pub fn deserialize_prediction<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<Prediction, D::Error> {
    let name = String::deserialize(deserializer)?;
    let known = [Prediction::X, Prediction::V, Prediction::Eps];
    known.into_iter().find(|p| p.name() == name).ok_or_else(|| {
        D::Error::custom(format!(
            "unknown prediction `{name}`, expected `x`, `v` or `eps`"
        ))
    })
}

/// Deserializes the name of a path that a dynamics can be trained on.
pub fn deserialize_path<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> std::result::Result<FlowPath, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "linear" => Ok(FlowPath::Linear),
        "cosine" => Ok(FlowPath::Cosine),
        name => Err(D::Error::custom(format!(
            "unknown path `{name}`, expected `linear` or `cosine`"
        ))),
    }
}

impl From<&WorldConfig> for DatasetInfo {
    /// What a learned world shares with the dataset that it was trained on.
    fn from(world: &WorldConfig) -> Self {
        Self {
            name: world.name.clone(),
            fps: world.fps,
            image: world.image,
            actions: world.actions.clone(),
            axes: world.axes.clone(),
        }
    }
}

impl FlowConfig {
    /// The lowest signal level at which the network is trained and evaluated. An ε-prediction says
    /// nothing about x in pure noise (α = 0), so it starts at a level that contains some data.
    pub fn min_signal_level(self) -> f64 {
        match self.prediction {
            Prediction::Eps => 1.0 / 32.0,
            _ => 0.0,
        }
    }

    /// The training objective of such a network, with the loss computed in `space`.
    pub fn objective(self, space: Prediction) -> Objective {
        Objective {
            path: self.path,
            prediction: self.prediction,
            space,
        }
    }

    /// Checks that a dynamics can be trained and sampled with these values.
    ///
    /// # Errors
    /// Returns an error that names the key and what was expected.
    pub fn check(self) -> Result<()> {
        if self.prediction == Prediction::Score {
            return Err(Error::Argument(
                "prediction is score, expected x, v or eps (the score is unbounded at τ → 1)"
                    .into(),
            ));
        }
        if matches!(self.path, FlowPath::Exploding { .. }) {
            return Err(Error::Argument(
                "path is exploding, expected linear or cosine (a frame starts from pure noise)"
                    .into(),
            ));
        }
        Ok(())
    }
}

/// Shape of the tokenizer: `patch`×`patch` pixels become one latent cell of `channels` values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerConfig {
    /// Side of a patch in pixels; divides the frame's height and width.
    pub patch: usize,
    /// Hidden width.
    pub width: usize,
    /// Hidden width of the SwiGLUs between pixels and cells, in encoder and decoder.
    pub hidden: usize,
    /// Residual 3×3 blocks in the encoder, and the same number in the decoder.
    pub blocks: usize,
    /// Channels of a latent cell.
    pub channels: usize,
}

/// Shape of the dynamics transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicsConfig {
    /// Side of a token in latent cells (2: a token is 2×2 cells).
    pub merge: usize,
    /// Width of the convolutional stem and head, which work on single cells.
    pub stem_width: usize,
    /// Number of previous frames in the stem's input.
    pub stem_frames: usize,
    /// Token width.
    pub width: usize,
    /// Transformer layers.
    pub depth: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Hidden width of the SwiGLU.
    pub mlp: usize,
    /// Every n-th layer has time attention.
    pub time_every: usize,
    /// Window of time attention in frames, including the current one.
    pub context: usize,
    /// Register tokens per frame.
    pub registers: usize,
    /// The finest step of shortcut forcing is 1/`k_max`; a power of two.
    pub k_max: usize,
    /// Whether there is an embedding for an unknown action, as needed for action guidance and for
    /// training on unlabelled video.
    #[serde(default)]
    pub unknown_action: bool,
    /// Hidden width of the head that predicts reward and end of episode; 0 for no head.
    #[serde(default)]
    pub outcome: usize,
    /// Long-term memory; without it the network sees the `context` frames only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryConfig>,
    /// Long-term memory without poses: a state of fixed size before each time attention, see
    /// [`DeltaLayer`](crate::memory::DeltaLayer).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub delta_state: bool,
}

/// The shape of the included worlds.
impl Default for TokenizerConfig {
    fn default() -> Self {
        Self {
            patch: 8,
            width: 64,
            hidden: 128,
            blocks: 2,
            channels: 8,
        }
    }
}

/// The shape of the included worlds.
impl Default for DynamicsConfig {
    fn default() -> Self {
        Self {
            merge: 2,
            stem_width: 64,
            stem_frames: 2,
            width: 128,
            depth: 4,
            heads: 4,
            mlp: 256,
            time_every: 2,
            context: 12,
            registers: 2,
            k_max: 8,
            unknown_action: true,
            outcome: 64,
            memory: None,
            delta_state: false,
        }
    }
}

impl DynamicsConfig {
    /// Whether a layer has time attention.
    pub fn has_time(&self, layer: usize) -> bool {
        (layer + 1).is_multiple_of(self.time_every)
    }

    /// Whether the network knows of frames that left its context.
    pub fn remembers(&self) -> bool {
        self.memory.is_some() || self.delta_state
    }

    /// Outputs of the outcome head: reward and end of episode and, with a memory, the camera's motion.
    pub fn outcome_outputs(&self) -> usize {
        if self.memory.is_some() { 5 } else { 2 }
    }

    /// The last layer with time attention. Context frames are needed up to this layer, and outcomes are
    /// predicted after it; without one, in the first layer.
    pub fn last_time_layer(&self) -> Option<usize> {
        (0..self.depth).rfind(|layer| self.has_time(*layer))
    }
}

/// The most weights of one kind of layer: 16 GiB of f32.
const MAX_WEIGHTS: u64 = 1 << 32;

impl WorldConfig {
    /// Height and width of the latent grid in cells.
    pub fn grid(&self) -> [usize; 2] {
        self.image.map(|side| side / self.tokenizer.patch)
    }

    /// Latent cells per frame.
    pub fn cells(&self) -> usize {
        self.grid().iter().product()
    }

    /// Values in the latent of a frame.
    pub fn latent_len(&self) -> usize {
        self.cells() * self.tokenizer.channels
    }

    /// Latent tokens per frame (merged cells).
    pub fn latent_tokens(&self) -> usize {
        self.cells() / (self.dynamics.merge * self.dynamics.merge)
    }

    /// Tokens per frame: the latent tokens, one for the action, one for signal level and step size,
    /// and the registers.
    pub fn tokens(&self) -> usize {
        self.latent_tokens() + 2 + self.dynamics.registers
    }

    /// Numbers in the states of a world with [`DynamicsConfig::delta_state`]: a square matrix for each time
    /// layer, token and head. 0 without.
    pub fn delta_state_len(&self) -> usize {
        let d = &self.dynamics;
        if !d.delta_state {
            return 0;
        }
        let head = d.width / d.heads;
        (d.depth / d.time_every)
            .saturating_mul(self.tokens())
            .saturating_mul(d.width)
            .saturating_mul(head)
    }

    /// The index of the unknown action, one after the last action; `None` if the network has none.
    pub fn unknown_action(&self) -> Option<u32> {
        let known = u32::try_from(self.actions.len()).ok()?;
        self.dynamics.unknown_action.then_some(known)
    }

    /// Bytes per frame, `H · W · 3`.
    pub fn image_len(&self) -> usize {
        self.image[0] * self.image[1] * 3
    }

    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// Returns an error if the file is missing, not valid JSON, of another format version, or
    /// inconsistent.
    pub fn read(path: &Path) -> Result<Self> {
        let text = driftless_data::fs::read_text(path)?;
        let config: Self =
            serde_json::from_str(&text).map_err(|e| Error::invalid(path, e.to_string()))?;
        config
            .check()
            .map_err(|what| Error::invalid(path, what.to_string()))?;
        Ok(config)
    }

    /// Checks that the values are in range and consistent.
    ///
    /// # Errors
    /// Returns an error that names the first invalid key and what was expected.
    pub fn check(&self) -> Result<()> {
        if self.format != FORMAT_VERSION {
            return fail(format!(
                "format is {}, expected {FORMAT_VERSION}",
                self.format
            ));
        }
        self.check_sizes()?;
        if !(self.fps > 0.0 && self.fps <= 1000.0) {
            return fail(format!(
                "fps is {}, expected above 0, at most 1000",
                self.fps
            ));
        }
        if self.actions.is_empty() {
            return fail("actions is empty, expected at least the idle action".into());
        }
        check_axes(&self.axes).map_err(Error::Argument)?;
        self.check_multiples()?;
        self.flow.check()?;
        self.dynamics.check()?;
        if let Some(memory) = &self.dynamics.memory {
            memory.check(self)?;
        }
        self.check_delta_state()?;
        self.sampling.check(self.dynamics.k_max)
    }

    fn check_delta_state(&self) -> Result<()> {
        if self.dynamics.delta_state && self.dynamics.last_time_layer().is_none() {
            return fail(
                "dynamics.time_every is more than dynamics.depth, expected a layer with time attention, \
                 before which the state is read"
                    .into(),
            );
        }
        let bytes = self.delta_state_len().saturating_mul(size_of::<f32>());
        if bytes > MemoryConfig::MAX_BYTES {
            return fail(format!(
                "dynamics.delta_state takes {} MiB, expected at most {} MiB: more heads make it smaller",
                bytes >> 20,
                MemoryConfig::MAX_BYTES >> 20
            ));
        }
        Ok(())
    }

    fn check_sizes(&self) -> Result<()> {
        let (t, d) = (&self.tokenizer, &self.dynamics);
        let sizes = [
            ("image[0]", self.image[0]),
            ("image[1]", self.image[1]),
            ("tokenizer.patch", t.patch),
            ("tokenizer.width", t.width),
            ("tokenizer.hidden", t.hidden),
            ("tokenizer.channels", t.channels),
            ("dynamics.merge", d.merge),
            ("dynamics.stem_width", d.stem_width),
            ("dynamics.width", d.width),
            ("dynamics.depth", d.depth),
            ("dynamics.heads", d.heads),
            ("dynamics.mlp", d.mlp),
            ("dynamics.time_every", d.time_every),
            ("dynamics.context", d.context),
        ];
        for (key, value) in sizes {
            if value == 0 || value > 65_536 {
                return fail(format!("{key} is {value}, expected 1 to 65536"));
            }
        }
        for (key, value) in [
            ("tokenizer.blocks", t.blocks),
            ("dynamics.registers", d.registers),
        ] {
            if value > 65_536 {
                return fail(format!("{key} is {value}, expected 0 to 65536"));
            }
        }
        // None overflows: each factor is at most 2¹⁶.
        let weights = |blocks: usize, rows: usize, columns: usize| {
            blocks as u64 * rows as u64 * columns as u64
        };
        for (keys, count) in [
            (
                "tokenizer.blocks, width and hidden",
                weights(t.blocks, t.width, t.hidden),
            ),
            (
                "dynamics.depth, width and mlp",
                weights(d.depth, d.width, d.width.max(d.mlp)),
            ),
        ] {
            if count > MAX_WEIGHTS {
                return fail(format!(
                    "{keys} make {count} weights in one kind of layer, expected at most {MAX_WEIGHTS}"
                ));
            }
        }
        Ok(())
    }

    fn check_multiples(&self) -> Result<()> {
        let (t, d) = (&self.tokenizer, &self.dynamics);
        for (axis, side) in self.image.iter().enumerate() {
            if side % (t.patch * d.merge) != 0 {
                return fail(format!(
                    "image[{axis}] is {side}, expected a multiple of tokenizer.patch × dynamics.merge = {}",
                    t.patch * d.merge
                ));
            }
        }
        if d.width % d.heads != 0 {
            return fail(format!(
                "dynamics.width is {}, expected a multiple of dynamics.heads = {}",
                d.width, d.heads
            ));
        }
        Ok(())
    }
}

impl DynamicsConfig {
    fn check(&self) -> Result<()> {
        if !self.k_max.is_power_of_two() || self.k_max > 1024 {
            return fail(format!(
                "dynamics.k_max is {}, expected a power of two up to 1024",
                self.k_max
            ));
        }
        if self.outcome > 65_536 {
            return fail(format!(
                "dynamics.outcome is {}, expected 0 to 65536",
                self.outcome
            ));
        }
        if self.stem_frames >= self.context {
            return fail(format!(
                "dynamics.stem_frames is {}, expected less than dynamics.context = {}",
                self.stem_frames, self.context
            ));
        }
        Ok(())
    }
}

fn fail(what: String) -> Result<()> {
    Err(Error::Argument(what))
}
