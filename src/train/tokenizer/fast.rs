//! A step on the processor, through `train::cpu`.

use std::collections::BTreeMap;

use candle_core::{Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::{LEAST_STD, TokenizerTask};
use crate::Result;
use crate::model::precision::Precision;
use crate::train::cpu::frames::{FrameBatch, Joint, TokenizerTrainer};
use crate::train::optimizer::FlatGradient;
use crate::train::run::{Gradient, Run, Trained};

/// The trainer of the processor, and the parameters that it trains.
pub(super) struct Fast {
    trainer: TokenizerTrainer,
    vars: BTreeMap<String, Var>,
}

impl Fast {
    /// None where another device computes, or where factors are to be rounded. `background` is the
    /// median frame, `rarity` the foreground's weight at every pixel.
    ///
    /// # Errors
    /// A parameter is missing or of another shape.
    pub fn new(
        run: &Run,
        vars: &BTreeMap<String, Var>,
        background: &[u8],
        rarity: &Tensor,
    ) -> Result<Option<Self>> {
        if !run.device.is_cpu() || run.settings.precision != Precision::F32 {
            return Ok(None);
        }
        let rarity = (rarity * run.settings.tokenizer.foreground)?;
        let rarity = rarity.flatten_all()?.to_vec1::<f32>()?;
        Ok(Some(Self {
            trainer: TokenizerTrainer::new(&run.world, vars, background, &rarity)?,
            vars: vars.clone(),
        }))
    }

    /// Loss and gradient of a step; the same numbers as `TokenizerTask::losses`, from the same draws.
    ///
    /// # Errors
    /// The file of the frames failed.
    pub fn step(&mut self, task: &TokenizerTask, rng: &mut ChaCha8Rng) -> Result<Trained> {
        let (settings, world) = (task.settings, &task.run.world);
        let (images, fetched) = task.fetch(rng)?;
        let joint = match task.polishing {
            true => None,
            false => {
                let seen = task.visible(settings.batch, rng);
                let shift = rng.random_range(1..=settings.shift);
                Some(Joint {
                    pairs: settings.batch / 4,
                    vertical: rng.random(),
                    shift,
                    seen,
                    curvature: settings.curvature as f32,
                })
            }
        };
        let std = task.noise_level() as f32;
        let noise = (0..settings.batch * world.latent_len()).map(|_| {
            let x: f32 = StandardNormal.sample(rng);
            x * std
        });
        let batch = FrameBatch {
            images: &images,
            noise: noise.collect(),
            joint,
            least_std: LEAST_STD as f32,
        };
        let losses = self.trainer.step(&self.vars, &batch)?;
        let figures = [
            ("pixels", losses.pixels),
            ("mse", losses.plain),
            ("curvature", losses.curvature),
        ];
        let figures = figures.map(|(name, x)| Ok((name, Tensor::new(x as f32, &task.run.device)?)));
        Ok(Trained {
            loss: losses.pixels + settings.curvature * losses.curvature,
            gradient: Gradient::Flat(FlatGradient {
                layout: self.trainer.layout(),
                numbers: self.trainer.gradient().to_vec(),
            }),
            figures: figures.into_iter().collect::<Result<_>>()?,
            fetched,
        })
    }
}
