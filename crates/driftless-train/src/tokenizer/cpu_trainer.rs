//! The trainer of the tokenizer on the CPU, with the parameters that it trains.

use std::collections::BTreeMap;

use candle_core::Var;

use super::backgrounds::Backgrounds;
use crate::Result;
use crate::context::RunContext;
use crate::cpu::frame_patches::PixelWeights;
use crate::cpu::tokenizer_trainer::{FrameBatch, TokenizerLosses, TokenizerTrainer};
use crate::optimizer::FlatGradient;
use driftless_model::precision::Precision;

/// The trainer, and the parameters that it trains.
pub(super) struct CpuTrainer {
    trainer: TokenizerTrainer,
    vars: BTreeMap<String, Var>,
}

impl CpuTrainer {
    /// `None` on other devices and for a precision below f32, where candle computes the steps.
    /// `pixel_rarity` is the rarity weight of the foreground at every pixel, [H, W].
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub fn new(
        run: &RunContext,
        vars: &BTreeMap<String, Var>,
        backgrounds: &Backgrounds,
        pixel_rarity: &[f32],
    ) -> Result<Option<Self>> {
        if !run.device.is_cpu() || run.settings.precision != Precision::F32 {
            return Ok(None);
        }
        let foreground_weight = run.settings.tokenizer.foreground_weight as f32;
        let weights = PixelWeights {
            foreground: pixel_rarity
                .iter()
                .map(|rarity| rarity * foreground_weight)
                .collect(),
            surroundings: run.settings.tokenizer.surroundings_weight as f32,
            change: run.settings.tokenizer.change_weight as f32,
        };
        Ok(Some(Self {
            trainer: TokenizerTrainer::new(&run.world, vars, backgrounds, weights, &run.ranks)?,
            vars: vars.clone(),
        }))
    }

    /// The losses of a batch.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or not on the CPU.
    pub fn losses(&mut self, batch: &FrameBatch) -> Result<TokenizerLosses> {
        self.trainer.step(&self.vars, batch)
    }

    /// The error of each frame of the last batch.
    pub fn frame_errors(&self) -> &[f32] {
        self.trainer.frame_errors()
    }

    /// The gradient of the last batch.
    pub fn gradient(&self) -> FlatGradient {
        FlatGradient {
            layout: self.trainer.layout(),
            values: self.trainer.gradient().to_vec(),
        }
    }
}
