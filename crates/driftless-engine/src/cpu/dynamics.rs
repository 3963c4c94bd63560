//! The dynamics network on packed weights. What does not change between the passes over a frame is
//! computed once per frame.

use driftless_model::config::WorldConfig;
use driftless_model::dynamics::SIGNAL_FEATURES;
use driftless_model::export::ExportedDynamics;

use super::attention::{AttentionScratch, TokenShape};
use super::dynamics_parts::{ConditionTables, Layer, OutcomeHead};
use super::grid::{CellBlock, PaddedGrid, RmsNorm};
use super::matrix::PackedMatrix;
use super::mlp::MlpScratch;
use super::recall::PackedMemory;
use super::row_layout::{RowLayout, WriteMode};
use super::workers::Workers;
use crate::Attention;
use crate::network::{DenoiseInput, FrameContext, Outcome};

/// The network with its KV caches and buffers.
#[derive(Clone)]
pub(super) struct PackedDynamics {
    grid: [usize; 2],
    merge: usize,
    channels: usize,
    stem_width: usize,
    shape: TokenShape,
    latent_tokens: usize,
    slots: usize,
    last_time_layer: Option<usize>,
    stem_conditions: ConditionTables,
    /// The stem's convolution, split into the parts for the current latent and for past latents.
    stem_latent: PackedMatrix,
    stem_past: PackedMatrix,
    stem_block: CellBlock,
    merge_in: PackedMatrix,
    conditions: ConditionTables,
    position: Vec<f32>,
    layers: Vec<Layer>,
    memory: Option<PackedMemory>,
    norm_out: RmsNorm,
    merge_out: PackedMatrix,
    head_block: CellBlock,
    head_norm: RmsNorm,
    head_out: PackedMatrix,
    head_bias: Vec<f32>,
    skip_latent: PackedMatrix,
    skip_past: PackedMatrix,
    /// Contribution of past frames, the same in each pass: to the stem, [cells, stem width], and to the
    /// output, [cells, channels].
    cells_start: Vec<f32>,
    output_start: Vec<f32>,
    outcome: Option<OutcomeHead>,
    /// Slot of the current frame, and slots of the frames that it attends to, nearest first.
    slot: usize,
    attended_slots: Vec<usize>,
    /// Whether the passes read the delta states.
    reads_state: bool,
    padded_latent: PaddedGrid,
    padded_past: PaddedGrid,
    padded_cells: PaddedGrid,
    cells: Vec<f32>,
    hidden: Vec<f32>,
    tokens: Vec<f32>,
    latent: Vec<f32>,
    merged: Vec<f32>,
    condition: Vec<f32>,
    attention: AttentionScratch,
    mlp: MlpScratch,
    /// Whether cache passes record attention weights, and those of the last one.
    recording_attention: bool,
    last_attention: Option<Attention>,
    /// Whether cache passes record their last tokens, and those of the last one.
    recording_tokens: bool,
    last_tokens: Vec<f32>,
}

impl PackedDynamics {
    pub(super) fn new(net: ExportedDynamics, config: &WorldConfig) -> Self {
        let (d, c) = (&config.dynamics, config.tokenizer.channels);
        let (grid, cells) = (config.grid(), config.cells());
        let shape = TokenShape {
            tokens: config.tokens(),
            heads: d.heads,
            d: d.width / d.heads,
        };
        let slots = d.context - 1;
        let layers = net.layers.iter();
        let merged = d.merge * d.merge * d.stem_width;
        let recalled = d.memory.as_ref().map_or(0, |memory| memory.frames);
        let memory_tokens = recalled * config.latent_tokens();
        let memory = net.memory.as_ref();
        Self {
            grid,
            merge: d.merge,
            channels: c,
            stem_width: d.stem_width,
            shape,
            latent_tokens: config.latent_tokens(),
            slots,
            last_time_layer: d.last_time_layer(),
            stem_conditions: ConditionTables::new(net.stem_conditions),
            stem_latent: PackedMatrix::new(&net.stem_latent),
            stem_past: PackedMatrix::new(&net.stem_past),
            stem_block: CellBlock::new(&net.stem_block),
            merge_in: PackedMatrix::new(&net.merge_in),
            conditions: ConditionTables::new(net.conditions),
            position: net.position,
            layers: layers
                .map(|layer| Layer::new(layer, shape, slots, memory_tokens))
                .collect(),
            memory: memory
                .map(|memory| PackedMemory::new(memory, [recalled, config.latent_tokens()], shape)),
            norm_out: RmsNorm::new(&net.norm_out),
            merge_out: PackedMatrix::new(&net.merge_out),
            head_block: CellBlock::new(&net.head_block),
            head_norm: RmsNorm::new(&net.head_norm),
            head_out: PackedMatrix::new(&net.head_out),
            head_bias: net.head_out.bias_or_zeros(),
            skip_latent: PackedMatrix::new(&net.skip_latent),
            skip_past: PackedMatrix::new(&net.skip_past),
            cells_start: vec![0.0; cells * d.stem_width],
            output_start: vec![0.0; cells * c],
            outcome: net.outcome.map(OutcomeHead::new),
            slot: 0,
            attended_slots: Vec::with_capacity(slots),
            reads_state: true,
            padded_latent: PaddedGrid::new(grid, c),
            padded_past: PaddedGrid::new(grid, d.stem_frames * c),
            padded_cells: PaddedGrid::new(grid, d.stem_width),
            cells: vec![0.0; cells * d.stem_width],
            hidden: vec![0.0; cells * d.stem_width],
            tokens: vec![0.0; shape.tokens * d.width],
            latent: vec![0.0; config.latent_tokens() * d.width],
            merged: vec![0.0; config.latent_tokens() * merged],
            condition: vec![0.0; d.width.max(d.stem_width)],
            attention: AttentionScratch::new(shape, d.context),
            mlp: MlpScratch::new(shape, d.mlp),
            recording_attention: false,
            last_attention: None,
            recording_tokens: false,
            last_tokens: Vec::new(),
        }
    }

    /// Starts a frame: sets its slots and computes what its passes share.
    pub(super) fn begin_frame(&mut self, workers: &Workers, context: &FrameContext) {
        self.reads_state = context.reads_state;
        self.attended_slots.clear();
        if self.slots > 0 {
            let slots = self.slots as u64;
            let now = context.frame % slots;
            self.slot = now as usize;
            let slot = |distance: usize| ((now + slots - distance as u64) % slots) as usize;
            self.attended_slots
                .extend((1..=context.attended_frames).map(slot));
        }
        let (past, cells_start) = (&mut self.padded_past, &mut self.cells_start);
        past.fill(workers, context.past, |from, to| to.copy_from_slice(from));
        past.convolve(workers, &self.stem_past, cells_start, WriteMode::Set);
        for cell in self.output_start.chunks_exact_mut(self.channels) {
            cell.copy_from_slice(&self.head_bias);
        }
        let cells = self.output_start.len() / self.channels;
        let rows = RowLayout::contiguous(cells, context.past.len() / cells);
        let output_start = &mut self.output_start;
        self.skip_past
            .apply(workers, context.past, rows, output_start, WriteMode::Add);
        if let Some(memory) = &mut self.memory {
            memory.encode(workers, &context.recalled);
            if memory.in_use() {
                for recall in self
                    .layers
                    .iter_mut()
                    .filter_map(|layer| layer.recall.as_mut())
                {
                    recall.read_memory(workers, memory);
                }
            }
        }
    }

    /// Runs a denoise pass and writes the network's output, [cells, channels].
    pub(super) fn denoise(&mut self, workers: &Workers, input: &DenoiseInput, output: &mut [f32]) {
        self.stem(workers, input);
        let recalls = self.memory.as_ref().is_some_and(PackedMemory::in_use);
        for layer in &mut self.layers {
            layer
                .space
                .apply(workers, &mut self.tokens, &mut self.attention);
            if let Some(delta) = &mut layer.delta {
                delta.apply(workers, &mut self.tokens, self.reads_state, false);
            }
            if let Some((time, kv_cache)) = &layer.time {
                time.keys_and_values(workers, &self.tokens, &mut self.attention);
                time.apply(
                    workers,
                    &mut self.tokens,
                    kv_cache,
                    &self.attended_slots,
                    &mut self.attention,
                );
            }
            if let Some(recall) = &mut layer.recall
                && recalls
            {
                recall.apply(workers, &mut self.tokens);
            }
            layer.mlp.apply(workers, &mut self.tokens, &mut self.mlp);
        }
        self.head(workers, input.z, output);
    }

    /// Runs the cache pass: writes the frame's keys and values over those of the oldest frame, and returns
    /// the frame's outcome.
    pub(super) fn write_cache(
        &mut self,
        workers: &Workers,
        input: &DenoiseInput,
    ) -> Option<Outcome> {
        let writes_cache = self.slots > 0 && self.last_time_layer.is_some();
        // Only the outcome head and the recordings need the output of the last temporal attention.
        let needs_last =
            self.outcome.is_some() || self.recording_attention || self.recording_tokens;
        if !writes_cache && !needs_last {
            return None;
        }
        let last = self.last_time_layer.unwrap_or(0);
        self.attention.recorded = self.recording_attention.then(|| {
            let TokenShape { tokens, heads, .. } = self.shape;
            Attention::new(tokens, heads, self.attended_slots.len() + 1)
        });
        self.stem(workers, input);
        let recalls = self.memory.as_ref().is_some_and(PackedMemory::in_use);
        for (i, layer) in self.layers[..=last].iter_mut().enumerate() {
            layer
                .space
                .apply(workers, &mut self.tokens, &mut self.attention);
            if let Some(delta) = &mut layer.delta {
                delta.apply(workers, &mut self.tokens, self.reads_state, true);
            }
            if let Some((time, kv_cache)) = &mut layer.time {
                time.keys_and_values(workers, &self.tokens, &mut self.attention);
                if let Some(recorded) = &mut self.attention.recorded {
                    recorded.time_layers.push(i);
                }
                if i < last || needs_last {
                    time.apply(
                        workers,
                        &mut self.tokens,
                        kv_cache,
                        &self.attended_slots,
                        &mut self.attention,
                    );
                }
                if writes_cache {
                    time.write_cache(kv_cache, self.slot, &self.attention);
                }
            }
            if i < last {
                if let Some(recall) = &mut layer.recall
                    && recalls
                {
                    recall.apply(workers, &mut self.tokens);
                }
                layer.mlp.apply(workers, &mut self.tokens, &mut self.mlp);
            }
        }
        self.last_attention = self.attention.recorded.take();
        if self.recording_tokens {
            self.last_tokens.clear();
            self.last_tokens.extend_from_slice(&self.tokens);
        }
        let width = self.shape.width();
        let at = (self.latent_tokens + 1) * width;
        let signal = &self.tokens[at..at + width];
        self.outcome.as_ref().map(|head| head.apply(signal))
    }

    /// Makes room for `threads` threads.
    pub(super) fn reserve(&mut self, threads: usize) {
        self.attention.reserve(threads);
        self.mlp.reserve(threads);
        if let Some(memory) = &mut self.memory {
            memory.reserve(threads);
        }
    }

    /// Sets whether cache passes record attention weights.
    pub(super) fn record_attention(&mut self, on: bool) {
        self.recording_attention = on;
        self.last_attention = self.last_attention.take().filter(|_| on);
    }

    /// Attention weights of the last cache pass, if recorded.
    pub(super) fn last_attention(&self) -> Option<&Attention> {
        self.last_attention.as_ref()
    }

    /// Sets whether cache passes record their last tokens.
    pub(super) fn record_tokens(&mut self, on: bool) {
        self.recording_tokens = on;
        self.last_tokens.clear();
    }

    /// Tokens of the last cache pass, if recorded.
    pub(super) fn last_tokens(&self) -> Option<&[f32]> {
        (!self.last_tokens.is_empty()).then_some(self.last_tokens.as_slice())
    }

    /// Drops what was recorded, because the KV caches now belong to another frame.
    pub(super) fn clear_recorded(&mut self) {
        self.last_attention = None;
        self.last_tokens.clear();
    }

    /// Keys, then values, of each temporal layer in order; then the delta states.
    pub(super) fn caches(&self) -> impl Iterator<Item = &Vec<f32>> {
        let time = self.layers.iter().filter_map(|layer| layer.time.as_ref());
        let delta = self.layers.iter().filter_map(|layer| layer.delta.as_ref());
        time.flat_map(|(_, kv_cache)| [&kv_cache.keys, &kv_cache.values])
            .chain(delta.map(|delta| &delta.state))
    }

    /// Replaces [`Self::caches`] by `values`, which hold them one after the other.
    pub(super) fn load_caches(&mut self, values: &[f32]) {
        let mut rest = values;
        let mut load = |cache: &mut Vec<f32>| {
            let (values, tail) = rest.split_at(cache.len());
            cache.copy_from_slice(values);
            rest = tail;
        };
        for (_, kv_cache) in self
            .layers
            .iter_mut()
            .filter_map(|layer| layer.time.as_mut())
        {
            load(&mut kv_cache.keys);
            load(&mut kv_cache.values);
        }
        for delta in self
            .layers
            .iter_mut()
            .filter_map(|layer| layer.delta.as_mut())
        {
            load(&mut delta.state);
        }
    }

    /// Computes the stem: fills `cells` and `tokens`.
    fn stem(&mut self, workers: &Workers, input: &DenoiseInput) {
        let DenoiseInput {
            z,
            tau,
            step_index,
            action,
        } = *input;
        let features: [f32; SIGNAL_FEATURES] =
            std::array::from_fn(|k| (tau * (k as f32 * std::f32::consts::PI)).cos());
        let condition = &mut self.condition[..self.stem_width];
        self.stem_conditions
            .signal(&features, step_index, condition);
        self.stem_conditions.add_action(&action, condition);
        self.cells.copy_from_slice(&self.cells_start);
        for cell in self.cells.chunks_exact_mut(self.stem_width) {
            add(cell, condition);
        }
        let (latent, cells) = (&mut self.padded_latent, &mut self.cells);
        latent.fill(workers, z, |from, to| to.copy_from_slice(from));
        latent.convolve(workers, &self.stem_latent, cells, WriteMode::Add);
        self.stem_block
            .apply(workers, cells, &mut self.padded_cells, &mut self.hidden);

        let width = self.shape.width();
        self.tokens.copy_from_slice(&self.position);
        let at = self.latent_tokens * width;
        let token = &mut self.tokens[at..at + width];
        self.conditions.add_action(&action, token);
        let condition = &mut self.condition[..width];
        self.conditions.signal(&features, step_index, condition);
        let at = (self.latent_tokens + 1) * width;
        add(&mut self.tokens[at..at + width], condition);
        let blocks = RowLayout::blocks(self.grid, self.merge, self.stem_width);
        let tokens = &mut self.tokens;
        self.merge_in
            .apply(workers, &self.cells, blocks, tokens, WriteMode::Add);
    }

    /// Computes the output from `cells` and `tokens`.
    fn head(&mut self, workers: &Workers, z: &[f32], output: &mut [f32]) {
        let width = self.shape.width();
        let latent = &self.tokens[..self.latent_tokens * width];
        self.norm_out.apply_on(workers, latent, &mut self.latent);
        let rows = RowLayout::contiguous(self.latent_tokens, width);
        let merged = &mut self.merged;
        self.merge_out
            .apply(workers, &self.latent, rows, merged, WriteMode::Set);
        let blocks = RowLayout::blocks(self.grid, self.merge, self.stem_width);
        let segment = self.merge * self.stem_width;
        for (r, merged) in self.merged.chunks_exact(self.merge * segment).enumerate() {
            for (s, merged) in merged.chunks_exact(segment).enumerate() {
                let at = blocks.start(r) + s * blocks.stride;
                add(&mut self.cells[at..at + segment], merged);
            }
        }
        let cells = &mut self.cells;
        self.head_block
            .apply(workers, cells, &mut self.padded_cells, &mut self.hidden);
        self.head_norm
            .apply_on(workers, &self.cells, &mut self.hidden);
        output.copy_from_slice(&self.output_start);
        let cells = z.len() / self.channels;
        let rows = RowLayout::contiguous(cells, self.stem_width);
        self.head_out
            .apply(workers, &self.hidden, rows, output, WriteMode::Add);
        self.skip_latent.apply(
            workers,
            z,
            RowLayout::contiguous(cells, self.channels),
            output,
            WriteMode::Add,
        );
    }
}

/// x ← x + y.
fn add(x: &mut [f32], y: &[f32]) {
    for (x, y) in x.iter_mut().zip(y) {
        *x += y;
    }
}
