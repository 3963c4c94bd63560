//! A step on the processor, through `train::cpu`.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::{Tensor, Var};
use rand_chacha::ChaCha8Rng;

use super::DynamicsTask;
use super::clips::Batch;
use super::noise::Noised;
use crate::Result;
use crate::flow::objective::Objective;
use crate::model::precision::Precision;
use crate::train::balance::{MAIN, begin, follow, known, scale};
use crate::train::cpu::sequences::{
    CleanFrames, DynamicsTrainer, NoisedFrames, OutcomeTargets, StepLosses, Targets,
};
use crate::train::optimizer::FlatGradient;
use crate::train::run::{Gradient, Run, Trained};

const REWARD: &str = "reward";
const END: &str = "end";

/// The trainer of the processor, and the parameters that it trains.
pub(super) struct Fast {
    trainer: DynamicsTrainer,
    vars: BTreeMap<String, Var>,
}

impl Fast {
    /// None where another device computes, or where factors are to be rounded.
    ///
    /// # Errors
    /// A parameter is missing or of another shape.
    pub fn new(
        run: &Run,
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

    /// Loss and gradient of a step; the same numbers as `DynamicsTask::losses`, from the same draws.
    ///
    /// # Errors
    /// The file of the latents failed, or the batch does not fit the network.
    pub fn step(
        &mut self,
        task: &DynamicsTask,
        step: u64,
        rng: &mut ChaCha8Rng,
        squares: &mut BTreeMap<String, f64>,
    ) -> Result<Trained> {
        let fetching = Instant::now();
        let mut batch = task.clips.batch(step, rng)?;
        let fetched = fetching.elapsed();
        self.trainer.refresh(&self.vars)?;
        if task.makes_context(step) {
            let trainer = &mut self.trainer;
            batch = task.with_own_context(batch, rng, &mut |batch, copy| {
                let x = trainer.predict(&clean(batch)?, &noised(copy, false)?)?;
                Ok(Tensor::from_vec(
                    x,
                    batch.latents.shape(),
                    batch.latents.device(),
                )?)
            })?;
        }
        let copies = task.settings.copies;
        let drawn = (0..copies)
            .map(|i| {
                let shortcut = task.is_shortcut(step) && i == copies - 1;
                let copy = Noised::draw(task.run, &batch, shortcut, rng)?;
                Ok((noised(&copy, shortcut)?, copy))
            })
            .collect::<Result<Vec<_>>>()?;
        let (frames, drawn): (Vec<_>, Vec<_>) = drawn.into_iter().unzip();
        let losses = self.losses(task, &batch, &frames, squares)?;
        let mut figures = Vec::new();
        let mut loss = losses.main;
        if let Some(names) = outcomes(task) {
            let sizes = [(names[0], losses.outcome[0]), (names[1], losses.outcome[1])];
            for (name, size) in sizes {
                loss += size * scale(squares, name, task.settings.outcome_weight);
                figures.push((name, Tensor::new(size as f32, batch.latents.device())?));
            }
            follow(squares, &[(MAIN, losses.main), sizes[0], sizes[1]]);
        }
        if let Some(copy) = drawn.first() {
            let (shape, device) = (batch.latents.shape(), batch.latents.device());
            let output = Tensor::from_vec(losses.output, shape, device)?;
            figures.extend(task.figures(&output, copy, &batch)?);
        }
        Ok(Trained {
            loss,
            gradient: Gradient::Flat(FlatGradient {
                layout: self.trainer.layout(),
                numbers: self.trainer.gradient().to_vec(),
            }),
            figures,
            fetched,
        })
    }

    /// The losses, with the gradient of their sum. The outcomes' scales are those of the steps
    /// before; the first step looks at its own losses beforehand.
    fn losses(
        &mut self,
        task: &DynamicsTask,
        batch: &Batch,
        copies: &[NoisedFrames],
        squares: &mut BTreeMap<String, f64>,
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
        if !known(squares, &names) {
            let targets = Targets {
                latents: &latents,
                outcome: Some(&outcome),
                gradient: false,
            };
            let first = self.trainer.losses(&clean, copies, &targets)?;
            let [reward, end] = first.outcome;
            let sizes = [(MAIN, first.main), (names[0], reward), (names[1], end)];
            begin(squares, &sizes);
        }
        let weight = task.settings.outcome_weight;
        outcome.scales = names.map(|name| scale(squares, name, weight) as f32);
        let targets = Targets {
            latents: &latents,
            outcome: Some(&outcome),
            gradient: true,
        };
        self.trainer.losses(&clean, copies, &targets)
    }
}

/// The parts of the loss beside the main one; none of a network without that head.
fn outcomes(task: &DynamicsTask) -> Option<[&'static str; 2]> {
    (task.run.world.dynamics.outcome > 0).then_some([REWARD, END])
}

fn floats(t: &Tensor) -> Result<Vec<f32>> {
    Ok(t.flatten_all()?.to_vec1()?)
}

fn clean(batch: &Batch) -> Result<CleanFrames> {
    let (sequences, moments) = batch.actions.dims2()?;
    Ok(CleanFrames {
        sequences,
        moments,
        latents: floats(&batch.context)?,
        past: floats(&batch.past)?,
        actions: batch.actions.flatten_all()?.to_vec1()?,
        signal: floats(&batch.context_signal)?,
        mask: floats(&batch.mask)?,
    })
}

fn noised(copy: &Noised, shortcut: bool) -> Result<NoisedFrames> {
    Ok(NoisedFrames {
        z: floats(&copy.z)?,
        tau: floats(&copy.tau)?,
        d: floats(&copy.d)?,
        actions: copy.actions.flatten_all()?.to_vec1()?,
        shortcut,
    })
}
