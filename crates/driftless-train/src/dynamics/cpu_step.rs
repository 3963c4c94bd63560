//! The training step of the dynamics on the CPU.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

use super::batch::Batch;
use super::cpu_trainer::{CpuTrainer, noised};
use super::noised_copy::NoisedCopy;
use super::{DynamicsTask, END, MOTION, REWARD};
use crate::Result;
use crate::loss_scaling;
use crate::loss_scaling::MAIN;
use crate::task::{BatchReport, Gradient, StepOutput};

impl DynamicsTask<'_> {
    /// Loss and gradient of a step: the same as those of `DynamicsTask::losses` up to rounding, from
    /// the same random draws.
    ///
    /// # Errors
    /// Returns an error if the file of the latents fails or the batch does not fit the network.
    pub(super) fn cpu_step(
        &mut self,
        cpu: &mut CpuTrainer,
        step: u64,
        rng: &mut ChaCha8Rng,
        mean_squares: &mut BTreeMap<String, f64>,
    ) -> Result<StepOutput> {
        let started = Instant::now();
        let mut batch = self.sampler.draw(step, rng)?;
        let mut report = BatchReport {
            frames: std::mem::take(&mut batch.frames),
            fetch_time: started.elapsed(),
            ..BatchReport::default()
        };
        cpu.refresh()?;
        if self.uses_self_generated_context(step) {
            let predict = &mut |batch: &Batch, copy: &NoisedCopy| cpu.predict(batch, copy);
            batch = self.with_self_generated_context(batch, rng, predict)?;
        }
        let copies = self.settings.noised_copies;
        let drawn = (0..copies)
            .map(|i| {
                let shortcut = self.is_shortcut_step(step) && i == copies - 1;
                let copy = NoisedCopy::draw(self.run, &batch, shortcut, rng)?;
                Ok((noised(&copy, shortcut)?, copy))
            })
            .collect::<Result<Vec<_>>>()?;
        let (frames, drawn): (Vec<_>, Vec<_>) = drawn.into_iter().unzip();
        let outcomes = self.outcomes();
        let losses = cpu.losses(&batch, &frames, &outcomes, mean_squares)?;
        let mut metrics = Vec::new();
        let mut loss = losses.main;
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
            metrics.extend(self.metrics(&output, copy, &batch, &mut report)?);
        }
        Ok(StepOutput {
            loss,
            gradient: Gradient::Flat(cpu.gradient()?),
            metrics,
            batch: report,
        })
    }

    /// Names and weights of the losses of the outcome head, in the order of
    /// `StepLosses::outcome`; none if the network has no such head.
    fn outcomes(&self) -> Vec<(&'static str, f64)> {
        let (d, settings) = (&self.run.world.dynamics, self.settings);
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
}
