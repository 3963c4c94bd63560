//! A training step of the dynamics: whole sequences on all threads.
//!
//! A sequence's clean frames go first and once. What follows attends to them: the two half steps of
//! a shortcut target, then all noised copies; and from the copies' losses the gradient goes back.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::Var;

use super::chunks::Chunks;
use super::dynamics::{Frame, Network};
use super::lanes::vectorised;
use super::levels::{Halves, Level};
use super::parameters::{Layout, Weights};
use super::rows::dot;
use super::time::Frames;
use super::workspace::Workspace;
use crate::flow::objective::Objective;
use crate::model::config::WorldConfig;
use crate::model::dynamics::step_index;
use crate::{Error, Result};

/// The clean copy of a batch of B sequences of T frames.
pub(in crate::train) struct CleanFrames {
    pub sequences: usize,
    pub moments: usize,
    /// Latents at levels near 1, [B, T, gh, gw, c].
    pub latents: Vec<f32>,
    /// The frames before each, [B, T, gh, gw, stem_frames·c].
    pub past: Vec<f32>,
    /// [B, T].
    pub actions: Vec<u32>,
    /// [B, T].
    pub signal: Vec<f32>,
    /// 1 for frames that count, [B, T].
    pub mask: Vec<f32>,
}

/// A noised copy of a batch.
pub(in crate::train) struct NoisedFrames {
    /// [B, T, gh, gw, c].
    pub z: Vec<f32>,
    /// [B, T].
    pub tau: Vec<f32>,
    /// Step sizes, [B, T].
    pub d: Vec<f32>,
    /// [B, T].
    pub actions: Vec<u32>,
    /// Whether two half steps of the network are the target, and not the data.
    pub shortcut: bool,
}

/// What the outcome head is trained towards, [B, T], and how much each of its losses counts.
pub(in crate::train) struct OutcomeTargets {
    pub rewards: Vec<f32>,
    pub ends: Vec<f32>,
    pub scales: [f32; 2],
}

/// What to train towards.
pub(in crate::train) struct Targets<'a> {
    /// The data, [B, T, gh, gw, c].
    pub latents: &'a [f32],
    pub outcome: Option<&'a OutcomeTargets>,
    /// Whether gradients are asked for, or the losses alone.
    pub gradient: bool,
}

/// The losses of a batch.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::train) struct StepLosses {
    /// The mean over the copies.
    pub main: f64,
    /// Reward and end, unscaled.
    pub outcome: [f64; 2],
    /// What the network put out for the first copy, [B, T, gh, gw, c].
    pub output: Vec<f32>,
}

/// The dynamics on all threads.
pub(in crate::train) struct DynamicsTrainer {
    network: Network,
    weights: Weights,
    objective: Objective,
    k_max: usize,
    chunks: Chunks,
    threads: Vec<Thread>,
    room: Frames,
    items: usize,
}

/// What a thread owns.
struct Thread {
    workspace: Workspace,
    /// A shortcut's state in the middle and an estimate, [T, gh, gw, c].
    middle: Vec<f32>,
    clean: Vec<f32>,
    /// What the network should put out, where the frames are in the workspace.
    target: Vec<f32>,
}

/// Everything about one step that its threads share.
struct Step<'a> {
    clean: &'a CleanFrames,
    copies: &'a [NoisedFrames],
    targets: Option<&'a Targets<'a>>,
    /// Of every copy and frame.
    levels: Vec<Vec<Level>>,
    halves: Vec<Vec<Halves>>,
    /// Frames that count, in the batch.
    count: f32,
    latent: usize,
    past: usize,
}

impl DynamicsTrainer {
    /// Trains the parameters `vars` of a world's dynamics.
    ///
    /// # Errors
    /// A parameter is missing or of another shape.
    pub(in crate::train) fn new(
        config: &WorldConfig,
        objective: Objective,
        vars: &BTreeMap<String, Var>,
    ) -> Result<Self> {
        let network = Network::new(config, vars)?;
        Ok(Self {
            weights: Weights::new(&network.layout),
            chunks: Chunks::new(network.layout.len(), 1),
            objective,
            k_max: config.dynamics.k_max,
            network,
            threads: Vec::new(),
            room: Frames {
                moments: 0,
                count: 0,
            },
            items: 0,
        })
    }

    /// Where each parameter's gradient is.
    pub(in crate::train) fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.network.layout)
    }

    /// Takes over the parameters' values of now.
    ///
    /// # Errors
    /// A parameter is missing, or not on the processor.
    pub(in crate::train) fn refresh(&mut self, vars: &BTreeMap<String, Var>) -> Result<()> {
        self.weights.refresh(&self.network.layout, vars)
    }

    /// x̂ of a noised copy, [B, T, gh, gw, c].
    ///
    /// # Errors
    /// The batch does not fit the network.
    pub(in crate::train) fn predict(
        &mut self,
        clean: &CleanFrames,
        copy: &NoisedFrames,
    ) -> Result<Vec<f32>> {
        let step = self.step_of(clean, std::slice::from_ref(copy), None)?;
        let mut x = self.run(&step)?.output;
        let frames = x.chunks_exact_mut(step.latent);
        for (x, (level, z)) in
            frames.zip(step.levels[0].iter().zip(copy.z.chunks_exact(step.latent)))
        {
            let output = x.to_vec();
            level.clean.apply(&output, z, x);
        }
        Ok(x)
    }

    /// The losses of a batch, and its gradient for [`DynamicsTrainer::gradient`].
    ///
    /// # Errors
    /// The batch does not fit the network.
    pub(in crate::train) fn losses(
        &mut self,
        clean: &CleanFrames,
        copies: &[NoisedFrames],
        targets: &Targets,
    ) -> Result<StepLosses> {
        let step = self.step_of(clean, copies, Some(targets))?;
        self.run(&step)
    }

    /// The gradient of the last losses.
    pub(in crate::train) fn gradient(&mut self) -> &[f32] {
        self.chunks.sum(self.items)
    }

    fn step_of<'a>(
        &self,
        clean: &'a CleanFrames,
        copies: &'a [NoisedFrames],
        targets: Option<&'a Targets<'a>>,
    ) -> Result<Step<'a>> {
        let s = &self.network.sizes;
        let frames = clean.sequences * clean.moments;
        let latent = s.grid.cells() * s.channels;
        let past = s.grid.cells() * (s.seen - s.channels);
        let mut sizes = vec![
            (clean.latents.len(), frames * latent),
            (clean.past.len(), frames * past),
            (clean.actions.len(), frames),
            (clean.signal.len(), frames),
            (clean.mask.len(), frames),
        ];
        for copy in copies {
            sizes.push((copy.z.len(), frames * latent));
            sizes.push((copy.tau.len(), frames));
            sizes.push((copy.d.len(), frames));
            sizes.push((copy.actions.len(), frames));
        }
        if let Some(targets) = targets {
            sizes.push((targets.latents.len(), frames * latent));
            if let Some(o) = targets.outcome {
                sizes.push((o.rewards.len(), frames));
                sizes.push((o.ends.len(), frames));
            }
        }
        if frames == 0 || copies.is_empty() || sizes.iter().any(|(a, b)| a != b) {
            return Err(Error::Argument("a batch whose parts do not fit".into()));
        }
        let levels = |copy: &NoisedFrames| -> Result<Vec<Level>> {
            let each = copy.tau.iter();
            each.map(|tau| Level::new(&self.objective, *tau)).collect()
        };
        let halves = |copy: &NoisedFrames| -> Result<Vec<Halves>> {
            if !copy.shortcut || targets.is_none() {
                return Ok(Vec::new());
            }
            let each = copy.tau.iter().zip(&copy.d);
            each.map(|(tau, d)| Halves::new(&self.objective, *tau, *d))
                .collect()
        };
        Ok(Step {
            clean,
            copies,
            targets,
            levels: copies.iter().map(levels).collect::<Result<_>>()?,
            halves: copies.iter().map(halves).collect::<Result<_>>()?,
            count: clean.mask.iter().sum::<f32>().clamp(1.0, u32::MAX as f32),
            latent,
            past,
        })
    }

    /// Makes room for the largest step so far.
    fn make_room(&mut self, all: Frames, sequences: usize) {
        let room = Frames {
            moments: self.room.moments.max(all.moments),
            count: self.room.count.max(all.count),
        };
        if (room.moments, room.count) != (self.room.moments, self.room.count) {
            self.threads.clear();
            self.room = room;
        }
        let s = &self.network.sizes;
        let latent = room.moments * s.grid.cells() * s.channels;
        while self.threads.len() < self.chunks.threads(sequences) {
            self.threads.push(Thread {
                workspace: Workspace::new(&self.network, room),
                middle: vec![0.0; latent],
                clean: vec![0.0; latent],
                target: vec![0.0; room.count * s.grid.cells() * s.channels],
            });
        }
        for thread in &mut self.threads {
            thread.workspace.all = all;
        }
    }

    fn run(&mut self, step: &Step) -> Result<StepLosses> {
        let (b, t) = (step.clean.sequences, step.clean.moments);
        let all = Frames {
            moments: t,
            count: t * (1 + step.copies.len()),
        };
        self.make_room(all, b);
        self.items = b;
        let (network, weights, k_max) = (&self.network, &self.weights, self.k_max);
        let task = |range: Range<usize>, thread: &mut Thread, gradient: &mut [f32]| {
            let mut losses = StepLosses::default();
            for sequence in range {
                let pass = Pass {
                    network,
                    weights,
                    k_max,
                    step,
                    sequence,
                };
                pass.run(thread, gradient, &mut losses)?;
            }
            Ok(losses)
        };
        let threads = self.chunks.threads(b);
        let parts = self.chunks.run(b, &mut self.threads[..threads], task)?;
        let mut losses = StepLosses::default();
        for part in parts {
            losses.main += part.main;
            losses.outcome[0] += part.outcome[0];
            losses.outcome[1] += part.outcome[1];
            losses.output.extend_from_slice(&part.output);
        }
        Ok(losses)
    }
}

/// One sequence on one thread.
struct Pass<'a> {
    network: &'a Network,
    weights: &'a Weights,
    k_max: usize,
    step: &'a Step<'a>,
    sequence: usize,
}

impl Pass<'_> {
    fn run(
        &self,
        thread: &mut Thread,
        gradient: &mut [f32],
        losses: &mut StepLosses,
    ) -> Result<()> {
        let (moments, copies) = (self.step.clean.moments, self.step.copies);
        self.load_clean(&mut thread.workspace)?;
        let w = self.weights;
        self.network.forward(w, 0..moments, &mut thread.workspace);
        for (i, copy) in copies.iter().enumerate() {
            if !self.step.halves[i].is_empty() {
                self.shortcut(i, copy, thread)?;
            }
        }
        for (i, copy) in copies.iter().enumerate() {
            let t = &mut thread.workspace;
            self.load_copy(i, copy, None, t)?;
        }
        let count = moments * (1 + copies.len());
        self.network
            .forward(w, moments..count, &mut thread.workspace);
        let first = moments * self.step.latent;
        losses
            .output
            .extend_from_slice(&thread.workspace.output[first..2 * first]);
        let Some(targets) = self.step.targets else {
            return Ok(());
        };
        for i in 0..copies.len() {
            losses.main += self.copy_loss(i, targets, thread);
        }
        self.outcome_losses(targets, &mut thread.workspace, losses);
        if targets.gradient {
            self.network.backward(w, gradient, &mut thread.workspace);
        }
        Ok(())
    }

    /// The batch's frame that is this sequence's frame at a moment.
    fn frame(&self, moment: usize) -> usize {
        self.sequence * self.step.clean.moments + moment
    }

    /// The latents of this sequence in a batch's.
    fn latents<'a>(&self, of: &'a [f32]) -> &'a [f32] {
        let len = self.step.clean.moments * self.step.latent;
        &of[self.sequence * len..(self.sequence + 1) * len]
    }

    fn past(&self, frame: usize) -> &[f32] {
        &self.step.clean.past[frame * self.step.past..(frame + 1) * self.step.past]
    }

    fn load_clean(&self, t: &mut Workspace) -> Result<()> {
        let clean = self.step.clean;
        let latents = self.latents(&clean.latents);
        for (moment, latent) in latents.chunks_exact(self.step.latent).enumerate() {
            let at = self.frame(moment);
            let frame = Frame {
                latent,
                past: self.past(at),
                action: clean.actions[at],
                signal: clean.signal[at],
                step: step_index(self.k_max, self.k_max),
            };
            self.network.load(moment, &frame, t)?;
        }
        Ok(())
    }

    /// Puts a copy into its place; with `half`, as half a shortcut's step from another z and level.
    fn load_copy(
        &self,
        index: usize,
        copy: &NoisedFrames,
        half: Option<(&[f32], bool)>,
        t: &mut Workspace,
    ) -> Result<()> {
        let moments = self.step.clean.moments;
        let z = half.map_or(self.latents(&copy.z), |(z, _)| z);
        for (moment, latent) in z.chunks_exact(self.step.latent).take(moments).enumerate() {
            let at = self.frame(moment);
            let (mut signal, mut d) = (copy.tau[at], copy.d[at]);
            if let Some((_, middle)) = half {
                d *= 0.5;
                if middle {
                    signal = self.step.halves[index][at].middle;
                }
            }
            let frame = Frame {
                latent,
                past: self.past(at),
                action: copy.actions[at],
                signal,
                step: step_index((1.0 / d).round() as usize, self.k_max),
            };
            self.network
                .load(moments * (1 + index) + moment, &frame, t)?;
        }
        Ok(())
    }

    /// The target of a shortcut copy, into its place of `thread.target`: two half steps of the
    /// network itself, taken in the copy's own place of the workspace.
    fn shortcut(&self, index: usize, copy: &NoisedFrames, thread: &mut Thread) -> Result<()> {
        let (moments, n) = (self.step.clean.moments, self.step.latent);
        let Thread {
            workspace: t,
            middle,
            clean,
            target,
        } = thread;
        let frames = moments * (1 + index)..moments * (2 + index);
        let z = self.latents(&copy.z);
        let z = z.chunks_exact(n);
        let levels = &self.step.levels[index][self.frame(0)..];
        let halves = &self.step.halves[index][self.frame(0)..];

        self.load_copy(index, copy, Some((self.latents(&copy.z), false)), t)?;
        self.network.forward(self.weights, frames.clone(), t);
        let outputs = t.output[frames.start * n..frames.end * n].chunks_exact(n);
        let buffers = middle.chunks_exact_mut(n).zip(clean.chunks_exact_mut(n));
        for (i, ((output, z), (middle, x))) in outputs.zip(z.clone()).zip(buffers).enumerate() {
            levels[i].clean.apply(output, z, x);
            halves[i].first.apply(x, z, middle);
        }

        self.load_copy(index, copy, Some((&middle[..moments * n], true)), t)?;
        self.network.forward(self.weights, frames.clone(), t);
        let place = frames.start * n..frames.end * n;
        let outputs = t.output[place.clone()].chunks_exact(n);
        let buffers = middle.chunks_exact(n).zip(clean.chunks_exact_mut(n));
        let targets = target[place].chunks_exact_mut(n);
        let each = outputs.zip(z).zip(buffers).zip(targets);
        for (i, (((output, z), (middle, x)), target)) in each.enumerate() {
            halves[i].clean.apply(output, middle, x);
            halves[i].second.apply(x, middle, target);
            halves[i].whole.apply(target, z, x);
            levels[i].target.apply(x, z, target);
        }
        Ok(())
    }

    /// The loss of a copy, and the gradient of what the network put out for it.
    fn copy_loss(&self, index: usize, targets: &Targets, thread: &mut Thread) -> f64 {
        let (step, moments, n) = (self.step, self.step.clean.moments, self.step.latent);
        let place = moments * (1 + index) * n..moments * (2 + index) * n;
        let copy = &step.copies[index];
        let target = &mut thread.target[place.clone()];
        if step.halves[index].is_empty() {
            let (data, z) = (self.latents(targets.latents), self.latents(&copy.z));
            let each = data.chunks_exact(n).zip(z.chunks_exact(n));
            for (i, ((x, z), target)) in each.zip(target.chunks_exact_mut(n)).enumerate() {
                let level = &step.levels[index][self.frame(i)];
                level.target.apply(x, z, target);
            }
        }
        let t = &mut thread.workspace;
        let outputs = t.output[place.clone()].chunks_exact(n);
        let gradients = t.doutput[place].chunks_exact_mut(n);
        let each = outputs.zip(target.chunks_exact(n)).zip(gradients);
        let share = 1.0 / (step.count * step.copies.len() as f32);
        let mut loss = 0.0;
        for (i, ((output, target), gradient)) in each.enumerate() {
            let at = self.frame(i);
            let weight = step.levels[index][at].weight * step.clean.mask[at] * share / n as f32;
            let error = squared_error(2.0 * weight, output, target, gradient);
            loss += f64::from(weight) * f64::from(error);
        }
        loss
    }

    /// The losses of predicted rewards and ends: squared error, and cross-entropy of the sigmoid.
    fn outcome_losses(&self, targets: &Targets, t: &mut Workspace, losses: &mut StepLosses) {
        let Some(state) = &mut t.outcome else { return };
        let moments = self.step.clean.moments;
        let Some(outcome) = targets.outcome else {
            state.gradient[..2 * moments].fill(0.0);
            return;
        };
        let (pairs, _) = state.outcome[..2 * moments].as_chunks::<2>();
        let (gradients, _) = state.gradient[..2 * moments].as_chunks_mut::<2>();
        for (i, ([reward, logit], gradient)) in pairs.iter().zip(gradients).enumerate() {
            let at = self.frame(i);
            let share = self.step.clean.mask[at] / self.step.count;
            let (error, end) = (reward - outcome.rewards[at], outcome.ends[at]);
            let spread = (-logit.abs()).exp().ln_1p();
            let entropy = logit.max(0.0) - logit * end + spread;
            losses.outcome[0] += f64::from(share * error * error);
            losses.outcome[1] += f64::from(share * entropy);
            let sigmoid = 1.0 / (1.0 + (-logit).exp());
            *gradient = [
                outcome.scales[0] * share * 2.0 * error,
                outcome.scales[1] * share * (sigmoid - end),
            ];
        }
    }
}

vectorised!(
    /// Σ (y − target)², and its gradient times half of `scale`.
    fn squared_error = squared_error_body(scale: f32, y: &[f32], target: &[f32], dy: &mut [f32]) -> f32
);
#[inline(always)]
fn squared_error_body<const FMA: bool>(
    scale: f32,
    y: &[f32],
    target: &[f32],
    dy: &mut [f32],
) -> f32 {
    for ((dy, y), target) in dy.iter_mut().zip(y).zip(target) {
        *dy = y - target;
    }
    let sum = dot::<FMA>(dy, dy);
    for dy in dy.iter_mut() {
        *dy *= scale;
    }
    sum
}
