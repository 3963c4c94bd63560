//! How the camera moved between two frames of the maze: a small network, the probe, that reads it from how
//! well each part of the one frame matches the other when it is shifted. It needs no map: what it learns in
//! some mazes holds in others.

use candle_core::{Device, Tensor};
use candle_nn::Optimizer as _;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use driftless_data::{Episode, Motion};
use driftless_model::layers::Linear;
use driftless_model::params::{Init, Params};

use super::picture::{FRAME, SIDE, blurred};
use crate::{Error, Result};

/// Parts along a side of a frame, and pixels along a side of a part.
const PARTS: usize = 4;
const PART: usize = SIDE / PARTS;
/// Only each second pixel of a part is compared, along both sides.
const SKIP: usize = 2;
/// Largest shifts sideways and up or down, in pixels.
const SIDEWAYS: i32 = 9;
const UPWARDS: i32 = 4;
/// Shifts at which a part is compared: sideways, and up and down.
const SHIFTS: usize = (2 * SIDEWAYS + 1 + 2 * UPWARDS) as usize;
/// Numbers that the network sees.
const INPUTS: usize = PARTS * PARTS * (SHIFTS + 1);
const HIDDEN: [usize; 2] = [128, 64];
/// A step ahead and aside in blocks, and a turn in radians, to which motions are scaled.
const SCALE: [f32; 3] = [0.14, 0.1, 0.13];
const BATCH: usize = 128;
const LEARNING_RATE: f64 = 2e-3;
/// Share of the pairs that are blurred in training, and the strength of noise on all of them, of 255: what
/// a tokenizer does to frames must not confuse the probe.
const BLURRED: f64 = 0.4;
const NOISE: i32 = 4;

/// Reads motions: W₃ silu(W₂ silu(W₁ x + b₁) + b₂) + b₃ of the matches x of two frames.
pub struct MotionProbe {
    layers: [Linear; 3],
}

impl MotionProbe {
    /// Trains a probe for `steps` steps on up to `pairs` pairs of frames of episodes with poses.
    ///
    /// # Errors
    /// Returns an error if an episode has no poses or other frames than 64×64, or there is no pair.
    pub fn train(episodes: &[Episode], pairs: usize, steps: usize, seed: u64) -> Result<Self> {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let all: Vec<(usize, usize)> = (episodes.iter().enumerate())
            .flat_map(|(e, episode)| (1..episode.frames()).map(move |t| (e, t)))
            .collect();
        if all.is_empty() {
            let what = "the motion probe needs an episode of at least 2 frames".to_owned();
            return Err(Error::Episodes(what));
        }
        let poses: Vec<_> = episodes
            .iter()
            .map(|episode| Ok(episode.poses("the dataset's episodes".as_ref())?))
            .collect::<Result<_>>()?;
        if episodes.iter().any(|e| [e.height, e.width] != [SIDE; 2]) {
            let what = format!("the motion probe needs frames of {SIDE}×{SIDE}");
            return Err(Error::Episodes(what));
        }
        let chosen: Vec<((usize, usize), u64)> = (0..pairs)
            .map(|_| (all[rng.random_range(0..all.len())], rng.random()))
            .collect();
        let inputs: Vec<Vec<f32>> = chosen
            .par_iter()
            .map(|&((e, t), seed)| {
                let [before, after] =
                    spoilt([episodes[e].frame(t - 1), episodes[e].frame(t)], seed);
                matches(&before, &after)
            })
            .collect();
        let targets: Vec<[f32; 3]> = chosen
            .iter()
            .map(|&((e, t), _)| {
                let motion = poses[e][t - 1].motion_to(poses[e][t]);
                let motion = [motion.ahead, motion.aside, motion.turn];
                [0, 1, 2].map(|i| motion[i] / SCALE[i])
            })
            .collect();
        let params = Params::seeded(seed, &Device::Cpu);
        let layer = |name, size| Linear::new(&params, name, size, Init::FanIn, true);
        let probe = Self {
            layers: [
                layer("first", [HIDDEN[0], INPUTS])?,
                layer("second", [HIDDEN[1], HIDDEN[0]])?,
                layer("out", [SCALE.len(), HIDDEN[1]])?,
            ],
        };
        let vars = params.finish()?.into_values().collect();
        let mut optimizer = candle_nn::AdamW::new(vars, candle_nn::ParamsAdamW::default())?;
        for step in 0..steps {
            optimizer.set_learning_rate(LEARNING_RATE * (steps - step) as f64 / steps as f64);
            let (mut x, mut y) = (Vec::new(), Vec::new());
            for _ in 0..BATCH {
                let at = rng.random_range(0..targets.len());
                x.extend_from_slice(&inputs[at]);
                y.extend_from_slice(&targets[at]);
            }
            let x = Tensor::from_vec(x, (BATCH, INPUTS), &Device::Cpu)?;
            let y = Tensor::from_vec(y, (BATCH, SCALE.len()), &Device::Cpu)?;
            let loss = (probe.forward(&x)? - y)?.sqr()?.mean_all()?;
            optimizer.backward_step(&loss)?;
        }
        Ok(probe)
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let [first, second, out] = &self.layers;
        Ok(out.forward(&second.forward(&first.forward(x)?.silu()?)?.silu()?)?)
    }

    /// Reads the motions between the frames of a clip, u8 RGB [T, 64, 64, 3]: T − 1.
    ///
    /// # Errors
    /// Returns an error if the frames have another size.
    pub fn read(&self, clip: &[u8]) -> Result<Vec<Motion>> {
        if !clip.len().is_multiple_of(FRAME) {
            return Err(Error::Shape(format!(
                "the clip has {} bytes, the motion probe expects a multiple of {FRAME}",
                clip.len()
            )));
        }
        let frames: Vec<&[u8]> = clip.chunks_exact(FRAME).collect();
        let rows: Vec<f32> = frames
            .windows(2)
            .flat_map(|pair| matches(pair[0], pair[1]))
            .collect();
        let count = rows.len() / INPUTS;
        if count == 0 {
            return Ok(Vec::new());
        }
        let x = Tensor::from_vec(rows, (count, INPUTS), &Device::Cpu)?;
        let rows = self.forward(&x)?.to_vec2::<f32>()?;
        let motion = |row: &Vec<f32>| Motion {
            ahead: row[0] * SCALE[0],
            aside: row[1] * SCALE[1],
            turn: row[2] * SCALE[2],
        };
        Ok(rows.iter().map(motion).collect())
    }
}

/// Two frames as a tokenizer might give them back: sometimes blurred, and with noise.
fn spoilt(frames: [&[u8]; 2], seed: u64) -> [Vec<u8>; 2] {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let blurs = rng.random_bool(BLURRED);
    frames.map(|frame| {
        let mut frame = if blurs {
            blurred(frame)
        } else {
            frame.to_vec()
        };
        for value in &mut frame {
            let noise = rng.random_range(-NOISE..=NOISE);
            *value = (i32::from(*value) + noise).clamp(0, 255) as u8;
        }
        frame
    })
}

/// How well each part of a frame matches the next frame at each shift, from 0 (best) to 1 (worst), and how
/// much its worst match differs.
fn matches(before: &[u8], after: &[u8]) -> Vec<f32> {
    let sideways = (-SIDEWAYS..=SIDEWAYS).map(|dx| [dx, 0]);
    let upwards = (-UPWARDS..=UPWARDS).filter(|&dy| dy != 0).map(|dy| [0, dy]);
    let shifts: Vec<[i32; 2]> = sideways.chain(upwards).collect();
    let mut all = Vec::with_capacity(INPUTS);
    for part in 0..PARTS * PARTS {
        let [left, top] = [part % PARTS * PART, part / PARTS * PART];
        let differences: Vec<f32> = shifts
            .iter()
            .map(|&shift| difference(before, after, [left, top], shift))
            .collect();
        let most = differences.iter().copied().fold(0.0, f32::max);
        // A plain part matches everywhere equally well.
        all.extend(differences.iter().map(|d| d / (most + 20.0)));
        all.push(most.sqrt() / 64.0);
    }
    all
}

/// The mean squared difference of a part of a frame and the shifted part of the next one. Beyond the frame,
/// its border goes on.
fn difference(before: &[u8], after: &[u8], [left, top]: [usize; 2], [dx, dy]: [i32; 2]) -> f32 {
    // Plain loops: this is where reading a clip spends its time.
    const ACROSS: usize = PART / SKIP;
    let shifted = |at: usize, shift: i32| (at as i32 + shift).clamp(0, SIDE as i32 - 1) as usize;
    let columns: [[usize; 2]; ACROSS] = std::array::from_fn(|i| {
        let x = left + SKIP * i;
        [3 * x, 3 * shifted(x, dx)]
    });
    let mut sum = 0_i32;
    for i in 0..ACROSS {
        let y = top + SKIP * i;
        let row = &before[3 * SIDE * y..3 * SIDE * (y + 1)];
        let moved = shifted(y, dy);
        let next = &after[3 * SIDE * moved..3 * SIDE * (moved + 1)];
        for [a, b] in columns {
            let apart = |c: usize| i32::from(row[a + c]) - i32::from(next[b + c]);
            let [r, g, b] = [apart(0), apart(1), apart(2)];
            sum += r * r + g * g + b * b;
        }
    }
    sum as f32 / (3 * ACROSS * ACROSS) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of noise, moved to the right.
    fn noise(moved: usize) -> Vec<u8> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let wide: Vec<u8> = (0..SIDE * 2 * SIDE * 3).map(|_| rng.random()).collect();
        let row = |y: usize| {
            let from = 3 * (y * 2 * SIDE + SIDE / 2 - moved);
            wide[from..from + 3 * SIDE].to_vec()
        };
        (0..SIDE).flat_map(row).collect()
    }

    #[test]
    fn the_right_shift_matches_best() {
        for moved in [0, 3, 9] {
            let row = matches(&noise(0), &noise(moved));
            // The second part from the left, whose match is in the frame.
            let part = &row[SHIFTS + 1..2 * SHIFTS + 1];
            let best = (0..SHIFTS)
                .min_by(|&a, &b| part[a].total_cmp(&part[b]))
                .unwrap();
            assert_eq!(best, SIDEWAYS as usize + moved);
            assert_eq!(part[best], 0.0);
        }
        assert_eq!(matches(&noise(0), &noise(1)).len(), INPUTS);
    }

    #[test]
    fn other_frames_are_refused() {
        let episode = Episode {
            height: 32,
            width: 32,
            images: vec![0; 2 * 32 * 32 * 3],
            actions: vec![0; 2],
            rewards: vec![0.0; 2],
            extras: ["x", "y", "angle"]
                .map(|name| {
                    let values = vec![0.0; 2];
                    (
                        name.to_owned(),
                        driftless_data::ExtraArray {
                            shape: vec![2],
                            values,
                        },
                    )
                })
                .into(),
        };
        let error = |episodes: &[Episode]| {
            MotionProbe::train(episodes, 1, 1, 0)
                .err()
                .unwrap()
                .to_string()
        };
        assert!(error(std::slice::from_ref(&episode)).contains("64×64"));
        assert!(error(&[]).contains("at least 2 frames"));
        let without = Episode {
            extras: Default::default(),
            ..episode
        };
        assert!(error(&[without]).contains("`x` is missing"));
    }
}
