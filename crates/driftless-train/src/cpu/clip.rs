//! The clip network, forward and backward; see `driftless_clip::network`. It works on n clips of the same
//! length at a time.

use driftless_clip::ClipConfig;
use driftless_clip::config::SHORTCUT_STEPS;
use driftless_clip::network::{TIME_FEATURES, place};
use driftless_clip::rotary::Rotary;
use driftless_clip::vocabulary::PADDING;

use super::buffer::Buffer;
use super::clip_block::{BlockPass, BlockScratch, ClipBlock, Groups, SavedBlock};
use super::linear::Linear;
use super::modulation::{modulate, modulate_gradient};
use super::parameters::{Layout, Slot, Weights};
use super::row_ops::{add, axpy, norm, norm_gradient, silu, silu_gradient};
use crate::Result;

/// The parameters of the network, and its sizes.
pub(super) struct ClipPasses {
    config: ClipConfig,
    signal: Linear,
    step: Slot,
    time: Linear,
    words: Slot,
    /// What states of a text encoder become.
    encoded: Option<Linear>,
    text_blocks: Vec<ClipBlock>,
    pooled: Linear,
    input: Linear,
    blocks: Vec<ClipBlock>,
    modulation: Linear,
    output: Linear,
    /// Positions of words, and of the tokens of clips of each length.
    line: Rotary,
    clips: Vec<(usize, Rotary)>,
    /// Places of a token's numbers in the latent of a frame, [tokens of a frame, numbers].
    places: Vec<usize>,
    /// The gain of norms that have none.
    ones: Vec<f32>,
}

/// What the passes over n clips need.
pub(super) struct ClipBuffers {
    /// z_τ, [n, T, numbers].
    pub z: Buffer,
    /// 1 for a given frame, [n, T].
    pub given: Buffer,
    /// Signal levels, [n].
    pub tau: Vec<f32>,
    /// Embeddings of the step sizes, [n].
    pub steps: Vec<u32>,
    /// Words of the prompts, [n].
    pub prompts: Vec<Vec<u32>>,
    /// States of a text encoder's tokens, 0 for padding, [n, L, width]; empty without one.
    pub states: Buffer,
    /// Clips that there is room for.
    pub clips: usize,
    /// x̂, in the shape of z.
    pub output: Buffer,
    /// The gradient of x̂.
    pub doutput: Buffer,
    /// cos(π k τ), [n, features].
    features: Buffer,
    /// The time before and after its silu, and silu of it once more, [n, w].
    time: [Buffer; 3],
    /// The words after each text block, [n·L, w].
    words: Buffer,
    /// Mean of the words, the same normalized, and e with silu(e), [n, w].
    mean: Buffer,
    normed: Buffer,
    e: [Buffer; 2],
    /// Token inputs and outputs.
    inputs: Buffer,
    outputs: Buffer,
    x: Buffer,
    h: Buffer,
    vectors: Buffer,
    text: Vec<SavedBlock>,
    blocks: Vec<SavedBlock>,
    scratch: BlockScratch,
    dx: Buffer,
    dwords: Buffer,
    dvectors: Buffer,
    /// Gradients of rows of width w for each clip.
    rows: [Buffer; 4],
}

impl ClipPasses {
    pub(super) fn new(layout: &mut Layout, config: &ClipConfig) -> Result<Self> {
        let n = &config.network;
        let blocks = |layout: &mut Layout, kind: &str, count: usize, reads_words: bool| {
            (0..count)
                .map(|i| ClipBlock::new(layout, &format!("{kind}.{i}"), n.heads, reads_words))
                .collect::<Result<Vec<_>>>()
        };
        let encoder = config.text_encoder.as_ref();
        let encoded = encoder.map(|_| Linear::new(layout, "text.encoder", false));
        let d = n.width / n.heads;
        let clip = |&frames: &usize| (frames, Rotary::clip(frames, config.token_grid(), d));
        Ok(Self {
            signal: Linear::new(layout, "time.signal", true)?,
            step: layout.slot("time.step")?,
            time: Linear::new(layout, "time.out", true)?,
            words: layout.slot("text.words")?,
            encoded: encoded.transpose()?,
            text_blocks: blocks(layout, "text", n.text_blocks, false)?,
            pooled: Linear::new(layout, "pooled", true)?,
            input: Linear::new(layout, "token.in", true)?,
            blocks: blocks(layout, "blocks", n.depth, true)?,
            modulation: Linear::new(layout, "modulation.out", true)?,
            output: Linear::new(layout, "token.out", true)?,
            line: Rotary::line(n.text_words, d),
            clips: config.lengths.iter().map(clip).collect(),
            places: places(config),
            ones: vec![1.0; n.width],
            config: config.clone(),
        })
    }

    /// Numbers of a clip of so many frames.
    pub(super) fn clip_len(&self, frames: usize) -> usize {
        frames * self.config.frame_numbers()
    }

    /// Numbers of a frame that are its action.
    pub(super) fn actions(&self) -> usize {
        self.config.actions
    }

    /// Tokens of a clip of so many frames.
    fn tokens(&self, frames: usize) -> usize {
        let [rows, columns] = self.config.token_grid();
        frames * rows * columns
    }

    /// Buffers for at most `clips` clips of at most `frames` frames.
    pub(super) fn buffers(&self, clips: usize, frames: usize) -> ClipBuffers {
        let n = &self.config.network;
        let (w, words) = (n.width, clips * n.text_words);
        let tokens = clips * self.tokens(frames);
        let each = |columns: usize| Buffer::new(clips * columns);
        let text = self.words_of(clips);
        let groups = Groups {
            count: clips,
            tokens: self.tokens(frames),
            words: n.text_words,
        };
        let most = Groups {
            tokens: groups.tokens.max(text.tokens),
            ..groups
        };
        ClipBuffers {
            z: each(self.clip_len(frames)),
            given: each(frames),
            tau: Vec::new(),
            steps: Vec::new(),
            prompts: Vec::new(),
            states: Buffer::new(self.encoded.as_ref().map_or(0, |e| words * e.inputs())),
            clips,
            output: each(self.clip_len(frames)),
            doutput: each(self.clip_len(frames)),
            features: each(TIME_FEATURES),
            time: [each(w), each(w), each(w)],
            words: Buffer::new(words * w),
            mean: each(w),
            normed: each(w),
            e: [each(w), each(w)],
            inputs: Buffer::new(tokens * self.input.inputs()),
            outputs: Buffer::new(tokens * self.output.outputs()),
            x: Buffer::new(tokens * w),
            h: Buffer::new(tokens * w),
            vectors: each(2 * w),
            text: self.text_blocks.iter().map(|b| b.saved(text)).collect(),
            blocks: self.blocks.iter().map(|b| b.saved(groups)).collect(),
            scratch: BlockScratch::new(most, w, n.heads, n.mlp),
            dx: Buffer::new(tokens * w),
            dwords: Buffer::new(words * w),
            dvectors: each(2 * w),
            rows: [each(w), each(w), each(w), each(w)],
        }
    }

    /// The groups of the text blocks.
    fn words_of(&self, clips: usize) -> Groups {
        Groups {
            count: clips,
            tokens: self.config.network.text_words,
            words: 0,
        }
    }

    /// Computes `output` of n clips of `frames` frames, a length of the configuration, from `z`, `given`,
    /// `tau`, `steps` and `prompts`.
    pub(super) fn forward(&self, w: &Weights, n: usize, frames: usize, t: &mut ClipBuffers) {
        let width = self.config.network.width;
        self.time_forward(w, n, t);
        self.words_forward(w, n, t);
        self.gather(n, frames, t);
        let [e, silu_e] = &mut t.e;
        let (e, silu_e) = (&mut e[..n * width], &mut silu_e[..n * width]);
        self.time.forward(w, &t.time[1][..n * width], e);
        self.pooled.forward_add(w, &t.normed[..n * width], e);
        silu(e, silu_e);
        let tokens = self.tokens(frames);
        let all = n * tokens * width;
        let x = &mut t.x[..all];
        let inputs = &t.inputs[..n * tokens * self.input.inputs()];
        self.input.forward(w, inputs, x);
        let Some(positions) = self.positions(frames) else {
            return;
        };
        let pass = BlockPass {
            weights: w,
            groups: Groups {
                count: n,
                tokens,
                words: self.config.network.text_words,
            },
            positions,
            e: silu_e,
        };
        for (block, saved) in self.blocks.iter().zip(&mut t.blocks) {
            block.forward(pass, x, &t.words, saved, &mut t.scratch);
        }
        let vectors = &mut t.vectors[..n * 2 * width];
        self.modulation.forward(w, silu_e, vectors);
        let clips = x.chunks_exact(tokens * width);
        let clips = clips.zip(t.h.chunks_exact_mut(tokens * width));
        for ((x, h), vectors) in clips.zip(vectors.chunks_exact(2 * width)) {
            modulate(x, &vectors[..width], &vectors[width..], h);
        }
        let outputs = &mut t.outputs[..n * tokens * self.output.outputs()];
        self.output.forward(w, &t.h[..all], outputs);
        self.scatter(n, frames, t);
    }

    /// Adds the gradients of the parameters, given `doutput` of the last forward pass.
    pub(super) fn backward(
        &self,
        w: &Weights,
        n: usize,
        frames: usize,
        gradient: &mut [f32],
        t: &mut ClipBuffers,
    ) {
        let width = self.config.network.width;
        let Some(positions) = self.positions(frames) else {
            return;
        };
        let tokens = self.tokens(frames);
        let all = n * tokens * width;
        let silu_e = &t.e[1][..n * width];
        self.gather_gradient(n, frames, &t.doutput, &mut t.outputs);
        let doutputs = &t.outputs[..n * tokens * self.output.outputs()];
        self.output.weight_gradient(doutputs, &t.h[..all], gradient);
        self.output.input_gradient(w, doutputs, &mut t.h[..all]);
        let dx = &mut t.dx[..all];
        dx.fill(0.0);
        let dvectors = &mut t.dvectors[..n * 2 * width];
        dvectors.fill(0.0);
        for i in 0..n {
            let clip = i * tokens * width..(i + 1) * tokens * width;
            let own = i * 2 * width..(i + 1) * 2 * width;
            let (dscale, dshift) = dvectors[own.clone()].split_at_mut(width);
            let (x, scale) = (&t.x[clip.clone()], &t.vectors[own][..width]);
            let (dh, dx) = (&mut t.h[clip.clone()], &mut dx[clip]);
            modulate_gradient(x, scale, dh, dx, dscale, dshift);
        }
        let [de, dmean, dtime, extra] = &mut t.rows;
        let (de, dmean) = (&mut de[..n * width], &mut dmean[..n * width]);
        let (dtime, extra) = (&mut dtime[..n * width], &mut extra[..n * width]);
        self.modulation.weight_gradient(dvectors, silu_e, gradient);
        self.modulation.input_gradient(w, dvectors, de);
        let dwords = &mut t.dwords[..n * self.config.network.text_words * width];
        dwords.fill(0.0);
        let pass = BlockPass {
            weights: w,
            groups: Groups {
                count: n,
                tokens,
                words: self.config.network.text_words,
            },
            positions,
            e: silu_e,
        };
        for (block, saved) in self.blocks.iter().zip(&t.blocks).rev() {
            let to = (&mut *dx, &mut *de, &mut *dwords);
            block.backward(pass, &t.words, saved, to, gradient, &mut t.scratch);
        }
        let inputs = &t.inputs[..n * tokens * self.input.inputs()];
        self.input.weight_gradient(dx, inputs, gradient);
        silu_gradient(&t.e[0][..n * width], extra, de);
        self.pooled
            .weight_gradient(de, &t.normed[..n * width], gradient);
        self.pooled.input_gradient(w, de, extra);
        dmean.fill(0.0);
        // The norm's gain is no parameter.
        let mut unused = vec![0.0; width];
        norm_gradient(&t.mean[..n * width], &self.ones, extra, dmean, &mut unused);
        for (i, dmean) in dmean.chunks_exact(width).enumerate() {
            let (count, share) = shares(&t.prompts[i], self.config.network.text_words);
            let first = i * self.config.network.text_words;
            for word in first..first + count {
                axpy(share, dmean, &mut dwords[word * width..(word + 1) * width]);
            }
        }
        self.time
            .weight_gradient(de, &t.time[1][..n * width], gradient);
        self.time.input_gradient(w, de, dtime);
        self.words_backward(w, n, gradient, t);
        self.time_backward(n, gradient, t);
    }

    fn positions(&self, frames: usize) -> Option<&Rotary> {
        let mut clips = self.clips.iter();
        clips.find(|clip| clip.0 == frames).map(|clip| &clip.1)
    }

    fn time_forward(&self, w: &Weights, n: usize, t: &mut ClipBuffers) {
        let width = self.config.network.width;
        for (tau, row) in t.tau.iter().zip(t.features.chunks_exact_mut(TIME_FEATURES)) {
            for (k, feature) in row.iter_mut().enumerate() {
                *feature = (tau * (k as f32 * std::f32::consts::PI)).cos();
            }
        }
        let [before, time, again] = &mut t.time;
        let before = &mut before[..n * width];
        self.signal
            .forward(w, &t.features[..n * TIME_FEATURES], before);
        for (row, step) in before.chunks_exact_mut(width).zip(&t.steps) {
            let step = (*step as usize).min(SHORTCUT_STEPS.len()) * width;
            add(&w.get(self.step)[step..step + width], row);
        }
        silu(before, &mut time[..n * width]);
        silu(&time[..n * width], &mut again[..n * width]);
    }

    /// Given the gradient of the time in `rows[2]`.
    fn time_backward(&self, n: usize, gradient: &mut [f32], t: &mut ClipBuffers) {
        let width = self.config.network.width;
        let [.., dtime, extra] = &mut t.rows;
        let dtime = &mut dtime[..n * width];
        silu_gradient(&t.time[0][..n * width], &mut extra[..n * width], dtime);
        self.signal
            .weight_gradient(dtime, &t.features[..n * TIME_FEATURES], gradient);
        let table = self.step.of_mut(gradient);
        for (dtime, step) in dtime.chunks_exact(width).zip(&t.steps) {
            let step = (*step as usize).min(SHORTCUT_STEPS.len()) * width;
            add(dtime, &mut table[step..step + width]);
        }
    }

    fn words_forward(&self, w: &Weights, n: usize, t: &mut ClipBuffers) {
        let (width, most) = (self.config.network.width, self.config.network.text_words);
        let words = &mut t.words[..n * most * width];
        for (prompt, rows) in t.prompts.iter().zip(words.chunks_exact_mut(most * width)) {
            for (i, row) in rows.chunks_exact_mut(width).enumerate() {
                let word = prompt.get(i).copied().unwrap_or(PADDING) as usize * width;
                row.copy_from_slice(&w.get(self.words)[word..word + width]);
            }
        }
        if let Some(encoded) = &self.encoded {
            encoded.forward_add(w, &t.states[..n * most * encoded.inputs()], words);
        }
        let pass = BlockPass {
            weights: w,
            groups: self.words_of(n),
            positions: &self.line,
            e: &t.time[2][..n * width],
        };
        for (block, saved) in self.text_blocks.iter().zip(&mut t.text) {
            block.forward(pass, words, &[], saved, &mut t.scratch);
        }
        let means = t.mean[..n * width].chunks_exact_mut(width);
        for ((prompt, rows), mean) in t
            .prompts
            .iter()
            .zip(words.chunks_exact(most * width))
            .zip(means)
        {
            let (count, share) = shares(prompt, most);
            mean.fill(0.0);
            for row in rows.chunks_exact(width).take(count) {
                axpy(share, row, mean);
            }
        }
        norm(&t.mean[..n * width], &self.ones, &mut t.normed[..n * width]);
    }

    /// Given the gradient of the refined words in `dwords`; adds that of the time to `rows[2]`.
    fn words_backward(&self, w: &Weights, n: usize, gradient: &mut [f32], t: &mut ClipBuffers) {
        let (width, most) = (self.config.network.width, self.config.network.text_words);
        let dwords = &mut t.dwords[..n * most * width];
        let [de, dagain, dtime, _] = &mut t.rows;
        // `de` is done with.
        let (value, dagain) = (&mut de[..n * width], &mut dagain[..n * width]);
        dagain.fill(0.0);
        let pass = BlockPass {
            weights: w,
            groups: self.words_of(n),
            positions: &self.line,
            e: &t.time[2][..n * width],
        };
        for (block, saved) in self.text_blocks.iter().zip(&t.text).rev() {
            let to = (&mut *dwords, &mut *dagain, &mut [][..]);
            block.backward(pass, &[], saved, to, gradient, &mut t.scratch);
        }
        silu_gradient(&t.time[1][..n * width], value, dagain);
        add(dagain, &mut dtime[..n * width]);
        if let Some(encoded) = &self.encoded {
            let states = &t.states[..n * most * encoded.inputs()];
            encoded.weight_gradient(dwords, states, gradient);
        }
        let table = self.words.of_mut(gradient);
        for (prompt, rows) in t.prompts.iter().zip(dwords.chunks_exact(most * width)) {
            for (i, row) in rows.chunks_exact(width).enumerate() {
                let word = prompt.get(i).copied().unwrap_or(PADDING) as usize * width;
                add(row, &mut table[word..word + width]);
            }
        }
    }

    /// Writes the inputs of all tokens; see `ClipNetwork::token_inputs`.
    fn gather(&self, n: usize, frames: usize, t: &mut ClipBuffers) {
        let (len, one) = (self.config.frame_numbers(), self.config.token_len());
        let inputs = self.input.inputs();
        let per_frame = self.places.len() / one;
        let rows = t.inputs.chunks_exact_mut(per_frame * inputs);
        for (at, rows) in rows.take(n * frames).enumerate() {
            let frame = |at: usize| (&t.z[at * len..(at + 1) * len], t.given[at]);
            let (z, given) = frame(at);
            let before = (at % frames > 0).then(|| frame(at - 1));
            let after = (at % frames < frames - 1).then(|| frame(at + 1));
            let action = &z[self.config.frame_len()..];
            let place = place(at % frames, frames);
            let tokens = rows.chunks_exact_mut(inputs);
            for (row, places) in tokens.zip(self.places.chunks_exact(one)) {
                let (cells, rest) = row.split_at_mut(4 * one);
                for (i, place) in places.iter().enumerate() {
                    cells[i] = z[*place];
                    cells[one + i] = given * z[*place];
                    cells[2 * one + i] = before.map_or(0.0, |(z, _)| z[*place]);
                    cells[3 * one + i] = after.map_or(0.0, |(z, _)| z[*place]);
                }
                rest[0] = given;
                rest[1] = before.map_or(0.0, |(_, given)| given);
                rest[2] = after.map_or(0.0, |(_, given)| given);
                rest[3..3 + action.len()].copy_from_slice(action);
                rest[3 + action.len()..].copy_from_slice(&place);
            }
        }
    }

    /// Writes x̂ from the outputs of all tokens: each its cells, and all of a frame the mean action.
    fn scatter(&self, n: usize, frames: usize, t: &mut ClipBuffers) {
        let (len, one) = (self.config.frame_numbers(), self.config.token_len());
        let outputs = self.output.outputs();
        let per_frame = self.places.len() / one;
        let share = 1.0 / per_frame as f32;
        let frames = t.output.chunks_exact_mut(len).take(n * frames);
        for (x, rows) in frames.zip(t.outputs.chunks_exact(per_frame * outputs)) {
            let (latent, action) = x.split_at_mut(self.config.frame_len());
            action.fill(0.0);
            let tokens = rows.chunks_exact(outputs);
            for (row, places) in tokens.zip(self.places.chunks_exact(one)) {
                for (place, output) in places.iter().zip(row) {
                    latent[*place] = *output;
                }
                axpy(share, &row[one..], action);
            }
        }
    }

    /// The gradient of the tokens' outputs from that of x̂.
    fn gather_gradient(&self, n: usize, frames: usize, dx: &[f32], doutputs: &mut [f32]) {
        let (len, one) = (self.config.frame_numbers(), self.config.token_len());
        let outputs = self.output.outputs();
        let per_frame = self.places.len() / one;
        let share = 1.0 / per_frame as f32;
        let frames = dx.chunks_exact(len).take(n * frames);
        for (dx, rows) in frames.zip(doutputs.chunks_exact_mut(per_frame * outputs)) {
            let (latent, action) = dx.split_at(self.config.frame_len());
            let tokens = rows.chunks_exact_mut(outputs);
            for (row, places) in tokens.zip(self.places.chunks_exact(one)) {
                for (place, doutput) in places.iter().zip(&mut *row) {
                    *doutput = latent[*place];
                }
                for (daction, doutput) in action.iter().zip(&mut row[one..]) {
                    *doutput = share * daction;
                }
            }
        }
    }
}

/// How many words of a prompt count, and the share of each in their mean.
fn shares(prompt: &[u32], most: usize) -> (usize, f32) {
    let count = prompt.len().min(most);
    (count, 1.0 / count.max(1) as f32)
}

/// Where the numbers of each token are in the latent of a frame [gh, gw, c].
fn places(config: &ClipConfig) -> Vec<usize> {
    let ([rows, columns], m, c) = (config.token_grid(), config.network.merge, config.channels);
    let mut places = Vec::with_capacity(config.frame_len());
    for token in 0..rows * columns {
        let (y, x) = (token / columns * m, token % columns * m);
        for cell in 0..m * m {
            let at = ((y + cell / m) * config.grid[1] + x + cell % m) * c;
            places.extend(at..at + c);
        }
    }
    places
}
