//! A training step of the dynamics, in parallel over the sequences of the batch.
//!
//! The clean frames of a sequence are computed first and only once. The two half steps of a shortcut
//! target and then all noised copies attend to them. The backward pass starts from the losses of the
//! copies.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::Var;

use super::attention_temporal::FrameCounts;
use super::dynamics::DynamicsNetwork;
use super::gradient_chunks::GradientChunks;
use super::level_coefficients::{LevelCoefficients, ShortcutCoefficients};
use super::parameters::{Layout, Weights};
use super::sequence_buffers::SequenceBuffers;
use super::sequence_step::{BatchStep, SequenceStep, ThreadBuffers};
use crate::{Error, Result};
use driftless_flow::objective::Objective;
use driftless_model::config::WorldConfig;
use driftless_model::memory::MEMORY_FEATURES;

/// The clean copy of a batch of B sequences of T frames.
pub(crate) struct CleanFrames {
    pub sequences: usize,
    pub length: usize,
    /// Latents at levels near 1, [B, T, gh, gw, c].
    pub latents: Vec<f32>,
    /// The frames before each frame, [B, T, gh, gw, stem_frames·c].
    pub past: Vec<f32>,
    /// [B, T].
    pub actions: Vec<u32>,
    /// [B, T].
    pub signal: Vec<f32>,
    /// 1 for frames that are trained on, [B, T].
    pub mask: Vec<f32>,
    /// What the frames recall; `None` to recall nothing.
    pub recalled: Option<RecalledFrames>,
}

/// The recalled frames of a batch: M for each frame, see [`driftless_model::memory::MemoryInput`].
pub(crate) struct RecalledFrames {
    /// [B, T, M, gh, gw, c].
    pub latents: Vec<f32>,
    /// [B, T, M, features].
    pub features: Vec<f32>,
    /// [B, T, M].
    pub filled: Vec<f32>,
}

/// A noised copy of a batch.
pub(crate) struct NoisedFrames {
    /// [B, T, gh, gw, c].
    pub z: Vec<f32>,
    /// [B, T].
    pub tau: Vec<f32>,
    /// Step sizes, [B, T].
    pub d: Vec<f32>,
    /// [B, T].
    pub actions: Vec<u32>,
    /// Whether the target is two half steps of the network instead of the data.
    pub shortcut: bool,
}

/// Losses of the outcome head: reward, end and motion.
pub(crate) const OUTCOME_LOSSES: usize = 3;

/// The targets of the outcome head, [B, T], and the factors of its losses.
pub(crate) struct OutcomeTargets {
    pub rewards: Vec<f32>,
    pub ends: Vec<f32>,
    /// Of a network with a memory.
    pub motion: Option<MotionTargets>,
    pub scales: [f32; OUTCOME_LOSSES],
}

/// How the camera moved to each frame.
pub(crate) struct MotionTargets {
    /// [B, T, 3].
    pub motion: Vec<f32>,
    /// 1 where it is known, [B, T].
    pub known: Vec<f32>,
}

/// The targets of a batch.
pub(crate) struct Targets<'a> {
    /// The data, [B, T, gh, gw, c].
    pub latents: &'a [f32],
    pub outcome: Option<&'a OutcomeTargets>,
    /// Whether to compute the gradient too.
    pub gradient: bool,
}

/// The losses of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct StepLosses {
    /// Mean over the copies.
    pub main: f64,
    /// Reward, end and motion, unscaled; 0 for what the network does not predict.
    pub outcome: [f64; OUTCOME_LOSSES],
    /// The network's output for the first copy, [B, T, gh, gw, c].
    pub output: Vec<f32>,
}

/// Trains the dynamics on all threads.
pub(crate) struct DynamicsTrainer {
    network: DynamicsNetwork,
    weights: Weights,
    objective: Objective,
    k_max: usize,
    chunks: GradientChunks,
    threads: Vec<ThreadBuffers>,
    room: FrameCounts,
    items: usize,
}

impl DynamicsTrainer {
    /// A trainer of the parameters `vars`.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub(crate) fn new(
        config: &WorldConfig,
        objective: Objective,
        vars: &BTreeMap<String, Var>,
    ) -> Result<Self> {
        let network = DynamicsNetwork::new(config, vars)?;
        Ok(Self {
            weights: Weights::new(&network.layout),
            chunks: GradientChunks::new(network.layout.len(), 0..network.layout.len(), 1),
            objective,
            k_max: config.dynamics.k_max,
            network,
            threads: Vec::new(),
            room: FrameCounts {
                length: 0,
                count: 0,
            },
            items: 0,
        })
    }

    /// The place of each parameter in the gradient.
    pub(crate) fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.network.layout)
    }

    /// Copies the current values of the parameters.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or not on the CPU.
    pub(crate) fn refresh(&mut self, vars: &BTreeMap<String, Var>) -> Result<()> {
        self.weights.refresh(&self.network.layout, vars)
    }

    /// x̂ of a noised copy, [B, T, gh, gw, c].
    ///
    /// # Errors
    /// Returns an error if the batch does not fit the network.
    pub(crate) fn predict(&mut self, clean: &CleanFrames, copy: &NoisedFrames) -> Result<Vec<f32>> {
        let step = self.step_of(clean, std::slice::from_ref(copy), None)?;
        let mut x = self.run(&step)?.output;
        let frames = x.chunks_exact_mut(step.latent);
        for (x, (level, z)) in
            frames.zip(step.levels[0].iter().zip(copy.z.chunks_exact(step.latent)))
        {
            let output = x.to_vec();
            level.clean.apply(&output, z, x);
        }
        Ok(x)
    }

    /// The losses of a batch. [`DynamicsTrainer::gradient`] then returns the gradient.
    ///
    /// # Errors
    /// Returns an error if the batch does not fit the network.
    pub(crate) fn losses(
        &mut self,
        clean: &CleanFrames,
        copies: &[NoisedFrames],
        targets: &Targets,
    ) -> Result<StepLosses> {
        let step = self.step_of(clean, copies, Some(targets))?;
        self.run(&step)
    }

    /// The gradient of the last batch.
    pub(crate) fn gradient(&mut self) -> &[f32] {
        self.chunks.sum(self.items)
    }

    fn step_of<'a>(
        &self,
        clean: &'a CleanFrames,
        copies: &'a [NoisedFrames],
        targets: Option<&'a Targets<'a>>,
    ) -> Result<BatchStep<'a>> {
        let s = &self.network.sizes;
        let frames = clean.sequences * clean.length;
        let latent = s.grid.cells() * s.channels;
        let past = s.grid.cells() * (s.seen - s.channels);
        let mut sizes = vec![
            (clean.latents.len(), frames * latent),
            (clean.past.len(), frames * past),
            (clean.actions.len(), frames),
            (clean.signal.len(), frames),
            (clean.mask.len(), frames),
        ];
        for copy in copies {
            sizes.push((copy.z.len(), frames * latent));
            sizes.push((copy.tau.len(), frames));
            sizes.push((copy.d.len(), frames));
            sizes.push((copy.actions.len(), frames));
        }
        if let Some(recalled) = &clean.recalled {
            let places = frames * s.recalled;
            sizes.push((recalled.latents.len(), places * latent));
            sizes.push((recalled.features.len(), places * MEMORY_FEATURES));
            sizes.push((recalled.filled.len(), places));
        }
        if let Some(targets) = targets {
            sizes.push((targets.latents.len(), frames * latent));
            if let Some(o) = targets.outcome {
                sizes.push((o.rewards.len(), frames));
                sizes.push((o.ends.len(), frames));
                if let Some(m) = &o.motion {
                    sizes.push((m.motion.len(), 3 * frames));
                    sizes.push((m.known.len(), frames));
                }
            }
        }
        if frames == 0 || copies.is_empty() || sizes.iter().any(|(a, b)| a != b) {
            return Err(Error::Internal("parts of a training batch do not match"));
        }
        let levels = |copy: &NoisedFrames| -> Result<Vec<LevelCoefficients>> {
            let each = copy.tau.iter();
            each.map(|tau| LevelCoefficients::new(&self.objective, *tau))
                .collect()
        };
        let halves = |copy: &NoisedFrames| -> Result<Vec<ShortcutCoefficients>> {
            if !copy.shortcut || targets.is_none() {
                return Ok(Vec::new());
            }
            let each = copy.tau.iter().zip(&copy.d);
            each.map(|(tau, d)| ShortcutCoefficients::new(&self.objective, *tau, *d))
                .collect()
        };
        Ok(BatchStep {
            clean,
            copies,
            targets,
            levels: copies.iter().map(levels).collect::<Result<_>>()?,
            halves: copies.iter().map(halves).collect::<Result<_>>()?,
            count: clean.mask.iter().sum::<f32>().clamp(1.0, u32::MAX as f32),
            latent,
            past,
        })
    }

    /// Enlarges the buffers if the step needs it.
    fn make_room(&mut self, all: FrameCounts, sequences: usize) {
        let room = FrameCounts {
            length: self.room.length.max(all.length),
            count: self.room.count.max(all.count),
        };
        if (room.length, room.count) != (self.room.length, self.room.count) {
            self.threads.clear();
            self.room = room;
        }
        let s = &self.network.sizes;
        let latent = room.length * s.grid.cells() * s.channels;
        while self.threads.len() < self.chunks.threads(sequences) {
            self.threads.push(ThreadBuffers {
                buffers: SequenceBuffers::new(&self.network, room),
                middle: vec![0.0; latent],
                clean: vec![0.0; latent],
                target: vec![0.0; room.count * s.grid.cells() * s.channels],
            });
        }
        for thread in &mut self.threads {
            thread.buffers.all = all;
        }
    }

    fn run(&mut self, step: &BatchStep) -> Result<StepLosses> {
        let (b, t) = (step.clean.sequences, step.clean.length);
        let all = FrameCounts {
            length: t,
            count: t * (1 + step.copies.len()),
        };
        self.make_room(all, b);
        self.items = b;
        let (network, weights, k_max) = (&self.network, &self.weights, self.k_max);
        let task = |range: Range<usize>, thread: &mut ThreadBuffers, gradient: &mut [f32]| {
            let mut losses = StepLosses::default();
            for sequence in range {
                let pass = SequenceStep {
                    network,
                    weights,
                    k_max,
                    step,
                    sequence,
                };
                pass.run(thread, gradient, &mut losses)?;
            }
            Ok(losses)
        };
        let threads = self.chunks.threads(b);
        let parts = self.chunks.run(b, &mut self.threads[..threads], task)?;
        let mut losses = StepLosses::default();
        for part in parts {
            losses.main += part.main;
            for (sum, part) in losses.outcome.iter_mut().zip(part.outcome) {
                *sum += part;
            }
            losses.output.extend_from_slice(&part.output);
        }
        Ok(losses)
    }
}
