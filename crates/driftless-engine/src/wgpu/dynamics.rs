//! The dynamics network as dispatches: the start of a frame, a denoise pass, the cache pass.

mod layer;

use driftless_model::config::WorldConfig;
use driftless_model::export::ExportedDynamics;

use super::dynamics_parts::{DynamicsWeights, ScratchRegions};
use super::heads::HeadLayout;
use super::kernel_args::{
    Activation, EmbedConditioningArgs, FinishFrameArgs, KvCacheWriteArgs, MemoryAttentionArgs,
    NONE, RowLayout,
};
use super::kernels::{Kernel, workgroups};
use super::layers::{ConditionTables, KvCache, LayerSizes, OutcomeHead, Recall};
use super::operations::ArenaLayout;
use super::program::ProgramBuilder;
use super::weights::Weights;

/// Weights, KV caches and arena regions of the network. All offsets are in elements.
pub(super) struct WgpuDynamics {
    grid: [u32; 2],
    merge: u32,
    channels: u32,
    past_channels: u32,
    stem_width: u32,
    width: u32,
    pub heads: HeadLayout,
    pub tokens: u32,
    latent_tokens: u32,
    pub slots: u32,
    last_time_layer: Option<usize>,
    context: u32,
    weights: DynamicsWeights,
    /// Arena offset of the position embeddings, and their values [tokens, width].
    pub position: (u32, Vec<f32>),
    /// z_τ and the network's output, [cells, channels].
    pub z: u32,
    pub output: u32,
    /// The new clean latent, and the last finite one, [cells, channels].
    pub clean: u32,
    pub latent: u32,
    /// Past latents, [cells, stem frames · channels].
    pub past: u32,
    /// Report of a frame: the outputs of the outcome head, and 1 if the latent is finite.
    pub report: u32,
    pub outcome_outputs: u32,
    scratch: ScratchRegions,
}

impl WgpuDynamics {
    /// Elements of a report.
    pub fn report_len(&self) -> usize {
        self.outcome_outputs as usize + 1
    }

    pub fn new(
        weights: &mut Weights,
        arena: &mut ArenaLayout,
        net: &ExportedDynamics,
        config: &WorldConfig,
    ) -> Self {
        let (d, c) = (&config.dynamics, config.tokenizer.channels);
        let ([gh, gw], cells, tokens) = (config.grid(), config.cells(), config.tokens());
        let heads = HeadLayout::new(d.heads, d.width);
        let slots = d.context - 1;
        let past = d.stem_frames * c;
        let cache_len = slots * tokens * heads.width();
        let recalled = d.memory.as_ref().map_or(0, |memory| memory.frames);
        let sizes = LayerSizes {
            tokens,
            cache_len,
            memory_tokens: recalled * config.latent_tokens(),
        };
        Self {
            grid: [gh as u32, gw as u32],
            merge: d.merge as u32,
            channels: c as u32,
            past_channels: past as u32,
            stem_width: d.stem_width as u32,
            width: d.width as u32,
            heads,
            tokens: tokens as u32,
            latent_tokens: config.latent_tokens() as u32,
            slots: slots as u32,
            last_time_layer: d.last_time_layer(),
            context: d.context as u32,
            weights: DynamicsWeights::new(weights, arena, net, heads, sizes),
            position: (arena.allocate(tokens * d.width), net.position.clone()),
            z: arena.allocate(cells * c),
            output: arena.allocate(cells * c),
            clean: arena.allocate(cells * c),
            latent: arena.allocate(cells * c),
            past: arena.allocate(cells * past),
            report: arena.allocate(d.outcome_outputs() + 1),
            outcome_outputs: d.outcome_outputs() as u32,
            scratch: ScratchRegions::new(arena, config, heads),
        }
    }

    /// Finishes a frame whose context latent is in `z`.
    pub fn finish_frame(&self, r: &mut ProgramBuilder) {
        let args = FinishFrameArgs {
            clean: self.clean,
            context: self.z,
            latent: self.latent,
            past: self.past,
            frames: self.past_channels / self.channels,
            cells: self.cell_count(),
            channels: self.channels,
            finite: self.report + self.outcome_outputs,
        };
        r.push(Kernel::FinishFrame, &args, [1, 1]);
    }

    /// KV caches of the temporal layers in order.
    pub fn kv_caches(&self) -> impl Iterator<Item = KvCache> {
        let time = self
            .weights
            .layers
            .iter()
            .filter_map(|layer| layer.time.as_ref());
        time.map(|time| time.kv_cache)
    }

    /// Offsets of the delta states in the order of their layers.
    pub fn states(&self) -> impl Iterator<Item = u32> {
        let layers = self.weights.layers.iter();
        layers.filter_map(|layer| Some(layer.delta.as_ref()?.state))
    }

    fn cell_count(&self) -> u32 {
        self.grid[0] * self.grid[1]
    }

    /// Computes from `past` what the passes over a frame share.
    pub fn begin_frame(&self, r: &mut ProgramBuilder) {
        let (cells, past) = (self.cell_count(), self.past_channels);
        let from = RowLayout::contiguous(self.past, past);
        if past > 0 {
            let interior = RowLayout::interior(self.scratch.padded_past, self.grid, past);
            r.copy([cells, past], from, interior);
        }
        let neighbourhoods = RowLayout::neighbourhoods(self.scratch.padded_past, self.grid, past);
        let start = RowLayout::contiguous(self.scratch.cells_start, self.stem_width);
        r.matmul(self.weights.stem_past, cells, neighbourhoods, start);
        let x = RowLayout::contiguous(self.scratch.output_start, self.channels);
        r.matmul(self.weights.skip_past, cells, from, x);
    }

    /// Arena offset of the inputs of memory tokens, and their number; `None` without a memory.
    pub fn memory_inputs(&self) -> Option<(u32, usize)> {
        let memory = self.weights.memory.as_ref()?;
        Some((memory.cells, (memory.rows * memory.inputs) as usize))
    }

    /// Turns recalled frames into tokens, and these into the keys and values of all layers.
    pub fn read_memory(&self, r: &mut ProgramBuilder) {
        let Some(memory) = &self.weights.memory else {
            return;
        };
        let rows = |at| RowLayout::contiguous(at, self.width);
        let (tokens, normed) = (rows(memory.tokens), rows(memory.normed));
        let cells = RowLayout::contiguous(memory.cells, memory.inputs);
        r.matmul(memory.input, memory.rows, cells, tokens);
        let size = [memory.rows, self.width];
        r.affine(size, tokens, tokens, memory.position, NONE);
        let scratch = [memory.normed, memory.hidden];
        memory.mlp.record(r, memory.rows, tokens, scratch);
        for recall in self
            .weights
            .layers
            .iter()
            .filter_map(|layer| layer.recall.as_ref())
        {
            r.rms_norm(recall.memory_norm, memory.rows, tokens, normed);
            let read = RowLayout::contiguous(recall.read, 2 * self.heads.width() as u32);
            r.matmul(recall.kv, memory.rows, normed, read);
        }
    }

    /// Lets the tokens of `stream` read recalled frames.
    fn recall(&self, r: &mut ProgramBuilder, recall: &Recall) {
        let normed = RowLayout::contiguous(self.scratch.normed, self.width);
        r.rms_norm(recall.norm, self.tokens, self.stream(), normed);
        let width = self.heads.width() as u32;
        let q = RowLayout::contiguous(self.scratch.qkv, width);
        r.matmul(recall.q, self.tokens, normed, q);
        let args = MemoryAttentionArgs {
            q: self.scratch.qkv,
            kv: recall.read,
            y: self.scratch.attention_out,
            tokens: self.tokens,
            heads: self.heads.count as u32,
            parameters: recall.parameters,
            unused: [0; 2],
        };
        let groups = [self.attention_workgroups(), 1];
        r.push(Kernel::AttentionMemory, &args, groups);
        self.project_out(r, recall.out);
    }

    /// Runs denoise pass `pass_index` on `z`, into `output`.
    pub fn denoise(&self, r: &mut ProgramBuilder, pass_index: u32) {
        self.stem(r, pass_index);
        for layer in &self.weights.layers {
            self.spatial_attention(r, &layer.space);
            if let Some(delta) = &layer.delta {
                self.delta_state(r, delta, false);
            }
            if let Some(time) = &layer.time {
                self.project_qkv(r, &time.attention);
                self.temporal_attention(r, time);
            }
            if let Some(recall) = &layer.recall {
                self.recall(r, recall);
            }
            self.mlp(r, layer);
        }
        self.head(r);
    }

    /// Runs the cache pass on `z`: writes its keys and values into the KV cache and its outcome into
    /// `report`. Does nothing if the world has neither.
    pub fn write_cache(&self, r: &mut ProgramBuilder, pass_index: u32) {
        let writes_cache = self.slots > 0 && self.last_time_layer.is_some();
        let writes_state = self.states().next().is_some();
        if !writes_cache && !writes_state && self.weights.outcome_head.is_none() {
            return;
        }
        let last = self.last_time_layer.unwrap_or(0);
        self.stem(r, pass_index);
        for (i, layer) in self.weights.layers[..=last].iter().enumerate() {
            self.spatial_attention(r, &layer.space);
            if let Some(delta) = &layer.delta {
                self.delta_state(r, delta, true);
            }
            if let Some(time) = &layer.time {
                self.project_qkv(r, &time.attention);
                if i < last || self.weights.outcome_head.is_some() {
                    self.temporal_attention(r, time);
                }
                if writes_cache {
                    self.write_keys_and_values(r, time.kv_cache);
                }
            }
            if i < last {
                if let Some(recall) = &layer.recall {
                    self.recall(r, recall);
                }
                self.mlp(r, layer);
            }
        }
        if let Some(head) = &self.weights.outcome_head {
            self.predict_outcome(r, head);
        }
    }

    /// Writes the keys and values in `qkv` into the frame's slot of a KV cache.
    fn write_keys_and_values(&self, r: &mut ProgramBuilder, kv_cache: KvCache) {
        let args = KvCacheWriteArgs {
            qkv: self.scratch.qkv,
            keys: kv_cache.keys,
            values: kv_cache.values,
            tokens: self.tokens,
            heads: self.heads.count as u32,
            unused: [0; 3],
        };
        let groups = [self.attention_workgroups(), 1];
        r.push(Kernel::KvCacheWrite, &args, groups);
    }

    /// Predicts the outcome from the signal token in `stream`, into `report`.
    fn predict_outcome(&self, r: &mut ProgramBuilder, head: &OutcomeHead) {
        let signal = self.scratch.stream + (self.latent_tokens + 1) * self.width;
        let signal = RowLayout::contiguous(signal, self.width);
        let normed = RowLayout::contiguous(self.scratch.normed, self.width);
        let hidden = RowLayout::contiguous(self.scratch.outcome_hidden, head.up.n);
        let outcome = RowLayout::contiguous(self.report, self.outcome_outputs);
        r.rms_norm(head.norm, 1, signal, normed);
        r.matmul_activated(head.up, 1, normed, hidden, Activation::Silu);
        r.matmul(head.out, 1, hidden, outcome);
    }

    /// Computes the stem: fills `cells` and `stream`.
    fn stem(&self, r: &mut ProgramBuilder, pass_index: u32) {
        let cells = self.cell_count();
        let all_rows = (NONE, NONE);
        let (start, y) = (self.scratch.cells_start, self.scratch.cells);
        let size = [cells, self.stem_width];
        embed_conditioning(
            r,
            &self.weights.stem_conditions,
            size,
            [start, y],
            all_rows,
            pass_index,
        );
        let interior = RowLayout::interior(self.scratch.padded_latent, self.grid, self.channels);
        let z = RowLayout::contiguous(self.z, self.channels);
        r.copy([cells, self.channels], z, interior);
        let neighbourhoods =
            RowLayout::neighbourhoods(self.scratch.padded_latent, self.grid, self.channels);
        let to = RowLayout::contiguous(self.scratch.cells, self.stem_width);
        r.matmul_add(self.weights.stem_latent, cells, neighbourhoods, to);
        let (padded_cells, hidden) = (self.scratch.padded_cells, self.scratch.cells_hidden);
        r.cell_block(
            &self.weights.stem_block,
            self.grid,
            self.scratch.cells,
            padded_cells,
            hidden,
        );
        let rows = (self.latent_tokens, self.latent_tokens + 1);
        let (start, y) = (self.position.0, self.scratch.stream);
        let size = [self.tokens, self.width];
        embed_conditioning(
            r,
            &self.weights.conditions,
            size,
            [start, y],
            rows,
            pass_index,
        );
        let blocks = RowLayout::blocks(self.scratch.cells, self.grid, self.merge, self.stem_width);
        let to = self.stream();
        r.matmul_add(self.weights.merge_in, self.latent_tokens, blocks, to);
    }

    /// Computes `output` from `cells` and `stream`.
    fn head(&self, r: &mut ProgramBuilder) {
        let (cells, latent) = (self.cell_count(), self.latent_tokens);
        let normed = RowLayout::contiguous(self.scratch.normed, self.width);
        r.rms_norm(self.weights.norm_out, latent, self.stream(), normed);
        let blocks = RowLayout::blocks(self.scratch.cells, self.grid, self.merge, self.stem_width);
        r.matmul_add(self.weights.merge_out, latent, normed, blocks);
        let (padded_cells, hidden) = (self.scratch.padded_cells, self.scratch.cells_hidden);
        r.cell_block(
            &self.weights.head_block,
            self.grid,
            self.scratch.cells,
            padded_cells,
            hidden,
        );
        let from = RowLayout::contiguous(self.scratch.cells, self.stem_width);
        let hidden = RowLayout::contiguous(self.scratch.cells_hidden, self.stem_width);
        r.rms_norm(self.weights.head_norm, cells, from, hidden);
        let latent_rows = |at| RowLayout::contiguous(at, self.channels);
        r.copy(
            [cells, self.channels],
            latent_rows(self.scratch.output_start),
            latent_rows(self.output),
        );
        r.matmul_add(
            self.weights.head_out,
            cells,
            hidden,
            latent_rows(self.output),
        );
        r.matmul_add(
            self.weights.skip_latent,
            cells,
            latent_rows(self.z),
            latent_rows(self.output),
        );
    }
}

/// y ← start + conditioning embeddings; action and signal embeddings each go to one row, or to all.
fn embed_conditioning(
    r: &mut ProgramBuilder,
    tables: &ConditionTables,
    [rows, width]: [u32; 2],
    [start, y]: [u32; 2],
    (action_row, signal_row): (u32, u32),
    pass_index: u32,
) {
    let args = EmbedConditioningArgs {
        start,
        y,
        rows,
        width,
        action: tables.action,
        signal: tables.signal,
        step_size: tables.step_size,
        action_row,
        signal_row,
        pass_index,
        axes: tables.axes.0,
        axis_count: tables.axes.1,
    };
    r.push(
        Kernel::EmbedConditioning,
        &args,
        [workgroups(rows * width), 1],
    );
}
