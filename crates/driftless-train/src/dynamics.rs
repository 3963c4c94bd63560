//! Training of the dynamics by shortcut forcing.
//!
//! A sequence enters the network as one *clean* copy (signal levels near 1, causal) and one or more
//! *noised* copies. A noised frame attends to the clean frames before it and to itself, as a
//! denoise pass with a KV cache does. Only the noised frames are trained on. Late in training, some
//! clean frames are replaced by the network's own predictions, so that it learns to correct their
//! errors.

mod batch;
mod batches;
mod cpu_step;
mod cpu_trainer;
mod noised_copy;
mod recalled;
mod sequences;
mod window_errors;
mod window_source;

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::{Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use driftless_data::PathError as _;
use driftless_flow::objective::{Objective, frame_errors};
use driftless_flow::path::expand;
use driftless_model::checkpoint::{DYNAMICS, TOKENIZER, write_tensors};
use driftless_model::dynamics::{ActionTensors, Dynamics, DynamicsInput};
use driftless_model::params::Params;

use self::batch::Batch;
use self::batches::{WindowSampler, past_frames};
use self::cpu_trainer::CpuTrainer;
use self::noised_copy::{NoisedCopy, step_indices};
use self::window_errors::window_errors;
use super::TrainStage;
use super::context::RunContext;
use super::loss_scaling::AuxiliaryLoss;
use super::optimizer::Optimizer;
use super::progress::TrainProgress;
use super::random::normal_like;
use super::settings::DynamicsSettings;
use super::task::{BatchReport, Losses, StepOutput, Task};
use super::training_data::TrainingData;
use crate::{Error, Result};

/// Names of the losses of the outcome head.
const REWARD: &str = "reward";
const END: &str = "end";
const MOTION: &str = "motion";

pub(super) struct DynamicsTask<'a> {
    run: &'a RunContext,
    settings: &'a DynamicsSettings,
    sampler: WindowSampler<'a>,
    dynamics: Dynamics,
    objective: Objective,
    /// Computes the steps on the CPU; `None` on other devices.
    cpu: Option<CpuTrainer>,
}

impl<'a> DynamicsTask<'a> {
    pub(super) fn new(
        run: &'a RunContext,
        data: TrainingData<'a>,
        progress: &mut dyn TrainProgress,
    ) -> Result<(Self, BTreeMap<String, Var>)> {
        let path = run.layout.checkpoint().join(TOKENIZER);
        if !path.exists() {
            return Err(Error::invalid(
                &path,
                "missing: train the tokenizer first (driftless train tokenizer)",
            ));
        }
        let settings = &run.settings.dynamics;
        let params =
            Params::seeded(run.settings.seed, &run.device).with_precision(run.settings.precision);
        let dynamics = Dynamics::new(&params, &run.world)?;
        let vars = params.finish()?;
        let objective = run
            .world
            .flow
            .objective(settings.loss_space.unwrap_or(settings.prediction));
        let task = Self {
            run,
            settings,
            sampler: WindowSampler::new(run, data, progress)?,
            dynamics,
            objective,
            cpu: CpuTrainer::new(run, objective, &vars)?,
        };
        Ok((task, vars))
    }

    /// Whether the learning rate decays at this step.
    fn in_decay_phase(&self, step: u64) -> bool {
        let o = &self.settings.optimizer;
        step as f64 >= o.steps as f64 * (1.0 - o.decay_fraction)
    }

    /// Replaces random frames of the clean copy by the network's own predictions x̂, which
    /// `predict` computes. The targets stay the real frames, and no gradient flows through the
    /// predictions. Each pass starts from the real frames and predicts from the copy that the
    /// previous pass made.
    fn with_self_generated_context(
        &self,
        mut batch: Batch,
        rng: &mut ChaCha8Rng,
        predict: &mut dyn FnMut(&Batch, &NoisedCopy) -> Result<Tensor>,
    ) -> Result<Batch> {
        let dims = batch.actions.indices.dims2()?;
        let real = batch.context.clone();
        let level = self
            .objective
            .path
            .coefficients(&expand(&batch.context_signal, &real)?)?;
        for _ in 0..self.settings.self_generated_passes {
            let tau = (batch.context_signal.zeros_like()? + self.min_level())?;
            let pure_noise = NoisedCopy {
                z: normal_like(&batch.latents, rng)?,
                d: tau.ones_like()?,
                actions: batch.actions.clone(),
                tau,
            };
            let predicted = predict(&batch, &pure_noise)?.detach();
            let chosen: Vec<f32> = (0..dims.0 * dims.1)
                .map(|_| {
                    f32::from(u8::from(
                        rng.random_bool(self.settings.self_generated_context),
                    ))
                })
                .collect();
            let chosen = (Tensor::from_vec(chosen, dims, predicted.device())? * &batch.mask)?;
            let change = (predicted - &batch.latents)?.broadcast_mul(&expand(&chosen, &real)?)?;
            batch.context = (&real + change.broadcast_mul(&level.alpha)?)?;
            batch.past = past_frames(&batch.context, self.run.world.dynamics.stem_frames)?;
        }
        Ok(batch)
    }

    /// x̂ of one noised copy, [B, T, gh, gw, c].
    fn predict_clean(&self, batch: &Batch, copy: &NoisedCopy) -> Result<Tensor> {
        let (outputs, _) = self.forward(batch, &[copy])?;
        let output = outputs
            .first()
            .ok_or_else(|| Error::Internal("no prediction"))?;
        Ok(self.objective.clean(output, &copy.z, &copy.tau)?)
    }

    /// The network's output for each noised copy, [B, T, gh, gw, c], and the outcomes that it predicts
    /// from the clean copy, [B, T, outputs].
    fn forward(
        &self,
        batch: &Batch,
        copies: &[&NoisedCopy],
    ) -> Result<(Vec<Tensor>, Option<Tensor>)> {
        let frames = batch.actions.indices.dim(1)?;
        let n = copies.len() + 1;
        let join = |clean: &Tensor, field: &dyn Fn(&NoisedCopy) -> Tensor| -> Result<Tensor> {
            let parts: Vec<Tensor> = std::iter::once(clean.clone())
                .chain(copies.iter().map(|copy| field(copy)))
                .collect();
            Ok(Tensor::cat(&parts, 1)?)
        };
        let finest = (batch.context_signal.ones_like()? / self.k_max() as f64)?;
        let d = join(&finest, &|c| c.d.clone())?;
        let copied = copies.iter().map(|copy| &copy.actions);
        let actions: Vec<&ActionTensors> = std::iter::once(&batch.actions).chain(copied).collect();
        let input = DynamicsInput {
            latents: join(&batch.context, &|c| c.z.clone())?,
            past: Tensor::cat(&vec![&batch.past; n], 1)?,
            actions: ActionTensors::cat(&actions)?,
            signal: join(&batch.context_signal, &|c| c.tau.clone())?,
            steps: step_indices(&d, self.k_max())?,
            memory: batch.recalled.as_ref().map(|r| r.memory.clone()),
        };
        let predicted =
            self.dynamics
                .forward(&input, self.dynamics.time_pattern(frames), frames)?;
        let outputs = (0..copies.len())
            .map(|i| Ok(predicted.prediction.narrow(1, i * frames, frames)?))
            .collect::<Result<_>>()?;
        Ok((outputs, predicted.outcome))
    }

    /// Metrics of the output for the first copy. Reports the errors of its frames if sequences are
    /// drawn by them.
    fn metrics(
        &self,
        output: &Tensor,
        copy: &NoisedCopy,
        batch: &Batch,
        report: &mut BatchReport,
    ) -> Result<Vec<(&'static str, Tensor)>> {
        let x = self.objective.clean(output, &copy.z, &copy.tau)?;
        if self.settings.hard_fraction > 0.0 {
            report.errors = window_errors(&self.run.world, &report.frames, &x, copy, batch)?;
        }
        let pure = copy.tau.le(self.min_level())?;
        Ok(vec![("from_noise", pure_noise_error(&x, &pure, batch)?)])
    }

    fn min_level(&self) -> f64 {
        self.run.world.flow.min_signal_level()
    }

    fn k_max(&self) -> usize {
        self.run.world.dynamics.k_max
    }

    /// The losses of predicted outcomes [B, T, outputs]: squared error of the reward, cross-entropy of
    /// the end and, with a memory, squared error of the motion.
    fn outcome_losses(&self, predicted: &Tensor, batch: &Batch) -> Result<Vec<AuxiliaryLoss>> {
        let count = batch.mask.sum_all()?.clamp(1.0, f64::from(u32::MAX))?;
        let mean = |x: Tensor| -> Result<Tensor> { Ok((x * &batch.mask)?.sum_all()?.div(&count)?) };
        let reward = (predicted.narrow(2, 0, 1)?.squeeze(2)? - &batch.rewards)?.sqr()?;
        let logit = predicted.narrow(2, 1, 1)?.squeeze(2)?;
        let weight = self.settings.outcome_weight;
        let auxiliary = |name, loss, weight| AuxiliaryLoss { name, loss, weight };
        let mut losses = vec![
            auxiliary(REWARD, mean(reward)?, weight),
            auxiliary(END, mean(cross_entropy(&logit, &batch.ends)?)?, weight),
        ];
        if let Some(recalled) = &batch.recalled {
            let error = (predicted.narrow(2, 2, 3)? - &recalled.motion)?.sqr()?;
            let error = (error.sum(2)? * &recalled.motion_known)?;
            let weight = self.settings.memory.motion_weight;
            losses.push(auxiliary(MOTION, mean(error)?, weight));
        }
        Ok(losses)
    }

    /// The target of a shortcut copy: two half steps of the network itself.
    fn shortcut_target(&self, batch: &Batch, copy: &NoisedCopy) -> Result<Tensor> {
        let half = (&copy.d * 0.5)?;
        let predict = |z: &Tensor, tau: &Tensor| {
            let copy = NoisedCopy {
                z: z.clone(),
                tau: tau.clone(),
                d: half.clone(),
                actions: copy.actions.clone(),
            };
            self.predict_clean(batch, &copy)
        };
        self.objective
            .shortcut_target(predict, &copy.z, &copy.tau, &copy.d)
    }

    /// Whether the last noised copy of the step learns shortcuts.
    fn is_shortcut_step(&self, step: u64) -> bool {
        step % self.settings.shortcut_every == self.settings.shortcut_every - 1
    }

    /// Whether the step trains on the network's own predictions as context.
    fn uses_self_generated_context(&self, step: u64) -> bool {
        self.settings.self_generated_context > 0.0
            && self.in_decay_phase(step)
            && !self.is_shortcut_step(step)
    }

    /// Draws a batch and computes its losses as tensors that candle can differentiate.
    pub(super) fn losses(&mut self, step: u64, rng: &mut ChaCha8Rng) -> Result<Losses> {
        let started = Instant::now();
        let mut batch = self.sampler.draw(step, rng)?;
        let mut report = BatchReport {
            frames: std::mem::take(&mut batch.frames),
            fetch_time: started.elapsed(),
            ..BatchReport::default()
        };
        let shortcut = self.is_shortcut_step(step);
        if self.uses_self_generated_context(step) {
            batch = self.with_self_generated_context(batch, rng, &mut |batch, copy| {
                self.predict_clean(batch, copy)
            })?;
        }
        let mut copies = Vec::new();
        let mut targets = Vec::new();
        for i in 0..self.settings.noised_copies {
            let shortcut = shortcut && i == self.settings.noised_copies - 1;
            let copy = NoisedCopy::draw(self.run, &batch, shortcut, rng)?;
            targets.push(if shortcut {
                self.shortcut_target(&batch, &copy)?
            } else {
                batch.latents.clone()
            });
            copies.push(copy);
        }
        let (outputs, outcome) = self.forward(&batch, &copies.iter().collect::<Vec<_>>())?;
        let mut loss: Option<Tensor> = None;
        for ((x, target), copy) in outputs.iter().zip(&targets).zip(&copies) {
            let weights = batch.weights.as_ref();
            let part = self
                .objective
                .loss(x, &copy.z, target, &copy.tau, &batch.mask, weights)?;
            loss = Some(match loss {
                Some(sum) => (sum + part)?,
                None => part,
            });
        }
        let loss = loss.ok_or_else(|| Error::Internal("dynamics.noised_copies is 0"))?;
        let loss = (loss / self.settings.noised_copies as f64)?;
        let metrics = match (outputs.first(), copies.first()) {
            (Some(output), Some(copy)) => {
                self.metrics(&output.detach(), copy, &batch, &mut report)?
            }
            _ => Vec::new(),
        };
        let auxiliary = match outcome {
            Some(outcome) => self.outcome_losses(&outcome, &batch)?,
            None => Vec::new(),
        };
        Ok(Losses {
            main: loss,
            auxiliary,
            metrics,
            batch: report,
        })
    }
}

impl Task for DynamicsTask<'_> {
    fn stage(&self) -> TrainStage {
        TrainStage::Dynamics
    }

    fn frames_per_step(&self, step: u64) -> u64 {
        let (b, frames) = self.sampler.batch_shape(step);
        (b * frames * self.settings.noised_copies) as u64
    }

    fn step(
        &mut self,
        step: u64,
        rng: &mut ChaCha8Rng,
        mean_squares: &mut BTreeMap<String, f64>,
    ) -> Result<StepOutput> {
        let output = match self.cpu.take() {
            Some(mut cpu) => {
                let output = self.cpu_step(&mut cpu, step, rng, mean_squares);
                self.cpu = Some(cpu);
                output
            }
            None => self.losses(step, rng)?.backward(mean_squares),
        }?;
        self.sampler.set_errors(&output.batch.errors);
        Ok(output)
    }

    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        self.sampler.source.state()
    }

    fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        self.sampler.source.restore(state)
    }

    fn export(&self, _step: u64, optimizer: &Optimizer) -> Result<()> {
        Ok(write_tensors(
            &self.run.layout.checkpoint().join(DYNAMICS),
            &optimizer.ema_weights(),
        )?)
    }
}

/// Mean squared error of x̂ over the frames whose input is pure noise (`pure` = 1).
fn pure_noise_error(x: &Tensor, pure: &Tensor, batch: &Batch) -> Result<Tensor> {
    let mask = (pure.to_dtype(batch.mask.dtype())? * &batch.mask)?;
    let errors = (frame_errors(x, &batch.latents)? * &mask)?;
    let count = mask.sum_all()?.clamp(1.0, f64::from(u32::MAX))?;
    Ok(errors.sum_all()?.div(&count)?)
}

/// Binary cross-entropy −y ln s(l) − (1 − y) ln(1 − s(l)) of the logits l, elementwise; s is the
/// sigmoid.
fn cross_entropy(logit: &Tensor, y: &Tensor) -> Result<Tensor> {
    let log_term = (logit.abs()?.neg()?.exp()? + 1.0)?.log()?;
    Ok(((logit.relu()? - (logit * y)?)? + log_term)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_is_exact_and_finite() {
        let loss = |logit: f32, y: f32| -> f32 {
            let [logit, y] = [logit, y].map(|x| Tensor::new(x, &candle_core::Device::Cpu).unwrap());
            cross_entropy(&logit, &y).unwrap().to_scalar().unwrap()
        };
        let sigmoid = |l: f32| 1.0 / (1.0 + (-l).exp());
        for logit in [-3.0, -0.5, 0.0, 1.5] {
            assert!((loss(logit, 1.0) + sigmoid(logit).ln()).abs() < 1e-6);
            assert!((loss(logit, 0.0) + (1.0 - sigmoid(logit)).ln()).abs() < 1e-6);
        }
        assert_eq!((loss(200.0, 0.0), loss(-200.0, 0.0)), (200.0, 0.0));
    }
}
