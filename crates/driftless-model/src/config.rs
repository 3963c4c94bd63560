//! `config.json`: everything needed to rebuild the networks and to play the world.

use std::path::Path;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_data::{ActionSpec, DatasetInfo};
use driftless_flow::objective::Objective;
use driftless_flow::path::Path as FlowPath;
use driftless_flow::prediction::Prediction;

/// The checkpoint format that this version writes and reads.
pub const FORMAT_VERSION: u32 = 1;

/// A world: its networks' shapes, its actions and its pace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorldConfig {
    /// Format version, [`FORMAT_VERSION`].
    pub format: u32,
    /// The world's name as shown to the player.
    pub name: String,
    /// Frames a second at which the real world ran.
    pub fps: f32,
    /// Frame height and width in pixels.
    pub image: [usize; 2],
    /// The discrete actions; index 0 is the idle action.
    pub actions: Vec<ActionSpec>,
    /// The tokenizer's shape.
    pub tokenizer: TokenizerConfig,
    /// The dynamics' shape.
    pub dynamics: DynamicsConfig,
    /// What the dynamics puts out, and on which path it was trained.
    #[serde(default)]
    pub flow: FlowConfig,
}

/// What the dynamics puts out, and on which path it was trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FlowConfig {
    /// `x`, `v` or `eps`.
    #[serde(deserialize_with = "trained_prediction")]
    pub prediction: Prediction,
    /// `linear` or `cosine`.
    #[serde(deserialize_with = "trained_path")]
    pub path: FlowPath,
}

/// A prediction that a file names, of those that a dynamics can be trained on.
pub fn trained_prediction<'de, D: Deserializer<'de>>(
    file: D,
) -> std::result::Result<Prediction, D::Error> {
    let name = String::deserialize(file)?;
    let known = [Prediction::X, Prediction::V, Prediction::Eps];
    known.into_iter().find(|p| p.name() == name).ok_or_else(|| {
        D::Error::custom(format!(
            "unknown prediction `{name}`, expected `x`, `v` or `eps`"
        ))
    })
}

/// A path that a file names, of those that a dynamics can be trained on.
pub fn trained_path<'de, D: Deserializer<'de>>(file: D) -> std::result::Result<FlowPath, D::Error> {
    match String::deserialize(file)?.as_str() {
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
        }
    }
}

impl FlowConfig {
    /// The lowest signal level that the network is asked at. What predicts ε says nothing about x
    /// in pure noise (α = 0), so it is trained and asked from a level on where a little data is in.
    pub fn least_level(self) -> f64 {
        match self.prediction {
            Prediction::Eps => 1.0 / 32.0,
            _ => 0.0,
        }
    }

    /// The objective that makes such a network, with the loss taken in `space`.
    pub fn objective(self, space: Prediction) -> Objective {
        Objective {
            path: self.path,
            prediction: self.prediction,
            space,
        }
    }

    /// Whether a dynamics can be trained and played like this.
    ///
    /// # Errors
    /// Names the key and what was expected.
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

/// The tokenizer: `patch`×`patch` pixels become one cell of `channels` numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerConfig {
    /// Side of a patch in pixels; divides the frame's sides.
    pub patch: usize,
    /// Hidden width.
    pub width: usize,
    /// Hidden width of the SwiGLU between pixels and cells, on either side.
    pub hidden: usize,
    /// Residual 3×3 blocks in the encoder, and as many in the decoder.
    pub blocks: usize,
    /// Channels of a latent cell.
    pub channels: usize,
}

/// The dynamics transformer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicsConfig {
    /// Latent cells along a side that form one token (2: a token is 2×2 cells).
    pub merge: usize,
    /// Width of the 3×3 stem and head that work on single cells.
    pub stem_width: usize,
    /// Earlier frames that the stem sees beside the current one.
    pub stem_frames: usize,
    /// Token width.
    pub width: usize,
    /// Transformer layers.
    pub depth: usize,
    /// Attention heads; divides `width`.
    pub heads: usize,
    /// Hidden width of the SwiGLU.
    pub mlp: usize,
    /// Every n-th layer attends over time.
    pub time_every: usize,
    /// Frames that time attention sees, the current one included.
    pub context: usize,
    /// Register tokens a frame.
    pub registers: usize,
    /// The finest step of shortcut forcing is 1/`k_max`; a power of two.
    pub k_max: usize,
    /// Whether the network also knows frames whose action nobody knows: what action guidance and
    /// training on unlabelled video need.
    #[serde(default)]
    pub unknown_action: bool,
    /// Hidden width of the head that predicts reward and end of an episode; 0: no such head.
    #[serde(default)]
    pub outcome: usize,
}

/// The shape of the shipped worlds.
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

/// The shape of the shipped worlds.
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
        }
    }
}

impl WorldConfig {
    /// Latent cells along height and width.
    pub fn grid(&self) -> [usize; 2] {
        self.image.map(|side| side / self.tokenizer.patch)
    }

    /// Latent cells of a frame.
    pub fn cells(&self) -> usize {
        self.grid().iter().product()
    }

    /// Numbers in the latent of a frame.
    pub fn latent_len(&self) -> usize {
        self.cells() * self.tokenizer.channels
    }

    /// Latent tokens of a frame (cells merged).
    pub fn latent_tokens(&self) -> usize {
        self.cells() / (self.dynamics.merge * self.dynamics.merge)
    }

    /// Tokens of a frame: latent tokens, action, signal level with step size, registers.
    pub fn tokens(&self) -> usize {
        self.latent_tokens() + 2 + self.dynamics.registers
    }

    /// The index that stands for an action nobody knows, one behind the last; none where the
    /// network has not learned it.
    pub fn unknown_action(&self) -> Option<u32> {
        let known = u32::try_from(self.actions.len()).ok()?;
        self.dynamics.unknown_action.then_some(known)
    }

    /// Bytes of a frame, `H · W · 3`.
    pub fn image_len(&self) -> usize {
        self.image[0] * self.image[1] * 3
    }

    /// Reads and checks a `config.json`.
    ///
    /// # Errors
    /// The file is missing, not JSON, of another format version, or inconsistent in itself.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let config: Self =
            serde_json::from_str(&text).map_err(|e| Error::invalid(path, e.to_string()))?;
        config
            .check()
            .map_err(|what| Error::invalid(path, what.to_string()))?;
        Ok(config)
    }

    /// Whether the numbers fit each other.
    ///
    /// # Errors
    /// Names the first key that does not fit, and what was expected.
    pub fn check(&self) -> Result<()> {
        let (t, d) = (&self.tokenizer, &self.dynamics);
        let positive = [
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
        let fail = |what: String| Err(Error::Argument(what));
        if self.format != FORMAT_VERSION {
            return fail(format!(
                "format is {}, expected {FORMAT_VERSION}",
                self.format
            ));
        }
        for (key, value) in positive {
            if value == 0 || value > 65_536 {
                return fail(format!("{key} is {value}, expected 1 to 65536"));
            }
        }
        if !(self.fps > 0.0 && self.fps <= 1000.0) {
            return fail(format!(
                "fps is {}, expected above 0, at most 1000",
                self.fps
            ));
        }
        if self.actions.is_empty() {
            return fail("actions is empty, expected at least the idle action".into());
        }
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
        self.flow.check()?;
        if !d.k_max.is_power_of_two() || d.k_max > 1024 {
            return fail(format!(
                "dynamics.k_max is {}, expected a power of two up to 1024",
                d.k_max
            ));
        }
        if d.outcome > 65_536 {
            return fail(format!(
                "dynamics.outcome is {}, expected 0 to 65536",
                d.outcome
            ));
        }
        if d.stem_frames >= d.context {
            return fail(format!(
                "dynamics.stem_frames is {}, expected less than dynamics.context = {}",
                d.stem_frames, d.context
            ));
        }
        Ok(())
    }
}
