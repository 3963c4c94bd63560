//! The diffusion transformer: for each frame, attention among its tokens, then of each token to the same place in the
//! frames before, each followed by a feed-forward layer and modulated by noise level and action (adaLN: Peebles and
//! Xie, *Scalable Diffusion Models with Transformers*, 2023).

mod blocks;

use driftless_engine::kernels::{RowLayout, Workers};
use driftless_published::{
    Activation, Cache, Error, Linear, Result, Shape, Sides, Weights, layer_norm,
};

use self::blocks::{Block, Half, Modulation};
use crate::attention::Scratch;
use crate::controls::CONTROLS;
use crate::rotary::{Rotary, frame_frequencies, pixel_frequencies};

/// Size of a head where the file does not tell it.
const HEAD: usize = 64;
/// Highest frequency of the positions of tokens.
const MAX_FREQUENCY: f32 = 256.0;
/// The period of the slowest wave that a noise level is embedded in.
const MAX_PERIOD: f32 = 10_000.0;
/// Most frames of a window: those that the published network was trained on.
pub const MAX_WINDOW: usize = 32;

/// The network with its cache and buffers.
pub(crate) struct Transformer {
    /// Height and width of latents.
    latent: [usize; 2],
    pub channels: usize,
    patch: usize,
    /// Tokens, heads and the size of a head.
    shape: Shape,
    /// Waves that a noise level is embedded in.
    waves: usize,
    embed: Linear,
    time: [Linear; 2],
    action: Linear,
    blocks: Vec<Block>,
    last_modulation: Linear,
    last: Linear,
    space: Rotary,
    frames: Rotary,
    cache: Cache,
    scratch: Scratch,
    x: Vec<f32>,
}

/// What modulates the layers in some passes: for each, a noise level and the frame's action.
pub(crate) struct Conditions {
    count: usize,
    /// For each block, of both halves.
    blocks: Vec<[Modulation; 2]>,
    /// Of each pass, shift and gain of the last layer, [passes, 2·width].
    last: Vec<f32>,
}

/// What modulates a pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Condition<'a> {
    /// The noise level, from 0 for clean to 999.
    pub level: usize,
    /// What was done before the frame.
    pub action: &'a [f32],
}

impl Transformer {
    /// The network in a file, for latents of this height and width.
    ///
    /// # Errors
    /// Returns an error if a tensor is missing or of another shape.
    pub(crate) fn read(weights: &mut Weights, latent: [usize; 2]) -> Result<Self> {
        let channels = match weights.shape("x_embedder.proj.weight") {
            Some([_, channels, _, _]) => *channels,
            _ => 0,
        };
        let (embed, patch) = weights.patches("x_embedder.proj", channels)?;
        let width = embed.outputs;
        if latent.iter().any(|side| !side.is_multiple_of(patch)) {
            return Err(weights.error(format!(
                "its patches are {patch}×{patch}, which do not divide latents of {}×{}",
                latent[0], latent[1]
            )));
        }
        let grid = latent.map(|side| side / patch);
        let (head, space, frames) = rotary(weights, width, grid)?;
        let shape = Shape {
            tokens: grid[0] * grid[1],
            heads: width / head,
            d: head,
        };
        let time = [
            weights.linear("t_embedder.mlp.0", Sides::default().to(width))?,
            weights.linear("t_embedder.mlp.2", Sides::of(width).to(width))?,
        ];
        if !time[0].inputs.is_multiple_of(2) {
            let name = "t_embedder.mlp.0.weight";
            return Err(weights.wrong(name, &[width, time[0].inputs], "an even number of inputs"));
        }
        let action = weights.linear("external_cond", Sides::of(CONTROLS).to(width))?;
        let count = weights.count("blocks.");
        let blocks: Result<Vec<Block>> =
            (0..count).map(|i| Block::read(weights, i, width)).collect();
        let blocks = blocks?;
        let hidden = blocks.iter().map(Block::hidden).max().unwrap_or_default();
        let last_modulation = weights.linear(
            "final_layer.adaLN_modulation.1",
            Sides::of(width).to(2 * width),
        )?;
        let pixels = channels * patch * patch;
        let last = weights.linear("final_layer.linear", Sides::of(width).to(pixels))?;
        // Latents are [h, w, channels]: rows of a patch are read in place.
        let from_planes = |i: usize| {
            let (place, channel) = (i / channels, i % channels);
            channel * patch * patch + place
        };
        Ok(Self {
            latent,
            channels,
            patch,
            shape,
            waves: time[0].inputs / 2,
            embed: Linear::chosen(&embed, width, |o| o, from_planes),
            time: time.each_ref().map(Linear::new),
            action: Linear::new(&action),
            cache: Cache::new(shape, blocks.len()),
            blocks,
            last_modulation: Linear::new(&last_modulation),
            last: Linear::new(&last),
            space,
            frames,
            scratch: Scratch::new(shape, hidden),
            x: vec![0.0; shape.tokens * width],
        })
    }

    /// Numbers in a latent.
    pub(crate) fn latent_len(&self) -> usize {
        self.latent[0] * self.latent[1] * self.channels
    }

    /// Makes room for so many threads.
    pub(crate) fn reserve(&mut self, threads: usize) {
        self.scratch.reserve(threads);
    }

    /// What modulates passes at these noise levels and actions.
    pub(crate) fn conditions(&self, workers: &Workers, passes: &[Condition]) -> Conditions {
        let width = self.shape.width();
        let waves = passes.iter().flat_map(|pass| self.waves_of(pass.level));
        let waves: Vec<f32> = waves.collect();
        let apply = |linear: &Linear, x: &[f32], activation| {
            let mut y = vec![0.0; passes.len() * linear.outputs()];
            linear.apply(workers, x, &mut y, activation);
            y
        };
        let hidden = apply(&self.time[0], &waves, Activation::Silu);
        let mut condition = apply(&self.time[1], &hidden, Activation::None);
        let actions: Vec<f32> = passes
            .iter()
            .flat_map(|pass| pass.action)
            .copied()
            .collect();
        let actions = apply(&self.action, &actions, Activation::None);
        for (x, action) in condition.iter_mut().zip(actions) {
            let sum = *x + action;
            *x = sum / (1.0 + (-sum).exp());
        }
        let modulation = |half: &Half| {
            let values = apply(&half.modulation, &condition, Activation::None);
            Modulation::new(values, width)
        };
        let halves = |block: &Block| block.halves.each_ref().map(modulation);
        let mut last = apply(&self.last_modulation, &condition, Activation::None);
        for pass in last.chunks_exact_mut(2 * width) {
            pass[width..].iter_mut().for_each(|gain| *gain += 1.0);
        }
        Conditions {
            count: passes.len(),
            blocks: self.blocks.iter().map(halves).collect(),
            last,
        }
    }

    /// Cosines, then sines of a noise level times falling frequencies.
    fn waves_of(&self, level: usize) -> Vec<f32> {
        let angle = |i: usize| {
            let frequency = (-MAX_PERIOD.ln() * i as f32 / self.waves as f32).exp();
            level as f32 * frequency
        };
        let cosines = (0..self.waves).map(|i| angle(i).cos());
        let sines = (0..self.waves).map(|i| angle(i).sin());
        cosines.chain(sines).collect()
    }

    /// Fills the cache at `position` with the keys and values of a frame, given those before it.
    pub(crate) fn remember(
        &mut self,
        workers: &Workers,
        latent: &[f32],
        position: usize,
        conditions: &Conditions,
        pass: usize,
    ) {
        self.run(workers, latent, position, conditions, pass, false);
    }

    /// The velocity that the network predicts for a noisy latent `[h, w, channels]` at `position`, given the frames
    /// before it in the cache.
    ///
    /// # Errors
    /// Returns an error if a number is not finite.
    pub(crate) fn predict(
        &mut self,
        workers: &Workers,
        latent: &[f32],
        position: usize,
        conditions: &Conditions,
        pass: usize,
    ) -> Result<Vec<f32>> {
        self.run(workers, latent, position, conditions, pass, true);
        let width = self.shape.width();
        let (shift, gain) = conditions.last[2 * width * pass..][..2 * width].split_at(width);
        layer_norm(workers, &self.x, gain, shift, &mut self.scratch.normed);
        let mut patches = vec![0.0; self.latent_len()];
        self.last.apply(
            workers,
            &self.scratch.normed,
            &mut patches,
            Activation::None,
        );
        if !patches.iter().all(|value| value.is_finite()) {
            return Err(Error::NotFinite);
        }
        Ok(self.unpatched(&patches))
    }

    /// Runs the blocks on a frame; all of them if its own tokens are needed, not only its keys and values.
    fn run(
        &mut self,
        workers: &Workers,
        latent: &[f32],
        position: usize,
        conditions: &Conditions,
        pass: usize,
        whole: bool,
    ) {
        assert!(pass < conditions.count, "a pass without a condition");
        self.cache.reserve(position);
        self.embed(workers, latent);
        let t = &mut self.scratch;
        for (layer, block) in self.blocks.iter().enumerate() {
            let [space, time] = &block.halves;
            let [in_space, in_time] = conditions.blocks[layer].each_ref().map(|m| m.pass(pass));
            space.project(workers, &self.x, &in_space, t);
            t.attend(workers, &self.space);
            space.finish(workers, &mut self.x, &in_space, t);
            time.project(workers, &self.x, &in_time, t);
            let Scratch { qkv, attended, .. } = t;
            for row in qkv.chunks_exact_mut(3 * self.shape.width()) {
                for vector in row[..2 * self.shape.width()].chunks_exact_mut(self.shape.d) {
                    self.frames.rotate(position, vector);
                }
            }
            if !whole && layer + 1 == self.blocks.len() {
                self.cache.write(layer, position, qkv);
                return;
            }
            self.cache.attend(workers, layer, position, qkv, attended);
            time.finish(workers, &mut self.x, &in_time, t);
        }
    }

    /// The patches of a latent as tokens.
    fn embed(&mut self, workers: &Workers, latent: &[f32]) {
        let [_, columns] = self.latent.map(|side| side / self.patch);
        let row = self.latent[1] * self.channels;
        let rows = RowLayout {
            count: self.shape.tokens,
            run: columns,
            outer: self.patch * row,
            inner: self.patch * self.channels,
            segments: self.patch,
            stride: row,
        };
        self.embed
            .apply_rows(workers, latent, rows, &mut self.x, Activation::None);
    }

    /// Tokens of patches `[patch, patch, channels]` as a latent.
    fn unpatched(&self, patches: &[f32]) -> Vec<f32> {
        let columns = self.latent[1] / self.patch;
        let piece = self.patch * self.channels;
        let mut latent = vec![0.0; patches.len()];
        for (i, piece_of) in patches.chunks_exact(piece).enumerate() {
            let (token, y) = (i / self.patch, i % self.patch);
            let (row, column) = (token / columns * self.patch + y, token % columns);
            latent[(row * columns + column) * piece..][..piece].copy_from_slice(piece_of);
        }
        latent
    }

    /// Runs the first layer on nothing, to be timed.
    pub(crate) fn probe(&mut self, workers: &Workers) {
        let width = self.shape.width();
        let nothing = Modulation::new(vec![0.0; 6 * width], width);
        let t = &mut self.scratch;
        if let Some(block) = self.blocks.first() {
            let [space, _] = &block.halves;
            space.project(workers, &self.x, &nothing.pass(0), t);
            t.attend(workers, &self.space);
            space.finish(workers, &mut self.x, &nothing.pass(0), t);
        }
    }
}

/// The size of a head, and the positions of tokens and of frames. The file tells frequencies, and with them the size,
/// unless they were left out as known.
fn rotary(
    weights: &mut Weights,
    width: usize,
    grid: [usize; 2],
) -> Result<(usize, Rotary, Rotary)> {
    let of = |weights: &mut Weights, ends: [&str; 2]| {
        let found = ends.map(|end| weights.take_shared(end));
        let [first, second] = found;
        Result::Ok(first?.or(second?))
    };
    let space = of(
        weights,
        ["spatial_rotary_emb.freqs", "s_attn.rotary_emb.freqs"],
    )?;
    let time = of(
        weights,
        ["temporal_rotary_emb.freqs", "t_attn.rotary_emb.freqs"],
    )?;
    let head = time
        .as_ref()
        .map_or(HEAD, |frequencies| 2 * frequencies.len());
    if !width.is_multiple_of(head) || !head.is_multiple_of(4) {
        return Err(weights.error(format!(
            "its width of {width} is no multiple of its heads' size of {head}, or that none of 4"
        )));
    }
    let space = space.unwrap_or_else(|| pixel_frequencies(head / 4, MAX_FREQUENCY));
    if space.len() != head / 4 {
        return Err(weights.error(format!(
            "has {} frequencies of positions, expected {} for heads of {head}",
            space.len(),
            head / 4
        )));
    }
    let time = time.unwrap_or_else(|| frame_frequencies(head));
    let (space, time) = (
        Rotary::grid(grid, &space),
        Rotary::frames(MAX_WINDOW, &time),
    );
    Ok((head, space, time))
}
