//! `config.json` of a transport checkpoint, and the numbers by which the network knows a condition.

use std::path::Path;

use serde::{Deserialize, Serialize};

use driftless_data::PathError as _;
use driftless_data::cells::{Compound, MAX_CHANNELS, MAX_SIDE};
use driftless_data::fs::read_text;
use driftless_flow::prediction::Prediction;
use driftless_flow::solver::Method;
use driftless_model::config::deserialize_prediction;

use crate::{Error, Result};

/// The version of the file.
pub const FORMAT_VERSION: u32 = 1;
/// What `kind` says.
pub const KIND: &str = "transport";
/// File name of the network's weights.
pub const WEIGHTS: &str = "transport.safetensors";
/// Numbers by which the network knows a dose.
pub const DOSE_FEATURES: usize = 4;

/// What is known about a transport network besides its weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransportConfig {
    /// [`FORMAT_VERSION`].
    pub format: u32,
    /// [`KIND`]: tells it from a world's checkpoint.
    pub kind: String,
    /// For display.
    pub name: String,
    /// Height and width of the pictures.
    pub image: [usize; 2],
    /// What the channels show.
    pub channels: Vec<String>,
    /// Unit of doses, for display.
    pub dose_unit: String,
    /// Smallest and largest dose of the training.
    pub doses: [f32; 2],
    /// All compounds of the dataset.
    pub compounds: Vec<KnownCompound>,
    /// The plates of the training.
    pub plates: Vec<String>,
    /// What bytes become in the network: (byte − mean) / std, one of each a channel.
    pub normalization: Normalization,
    /// Shape of the network.
    pub network: NetworkShape,
    /// What it was trained on.
    pub flow: FlowShape,
    /// How it is sampled unless someone says otherwise.
    pub sampling: Sampling,
}

/// A compound that the network can be asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KnownCompound {
    /// Name, descriptor and mechanism.
    pub compound: Compound,
    /// Whether the network was trained on it.
    pub trained: bool,
}

/// Mean and standard deviation of the bytes of each channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalization {
    /// One number a channel.
    pub mean: Vec<f32>,
    /// One number a channel.
    pub std: Vec<f32>,
}

/// Shape of the network.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkShape {
    /// Side of the square of pixels that belongs to a token.
    pub patch: usize,
    /// Pixels beyond its square that a token also sees and predicts, on each side.
    pub overlap: usize,
    /// Numbers per token.
    pub width: usize,
    /// Layers.
    pub depth: usize,
    /// Attention heads.
    pub heads: usize,
    /// Hidden numbers of a layer's SwiGLU.
    pub mlp: usize,
}

impl Default for NetworkShape {
    fn default() -> Self {
        Self {
            patch: 8,
            overlap: 2,
            width: 128,
            depth: 6,
            heads: 4,
            mlp: 320,
        }
    }
}

/// Where the flow starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// At a control of the same plate.
    #[default]
    Control,
    /// At pure noise.
    Noise,
}

/// What the network was trained on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FlowShape {
    /// Where the flow starts.
    pub source: Source,
    /// What the network predicts: `x` or `v`.
    #[serde(deserialize_with = "deserialize_prediction")]
    pub prediction: Prediction,
    /// Standard deviation of the noise that was added to some controls, in units of the pictures'.
    pub source_noise: f32,
}

/// How a control becomes a treated cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// From the source to the data: from the control itself, or from noise if the source is noise.
    Forward,
    /// Back from the control, as an untreated cell, to the source, and from there forward under the
    /// drug.
    Invert,
}

/// Defaults of [`crate::TransportParams`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// The route.
    pub route: Route,
    /// The solver.
    pub method: Method,
    /// Its steps.
    pub steps: usize,
    /// Guidance: 1 is the condition's own velocity.
    pub guidance: f64,
    /// Standard deviation of the noise that is added to the control.
    pub source_noise: f32,
}

/// What the network is asked for: a compound at a dose on a plate.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Condition {
    /// Index of the compound; `None` is an untreated cell.
    pub compound: Option<usize>,
    /// Its dose; not used without a compound.
    pub dose: f32,
    /// Index of the plate among those of the training; `None` if it is not one of them.
    pub plate: Option<usize>,
}

/// A condition as the network's numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct ConditionRow {
    /// The compound's descriptor; zeros without one.
    pub descriptor: Vec<f32>,
    /// cos(π k u), k = 0 …, of the dose's place u; zeros without a compound.
    pub dose: [f32; DOSE_FEATURES],
    /// 0 is an unknown plate.
    pub plate: usize,
    /// Whether the whole condition is hidden from the network.
    pub dropped: bool,
}

impl TransportConfig {
    /// Reads `config.json`.
    ///
    /// # Errors
    /// Returns an error if the file is missing, of another kind, or not valid.
    pub fn read(path: &Path) -> Result<Self> {
        let text = read_text(path)?;
        let wrong = |what: String| Error::invalid(path, what);
        let any: serde_json::Value =
            serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let kind = any.get("kind").and_then(serde_json::Value::as_str);
        if kind != Some(KIND) {
            let found = kind.map_or("missing".to_owned(), |kind| format!("`{kind}`"));
            return Err(wrong(format!("kind is {found}, expected `{KIND}`")));
        }
        let config: Self = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        config.check().map_err(wrong)?;
        Ok(config)
    }

    /// Whether a folder holds a transport checkpoint, by its `config.json`.
    pub fn is_in(folder: &Path) -> bool {
        let text = read_text(&folder.join("config.json")).unwrap_or_default();
        let any: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        any.get("kind").and_then(serde_json::Value::as_str) == Some(KIND)
    }

    /// Says which key is out of its range, and what was expected.
    pub fn check(&self) -> std::result::Result<(), String> {
        let n = &self.network;
        let channels = self.channels.len();
        let descriptor = self.descriptor_len();
        let sides = 8..=MAX_SIDE;
        let cells = |side: &usize| sides.contains(side) && side.is_multiple_of(n.patch.max(1));
        let positive = |x: &f32| x.is_finite() && *x > 0.0;
        let norm = &self.normalization;
        let one_each = norm.mean.len() == channels && norm.std.len() == channels;
        let usable = norm.mean.iter().all(|x| x.is_finite()) && norm.std.iter().all(positive);
        let equal = self
            .compounds
            .iter()
            .all(|c| c.compound.descriptor.len() == descriptor);
        let trained = matches!(self.flow.prediction, Prediction::X | Prediction::V);
        let [least, most] = self.doses;
        let sampling = &self.sampling;
        let rules = [
            ("format", self.format == FORMAT_VERSION, "1"),
            ("network.patch", (2..=64).contains(&n.patch), "2 to 64"),
            (
                "network.overlap",
                n.overlap <= n.patch,
                "at most network.patch",
            ),
            (
                "image",
                self.image.iter().all(cells),
                "sides of 8 to 512, multiples of network.patch",
            ),
            (
                "channels",
                (1..=MAX_CHANNELS).contains(&channels),
                "1 to 6 names",
            ),
            (
                "doses",
                positive(&least) && most >= least && most.is_finite(),
                "a range above 0",
            ),
            (
                "compounds",
                !self.compounds.is_empty() && equal,
                "descriptors of one length",
            ),
            (
                "normalization",
                one_each && usable,
                "a mean and a std above 0 for each channel",
            ),
            ("network.heads", (1..=64).contains(&n.heads), "1 to 64"),
            (
                "network.width",
                (1..=4096).contains(&n.width) && n.width.is_multiple_of(n.heads.max(1)),
                "1 to 4096, a multiple of network.heads",
            ),
            ("network.depth", (1..=64).contains(&n.depth), "1 to 64"),
            ("network.mlp", (1..=16_384).contains(&n.mlp), "1 to 16384"),
            ("flow.prediction", trained, "x or v"),
            (
                "flow.source_noise",
                (0.0..=10.0).contains(&self.flow.source_noise),
                "0 to 10",
            ),
            (
                "sampling.steps",
                (1..=1000).contains(&sampling.steps),
                "1 to 1000",
            ),
            (
                "sampling.guidance",
                (0.0..=10.0).contains(&sampling.guidance),
                "0 to 10",
            ),
            (
                "sampling.source_noise",
                (0.0..=10.0).contains(&sampling.source_noise),
                "0 to 10",
            ),
        ];
        match rules.iter().find(|(_, valid, _)| !valid) {
            Some((key, _, expected)) => {
                Err(format!("{key} is out of its range, expected {expected}"))
            }
            None => Ok(()),
        }
    }

    /// Length of a compound's descriptor.
    pub fn descriptor_len(&self) -> usize {
        self.compounds
            .first()
            .map_or(0, |c| c.compound.descriptor.len())
    }

    /// Bytes of a picture.
    pub fn picture_len(&self) -> usize {
        self.image[0] * self.image[1] * self.channels.len()
    }

    /// Tokens of a picture.
    pub fn tokens(&self) -> usize {
        self.image
            .iter()
            .map(|side| side / self.network.patch)
            .product()
    }

    /// Numbers of a token's window.
    pub fn window_len(&self) -> usize {
        let side = self.network.patch + 2 * self.network.overlap;
        side * side * self.channels.len()
    }

    /// For every number of every token's window, its index in a picture [H, W, C]; the picture's length
    /// where the window is outside of the picture.
    pub fn windows(&self) -> Vec<u32> {
        let ([height, width], channels) = (self.image, self.channels.len());
        let (patch, overlap) = (self.network.patch, self.network.overlap as isize);
        let outside = self.picture_len() as u32;
        let mut all = Vec::with_capacity(self.tokens() * self.window_len());
        for token in 0..self.tokens() {
            let across = width / patch;
            let corner = [token / across * patch, token % across * patch].map(|at| at as isize);
            let side = -overlap..patch as isize + overlap;
            for y in side.clone().map(|dy| corner[0] + dy) {
                for x in side.clone().map(|dx| corner[1] + dx) {
                    let inside =
                        (0..height as isize).contains(&y) && (0..width as isize).contains(&x);
                    let at = (y * width as isize + x) * channels as isize;
                    let index = |c: isize| if inside { (at + c) as u32 } else { outside };
                    all.extend((0..channels as isize).map(index));
                }
            }
        }
        all
    }

    /// The plate's index by its name.
    pub fn plate(&self, name: &str) -> Option<usize> {
        self.plates.iter().position(|plate| plate == name)
    }

    /// The compound's index by its name.
    pub fn compound(&self, name: &str) -> Option<usize> {
        self.compounds.iter().position(|c| c.compound.name == name)
    }

    /// Whether a dose lies in the range of the training.
    pub fn is_dose_trained(&self, dose: f32) -> bool {
        (self.doses[0]..=self.doses[1]).contains(&dose)
    }

    /// A condition as the network's numbers. Doses far outside the training range count as its ends
    /// and a sixth of its decades more.
    ///
    /// # Errors
    /// Returns an error if there is no such compound or plate, or if the dose is not positive.
    pub fn row(&self, condition: &Condition, dropped: bool) -> Result<ConditionRow> {
        let plate = match condition.plate {
            Some(plate) if plate >= self.plates.len() => {
                let count = self.plates.len();
                return Err(Error::Argument(format!(
                    "no plate {plate}, expected 0 to {}",
                    count - 1
                )));
            }
            plate => plate.map_or(0, |plate| plate + 1),
        };
        let Some(compound) = condition.compound else {
            return Ok(ConditionRow {
                descriptor: vec![0.0; self.descriptor_len()],
                dose: [0.0; DOSE_FEATURES],
                plate,
                dropped,
            });
        };
        let known = self.compounds.get(compound).ok_or_else(|| {
            let count = self.compounds.len();
            Error::Argument(format!(
                "no compound {compound}, expected 0 to {}",
                count - 1
            ))
        })?;
        if !(condition.dose > 0.0 && condition.dose.is_finite()) {
            let dose = condition.dose;
            return Err(Error::Argument(format!(
                "the dose is {dose}, expected a number above 0"
            )));
        }
        let place = self.dose_place(condition.dose);
        Ok(ConditionRow {
            descriptor: known.compound.descriptor.clone(),
            dose: std::array::from_fn(|k| (k as f32 * std::f32::consts::PI * place).cos()),
            plate,
            dropped,
        })
    }

    /// log₁₀ of the dose, mapped to 1/8 … 7/8 over the training range.
    fn dose_place(&self, dose: f32) -> f32 {
        let [least, most] = self.doses.map(f32::log10);
        let span = (most - least).max(1e-3);
        (0.125 + 0.75 * (dose.log10() - least) / span).clamp(0.0, 1.0)
    }
}
