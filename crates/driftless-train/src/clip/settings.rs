//! The settings of a clip run: one TOML file with defaults.

use std::path::Path;

use serde::{Deserialize, Serialize};

use driftless_clip::config::{LENGTHS_EXPECTED, are_lengths};
use driftless_clip::{ClipSampling, ClipShape};

use crate::Result;
use crate::settings::{OptimizerSettings, read_checked};

/// The settings of a clip run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClipSettings {
    /// Seed of weights, batches and noise.
    pub seed: u64,
    /// Minutes between two saves.
    pub save_minutes: f64,
    /// Minutes between two preview pictures; 0 turns them off.
    pub preview_minutes: f64,
    /// Memory for frames and latents, in GiB; more goes into a file in the run's folder.
    pub memory_gib: f64,
    /// Clips per step.
    pub batch_size: usize,
    /// Lengths of clips in frames, shortest first. Captions of other lengths are used if they are longer than
    /// all of these.
    pub lengths: Vec<usize>,
    /// How often a word has to occur in the captions to become part of the vocabulary.
    pub min_word_count: usize,
    /// Fraction of the prompts that are hidden from the network, for guidance.
    pub prompt_dropout: f64,
    /// Fraction of the clips whose first frame, or some frames at the start, are given.
    pub given_fraction: f64,
    /// Fraction of the clips that train shortcuts: targets made of two steps of half the size.
    pub shortcut_fraction: f64,
    /// Weight of the squared error of actions, at every signal level; that of latents is 0.9 τ + 0.1.
    pub action_weight: f64,
    /// Optimizer and schedule.
    pub optimizer: OptimizerSettings,
    /// The network that plans the actions before the frames are made.
    pub actions: ActionSettings,
    /// Shape of the network.
    pub network: ClipShape,
    /// How the trained network is sampled unless someone says otherwise.
    pub sampling: ClipSampling,
}

/// The settings of the network that plans actions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionSettings {
    /// Clips per step: of actions alone, so that many fit.
    pub batch_size: usize,
    /// Optimizer and schedule.
    pub optimizer: OptimizerSettings,
    /// Shape of the network.
    pub network: ClipShape,
}

impl Default for ActionSettings {
    fn default() -> Self {
        Self {
            batch_size: 128,
            optimizer: OptimizerSettings {
                steps: 2500,
                learning_rate: 1e-3,
                muon_learning_rate: 2e-3,
                warmup_steps: 100,
                decay_fraction: 0.4,
                weight_decay: 0.01,
                grad_clip: 1.0,
                ema_decay: 0.998,
            },
            network: ClipShape {
                merge: 1,
                width: 96,
                depth: 3,
                mlp: 256,
                ..ClipShape::default()
            },
        }
    }
}

impl Default for ClipSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            save_minutes: 5.0,
            preview_minutes: 15.0,
            memory_gib: 4.0,
            batch_size: 16,
            lengths: vec![16],
            min_word_count: 10,
            prompt_dropout: 0.1,
            given_fraction: 0.4,
            shortcut_fraction: 0.25,
            action_weight: 2.0,
            optimizer: OptimizerSettings {
                steps: 20_000,
                learning_rate: 1e-3,
                muon_learning_rate: 2e-3,
                warmup_steps: 200,
                decay_fraction: 0.4,
                weight_decay: 0.01,
                grad_clip: 1.0,
                ema_decay: 0.999,
            },
            actions: ActionSettings::default(),
            network: ClipShape::default(),
            sampling: ClipSampling::default(),
        }
    }
}

impl ClipSettings {
    /// Reads a TOML file. Keys that it leaves out keep their defaults.
    ///
    /// # Errors
    /// Returns an error if the file is missing or not TOML, or if a key is unknown or out of its range.
    pub fn read(path: &Path) -> Result<Self> {
        read_checked(path, Self::check)
    }

    /// The shapes are checked with the configuration of the network.
    fn check(&self) -> std::result::Result<(), String> {
        let fraction = |x: f64| (0.0..=1.0).contains(&x);
        let rules = [
            ("save_minutes", self.save_minutes >= 0.0, "0 or more"),
            ("preview_minutes", self.preview_minutes >= 0.0, "0 or more"),
            (
                "memory_gib",
                (0.0..=1e6).contains(&self.memory_gib),
                "0 or more",
            ),
            (
                "batch_size",
                (1..=4096).contains(&self.batch_size),
                "1 to 4096",
            ),
            ("lengths", are_lengths(&self.lengths), LENGTHS_EXPECTED),
            (
                "actions.batch_size",
                (1..=65_536).contains(&self.actions.batch_size),
                "1 to 65536",
            ),
            ("prompt_dropout", fraction(self.prompt_dropout), "0 to 1"),
            ("given_fraction", fraction(self.given_fraction), "0 to 1"),
            (
                "shortcut_fraction",
                fraction(self.shortcut_fraction),
                "0 to 1",
            ),
            (
                "action_weight",
                (0.0..=1000.0).contains(&self.action_weight),
                "0 to 1000",
            ),
        ];
        match rules.iter().find(|(_, valid, _)| !valid) {
            Some((key, _, expected)) => {
                Err(format!("{key} is out of its range, expected {expected}"))
            }
            None => {
                self.optimizer.check("optimizer.")?;
                self.actions.optimizer.check("actions.optimizer.")
            }
        }
    }
}
