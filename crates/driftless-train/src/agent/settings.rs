//! The settings of an agent's training: one TOML file with defaults.

use std::path::Path;

use serde::{Deserialize, Serialize};

use driftless_agent::Pooling;
use driftless_agent::config::MAX_DISTANCES;
use driftless_engine::MAX_STEPS;

use crate::Result;
use crate::settings::{OptimizerSettings, read_checked};

/// The settings of an agent run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentSettings {
    /// Seed of weights, batches, actions and dreams.
    pub seed: u64,
    /// Minutes between two saves.
    pub save_minutes: f64,
    /// Minutes between two preview pictures; 0 turns them off.
    pub preview_minutes: f64,
    /// Memory for frames and for their features, in GiB each; more goes into a file in the run's folder.
    pub memory_gib: f64,
    /// What becomes of the latent's tokens: their `mean`, or `all` one after another.
    pub features: Pooling,
    /// Hidden width of the heads.
    pub hidden: usize,
    /// How many of the next actions the cloned policy predicts.
    pub distances: usize,
    /// Bins of the reward; odd.
    pub reward_bins: usize,
    /// Bins of the value; odd.
    pub value_bins: usize,
    /// γ, by which a reward counts less for each frame that it is away.
    pub discount: f64,
    /// The first phase: recorded play.
    pub cloning: CloningSettings,
    /// The second phase: the dream.
    pub imagination: ImaginationSettings,
}

/// The first phase: the policy clones recorded play; reward and continuation are learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CloningSettings {
    /// Frames per step.
    pub batch_size: usize,
    /// Share of the episodes that are only measured on, for the log.
    pub held_out: f64,
    /// Optimizer and schedule.
    pub optimizer: OptimizerSettings,
}

/// The second phase: policy and value learn from rollouts in the dream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImaginationSettings {
    /// Rollouts per step, each after a recorded context.
    pub games: usize,
    /// Frames of a rollout, H.
    pub horizon: usize,
    /// Sampling steps of a frame, K.
    pub steps: usize,
    /// λ of the returns.
    pub lambda: f64,
    /// α of PMPO: how much the actions count that went well; the others count 1 − α.
    pub alpha: f64,
    /// β of PMPO: how much the divergence from the cloned policy counts.
    pub beta: f64,
    /// Decay of the averaged value that advantages are computed with.
    pub slow_decay: f64,
    /// κ: a reward is less by κ times what a dreamt frame's re-encoding error exceeds that of recorded ones by;
    /// 0 turns this off.
    pub penalty: f64,
    /// Optimizer and schedule.
    pub optimizer: OptimizerSettings,
}

impl Default for AgentSettings {
    fn default() -> Self {
        let optimizer = OptimizerSettings {
            steps: 6_000,
            learning_rate: 1e-3,
            muon_learning_rate: 0.0,
            warmup_steps: 100,
            decay_fraction: 0.5,
            weight_decay: 0.01,
            grad_clip: 1.0,
            ema_decay: 0.995,
        };
        Self {
            seed: 0,
            save_minutes: 5.0,
            preview_minutes: 15.0,
            memory_gib: 4.0,
            features: Pooling::Mean,
            hidden: 256,
            distances: 8,
            reward_bins: 63,
            value_bins: 127,
            discount: 0.98,
            cloning: CloningSettings {
                batch_size: 256,
                held_out: 0.05,
                optimizer: optimizer.clone(),
            },
            imagination: ImaginationSettings {
                games: 64,
                horizon: 16,
                steps: 2,
                lambda: 0.95,
                alpha: 0.5,
                beta: 0.3,
                slow_decay: 0.98,
                penalty: 0.0,
                optimizer: OptimizerSettings {
                    steps: 3_000,
                    learning_rate: 3e-4,
                    decay_fraction: 0.3,
                    ema_decay: 0.99,
                    weight_decay: 0.0,
                    ..optimizer
                },
            },
        }
    }
}

impl AgentSettings {
    /// Reads a TOML file. Keys that it leaves out keep their defaults.
    ///
    /// # Errors
    /// Returns an error if the file is missing or not TOML, or if a key is unknown or out of its range.
    pub fn read(path: &Path) -> Result<Self> {
        read_checked(path, Self::check)
    }

    fn check(&self) -> std::result::Result<(), String> {
        let fraction = |x: f64| (0.0..=1.0).contains(&x);
        let below_one = |x: f64| (0.0..1.0).contains(&x);
        let bins = |n: usize| (3..=1023).contains(&n) && !n.is_multiple_of(2);
        let (c, i) = (&self.cloning, &self.imagination);
        let rules = [
            ("save_minutes", self.save_minutes >= 0.0, "0 or more"),
            ("preview_minutes", self.preview_minutes >= 0.0, "0 or more"),
            (
                "memory_gib",
                (0.0..=1e6).contains(&self.memory_gib),
                "0 or more",
            ),
            ("hidden", (1..=4096).contains(&self.hidden), "1 to 4096"),
            (
                "distances",
                (1..=MAX_DISTANCES).contains(&self.distances),
                "1 to 32",
            ),
            ("reward_bins", bins(self.reward_bins), "odd, 3 to 1023"),
            ("value_bins", bins(self.value_bins), "odd, 3 to 1023"),
            ("discount", below_one(self.discount), "0 to below 1"),
            (
                "cloning.batch_size",
                (1..=65536).contains(&c.batch_size),
                "1 to 65536",
            ),
            (
                "cloning.held_out",
                (0.0..=0.5).contains(&c.held_out),
                "0 to 0.5",
            ),
            (
                "imagination.games",
                (1..=4096).contains(&i.games),
                "1 to 4096",
            ),
            (
                "imagination.horizon",
                (1..=1024).contains(&i.horizon),
                "1 to 1024",
            ),
            (
                "imagination.steps",
                (1..=MAX_STEPS).contains(&i.steps) && i.steps.is_power_of_two(),
                "a power of two that the world's sampler knows",
            ),
            ("imagination.lambda", fraction(i.lambda), "0 to 1"),
            ("imagination.alpha", fraction(i.alpha), "0 to 1"),
            (
                "imagination.beta",
                (0.0..=100.0).contains(&i.beta),
                "0 to 100",
            ),
            (
                "imagination.slow_decay",
                below_one(i.slow_decay),
                "0 to below 1",
            ),
            (
                "imagination.penalty",
                (0.0..=1e6).contains(&i.penalty),
                "0 or more",
            ),
        ];
        if let Some((key, _, expected)) = rules.iter().find(|(_, valid, _)| !valid) {
            return Err(format!("{key} is out of its range, expected {expected}"));
        }
        c.optimizer.check("cloning.optimizer.")?;
        i.optimizer.check("imagination.optimizer.")
    }
}
