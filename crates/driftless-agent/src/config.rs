//! `agent.json`: what is known of an agent.

use std::path::Path;

use serde::{Deserialize, Serialize};

use driftless_data::PathError as _;
use driftless_data::fs::read_text;
pub use driftless_data::layout::checkpoint::{AGENT_CONFIG, AGENT_WEIGHTS};
use driftless_model::config::WorldConfig;

use crate::{FeatureShape, Result, TwoHot};

/// The version of `agent.json`.
pub const FORMAT_VERSION: u32 = 1;

/// Most distances that a policy predicts actions for.
pub const MAX_DISTANCES: usize = 32;

/// The configuration of an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentConfig {
    /// [`FORMAT_VERSION`].
    pub format: u32,
    /// What it sees.
    pub features: FeatureShape,
    /// Actions of the world.
    pub actions: usize,
    /// Hidden width of the heads.
    pub hidden: usize,
    /// How many of the next actions the policy was trained to predict. The first is the one that it plays.
    pub distances: usize,
    /// Bins of the reward.
    pub reward: TwoHot,
    /// Bins of the value.
    pub value: TwoHot,
    /// γ, by which a reward counts less for each frame that it is away.
    pub discount: f32,
    /// Frames of a rollout that it learned from in the dream, H; 0 if it only cloned recorded play.
    #[serde(default)]
    pub horizon: usize,
}

impl AgentConfig {
    /// Reads `agent.json` of a checkpoint.
    ///
    /// # Errors
    /// Returns an error if the file is missing, not JSON of this form, or if a value is out of its range.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(AGENT_CONFIG);
        let wrong = |what: String| driftless_data::Error::invalid(&path, what);
        let config: Self =
            serde_json::from_str(&read_text(&path)?).map_err(|e| wrong(e.to_string()))?;
        config.check().map_err(wrong)?;
        Ok(config)
    }

    /// Checks that the agent is of a world.
    ///
    /// # Errors
    /// Returns an error that names the file in `folder` if it is of another.
    pub fn check_world(&self, world: &WorldConfig, folder: &Path) -> Result<()> {
        let features = FeatureShape::of_world(world, self.features.pooling);
        let what = if self.features != features {
            format!(
                "is for {} tokens of {} numbers, expected {} of {} as in the world's config.json",
                self.features.latent_tokens,
                self.features.width,
                features.latent_tokens,
                features.width
            )
        } else if self.actions != world.actions.len() {
            format!(
                "is for {} actions, expected {} as in the world's config.json",
                self.actions,
                world.actions.len()
            )
        } else if !world.axes.is_empty() {
            "is of a world with axes, expected one with discrete actions only: agents move no axes"
                .to_owned()
        } else {
            return Ok(());
        };
        Err(driftless_data::Error::invalid(folder.join(AGENT_CONFIG), what).into())
    }

    /// Checks all values; the error names the key and what was expected.
    ///
    /// # Errors
    /// Returns an error if a value is out of its range.
    pub fn check(&self) -> std::result::Result<(), String> {
        let within = |value: usize, most: usize| (1..=most).contains(&value);
        let f = &self.features;
        let features = within(f.latent_tokens, 1 << 16) && within(f.width, 1 << 14);
        let rules = [
            ("format", self.format == FORMAT_VERSION, "1"),
            (
                "features",
                features && f.registers <= 1024,
                "those of a world",
            ),
            ("actions", within(self.actions, 1 << 16), "1 to 65536"),
            ("hidden", within(self.hidden, 4096), "1 to 4096"),
            (
                "distances",
                within(self.distances, MAX_DISTANCES),
                "1 to 32",
            ),
            (
                "discount",
                (0.0..1.0).contains(&self.discount),
                "0 to below 1",
            ),
        ];
        if let Some((key, _, expected)) = rules.iter().find(|(_, valid, _)| !valid) {
            return Err(format!("{key} is out of its range, expected {expected}"));
        }
        self.reward
            .check()
            .map_err(|what| format!("reward: {what}"))?;
        self.value.check().map_err(|what| format!("value: {what}"))
    }
}
