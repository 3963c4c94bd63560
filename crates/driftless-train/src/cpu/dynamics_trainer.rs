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
use super::batch::{CleanFrames, NoisedFrames, StepLosses, Targets};
use super::dynamics::DynamicsNetwork;
use super::gradient_chunks::GradientChunks;
use super::level_coefficients::{LevelCoefficients, ShortcutCoefficients};
use super::parameters::{Layout, Weights};
use super::sequence_step::{BatchStep, SequenceStep, ThreadBuffers};
use crate::ranks::Ranks;
use crate::{Error, Result};
use driftless_flow::objective::Objective;
use driftless_model::config::WorldConfig;

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
        ranks: &Ranks,
    ) -> Result<Self> {
        let network = DynamicsNetwork::new(config, vars)?;
        Ok(Self {
            weights: Weights::new(&network.layout),
            chunks: GradientChunks::new(network.layout.len(), 0..network.layout.len(), 1, ranks),
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

    /// The offset of each parameter in the gradient.
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
    ///
    /// # Errors
    /// Returns an error if a rank is lost.
    pub(crate) fn gradient(&mut self) -> Result<&[f32]> {
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
            let inputs = s.memory_tokens() * s.memory_inputs();
            sizes.push((recalled.tokens.len(), frames * inputs));
            sizes.push((recalled.filled.len(), places));
        }
        if let Some(targets) = targets {
            sizes.push((targets.latents.len(), frames * latent));
            if let Some(weights) = targets.weights {
                sizes.push((weights.len(), frames * s.grid.cells()));
            }
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
                buffers: self.network.buffers(room),
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
        let ranks = self.chunks.ranks();
        if ranks.size() > 1 {
            let own = [&[losses.main][..], &losses.outcome].concat();
            let all = ranks.sum(&own)?;
            losses.main = all[0];
            losses.outcome.copy_from_slice(&all[1..]);
            losses.output = ranks.join(losses.output)?;
        }
        Ok(losses)
    }
}
