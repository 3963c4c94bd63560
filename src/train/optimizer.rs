//! AdamW for all parameters, Muon for hidden matrices, clipping, and an average of the weights.
//!
//! AdamW: Loshchilov and Hutter (2019). Muon: Jordan et al. (2024), with the update scaled by
//! 0.2 √max(rows, columns) to AdamW's size (Liu et al., *Muon is Scalable for LLM Training*, 2025).

mod flat;

use std::collections::BTreeMap;

use candle_core::backprop::GradStore;
use candle_core::{Tensor, Var};

pub use self::flat::FlatGradient;
use super::settings::OptimizerSettings;
use crate::{Error, Result};

const BETA1: f64 = 0.9;
const BETA2: f64 = 0.99;
const EPSILON: f64 = 1e-8;
const MUON_MOMENTUM: f64 = 0.95;

/// How one parameter is updated.
enum Rule {
    Adam { first: Tensor, second: Tensor },
    Muon { momentum: Tensor },
}

struct Parameter {
    var: Var,
    average: Tensor,
    rule: Rule,
}

/// All parameters of a network with their state.
pub struct Optimizer {
    parameters: BTreeMap<String, Parameter>,
    settings: OptimizerSettings,
}

/// Hidden matrices: between two hidden layers, so neither an embedding nor an input or output map.
fn is_hidden(name: &str, var: &Var) -> bool {
    let outer = [
        "encoder.patch",
        "encoder.latent",
        "decoder.latent",
        "decoder.patch",
        "stem.conv",
        "stem.signal",
        "token.signal",
        "head.out",
        "outcome.out",
        "skip",
    ];
    name.ends_with(".weight")
        && var.rank() == 2
        && !outer.iter().any(|prefix| name.starts_with(prefix))
}

impl Optimizer {
    /// Fresh state for `vars`.
    ///
    /// # Errors
    /// The device failed.
    pub fn new(vars: &BTreeMap<String, Var>, settings: &OptimizerSettings) -> Result<Self> {
        let parameters = vars
            .iter()
            .map(|(name, var)| {
                let zero = var.as_tensor().zeros_like()?;
                let rule = if settings.muon_rate > 0.0 && is_hidden(name, var) {
                    Rule::Muon { momentum: zero }
                } else {
                    // Two tensors of their own: they change in place.
                    Rule::Adam {
                        first: zero.copy()?,
                        second: zero,
                    }
                };
                let parameter = Parameter {
                    var: var.clone(),
                    average: var.as_tensor().copy()?.detach(),
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

    /// Factor of the learning rates at `step` (from 0): warm-up, constant, linear decay.
    pub fn schedule(&self, step: u64) -> f64 {
        schedule(&self.settings, step)
    }

    /// One update at `step` (from 0); returns the gradient's norm before clipping.
    ///
    /// Parameters whose names `frozen` accepts, or without a gradient, stay as they are.
    ///
    /// # Errors
    /// The gradient is not finite ([`Error::Diverged`]), or the device failed.
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
        let clip = clip(self.settings.clip, norm, step)?;
        let factor = self.schedule(step);
        let s = &self.settings;
        for (name, p) in &mut self.parameters {
            let Some(g) = grads.get(&p.var) else { continue };
            if frozen(name) {
                continue;
            }
            let g = (g.detach() * clip)?;
            let (rate, change) = match &mut p.rule {
                Rule::Adam { first, second } => (s.rate * factor, adam(first, second, &g, step)?),
                Rule::Muon { momentum } => (s.muon_rate * factor, muon(momentum, &g)?),
            };
            let mut value = p.var.as_tensor().detach();
            if s.weight_decay > 0.0 && value.rank() == 2 {
                value = (value * (1.0 - rate * s.weight_decay))?;
            }
            p.var.set(&(value - (change * rate)?)?)?;
        }
        let ema = ema(s, step);
        for p in self.parameters.values_mut() {
            p.average = ((&p.average * ema)? + (p.var.as_tensor().detach() * (1.0 - ema))?)?;
        }
        Ok(norm)
    }

    /// The averaged weights, by name.
    pub fn averages(&self) -> BTreeMap<String, Tensor> {
        self.parameters
            .iter()
            .map(|(name, p)| (name.clone(), p.average.clone()))
            .collect()
    }

    /// Puts the averaged weights in the place of the trained ones of names that `which` accepts.
    ///
    /// # Errors
    /// The device failed.
    pub fn adopt_averages(&mut self, which: impl Fn(&str) -> bool) -> Result<()> {
        for (name, p) in &self.parameters {
            if which(name) {
                p.var.set(&p.average.copy()?)?;
            }
        }
        Ok(())
    }

    /// Sets a parameter that is measured and not trained, and its average.
    ///
    /// # Errors
    /// There is no such parameter, or the shapes differ.
    pub fn assign(&mut self, name: &str, value: &Tensor) -> Result<()> {
        let p = self
            .parameters
            .get_mut(name)
            .ok_or_else(|| Error::Argument(format!("no parameter '{name}'")))?;
        p.var.set(value)?;
        p.average = value.copy()?.detach();
        Ok(())
    }

    /// Everything that `--resume` needs, as named tensors.
    pub fn state(&self) -> BTreeMap<String, Tensor> {
        let mut all = BTreeMap::new();
        for (name, p) in &self.parameters {
            all.insert(format!("value/{name}"), p.var.as_tensor().clone());
            all.insert(format!("average/{name}"), p.average.clone());
            match &p.rule {
                Rule::Adam { first, second } => {
                    all.insert(format!("first/{name}"), first.clone());
                    all.insert(format!("second/{name}"), second.clone());
                }
                Rule::Muon { momentum } => {
                    all.insert(format!("momentum/{name}"), momentum.clone());
                }
            }
        }
        all
    }

    /// Takes up a state made by [`Optimizer::state`].
    ///
    /// # Errors
    /// A tensor is missing or of another shape: the state belongs to other settings.
    pub fn restore(&mut self, state: &BTreeMap<String, Tensor>) -> Result<()> {
        let get = |key: String, like: &Tensor| -> Result<Tensor> {
            match state.get(&key) {
                Some(t) if t.dims() == like.dims() => Ok(t.to_device(like.device())?.copy()?),
                Some(t) => Err(Error::Argument(format!(
                    "'{key}' is {:?}, the settings ask for {:?}",
                    t.dims(),
                    like.dims()
                ))),
                None => Err(Error::Argument(format!("'{key}' is missing"))),
            }
        };
        for (name, p) in &mut self.parameters {
            let like = p.var.as_tensor().detach();
            p.var.set(&get(format!("value/{name}"), &like)?)?;
            p.average = get(format!("average/{name}"), &like)?;
            match &mut p.rule {
                Rule::Adam { first, second } => {
                    *first = get(format!("first/{name}"), &like)?;
                    *second = get(format!("second/{name}"), &like)?;
                }
                Rule::Muon { momentum } => *momentum = get(format!("momentum/{name}"), &like)?,
            }
        }
        Ok(())
    }
}

/// Factor of the learning rates at `step` (from 0): warm-up, constant, linear decay.
fn schedule(s: &OptimizerSettings, step: u64) -> f64 {
    let warm = (step + 1) as f64 / s.warm_up.max(1) as f64;
    let left = s.steps.saturating_sub(step) as f64 / (s.decay * s.steps as f64).max(1.0);
    warm.min(left).min(1.0)
}

/// What a gradient of this norm is multiplied with, so that it is no longer than `most`.
fn clip(most: f64, norm: f64, step: u64) -> Result<f64> {
    if !norm.is_finite() {
        return Err(Error::Diverged(format!(
            "step {step}: the gradient is not finite; the last saved state is untouched"
        )));
    }
    Ok((most / norm.max(1e-12)).min(1.0))
}

/// Decay of the averaged weights. Young averages follow faster, so that the start does not linger.
fn ema(s: &OptimizerSettings, step: u64) -> f64 {
    s.ema.min((1.0 + step as f64) / (10.0 + step as f64))
}

/// The change of AdamW without its rate: m̂/(√v̂ + ε).
fn adam(first: &mut Tensor, second: &mut Tensor, g: &Tensor, step: u64) -> Result<Tensor> {
    *first = ((&*first * BETA1)? + (g * (1.0 - BETA1))?)?;
    *second = ((&*second * BETA2)? + (g.sqr()? * (1.0 - BETA2))?)?;
    let n = (step + 1) as f64;
    let m = (&*first / (1.0 - BETA1.powf(n)))?;
    let v = (&*second / (1.0 - BETA2.powf(n)))?;
    Ok((m / (v.sqrt()? + EPSILON)?)?)
}

/// The change of Muon without its rate: the Nesterov momentum, orthogonalised and scaled.
fn muon(momentum: &mut Tensor, g: &Tensor) -> Result<Tensor> {
    *momentum = ((&*momentum * MUON_MOMENTUM)? + g)?;
    let direction = (g + (&*momentum * MUON_MOMENTUM)?)?;
    let (rows, columns) = direction.dims2()?;
    let scale = 0.2 * (rows.max(columns) as f64).sqrt();
    Ok((orthogonalise(&direction)? * scale)?)
}

/// The nearest semi-orthogonal matrix, roughly: five steps of the quintic Newton–Schulz iteration
/// with the coefficients of Jordan et al., singular values end between about 0.7 and 1.2.
fn orthogonalise(g: &Tensor) -> Result<Tensor> {
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
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::model::params::{Init, Params};

    fn settings(muon_rate: f64) -> OptimizerSettings {
        OptimizerSettings {
            steps: 100,
            rate: 0.05,
            muon_rate,
            warm_up: 10,
            decay: 0.5,
            weight_decay: 0.0,
            clip: 1e9,
            ema: 0.9,
        }
    }

    fn network() -> BTreeMap<String, Var> {
        let p = Params::seeded(1, &Device::Cpu);
        p.get("layer.weight", &[6, 9], Init::FanIn).unwrap();
        p.get("gain", &[9], Init::Constant(1.0)).unwrap();
        p.finish().unwrap()
    }

    fn loss(vars: &BTreeMap<String, Var>) -> Tensor {
        let x = vars["gain"]
            .as_tensor()
            .broadcast_mul(vars["layer.weight"].as_tensor());
        (x.unwrap() - 0.7)
            .unwrap()
            .sqr()
            .unwrap()
            .mean_all()
            .unwrap()
    }

    #[test]
    fn warm_up_rises_and_decay_falls_linearly() {
        let o = Optimizer::new(&network(), &settings(0.0)).unwrap();
        let at = |step| o.schedule(step);
        assert!((at(0) - 0.1).abs() < 1e-9 && (at(4) - 0.5).abs() < 1e-9);
        assert!((at(30) - 1.0).abs() < 1e-9);
        assert!((at(75) - 0.5).abs() < 1e-9 && (at(99) - 0.02).abs() < 1e-9);
    }

    #[test]
    fn the_first_adam_step_moves_every_weight_by_the_rate() {
        let vars = network();
        let mut o = Optimizer::new(&vars, &settings(0.0)).unwrap();
        let before = vars["gain"].as_tensor().to_vec1::<f32>().unwrap();
        o.update(&loss(&vars).backward().unwrap(), 0, |_| false)
            .unwrap();
        let after = vars["gain"].as_tensor().to_vec1::<f32>().unwrap();
        for (a, b) in before.iter().zip(after) {
            assert!(((a - b).abs() - 0.005).abs() < 1e-5, "{a} to {b}");
        }
    }

    #[test]
    fn both_rules_lower_a_quadratic_loss() {
        for muon_rate in [0.0, 0.3] {
            let vars = network();
            let mut o = Optimizer::new(&vars, &settings(muon_rate)).unwrap();
            let start: f32 = loss(&vars).to_scalar().unwrap();
            for step in 0..100 {
                o.update(&loss(&vars).backward().unwrap(), step, |_| false)
                    .unwrap();
            }
            let end: f32 = loss(&vars).to_scalar().unwrap();
            assert!(end < start * 0.05, "muon {muon_rate}: {start} to {end}");
        }
    }

    #[test]
    fn an_orthogonalised_matrix_has_singular_values_near_one() {
        let g = network()["layer.weight"].as_tensor().detach();
        for g in [g.clone(), g.t().unwrap().contiguous().unwrap()] {
            let x = orthogonalise(&g).unwrap();
            let (rows, columns) = x.dims2().unwrap();
            let x = if rows > columns { x.t().unwrap() } else { x };
            let gram: Vec<Vec<f32>> = x
                .matmul(&x.t().unwrap().contiguous().unwrap())
                .unwrap()
                .to_vec2()
                .unwrap();
            for (i, row) in gram.iter().enumerate() {
                assert!((0.4..1.6).contains(&row[i]), "diagonal {}", row[i]);
                let off: f32 = row
                    .iter()
                    .enumerate()
                    .filter(|(j, _)| *j != i)
                    .map(|(_, v)| v.abs())
                    .sum();
                assert!(off < 0.9, "off diagonal {off}");
            }
        }
    }

    #[test]
    fn a_restored_optimizer_continues_exactly() {
        let run = |vars: &BTreeMap<String, Var>, o: &mut Optimizer, steps: std::ops::Range<u64>| {
            for step in steps {
                o.update(&loss(vars).backward().unwrap(), step, |_| false)
                    .unwrap();
            }
        };
        let whole = network();
        let mut o = Optimizer::new(&whole, &settings(0.02)).unwrap();
        run(&whole, &mut o, 0..20);
        let parts = network();
        let mut first = Optimizer::new(&parts, &settings(0.02)).unwrap();
        run(&parts, &mut first, 0..9);
        let (state, other) = (first.state(), network());
        let copied = state
            .iter()
            .map(|(k, v)| (k.clone(), v.copy().unwrap()))
            .collect();
        let mut second = Optimizer::new(&other, &settings(0.02)).unwrap();
        second.restore(&copied).unwrap();
        run(&other, &mut second, 9..20);
        for name in ["gain", "layer.weight"] {
            let bits = |v: &BTreeMap<String, Var>| {
                v[name]
                    .as_tensor()
                    .flatten_all()
                    .unwrap()
                    .to_vec1::<f32>()
                    .unwrap()
            };
            assert_eq!(bits(&whole), bits(&other), "{name}");
        }
    }

    #[test]
    fn a_gradient_that_is_not_finite_changes_nothing() {
        let vars = network();
        let mut o = Optimizer::new(&vars, &settings(0.0)).unwrap();
        let before = vars["gain"].as_tensor().to_vec1::<f32>().unwrap();
        let broken = (loss(&vars) * f64::NAN).unwrap();
        let error = o
            .update(&broken.backward().unwrap(), 0, |_| false)
            .unwrap_err();
        assert!(matches!(error, Error::Diverged(_)));
        assert_eq!(before, vars["gain"].as_tensor().to_vec1::<f32>().unwrap());
    }
}
