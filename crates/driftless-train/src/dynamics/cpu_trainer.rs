//! The trainer of the dynamics on the CPU, fed with batches of tensors.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};

use super::batch::Batch;
use super::noised_copy::NoisedCopy;
use super::recalled::Recalled;
use crate::Result;
use crate::context::RunContext;
use crate::cpu::batch::{
    CleanFrames, MotionTargets, NoisedFrames, OUTCOME_LOSSES, OutcomeTargets, RecalledFrames,
    StepLosses, Targets,
};
use crate::cpu::dynamics_trainer::DynamicsTrainer;
use crate::loss_scaling;
use crate::loss_scaling::MAIN;
use crate::optimizer::FlatGradient;
use driftless_flow::objective::Objective;
use driftless_model::precision::Precision;

/// The trainer, and the parameters that it trains.
pub(super) struct CpuTrainer {
    trainer: DynamicsTrainer,
    vars: BTreeMap<String, Var>,
}

impl CpuTrainer {
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
            trainer: DynamicsTrainer::new(&run.world, objective, vars, &run.ranks)?,
            vars: vars.clone(),
        }))
    }

    /// Copies the current values of the parameters.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or not on the CPU.
    pub fn refresh(&mut self) -> Result<()> {
        self.trainer.refresh(&self.vars)
    }

    /// x̂ of a noised copy, [B, T, gh, gw, c].
    ///
    /// # Errors
    /// Returns an error if the batch does not fit the network.
    pub fn predict(&mut self, batch: &Batch, copy: &NoisedCopy) -> Result<Tensor> {
        let x = self
            .trainer
            .predict(&clean(batch)?, &noised(copy, false)?)?;
        let (shape, device) = (batch.latents.shape(), batch.latents.device());
        Ok(Tensor::from_vec(x, shape, device)?)
    }

    /// The losses and the gradient of their sum. `outcomes` are names and weights of the losses of the
    /// outcome head, in the order of [`StepLosses::outcome`]; the losses are scaled by the running mean
    /// squares of the steps before; the first step computes its own losses once more for that.
    ///
    /// # Errors
    /// Returns an error if the batch does not fit the network.
    pub fn losses(
        &mut self,
        batch: &Batch,
        copies: &[NoisedFrames],
        outcomes: &[(&'static str, f64)],
        mean_squares: &mut BTreeMap<String, f64>,
    ) -> Result<StepLosses> {
        let clean = clean(batch)?;
        let latents = floats(&batch.latents)?;
        let weights = batch.weights.as_ref().map(floats).transpose()?;
        if outcomes.is_empty() {
            let targets = Targets {
                latents: &latents,
                weights: weights.as_deref(),
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
                weights: weights.as_deref(),
                outcome: Some(&outcome),
                gradient: false,
            };
            let first = self.trainer.losses(&clean, copies, &targets)?;
            let mut values = vec![(MAIN, first.main)];
            values.extend(names.iter().copied().zip(first.outcome));
            loss_scaling::initialize(mean_squares, &values);
        }
        for (&(name, weight), scale) in outcomes.iter().zip(&mut outcome.scales) {
            *scale = loss_scaling::scale(mean_squares, name, weight) as f32;
        }
        let targets = Targets {
            latents: &latents,
            weights: weights.as_deref(),
            outcome: Some(&outcome),
            gradient: true,
        };
        self.trainer.losses(&clean, copies, &targets)
    }

    /// The gradient of the last batch.
    ///
    /// # Errors
    /// Returns an error if a rank is lost.
    pub fn gradient(&mut self) -> Result<FlatGradient> {
        Ok(FlatGradient {
            layout: self.trainer.layout(),
            values: self.trainer.gradient()?.to_vec(),
        })
    }
}

fn floats(t: &Tensor) -> Result<Vec<f32>> {
    Ok(t.flatten_all()?.to_vec1()?)
}

fn clean(batch: &Batch) -> Result<CleanFrames> {
    let (sequences, length) = batch.actions.indices.dims2()?;
    Ok(CleanFrames {
        sequences,
        length,
        latents: floats(&batch.context)?,
        past: floats(&batch.past)?,
        actions: batch.actions.to_vec()?,
        signal: floats(&batch.context_signal)?,
        mask: floats(&batch.mask)?,
        recalled: match &batch.recalled {
            Some(Recalled { memory, .. }) => Some(RecalledFrames {
                tokens: floats(&memory.tokens)?,
                filled: floats(&memory.filled)?,
            }),
            None => None,
        },
    })
}

pub(super) fn noised(copy: &NoisedCopy, shortcut: bool) -> Result<NoisedFrames> {
    Ok(NoisedFrames {
        z: floats(&copy.z)?,
        tau: floats(&copy.tau)?,
        d: floats(&copy.d)?,
        actions: copy.actions.to_vec()?,
        shortcut,
    })
}
