//! Embeddings of a frame's action, signal level and step size.

use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{add, axpy};
use crate::Result;
use driftless_data::{Action, MAX_AXES};
use driftless_model::dynamics::SIGNAL_FEATURES;

/// The conditions of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Condition {
    /// The action that led to the frame.
    pub action: usize,
    /// Its axes.
    axes: [f32; MAX_AXES],
    /// Index of the step size.
    pub step: usize,
    /// cos(π k τ) for k = 0 .. 15.
    features: [f32; SIGNAL_FEATURES],
}

impl Condition {
    pub(super) fn new(action: &Action, signal: f32, step: u32) -> Self {
        let feature = |k: usize| (signal * (k as f32 * std::f32::consts::PI)).cos();
        Self {
            action: action.index as usize,
            axes: action.axes,
            step: step as usize,
            features: std::array::from_fn(feature),
        }
    }
}

/// The embeddings for one place in the network.
pub(super) struct ConditionEmbeddings {
    action: Slot,
    /// Of the axes, [width, axes]; empty in a world without any.
    axes: Slot,
    /// Of the cosine features, [width, 16].
    signal: Slot,
    step: Slot,
    width: usize,
}

impl ConditionEmbeddings {
    pub(super) fn new(layout: &Layout, name: &str, width: usize) -> Result<Self> {
        Ok(Self {
            action: layout.slot(&format!("{name}.action"))?,
            axes: layout
                .slot(&format!("{name}.axes.weight"))
                .unwrap_or_default(),
            signal: layout.slot(&format!("{name}.signal.weight"))?,
            step: layout.slot(&format!("{name}.step"))?,
            width,
        })
    }

    /// Number of actions and of step sizes.
    pub(super) fn sizes(&self) -> [usize; 2] {
        [self.action.len / self.width, self.step.len / self.width]
    }

    fn row(&self, index: usize) -> std::ops::Range<usize> {
        index * self.width..(index + 1) * self.width
    }

    /// Adds the action's embedding to `y` [width].
    pub(super) fn add_action(&self, w: &Weights, c: &Condition, y: &mut [f32]) {
        add(&w.get(self.action)[self.row(c.action)], y);
        let axes = self.axes.len / self.width;
        if axes > 0 {
            for (y, row) in y.iter_mut().zip(w.get(self.axes).chunks_exact(axes)) {
                *y += row.iter().zip(&c.axes).map(|(a, b)| a * b).sum::<f32>();
            }
        }
    }

    /// Adds the embeddings of signal level and step size to `y` [width].
    pub(super) fn add_signal(&self, w: &Weights, c: &Condition, y: &mut [f32]) {
        add(&w.get(self.step)[self.row(c.step)], y);
        let (rows, _) = w.get(self.signal).as_chunks::<SIGNAL_FEATURES>();
        for (y, row) in y.iter_mut().zip(rows) {
            *y += row.iter().zip(&c.features).map(|(a, b)| a * b).sum::<f32>();
        }
    }

    /// Adds the gradients of the action's embedding, dy of its row and dy aᵀ of the map of its axes a.
    pub(super) fn action_gradient(&self, c: &Condition, dy: &[f32], gradient: &mut [f32]) {
        add(dy, &mut self.action.of_mut(gradient)[self.row(c.action)]);
        let axes = self.axes.len / self.width;
        if axes > 0 {
            let rows = self.axes.of_mut(gradient).chunks_exact_mut(axes);
            for (row, dy) in rows.zip(dy) {
                axpy(*dy, &c.axes[..axes], row);
            }
        }
    }

    pub(super) fn signal_gradient(&self, c: &Condition, dy: &[f32], gradient: &mut [f32]) {
        add(dy, &mut self.step.of_mut(gradient)[self.row(c.step)]);
        let rows = self.signal.of_mut(gradient);
        for (row, dy) in rows.chunks_exact_mut(SIGNAL_FEATURES).zip(dy) {
            axpy(*dy, &c.features, row);
        }
    }
}
