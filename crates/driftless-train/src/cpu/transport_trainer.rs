//! A training step of the transport network, in parallel over the pictures of the batch.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::Var;

use driftless_transport::config::{ConditionRow, TransportConfig};

use super::gradient_chunks::GradientChunks;
use super::parameters::{Layout, Weights};
use super::transport::{TransportBuffers, TransportPasses};
use crate::ranks::Ranks;
use crate::{Error, Result};

/// Least pictures that a thread works on at a time: matrix products of fewer rows are slow.
const PICTURES: usize = 4;

/// The batch of a step.
#[derive(Clone, Debug, Default)]
pub(crate) struct TransportBatch {
    /// z_τ, [N, H, W, C].
    pub z: Vec<f32>,
    /// What the network is to predict, [N, H, W, C].
    pub target: Vec<f32>,
    /// Transport times.
    pub tau: Vec<f32>,
    /// Conditions.
    pub rows: Vec<ConditionRow>,
}

/// Trains the network on all threads.
pub(crate) struct TransportTrainer {
    layout: Arc<Layout>,
    weights: Weights,
    passes: TransportPasses,
    chunks: GradientChunks,
    buffers: Vec<TransportBuffers>,
    room: usize,
    gradient: Vec<f32>,
}

impl TransportTrainer {
    /// A trainer of the parameters `vars`.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
    pub(crate) fn new(config: &TransportConfig, vars: &BTreeMap<String, Var>) -> Result<Self> {
        let mut layout = Layout::new(vars);
        let passes = TransportPasses::new(&mut layout, config)?;
        Ok(Self {
            weights: Weights::new(&layout),
            passes,
            chunks: GradientChunks::new(layout.len(), 0..layout.len(), PICTURES, &Ranks::default()),
            buffers: Vec::new(),
            room: 0,
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

    /// The mean squared error of a batch with the current values of the parameters, for each picture;
    /// keeps the gradient of their mean.
    ///
    /// # Errors
    /// Returns an error if the parts of the batch do not match or a parameter is not on the CPU.
    pub(crate) fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        batch: &TransportBatch,
    ) -> Result<Vec<f64>> {
        let (n, len) = (batch.rows.len(), self.passes.picture());
        let fits = n > 0 && batch.tau.len() == n && batch.z.len() == n * len;
        if !fits || batch.target.len() != n * len {
            return Err(Error::Internal("parts of a training batch do not match"));
        }
        self.weights.refresh(&self.layout, vars)?;
        let ranges = self.chunks.ranges(n);
        let room = ranges.iter().map(Range::len).max().unwrap_or(0);
        if room > self.room {
            self.buffers.clear();
            self.room = room;
        }
        let threads = self.chunks.threads(n);
        while self.buffers.len() < threads {
            self.buffers.push(self.passes.buffers(self.room));
        }
        let (passes, weights) = (&self.passes, &self.weights);
        let share = 2.0 / (n * len) as f32;
        let work = |range: Range<usize>, t: &mut TransportBuffers, gradient: &mut [f32]| {
            let count = range.len();
            let all = range.start * len..range.end * len;
            t.z[..count * len].copy_from_slice(&batch.z[all.clone()]);
            for (i, item) in range.enumerate() {
                passes.set_condition(t, i, batch.tau[item], &batch.rows[item]);
            }
            passes.forward(weights, count, t);
            let mut losses = Vec::with_capacity(count);
            let targets = batch.target[all].chunks_exact(len);
            for (i, target) in targets.enumerate() {
                let picture = i * len..(i + 1) * len;
                let mut sum = 0.0;
                let outputs = t.output[picture.clone()].iter().zip(target);
                for (d, (y, target)) in t.doutput[picture].iter_mut().zip(outputs) {
                    let error = y - target;
                    sum += error * error;
                    *d = share * error;
                }
                losses.push(f64::from(sum) / len as f64);
            }
            passes.backward(weights, count, gradient, t);
            Ok(losses)
        };
        let losses = self.chunks.run(n, &mut self.buffers[..threads], work)?;
        self.gradient.clear();
        self.gradient.extend_from_slice(self.chunks.sum(n)?);
        Ok(losses.concat())
    }
}

#[cfg(test)]
#[path = "transport_tests.rs"]
mod tests;
