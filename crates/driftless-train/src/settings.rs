//! Everything that a training run depends on, as one TOML file with defaults.

mod check;
mod defaults;

use std::path::Path;

use serde::{Deserialize, Deserializer, Serialize};

pub use self::defaults::Preset;

use crate::{Error, Result};
use driftless_data::DatasetInfo;
use driftless_data::PathError as _;
use driftless_flow::path::Path as FlowPath;
use driftless_flow::prediction::Prediction;
use driftless_model::config::{
    DynamicsConfig, FORMAT_VERSION, FlowConfig, TokenizerConfig, WorldConfig, trained_path,
    trained_prediction,
};
use driftless_model::precision::Precision;

/// The settings of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Seed of weights, batches and noise.
    pub seed: u64,
    /// Minutes between two saves.
    pub save_minutes: f64,
    /// Minutes between two preview pictures; 0: none.
    pub preview_minutes: f64,
    /// Frames, and then their latents, that take more than so much are read from a file in the run's
    /// folder and not from memory.
    pub memory_gib: f64,
    /// In what number type matrices are multiplied while training.
    pub precision: Precision,
    /// The tokenizer's shape.
    pub tokenizer_shape: TokenizerConfig,
    /// The dynamics' shape.
    pub dynamics_shape: DynamicsConfig,
    /// How the tokenizer is trained.
    pub tokenizer: TokenizerSettings,
    /// How the dynamics is trained.
    pub dynamics: DynamicsSettings,
}

/// How the tokenizer is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenizerSettings {
    /// Optimiser settings.
    pub optimizer: OptimizerSettings,
    /// Frames a step.
    pub batch: usize,
    /// Share of the frames that are drawn by the rarity of what they show.
    pub rare: f64,
    /// Extra weight of pixels that differ from the median background.
    pub foreground: f64,
    /// Standard deviation of the noise added to standardised latents before decoding.
    pub noise: f64,
    /// The same in the last part, where the encoder is frozen.
    pub polish_noise: f64,
    /// Share of the steps, at the end, in which only the decoder is trained.
    pub polish: f64,
    /// Weight of the curvature penalty ‖z(x) − ½(z(x₊) + z(x₋))‖² for shifted frames.
    pub curvature: f64,
    /// Largest shift of the penalty in pixels.
    pub shift: usize,
    /// Largest share of a frame's patches that the encoder does not see while it is trained: each
    /// frame hides U(0, this) of them (a masked autoencoder, He et al., 2022); 0: none.
    pub mask: f64,
}

/// How the dynamics is trained.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamicsSettings {
    /// Optimiser settings.
    pub optimizer: OptimizerSettings,
    /// What the network puts out: `x`, `v` or `eps`.
    #[serde(deserialize_with = "trained_prediction")]
    pub prediction: Prediction,
    /// The path from noise to data: `linear` or `cosine`.
    #[serde(deserialize_with = "trained_path")]
    pub path: FlowPath,
    /// The space whose squared error is the loss; left out: that of the prediction.
    #[serde(
        default,
        deserialize_with = "loss_space",
        skip_serializing_if = "Option::is_none"
    )]
    pub loss: Option<Prediction>,
    /// Sequences a step.
    pub batch: usize,
    /// Frames of a sequence.
    pub frames: usize,
    /// Noised copies that share one clean copy of a sequence.
    pub copies: usize,
    /// Every n-th step one of the copies is trained on shortcut targets.
    pub shortcut_every: u64,
    /// Probability of signal level 0.
    pub pure_noise: f64,
    /// Probability that a level of the finest step lies between the grid's levels, so that solvers
    /// and likelihoods may ask there.
    pub between: f64,
    /// Lowest signal level of the clean copy, which is drawn from U(this, 1).
    pub context_signal: f64,
    /// Share of the clean copy's frames that are the network's own one-step predictions, in steps
    /// without shortcut targets, once the rate decays; 0: all real.
    pub own_context: f64,
    /// Passes that put them there: from the second on, they are predictions from predictions.
    pub own_passes: usize,
    /// Share of the noised frames whose action the network is not told.
    pub action_dropout: f64,
    /// How much reward and end each count, relative to the frames.
    pub outcome_weight: f64,
    /// Every n-th step trains on `long_frames` frames of fewer sequences; 0: never.
    pub long_every: u64,
    /// Frames of a long sequence.
    pub long_frames: usize,
}

/// Optimiser and schedule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OptimizerSettings {
    /// Steps in all.
    pub steps: u64,
    /// AdamW's learning rate.
    pub rate: f64,
    /// Muon's learning rate for hidden matrices; 0: AdamW for all.
    pub muon_rate: f64,
    /// Steps of linear warm-up.
    pub warm_up: u64,
    /// Share of the steps, at the end, over which the rate falls linearly to zero.
    pub decay: f64,
    /// Decoupled weight decay of matrices.
    pub weight_decay: f64,
    /// Largest norm of the gradient.
    pub clip: f64,
    /// Decay of the exponential moving average of the weights.
    pub ema: f64,
}

impl Settings {
    /// Reads settings; keys that are left out are those of `base`.
    ///
    /// # Errors
    /// The file is missing or not TOML, or a key is unknown or out of its range.
    pub fn read(path: &Path, base: &Self) -> Result<Self> {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let wrong =
            |e: toml::de::Error| Error::invalid(path, e.to_string().trim().replace('\n', " "));
        let given: toml::Table = toml::from_str(&text).map_err(wrong)?;
        let mut all =
            toml::Table::try_from(base).map_err(|e| Error::invalid(path, e.to_string()))?;
        overlay(&mut all, given);
        let settings: Self = all.try_into().map_err(wrong)?;
        settings
            .check()
            .map_err(|what| Error::invalid(path, what))?;
        Ok(settings)
    }

    /// The world that these settings make of a dataset.
    ///
    /// # Errors
    /// The shapes do not fit each other or the dataset's frames.
    pub fn world(&self, info: &DatasetInfo) -> Result<WorldConfig> {
        let world = WorldConfig {
            format: FORMAT_VERSION,
            name: info.name.clone(),
            fps: info.fps,
            image: info.image,
            actions: info.actions.clone(),
            tokenizer: self.tokenizer_shape.clone(),
            dynamics: self.dynamics_shape.clone(),
            flow: FlowConfig {
                prediction: self.dynamics.prediction,
                path: self.dynamics.path,
            },
        };
        world.check()?;
        Ok(world)
    }
}

/// The space of the loss: any that a dynamics can be trained on.
fn loss_space<'de, D: Deserializer<'de>>(
    file: D,
) -> std::result::Result<Option<Prediction>, D::Error> {
    trained_prediction(file).map(Some)
}

/// Puts the values of `over` into `base`, table by table.
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

    fn read(text: &str) -> Result<Settings> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Settings::read(file.path(), &Settings::default())
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
        }
    }

    #[test]
    fn settings_survive_a_round_trip_and_left_out_keys_keep_their_defaults() {
        let default = Settings::default();
        assert_eq!(read(&toml::to_string(&default).unwrap()).unwrap(), default);
        let changed = read("seed = 7\n[tokenizer.optimizer]\nrate = 1e-4\n").unwrap();
        assert_eq!((changed.seed, changed.tokenizer.optimizer.rate), (7, 1e-4));
        assert_eq!(
            changed.tokenizer.optimizer.steps,
            default.tokenizer.optimizer.steps
        );
        assert_eq!(changed.dynamics, default.dynamics);
    }

    #[test]
    fn a_wrong_key_is_named() {
        let error = read("seed = 7\n[dynamics]\nframe = 20\n")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("`frame`") && !error.contains('\n'),
            "{error}"
        );
        let error = read("[dynamics]\npure_noise = 1.5\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("dynamics.pure_noise"), "{error}");
        assert!(error.contains("expected 0 to 1"), "{error}");
        let error = read("[dynamics]\nprediction = \"w\"\n")
            .unwrap_err()
            .to_string();
        assert!(error.contains("`w`") && error.contains("`eps`"), "{error}");
    }

    #[test]
    fn presets_are_worlds_of_the_sizes_that_they_state() {
        let info = info();
        let millions = |preset| {
            let settings = Settings::preset(preset);
            settings.check().unwrap();
            let world = settings.world(&info).unwrap();
            assert!(settings.dynamics.frames >= world.dynamics.context);
            let params = Params::seeded(0, &Device::Cpu);
            Tokenizer::new(&params, &world).unwrap();
            Dynamics::new(&params, &world).unwrap();
            let vars = params.finish().unwrap();
            vars.values().map(|v| v.elem_count()).sum::<usize>() as f64 / 1e6
        };
        let sizes = [Preset::Tiny, Preset::Small, Preset::Base].map(millions);
        for (size, about) in sizes.into_iter().zip([1.25, 12.0, 60.0]) {
            assert!((0.9..1.1).contains(&(size / about)), "{sizes:?}");
        }
    }

    #[test]
    fn keys_that_a_file_leaves_out_are_the_presets() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "[dynamics_shape]\ndepth = 3\n").unwrap();
        let small = Settings::preset(Preset::Small);
        let read = Settings::read(file.path(), &small).unwrap();
        assert_eq!(read.dynamics_shape.depth, 3);
        assert_eq!(read.dynamics_shape.width, small.dynamics_shape.width);
        assert_eq!(read.tokenizer, small.tokenizer);
    }

    #[test]
    fn a_prediction_and_a_path_that_cannot_be_played_are_refused() {
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
            ("loss", "score", "expected `x`, `v` or `eps`"),
            ("path", "exploding", "expected `linear` or `cosine`"),
        ] {
            let error = read(&format!("[dynamics]\n{key} = \"{wrong}\"\n")).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(expected) && error.contains(wrong), "{error}");
        }
    }
}
