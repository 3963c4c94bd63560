//! The settings of a training run: one TOML file with defaults.

mod check;
mod defaults;
mod old_keys;

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use driftless_data::fs::read_text;
use driftless_data::{DatasetInfo, PathError as _};
use driftless_flow::path::Path as FlowPath;
use driftless_flow::prediction::Prediction;
use driftless_model::config::{
    DynamicsConfig, FORMAT_VERSION, FlowConfig, SamplingConfig, TokenizerConfig, WorldConfig,
    deserialize_path, deserialize_prediction,
};
use driftless_model::precision::Precision;

use crate::{Error, Result};

pub use self::defaults::TrainPreset;

/// The settings of a training run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrainSettings {
    /// Seed of weights, batches and noise.
    pub seed: u64,
    /// Minutes between two saves.
    pub save_minutes: f64,
    /// Minutes between two preview pictures; 0 turns them off.
    pub preview_minutes: f64,
    /// Memory for the frames, and again for their latents, in GiB. What exceeds it is read from a
    /// file in the run's folder.
    pub memory_gib: f64,
    /// Of a dataset in shards: how many are drawn from at a time, by all ranks together.
    #[serde(default = "defaults::open_shards")]
    pub open_shards: usize,
    /// Number type of the matrix products during training.
    pub precision: Precision,
    /// Shape of the tokenizer.
    pub tokenizer_shape: TokenizerConfig,
    /// Shape of the dynamics.
    pub dynamics_shape: DynamicsConfig,
    /// How the tokenizer is trained.
    pub tokenizer: TokenizerSettings,
    /// How the dynamics is trained.
    pub dynamics: DynamicsSettings,
    /// How the trained world is sampled unless a player says otherwise.
    #[serde(default)]
    pub sampling: SamplingConfig,
}

/// How the tokenizer is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerSettings {
    /// Optimizer and schedule.
    pub optimizer: OptimizerSettings,
    /// Frames per step.
    pub batch_size: usize,
    /// Fraction of the frames that are drawn in proportion to the rarity of what they show.
    pub rare_fraction: f64,
    /// Fraction of the frames that are drawn by the last known error of their worst patch.
    pub hard_fraction: f64,
    /// Extra loss weight of pixels that differ from the median background.
    pub foreground_weight: f64,
    /// Extra loss weight of the pixels around them, up to 8 pixels away.
    pub surroundings_weight: f64,
    /// Extra loss weight of pixels that differ from the frame before.
    #[serde(default)]
    pub change_weight: f64,
    /// Standard deviation of the noise added to standardized latents before decoding.
    pub latent_noise: f64,
    /// The same while only the decoder is trained.
    pub decoder_only_noise: f64,
    /// Fraction of the steps, at the end, in which only the decoder is trained.
    pub decoder_only_fraction: f64,
    /// Weight of the curvature penalty ‖z(x) − ½(z(x₊) + z(x₋))‖² for shifted frames.
    pub curvature_weight: f64,
    /// Largest shift of the curvature penalty in pixels.
    pub max_curvature_shift: usize,
    /// Largest fraction of a frame's patches that are hidden from the encoder: each frame hides
    /// U(0, this) of them (a masked autoencoder, He et al., 2022); 0 turns masking off.
    pub max_mask_fraction: f64,
}

/// How the dynamics is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicsSettings {
    /// Optimizer and schedule.
    pub optimizer: OptimizerSettings,
    /// What the network predicts: `x`, `v` or `eps`.
    #[serde(deserialize_with = "deserialize_prediction")]
    pub prediction: Prediction,
    /// The path from noise to data: `linear` or `cosine`.
    #[serde(deserialize_with = "deserialize_path")]
    pub path: FlowPath,
    /// The space in which the squared error is taken; by default that of the prediction.
    #[serde(
        default,
        deserialize_with = "loss_space",
        skip_serializing_if = "Option::is_none"
    )]
    pub loss_space: Option<Prediction>,
    /// Steps that are trained as soon as the encoder is finished, before the decoder is trained alone: the
    /// world can be played then. 0: the tokenizer is finished first. The weights at the end are the same.
    #[serde(default)]
    pub early_steps: u64,
    /// Sequences per step.
    pub batch_size: usize,
    /// Frames per sequence.
    pub sequence_length: usize,
    /// Fraction of the sequences that are drawn by the last known error of their frames.
    #[serde(default)]
    pub hard_fraction: f64,
    /// Extra loss weight of latents that differ from the frame before.
    #[serde(default)]
    pub change_weight: f64,
    /// Noised copies that share one clean copy of a sequence.
    pub noised_copies: usize,
    /// Every n-th step, one of the noised copies is trained on shortcut targets.
    pub shortcut_every: u64,
    /// Probability of signal level 0.
    pub pure_noise_fraction: f64,
    /// Probability that a signal level at the finest step size lies between the levels of the grid.
    /// Solvers and likelihoods evaluate the network there.
    pub off_grid_fraction: f64,
    /// Lowest signal level of the clean copy, which is drawn from U(this, 1).
    pub min_context_signal: f64,
    /// Fraction of the clean copy's frames that are replaced by the network's own one-step
    /// predictions, in steps without shortcut targets, while the learning rate decays; 0: none.
    pub self_generated_context: f64,
    /// Passes that generate them. From the second pass on, predictions are made from predictions.
    pub self_generated_passes: usize,
    /// Fraction of the noised frames whose action is hidden from the network.
    pub action_dropout: f64,
    /// Weight of the reward loss and of the end loss, relative to the loss of the frames.
    pub outcome_weight: f64,
    /// Every n-th step trains on fewer sequences of `long_sequence_length` frames; 0: never.
    pub long_sequence_every: u64,
    /// Frames per long sequence.
    pub long_sequence_length: usize,
    /// How a long-term memory is trained; without effect on a network that has none.
    #[serde(default)]
    pub memory: MemorySettings,
    /// How delta states are trained; without effect on a network that has none.
    #[serde(default)]
    pub delta_state: DeltaStateSettings,
}

/// How the delta states of a dynamics are trained. They need long sequences, since a state is zero before
/// the first frame of a sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeltaStateSettings {
    /// The first frames of a sequence are only remembered, not predicted: U(0, this) of them.
    pub max_prefix_fraction: f64,
    /// Fraction of the sequences in which the context behind these first frames is too noisy to predict
    /// from, so that what comes has to be predicted from the states.
    pub noisy_context_fraction: f64,
}

/// How the memory of a dynamics is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemorySettings {
    /// Fraction of the sequences that recall nothing, so that the network can do without.
    pub none_fraction: f64,
    /// Fraction of the sequences that recall random frames of their episode.
    pub random_fraction: f64,
    /// Fraction of the sequences whose context is too noisy to predict from, so that they have to be
    /// predicted from what they recall.
    pub noisy_context_fraction: f64,
    /// Standard deviation of the noise added to the positions of recalled frames, as a fraction of the
    /// memory's reach: poses of a rollout are not exact.
    pub position_noise: f64,
    /// Standard deviation of the noise added to their headings, in degrees.
    pub heading_noise: f64,
    /// Weight of the loss of the camera's motion, relative to the loss of the frames.
    pub motion_weight: f64,
}

/// Optimizer and learning-rate schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerSettings {
    /// Number of steps.
    pub steps: u64,
    /// Learning rate of AdamW.
    pub learning_rate: f64,
    /// Learning rate of Muon, which trains the hidden matrices; 0: AdamW trains everything.
    pub muon_learning_rate: f64,
    /// Steps of linear warm-up.
    pub warmup_steps: u64,
    /// Fraction of the steps, at the end, over which the learning rate falls linearly to zero.
    pub decay_fraction: f64,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// Largest norm of the gradient.
    pub grad_clip: f64,
    /// Decay of the exponential moving average of the weights.
    pub ema_decay: f64,
}

impl TrainSettings {
    /// Reads a TOML file. Keys that it leaves out are taken from `base`; old names of keys are
    /// accepted.
    ///
    /// # Errors
    /// Returns an error if the file is missing or not TOML, or if a key is unknown, given twice or
    /// out of its range.
    pub fn read(path: &Path, base: &Self) -> Result<Self> {
        let text = read_text(path)?;
        Self::parse(&text, base).map_err(|what| Error::invalid(path, what))
    }

    fn parse(text: &str, base: &Self) -> std::result::Result<Self, String> {
        let one_line = |e: toml::de::Error| e.to_string().trim().replace('\n', " ");
        let mut given: toml::Table = toml::from_str(text).map_err(one_line)?;
        let renamed = old_keys::rename(&mut given)?;
        let mut all = toml::Table::try_from(base).map_err(|e| e.to_string())?;
        overlay(&mut all, given);
        all.try_into()
            .map_err(one_line)
            .and_then(|settings: Self| settings.check().map(|()| settings))
            .map_err(|error| old_keys::explain(error, &renamed))
    }

    /// The configuration of the world that these settings train on a dataset.
    ///
    /// # Errors
    /// Returns an error if the shapes do not fit each other or the dataset's frames.
    pub fn world(&self, info: &DatasetInfo) -> Result<WorldConfig> {
        let world = WorldConfig {
            format: FORMAT_VERSION,
            name: info.name.clone(),
            fps: info.fps,
            image: info.image,
            actions: info.actions.clone(),
            axes: info.axes.clone(),
            tokenizer: self.tokenizer_shape.clone(),
            dynamics: self.dynamics_shape.clone(),
            flow: FlowConfig {
                prediction: self.dynamics.prediction,
                path: self.dynamics.path,
            },
            sampling: self.sampling,
        };
        world.check()?;
        Ok(world)
    }
}

impl TokenizerSettings {
    /// The first step at which the encoder is frozen.
    pub fn decoder_only_start(&self) -> u64 {
        let steps = self.optimizer.steps as f64;
        (steps * (1.0 - self.decoder_only_fraction)).round() as u64
    }
}

/// Reads the space of the loss: any prediction that a dynamics can be trained on.
fn loss_space<'de, D: Deserializer<'de>>(
    file: D,
) -> std::result::Result<Option<Prediction>, D::Error> {
    deserialize_prediction(file).map(Some)
}

/// Reads a TOML file. Keys that it leaves out are taken from `base`.
///
/// # Errors
/// Returns an error if the file is missing or not TOML, or if a key is unknown or of another type.
pub(super) fn read_over<T: Serialize + DeserializeOwned>(path: &Path, base: &T) -> Result<T> {
    let wrong = |e: toml::de::Error| Error::invalid(path, e.to_string().trim().replace('\n', " "));
    let given: toml::Table = toml::from_str(&read_text(path)?).map_err(wrong)?;
    let mut all = toml::Table::try_from(base).map_err(|e| Error::invalid(path, e.to_string()))?;
    overlay(&mut all, given);
    all.try_into().map_err(wrong)
}

/// The settings in a TOML file, checked. Keys that it leaves out keep their defaults.
///
/// # Errors
/// Returns an error if the file is missing or not TOML, if a key is unknown, or as `check` says.
pub(super) fn read_checked<T: Serialize + DeserializeOwned + Default>(
    path: &Path,
    check: impl Fn(&T) -> std::result::Result<(), String>,
) -> Result<T> {
    let settings = read_over(path, &T::default())?;
    check(&settings).map_err(|what| Error::invalid(path, what))?;
    Ok(settings)
}

/// Overwrites the values of `base` with those of `over`, table by table.
fn overlay(base: &mut toml::Table, over: toml::Table) {
    for (key, value) in over {
        match (base.get_mut(&key), value) {
            (Some(toml::Value::Table(base)), toml::Value::Table(over)) => overlay(base, over),
            (_, value) => {
                base.insert(key, value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use driftless_model::dynamics::Dynamics;
    use driftless_model::params::Params;
    use driftless_model::tokenizer::Tokenizer;

    fn read(text: &str) -> Result<TrainSettings> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        TrainSettings::read(file.path(), &TrainSettings::default())
    }

    fn info() -> DatasetInfo {
        DatasetInfo {
            name: "Test".into(),
            fps: 15.0,
            image: [64, 64],
            actions: vec![driftless_data::ActionSpec {
                name: "noop".into(),
                keys: Vec::new(),
            }],
            axes: Vec::new(),
        }
    }

    #[test]
    fn omitted_keys_keep_their_defaults() {
        let default = TrainSettings::default();
        assert_eq!(read(&toml::to_string(&default).unwrap()).unwrap(), default);
        let changed = read("seed = 7\n[tokenizer.optimizer]\nlearning_rate = 1e-4\n").unwrap();
        assert_eq!(
            (changed.seed, changed.tokenizer.optimizer.learning_rate),
            (7, 1e-4)
        );
        assert_eq!(
            changed.tokenizer.optimizer.steps,
            default.tokenizer.optimizer.steps
        );
        assert_eq!(changed.dynamics, default.dynamics);
    }

    #[test]
    fn errors_name_the_key() {
        let error = read("seed = 7\n[dynamics]\nframe = 20\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`frame`") && !error.contains('\n'),
            "{error}"
        );
        let error = read("[dynamics]\npure_noise_fraction = 1.5\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("dynamics.pure_noise_fraction"), "{error}");
        assert!(error.contains("expected 0 to 1"), "{error}");
        let error = read("[dynamics]\nprediction = \"w\"\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("`w`") && error.contains("`eps`"), "{error}");
    }

    #[test]
    fn presets_have_the_stated_sizes() {
        let info = info();
        let millions = |preset| {
            let settings = TrainSettings::preset(preset);
            settings.check().unwrap();
            let world = settings.world(&info).unwrap();
            assert!(settings.dynamics.sequence_length >= world.dynamics.context);
            let params = Params::seeded(0, &Device::Cpu);
            Tokenizer::new(&params, &world).unwrap();
            Dynamics::new(&params, &world).unwrap();
            let vars = params.finish().unwrap();
            vars.values().map(|v| v.elem_count()).sum::<usize>() as f64 / 1e6
        };
        let presets = [
            TrainPreset::Tiny,
            TrainPreset::Fine,
            TrainPreset::Small,
            TrainPreset::Base,
        ];
        let sizes = presets.map(millions);
        for (size, expected) in sizes.into_iter().zip([1.25, 1.05, 12.0, 60.0]) {
            assert!((0.9..1.1).contains(&(size / expected)), "{sizes:?}");
        }
    }

    #[test]
    fn omitted_keys_come_from_the_preset() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[dynamics_shape]\ndepth = 3\n").unwrap();
        let small = TrainSettings::preset(TrainPreset::Small);
        let read = TrainSettings::read(file.path(), &small).unwrap();
        assert_eq!(read.dynamics_shape.depth, 3);
        assert_eq!(read.dynamics_shape.width, small.dynamics_shape.width);
        assert_eq!(read.tokenizer, small.tokenizer);
    }

    #[test]
    fn unplayable_predictions_are_refused() {
        let info = info();
        let world = |text: &str| read(text).unwrap().world(&info);
        let flow = world("[dynamics]\nprediction = \"eps\"\npath = \"cosine\"\n")
            .unwrap()
            .flow;
        assert_eq!(
            (flow.prediction, flow.path),
            (Prediction::Eps, FlowPath::Cosine)
        );
        for (key, wrong, expected) in [
            ("prediction", "score", "expected `x`, `v` or `eps`"),
            ("loss_space", "score", "expected `x`, `v` or `eps`"),
            ("path", "exploding", "expected `linear` or `cosine`"),
        ] {
            let error = read(&format!("[dynamics]\n{key} = \"{wrong}\"\n")).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(expected) && error.contains(wrong), "{error}");
        }
    }
}
