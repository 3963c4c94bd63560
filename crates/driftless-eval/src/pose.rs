//! Where a picture of a first-person world was seen from: a small probe that is trained on real
//! frames, whose episodes say so (extra arrays `x`, `y`, `cos` and `sin`, [T] each).

use candle_core::{DType, Device, Tensor};
use candle_nn::Optimizer;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::Serialize;

use crate::{Error, Result};
use driftless_data::Episode;
use driftless_data::metrics::median;
use driftless_model::layers::Linear;
use driftless_model::params::{Init, Params};

/// Blocks along a side that a picture is averaged to before the probe sees it.
const BLOCKS: usize = 16;
const HIDDEN: usize = 256;
/// Steps that a probe is trained for.
pub const STEPS: usize = 4000;
const BATCH: usize = 256;
const RATE: f64 = 2e-3;
/// Pictures that are read at once.
const AT_ONCE: usize = 256;

/// A place and a direction of view.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pose {
    /// Place along x, in the world's own unit.
    pub x: f32,
    /// Place along y.
    pub y: f32,
    /// Cosine of the direction; the pair need not be of length 1.
    pub cos: f32,
    /// Sine of the direction.
    pub sin: f32,
}

impl Pose {
    /// The poses of an episode that carries them.
    pub fn of(episode: &Episode) -> Option<Vec<Self>> {
        let column = |name: &str| {
            let extra = episode.extras.get(name)?;
            (extra.shape == [episode.frames()]).then_some(&extra.values)
        };
        let (x, y, cos, sin) = (column("x")?, column("y")?, column("cos")?, column("sin")?);
        let poses = (0..episode.frames()).map(|t| Self {
            x: x[t],
            y: y[t],
            cos: cos[t],
            sin: sin[t],
        });
        Some(poses.collect())
    }

    /// Distance of the places.
    fn off(self, other: Self) -> f64 {
        f64::from(self.x - other.x).hypot(f64::from(self.y - other.y))
    }

    /// Angle between the directions in degrees, 0 to 180.
    fn turned(self, other: Self) -> f64 {
        let angle = |pose: Self| f64::from(pose.sin).atan2(f64::from(pose.cos)).to_degrees();
        let turned = (angle(self) - angle(other)).rem_euclid(360.0);
        turned.min(360.0 - turned)
    }
}

/// How far the poses that are read from pictures lie from the true ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct PoseStats {
    /// Pictures.
    pub frames: usize,
    /// Median distance of the places, in the world's own unit.
    pub distance: Option<f64>,
    /// Median angle between the directions, in degrees.
    pub angle: Option<f64>,
}

impl PoseStats {
    /// Of (read, true) pairs.
    pub(super) fn of(pairs: &[(Pose, Pose)]) -> Self {
        let each = |error: fn(Pose, Pose) -> f64| -> Vec<f64> {
            pairs.iter().map(|&(a, b)| error(a, b)).collect()
        };
        Self {
            frames: pairs.len(),
            distance: median(&each(Pose::off)),
            angle: median(&each(Pose::turned)),
        }
    }
}

/// Reads a pose from a picture: W₃ silu(W₂ silu(W₁ x + b₁) + b₂) + b₃ of the picture's 16 × 16 means.
pub struct Probe {
    size: [usize; 2],
    layers: [Linear; 3],
    /// Middle and half the range of the places.
    centre: [f32; 2],
    scale: [f32; 2],
}

impl Probe {
    /// Trains a probe for `steps` steps on episodes that carry their poses.
    ///
    /// # Errors
    /// An episode says no pose, or its frames are smaller than 16 pixels or of another size.
    pub fn train(episodes: &[Episode], steps: usize, seed: u64) -> Result<Self> {
        let wrong = |what: &str| Error::Argument(format!("the pose probe needs {what}"));
        let first = episodes.first().ok_or_else(|| wrong("an episode"))?;
        let size = [first.height, first.width];
        if size.iter().any(|side| side % BLOCKS != 0) {
            return Err(wrong("frames whose sides are multiples of 16 pixels"));
        }
        let (mut pictures, mut poses) = (Vec::new(), Vec::new());
        for episode in episodes {
            let own = Pose::of(episode)
                .ok_or_else(|| wrong("episodes with the arrays `x`, `y`, `cos` and `sin`"))?;
            if [episode.height, episode.width] != size {
                return Err(wrong("frames of one size"));
            }
            poses.extend(own);
            pictures.extend((0..episode.frames()).flat_map(|t| blocks(episode.frame(t), size)));
        }
        let range = |of: fn(&Pose) -> f32| {
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
        let inputs = BLOCKS * BLOCKS * 3;
        let layer = |name, size| Linear::new(&params, name, size, Init::FanIn, true);
        let probe = Self {
            size,
            layers: [
                layer("first", [HIDDEN, inputs])?,
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
        let mut optimizer = candle_nn::AdamW::new(vars, candle_nn::ParamsAdamW::default())?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        for step in 0..steps {
            optimizer.set_learning_rate(RATE * (steps - step) as f64 / steps as f64);
            let (mut x, mut y) = (Vec::new(), Vec::new());
            for _ in 0..BATCH {
                let at = rng.random_range(0..targets.len());
                x.extend_from_slice(&pictures[at * inputs..(at + 1) * inputs]);
                y.extend_from_slice(&targets[at]);
            }
            let x = Tensor::from_vec(x, (BATCH, inputs), &Device::Cpu)?;
            let y = Tensor::from_vec(y, (BATCH, 4), &Device::Cpu)?;
            let loss = (probe.forward(&x)? - y)?.sqr()?.mean_all()?;
            optimizer.backward_step(&loss)?;
        }
        Ok(probe)
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [first, second, out] = &self.layers;
        Ok(out.forward(&second.forward(&first.forward(x)?.silu()?)?.silu()?)?)
    }

    /// The poses of frames, u8 RGB `[T, H, W, 3]`.
    ///
    /// # Errors
    /// The frames are not of the size that the probe was trained on.
    pub fn read(&self, images: &[u8]) -> Result<Vec<Pose>> {
        let len = self.size[0] * self.size[1] * 3;
        if !images.len().is_multiple_of(len) {
            return Err(Error::Argument(format!(
                "frames hold {} bytes, the pose probe expects multiples of {len}",
                images.len()
            )));
        }
        let mut poses = Vec::with_capacity(images.len() / len);
        for some in images.chunks(AT_ONCE * len) {
            let x: Vec<f32> = some
                .chunks_exact(len)
                .flat_map(|image| blocks(image, self.size))
                .collect();
            let x = Tensor::from_vec(x, (some.len() / len, BLOCKS * BLOCKS * 3), &Device::Cpu)?;
            let rows = self.forward(&x)?.to_dtype(DType::F32)?.to_vec2::<f32>()?;
            poses.extend(rows.iter().map(|row| Pose {
                x: self.centre[0] + self.scale[0] * row[0],
                y: self.centre[1] + self.scale[1] * row[1],
                cos: row[2],
                sin: row[3],
            }));
        }
        Ok(poses)
    }
}

/// A picture's means over 16 × 16 blocks, in [−1, 1].
fn blocks(image: &[u8], [height, width]: [usize; 2]) -> Vec<f32> {
    let (bh, bw) = (height / BLOCKS, width / BLOCKS);
    let mut sums = vec![0u32; BLOCKS * BLOCKS * 3];
    for (i, &value) in image.iter().enumerate() {
        let (y, x, channel) = (i / 3 / width, i / 3 % width, i % 3);
        sums[((y / bh) * BLOCKS + x / bw) * 3 + channel] += u32::from(value);
    }
    let count = (bh * bw) as f32;
    sums.into_iter()
        .map(|sum| sum as f32 / count / 127.5 - 1.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_data::Extra;

    /// A square that tells the place by where it stands and the direction by its colour.
    fn episode(seed: u64, frames: usize) -> Episode {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut images = Vec::new();
        let mut columns: [Vec<f32>; 4] = Default::default();
        for _ in 0..frames {
            let (x, y) = (rng.random_range(0..24), rng.random_range(0..24));
            let (sin, cos) = rng.random_range(0.0..std::f32::consts::TAU).sin_cos();
            let level = |share: f32| (127.0 + 120.0 * share) as u8;
            let colour = [level(cos), level(sin), 200];
            for at in 0..32 * 32 {
                let inside = (x..x + 8).contains(&(at % 32)) && (y..y + 8).contains(&(at / 32));
                images.extend(if inside { colour } else { [0; 3] });
            }
            let row = [x as f32 / 6.0, y as f32 / 6.0, cos, sin];
            columns.iter_mut().zip(row).for_each(|(c, v)| c.push(v));
        }
        let names = ["x", "y", "cos", "sin"].map(str::to_owned);
        let extras = columns.map(|values| Extra {
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
    fn on_pictures_that_it_was_not_trained_on_the_probe_is_near_the_truth() {
        let probe = Probe::train(&[episode(1, 500), episode(2, 500)], 300, 0).unwrap();
        let held_out = episode(3, 300);
        let read = probe.read(&held_out.images).unwrap();
        let truth = Pose::of(&held_out).unwrap();
        let pairs: Vec<_> = read.into_iter().zip(truth.iter().copied()).collect();
        let stats = PoseStats::of(&pairs);
        assert!(stats.distance.unwrap() < 0.3, "{stats:?}");
        assert!(stats.angle.unwrap() < 15.0, "{stats:?}");
        // One that reads nothing is far off.
        let still: Vec<_> = truth.iter().map(|&pose| (truth[0], pose)).collect();
        assert!(PoseStats::of(&still).distance.unwrap() > 1.0);
    }

    #[test]
    fn poses_are_compared_the_short_way_round() {
        let at = |x: f32, degrees: f32| {
            let (sin, cos) = degrees.to_radians().sin_cos();
            Pose {
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
    fn an_episode_without_poses_is_refused() {
        let mut bad = episode(1, 3);
        bad.extras.remove("cos");
        let error = Probe::train(&[bad], 1, 0).err().unwrap().to_string();
        assert!(error.contains("`cos`"), "{error}");
    }
}
