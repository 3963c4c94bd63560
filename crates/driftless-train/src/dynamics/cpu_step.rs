//! The training step of the dynamics on the CPU.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::{Tensor, Var};
use rand_chacha::ChaCha8Rng;

use super::DynamicsTask;
use super::batches::Batch;
use super::noised_copy::NoisedCopy;
use crate::Result;
use crate::context::RunContext;
use crate::cpu::dynamics_trainer::{
    CleanFrames, DynamicsTrainer, NoisedFrames, OutcomeTargets, StepLosses, Targets,
};
use crate::loss_scaling::{self, MAIN};
use crate::optimizer::FlatGradient;
use crate::task::{BatchReport, Gradient, StepOutput};
use driftless_flow::objective::Objective;
use driftless_model::precision::Precision;

const REWARD: &str = "reward";
const END: &str = "end";

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
        if let Some(names) = outcomes(task) {
            let values = [(names[0], losses.outcome[0]), (names[1], losses.outcome[1])];
            for (name, value) in values {
                loss +=
                    value * loss_scaling::scale(mean_squares, name, task.settings.outcome_weight);
                metrics.push((name, Tensor::new(value as f32, batch.latents.device())?));
            }
            loss_scaling::update(mean_squares, &[(MAIN, losses.main), values[0], values[1]]);
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
        let Some(names) = outcomes(task) else {
            let targets = Targets {
                latents: &latents,
                outcome: None,
                gradient: true,
            };
            return self.trainer.losses(&clean, copies, &targets);
        };
        let mut outcome = OutcomeTargets {
            rewards: floats(&batch.rewards)?,
            ends: floats(&batch.ends)?,
            scales: [0.0; 2],
        };
        if !loss_scaling::is_initialized(mean_squares, &names) {
            let targets = Targets {
                latents: &latents,
                outcome: Some(&outcome),
                gradient: false,
            };
            let first = self.trainer.losses(&clean, copies, &targets)?;
            let [reward, end] = first.outcome;
            let values = [(MAIN, first.main), (names[0], reward), (names[1], end)];
            loss_scaling::initialize(mean_squares, &values);
        }
        let weight = task.settings.outcome_weight;
        outcome.scales = names.map(|name| loss_scaling::scale(mean_squares, name, weight) as f32);
        let targets = Targets {
            latents: &latents,
            outcome: Some(&outcome),
            gradient: true,
        };
        self.trainer.losses(&clean, copies, &targets)
    }
}

/// Names of the outcome losses; `None` if the network has no outcome head.
fn outcomes(task: &DynamicsTask) -> Option<[&'static str; 2]> {
    (task.run.world.dynamics.outcome > 0).then_some([REWARD, END])
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
