//! A Fréchet distance between sets of clips, in features of a small network that is trained here, on real
//! clips: it tells the camera's motion from quarter to quarter, and what was done to a clip, if anything
//! (blurred, noisy, frozen, out of order, of two clips). Its features must see both what a clip shows and how
//! well.

use candle_core::{Device, Tensor};
use candle_nn::Optimizer as _;
use rand::seq::SliceRandom as _;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use driftless_data::{Episode, Motion, Pose};
use driftless_model::layers::Linear;
use driftless_model::params::{Init, Params};

use super::picture::{FRAME, SIDE, blurred};
use crate::cells::frechet;
use crate::{Error, Result};

/// Frames of a clip.
const FRAMES: usize = 16;
/// Frames that are seen together, and how many such quarters a clip has.
const QUARTER: usize = 4;
const QUARTERS: usize = FRAMES / QUARTER;
/// Places along a side, and pixels along a side of a place.
const PLACES: usize = 8;
const PIXELS: usize = SIDE / PLACES;
/// Numbers of a place in a quarter: each second pixel of the first frame, and its change to the next three at
/// a quarter of the pixels.
const FIRST: usize = (PIXELS / 2) * (PIXELS / 2) * 3;
const PATCH: usize = FIRST * QUARTER;
const WIDTH: usize = 48;
/// Numbers that are left of a place.
const THIN: usize = 8;
/// Length of the features.
const FEATURES: usize = 48;
/// What may have been done to a clip: nothing, or one of five.
const DEEDS: usize = 6;
/// Motions that are told: ahead, aside, turn in each quarter.
const MOTIONS: usize = 3 * QUARTERS;
const BATCH: usize = 16;
const LEARNING_RATE: f64 = 1.5e-3;
/// Steps of a quarter's motion in blocks and radians, to which motions are scaled.
const SCALE: [f32; 3] = [0.14, 0.1, 0.13];
/// Strength of the noise that is to be noticed, of 255.
const NOISE: i32 = 24;

/// Patches → two layers → few numbers per place → features → motions and deeds.
pub struct ClipFeatures {
    patch: Linear,
    hidden: Linear,
    thin: Linear,
    features: Linear,
    motions: Linear,
    deeds: Linear,
}

impl ClipFeatures {
    /// Trains the network for `steps` steps on clips of 16 frames of real episodes with poses.
    ///
    /// # Errors
    /// Returns an error if an episode has no poses or other frames than 64×64, or none has 16 frames.
    pub fn train(episodes: &[Episode], steps: usize, seed: u64) -> Result<Self> {
        let poses: Vec<Vec<Pose>> = episodes
            .iter()
            .map(|episode| Ok(episode.poses("the dataset's episodes".as_ref())?))
            .collect::<Result<_>>()?;
        let long: Vec<usize> = (0..episodes.len())
            .filter(|&e| episodes[e].frames() >= FRAMES)
            .collect();
        let is_other = |e: &Episode| [e.height, e.width] != [SIDE; 2];
        if long.is_empty() || episodes.iter().any(is_other) {
            let what = format!("clip features need {FRAMES} frames of {SIDE}×{SIDE} in a row");
            return Err(Error::Episodes(what));
        }
        let params = Params::seeded(seed, &Device::Cpu);
        let layer = |name: &str, size| Linear::new(&params, name, size, Init::FanIn, true);
        let network = Self {
            patch: layer("patch", [WIDTH, PATCH])?,
            hidden: layer("hidden", [WIDTH, WIDTH])?,
            thin: layer("thin", [THIN, WIDTH])?,
            features: layer(
                "features",
                [FEATURES, QUARTERS * (PLACES * PLACES * THIN + WIDTH)],
            )?,
            motions: layer("motions", [MOTIONS, FEATURES])?,
            deeds: layer("deeds", [DEEDS, FEATURES])?,
        };
        let vars = params.finish()?.into_values().collect();
        let mut optimizer = candle_nn::AdamW::new(vars, candle_nn::ParamsAdamW::default())?;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let draw = |rng: &mut ChaCha8Rng| {
            let e = long[rng.random_range(0..long.len())];
            (e, rng.random_range(0..=episodes[e].frames() - FRAMES))
        };
        for step in 0..steps {
            optimizer.set_learning_rate(LEARNING_RATE * (steps - step) as f64 / steps as f64);
            let (mut clips, mut motions, mut deeds) = (Vec::new(), Vec::new(), Vec::new());
            for _ in 0..BATCH {
                let (e, start) = draw(&mut rng);
                let deed = rng.random_range(0..DEEDS);
                let clip = episodes[e].clip(start..start + FRAMES).images;
                let (other, from) = draw(&mut rng);
                let other = || episodes[other].clip(from..from + FRAMES).images;
                clips.push(done_to(clip, &other, deed, &mut rng));
                motions.extend(quarters(&poses[e][start..start + FRAMES]));
                deeds.push(deed as u32);
            }
            let clips: Vec<&[u8]> = clips.iter().map(Vec::as_slice).collect();
            let features = network.forward(&clips)?;
            // Motion is asked for where it is there to be seen.
            let intact: Vec<f32> = deeds.iter().map(|&deed| f32::from(deed < 3)).collect();
            let intact = Tensor::from_vec(intact, (BATCH, 1), &Device::Cpu)?;
            let motions = Tensor::from_vec(motions, (BATCH, MOTIONS), &Device::Cpu)?;
            let off = (network.motions.forward(&features)? - motions)?.sqr()?;
            let off = off.broadcast_mul(&intact)?.mean_all()?;
            let logits = network.deeds.forward(&features)?;
            let deeds = Tensor::new(deeds, &Device::Cpu)?;
            let loss = (candle_nn::loss::cross_entropy(&logits, &deeds)? + off)?;
            optimizer.backward_step(&loss)?;
        }
        Ok(network)
    }

    /// The Fréchet distance between two sets of clips of 16 frames each, u8 RGB [16, 64, 64, 3].
    ///
    /// # Errors
    /// Returns an error if a clip has another size, or a set has fewer than two.
    pub fn distance(&self, a: &[Vec<u8>], b: &[Vec<u8>]) -> Result<f64> {
        Ok(frechet(&self.of(a)?, &self.of(b)?))
    }

    /// The features of clips.
    fn of(&self, clips: &[Vec<u8>]) -> Result<Vec<Vec<f32>>> {
        if clips.len() < 2 || clips.iter().any(|clip| clip.len() != FRAMES * FRAME) {
            return Err(Error::Argument(format!(
                "a Fréchet distance of clips needs 2 or more of {FRAMES} frames of {SIDE}×{SIDE}"
            )));
        }
        let clips: Vec<&[u8]> = clips.iter().map(Vec::as_slice).collect();
        let mut features = Vec::with_capacity(clips.len());
        for some in clips.chunks(BATCH) {
            features.extend(self.forward(some)?.to_vec2::<f32>()?);
        }
        Ok(features)
    }

    fn forward(&self, clips: &[&[u8]]) -> Result<Tensor> {
        let n = clips.len();
        let values: Vec<f32> = clips.iter().flat_map(|clip| patches(clip)).collect();
        let places = PLACES * PLACES;
        let x = Tensor::from_vec(values, (n * QUARTERS, places, PATCH), &Device::Cpu)?;
        let x = self
            .hidden
            .forward(&self.patch.forward(&x)?.silu()?)?
            .silu()?;
        let size = (x.sqr()?.mean(1)? + 1e-6)?.sqrt()?;
        let thin = self.thin.forward(&x)?.silu()?;
        let thin = thin.reshape((n * QUARTERS, places * THIN))?;
        let all = Tensor::cat(&[&thin, &size], 1)?.reshape((n, ()))?;
        Ok(self.features.forward(&all)?.silu()?)
    }
}

/// The numbers of a clip by quarter and place: the pixels of the first frame, and the changes after it.
fn patches(clip: &[u8]) -> Vec<f32> {
    let mut out = Vec::with_capacity(QUARTERS * PLACES * PLACES * PATCH);
    for quarter in clip.chunks_exact(QUARTER * FRAME) {
        let (first, later) = quarter.split_at(FRAME);
        for place in 0..PLACES * PLACES {
            let [left, top] = [place % PLACES * PIXELS, place / PLACES * PIXELS];
            let pixels = || {
                let rows = (top..top + PIXELS).step_by(2);
                rows.flat_map(move |y| {
                    (left..left + PIXELS)
                        .step_by(2)
                        .map(move |x| 3 * (y * SIDE + x))
                })
            };
            let values =
                |frame: &[u8], at: usize| [0, 1, 2].map(|c| f32::from(frame[at + c]) / 64.0);
            out.extend(
                pixels()
                    .flat_map(|at| values(first, at))
                    .map(|value| value - 2.0),
            );
            let mut before = first;
            for frame in later.chunks_exact(FRAME) {
                for at in pixels() {
                    let (new, old) = (values(frame, at), values(before, at));
                    out.extend([0, 1, 2].map(|c| new[c] - old[c]));
                }
                before = frame;
            }
        }
    }
    out
}

/// The mean motion in each quarter of a clip, in steps.
fn quarters(poses: &[Pose]) -> Vec<f32> {
    let mean = |poses: &[Pose]| {
        let motions: Vec<Motion> = poses
            .windows(2)
            .map(|pair| pair[0].motion_to(pair[1]))
            .collect();
        let sum = |of: fn(&Motion) -> f32| motions.iter().map(of).sum::<f32>();
        let sums = [sum(|m| m.ahead), sum(|m| m.aside), sum(|m| m.turn)];
        [0, 1, 2].map(|i| sums[i] / SCALE[i] / motions.len().max(1) as f32)
    };
    poses.chunks(QUARTER).flat_map(mean).collect()
}

/// A clip to which something was done: 0 nothing, 1 blurred, 2 noise, 3 frozen from some frame on, 4 out of
/// order, 5 going on as another clip.
fn done_to(
    mut clip: Vec<u8>,
    other: &dyn Fn() -> Vec<u8>,
    deed: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<u8> {
    match deed {
        1 => clip.chunks_exact(FRAME).flat_map(blurred).collect(),
        2 => {
            for value in &mut clip {
                let noise = rng.random_range(-NOISE..=NOISE);
                *value = (i32::from(*value) + noise).clamp(0, 255) as u8;
            }
            clip
        }
        3 => {
            let last = rng.random_range(1..FRAMES / 2);
            for frame in last + 1..FRAMES {
                clip.copy_within(last * FRAME..(last + 1) * FRAME, frame * FRAME);
            }
            clip
        }
        4 => {
            let mut order: Vec<usize> = (0..FRAMES).collect();
            order.shuffle(rng);
            let frames = order.into_iter();
            frames
                .flat_map(|t| clip[t * FRAME..(t + 1) * FRAME].to_vec())
                .collect()
        }
        5 => {
            let cut = rng.random_range(4..FRAMES - 3) * FRAME;
            clip[cut..].copy_from_slice(&other()[cut..]);
            clip
        }
        _ => clip,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_deed_changes_a_clip_in_its_way() {
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        let random = |rng: &mut ChaCha8Rng| {
            (0..FRAMES * FRAME)
                .map(|_| rng.random())
                .collect::<Vec<u8>>()
        };
        let (clip, other) = (random(&mut rng), random(&mut rng));
        let frame = |clip: &[u8], t: usize| clip[t * FRAME..(t + 1) * FRAME].to_vec();
        let done: Vec<Vec<u8>> = (0..DEEDS)
            .map(|deed| done_to(clip.clone(), &|| other.clone(), deed, &mut rng))
            .collect();
        assert_eq!(done[0], clip);
        for deed in 1..DEEDS {
            assert_ne!(done[deed], clip);
            assert_eq!(done[deed].len(), clip.len());
        }
        assert_eq!(frame(&done[1], 3), blurred(&frame(&clip, 3)));
        assert_eq!(frame(&done[3], 15), frame(&done[3], 8));
        let mut sorted: Vec<Vec<u8>> = (0..FRAMES).map(|t| frame(&done[4], t)).collect();
        let mut frames: Vec<Vec<u8>> = (0..FRAMES).map(|t| frame(&clip, t)).collect();
        sorted.sort();
        frames.sort();
        assert_eq!(sorted, frames);
        assert_eq!(
            [frame(&done[5], 0), frame(&done[5], 15)],
            [frame(&clip, 0), frame(&other, 15)]
        );
    }

    #[test]
    fn patches_hold_first_frames_and_changes() {
        let still: Vec<u8> = (0..FRAMES)
            .flat_map(|_| (0..FRAME).map(|i| (i % 200) as u8))
            .collect();
        let values = patches(&still);
        assert_eq!(values.len(), QUARTERS * PLACES * PLACES * PATCH);
        let changes = values.chunks_exact(PATCH).flat_map(|patch| &patch[FIRST..]);
        assert!(changes.into_iter().all(|&change| change == 0.0));
    }
}
