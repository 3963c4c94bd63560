//! The settings of a transport run: one TOML file with defaults.

use std::path::Path;

use serde::{Deserialize, Serialize};

use driftless_flow::coupling::Coupling;
use driftless_flow::prediction::Prediction;
use driftless_flow::solver::Method;
use driftless_model::config::deserialize_prediction;
use driftless_transport::config::{FlowShape, NetworkShape, Sampling};
use driftless_transport::{Route, Source};

use crate::Result;
use crate::settings::{OptimizerSettings, read_checked};

/// The settings of a transport run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransportSettings {
    /// Seed of weights, batches and noise.
    pub seed: u64,
    /// Minutes between two saves.
    pub save_minutes: f64,
    /// Minutes between two preview pictures; 0 turns them off.
    pub preview_minutes: f64,
    /// Where the flow starts: `control` or `noise`.
    pub source: Source,
    /// Which control belongs to which treated cell: `independent`, `minibatch_ot` or, with a
    /// simulator's truth, `paired`.
    pub coupling: Coupling,
    /// What the network predicts: `x` or `v`.
    #[serde(deserialize_with = "deserialize_prediction")]
    pub prediction: Prediction,
    /// Pictures per step.
    pub batch_size: usize,
    /// Treated cells of one well, and controls of its plate, that `minibatch_ot` couples at a time.
    pub coupled_cells: usize,
    /// How many of these pairs enter the batch; the others only help to find better ones.
    pub pairs_per_well: usize,
    /// Fraction of the controls that get noise.
    pub noised_fraction: f64,
    /// Its standard deviation, in units of the pictures' own.
    pub source_noise: f64,
    /// Fraction of the targets that are controls: what an untreated cell is.
    pub control_fraction: f64,
    /// Fraction of the conditions that are hidden from the network, for guidance.
    pub condition_dropout: f64,
    /// Fraction of the plates that are hidden from the network, so that it can do without.
    pub plate_dropout: f64,
    /// Whether pictures are turned and mirrored.
    pub turns: bool,
    /// Optimizer and schedule.
    pub optimizer: OptimizerSettings,
    /// Shape of the network.
    pub network: NetworkShape,
    /// How the trained network is sampled unless someone says otherwise.
    pub sampling: Sampling,
}

impl Default for TransportSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            save_minutes: 5.0,
            preview_minutes: 10.0,
            source: Source::Control,
            coupling: Coupling::MinibatchOt,
            prediction: Prediction::V,
            batch_size: 16,
            coupled_cells: 16,
            pairs_per_well: 4,
            noised_fraction: 0.5,
            source_noise: 0.25,
            control_fraction: 0.1,
            condition_dropout: 0.15,
            plate_dropout: 0.1,
            turns: true,
            optimizer: OptimizerSettings {
                steps: 8_000,
                learning_rate: 2e-3,
                muon_learning_rate: 4e-3,
                warmup_steps: 100,
                decay_fraction: 0.4,
                weight_decay: 0.01,
                grad_clip: 1.0,
                ema_decay: 0.999,
            },
            network: NetworkShape::default(),
            sampling: Sampling {
                route: Route::Forward,
                method: Method::Heun,
                steps: 4,
                guidance: 1.0,
                source_noise: 0.0,
            },
        }
    }
}

impl TransportSettings {
    /// Reads a TOML file. Keys that it leaves out keep their defaults.
    ///
    /// # Errors
    /// Returns an error if the file is missing or not TOML, or if a key is unknown or out of its range.
    pub fn read(path: &Path) -> Result<Self> {
        read_checked(path, Self::check)
    }

    /// What the checkpoint says of the training.
    pub(super) fn flow(&self) -> FlowShape {
        let noised = self.source == Source::Control && self.noised_fraction > 0.0;
        FlowShape {
            source: self.source,
            prediction: self.prediction,
            source_noise: if noised {
                self.source_noise as f32
            } else {
                0.0
            },
        }
    }

    fn check(&self) -> std::result::Result<(), String> {
        let fraction = |x: f64| (0.0..=1.0).contains(&x);
        let pairs = self.source == Source::Control || self.coupling == Coupling::Independent;
        let rules = [
            ("save_minutes", self.save_minutes >= 0.0, "0 or more"),
            ("preview_minutes", self.preview_minutes >= 0.0, "0 or more"),
            (
                "batch_size",
                (1..=4096).contains(&self.batch_size),
                "1 to 4096",
            ),
            (
                "coupled_cells",
                (1..=256).contains(&self.coupled_cells),
                "1 to 256",
            ),
            (
                "pairs_per_well",
                (1..=self.coupled_cells).contains(&self.pairs_per_well),
                "1 to coupled_cells",
            ),
            ("coupling", pairs, "independent, since the source is noise"),
            ("noised_fraction", fraction(self.noised_fraction), "0 to 1"),
            (
                "source_noise",
                (0.0..=10.0).contains(&self.source_noise),
                "0 to 10",
            ),
            (
                "control_fraction",
                fraction(self.control_fraction),
                "0 to 1",
            ),
            (
                "condition_dropout",
                fraction(self.condition_dropout),
                "0 to 1",
            ),
            ("plate_dropout", fraction(self.plate_dropout), "0 to 1"),
            ("optimizer.steps", self.optimizer.steps >= 1, "1 or more"),
        ];
        match rules.iter().find(|(_, valid, _)| !valid) {
            Some((key, _, expected)) => {
                Err(format!("{key} is out of its range, expected {expected}"))
            }
            None => self.optimizer.check("optimizer."),
        }
    }
}
