//! The training step of the tokenizer on the CPU.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::{MIN_STD, TokenizerTask};
use crate::Result;
use crate::context::RunContext;
use crate::cpu::frame_patches::PixelWeights;
use crate::cpu::tokenizer_trainer::{FrameBatch, JointTraining, TokenizerTrainer};
use crate::optimizer::FlatGradient;
use crate::task::{Gradient, StepOutput};
use driftless_model::precision::Precision;

/// The trainer, and the parameters that it trains.
pub(super) struct CpuStep {
    trainer: TokenizerTrainer,
    vars: BTreeMap<String, Var>,
}

impl CpuStep {
    /// `None` on other devices and for a precision below f32, where candle computes the steps.
    /// `background` is the median frame, `pixel_rarity` the rarity weight of the foreground at every
    /// pixel.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(
        run: &RunContext,
        vars: &BTreeMap<String, Var>,
        background: &[u8],
        pixel_rarity: &Tensor,
    ) -> Result<Option<Self>> {
        if !run.device.is_cpu() || run.settings.precision != Precision::F32 {
            return Ok(None);
        }
        let pixel_rarity = (pixel_rarity * run.settings.tokenizer.foreground_weight)?;
        let weights = PixelWeights {
            foreground: pixel_rarity.flatten_all()?.to_vec1()?,
            surroundings: run.settings.tokenizer.surroundings_weight as f32,
        };
        Ok(Some(Self {
            trainer: TokenizerTrainer::new(&run.world, vars, background, weights)?,
            vars: vars.clone(),
        }))
    }

    /// Loss and gradient of a step: the same as those of `TokenizerTask::losses` up to rounding, from
    /// the same random draws.
    ///
    /// # Errors
    /// Returns an error if the file of the frames fails.
    pub fn run(&mut self, task: &TokenizerTask, rng: &mut ChaCha8Rng) -> Result<StepOutput> {
        let (settings, world) = (task.settings, &task.run.world);
        let (images, mut report) = task.draw_frames(rng)?;
        let joint = if task.decoder_only {
            None
        } else {
            let visible = task.draw_visible(settings.batch_size, rng);
            let shift = rng.random_range(1..=settings.max_curvature_shift);
            Some(JointTraining {
                pairs: settings.batch_size / 4,
                vertical: rng.random(),
                shift,
                visible,
                curvature_weight: settings.curvature_weight as f32,
            })
        };
        let std = task.noise_std() as f32;
        let noise = (0..settings.batch_size * world.latent_len()).map(|_| {
            let x: f32 = StandardNormal.sample(rng);
            x * std
        });
        let batch = FrameBatch {
            images: &images,
            noise: noise.collect(),
            joint,
            min_std: MIN_STD as f32,
        };
        let losses = self.trainer.step(&self.vars, &batch)?;
        report.set_frame_errors(self.trainer.frame_errors());
        let metrics = [
            ("pixels", losses.pixels),
            ("mse", losses.mse),
            ("curvature", losses.curvature),
        ];
        let metrics = metrics.map(|(name, x)| Ok((name, Tensor::new(x as f32, &task.run.device)?)));
        Ok(StepOutput {
            loss: losses.pixels + settings.curvature_weight * losses.curvature,
            gradient: Gradient::Flat(FlatGradient {
                layout: self.trainer.layout(),
                values: self.trainer.gradient().to_vec(),
            }),
            metrics: metrics.into_iter().collect::<Result<_>>()?,
            batch: report,
        })
    }
}
