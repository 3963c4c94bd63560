//! The same update from a flat gradient on the processor: in place, one parameter a task.

use std::sync::Arc;

use candle_core::{CpuStorage, InplaceOp1, Layout as Strides, Tensor, bail};
use rayon::prelude::*;

use super::{BETA1, BETA2, EPSILON, MUON_MOMENTUM, Optimizer, Parameter, Rule};
use crate::train::cpu::muon::Muon;
use crate::train::cpu::parameters::Layout;
use crate::train::cpu::rows;
use crate::train::cpu::update::{self, Adam};
use crate::{Error, Result};

/// The gradients of all parameters.
pub struct FlatGradient {
    /// Where each one is.
    pub layout: Arc<Layout>,
    /// All of them.
    pub numbers: Vec<f32>,
}

/// What one step does to every parameter.
#[derive(Clone, Copy)]
struct Step {
    clip: f32,
    adam: Adam,
    muon_rate: f32,
    weight_decay: f32,
    ema: f32,
}

impl Optimizer {
    /// As [`Optimizer::update`]. Parameters that the gradient does not know stay as they are.
    ///
    /// # Errors
    /// The gradient is not finite ([`Error::Diverged`]), or a parameter is not on the processor.
    pub fn update_flat(
        &mut self,
        gradient: &FlatGradient,
        step: u64,
        frozen: impl Fn(&str) -> bool,
    ) -> Result<f64> {
        let mut jobs: Vec<_> = self
            .parameters
            .iter_mut()
            .map(|(name, p)| {
                let g = gradient.layout.find(name, &gradient.numbers);
                (p, g.filter(|_| !frozen(name)))
            })
            .collect();
        let sizes = jobs.par_iter().map(|(_, g)| g.map_or(0.0, update::squares));
        let norm = sizes.collect::<Vec<f64>>().iter().sum::<f64>().sqrt();
        let s = &self.settings;
        let clip = super::clip(s.clip, norm, step)?;
        let factor = super::schedule(s, step);
        let n = (step + 1) as f64;
        let step = Step {
            clip: clip as f32,
            adam: Adam {
                beta: [BETA1 as f32, BETA2 as f32],
                correction: [BETA1, BETA2].map(|b| (1.0 - b.powf(n)) as f32),
                epsilon: EPSILON as f32,
                rate: (s.rate * factor) as f32,
            },
            muon_rate: (s.muon_rate * factor) as f32,
            weight_decay: s.weight_decay as f32,
            ema: super::ema(s, step) as f32,
        };
        // The largest first, so that no thread is left with one at the end.
        jobs.sort_by_key(|(p, _)| std::cmp::Reverse(p.cost()));
        jobs.into_par_iter()
            .with_max_len(1)
            .map_init(Scratch::default, |scratch, (p, g)| {
                p.step(&step, g, scratch)
            })
            .collect::<Result<()>>()?;
        Ok(norm)
    }
}

#[derive(Default)]
struct Scratch {
    muon: Muon,
    direction: Vec<f32>,
}

impl Parameter {
    /// About what its update costs.
    fn cost(&self) -> usize {
        let count = self.var.elem_count();
        match self.rule {
            Rule::Adam { .. } => count,
            Rule::Muon { .. } => {
                let short = self.var.dims().iter().copied().min().unwrap_or(1);
                count * (8 + short)
            }
        }
    }

    fn step(&mut self, s: &Step, g: Option<&[f32]>, scratch: &mut Scratch) -> Result<()> {
        let (rank, dims) = (self.var.rank(), self.var.dims().to_vec());
        let decay = |rate: f32, x: &mut [f32]| {
            if s.weight_decay > 0.0 && rank == 2 {
                rows::scaled(1.0 - rate * s.weight_decay, x);
            }
        };
        let (rule, average) = (&self.rule, &self.average);
        in_place(self.var.as_tensor(), |x| {
            match (rule, g) {
                (Rule::Adam { first, second }, Some(g)) => in_place(first, |first| {
                    in_place(second, |second| {
                        decay(s.adam.rate, x);
                        update::adam(s.adam, s.clip, g, first, second, x);
                        Ok(())
                    })
                })?,
                (Rule::Muon { momentum }, Some(g)) => in_place(momentum, |momentum| {
                    let &[rows, columns] = dims.as_slice() else {
                        return Err(Error::Argument("Muon of what is no matrix".into()));
                    };
                    scratch.direction.resize(g.len(), 0.0);
                    let direction = &mut scratch.direction[..g.len()];
                    update::momentum(MUON_MOMENTUM as f32, s.clip, g, momentum, direction);
                    scratch.muon.orthogonalise(rows, columns, direction);
                    let scale = 0.2 * (rows.max(columns) as f32).sqrt();
                    decay(s.muon_rate, x);
                    rows::axpy(-s.muon_rate * scale, direction, x);
                    Ok(())
                })?,
                (_, None) => {}
            }
            in_place(average, |average| {
                update::follow(s.ema, x, average);
                Ok(())
            })
        })
    }
}

/// Runs `f` on the numbers of a contiguous tensor on the processor, which it may change.
fn in_place(t: &Tensor, f: impl FnOnce(&mut [f32]) -> Result<()>) -> Result<()> {
    let (call, result) = (std::cell::Cell::new(Some(f)), std::cell::Cell::new(None));
    t.inplace_op1(&Change(|x: &mut [f32]| {
        if let Some(f) = call.take() {
            result.set(Some(f(x)));
        }
    }))?;
    result
        .take()
        .unwrap_or_else(|| Err(Error::Argument("a tensor that does not change".into())))
}

struct Change<F>(F);

impl<F: Fn(&mut [f32])> InplaceOp1 for Change<F> {
    fn name(&self) -> &'static str {
        "change"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Strides) -> candle_core::Result<()> {
        match (storage, layout.contiguous_offsets()) {
            (CpuStorage::F32(numbers), Some((from, to))) => {
                (self.0)(&mut numbers[from..to]);
                Ok(())
            }
            _ => bail!("expected contiguous f32"),
        }
    }
}
