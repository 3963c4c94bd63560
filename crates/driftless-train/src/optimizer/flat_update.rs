//! The same update from a flat gradient on the CPU: in place, in parallel over the parameters.

use std::sync::Arc;

use candle_core::{CpuStorage, InplaceOp1, Layout as TensorLayout, Tensor, bail};
use rayon::prelude::*;

use super::{BETA1, BETA2, EPSILON, MUON_MOMENTUM, Optimizer, Parameter, UpdateRule};
use crate::cpu::orthogonalize::Orthogonalizer;
use crate::cpu::parameters::Layout;
use crate::cpu::row_ops;
use crate::cpu::update_rules::{self, AdamW};
use crate::{Error, Result};

/// The gradients of all parameters.
pub struct FlatGradient {
    /// Where each parameter is in `values`.
    pub layout: Arc<Layout>,
    /// The values, one parameter after another.
    pub values: Vec<f32>,
}

/// The factors of one step, the same for all parameters.
#[derive(Clone, Copy)]
struct StepFactors {
    clip: f32,
    adamw: AdamW,
    muon_learning_rate: f32,
    weight_decay: f32,
    ema_decay: f32,
}

impl Optimizer {
    /// Like [`Optimizer::update`]. Parameters that `gradient` does not have do not change.
    ///
    /// # Errors
    /// Returns [`Error::Diverged`] if the gradient is not finite, or an error if a parameter is not
    /// on the CPU.
    pub fn update_flat(
        &mut self,
        gradient: &FlatGradient,
        step: u64,
        is_frozen: impl Fn(&str) -> bool,
    ) -> Result<f64> {
        let mut jobs: Vec<_> = self
            .parameters
            .iter_mut()
            .map(|(name, p)| {
                let g = gradient.layout.find(name, &gradient.values);
                (p, g.filter(|_| !is_frozen(name)))
            })
            .collect();
        let sizes = jobs
            .par_iter()
            .map(|(_, g)| g.map_or(0.0, update_rules::sum_of_squares));
        let norm = sizes.collect::<Vec<f64>>().iter().sum::<f64>().sqrt();
        let s = &self.settings;
        let clip = super::clip_factor(s.grad_clip, norm, step)?;
        let factor = super::schedule_factor(s, step);
        let n = (step + 1) as f64;
        let factors = StepFactors {
            clip: clip as f32,
            adamw: AdamW {
                beta: [BETA1 as f32, BETA2 as f32],
                correction: [BETA1, BETA2].map(|b| (1.0 - b.powf(n)) as f32),
                epsilon: EPSILON as f32,
                learning_rate: (s.learning_rate * factor) as f32,
            },
            muon_learning_rate: (s.muon_learning_rate * factor) as f32,
            weight_decay: s.weight_decay as f32,
            ema_decay: super::ema_decay(s, step) as f32,
        };
        // The most expensive first, so that none is left for a single thread at the end.
        jobs.sort_by_key(|(p, _)| std::cmp::Reverse(p.cost()));
        jobs.into_par_iter()
            .with_max_len(1)
            .map_init(Scratch::default, |scratch, (p, g)| {
                p.update(&factors, g, scratch)
            })
            .collect::<Result<()>>()?;
        Ok(norm)
    }
}

#[derive(Default)]
struct Scratch {
    orthogonalizer: Orthogonalizer,
    direction: Vec<f32>,
}

impl Parameter {
    /// Relative cost of its update.
    fn cost(&self) -> usize {
        let count = self.var.elem_count();
        match self.rule {
            UpdateRule::AdamW { .. } => count,
            UpdateRule::Muon { .. } => {
                let short = self.var.dims().iter().copied().min().unwrap_or(1);
                count * (8 + short)
            }
        }
    }

    fn update(&mut self, s: &StepFactors, g: Option<&[f32]>, scratch: &mut Scratch) -> Result<()> {
        // What is frozen stays as it is to the last bit, and so does its average.
        let Some(g) = g else { return Ok(()) };
        let (rank, dims) = (self.var.rank(), self.var.dims().to_vec());
        let decay = |learning_rate: f32, x: &mut [f32]| {
            if s.weight_decay > 0.0 && rank == 2 {
                row_ops::scale(1.0 - learning_rate * s.weight_decay, x);
            }
        };
        let (rule, ema) = (&self.rule, &self.ema);
        in_place(self.var.as_tensor(), |x| {
            match rule {
                UpdateRule::AdamW { first, second } => in_place(first, |first| {
                    in_place(second, |second| {
                        decay(s.adamw.learning_rate, x);
                        update_rules::adamw(s.adamw, s.clip, g, first, second, x);
                        Ok(())
                    })
                })?,
                UpdateRule::Muon { momentum } => in_place(momentum, |momentum| {
                    let &[rows, columns] = dims.as_slice() else {
                        return Err(Error::Internal("Muon updates only matrices"));
                    };
                    scratch.direction.resize(g.len(), 0.0);
                    let direction = &mut scratch.direction[..g.len()];
                    update_rules::momentum(MUON_MOMENTUM as f32, s.clip, g, momentum, direction);
                    scratch
                        .orthogonalizer
                        .orthogonalize(rows, columns, direction);
                    let scale = 0.2 * (rows.max(columns) as f32).sqrt();
                    decay(s.muon_learning_rate, x);
                    row_ops::axpy(-s.muon_learning_rate * scale, direction, x);
                    Ok(())
                })?,
            }
            in_place(ema, |ema| {
                update_rules::ema(s.ema_decay, x, ema);
                Ok(())
            })
        })
    }
}

/// Calls `f` with the values of a contiguous tensor on the CPU, which it may change.
fn in_place(t: &Tensor, f: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<()> {
    let (call, result) = (std::cell::Cell::new(Some(f)), std::cell::Cell::new(None));
    t.inplace_op1(&UpdateInPlace(|x: &mut [f32]| {
        if let Some(f) = call.take() {
            result.set(Some(f(x)));
        }
    }))?;
    result
        .take()
        .unwrap_or_else(|| Err(Error::Internal("a tensor was not updated")))
}

struct UpdateInPlace<F>(F);

impl<F: Fn(&mut [f32])> InplaceOp1 for UpdateInPlace<F> {
    fn name(&self) -> &'static str {
        "update"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &TensorLayout) -> candle_core::Result<()> {
        match (storage, layout.contiguous_offsets()) {
            (CpuStorage::F32(numbers), Some((from, to))) => {
                (self.0)(&mut numbers[from..to]);
                Ok(())
            }
            _ => bail!("expected contiguous f32"),
        }
    }
}
