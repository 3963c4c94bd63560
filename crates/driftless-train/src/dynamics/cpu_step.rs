//! The training step of the dynamics on the CPU.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::{Tensor, Var};
use rand_chacha::ChaCha8Rng;

use super::batches::Batch;
use super::noised_copy::NoisedCopy;
use super::recalled::Recalled;
use super::{DynamicsTask, END, MOTION, REWARD};
use crate::Result;
use crate::context::RunContext;
use crate::cpu::dynamics_trainer::{
    CleanFrames, DynamicsTrainer, MotionTargets, NoisedFrames, OUTCOME_LOSSES, OutcomeTargets,
    RecalledFrames, StepLosses, Targets,
};
use crate::loss_scaling::{self, MAIN};
use crate::optimizer::FlatGradient;
use crate::task::{BatchReport, Gradient, StepOutput};
use driftless_flow::objective::Objective;
use driftless_model::precision::Precision;

/// The trainer, and the parameters that it trains.
pub(super) struct CpuStep {
    trainer: DynamicsTrainer,
    vars: BTreeMap<String, Var>,
}

impl CpuStep {
    /// `None` on other devices and for a precision below f32, where candle computes the steps.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(
        run: &RunContext,
        objective: Objective,
        vars: &BTreeMap<String, Var>,
    ) -> Result<Option<Self>> {
        if !run.device.is_cpu() || run.settings.precision != Precision::F32 {
            return Ok(None);
        }
        Ok(Some(Self {
            trainer: DynamicsTrainer::new(&run.world, objective, vars)?,
            vars: vars.clone(),
        }))
    }

    /// Loss and gradient of a step: the same as those of `DynamicsTask::losses` up to rounding, from
    /// the same random draws.
    ///
    /// # Errors
    /// Returns an error if the file of the latents fails or the batch does not fit the network.
    pub fn run(
        &mut self,
        task: &DynamicsTask,
        step: u64,
        rng: &mut ChaCha8Rng,
        mean_squares: &mut BTreeMap<String, f64>,
    ) -> Result<StepOutput> {
        let started = Instant::now();
        let mut batch = task.sampler.draw(step, rng)?;
        let mut report = BatchReport {
            frames: std::mem::take(&mut batch.frames),
            fetch_time: started.elapsed(),
            ..BatchReport::default()
        };
        self.trainer.refresh(&self.vars)?;
        if task.uses_self_generated_context(step) {
            let trainer = &mut self.trainer;
            batch = task.with_self_generated_context(batch, rng, &mut |batch, copy| {
                let x = trainer.predict(&clean(batch)?, &noised(copy, false)?)?;
                Ok(Tensor::from_vec(
                    x,
                    batch.latents.shape(),
                    batch.latents.device(),
                )?)
            })?;
        }
        let copies = task.settings.noised_copies;
        let drawn = (0..copies)
            .map(|i| {
                let shortcut = task.is_shortcut_step(step) && i == copies - 1;
                let copy = NoisedCopy::draw(task.run, &batch, shortcut, rng)?;
                Ok((noised(&copy, shortcut)?, copy))
            })
            .collect::<Result<Vec<_>>>()?;
        let (frames, drawn): (Vec<_>, Vec<_>) = drawn.into_iter().unzip();
        let losses = self.losses(task, &batch, &frames, mean_squares)?;
        let mut metrics = Vec::new();
        let mut loss = losses.main;
        let outcomes = outcomes(task);
        if !outcomes.is_empty() {
            let mut values = vec![(MAIN, losses.main)];
            for ((name, weight), value) in outcomes.into_iter().zip(losses.outcome) {
                loss += value * loss_scaling::scale(mean_squares, name, weight);
                metrics.push((name, Tensor::new(value as f32, batch.latents.device())?));
                values.push((name, value));
            }
            loss_scaling::update(mean_squares, &values);
        }
        if let Some(copy) = drawn.first() {
            let (shape, device) = (batch.latents.shape(), batch.latents.device());
            let output = Tensor::from_vec(losses.output, shape, device)?;
            metrics.extend(task.metrics(&output, copy, &batch, &mut report)?);
        }
        Ok(StepOutput {
            loss,
            gradient: Gradient::Flat(FlatGradient {
                layout: self.trainer.layout(),
                values: self.trainer.gradient().to_vec(),
            }),
            metrics,
            batch: report,
        })
    }

    /// The losses and the gradient of their sum. The outcome losses are scaled by the running mean
    /// squares of the steps before; the first step computes its own losses once more for that.
    fn losses(
        &mut self,
        task: &DynamicsTask,
        batch: &Batch,
        copies: &[NoisedFrames],
        mean_squares: &mut BTreeMap<String, f64>,
    ) -> Result<StepLosses> {
        let clean = clean(batch)?;
        let latents = floats(&batch.latents)?;
        let outcomes = outcomes(task);
        if outcomes.is_empty() {
            let targets = Targets {
                latents: &latents,
                outcome: None,
                gradient: true,
            };
            return self.trainer.losses(&clean, copies, &targets);
        }
        let mut outcome = OutcomeTargets {
            rewards: floats(&batch.rewards)?,
            ends: floats(&batch.ends)?,
            motion: match &batch.recalled {
                Some(recalled) => Some(MotionTargets {
                    motion: floats(&recalled.motion)?,
                    known: floats(&recalled.motion_known)?,
                }),
                None => None,
            },
            scales: [0.0; OUTCOME_LOSSES],
        };
        let names: Vec<&str> = outcomes.iter().map(|(name, _)| *name).collect();
        if !loss_scaling::is_initialized(mean_squares, &names) {
            let targets = Targets {
                latents: &latents,
                outcome: Some(&outcome),
                gradient: false,
            };
            let first = self.trainer.losses(&clean, copies, &targets)?;
            let mut values = vec![(MAIN, first.main)];
            values.extend(names.iter().copied().zip(first.outcome));
            loss_scaling::initialize(mean_squares, &values);
        }
        for ((name, weight), scale) in outcomes.into_iter().zip(&mut outcome.scales) {
            *scale = loss_scaling::scale(mean_squares, name, weight) as f32;
        }
        let targets = Targets {
            latents: &latents,
            outcome: Some(&outcome),
            gradient: true,
        };
        self.trainer.losses(&clean, copies, &targets)
    }
}

/// Names and weights of the losses of the outcome head, in the order of
/// [`StepLosses::outcome`]; none if the network has no such head.
fn outcomes(task: &DynamicsTask) -> Vec<(&'static str, f64)> {
    let (d, settings) = (&task.run.world.dynamics, task.settings);
    if d.outcome == 0 {
        return Vec::new();
    }
    let mut outcomes = vec![
        (REWARD, settings.outcome_weight),
        (END, settings.outcome_weight),
    ];
    if d.memory.is_some() {
        outcomes.push((MOTION, settings.memory.motion_weight));
    }
    outcomes
}

fn floats(t: &Tensor) -> Result<Vec<f32>> {
    Ok(t.flatten_all()?.to_vec1()?)
}

fn clean(batch: &Batch) -> Result<CleanFrames> {
    let (sequences, length) = batch.actions.dims2()?;
    Ok(CleanFrames {
        sequences,
        length,
        latents: floats(&batch.context)?,
        past: floats(&batch.past)?,
        actions: batch.actions.flatten_all()?.to_vec1()?,
        signal: floats(&batch.context_signal)?,
        mask: floats(&batch.mask)?,
        recalled: match &batch.recalled {
            Some(Recalled { memory, .. }) => Some(RecalledFrames {
                latents: floats(&memory.latents)?,
                features: floats(&memory.features)?,
                filled: floats(&memory.filled)?,
            }),
            None => None,
        },
    })
}

fn noised(copy: &NoisedCopy, shortcut: bool) -> Result<NoisedFrames> {
    Ok(NoisedFrames {
        z: floats(&copy.z)?,
        tau: floats(&copy.tau)?,
        d: floats(&copy.d)?,
        actions: copy.actions.flatten_all()?.to_vec1()?,
        shortcut,
    })
}
