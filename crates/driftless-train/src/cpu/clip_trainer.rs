//! A training step of the clip network, in parallel over the clips of the batch.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::Var;

use driftless_clip::ClipConfig;
use driftless_clip::config::step_index;
use driftless_flow::objective::Step;

use super::clip::{ClipBuffers, ClipPasses};
use super::gradient_chunks::GradientChunks;
use super::parameters::{Layout, Weights};
use crate::clip::batches::{ClipBatch, Shortcut};
use crate::ranks::Ranks;
use crate::{Error, Result};

/// Clips that a thread works on at a time: the modulating matrices are read once for all of them.
const CLIPS: usize = 4;

/// Trains the network on all threads.
pub(crate) struct ClipTrainer {
    layout: Arc<Layout>,
    weights: Weights,
    passes: ClipPasses,
    chunks: GradientChunks,
    buffers: Vec<ThreadBuffers>,
    /// Most clips of a chunk, and frames of a clip, that the buffers have room for.
    room: [usize; 2],
    gradient: Vec<f32>,
}

/// What a thread works in.
struct ThreadBuffers {
    passes: ClipBuffers,
    /// The targets of a chunk, and x̂ of half steps.
    targets: Vec<f32>,
}

impl ClipTrainer {
    /// A trainer of the parameters `vars`.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub(crate) fn new(config: &ClipConfig, vars: &BTreeMap<String, Var>) -> Result<Self> {
        let mut layout = Layout::new(vars);
        let passes = ClipPasses::new(&mut layout, config)?;
        Ok(Self {
            weights: Weights::new(&layout),
            passes,
            chunks: GradientChunks::new(layout.len(), 0..layout.len(), CLIPS, &Ranks::default()),
            buffers: Vec::new(),
            room: [0; 2],
            gradient: Vec::new(),
            layout: Arc::new(layout),
        })
    }

    /// The place of each parameter in the gradient.
    pub(crate) fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.layout)
    }

    /// The gradient of the last step.
    pub(crate) fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    /// The loss of a batch with the current values of the parameters; keeps its gradient. See
    /// `crate::clip::task::loss`.
    ///
    /// # Errors
    /// Returns an error if the parts of the batch do not match or a parameter is not on the CPU.
    pub(crate) fn step(&mut self, vars: &BTreeMap<String, Var>, batch: &ClipBatch) -> Result<f64> {
        let (n, frames) = (batch.len(), batch.frames);
        let len = self.passes.clip_len(frames);
        let fits = n > 0 && batch.z.len() == n * len && batch.clean.len() == n * len;
        if !fits
            || batch.given.len() != n * frames
            || batch.prompts.len() != n
            || batch.states.len() != n
            || batch.weights.len() != n
        {
            return Err(Error::Internal("parts of a training batch do not match"));
        }
        self.weights.refresh(&self.layout, vars)?;
        let ranges = self.chunks.ranges(n);
        let clips = ranges.iter().map(Range::len).max().unwrap_or(0);
        if clips > self.room[0] || frames > self.room[1] {
            self.buffers.clear();
            self.room = [clips.max(self.room[0]), frames.max(self.room[1])];
        }
        let threads = self.chunks.threads(n);
        while self.buffers.len() < threads {
            let [clips, frames] = self.room;
            self.buffers.push(ThreadBuffers {
                passes: self.passes.buffers(clips, frames),
                targets: Vec::new(),
            });
        }
        let (passes, weights) = (&self.passes, &self.weights);
        let trained = batch.given.iter().filter(|given| **given == 0.0).count();
        let numbers = len / frames;
        let latent = numbers - passes.actions();
        let share = 1.0 / (trained.max(1) * numbers) as f32;
        let work = |range: Range<usize>, t: &mut ThreadBuffers, gradient: &mut [f32]| {
            let count = range.len();
            let all = range.start * len..range.end * len;
            t.targets.clear();
            t.targets.extend_from_slice(&batch.clean[all]);
            shortcut_targets(passes, weights, batch, range.clone(), t);
            let chosen: Vec<usize> = range.collect();
            set(&mut t.passes, batch, &chosen, len);
            passes.forward(weights, count, frames, &mut t.passes);
            let mut loss = 0.0;
            for (i, item) in chosen.into_iter().enumerate() {
                let weights = batch.weights[item].map(|weight| weight * share);
                let clip = i * len..(i + 1) * len;
                let errors = t.passes.output[clip.clone()]
                    .iter()
                    .zip(&t.targets[clip.clone()]);
                let doutput = &mut t.passes.doutput[clip];
                for (j, (d, (x, target))) in doutput.iter_mut().zip(errors).enumerate() {
                    let is_given = batch.given[item * frames + j / numbers] != 0.0;
                    let error = if is_given { 0.0 } else { x - target };
                    let weight = weights[usize::from(j % numbers >= latent)];
                    loss += f64::from(weight * error * error);
                    *d = 2.0 * weight * error;
                }
            }
            passes.backward(weights, count, frames, gradient, &mut t.passes);
            Ok(loss)
        };
        let losses = self.chunks.run(n, &mut self.buffers[..threads], work)?;
        self.gradient.clear();
        self.gradient.extend_from_slice(self.chunks.sum(n)?);
        Ok(losses.iter().sum())
    }
}

/// Gives the passes these clips of a batch.
fn set(t: &mut ClipBuffers, batch: &ClipBatch, chosen: &[usize], len: usize) {
    let frames = batch.frames;
    t.tau.clear();
    t.steps.clear();
    t.prompts.clear();
    t.states.fill(0.0);
    let states = t.states.len() / t.clips.max(1);
    let steps = batch.step_indices();
    for (i, &item) in chosen.iter().enumerate() {
        t.z[i * len..(i + 1) * len].copy_from_slice(&batch.z[item * len..(item + 1) * len]);
        t.given[i * frames..(i + 1) * frames]
            .copy_from_slice(&batch.given[item * frames..(item + 1) * frames]);
        t.tau.push(batch.tau[item]);
        t.steps.push(steps[item]);
        t.prompts.push(batch.prompts[item].clone());
        let own = &batch.states[item];
        let count = own.len().min(states);
        t.states[i * states..i * states + count].copy_from_slice(&own[..count]);
    }
}

/// Replaces the targets of clips that learn a shortcut by the x̂ whose single step ends where two half
/// steps of the network end.
fn shortcut_targets(
    passes: &ClipPasses,
    weights: &Weights,
    batch: &ClipBatch,
    range: Range<usize>,
    t: &mut ThreadBuffers,
) {
    let (frames, len) = (batch.frames, batch.z.len() / batch.len());
    let learning = range.clone().filter_map(|i| Some((i, batch.shortcuts[i]?)));
    let learning: Vec<(usize, Shortcut)> = learning.collect();
    if learning.is_empty() {
        return;
    }
    let chosen: Vec<usize> = learning.iter().map(|(item, _)| *item).collect();
    set(&mut t.passes, batch, &chosen, len);
    for (steps, (_, shortcut)) in t.passes.steps.iter_mut().zip(&learning) {
        *steps = step_index(2 * shortcut.steps);
    }
    for half in 0..2 {
        passes.forward(weights, chosen.len(), frames, &mut t.passes);
        for (i, (item, shortcut)) in learning.iter().enumerate() {
            let Step {
                z_scale, x_scale, ..
            } = shortcut.target.halves[half];
            let clip = i * len..(i + 1) * len;
            let clean = &batch.clean[item * len..(item + 1) * len];
            let (z, x) = (&mut t.passes.z[clip.clone()], &t.passes.output[clip]);
            for (j, ((z, x), clean)) in z.iter_mut().zip(x).zip(clean).enumerate() {
                // Given frames stay as they are.
                let is_given = batch.given[item * frames + j / (len / frames)] != 0.0;
                *z = if is_given {
                    *clean
                } else {
                    z_scale as f32 * *z + x_scale as f32 * x
                };
            }
            t.passes.tau[i] = shortcut.target.middle;
        }
    }
    for (i, (item, shortcut)) in learning.iter().enumerate() {
        let whole = shortcut.target.whole;
        let place = item - range.start;
        let start = &batch.z[item * len..(item + 1) * len];
        let target = &mut t.targets[place * len..(place + 1) * len];
        let end = &t.passes.z[i * len..(i + 1) * len];
        for ((target, end), start) in target.iter_mut().zip(end).zip(start) {
            *target = (end - whole.z_scale as f32 * start) / whole.x_scale as f32;
        }
    }
}

#[cfg(test)]
#[path = "clip_tests.rs"]
mod tests;
