//! Parts of the dynamics network: its layers, and what it adds to and reads from the tokens.

use driftless_data::Action;
use driftless_model::dynamics::SIGNAL_FEATURES;
use driftless_model::export::{
    ExportedConditions, ExportedLayer, ExportedMatrix, ExportedOutcomeHead,
};

use super::attention::{SpatialAttention, TokenShape};
use super::attention_temporal::{KvCache, TemporalAttention};
use super::delta::PackedDelta;
use super::grid::RmsNorm;
use super::matrix::PackedMatrix;
use super::mlp::PackedMlp;
use super::recall::PackedRecall;
use super::row_layout::{RowLayout, WriteMode};
use super::workers::Workers;
use crate::network::Outcome;

/// Conditioning embeddings of action, signal level and step size.
#[derive(Clone)]
pub(super) struct ConditionTables {
    width: usize,
    action: Vec<f32>,
    /// [width, axes]
    axes: ExportedMatrix,
    signal: PackedMatrix,
    step: Vec<f32>,
}

impl ConditionTables {
    pub fn new(conditions: ExportedConditions) -> Self {
        Self {
            width: conditions.width,
            action: conditions.action,
            axes: conditions.axes,
            signal: PackedMatrix::new(&conditions.signal),
            step: conditions.step_size,
        }
    }

    /// Adds the embedding of an action to `out` [width].
    pub fn add_action(&self, action: &Action, out: &mut [f32]) {
        let row = table_row(&self.action, action.index, self.width);
        out.iter_mut().zip(row).for_each(|(x, y)| *x += y);
        if self.axes.inputs > 0 {
            let rows = self.axes.values.chunks_exact(self.axes.inputs);
            for (x, row) in out.iter_mut().zip(rows) {
                *x += row
                    .iter()
                    .zip(&action.axes)
                    .map(|(w, a)| w * a)
                    .sum::<f32>();
            }
        }
    }

    /// Writes the embedding of signal level and step size to `out` [width].
    pub fn signal(&self, features: &[f32], step: u32, out: &mut [f32]) {
        out.copy_from_slice(table_row(&self.step, step, self.width));
        self.signal.apply(
            &Workers::none(),
            features,
            RowLayout::contiguous(1, SIGNAL_FEATURES),
            out,
            WriteMode::Add,
        );
    }
}

fn table_row(table: &[f32], index: u32, width: usize) -> &[f32] {
    let at = index as usize * width;
    &table[at..at + width]
}

/// A layer of the transformer with its KV cache.
#[derive(Clone)]
pub(super) struct Layer {
    pub space: SpatialAttention,
    pub delta: Option<PackedDelta>,
    pub time: Option<(TemporalAttention, KvCache)>,
    pub recall: Option<PackedRecall>,
    pub mlp: PackedMlp,
}

impl Layer {
    pub fn new(
        layer: &ExportedLayer,
        shape: TokenShape,
        slots: usize,
        memory_tokens: usize,
    ) -> Self {
        let time = layer.time.as_ref().map(|time| {
            let kv_cache = KvCache::new(shape, slots);
            (TemporalAttention::new(time, shape), kv_cache)
        });
        let delta = layer.delta.as_ref();
        Self {
            space: SpatialAttention::new(&layer.space, shape),
            delta: delta.map(|delta| PackedDelta::new(delta, shape)),
            time,
            recall: layer
                .recall
                .as_ref()
                .map(|recall| PackedRecall::new(recall, shape, memory_tokens)),
            mlp: PackedMlp::new(&layer.mlp),
        }
    }
}

/// Predicts reward, episode end and the camera's motion from a signal token. Too small to be worth packing.
#[derive(Clone)]
pub(super) struct OutcomeHead {
    norm: RmsNorm,
    up: Vec<f32>,
    up_bias: Vec<f32>,
    out: Vec<f32>,
    out_bias: Vec<f32>,
}

impl OutcomeHead {
    pub fn new(head: ExportedOutcomeHead) -> Self {
        Self {
            norm: RmsNorm::new(&head.norm),
            up_bias: head.up.bias_or_zeros(),
            up: head.up.values,
            out_bias: head.out.bias_or_zeros(),
            out: head.out.values,
        }
    }

    pub fn apply(&self, token: &[f32]) -> Outcome {
        let mut normed = vec![0.0; token.len()];
        self.norm.apply(token, &mut normed);
        let dot = |row: &[f32], x: &[f32]| row.iter().zip(x).map(|(w, x)| w * x).sum::<f32>();
        let rows = self.up.chunks_exact(token.len()).zip(&self.up_bias);
        let hidden: Vec<f32> = rows
            .map(|(row, bias)| dot(row, &normed) + bias)
            .map(|x| x / (1.0 + (-x).exp()))
            .collect();
        let rows = self.out.chunks_exact(hidden.len()).zip(&self.out_bias);
        let outputs: Vec<f32> = rows.map(|(row, bias)| dot(row, &hidden) + bias).collect();
        Outcome::of_outputs(&outputs)
    }
}
