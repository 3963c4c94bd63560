//! The recalled frames of a batch: what a memory of the frames before would hold and recall.

use std::collections::BTreeSet;
use std::ops::Range;

use candle_core::{DType, Tensor};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use driftless_data::{Action, Motion, Pose};
use driftless_flow::path::expand;
use driftless_model::config::{MemoryConfig, WorldConfig};
use driftless_model::memory::{
    MEMORY_FEATURES, MemoryInput, Place, TokenInputs, memory_features, recall,
};

use crate::frame_store::{ByteStore, EpisodeLabels};
use crate::random::normal_like;
use crate::settings::DynamicsSettings;
use crate::shards::RecallParts;
use crate::{Error, Result};

/// What the sequences of a batch recall, and how the camera moves in them.
pub(super) struct Recalled {
    pub memory: MemoryInput,
    /// Ahead, aside and turn that led to each frame, f32 [B, T, 3].
    pub motion: Tensor,
    /// 1 where the data tells the motion, f32 [B, T].
    pub motion_known: Tensor,
}

/// Collects what the sequences of a batch recall.
pub(super) struct RecallDrawer<'a> {
    world: &'a WorldConfig,
    config: &'a MemoryConfig,
    settings: &'a DynamicsSettings,
    token_inputs: TokenInputs,
    parts: RecallParts,
}

/// Which frames a sequence recalls.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// Those that a memory recalls.
    ByPose,
    Random,
    None,
}

impl<'a> RecallDrawer<'a> {
    /// `None` if the world has no memory.
    pub(super) fn new(world: &'a WorldConfig, settings: &'a DynamicsSettings) -> Option<Self> {
        let config = world.dynamics.memory.as_ref()?;
        Some(Self {
            world,
            config,
            token_inputs: TokenInputs::new(world, config),
            settings,
            parts: RecallParts::default(),
        })
    }

    /// What the sequences that were added recall.
    pub(super) fn into_parts(self) -> RecallParts {
        self.parts
    }

    /// Adds sequences of which it was drawn elsewhere what they recall.
    pub(super) fn append(&mut self, parts: &RecallParts) {
        self.parts.append(parts);
    }

    /// Adds the sequence of `length` frames that begins at frame `start` of an episode, whose frames are in
    /// `latents`. Returns whether all its frames recall what a memory recalls.
    ///
    /// # Errors
    /// Returns an error if the file of the latents fails.
    pub(super) fn push(
        &mut self,
        latents: &ByteStore,
        episode: &EpisodeLabels,
        (start, length): (usize, usize),
        rng: &mut ChaCha8Rng,
    ) -> Result<bool> {
        let none = Vec::new();
        let poses = episode.poses.as_ref().unwrap_or(&none);
        for t in start..start + length {
            let pair = t
                .checked_sub(1)
                .and_then(|p| poses.get(p).zip(poses.get(t)));
            let motion = pair.map(|(from, to)| from.motion_to(*to));
            self.parts
                .motion_known
                .push(f32::from(u8::from(motion.is_some())));
            let Motion { ahead, aside, turn } = motion.unwrap_or_default();
            self.parts.motion.extend([ahead, aside, turn]);
        }
        let rule = self.rule(rng);
        let (context, end) = (self.world.dynamics.context, start + length);
        // Before the sequence there may be little to recall, so it also recalls what comes behind it.
        let behind = end + context..poses.len();
        let mut by_pose = rule == Rule::ByPose;
        let mut kept = self.kept(poses, 0..end, rng);
        kept.extend(self.kept(poses, behind, rng));
        for t in start..end {
            // What is not older is in the context.
            let old = (t + 1).saturating_sub(context);
            let kept: Vec<usize> = kept
                .iter()
                .copied()
                .filter(|at| *at < old || *at >= end)
                .collect();
            let now = match expected_pose(&episode.actions, poses, t) {
                Some(pose) if rule != Rule::None && !kept.is_empty() => pose,
                _ => {
                    by_pose = false;
                    self.fill_up(0);
                    continue;
                }
            };
            let chosen: Vec<usize> = match rule {
                Rule::Random => (0..self.config.frames)
                    .map(|_| rng.random_range(0..kept.len()))
                    .collect(),
                _ => recall(now, kept.iter().map(|at| poses[*at]), self.config),
            };
            by_pose &= !chosen.is_empty();
            for i in &chosen {
                let at = kept[*i];
                let seen = self.inexact(poses[at], rng);
                let age = t.abs_diff(at) as u64;
                self.parts
                    .features
                    .extend(memory_features(now, seen, age, self.config.reach));
                let len = self.world.latent_len() * size_of::<f32>();
                let first = (episode.start + at) * len;
                latents.read(first..first + len, &mut self.parts.latents)?;
                self.parts.filled.push(1.0);
            }
            self.fill_up(chosen.len());
        }
        Ok(by_pose)
    }

    fn rule(&self, rng: &mut ChaCha8Rng) -> Rule {
        let m = &self.settings.memory;
        let x = rng.random::<f64>();
        if x < m.none_fraction {
            Rule::None
        } else if x < m.none_fraction + m.random_fraction {
            Rule::Random
        } else {
            Rule::ByPose
        }
    }

    /// Those of the frames that a memory would keep: the first at every place. Where places begin is
    /// drawn anew, since the poses of a rollout begin at zero.
    fn kept(&self, poses: &[Pose], frames: Range<usize>, rng: &mut ChaCha8Rng) -> Vec<usize> {
        let mut coordinate = |scale: f32| scale * rng.random_range(-1.0f32..1.0);
        let origin = Pose {
            x: coordinate(self.config.reach),
            y: coordinate(self.config.reach),
            angle: coordinate(std::f32::consts::PI),
        };
        let from = poses.first().copied().unwrap_or_default();
        let mut places = BTreeSet::new();
        frames
            .take_while(|at| *at < poses.len())
            .filter(|at| {
                let moved = origin.after(from.motion_to(poses[*at]));
                places.insert(Place::of(moved, self.config))
            })
            .collect()
    }

    /// A pose as a rollout would know it.
    fn inexact(&self, pose: Pose, rng: &mut ChaCha8Rng) -> Pose {
        let m = &self.settings.memory;
        let mut normal = |std: f64| {
            let x: f32 = StandardNormal.sample(rng);
            x * std as f32
        };
        let position = m.position_noise * f64::from(self.config.reach);
        Pose {
            x: pose.x + normal(position),
            y: pose.y + normal(position),
            angle: pose.angle + normal(m.heading_noise.to_radians()),
        }
    }

    /// Leaves the places after the first `count` of a frame empty.
    fn fill_up(&mut self, count: usize) {
        let empty = self.config.frames - count;
        let len = self.world.latent_len() * size_of::<f32>();
        self.parts
            .latents
            .resize(self.parts.latents.len() + empty * len, 0);
        let features = self.parts.features.len() + empty * MEMORY_FEATURES;
        self.parts.features.resize(features, 0.0);
        self.parts
            .filled
            .resize(self.parts.filled.len() + empty, 0.0);
    }

    /// What the `b` sequences of `t` frames that were added recall, as noisy as their context.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub(super) fn finish(
        self,
        (b, t): (usize, usize),
        like: &Tensor,
        rng: &mut ChaCha8Rng,
    ) -> Result<Recalled> {
        let (m, device) = (self.config.frames, like.device());
        let [gh, gw] = self.world.grid();
        let shape = [b, t, m, gh, gw, self.world.tokenizer.channels];
        if self.parts.filled.len() != b * t * m {
            return Err(Error::Internal("recalled frames do not match their batch"));
        }
        let latents = Tensor::from_raw_buffer(&self.parts.latents, DType::F32, &shape, device)?;
        let lowest = self.settings.min_context_signal as f32;
        let signal: Vec<f32> = (0..b * t * m)
            .map(|_| rng.random_range(lowest..1.0))
            .collect();
        let signal = Tensor::from_vec(signal, (b, t, m), device)?;
        let noise = normal_like(&latents, rng)?;
        let level = expand(&signal, &latents)?;
        let latents = self.world.flow.path.interpolate(&noise, &latents, &level)?;
        let (tokens, inputs) = (self.world.latent_tokens(), &self.token_inputs);
        let per_token = inputs.per_frame() / tokens;
        let mut all = Vec::with_capacity(b * t * m * inputs.per_frame());
        let latents: Vec<f32> = latents.flatten_all()?.to_vec1()?;
        let frames = latents.chunks_exact(self.world.latent_len());
        let (features, _) = self.parts.features.as_chunks::<MEMORY_FEATURES>();
        for (latent, features) in frames.zip(features) {
            inputs.push(latent, features, &mut all);
        }
        Ok(Recalled {
            memory: MemoryInput {
                tokens: Tensor::from_vec(all, (b, t, m, tokens, per_token), device)?,
                filled: Tensor::from_vec(self.parts.filled, (b, t, m), device)?,
            },
            motion: Tensor::from_vec(self.parts.motion, (b, t, 3), device)?,
            motion_known: Tensor::from_vec(self.parts.motion_known, (b, t), device)?,
        })
    }
}

/// The pose that a memory expects of frame `t`: the camera moves as it did when the frame's action was
/// last taken. `None` if the pose before is not known.
fn expected_pose(actions: &[Action], poses: &[Pose], t: usize) -> Option<Pose> {
    let last = *poses.get(t.checked_sub(1)?)?;
    let same = (1..t).rev().find(|p| actions[*p].index == actions[t].index);
    let motion = same.map(|p| poses[p - 1].motion_to(poses[p]));
    Some(last.after(motion.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use candle_core::Device;
    use rand::SeedableRng;

    use super::*;
    use crate::settings::TrainSettings;
    use driftless_data::{ActionSpec, DatasetInfo};
    use driftless_model::memory::ALIGNMENT_FEATURES;

    const FRAMES: usize = 40;
    const CONTEXT: usize = 5;

    /// What the frames of a whole episode recall.
    fn recalled(change: impl Fn(&mut TrainSettings)) -> (Vec<Vec<usize>>, Recalled) {
        recalled_in(0..FRAMES, change)
    }

    /// What some frames of an episode recall, in which a camera turns left by 9° a frame for 20 frames,
    /// then back. The latent of frame t is t/100 everywhere.
    fn recalled_in(
        sequence: Range<usize>,
        change: impl Fn(&mut TrainSettings),
    ) -> (Vec<Vec<usize>>, Recalled) {
        let mut settings = TrainSettings::default();
        settings.dynamics_shape.context = CONTEXT;
        settings.dynamics_shape.memory = Some(MemoryConfig {
            frames: 2,
            field_of_view: 72.0,
            reach: 4.0,
            capacity: 64,
        });
        settings.dynamics.min_context_signal = 0.999;
        let m = &mut settings.dynamics.memory;
        (m.none_fraction, m.random_fraction) = (0.0, 0.0);
        (m.position_noise, m.heading_noise) = (0.0, 0.0);
        change(&mut settings);
        let info = DatasetInfo {
            name: "Turning".into(),
            fps: 15.0,
            image: [16, 16],
            actions: vec![ActionSpec {
                name: "noop".into(),
                keys: Vec::new(),
            }],
            axes: Vec::new(),
        };
        let world = settings.world(&info).unwrap();
        let mut latents = ByteStore::new("".as_ref(), 1 << 20);
        for t in 0..FRAMES {
            let value = (t as f32 / 100.0).to_ne_bytes();
            latents.push(&value.repeat(world.latent_len())).unwrap();
        }
        let turned = |t: usize| t.min(FRAMES - t) as f32 * 9.0f32.to_radians();
        let episode = EpisodeLabels {
            name: String::new(),
            start: 0,
            actions: vec![Action::IDLE; FRAMES],
            rewards: vec![0.0; FRAMES],
            ends: vec![0.0; FRAMES],
            can_start: None,
            poses: Some(
                (0..FRAMES)
                    .map(|t| Pose {
                        angle: turned(t),
                        ..Pose::default()
                    })
                    .collect(),
            ),
        };
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut drawer = RecallDrawer::new(&world, &settings.dynamics).unwrap();
        let (start, length) = (sequence.start, sequence.len());
        drawer
            .push(&latents, &episode, (start, length), &mut rng)
            .unwrap();
        let like = Tensor::zeros((1, 1), DType::F32, &Device::Cpu).unwrap();
        let recalled = drawer.finish((1, length), &like, &mut rng).unwrap();
        let memory = &recalled.memory;
        let filled = memory.filled.flatten_all().unwrap().to_vec1::<f32>();
        let filled = filled.unwrap();
        let inputs = memory.tokens.dims().last().copied().unwrap();
        let values = memory.tokens.flatten_all().unwrap().to_vec1::<f32>();
        let values = values.unwrap();
        let cells = inputs - MEMORY_FEATURES - ALIGNMENT_FEATURES;
        let frame = |place: usize| {
            let len = world.latent_tokens() * inputs;
            let tokens = values[place * len..(place + 1) * len].chunks_exact(inputs);
            // Cells beyond the picture are zero.
            let cells = tokens.flat_map(|token| &token[..cells]);
            let seen: Vec<f32> = cells.copied().filter(|x| *x != 0.0).collect();
            let mean = seen.iter().sum::<f32>() / seen.len() as f32;
            (mean * 100.0).round() as usize
        };
        let frames = (0..length)
            .map(|t| {
                let places = (2 * t..2 * t + 2).filter(|place| filled[*place] > 0.0);
                places.map(frame).collect()
            })
            .collect();
        (frames, recalled)
    }

    #[test]
    fn the_same_view_is_recalled_once_it_left_the_context() {
        let (frames, _) = recalled(|_| {});
        for (t, frames) in frames.iter().enumerate() {
            assert!(
                frames.iter().all(|seen| seen + CONTEXT <= t),
                "{t}: {frames:?}"
            );
        }
        // Frame 35 follows frame 34, which shows what frame 6 showed; places are 11.25° wide.
        assert!(frames[35][0].abs_diff(6) <= 1, "{frames:?}");
        assert!(frames[0].is_empty() && !frames[10].is_empty());
    }

    #[test]
    fn frames_behind_the_sequence_are_recalled_too() {
        let (frames, _) = recalled_in(8..12, |_| {});
        // Frame 32 shows what is expected of frame 8, and no frame before 4 does.
        assert!(frames[0][0].abs_diff(32) <= 1, "{frames:?}");
        // None within the context of the last frame.
        let all = frames.iter().flatten();
        assert!(all.clone().all(|at| *at < 8 || *at >= 17), "{frames:?}");
    }

    #[test]
    fn some_sequences_recall_nothing() {
        let (frames, _) = recalled(|s| s.dynamics.memory.none_fraction = 1.0);
        assert!(frames.iter().all(Vec::is_empty));
        let (frames, _) = recalled(|s| s.dynamics.memory.random_fraction = 1.0);
        assert_eq!(frames[35].len(), 2);
    }

    #[test]
    fn motion_is_the_turn_that_led_to_a_frame() {
        let (_, recalled) = recalled(|_| {});
        let known = recalled.motion_known.flatten_all().unwrap();
        let known = known.to_vec1::<f32>().unwrap();
        assert_eq!((known[0], known[1]), (0.0, 1.0));
        let motion = recalled
            .motion
            .squeeze(0)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap();
        let turn = 9.0f32.to_radians();
        assert!((motion[1][2] - turn).abs() < 1e-5 && (motion[30][2] + turn).abs() < 1e-5);
        assert_eq!((motion[30][0], motion[30][1]), (0.0, 0.0));
    }
}
