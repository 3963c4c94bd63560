//! What a training run is asked to do.

use std::path::PathBuf;

use driftless_engine::DeviceChoice;
use driftless_shards::CacheOptions;
use serde::{Deserialize, Serialize};

use super::TrainPreset;
use super::ranks::Ranks;

/// A network that is trained.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TrainStage {
    /// The tokenizer: frames to latents and back.
    Tokenizer,
    /// The dynamics: the next latent. Needs a trained tokenizer in the run's folder.
    Dynamics,
    /// A transport network: one distribution of pictures to another. Has runs of its own
    /// ([`crate::run_transport`]).
    Transport,
    /// A clip network: whole clips from prompts. Has runs of its own ([`crate::run_clip`]).
    Clip,
    /// The network that plans the actions of such clips; before [`TrainStage::Clip`].
    #[serde(rename = "clip-actions")]
    ClipActions,
    /// The heads of an agent, on recorded play. Has runs of its own ([`crate::run_agent`]).
    Cloning,
    /// Policy and value of an agent, in the dream; after [`TrainStage::Cloning`].
    Imagination,
}

impl TrainStage {
    /// The stages of a world, in the order in which they are trained.
    pub const ALL: [Self; 2] = [Self::Tokenizer, Self::Dynamics];

    /// The name in the log and in file names.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tokenizer => "tokenizer",
            Self::Dynamics => "dynamics",
            Self::Transport => "transport",
            Self::Clip => "clip",
            Self::ClipActions => "clip-actions",
            Self::Cloning => "cloning",
            Self::Imagination => "imagination",
        }
    }
}

/// How shards on a server are read.
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// Where downloaded shards are kept for the next epoch or run; `None`: nowhere.
    pub cache: Option<CacheOptions>,
    /// Whether the user has asked to stop: looked at while a shard is waited for.
    pub interrupted: fn() -> bool,
}

impl Default for ShardOptions {
    fn default() -> Self {
        Self {
            cache: None,
            interrupted: || false,
        }
    }
}

/// Arguments of a training run.
///
/// ```
/// use driftless_train::{TrainOptions, TrainStage};
///
/// let options = TrainOptions {
///     stages: vec![TrainStage::Tokenizer],
///     max_minutes: Some(10.0),
///     ..TrainOptions::new("data/maze", "runs/maze")
/// };
/// assert!(!options.resume);
/// ```
#[derive(Clone, Debug)]
pub struct TrainOptions {
    /// What to train, in this order.
    pub stages: Vec<TrainStage>,
    /// Folder of the dataset, or where the manifest of its shards is ([`driftless_shards::Location`]).
    pub data: PathBuf,
    /// Folder of a second dataset, whose actions are treated as unknown.
    pub unlabelled: Option<PathBuf>,
    /// Checkpoint folder to take the initial weights from, instead of random ones.
    pub from: Option<PathBuf>,
    /// The run's folder.
    pub out: PathBuf,
    /// Settings file (TOML). Without it and without a preset: the run's own settings, or those
    /// of the preset that fits the data for a new run.
    pub config: Option<PathBuf>,
    /// Preset for the keys that the settings file leaves out. A new run without both takes what fits its data
    /// ([`crate::PresetChoice`]).
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
    /// The processes that train together. All need the same options; `out` is a folder that all of them see.
    pub ranks: Ranks,
    /// How shards are read, if the dataset is in shards.
    pub shards: ShardOptions,
}

impl TrainOptions {
    /// A new run in `out` that trains all stages on the dataset in `data`, with default settings
    /// and on the CPU.
    pub fn new(data: impl Into<PathBuf>, out: impl Into<PathBuf>) -> Self {
        Self {
            stages: TrainStage::ALL.to_vec(),
            data: data.into(),
            unlabelled: None,
            from: None,
            out: out.into(),
            config: None,
            preset: None,
            skip_bad: false,
            resume: false,
            device: DeviceChoice::Cpu,
            max_steps: None,
            max_minutes: None,
            seed: None,
            ranks: Ranks::default(),
            shards: ShardOptions::default(),
        }
    }
}
