//! The training task of a clip network, as the step loop sees it.

use std::collections::BTreeMap;
use std::time::Instant;

use candle_core::{DType, Device, Tensor, Var};
use rand_chacha::ChaCha8Rng;

use driftless_clip::config::step_index;
use driftless_clip::{ClipConfig, ClipInput, ClipNetwork, TextBatch};
use driftless_model::checkpoint::write_tensors;
use driftless_model::params::Params;

use super::ClipSettings;
use super::batches::{ClipBatch, Clips};
use crate::cpu::clip_trainer::ClipTrainer;
use crate::optimizer::{FlatGradient, Optimizer};
use crate::task::{BatchReport, Gradient, Losses, StepOutput, Task};
use crate::{Result, RunLayout, TrainStage};

/// The training of a network: that of the frames, or that of the actions.
pub(super) struct ClipTask<'a> {
    stage: TrainStage,
    /// Where its weights go, in the checkpoint.
    weights: &'static str,
    layout: &'a RunLayout,
    clips: Clips<'a>,
    network: ClipNetwork,
    /// Computes the steps on the CPU; `None` on other devices.
    cpu: Option<ClipTrainer>,
    vars: BTreeMap<String, Var>,
    frames_per_step: u64,
    device: Device,
}

impl<'a> ClipTask<'a> {
    /// A new network; also its parameters.
    ///
    /// # Errors
    /// Returns an error if the device fails.
    pub fn new(
        (stage, weights): (TrainStage, &'static str),
        layout: &'a RunLayout,
        (settings, config): (&ClipSettings, &ClipConfig),
        clips: Clips<'a>,
        device: &Device,
    ) -> Result<(Self, BTreeMap<String, Var>)> {
        let params = Params::seeded(settings.seed, device);
        let network = ClipNetwork::new(&params, config)?;
        let vars = params.finish()?;
        let shortest = config.lengths.first().copied().unwrap_or(1);
        let task = Self {
            stage,
            weights,
            layout,
            clips,
            network,
            cpu: device
                .is_cpu()
                .then(|| ClipTrainer::new(config, &vars))
                .transpose()?,
            vars: vars.clone(),
            frames_per_step: (settings.batch_size * shortest) as u64,
            device: device.clone(),
        };
        Ok((task, vars))
    }
}

impl Task for ClipTask<'_> {
    fn stage(&self) -> TrainStage {
        self.stage
    }

    fn frames_per_step(&self, _step: u64) -> u64 {
        self.frames_per_step
    }

    fn step(
        &mut self,
        _step: u64,
        rng: &mut ChaCha8Rng,
        mean_squares: &mut BTreeMap<String, f64>,
    ) -> Result<StepOutput> {
        let started = Instant::now();
        let (batch, frames) = self.clips.draw(rng)?;
        let fetch_time = started.elapsed();
        let report = BatchReport {
            frames,
            fetch_time,
            errors: Vec::new(),
        };
        if let Some(trainer) = &mut self.cpu {
            let loss = trainer.step(&self.vars, &batch)?;
            return Ok(StepOutput {
                loss,
                gradient: Gradient::Flat(FlatGradient {
                    layout: trainer.layout(),
                    values: trainer.gradient().to_vec(),
                }),
                metrics: Vec::new(),
                batch: report,
            });
        }
        let main = loss(&self.network, &batch, &self.device)?;
        let losses = Losses {
            main,
            auxiliary: Vec::new(),
            metrics: Vec::new(),
            batch: report,
        };
        losses.backward(mean_squares)
    }

    /// Half precision is enough to sample with, and halves what a world takes.
    fn export(&self, _step: u64, optimizer: &Optimizer) -> Result<()> {
        let path = self.layout.checkpoint().join(self.weights);
        let weights = optimizer.ema_weights().into_iter();
        let halves: BTreeMap<String, Tensor> = weights
            .map(|(name, tensor)| Ok((name, tensor.to_dtype(DType::F16)?)))
            .collect::<Result<_>>()?;
        Ok(write_tensors(&path, &halves)?)
    }
}

/// The loss of a batch: the squared error of x̂ over the frames that are not given, against the clean clip or
/// the target of a shortcut. Latents are weighted by the ramp (Hafner et al. 2025), actions the same at all
/// levels: they are decided where the ramp begins.
pub(crate) fn loss(network: &ClipNetwork, batch: &ClipBatch, device: &Device) -> Result<Tensor> {
    let (n, t) = (batch.len(), batch.frames);
    let shape = (n, t, network.config().frame_numbers());
    let clip = |x: &[f32]| Tensor::from_slice(x, shape, device);
    let input = ClipInput {
        z: clip(&batch.z)?,
        given: Tensor::from_slice(&batch.given, (n, t), device)?,
        tau: Tensor::from_slice(&batch.tau, n, device)?,
        steps: Tensor::from_vec(batch.step_indices(), n, device)?,
        text: texts(network.config(), &batch.prompts, &batch.states, device)?,
    };
    let clean = clip(&batch.clean)?;
    let target = target(network, batch, &input, &clean)?;
    let errors = (network.forward(&input)? - target)?.sqr()?;
    let config = network.config();
    let weights: Vec<f32> = batch
        .weights
        .iter()
        .flat_map(|[latent, action]| {
            let latents = std::iter::repeat_n(*latent, config.frame_len());
            latents.chain(std::iter::repeat_n(*action, config.actions))
        })
        .collect();
    let numbers = config.frame_numbers();
    let weights = Tensor::from_vec(weights, (n, 1, numbers), device)?;
    let errors = (errors.broadcast_mul(&weights)?.sum(2)? / numbers as f64)?;
    let mask = (1.0 - &input.given)?;
    let sum = (errors * &mask)?.sum_all()?;
    Ok(sum.div(&mask.sum_all()?)?)
}

/// Prompts with the states of a text encoder, if the network reads with one.
fn texts(
    config: &ClipConfig,
    prompts: &[Vec<u32>],
    states: &[Vec<f32>],
    device: &Device,
) -> Result<TextBatch> {
    let text = TextBatch::new(prompts, config.network.text_words, device)?;
    Ok(match &config.text_encoder {
        Some(encoder) => text.with_states(states.iter().map(Vec::as_slice), encoder.width)?,
        None => text,
    })
}

/// The clean clip, or for a shortcut the x̂ whose single step ends where two half steps of the network end.
fn target(
    network: &ClipNetwork,
    batch: &ClipBatch,
    input: &ClipInput,
    clean: &Tensor,
) -> Result<Tensor> {
    let device = clean.device();
    let learning: Vec<u32> = (0..batch.len() as u32)
        .filter(|&i| batch.shortcuts[i as usize].is_some())
        .collect();
    if learning.is_empty() {
        return Ok(clean.clone());
    }
    let shortcuts: Vec<_> = batch.shortcuts.iter().flatten().collect();
    let n = learning.len();
    let chosen = Tensor::from_slice(&learning, n, device)?;
    let pick = |x: &Tensor| x.index_select(&chosen, 0);
    let own = |i: &u32| *i as usize;
    let prompts: Vec<Vec<u32>> = learning
        .iter()
        .map(|i| batch.prompts[own(i)].clone())
        .collect();
    let states: Vec<Vec<f32>> = learning
        .iter()
        .map(|i| batch.states[own(i)].clone())
        .collect();
    let finer = shortcuts.iter().map(|s| step_index(2 * s.steps));
    let factor = |of: &dyn Fn(&super::batches::Shortcut) -> f64| -> Result<Tensor> {
        let values: Vec<f32> = shortcuts.iter().map(|s| of(s) as f32).collect();
        Ok(Tensor::from_vec(values, (n, 1, 1), device)?)
    };
    let given = pick(&input.given)?;
    let (b, t) = given.dims2()?;
    let mask = given.reshape((b, t, 1))?;
    let own = pick(clean)?;
    let mut half = ClipInput {
        z: pick(&input.z)?,
        given,
        tau: pick(&input.tau)?,
        steps: Tensor::from_vec(finer.collect::<Vec<_>>(), n, device)?,
        text: texts(network.config(), &prompts, &states, device)?,
    };
    let start = half.z.clone();
    for i in 0..2 {
        let x = network.forward(&half)?.detach();
        let z_scale = factor(&|s| s.target.halves[i].z_scale)?;
        let x_scale = factor(&|s| s.target.halves[i].x_scale)?;
        let moved = (half.z.broadcast_mul(&z_scale)? + x.broadcast_mul(&x_scale)?)?;
        // Given frames stay as they are.
        half.z = (moved.broadcast_mul(&(1.0 - &mask)?)? + own.broadcast_mul(&mask)?)?;
        let middle: Vec<f32> = shortcuts.iter().map(|s| s.target.middle).collect();
        half.tau = Tensor::from_vec(middle, n, device)?;
    }
    let (z_scale, x_scale) = (
        factor(&|s| s.target.whole.z_scale)?,
        factor(&|s| s.target.whole.x_scale)?,
    );
    let targets = (half.z - start.broadcast_mul(&z_scale)?)?.broadcast_div(&x_scale)?;
    // Row i of the batch is row places[i] of the targets below the clean clips.
    let mut places: Vec<u32> = (0..batch.len() as u32).collect();
    for (k, i) in learning.iter().enumerate() {
        places[*i as usize] = (batch.len() + k) as u32;
    }
    let places = Tensor::from_vec(places, batch.len(), device)?;
    Ok(Tensor::cat(&[clean, &targets], 0)?
        .index_select(&places, 0)?
        .detach())
}
