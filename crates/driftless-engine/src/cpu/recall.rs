//! Reading recalled frames. Their tokens, keys and values are computed once a frame.

use driftless_model::export::{ExportedMemory, ExportedRecall};

use super::attention::TokenShape;
use super::attention_loops::{gather, normalize, pack_keys, pack_values, softmax};
use super::grid::RmsNorm;
use super::matmul::{LANES, MatmulArgs, multiply, multiply_shared};
use super::matrix::PackedMatrix;
use super::mlp::{MlpScratch, PackedMlp};
use super::row_layout::{RowLayout, WriteMode};
use super::shared_slice::SharedSlice;
use super::workers::Workers;
use crate::network::RecalledFrames;

/// Turns recalled frames into tokens.
#[derive(Clone)]
pub(super) struct PackedMemory {
    input: PackedMatrix,
    position: Vec<f32>,
    mlp: PackedMlp,
    latent_tokens: usize,
    /// Inputs of each token, [K, inputs].
    inputs: Vec<f32>,
    tokens: Vec<f32>,
    scratch: MlpScratch,
    normed: Vec<f32>,
    kv: Vec<f32>,
    /// Tokens of the frames recalled now: what is behind them is hidden.
    filled: usize,
}

impl PackedMemory {
    /// For up to `frames` recalled frames of `latent_tokens` tokens.
    pub(super) fn new(
        memory: &ExportedMemory,
        [frames, latent_tokens]: [usize; 2],
        shape: TokenShape,
    ) -> Self {
        let tokens = frames * latent_tokens;
        let width = shape.width();
        let mlp = PackedMlp::new(&memory.mlp);
        let scratch = MlpScratch::new(TokenShape { tokens, ..shape }, mlp.hidden());
        Self {
            inputs: vec![0.0; tokens * memory.input.inputs],
            input: PackedMatrix::new(&memory.input),
            position: memory.position.clone(),
            mlp,
            latent_tokens,
            tokens: vec![0.0; tokens * width],
            scratch,
            normed: vec![0.0; tokens * width],
            kv: vec![0.0; 2 * tokens * width],
            filled: 0,
        }
    }

    /// Makes room for `threads` threads.
    pub(super) fn reserve(&mut self, threads: usize) {
        self.scratch.reserve(threads);
    }

    /// Whether a frame was recalled.
    pub(super) fn in_use(&self) -> bool {
        self.filled > 0
    }

    /// Computes the tokens of recalled frames.
    pub(super) fn encode(&mut self, workers: &Workers, recalled: &RecalledFrames) {
        self.filled = recalled.count * self.latent_tokens;
        if recalled.count == 0 {
            return;
        }
        let [inputs, width] = self.input.size();
        let (filled, empty) = self.inputs.split_at_mut(recalled.tokens.len());
        filled.copy_from_slice(recalled.tokens);
        empty.fill(0.0);
        for tokens in self.tokens.chunks_exact_mut(self.position.len()) {
            tokens.copy_from_slice(&self.position);
        }
        let rows = RowLayout::contiguous(self.tokens.len() / width, inputs);
        let tokens = &mut self.tokens;
        self.input
            .apply(workers, &self.inputs, rows, tokens, WriteMode::Add);
        self.mlp.apply(workers, tokens, &mut self.scratch);
    }
}

/// x + W attention(norm x, memory), with the keys and values of the frames recalled now.
#[derive(Clone)]
pub(super) struct PackedRecall {
    shape: TokenShape,
    norm: RmsNorm,
    q: PackedMatrix,
    memory_norm: RmsNorm,
    kv: PackedMatrix,
    /// Scale of the logits of each head, and its logit of reading nothing.
    parameters: Vec<[f32; 2]>,
    out: PackedMatrix,
    keys: usize,
    /// Keys of the frames recalled now.
    filled: usize,
    /// Of each head: keys [columns / 16][d][16], and values [d / 16][K][16].
    key_panels: Vec<f32>,
    value_panels: Vec<f32>,
    /// 0 for tokens of recalled frames and for reading nothing, then −∞ up to whole panels.
    mask: Vec<f32>,
    normed: Vec<f32>,
    queries: Vec<f32>,
    mixed: Vec<f32>,
    rows: Vec<f32>,
    logits: Vec<f32>,
}

impl PackedRecall {
    /// For `keys` memory tokens.
    pub(super) fn new(layer: &ExportedRecall, shape: TokenShape, keys: usize) -> Self {
        let (heads, d, len) = (shape.heads, shape.d, shape.tokens * shape.width());
        // The column after the keys stands for reading nothing, of which nothing is added.
        let columns = (keys + 1).next_multiple_of(LANES);
        Self {
            shape,
            norm: RmsNorm::new(&layer.norm),
            q: PackedMatrix::new(&layer.q),
            memory_norm: RmsNorm::new(&layer.memory_norm),
            kv: PackedMatrix::new(&layer.kv),
            parameters: layer.parameters.values.as_chunks::<2>().0.to_vec(),
            out: PackedMatrix::new(&layer.out),
            keys,
            filled: 0,
            key_panels: vec![0.0; heads * columns * d],
            value_panels: vec![0.0; heads * keys * d.next_multiple_of(LANES)],
            mask: vec![f32::NEG_INFINITY; columns],
            normed: vec![0.0; len],
            queries: vec![0.0; len],
            mixed: vec![0.0; len],
            rows: vec![0.0; shape.tokens * d],
            logits: vec![0.0; shape.tokens * columns],
        }
    }

    /// Lengths of a head's key panels and of its value panels.
    fn panel_lengths(&self) -> (usize, usize) {
        let d = self.shape.d;
        (self.mask.len() * d, self.keys * d.next_multiple_of(LANES))
    }

    /// Computes keys and values of the frames recalled now.
    pub(super) fn read_memory(&mut self, workers: &Workers, memory: &mut PackedMemory) {
        let (d, width) = (self.shape.d, self.shape.width());
        let normed = &mut memory.normed;
        self.memory_norm.apply_on(workers, &memory.tokens, normed);
        let rows = RowLayout::contiguous(self.keys, width);
        self.kv
            .apply(workers, normed, rows, &mut memory.kv, WriteMode::Set);
        let (key_len, value_len) = self.panel_lengths();
        for head in 0..self.shape.heads {
            let keys = &mut memory.kv[head * d..];
            normalize(keys, 2 * width, d, self.keys, 1.0);
            let panels = &mut self.key_panels[head * key_len..(head + 1) * key_len];
            pack_keys(keys, 2 * width, d, panels);
            let values = &memory.kv[width + head * d..];
            let panels = &mut self.value_panels[head * value_len..(head + 1) * value_len];
            pack_values(values, 2 * width, d, self.keys, panels);
        }
        self.filled = memory.filled;
        self.mask.fill(f32::NEG_INFINITY);
        self.mask[..memory.filled].fill(0.0);
    }

    /// Updates `x` [tokens, width] in place.
    pub(super) fn apply(&mut self, workers: &Workers, x: &mut [f32]) {
        let rows = self.shape.rows();
        self.norm.apply_on(workers, x, &mut self.normed);
        self.q.apply(
            workers,
            &self.normed,
            rows,
            &mut self.queries,
            WriteMode::Set,
        );
        for head in 0..self.shape.heads {
            self.attend(head);
        }
        self.out
            .apply(workers, &self.mixed, rows, x, WriteMode::Add);
    }

    /// Writes the output of a head into its part of `mixed`.
    fn attend(&mut self, head: usize) {
        let TokenShape { tokens, d, .. } = self.shape;
        let (width, columns) = (self.shape.width(), self.mask.len());
        let (key_len, value_len) = self.panel_lengths();
        let [scale, nothing] = self.parameters[head];
        gather(&self.queries[head * d..], width, d, &mut self.rows);
        normalize(&mut self.rows, d, d, tokens, scale);
        let logits = MatmulArgs {
            x: &self.rows,
            rows: RowLayout::contiguous(tokens, d),
            panels: &self.key_panels[head * key_len..],
            inputs: d,
            outputs: columns,
            stride: columns,
            mode: WriteMode::Set,
        };
        multiply(&logits, &mut self.logits);
        // The key of reading nothing is zero, so that its logit is what the mask says.
        self.mask[self.keys] = nothing;
        softmax(&self.mask, &mut self.logits);
        // What is hidden has a subnormal weight, which would slow down the product.
        for row in self.logits.chunks_exact_mut(columns) {
            row[self.filled..self.keys].fill(0.0);
        }
        let output = MatmulArgs {
            x: &self.logits,
            rows: RowLayout::contiguous(tokens, columns),
            panels: &self.value_panels[head * value_len..],
            inputs: self.keys,
            outputs: d,
            stride: width,
            mode: WriteMode::Set,
        };
        multiply_shared(&output, &SharedSlice::new(&mut self.mixed).tail(head * d));
    }
}
