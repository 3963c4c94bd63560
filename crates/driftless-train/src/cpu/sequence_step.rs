//! The losses and the gradient of one sequence.

use super::batch::{CleanFrames, NoisedFrames, StepLosses, Targets};
use super::dynamics::{DynamicsNetwork, Frame};
use super::level_coefficients::{LevelCoefficients, ShortcutCoefficients};
use super::parameters::Weights;
use super::row_ops::dot;
use super::sequence_buffers::SequenceBuffers;
use super::simd::vectorized;
use crate::Result;
use driftless_model::dynamics::step_index;

/// The buffers of a thread.
pub(super) struct ThreadBuffers {
    pub buffers: SequenceBuffers,
    /// z in the middle of a shortcut and x̂, [T, gh, gw, c].
    pub middle: Vec<f32>,
    pub clean: Vec<f32>,
    /// The target of the network's output, laid out as the frames in `buffers`.
    pub target: Vec<f32>,
}

/// A training step, shared by all threads.
pub(super) struct BatchStep<'a> {
    pub clean: &'a CleanFrames,
    pub copies: &'a [NoisedFrames],
    pub targets: Option<&'a Targets<'a>>,
    /// For every copy and frame.
    pub levels: Vec<Vec<LevelCoefficients>>,
    pub halves: Vec<Vec<ShortcutCoefficients>>,
    /// Number of frames that are trained on.
    pub count: f32,
    pub latent: usize,
    pub past: usize,
}

/// The computation for one sequence.
pub(super) struct SequenceStep<'a> {
    pub network: &'a DynamicsNetwork,
    pub weights: &'a Weights,
    pub k_max: usize,
    pub step: &'a BatchStep<'a>,
    pub sequence: usize,
}

impl SequenceStep<'_> {
    pub(super) fn run(
        &self,
        thread: &mut ThreadBuffers,
        gradient: &mut [f32],
        losses: &mut StepLosses,
    ) -> Result<()> {
        let (length, copies) = (self.step.clean.length, self.step.copies);
        self.load_clean(&mut thread.buffers)?;
        let w = self.weights;
        self.load_recalled(&mut thread.buffers);
        self.network.encode_memory(w, &mut thread.buffers);
        self.network.forward(w, 0..length, &mut thread.buffers);
        for (i, copy) in copies.iter().enumerate() {
            if !self.step.halves[i].is_empty() {
                self.shortcut(i, copy, thread)?;
            }
        }
        for (i, copy) in copies.iter().enumerate() {
            let t = &mut thread.buffers;
            self.load_copy(i, copy, None, t)?;
        }
        let count = length * (1 + copies.len());
        self.network.forward(w, length..count, &mut thread.buffers);
        let first = length * self.step.latent;
        losses
            .output
            .extend_from_slice(&thread.buffers.output[first..2 * first]);
        let Some(targets) = self.step.targets else {
            return Ok(());
        };
        for i in 0..copies.len() {
            losses.main += self.copy_loss(i, targets, thread);
        }
        self.outcome_losses(targets, &mut thread.buffers, losses);
        if targets.gradient {
            self.network.backward(w, gradient, &mut thread.buffers);
        }
        Ok(())
    }

    /// Index in the batch of this sequence's frame at a time.
    fn frame(&self, time: usize) -> usize {
        self.sequence * self.step.clean.length + time
    }

    /// The latents of this sequence.
    fn latents<'a>(&self, of: &'a [f32]) -> &'a [f32] {
        let len = self.step.clean.length * self.step.latent;
        &of[self.sequence * len..(self.sequence + 1) * len]
    }

    fn past(&self, frame: usize) -> &[f32] {
        &self.step.clean.past[frame * self.step.past..(frame + 1) * self.step.past]
    }

    fn load_clean(&self, t: &mut SequenceBuffers) -> Result<()> {
        let clean = self.step.clean;
        let latents = self.latents(&clean.latents);
        for (time, latent) in latents.chunks_exact(self.step.latent).enumerate() {
            let at = self.frame(time);
            let frame = Frame {
                latent,
                past: self.past(at),
                action: clean.actions[at],
                signal: clean.signal[at],
                step: step_index(self.k_max, self.k_max),
            };
            self.network.load(time, &frame, t)?;
        }
        Ok(())
    }

    /// Writes what the sequence recalls into the buffers.
    fn load_recalled(&self, t: &mut SequenceBuffers) {
        let (Some(memory), length) = (&mut t.memory, self.step.clean.length) else {
            return;
        };
        memory.in_use = self.step.clean.recalled.is_some();
        let Some(recalled) = &self.step.clean.recalled else {
            return;
        };
        let s = &self.network.sizes;
        let inputs = s.memory_tokens() * s.memory_inputs();
        for time in 0..length {
            let at = self.frame(time);
            memory.load(
                s,
                time,
                &recalled.tokens[at * inputs..(at + 1) * inputs],
                &recalled.filled[at * s.recalled..(at + 1) * s.recalled],
            );
        }
    }

    /// Writes a copy into the buffers. With `half` it is the start of a half step of a shortcut: from
    /// this z, in the middle if true.
    fn load_copy(
        &self,
        index: usize,
        copy: &NoisedFrames,
        half: Option<(&[f32], bool)>,
        t: &mut SequenceBuffers,
    ) -> Result<()> {
        let length = self.step.clean.length;
        let z = half.map_or(self.latents(&copy.z), |(z, _)| z);
        for (time, latent) in z.chunks_exact(self.step.latent).take(length).enumerate() {
            let at = self.frame(time);
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
            self.network.load(length * (1 + index) + time, &frame, t)?;
        }
        Ok(())
    }

    /// Computes the target of a shortcut copy with two half steps of the network. They use the place
    /// of the copy in the buffers.
    fn shortcut(
        &self,
        index: usize,
        copy: &NoisedFrames,
        thread: &mut ThreadBuffers,
    ) -> Result<()> {
        let (length, n) = (self.step.clean.length, self.step.latent);
        let ThreadBuffers {
            buffers: t,
            middle,
            clean,
            target,
        } = thread;
        let frames = length * (1 + index)..length * (2 + index);
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

        self.load_copy(index, copy, Some((&middle[..length * n], true)), t)?;
        self.network.forward(self.weights, frames.clone(), t);
        let numbers = frames.start * n..frames.end * n;
        let outputs = t.output[numbers.clone()].chunks_exact(n);
        let buffers = middle.chunks_exact(n).zip(clean.chunks_exact_mut(n));
        let targets = target[numbers].chunks_exact_mut(n);
        let each = outputs.zip(z).zip(buffers).zip(targets);
        for (i, (((output, z), (middle, x)), target)) in each.enumerate() {
            halves[i].clean.apply(output, middle, x);
            halves[i].second.apply(x, middle, target);
            halves[i].whole.apply(target, z, x);
            levels[i].target.apply(x, z, target);
        }
        Ok(())
    }

    /// The loss of a copy; writes the gradient of the network's output.
    fn copy_loss(&self, index: usize, targets: &Targets, thread: &mut ThreadBuffers) -> f64 {
        let (step, length, n) = (self.step, self.step.clean.length, self.step.latent);
        let numbers = length * (1 + index) * n..length * (2 + index) * n;
        let copy = &step.copies[index];
        let target = &mut thread.target[numbers.clone()];
        if step.halves[index].is_empty() {
            let (data, z) = (self.latents(targets.latents), self.latents(&copy.z));
            let each = data.chunks_exact(n).zip(z.chunks_exact(n));
            for (i, ((x, z), target)) in each.zip(target.chunks_exact_mut(n)).enumerate() {
                let level = &step.levels[index][self.frame(i)];
                level.target.apply(x, z, target);
            }
        }
        let t = &mut thread.buffers;
        let outputs = t.output[numbers.clone()].chunks_exact(n);
        let gradients = t.doutput[numbers].chunks_exact_mut(n);
        let each = outputs.zip(target.chunks_exact(n)).zip(gradients);
        let share = 1.0 / (step.count * step.copies.len() as f32);
        let mut loss = 0.0;
        for (i, ((output, target), gradient)) in each.enumerate() {
            let at = self.frame(i);
            let weight = step.levels[index][at].weight * step.clean.mask[at] * share / n as f32;
            let error = match targets.weights {
                Some(weights) => {
                    let cells = self.network.sizes.grid.cells();
                    let weights = &weights[at * cells..(at + 1) * cells];
                    weighted_squared_error(2.0 * weight, weights, output, target, gradient)
                }
                None => squared_error(2.0 * weight, output, target, gradient),
            };
            loss += f64::from(weight) * f64::from(error);
        }
        loss
    }

    /// Adds the losses of rewards and motions (squared error) and ends (cross-entropy); writes their
    /// gradients.
    fn outcome_losses(&self, targets: &Targets, t: &mut SequenceBuffers, losses: &mut StepLosses) {
        let (Some(state), Some(head)) = (&mut t.outcome, &self.network.outcome) else {
            return;
        };
        let (length, outputs) = (self.step.clean.length, head.outputs());
        let gradients = &mut state.gradient[..outputs * length];
        gradients.fill(0.0);
        let Some(outcome) = targets.outcome else {
            return;
        };
        let each = state.outcome[..outputs * length].chunks_exact(outputs);
        for (i, (predicted, gradient)) in each.zip(gradients.chunks_exact_mut(outputs)).enumerate()
        {
            let (&[reward, logit, ref moved @ ..], [dreward, dlogit, dmoved @ ..]) =
                (predicted, gradient)
            else {
                continue;
            };
            let at = self.frame(i);
            let share = self.step.clean.mask[at] / self.step.count;
            let (error, end) = (reward - outcome.rewards[at], outcome.ends[at]);
            let spread = (-logit.abs()).exp().ln_1p();
            let entropy = logit.max(0.0) - logit * end + spread;
            losses.outcome[0] += f64::from(share * error * error);
            losses.outcome[1] += f64::from(share * entropy);
            let sigmoid = 1.0 / (1.0 + (-logit).exp());
            *dreward = outcome.scales[0] * share * 2.0 * error;
            *dlogit = outcome.scales[1] * share * (sigmoid - end);
            let Some(targets) = &outcome.motion else {
                continue;
            };
            let share = share * targets.known[at];
            let motion = &targets.motion[3 * at..3 * at + 3];
            for ((moved, motion), dmoved) in moved.iter().zip(motion).zip(dmoved) {
                let error = moved - motion;
                losses.outcome[2] += f64::from(share * error * error);
                *dmoved = outcome.scales[2] * share * 2.0 * error;
            }
        }
    }
}

vectorized!(
    /// Σ e² with e = y − target. Writes `scale` · e into `dy`.
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

/// Σ w·e² with e = y − target and a weight for each position, whose channels are next to each other. Writes
/// `scale` · w·e into `dy`.
fn weighted_squared_error(
    scale: f32,
    weights: &[f32],
    y: &[f32],
    target: &[f32],
    dy: &mut [f32],
) -> f32 {
    let channels = y.len() / weights.len();
    let rows = y.chunks_exact(channels).zip(target.chunks_exact(channels));
    let mut sum = 0.0;
    for (((y, target), dy), weight) in rows.zip(dy.chunks_exact_mut(channels)).zip(weights) {
        for ((dy, y), target) in dy.iter_mut().zip(y).zip(target) {
            let error = y - target;
            sum += weight * error * error;
            *dy = scale * weight * error;
        }
    }
    sum
}
