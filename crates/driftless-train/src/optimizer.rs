//! The optimizer: Muon for hidden matrices, AdamW for everything else, gradient clipping, and an
//! exponential moving average (EMA) of the weights.
//!
//! AdamW: Loshchilov and Hutter (2019). Muon: Jordan et al. (2024), with the update scaled by
//! 0.2 √max(rows, columns) to AdamW's size (Liu et al., *Muon is Scalable for LLM Training*, 2025).

mod flat_update;

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

pub use self::flat_update::FlatGradient;
use super::settings::OptimizerSettings;
use crate::{Error, Result};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.99;
const EPSILON: f64 = 1e-8;
const MUON_MOMENTUM: f64 = 0.95;

/// The update rule of a parameter, with its state.
enum UpdateRule {
    AdamW { first: Tensor, second: Tensor },
    Muon { momentum: Tensor },
}

struct Parameter {
    var: Var,
    ema: Tensor,
    rule: UpdateRule,
}

/// All parameters of a network and the state of their updates.
pub struct Optimizer {
    parameters: BTreeMap<String, Parameter>,
    settings: OptimizerSettings,
}

/// Whether a parameter is a matrix between two hidden layers: no embedding, no input or output
/// layer.
fn is_hidden(name: &str, var: &Var) -> bool {
    let not_hidden = [
        "encoder.patch",
        "encoder.latent",
        "decoder.latent",
        "decoder.patch",
        "stem.conv",
        "stem.signal",
        "token.",
        "text.encoder",
        "modulation.",
        "time.signal",
        "head.out",
        "outcome.out",
        "skip",
        "window.",
        "condition.descriptor",
        "condition.dose",
        "condition.signal",
        "condition.plate",
    ];
    name.ends_with(".weight")
        && var.rank() == 2
        && !not_hidden.iter().any(|prefix| name.starts_with(prefix))
}

impl Optimizer {
    /// A new state for `vars`.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn new(vars: &BTreeMap<String, Var>, settings: &OptimizerSettings) -> Result<Self> {
        let parameters = vars
            .iter()
            .map(|(name, var)| {
                let zero = var.as_tensor().zeros_like()?;
                let rule = if settings.muon_learning_rate > 0.0 && is_hidden(name, var) {
                    UpdateRule::Muon { momentum: zero }
                } else {
                    // Two separate tensors, because they are updated in place.
                    UpdateRule::AdamW {
                        first: zero.copy()?,
                        second: zero,
                    }
                };
                let parameter = Parameter {
                    var: var.clone(),
                    ema: var.as_tensor().copy()?.detach(),
                    rule,
                };
                Ok((name.clone(), parameter))
            })
            .collect::<Result<_>>()?;
        Ok(Self {
            parameters,
            settings: settings.clone(),
        })
    }

    /// Factor of the learning rates at `step` (from 0): warm-up, constant, then linear decay.
    pub fn schedule_factor(&self, step: u64) -> f64 {
        schedule_factor(&self.settings, step)
    }

    /// One update at `step` (from 0); returns the gradient's norm before clipping.
    ///
    /// Parameters without a gradient, and those for which `frozen` is true, do not change.
    ///
    /// # Errors
    /// Returns [`Error::Diverged`] if the gradient is not finite, or an error if the device fails.
    pub fn update(
        &mut self,
        grads: &GradStore,
        step: u64,
        frozen: impl Fn(&str) -> bool,
    ) -> Result<f64> {
        let mut total = 0.0;
        for (name, p) in &self.parameters {
            if let Some(g) = grads.get(&p.var)
                && !frozen(name)
            {
                let sum: f32 = g.sqr()?.sum_all()?.to_scalar()?;
                total += f64::from(sum);
            }
        }
        let norm = total.sqrt();
        let clip = clip_factor(self.settings.grad_clip, norm, step)?;
        let factor = self.schedule_factor(step);
        let s = &self.settings;
        for (name, p) in &mut self.parameters {
            let Some(g) = grads.get(&p.var) else { continue };
            if frozen(name) {
                continue;
            }
            let g = (g.detach() * clip)?;
            let (rate, update) = match &mut p.rule {
                UpdateRule::AdamW { first, second } => (
                    s.learning_rate * factor,
                    adamw_update(first, second, &g, step)?,
                ),
                UpdateRule::Muon { momentum } => {
                    (s.muon_learning_rate * factor, muon_update(momentum, &g)?)
                }
            };
            let mut value = p.var.as_tensor().detach();
            if s.weight_decay > 0.0 && value.rank() == 2 {
                value = (value * (1.0 - rate * s.weight_decay))?;
            }
            p.var.set(&(value - (update * rate)?)?)?;
        }
        let decay = ema_decay(s, step);
        for p in self.parameters.values_mut() {
            p.ema = ((&p.ema * decay)? + (p.var.as_tensor().detach() * (1.0 - decay))?)?;
        }
        Ok(norm)
    }

    /// The averaged weights, by name.
    pub fn ema_weights(&self) -> BTreeMap<String, Tensor> {
        self.parameters
            .iter()
            .map(|(name, p)| (name.clone(), p.ema.clone()))
            .collect()
    }

    /// Replaces the trained weights, where `which` is true for their names, by the averaged ones.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn load_ema_weights(&mut self, which: impl Fn(&str) -> bool) -> Result<()> {
        for (name, p) in &self.parameters {
            if which(name) {
                p.var.set(&p.ema.copy()?)?;
            }
        }
        Ok(())
    }

    /// Sets a parameter that is measured instead of trained, and its average.
    ///
    /// # Errors
    /// Returns an error if there is no such parameter or the shapes differ.
    pub fn assign(&mut self, name: &str, value: &Tensor) -> Result<()> {
        let p = self
            .parameters
            .get_mut(name)
            .ok_or_else(|| Error::Shape(format!("no parameter '{name}'")))?;
        p.var.set(value)?;
        p.ema = value.copy()?.detach();
        Ok(())
    }

    /// The state that `--resume` needs, as named tensors.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut all = BTreeMap::new();
        for (name, p) in &self.parameters {
            all.insert(format!("value/{name}"), p.var.as_tensor().clone());
            all.insert(format!("average/{name}"), p.ema.clone());
            match &p.rule {
                UpdateRule::AdamW { first, second } => {
                    all.insert(format!("first/{name}"), first.clone());
                    all.insert(format!("second/{name}"), second.clone());
                }
                UpdateRule::Muon { momentum } => {
                    all.insert(format!("momentum/{name}"), momentum.clone());
                }
            }
        }
        all
    }

    /// Restores a state made by [`Optimizer::state`].
    ///
    /// # Errors
    /// Returns an error if a tensor is missing or has another shape.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let get = |key: String, like: &Tensor| -> Result<Tensor> {
            match state.get(&key) {
                Some(t) if t.dims() == like.dims() => Ok(t.to_device(like.device())?.copy()?),
                Some(t) => Err(Error::Shape(format!(
                    "'{key}' is {:?}, expected {:?} by the settings",
                    t.dims(),
                    like.dims()
                ))),
                None => Err(Error::Shape(format!("'{key}' is missing"))),
            }
        };
        for (name, p) in &mut self.parameters {
            let like = p.var.as_tensor().detach();
            p.var.set(&get(format!("value/{name}"), &like)?)?;
            p.ema = get(format!("average/{name}"), &like)?;
            match &mut p.rule {
                UpdateRule::AdamW { first, second } => {
                    *first = get(format!("first/{name}"), &like)?;
                    *second = get(format!("second/{name}"), &like)?;
                }
                UpdateRule::Muon { momentum } => {
                    *momentum = get(format!("momentum/{name}"), &like)?;
                }
            }
        }
        Ok(())
    }
}

/// Factor of the learning rates at `step` (from 0): warm-up, constant, then linear decay.
fn schedule_factor(s: &OptimizerSettings, step: u64) -> f64 {
    let warmup = (step + 1) as f64 / s.warmup_steps.max(1) as f64;
    let decay_steps = (s.decay_fraction * s.steps as f64).max(1.0);
    let decay = s.steps.saturating_sub(step) as f64 / decay_steps;
    warmup.min(decay).min(1.0)
}

/// The factor that shortens a gradient of this norm to at most `max_norm`.
fn clip_factor(max_norm: f64, norm: f64, step: u64) -> Result<f64> {
    if !norm.is_finite() {
        return Err(Error::Diverged(format!(
            "the gradient is not finite at step {step}; the last saved state is unchanged"
        )));
    }
    Ok((max_norm / norm.max(1e-12)).min(1.0))
}

/// Decay of the averaged weights. It is smaller at first, so that the initial weights are soon
/// forgotten.
fn ema_decay(s: &OptimizerSettings, step: u64) -> f64 {
    s.ema_decay.min((1.0 + step as f64) / (10.0 + step as f64))
}

/// The update of AdamW without its learning rate: m̂/(√v̂ + ε).
fn adamw_update(first: &mut Tensor, second: &mut Tensor, g: &Tensor, step: u64) -> Result<Tensor> {
    *first = ((&*first * BETA1)? + (g * (1.0 - BETA1))?)?;
    *second = ((&*second * BETA2)? + (g.sqr()? * (1.0 - BETA2))?)?;
    let n = (step + 1) as f64;
    let m = (&*first / (1.0 - BETA1.powf(n)))?;
    let v = (&*second / (1.0 - BETA2.powf(n)))?;
    Ok((m / (v.sqrt()? + EPSILON)?)?)
}

/// The update of Muon without its learning rate: the Nesterov momentum, orthogonalized and scaled.
fn muon_update(momentum: &mut Tensor, g: &Tensor) -> Result<Tensor> {
    *momentum = ((&*momentum * MUON_MOMENTUM)? + g)?;
    let direction = (g + (&*momentum * MUON_MOMENTUM)?)?;
    let (rows, columns) = direction.dims2()?;
    let scale = 0.2 * (rows.max(columns) as f64).sqrt();
    Ok((orthogonalize(&direction)? * scale)?)
}

/// Approximates the nearest semi-orthogonal matrix by five steps of the quintic Newton–Schulz
/// iteration with the coefficients of Jordan et al. Singular values end between about 0.7 and 1.2.
fn orthogonalize(g: &Tensor) -> Result<Tensor> {
    let (a, b, c) = (3.4445, -4.7750, 2.0315);
    let (rows, columns) = g.dims2()?;
    let tall = rows > columns;
    let g = if tall {
        g.t()?.contiguous()?
    } else {
        g.clone()
    };
    let norm = (g.sqr()?.sum_all()?.sqrt()? + 1e-7)?;
    let mut x = g.broadcast_div(&norm)?;
    for _ in 0..5 {
        let gram = x.matmul(&x.t()?)?;
        let poly = ((&gram * b)? + (gram.matmul(&gram)? * c)?)?;
        x = ((&x * a)? + poly.matmul(&x)?)?;
    }
    Ok(if tall { x.t()?.contiguous()? } else { x })
}

#[cfg(test)]
#[path = "optimizer_tests.rs"]
mod tests;
