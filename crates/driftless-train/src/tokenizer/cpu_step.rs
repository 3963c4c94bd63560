//! The training step of the tokenizer on the CPU.

use candle_core::Tensor;
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::cpu_trainer::CpuTrainer;
use super::{MIN_STD, TokenizerTask};
use crate::Result;
use crate::cpu::tokenizer_trainer::{FrameBatch, JointTraining};
use crate::task::{Gradient, StepOutput};

impl TokenizerTask<'_> {
    /// Loss and gradient of a step: the same as those of `TokenizerTask::losses` up to rounding, from
    /// the same random draws.
    ///
    /// # Errors
    /// Returns an error if the frames cannot be read.
    pub(super) fn cpu_step(
        &mut self,
        cpu: &mut CpuTrainer,
        step: u64,
        rng: &mut ChaCha8Rng,
    ) -> Result<StepOutput> {
        let (drawn, mut report) = self.draw_frames(step, rng)?;
        let (settings, world) = (self.settings, &self.run.world);
        let joint = if self.decoder_only {
            None
        } else {
            let visible = self.draw_visible(settings.batch_size, rng);
            let shift = rng.random_range(1..=settings.max_curvature_shift);
            Some(JointTraining {
                pairs: settings.batch_size / 4,
                vertical: rng.random(),
                shift,
                visible,
                curvature_weight: settings.curvature_weight as f32,
            })
        };
        let std = self.noise_std() as f32;
        let noise = (0..settings.batch_size * world.latent_len()).map(|_| {
            let x: f32 = StandardNormal.sample(rng);
            x * std
        });
        let batch = FrameBatch {
            images: &drawn.pixels,
            previous: drawn.previous.as_deref(),
            noise: noise.collect(),
            joint,
            min_std: MIN_STD as f32,
        };
        let losses = cpu.losses(&batch)?;
        report.set_frame_errors(cpu.frame_errors());
        let metrics = [
            ("pixels", losses.pixels),
            ("mse", losses.mse),
            ("curvature", losses.curvature),
        ];
        let metrics = metrics.map(|(name, x)| Ok((name, Tensor::new(x as f32, &self.run.device)?)));
        Ok(StepOutput {
            loss: losses.pixels + settings.curvature_weight * losses.curvature,
            gradient: Gradient::Flat(cpu.gradient()),
            metrics: metrics.into_iter().collect::<Result<_>>()?,
            batch: report,
        })
    }
}
