//! Pose estimation for first-person worlds: a small network, the probe, that reads position and
//! direction from a frame. It is trained on real frames whose episodes have the extra arrays `x`,
//! `y`, `cos` and `sin`, `[T]` each.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::Optimizer;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use driftless_data::Episode;
use driftless_data::layout::array::{COS, SIN, X, Y};
use driftless_data::metrics::median;
use driftless_model::layers::Linear;
use driftless_model::params::{Init, Params};
use driftless_model::tokenizer::from_brightness;

use crate::{Error, Result};

/// Blocks per side: the input of the probe is the mean colour of each block.
const BLOCKS: usize = 16;
/// Inputs of the probe: an RGB mean per block.
const INPUTS: usize = BLOCKS * BLOCKS * 3;
const HIDDEN: usize = 256;
/// Training steps of a probe.
pub const PROBE_STEPS: usize = 4000;
const BATCH: usize = 256;
const LEARNING_RATE: f64 = 2e-3;
/// Frames that are read at once.
const READ_BATCH: usize = 256;

/// A position and a viewing direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProbePose {
    /// Position along x, in the units of the world.
    pub x: f32,
    /// Position along y.
    pub y: f32,
    /// Cosine of the direction. The vector (`cos`, `sin`) need not have length 1.
    pub cos: f32,
    /// Sine of the direction.
    pub sin: f32,
}

impl ProbePose {
    /// The poses of an episode; `None` if it has no poses.
    pub fn of(episode: &Episode) -> Option<Vec<Self>> {
        let column = |name: &str| {
            let extra = episode.extras.get(name)?;
            (extra.shape == [episode.frames()]).then_some(&extra.values)
        };
        let (x, y, cos, sin) = (column(X)?, column(Y)?, column(COS)?, column(SIN)?);
        let poses = (0..episode.frames()).map(|t| Self {
            x: x[t],
            y: y[t],
            cos: cos[t],
            sin: sin[t],
        });
        Some(poses.collect())
    }

    /// Distance between the positions.
    fn distance(self, other: Self) -> f64 {
        f64::from(self.x - other.x).hypot(f64::from(self.y - other.y))
    }

    /// Angle between the directions in degrees, 0 to 180.
    fn angle(self, other: Self) -> f64 {
        let degrees = |pose: Self| f64::from(pose.sin).atan2(f64::from(pose.cos)).to_degrees();
        let angle = (degrees(self) - degrees(other)).rem_euclid(360.0);
        angle.min(360.0 - angle)
    }
}

/// Errors of the poses that are read from frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PoseStats {
    /// Number of frames.
    pub frames: usize,
    /// Median distance of the positions, in the units of the world.
    pub distance: Option<f64>,
    /// Median angle between the directions, in degrees.
    pub angle: Option<f64>,
}

impl PoseStats {
    /// Statistics of (predicted, true) pairs.
    pub(super) fn of(pairs: &[(ProbePose, ProbePose)]) -> Self {
        let errors = |error: fn(ProbePose, ProbePose) -> f64| -> Vec<f64> {
            pairs.iter().map(|&(a, b)| error(a, b)).collect()
        };
        Self {
            frames: pairs.len(),
            distance: median(&errors(ProbePose::distance)),
            angle: median(&errors(ProbePose::angle)),
        }
    }
}

/// Reads a pose from a frame: W₃ silu(W₂ silu(W₁ x + b₁) + b₂) + b₃ of the means x of 16 × 16
/// blocks.
pub struct PoseProbe {
    size: [usize; 2],
    layers: [Linear; 3],
    /// Centre of the range of the positions, and half its width.
    centre: [f32; 2],
    scale: [f32; 2],
}

impl PoseProbe {
    /// Trains a probe for `steps` steps on episodes with poses.
    ///
    /// # Errors
    /// Returns an error if an episode has no poses, if the frames' sides are not multiples of 16
    /// pixels, or if the episodes differ in frame size.
    pub fn train(episodes: &[Episode], steps: usize, seed: u64) -> Result<Self> {
        let needs = |what: &str| Error::Episodes(format!("the pose probe needs {what}"));
        let first = episodes.first().ok_or_else(|| needs("an episode"))?;
        let size = [first.height, first.width];
        if size.iter().any(|side| side % BLOCKS != 0) {
            return Err(needs("frames whose sides are multiples of 16 pixels"));
        }
        let (mut inputs, mut poses) = (Vec::new(), Vec::new());
        for episode in episodes {
            let episode_poses = ProbePose::of(episode)
                .ok_or_else(|| needs("episodes with the arrays `x`, `y`, `cos` and `sin`"))?;
            if [episode.height, episode.width] != size {
                return Err(needs("frames of one size"));
            }
            poses.extend(episode_poses);
            inputs.extend((0..episode.frames()).flat_map(|t| block_means(episode.frame(t), size)));
        }
        let range = |of: fn(&ProbePose) -> f32| {
            let values = || poses.iter().map(of);
            let (low, high) = (
                values().fold(f32::INFINITY, f32::min),
                values().fold(f32::NEG_INFINITY, f32::max),
            );
            (0.5 * (low + high), (0.5 * (high - low)).max(1e-6))
        };
        let ((cx, sx), (cy, sy)) = (range(|p| p.x), range(|p| p.y));
        let (centre, scale) = ([cx, cy], [sx, sy]);
        let params = Params::seeded(seed, &Device::Cpu);
        let layer = |name, size| Linear::new(&params, name, size, Init::FanIn, true);
        let probe = Self {
            size,
            layers: [
                layer("first", [HIDDEN, INPUTS])?,
                layer("second", [HIDDEN, HIDDEN])?,
                layer("out", [4, HIDDEN])?,
            ],
            centre,
            scale,
        };
        let targets: Vec<[f32; 4]> = poses
            .iter()
            .map(|p| [(p.x - cx) / sx, (p.y - cy) / sy, p.cos, p.sin])
            .collect();
        let vars = params.finish()?.into_values().collect();
        probe.fit(vars, &inputs, &targets, steps, seed)?;
        Ok(probe)
    }

    /// Minimizes the squared error with AdamW and a linearly decaying learning rate.
    fn fit(
        &self,
        vars: Vec<Var>,
        inputs: &[f32],
        targets: &[[f32; 4]],
        steps: usize,
        seed: u64,
    ) -> Result<()> {
        let mut optimizer = candle_nn::AdamW::new(vars, candle_nn::ParamsAdamW::default())?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for step in 0..steps {
            optimizer.set_learning_rate(LEARNING_RATE * (steps - step) as f64 / steps as f64);
            let (mut x, mut y) = (Vec::new(), Vec::new());
            for _ in 0..BATCH {
                let at = rng.random_range(0..targets.len());
                x.extend_from_slice(&inputs[at * INPUTS..(at + 1) * INPUTS]);
                y.extend_from_slice(&targets[at]);
            }
            let x = Tensor::from_vec(x, (BATCH, INPUTS), &Device::Cpu)?;
            let y = Tensor::from_vec(y, (BATCH, 4), &Device::Cpu)?;
            let loss = (self.forward(&x)? - y)?.sqr()?.mean_all()?;
            optimizer.backward_step(&loss)?;
        }
        Ok(())
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [first, second, out] = &self.layers;
        Ok(out.forward(&second.forward(&first.forward(x)?.silu()?)?.silu()?)?)
    }

    /// Reads the poses of frames, u8 RGB `[T, H, W, 3]`.
    ///
    /// # Errors
    /// Returns an error if the frames do not have the size that the probe was trained on.
    pub fn read(&self, images: &[u8]) -> Result<Vec<ProbePose>> {
        let len = self.size[0] * self.size[1] * 3;
        if !images.len().is_multiple_of(len) {
            return Err(Error::Shape(format!(
                "the frames have {} bytes, the pose probe expects a multiple of {len}",
                images.len()
            )));
        }
        let mut poses = Vec::with_capacity(images.len() / len);
        for chunk in images.chunks(READ_BATCH * len) {
            let x: Vec<f32> = chunk
                .chunks_exact(len)
                .flat_map(|image| block_means(image, self.size))
                .collect();
            let x = Tensor::from_vec(x, (chunk.len() / len, INPUTS), &Device::Cpu)?;
            let rows = self.forward(&x)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            poses.extend(rows.iter().map(|row| ProbePose {
                x: self.centre[0] + self.scale[0] * row[0],
                y: self.centre[1] + self.scale[1] * row[1],
                cos: row[2],
                sin: row[3],
            }));
        }
        Ok(poses)
    }
}

/// The means of an image over 16 × 16 blocks, in [−1, 1].
fn block_means(image: &[u8], [height, width]: [usize; 2]) -> Vec<f32> {
    let (bh, bw) = (height / BLOCKS, width / BLOCKS);
    let mut sums = vec![0u32; INPUTS];
    for (i, &value) in image.iter().enumerate() {
        let (y, x, channel) = (i / 3 / width, i / 3 % width, i % 3);
        sums[((y / bh) * BLOCKS + x / bw) * 3 + channel] += u32::from(value);
    }
    let count = (bh * bw) as f32;
    sums.into_iter()
        .map(|sum| from_brightness(sum as f32 / count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_data::ExtraArray;

    /// Frames with a square: its place is the position, its colour the direction.
    fn episode(seed: u64, frames: usize) -> Episode {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut images = Vec::new();
        let mut columns: [Vec<f32>; 4] = Default::default();
        for _ in 0..frames {
            let (x, y) = (rng.random_range(0..24), rng.random_range(0..24));
            let (sin, cos) = rng.random_range(0.0..std::f32::consts::TAU).sin_cos();
            let level = |value: f32| (127.0 + 120.0 * value) as u8;
            let colour = [level(cos), level(sin), 200];
            for at in 0..32 * 32 {
                let inside = (x..x + 8).contains(&(at % 32)) && (y..y + 8).contains(&(at / 32));
                images.extend(if inside { colour } else { [0; 3] });
            }
            let row = [x as f32 / 6.0, y as f32 / 6.0, cos, sin];
            columns.iter_mut().zip(row).for_each(|(c, v)| c.push(v));
        }
        let names = ["x", "y", "cos", "sin"].map(str::to_owned);
        let extras = columns.map(|values| ExtraArray {
            shape: vec![frames],
            values,
        });
        Episode {
            height: 32,
            width: 32,
            images,
            actions: vec![0; frames],
            rewards: vec![0.0; frames],
            extras: names.into_iter().zip(extras).collect(),
        }
    }

    #[test]
    fn probe_reads_unseen_frames() {
        let probe = PoseProbe::train(&[episode(1, 500), episode(2, 500)], 300, 0).unwrap();
        let held_out = episode(3, 300);
        let predicted = probe.read(&held_out.images).unwrap();
        let truth = ProbePose::of(&held_out).unwrap();
        let pairs: Vec<_> = predicted.into_iter().zip(truth.iter().copied()).collect();
        let stats = PoseStats::of(&pairs);
        assert!(stats.distance.unwrap() < 0.3, "{stats:?}");
        assert!(stats.angle.unwrap() < 15.0, "{stats:?}");
        // A constant prediction is far off.
        let constant: Vec<_> = truth.iter().map(|&pose| (truth[0], pose)).collect();
        assert!(PoseStats::of(&constant).distance.unwrap() > 1.0);
    }

    #[test]
    fn angles_wrap_around() {
        let at = |x: f32, degrees: f32| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            ProbePose {
                x,
                y: 0.0,
                cos: 2.0 * cos,
                sin: 2.0 * sin,
            }
        };
        let stats = PoseStats::of(&[(at(0.0, 175.0), at(3.0, -175.0))]);
        assert!((stats.distance.unwrap() - 3.0).abs() < 1e-6);
        assert!((stats.angle.unwrap() - 10.0).abs() < 1e-3);
    }

    #[test]
    fn missing_poses_are_an_error() {
        let mut without = episode(1, 3);
        without.extras.remove("cos");
        let error = PoseProbe::train(&[without], 1, 0)
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("`cos`"), "{error}");
    }
}
