//! A small classifier of mechanisms, trained on real treated cells. Its features are also what Fréchet
//! and kernel distances are computed in.

use candle_core::{D, DType, Device, Tensor};
use candle_nn::Optimizer as _;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use driftless_data::cells::CellDataset;
use driftless_model::layers::Linear;
use driftless_model::params::{Init, Params};

use crate::Result;

/// Side of a patch, and the distance of two.
const PATCH: usize = 8;
const STRIDE: usize = 4;
const HIDDEN: usize = 64;
/// Length of the features.
pub(super) const FEATURES: usize = 32;
const BATCH: usize = 48;
const LEARNING_RATE: f64 = 2e-3;
/// Pictures that are classified at once.
const AT_ONCE: usize = 64;

/// Patches → two layers → mean and root mean square over the picture → features → mechanisms.
pub(super) struct Classifier {
    patches: Tensor,
    count: usize,
    picture: usize,
    layers: [Linear; 4],
    classes: usize,
}

impl Classifier {
    /// Trains for `steps` steps on the pictures `rows`, whose classes are `labels`.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn train(
        data: &CellDataset,
        (rows, labels): (&[usize], &[usize]),
        classes: usize,
        (steps, seed): (usize, u64),
        tick: &mut dyn FnMut(),
    ) -> Result<Self> {
        let [height, width] = data.info.image;
        let channels = data.info.channels.len();
        let params = Params::seeded(seed, &Device::Cpu);
        let layer = |name: &str, size| Linear::new(&params, name, size, Init::FanIn, true);
        let layers = [
            layer("patch", [HIDDEN, PATCH * PATCH * channels])?,
            layer("hidden", [HIDDEN, HIDDEN])?,
            layer("features", [FEATURES, 2 * HIDDEN])?,
            layer("classes", [classes, FEATURES])?,
        ];
        let vars = params.finish()?;
        let index = patches([height, width], channels);
        let classifier = Self {
            count: index.len() / (PATCH * PATCH * channels),
            patches: Tensor::new(index, &Device::Cpu)?,
            picture: data.info.picture_len(),
            layers,
            classes,
        };
        let settings = candle_nn::ParamsAdamW {
            lr: LEARNING_RATE,
            weight_decay: 0.01,
            ..Default::default()
        };
        let mut optimizer = candle_nn::AdamW::new(vars.into_values().collect(), settings)?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for step in 0..steps {
            optimizer.set_learning_rate(LEARNING_RATE * (1.0 - step as f64 / steps as f64));
            let (mut pictures, mut targets) = (Vec::new(), Vec::new());
            for _ in 0..BATCH {
                let i = rng.random_range(0..rows.len());
                append_turned(
                    data.picture(rows[i]),
                    [height, width],
                    channels,
                    rng.random(),
                    &mut pictures,
                );
                targets.push(labels[i] as u32);
            }
            let logits = classifier.logits(&classifier.features_of(&pictures)?)?;
            let targets = Tensor::new(targets, &Device::Cpu)?;
            let loss = candle_nn::loss::cross_entropy(&logits, &targets)?;
            optimizer.backward_step(&loss)?;
            tick();
        }
        Ok(classifier)
    }

    /// The features of pictures, u8 [N, H, W, C], and the class of each.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn classify(&self, pictures: &[u8]) -> Result<(Vec<Vec<f32>>, Vec<usize>)> {
        let (mut features, mut classes) = (Vec::new(), Vec::new());
        for pictures in pictures.chunks(AT_ONCE * self.picture) {
            let of = self.features_of(pictures)?;
            features.extend(of.to_vec2::<f32>()?);
            let best = self.logits(&of)?.argmax(D::Minus1)?.to_vec1::<u32>()?;
            classes.extend(best.into_iter().map(|class| class as usize));
        }
        Ok((features, classes))
    }

    fn features_of(&self, pictures: &[u8]) -> Result<Tensor> {
        let n = pictures.len() / self.picture;
        let values: Vec<f32> = pictures
            .iter()
            .map(|v| f32::from(*v) / 64.0 - 0.5)
            .collect();
        let pictures = Tensor::from_vec(values, (n, self.picture), &Device::Cpu)?;
        let patches = pictures
            .index_select(&self.patches, 1)?
            .reshape((n, self.count, ()))?;
        let [patch, hidden, features, _] = &self.layers;
        let x = patch.forward(&patches)?.silu()?;
        let x = hidden.forward(&x)?.silu()?;
        let mean = x.mean(1)?;
        let size = (x.sqr()?.mean(1)? + 1e-6)?.sqrt()?;
        Ok(features
            .forward(&Tensor::cat(&[&mean, &size], 1)?)?
            .silu()?
            .to_dtype(DType::F32)?)
    }

    fn logits(&self, features: &Tensor) -> Result<Tensor> {
        let logits = self.layers[3].forward(features)?;
        Ok(logits.narrow(1, 0, self.classes)?)
    }
}

/// For every number of every patch, its index in a picture.
fn patches([height, width]: [usize; 2], channels: usize) -> Vec<u32> {
    let mut all = Vec::new();
    for top in (0..=height - PATCH).step_by(STRIDE) {
        for left in (0..=width - PATCH).step_by(STRIDE) {
            for y in top..top + PATCH {
                let at = (y * width + left) * channels;
                all.extend((at..at + PATCH * channels).map(|i| i as u32));
            }
        }
    }
    all
}

/// Appends a picture, mirrored along either axis.
fn append_turned(
    picture: &[u8],
    [height, width]: [usize; 2],
    channels: usize,
    [down, right]: [bool; 2],
    out: &mut Vec<u8>,
) {
    for y in 0..height {
        let y = if down { height - 1 - y } else { y };
        for x in 0..width {
            let x = if right { width - 1 - x } else { x };
            let at = (y * width + x) * channels;
            out.extend_from_slice(&picture[at..at + channels]);
        }
    }
}
