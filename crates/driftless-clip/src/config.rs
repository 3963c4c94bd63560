//! `clip.json`: what is known of a clip network.

use std::path::Path;

use serde::{Deserialize, Serialize};

use driftless_data::PathError as _;
use driftless_data::fs::read_text;
pub use driftless_data::layout::checkpoint::{CLIP_ACTION_WEIGHTS, CLIP_CONFIG, CLIP_WEIGHTS};
use driftless_model::config::WorldConfig;

use crate::Result;
use crate::text_encoder::TextEncoderInfo;
use crate::vocabulary::MAX_WORDS;

/// The version of `clip.json`.
pub const FORMAT_VERSION: u32 = 2;

/// Numbers of steps for which a network learns shortcuts: K steps of size 1/K.
pub const SHORTCUT_STEPS: [usize; 3] = [4, 8, 16];
/// Frames of the clip that the schedule's shift is given for; see [`ClipConfig::shift`].
const SHIFT_FRAMES: f64 = 16.0;
/// Cosine features of a frame's place in its clip.
pub const PLACE_FEATURES: usize = 8;
/// Most frames of a clip.
const MAX_FRAMES: usize = 128;

/// The configuration of a clip network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipConfig {
    /// [`FORMAT_VERSION`].
    pub format: u32,
    /// Lengths in frames that it was trained on, shortest first.
    pub lengths: Vec<usize>,
    /// Cells of the world's latents: rows and columns.
    pub grid: [usize; 2],
    /// Numbers of a cell.
    pub channels: usize,
    /// Actions of the world, one of which the network predicts for each frame; 0 if it knows none.
    #[serde(default)]
    pub actions: usize,
    /// Shape of the network.
    pub network: ClipShape,
    /// Shape of the network that plans the actions before the frames are made; without it, actions and frames
    /// are decided together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action_network: Option<ClipShape>,
    /// How it is sampled unless someone says otherwise.
    pub sampling: ClipSampling,
    /// Prompts to try.
    #[serde(default)]
    pub examples: Vec<String>,
    /// The text encoder that reads its prompts; without one, it has its own vocabulary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text_encoder: Option<TextEncoderInfo>,
    /// The words it knows, in the order of their embeddings.
    pub vocabulary: Vec<String>,
}

/// The shape of a clip network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipShape {
    /// Side of the square of cells that is one token.
    pub merge: usize,
    /// Numbers of a token.
    pub width: usize,
    /// Blocks of self-attention, cross-attention and MLP.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden width of an MLP.
    pub mlp: usize,
    /// Blocks that refine the words before the clip reads them.
    pub text_blocks: usize,
    /// Most words of a prompt.
    pub text_words: usize,
}

impl Default for ClipShape {
    fn default() -> Self {
        Self {
            merge: 2,
            width: 192,
            depth: 5,
            heads: 4,
            mlp: 512,
            text_blocks: 2,
            text_words: 32,
        }
    }
}

/// How clips are sampled by default.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipSampling {
    /// Sampling steps.
    pub steps: usize,
    /// x̂ = x̂(negative) + guidance · (x̂(prompt) − x̂(negative)): 1 is the prompt alone.
    pub guidance: f64,
    /// Shift of the schedule of 16 frames: above 1 the steps are denser near the noise. The network was
    /// trained with it.
    pub shift: f64,
    /// The share of the attention between blocks of tokens that is computed, from 0 to 1
    /// ([`crate::ClipNetwork::forward_sparse`]): less is faster for long clips. 1 is all.
    #[serde(default = "whole", skip_serializing_if = "is_whole")]
    pub attention_mass: f64,
}

pub(crate) fn whole() -> f64 {
    1.0
}

/// Whether attention is full; readers from before know no other.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
pub(crate) fn is_whole(mass: &f64) -> bool {
    *mass == 1.0
}

impl Default for ClipSampling {
    fn default() -> Self {
        Self {
            steps: 20,
            guidance: 3.0,
            shift: 3.0,
            attention_mass: whole(),
        }
    }
}

impl ClipConfig {
    /// Reads `clip.json`.
    ///
    /// # Errors
    /// Returns an error if the file is missing, not JSON of this form, or if a value is out of its range.
    pub fn read(path: &Path) -> Result<Self> {
        let wrong = |what: String| driftless_data::Error::invalid(path, what);
        let config: Self =
            serde_json::from_str(&read_text(path)?).map_err(|e| wrong(e.to_string()))?;
        config.check().map_err(wrong)?;
        Ok(config)
    }

    /// Checks that the network fits the latents of a world.
    ///
    /// # Errors
    /// Returns an error that names `path` if it does not.
    pub fn check_world(&self, world: &WorldConfig, path: &Path) -> Result<()> {
        let (grid, channels) = (world.grid(), world.tokenizer.channels);
        let actions = world.actions.len();
        let what = if (self.grid, self.channels) != (grid, channels) {
            format!(
                "is for latents of {:?} cells with {} numbers, expected {grid:?} with {channels} as in the world's config.json",
                self.grid, self.channels
            )
        } else if ![0, actions].contains(&self.actions) {
            format!(
                "is for {} actions, expected {actions} as in the world's config.json",
                self.actions
            )
        } else {
            return Ok(());
        };
        Err(driftless_data::Error::invalid(path, what).into())
    }

    /// Checks all values; the error names the key and what was expected.
    ///
    /// # Errors
    /// Returns an error if a value is out of its range.
    pub fn check(&self) -> std::result::Result<(), String> {
        let n = &self.network;
        let within = |value: usize, most: usize| (1..=most).contains(&value);
        let merges = within(n.merge, 8) && self.grid.iter().all(|cells| cells % n.merge == 0);
        let heads = within(n.heads, 64) && n.width.is_multiple_of(2 * n.heads);
        let s = &self.sampling;
        let rules = [
            ("format", self.format == FORMAT_VERSION, "2"),
            ("lengths", are_lengths(&self.lengths), LENGTHS_EXPECTED),
            (
                "grid",
                self.grid.iter().all(|&cells| within(cells, 64)),
                "1 to 64 cells a side",
            ),
            ("channels", within(self.channels, 1024), "1 to 1024"),
            ("actions", self.actions <= 1024, "0 to 1024"),
            (
                "network.merge",
                merges,
                "1 to 8, a divisor of both sides of the grid",
            ),
            ("network.width", within(n.width, 2048), "1 to 2048"),
            ("network.depth", within(n.depth, 64), "1 to 64"),
            (
                "network.heads",
                heads,
                "1 to 64, with an even share of the width for each",
            ),
            ("network.mlp", within(n.mlp, 8192), "1 to 8192"),
            ("network.text_blocks", n.text_blocks <= 16, "0 to 16"),
            (
                "network.text_words",
                within(n.text_words, MAX_WORDS),
                "1 to 64",
            ),
            ("sampling.steps", within(s.steps, 1000), "1 to 1000"),
            (
                "sampling.guidance",
                (0.0..=20.0).contains(&s.guidance),
                "0 to 20",
            ),
            (
                "sampling.shift",
                (0.1..=20.0).contains(&s.shift),
                "0.1 to 20",
            ),
            (
                "sampling.attention_mass",
                (0.0..=1.0).contains(&s.attention_mass),
                "0 to 1",
            ),
            (
                "text_encoder.width",
                self.text_encoder
                    .as_ref()
                    .is_none_or(|e| within(e.width, 4096)),
                "1 to 4096",
            ),
            (
                "vocabulary",
                self.vocabulary.len() <= 100_000,
                "100,000 words at most",
            ),
        ];
        if let Some((key, _, expected)) = rules.iter().find(|(_, valid, _)| !valid) {
            return Err(format!("{key} is out of its range, expected {expected}"));
        }
        match self.of_actions() {
            Some(actions) => actions
                .check()
                .map_err(|what| format!("of the action network, {what}")),
            None => Ok(()),
        }
    }

    /// The configuration of the network that plans actions: a clip network whose frames are the numbers of one
    /// action each ([`crate::actions`]).
    pub fn of_actions(&self) -> Option<Self> {
        Some(Self {
            grid: [1, 1],
            channels: self.actions,
            actions: 0,
            network: self.action_network.clone()?,
            action_network: None,
            examples: Vec::new(),
            ..self.clone()
        })
    }

    /// Tokens of a frame: rows and columns.
    pub fn token_grid(&self) -> [usize; 2] {
        self.grid.map(|cells| cells / self.network.merge)
    }

    /// Numbers of a token's latent.
    pub fn token_len(&self) -> usize {
        self.network.merge * self.network.merge * self.channels
    }

    /// Numbers that a token is made from; see `ClipNetwork::token_inputs`.
    pub fn token_inputs(&self) -> usize {
        4 * self.token_len() + 3 + self.actions + PLACE_FEATURES
    }

    /// Numbers of a frame's latent.
    pub fn frame_len(&self) -> usize {
        self.grid[0] * self.grid[1] * self.channels
    }

    /// Numbers of a frame as the network sees it: its latent, then its action.
    pub fn frame_numbers(&self) -> usize {
        self.frame_len() + self.actions
    }

    /// The shift of the schedule for a clip of so many frames. A longer clip says the same more often, so
    /// that its noise has to be larger for the same uncertainty: the shift grows with the square root of
    /// the length (Esser et al., arXiv 2403.03206, eq. 23).
    pub fn shift(&self, frames: usize) -> f64 {
        self.sampling.shift * (frames as f64 / SHIFT_FRAMES).sqrt()
    }
}

/// What [`are_lengths`] accepts, in words.
pub const LENGTHS_EXPECTED: &str = "increasing numbers from 1 to 128";

/// Whether a network can be trained on clips of these lengths in frames.
pub fn are_lengths(lengths: &[usize]) -> bool {
    let within = |frames: &usize| (1..=MAX_FRAMES).contains(frames);
    !lengths.is_empty() && lengths.is_sorted_by(|a, b| a < b) && lengths.iter().all(within)
}

/// The embedding of a number of steps: 0 for small ones, otherwise that of the shortcut.
pub fn step_index(steps: usize) -> u32 {
    let place = SHORTCUT_STEPS.iter().position(|&known| known == steps);
    place.map_or(0, |place| place as u32 + 1)
}
