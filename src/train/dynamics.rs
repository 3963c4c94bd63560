//! Training the dynamics as it is played: noised frames on top of nearly clean earlier ones.
//!
//! A sequence enters as one *clean* copy (signal levels near 1, causal) and one or more *noised*
//! copies; a noised frame attends to the clean frames strictly before it and to itself, which is
//! what a denoise pass with a cache does. Only noised frames are trained on. Late in training, some
//! clean frames may be the network's own predictions, whose errors it then learns not to pass on.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::{DType, Device, Tensor, Var};
use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};

use super::footage::{Footage, Store};
use super::optimizer::Optimizer;
use super::preview;
use super::run::{Further, Losses, Run, Task};
use super::settings::DynamicsSettings;
use crate::eval::pictures::Sheet;
use crate::flow::objective::{Objective, draw_signal, frame_errors};
use crate::flow::path::expand;
use crate::model::checkpoint::{DYNAMICS, TOKENIZER, write_tensors};
use crate::model::config::WorldConfig;
use crate::model::dynamics::{Dynamics, DynamicsInput, step_index};
use crate::model::params::Params;
use crate::model::tokenizer::{Tokenizer, images_to_tensor};
use crate::{Error, Result};

/// Frames encoded at once.
const ENCODE: usize = 64;

pub(super) struct DynamicsTask<'a> {
    run: &'a Run,
    settings: &'a DynamicsSettings,
    footage: &'a Footage,
    /// Latents of all frames, f32.
    latents: Store,
    /// (episode, start) of every window, of usual and of long ones.
    windows: [Vec<(usize, usize)>; 2],
    dynamics: Dynamics,
    objective: Objective,
}

/// Latents and actions of a batch of windows, and their clean copy at levels near 1.
struct Batch {
    /// [B, T, gh, gw, c].
    latents: Tensor,
    /// u32 [B, T].
    actions: Tensor,
    /// f32 [B, T].
    rewards: Tensor,
    /// 1 where an episode ends for good, f32 [B, T].
    ends: Tensor,
    /// The clean copy's latents and levels.
    context: Tensor,
    context_signal: Tensor,
    /// The `stem_frames` frames of the clean copy before each frame, latest first.
    past: Tensor,
    /// 1 for frames that count: those whose whole stem past lies in the window.
    mask: Tensor,
}

/// One noised copy of a batch.
struct Noised {
    z: Tensor,
    /// f32 [B, T].
    tau: Tensor,
    /// Step size, f32 [B, T].
    d: Tensor,
    /// u32 [B, T]; some may be unknown.
    actions: Tensor,
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
        let latents = encode(&tokenizer, footage, run)?;
        let settings = &run.settings.dynamics;
        let windows = |frames: usize| -> Result<Vec<(usize, usize)>> {
            let episodes = footage.episodes.iter().enumerate();
            let windows: Vec<_> = episodes
                .flat_map(|(i, episode)| {
                    let starts = (episode.frames() + 1).saturating_sub(frames);
                    (0..starts).map(move |start| (i, start))
                })
                .collect();
            match windows.is_empty() {
                true => Err(Error::Argument(format!(
                    "no episode has the {frames} frames that the settings ask for"
                ))),
                false => Ok(windows),
            }
        };
        let windows = [
            windows(settings.frames)?,
            match settings.long_every {
                0 => Vec::new(),
                _ => windows(settings.long_frames)?,
            },
        ];
        let params =
            Params::seeded(run.settings.seed, &run.device).with_precision(run.settings.precision);
        let dynamics = Dynamics::new(&params, &run.world)?;
        let task = Self {
            run,
            settings,
            footage,
            latents,
            windows,
            dynamics,
            objective: run
                .world
                .flow
                .objective(settings.loss.unwrap_or(settings.prediction)),
        };
        Ok((task, params.finish()?))
    }

    /// Whether the step trains on long sequences.
    fn is_long(&self, step: u64) -> bool {
        let every = self.settings.long_every;
        every > 0 && step % every == every - 1
    }

    /// Sequences and frames of each at a step: long sequences are fewer, so that it costs the same.
    fn size(&self, step: u64) -> (usize, usize) {
        let s = self.settings;
        match self.is_long(step) {
            true => ((s.batch * s.frames / s.long_frames).max(1), s.long_frames),
            false => (s.batch, s.frames),
        }
    }

    fn batch(&self, step: u64, rng: &mut ChaCha8Rng) -> Result<Batch> {
        let (world, (b, frames)) = (&self.run.world, self.size(step));
        let windows = &self.windows[usize::from(self.is_long(step))];
        let len = world.latent_len() * size_of::<f32>();
        let mut latents = Vec::with_capacity(b * frames * len);
        let (mut actions, mut rewards, mut ends) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..b {
            let (i, start) = windows[rng.random_range(0..windows.len())];
            let episode = &self.footage.episodes[i];
            let first = (episode.start + start) * len;
            self.latents
                .read(first..first + frames * len, &mut latents)?;
            let range = start..start + frames;
            actions.extend_from_slice(&episode.actions[range.clone()]);
            rewards.extend_from_slice(&episode.rewards[range.clone()]);
            ends.extend_from_slice(&episode.ends[range]);
        }
        let device = &self.run.device;
        let shape = latent_shape(world, b, frames);
        let latents = Tensor::from_raw_buffer(&latents, DType::F32, &shape, device)?;
        let lowest = self.settings.context_signal as f32;
        let signal: Vec<f32> = (0..b * frames)
            .map(|_| rng.random_range(lowest..1.0))
            .collect();
        let context_signal = Tensor::from_vec(signal, (b, frames), device)?;
        let noise = normal(&latents, rng)?;
        let level = expand(&context_signal, &latents)?;
        let context = self.objective.path.interpolate(&noise, &latents, &level)?;
        let stem = world.dynamics.stem_frames;
        let mask: Vec<f32> = (0..b * frames)
            .map(|i| if i % frames < stem.max(1) { 0.0 } else { 1.0 })
            .collect();
        Ok(Batch {
            actions: Tensor::from_vec(actions, (b, frames), device)?,
            rewards: Tensor::from_vec(rewards, (b, frames), device)?,
            ends: Tensor::from_vec(ends, (b, frames), device)?,
            past: past_frames(&context, stem)?,
            mask: Tensor::from_vec(mask, (b, frames), device)?,
            latents,
            context,
            context_signal,
        })
    }

    /// Whether the step lies in the last part, where the rate decays.
    fn decays(&self, step: u64) -> bool {
        let o = &self.settings.optimizer;
        step as f64 >= o.steps as f64 * (1.0 - o.decay)
    }

    /// Puts the network's own predictions in the place of some frames of the clean copy; what is
    /// trained towards stays the truth. No gradient flows through them. Every pass starts from the
    /// real frames, and predicts from the copy that the pass before it made.
    fn with_own_context(&self, mut batch: Batch, rng: &mut ChaCha8Rng) -> Result<Batch> {
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
            let own = self.clean(&batch, &guess)?.detach();
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

    fn least_level(&self) -> f64 {
        self.run.world.flow.least_level()
    }

    fn k_max(&self) -> usize {
        self.run.world.dynamics.k_max
    }

    /// A noised copy; `shortcut` draws a step size longer than the finest for every frame.
    fn noised(&self, batch: &Batch, shortcut: bool, rng: &mut ChaCha8Rng) -> Result<Noised> {
        let dims = batch.actions.dims2()?;
        let longest = self.k_max().ilog2();
        let (mut tau, mut d) = (Vec::new(), Vec::new());
        for _ in 0..dims.0 * dims.1 {
            let (steps, between) = match shortcut && longest > 0 {
                true => (1usize << rng.random_range(0..longest), 0.0),
                false => (self.k_max(), self.settings.between),
            };
            let level = draw_signal(rng, steps, self.settings.pure_noise, between);
            tau.push(level.max(self.least_level() as f32));
            d.push(1.0 / steps as f32);
        }
        let device = batch.latents.device();
        let tau = Tensor::from_vec(tau, dims, device)?;
        let noise = normal(&batch.latents, rng)?;
        Ok(Noised {
            z: self
                .objective
                .path
                .interpolate(&noise, &batch.latents, &expand(&tau, &noise)?)?,
            tau,
            d: Tensor::from_vec(d, dims, device)?,
            actions: self.with_unknown(&batch.actions, rng)?,
        })
    }

    /// Actions of which some are unknown.
    fn with_unknown(&self, actions: &Tensor, rng: &mut ChaCha8Rng) -> Result<Tensor> {
        let (share, unknown) = (
            self.settings.action_dropout,
            self.run.world.unknown_action(),
        );
        let Some(unknown) = unknown.filter(|_| share > 0.0) else {
            return Ok(actions.clone());
        };
        let mut all = actions.flatten_all()?.to_vec1::<u32>()?;
        for action in &mut all {
            if rng.random_bool(share) {
                *action = unknown;
            }
        }
        Ok(Tensor::from_vec(all, actions.shape(), actions.device())?)
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
}

impl Task for DynamicsTask<'_> {
    fn name(&self) -> &'static str {
        "dynamics"
    }

    fn frames(&self, step: u64) -> u64 {
        let (b, frames) = self.size(step);
        (b * frames * self.settings.copies) as u64
    }

    fn prepare(&mut self, _step: u64, _optimizer: &mut Optimizer) -> Result<()> {
        Ok(())
    }

    fn loss(&mut self, step: u64, rng: &mut ChaCha8Rng) -> Result<Losses> {
        let fetching = Instant::now();
        let mut batch = self.batch(step, rng)?;
        let fetched = fetching.elapsed();
        let shortcut = step % self.settings.shortcut_every == self.settings.shortcut_every - 1;
        if self.settings.own_context > 0.0 && self.decays(step) && !shortcut {
            batch = self.with_own_context(batch, rng)?;
        }
        let mut copies = Vec::new();
        let mut targets = Vec::new();
        for i in 0..self.settings.copies {
            let shortcut = shortcut && i == self.settings.copies - 1;
            let copy = self.noised(&batch, shortcut, rng)?;
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
            (Some(output), Some(copy)) => {
                let x = self.objective.clean(&output.detach(), &copy.z, &copy.tau)?;
                let pure = copy.tau.le(self.least_level())?;
                vec![("from_noise", from_noise(&x, &pure, &batch)?)]
            }
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

/// The latents of all frames, f32.
fn encode(tokenizer: &Tokenizer, footage: &Footage, run: &Run) -> Result<Store> {
    let memory = run.settings.memory_gib * f64::from(1 << 30);
    let mut latents = Store::new(&run.out, memory as u64);
    let bar = super::progress::bar("encoding", footage.frames() as u64, 0);
    let mut images = Vec::new();
    for first in (0..footage.frames()).step_by(ENCODE) {
        let end = footage.frames().min(first + ENCODE);
        images.clear();
        footage.read(first..end, &mut images)?;
        let images = images_to_tensor(&images, run.world.image, &run.device)?;
        let z = tokenizer.encode(&images)?.to_device(&Device::Cpu)?;
        let z = z.flatten_all()?.to_vec1::<f32>()?;
        let bytes: Vec<u8> = z.iter().flat_map(|x| x.to_ne_bytes()).collect();
        latents.push(&bytes)?;
        bar.set_position(end as u64);
    }
    bar.finish_and_clear();
    Ok(latents)
}

fn latent_shape(world: &WorldConfig, b: usize, frames: usize) -> Vec<usize> {
    let [gh, gw] = world.grid();
    vec![b, frames, gh, gw, world.tokenizer.channels]
}

fn normal(like: &Tensor, rng: &mut ChaCha8Rng) -> Result<Tensor> {
    let values: Vec<f32> = (0..like.elem_count())
        .map(|_| StandardNormal.sample(rng))
        .collect();
    Ok(Tensor::from_vec(values, like.shape(), like.device())?)
}

/// The `count` frames before each, latest first, zeros before the first:
/// [B, T, gh, gw, c] → [B, T, gh, gw, count·c].
fn past_frames(x: &Tensor, count: usize) -> Result<Tensor> {
    let t = x.dim(1)?;
    let earlier = (1..=count)
        .map(|n| {
            let n = n.min(t);
            Ok(x.narrow(1, 0, t - n)?.pad_with_zeros(1, n, 0)?)
        })
        .collect::<Result<Vec<_>>>()?;
    if earlier.is_empty() {
        return Ok(x.narrow(4, 0, 0)?);
    }
    Ok(Tensor::cat(&earlier, 4)?)
}

/// Step sizes [B, F] → indices of their embeddings, u32.
fn step_indices(d: &Tensor, k_max: usize) -> Result<Tensor> {
    let (b, f) = d.dims2()?;
    let indices: Vec<u32> = d
        .flatten_all()?
        .to_vec1::<f32>()?
        .into_iter()
        .map(|d| step_index((1.0 / d).round() as usize, k_max))
        .collect();
    Ok(Tensor::from_vec(indices, (b, f), d.device())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cross_entropy_is_that_of_the_sigmoid_and_stays_finite() {
        let of = |logit: f32, y: f32| -> f32 {
            let [logit, y] = [logit, y].map(|x| Tensor::new(x, &Device::Cpu).unwrap());
            cross_entropy(&logit, &y).unwrap().to_scalar().unwrap()
        };
        let sigmoid = |l: f32| 1.0 / (1.0 + (-l).exp());
        for logit in [-3.0, -0.5, 0.0, 1.5] {
            assert!((of(logit, 1.0) + sigmoid(logit).ln()).abs() < 1e-6);
            assert!((of(logit, 0.0) + (1.0 - sigmoid(logit)).ln()).abs() < 1e-6);
        }
        assert_eq!((of(200.0, 0.0), of(-200.0, 0.0)), (200.0, 0.0));
    }

    #[test]
    fn the_past_is_latest_first_and_zero_before_the_start() {
        let x = Tensor::new(&[1f32, 2.0, 3.0], &Device::Cpu).unwrap();
        let x = x.reshape((1, 3, 1, 1, 1)).unwrap();
        let past = past_frames(&x, 2).unwrap().flatten_all().unwrap();
        let past: Vec<f32> = past.to_vec1().unwrap();
        assert_eq!(past, [0.0, 0.0, 1.0, 0.0, 2.0, 1.0]);
    }
}
