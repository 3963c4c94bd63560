//! The trainer: from a folder of episodes to a checkpoint.
//!
//! `--out` becomes a run's folder: `checkpoint/` is what is played (EMA weights), `tokenizer/` and
//! `dynamics/` hold the state that `--resume` continues from, `log.jsonl` one JSON object a line,
//! `events/` the same for TensorBoard, `previews/` pictures of real frames above predicted ones,
//! `settings.toml` the settings in full.

mod balance;
mod contexts;
mod cpu;
mod dynamics;
mod events;
mod footage;
mod initial;
mod optimizer;
#[cfg(test)]
mod parity;
mod preview;
mod progress;
mod run;
mod settings;
pub mod speed;
mod state;
mod tokenizer;

pub use run::run;
pub use settings::{DynamicsSettings, Preset, Settings, TokenizerSettings};

use std::path::PathBuf;

use crate::engine::DeviceChoice;

/// What to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Stage {
    /// Frames to latents and back.
    Tokenizer,
    /// The next latent; needs a trained tokenizer in the run's folder.
    Dynamics,
    /// The tokenizer, then the dynamics.
    All,
}

/// One call of the trainer.
#[derive(Clone, Debug)]
pub struct Options {
    /// What to train.
    pub stage: Stage,
    /// Folder of the dataset.
    pub data: PathBuf,
    /// Folder of a dataset whose actions count as unknown, to be trained on beside `data`.
    pub unlabelled: Option<PathBuf>,
    /// Checkpoint folder whose weights the networks start from, instead of random ones.
    pub from: Option<PathBuf>,
    /// The run's folder.
    pub out: PathBuf,
    /// Settings (TOML); without it, and without a preset, a run's own, else the defaults.
    pub config: Option<PathBuf>,
    /// What keys that the settings leave out are taken from.
    pub preset: Option<Preset>,
    /// Whether episodes that cannot be read are left out, each with a warning.
    pub skip_bad: bool,
    /// Whether to continue the run in `out`.
    pub resume: bool,
    /// Where to compute.
    pub device: DeviceChoice,
    /// Stop (and save) each stage at this step; the schedule stays that of the settings.
    pub max_steps: Option<u64>,
    /// Stop (and save) after so many minutes.
    pub max_minutes: Option<f64>,
    /// Seed, instead of the settings'.
    pub seed: Option<u64>,
}
