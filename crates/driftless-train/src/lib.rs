//! The trainer: from a folder of episodes to a checkpoint.
//!
//! The run's folder (`--out`) holds:
//! - `checkpoint/`: the playable world, with averaged (EMA) weights,
//! - `tokenizer/` and `dynamics/`: the state from which `--resume` continues,
//! - `log.jsonl`: one JSON object per line, and `events/`: the same for TensorBoard,
//! - `previews/`: pictures of real frames above predicted ones,
//! - `settings.toml`: all settings.

mod dynamics;
mod error;
mod frame_store;
mod loss_scaling;
mod optimizer;
mod preview;
mod progress;
mod run;
mod settings;
mod starting_contexts;
mod state;
mod tensorboard;
mod tokenizer;
mod warm_start;

pub use error::{Error, Result};

pub use run::run;
pub use settings::{DynamicsSettings, TokenizerSettings, TrainPreset, TrainSettings};

use std::path::PathBuf;

use driftless_engine::DeviceChoice;

/// What to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum TrainStage {
    /// The tokenizer: frames to latents and back.
    Tokenizer,
    /// The dynamics: the next latent. Needs a trained tokenizer in the run's folder.
    Dynamics,
    /// The tokenizer, then the dynamics.
    All,
}

/// Arguments of a training run.
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// What to train.
    pub stage: TrainStage,
    /// Folder of the dataset.
    pub data: PathBuf,
    /// Folder of a second dataset, whose actions are treated as unknown.
    pub unlabelled: Option<PathBuf>,
    /// Checkpoint folder to take the initial weights from, instead of random ones.
    pub from: Option<PathBuf>,
    /// The run's folder.
    pub out: PathBuf,
    /// Settings file (TOML). Without it and without a preset: the run's own settings, or the
    /// defaults for a new run.
    pub config: Option<PathBuf>,
    /// Preset for the keys that the settings file leaves out.
    pub preset: Option<TrainPreset>,
    /// Whether to skip unreadable episodes, with a warning for each, instead of failing.
    pub skip_bad: bool,
    /// Whether to continue the run in `out`.
    pub resume: bool,
    /// Compute device.
    pub device: DeviceChoice,
    /// Save and stop each stage at this step. The learning-rate schedule does not change.
    pub max_steps: Option<u64>,
    /// Save and stop after this many minutes.
    pub max_minutes: Option<f64>,
    /// Seed, overriding that of the settings.
    pub seed: Option<u64>,
}
