//! Training the dynamics as it is played: noised frames on top of nearly clean earlier ones.
//!
//! A sequence enters as one *clean* copy (signal levels near 1, causal) and one or more *noised*
//! copies; a noised frame attends to the clean frames strictly before it and to itself, which is
//! what a denoise pass with a cache does. Only noised frames are trained on. Late in training, some
//! clean frames may be the network's own predictions, whose errors it then learns not to pass on.

mod clips;
mod fast;
mod noise;

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::{Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;

use self::clips::{Batch, Clips, past_frames};
use self::fast::Fast;
use self::noise::{Noised, normal, step_indices};
use super::footage::Footage;
use super::optimizer::Optimizer;
use super::preview;
use super::run::{Further, Losses, Run, Task, Trained};
use super::settings::DynamicsSettings;
use crate::eval::pictures::Sheet;
use crate::flow::objective::{Objective, frame_errors};
use crate::flow::path::expand;
use crate::model::checkpoint::{DYNAMICS, TOKENIZER, write_tensors};
use crate::model::dynamics::{Dynamics, DynamicsInput};
use crate::model::params::Params;
use crate::model::tokenizer::Tokenizer;
use crate::{Error, Result};

pub(super) struct DynamicsTask<'a> {
    run: &'a Run,
    settings: &'a DynamicsSettings,
    footage: &'a Footage,
    clips: Clips<'a>,
    dynamics: Dynamics,
    objective: Objective,
    /// On the processor.
    fast: Option<Fast>,
}

impl<'a> DynamicsTask<'a> {
    pub(super) fn new(run: &'a Run, footage: &'a Footage) -> Result<(Self, BTreeMap<String, Var>)> {
        let path = run.checkpoint().join(TOKENIZER);
        if !path.exists() {
            return Err(Error::invalid(
                &path,
                "missing: train the tokenizer first (driftless train tokenizer)",
            ));
        }
        let params = Params::read(&path, &run.device)?;
        let tokenizer = Tokenizer::new(&params, &run.world)?;
        params.finish()?;
        let settings = &run.settings.dynamics;
        let params =
            Params::seeded(run.settings.seed, &run.device).with_precision(run.settings.precision);
        let dynamics = Dynamics::new(&params, &run.world)?;
        let vars = params.finish()?;
        let objective = run
            .world
            .flow
            .objective(settings.loss.unwrap_or(settings.prediction));
        let task = Self {
            run,
            settings,
            footage,
            clips: Clips::new(run, footage, &tokenizer)?,
            dynamics,
            objective,
            fast: Fast::new(run, objective, &vars)?,
        };
        Ok((task, vars))
    }

    /// Whether the step lies in the last part, where the rate decays.
    fn decays(&self, step: u64) -> bool {
        let o = &self.settings.optimizer;
        step as f64 >= o.steps as f64 * (1.0 - o.decay)
    }

    /// Puts the network's own predictions in the place of some frames of the clean copy; what is
    /// trained towards stays the truth. No gradient flows through them. Every pass starts from the
    /// real frames, and predicts from the copy that the pass before it made.
    fn with_own_context(
        &self,
        mut batch: Batch,
        rng: &mut ChaCha8Rng,
        clean: &mut dyn FnMut(&Batch, &Noised) -> Result<Tensor>,
    ) -> Result<Batch> {
        let dims = batch.actions.dims2()?;
        let real = batch.context.clone();
        let level = self
            .objective
            .path
            .coefficients(&expand(&batch.context_signal, &real)?)?;
        for _ in 0..self.settings.own_passes {
            let tau = (batch.context_signal.zeros_like()? + self.least_level())?;
            let guess = Noised {
                z: normal(&batch.latents, rng)?,
                d: tau.ones_like()?,
                actions: batch.actions.clone(),
                tau,
            };
            let own = clean(&batch, &guess)?.detach();
            let chosen: Vec<f32> = (0..dims.0 * dims.1)
                .map(|_| f32::from(u8::from(rng.random_bool(self.settings.own_context))))
                .collect();
            let chosen = (Tensor::from_vec(chosen, dims, own.device())? * &batch.mask)?;
            let change = (own - &batch.latents)?.broadcast_mul(&expand(&chosen, &real)?)?;
            batch.context = (&real + change.broadcast_mul(&level.alpha)?)?;
            batch.past = past_frames(&batch.context, self.run.world.dynamics.stem_frames)?;
        }
        Ok(batch)
    }

    /// x̂ of one noised copy, [B, T, gh, gw, c].
    fn clean(&self, batch: &Batch, copy: &Noised) -> Result<Tensor> {
        let (outputs, _) = self.predict(batch, &[copy])?;
        let output = outputs
            .first()
            .ok_or_else(|| Error::Argument("no prediction".into()))?;
        self.objective.clean(output, &copy.z, &copy.tau)
    }

    /// What the network puts out for each noised copy, [B, T, gh, gw, c], and for the outcomes of
    /// the clean one, [B, T, 2].
    fn predict(&self, batch: &Batch, copies: &[&Noised]) -> Result<(Vec<Tensor>, Option<Tensor>)> {
        let frames = batch.actions.dim(1)?;
        let n = copies.len() + 1;
        let with = |first: &Tensor, part: &dyn Fn(&Noised) -> Tensor| -> Result<Tensor> {
            let parts: Vec<Tensor> = std::iter::once(first.clone())
                .chain(copies.iter().map(|c| part(c)))
                .collect();
            Ok(Tensor::cat(&parts, 1)?)
        };
        let finest = (batch.context_signal.ones_like()? / self.k_max() as f64)?;
        let d = with(&finest, &|c| c.d.clone())?;
        let input = DynamicsInput {
            latents: with(&batch.context, &|c| c.z.clone())?,
            past: Tensor::cat(&vec![&batch.past; n], 1)?,
            actions: with(&batch.actions, &|c| c.actions.clone())?,
            signal: with(&batch.context_signal, &|c| c.tau.clone())?,
            steps: step_indices(&d, self.k_max())?,
        };
        let predicted = self
            .dynamics
            .forward(&input, self.dynamics.time(frames), frames)?;
        let outputs = (0..copies.len())
            .map(|i| Ok(predicted.clean.narrow(1, i * frames, frames)?))
            .collect::<Result<_>>()?;
        Ok((outputs, predicted.outcome))
    }

    /// What the log tells of the first copy's output.
    fn figures(
        &self,
        output: &Tensor,
        copy: &Noised,
        batch: &Batch,
    ) -> Result<Vec<(&'static str, Tensor)>> {
        let x = self.objective.clean(output, &copy.z, &copy.tau)?;
        let pure = copy.tau.le(self.least_level())?;
        Ok(vec![("from_noise", from_noise(&x, &pure, batch)?)])
    }

    fn least_level(&self) -> f64 {
        self.run.world.flow.least_level()
    }

    fn k_max(&self) -> usize {
        self.run.world.dynamics.k_max
    }

    /// The losses of predicted rewards and ends [B, T, 2]: squared error, and cross-entropy.
    fn outcomes(&self, predicted: &Tensor, batch: &Batch) -> Result<Vec<Further>> {
        let count = batch.mask.sum_all()?.clamp(1.0, f64::from(u32::MAX))?;
        let mean = |x: Tensor| -> Result<Tensor> { Ok((x * &batch.mask)?.sum_all()?.div(&count)?) };
        let reward = (predicted.narrow(2, 0, 1)?.squeeze(2)? - &batch.rewards)?.sqr()?;
        let logit = predicted.narrow(2, 1, 1)?.squeeze(2)?;
        let weight = self.settings.outcome_weight;
        let part = |name, loss| Further { name, loss, weight };
        Ok(vec![
            part("reward", mean(reward)?),
            part("end", mean(cross_entropy(&logit, &batch.ends)?)?),
        ])
    }

    /// What a shortcut copy is trained towards: two half steps of the network itself.
    fn target(&self, batch: &Batch, copy: &Noised) -> Result<Tensor> {
        let half = (&copy.d * 0.5)?;
        let predict = |z: &Tensor, tau: &Tensor| {
            let copy = Noised {
                z: z.clone(),
                tau: tau.clone(),
                d: half.clone(),
                actions: copy.actions.clone(),
            };
            self.clean(batch, &copy)
        };
        self.objective
            .shortcut_target(predict, &copy.z, &copy.tau, &copy.d)
    }

    fn is_shortcut(&self, step: u64) -> bool {
        step % self.settings.shortcut_every == self.settings.shortcut_every - 1
    }

    /// Whether the step trains on the network's own predictions as context.
    fn makes_context(&self, step: u64) -> bool {
        self.settings.own_context > 0.0 && self.decays(step) && !self.is_shortcut(step)
    }

    /// The losses of a step, as tensors that candle can differentiate.
    pub(super) fn losses(&self, step: u64, rng: &mut ChaCha8Rng) -> Result<Losses> {
        let fetching = Instant::now();
        let mut batch = self.clips.batch(step, rng)?;
        let fetched = fetching.elapsed();
        let shortcut = self.is_shortcut(step);
        if self.makes_context(step) {
            batch =
                self.with_own_context(batch, rng, &mut |batch, copy| self.clean(batch, copy))?;
        }
        let mut copies = Vec::new();
        let mut targets = Vec::new();
        for i in 0..self.settings.copies {
            let shortcut = shortcut && i == self.settings.copies - 1;
            let copy = Noised::draw(self.run, &batch, shortcut, rng)?;
            targets.push(match shortcut {
                true => self.target(&batch, &copy)?,
                false => batch.latents.clone(),
            });
            copies.push(copy);
        }
        let (outputs, outcome) = self.predict(&batch, &copies.iter().collect::<Vec<_>>())?;
        let mut loss: Option<Tensor> = None;
        for ((x, target), copy) in outputs.iter().zip(&targets).zip(&copies) {
            let part = self
                .objective
                .loss(x, &copy.z, target, &copy.tau, &batch.mask)?;
            loss = Some(match loss {
                Some(sum) => (sum + part)?,
                None => part,
            });
        }
        let loss = loss.ok_or_else(|| Error::Argument("dynamics.copies is 0".into()))?;
        let loss = (loss / self.settings.copies as f64)?;
        let figures = match (outputs.first(), copies.first()) {
            (Some(output), Some(copy)) => self.figures(&output.detach(), copy, &batch)?,
            _ => Vec::new(),
        };
        let further = match outcome {
            Some(outcome) => self.outcomes(&outcome, &batch)?,
            None => Vec::new(),
        };
        Ok(Losses {
            main: loss,
            further,
            figures,
            fetched,
        })
    }
}

impl Task for DynamicsTask<'_> {
    fn name(&self) -> &'static str {
        "dynamics"
    }

    fn frames(&self, step: u64) -> u64 {
        let (b, frames) = self.clips.size(step);
        (b * frames * self.settings.copies) as u64
    }

    fn prepare(&mut self, _step: u64, _optimizer: &mut Optimizer) -> Result<()> {
        Ok(())
    }

    fn step(
        &mut self,
        step: u64,
        rng: &mut ChaCha8Rng,
        squares: &mut BTreeMap<String, f64>,
    ) -> Result<Trained> {
        match self.fast.take() {
            Some(mut fast) => {
                let trained = fast.step(self, step, rng, squares);
                self.fast = Some(fast);
                trained
            }
            None => self.losses(step, rng)?.differentiate(squares),
        }
    }

    fn frozen(&self, _step: u64, _name: &str) -> bool {
        false
    }

    fn export(&self, _step: u64, optimizer: &Optimizer) -> Result<()> {
        write_tensors(&self.run.checkpoint().join(DYNAMICS), &optimizer.averages())
    }

    fn preview(&self) -> Result<Sheet> {
        preview::dynamics(self.run, self.footage)
    }
}

/// Mean squared error of the frames that are `pure` noise: the one-step latent error.
fn from_noise(x: &Tensor, pure: &Tensor, batch: &Batch) -> Result<Tensor> {
    let mask = (pure.to_dtype(batch.mask.dtype())? * &batch.mask)?;
    let errors = (frame_errors(x, &batch.latents)? * &mask)?;
    let count = mask.sum_all()?.clamp(1.0, f64::from(u32::MAX))?;
    Ok(errors.sum_all()?.div(&count)?)
}

/// −y ln s(l) − (1 − y) ln(1 − s(l)) with the sigmoid s of the logits l, elementwise.
fn cross_entropy(logit: &Tensor, y: &Tensor) -> Result<Tensor> {
    let spread = (logit.abs()?.neg()?.exp()? + 1.0)?.log()?;
    Ok(((logit.relu()? - (logit * y)?)? + spread)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_is_that_of_the_sigmoid_and_stays_finite() {
        let of = |logit: f32, y: f32| -> f32 {
            let [logit, y] = [logit, y].map(|x| Tensor::new(x, &candle_core::Device::Cpu).unwrap());
            cross_entropy(&logit, &y).unwrap().to_scalar().unwrap()
        };
        let sigmoid = |l: f32| 1.0 / (1.0 + (-l).exp());
        for logit in [-3.0, -0.5, 0.0, 1.5] {
            assert!((of(logit, 1.0) + sigmoid(logit).ln()).abs() < 1e-6);
            assert!((of(logit, 0.0) + (1.0 - sigmoid(logit)).ln()).abs() < 1e-6);
        }
        assert_eq!((of(200.0, 0.0), of(-200.0, 0.0)), (200.0, 0.0));
    }
}
