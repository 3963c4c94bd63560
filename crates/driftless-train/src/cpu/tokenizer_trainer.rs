//! A training step of the tokenizer: frames on all threads.
//!
//! Frames are independent but for the batch's statistics, so the encoder runs over all of them, the
//! latents are standardized, decoder and loss go forward and backward frame by frame, and the
//! encoder's backward pass follows from the gradients of the standardized latents.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::Var;

use super::encoder_decoder::{Decoder, DecoderState, Encoder, EncoderState, HalfScratch};
use super::frame_patches::{FramePatches, Shift};
use super::gradient_chunks::{GradientChunks, on_threads};
use super::parameters::{Layout, Slot, Weights};
use super::standardization::{BatchShape, Standardized};
use crate::{Error, Result};
use driftless_model::config::WorldConfig;
use driftless_model::tokenizer::{LATENT_MEAN, LATENT_STD};

/// Cells of a chunk, at least: shorter sums in the weights' gradients are slow.
const CELLS: usize = 256;

/// How the encoder is trained at a step.
pub(crate) struct JointTraining {
    /// Frames, the first of the batch, that are shifted either way.
    pub pairs: usize,
    /// Whether they are shifted down and up, or right and left.
    pub vertical: bool,
    /// By how many pixels.
    pub shift: usize,
    /// 0 for patches that the encoder does not see, [N, cells].
    pub visible: Option<Vec<f32>>,
    /// Weight of the curvature in the loss.
    pub curvature_weight: f32,
}

/// A step's frames.
pub(crate) struct FrameBatch<'a> {
    /// Bytes of N frames.
    pub images: &'a [u8],
    /// Added to the standardized latents, [N, cells, channels].
    pub noise: Vec<f32>,
    /// None where the decoder alone is trained.
    pub joint: Option<JointTraining>,
    /// No standard deviation is smaller.
    pub min_std: f32,
}

/// The losses of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct TokenizerLosses {
    /// Weighted mean squared error of the pixels.
    pub pixels: f64,
    /// The same without weights.
    pub mse: f64,
    pub curvature: f64,
}

/// The tokenizer on all threads.
pub(crate) struct TokenizerTrainer {
    layout: Arc<Layout>,
    weights: Weights,
    encoder: Encoder,
    decoder: Decoder,
    pictures: FramePatches,
    mean: Slot,
    std: Slot,
    latent: usize,
    channels: usize,
    chunks: [GradientChunks; 2],
    /// Of the encoder's chunks.
    states: Vec<EncoderState>,
    encoding: Vec<HalfScratch>,
    decoding: Vec<Decoding>,
    /// Frames that states and threads have room for.
    room: [usize; 2],
    standardized: Standardized,
    raw: Vec<f32>,
    dz: Vec<f32>,
    draw: Vec<f32>,
    gradient: Vec<f32>,
}

/// One thread's buffers for the decoder.
struct Decoding {
    state: DecoderState,
    scratch: HalfScratch,
    target: Vec<f32>,
}

impl TokenizerTrainer {
    /// Trains the parameters `vars` of a world's tokenizer. `background` is the median frame's bytes,
    /// `rarity` [H, W] the extra weight of pixels that differ from it.
    ///
    /// # Errors
    /// A parameter is missing or of another shape, or the background is of another size.
    pub(crate) fn new(
        config: &WorldConfig,
        vars: &BTreeMap<String, Var>,
        background: &[u8],
        rarity: &[f32],
    ) -> Result<Self> {
        if background.len() != config.image_len() || rarity.len() * 3 != background.len() {
            return Err(Error::Internal("the background has another size"));
        }
        let mut layout = Layout::new(vars);
        let encoder = Encoder::new(&mut layout, config)?;
        let decoder = Decoder::new(&mut layout, config)?;
        let least = CELLS / config.cells().max(1);
        Ok(Self {
            weights: Weights::new(&layout),
            encoder,
            decoder,
            pictures: FramePatches::new(config, background, rarity),
            mean: layout.slot(LATENT_MEAN)?,
            std: layout.slot(LATENT_STD)?,
            latent: config.latent_len(),
            channels: config.tokenizer.channels,
            // In the order of names neither half lies among the other's parameters.
            chunks: ["encoder.", "decoder."]
                .map(|half| GradientChunks::new(layout.len(), layout.range(half), least)),
            states: Vec::new(),
            encoding: Vec::new(),
            decoding: Vec::new(),
            room: [0; 2],
            standardized: Standardized::default(),
            raw: Vec::new(),
            dz: Vec::new(),
            draw: Vec::new(),
            gradient: Vec::new(),
            layout: Arc::new(layout),
        })
    }

    /// Where each parameter's gradient is.
    pub(crate) fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.layout)
    }

    /// The gradient of the last step.
    pub(crate) fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    /// Losses and gradient of a step with the parameters' values of now.
    ///
    /// # Errors
    /// The batch is of another size, or a parameter is not on the processor.
    pub(crate) fn step(
        &mut self,
        vars: &BTreeMap<String, Var>,
        batch: &FrameBatch,
    ) -> Result<TokenizerLosses> {
        let frame = self.pictures.len();
        let n = batch.images.len() / frame.max(1);
        let pairs = batch.joint.as_ref().map_or(0, |joint| joint.pairs);
        let whole = n > 0
            && batch.images.len() == n * frame
            && batch.noise.len() == n * self.latent
            && pairs <= n;
        if !whole {
            return Err(Error::Internal("parts of a training batch do not match"));
        }
        self.weights.refresh(&self.layout, vars)?;
        let all = n + 2 * pairs;
        self.make_room(all, n);
        self.encode(batch, n, all)?;
        let sizes = BatchShape {
            frames: n,
            pairs,
            cells: self.latent / self.channels,
            channels: self.channels,
            min_std: batch.min_std,
        };
        match &batch.joint {
            Some(_) => sizes.forward(&self.raw, &mut self.standardized),
            None => self.standardize_as_stored(),
        }
        let mut losses = self.decode(batch, n)?;
        let decoder = self.chunks[1].range();
        self.gradient.resize(self.layout.len(), 0.0);
        self.gradient[decoder.clone()].copy_from_slice(&self.chunks[1].sum(n)[decoder]);
        if let Some(joint) = &batch.joint {
            losses.curvature = self.standardized.curvature;
            let (s, draw) = (&self.standardized, &mut self.draw);
            sizes.backward(s, &self.dz, joint.curvature_weight, draw);
            self.encode_backward(all)?;
        }
        let encoder = self.chunks[0].range();
        let gradient = &mut self.gradient[encoder.clone()];
        match batch.joint {
            Some(_) => gradient.copy_from_slice(&self.chunks[0].sum(all)[encoder]),
            None => gradient.fill(0.0),
        }
        Ok(losses)
    }

    fn make_room(&mut self, all: usize, n: usize) {
        let longest = |ranges: Vec<Range<usize>>| ranges.iter().map(Range::len).max();
        let room = [(0, all), (1, n)].map(|(half, items)| {
            let ranges = self.chunks[half].ranges(items);
            longest(ranges).unwrap_or(0).max(self.room[half])
        });
        if room != self.room {
            self.states.clear();
            self.encoding.clear();
            self.decoding.clear();
            self.room = room;
        }
        while self.states.len() < self.chunks[0].ranges(all).len() {
            self.states.push(self.encoder.state(room[0]));
        }
        while self.encoding.len() < self.chunks[0].threads(all) {
            self.encoding.push(self.encoder.scratch(room[0]));
        }
        while self.decoding.len() < self.chunks[1].threads(n) {
            self.decoding.push(Decoding {
                state: self.decoder.state(room[1]),
                scratch: self.decoder.scratch(room[1]),
                target: vec![0.0; self.pictures.len()],
            });
        }
    }

    /// Raw latents of all frames, and of the shifted ones behind them, into `raw`.
    fn encode(&mut self, batch: &FrameBatch, n: usize, all: usize) -> Result<()> {
        let ranges = self.chunks[0].ranges(all);
        let jobs: Vec<_> = ranges.into_iter().zip(&mut self.states).collect();
        let (encoder, weights, pictures) = (&self.encoder, &self.weights, &self.pictures);
        let len = pictures.len();
        let threads = self.chunks[0].threads(all);
        let scratch = &mut self.encoding[..threads];
        on_threads(
            jobs,
            scratch,
            |(range, state): (Range<usize>, _), scratch| {
                let state: &mut EncoderState = state;
                let patches = state.patches.chunks_exact_mut(len);
                for (item, out) in range.clone().zip(patches) {
                    let (frame, shift) = source(batch, n, item);
                    let image = &batch.images[frame * len..(frame + 1) * len];
                    let visible = batch.joint.as_ref().and_then(|j| j.visible.as_ref());
                    let cells = visible.map_or(0, |visible| visible.len() / n);
                    let visible =
                        visible.map(|visible| &visible[frame * cells..(frame + 1) * cells]);
                    pictures.patches(image, visible, shift, out);
                }
                encoder.forward(weights, range.len(), state, scratch);
                Ok(())
            },
        )?;
        self.raw.clear();
        for (range, state) in self.chunks[0].ranges(all).into_iter().zip(&self.states) {
            let latents = &state.latents[..range.len() * self.latent];
            self.raw.extend_from_slice(latents);
        }
        Ok(())
    }

    /// z = (raw − mean)/std with the stored statistics.
    fn standardize_as_stored(&mut self) {
        let (mean, std) = (self.weights.get(self.mean), self.weights.get(self.std));
        let each = self
            .raw
            .iter()
            .zip(mean.iter().cycle())
            .zip(std.iter().cycle());
        let z = &mut self.standardized.z;
        z.clear();
        z.extend(each.map(|((raw, mean), std)| (raw - mean) / std));
    }

    /// Decoder and pixels, forward and backward; the gradient of z into `dz`.
    fn decode(&mut self, batch: &FrameBatch, n: usize) -> Result<TokenizerLosses> {
        let (decoder, weights, pictures) = (&self.decoder, &self.weights, &self.pictures);
        let (len, latent, z) = (pictures.len(), self.latent, &self.standardized.z);
        let share = 1.0 / (n * len) as f32;
        let threads = self.chunks[1].threads(n);
        let work = |range: Range<usize>, t: &mut Decoding, gradient: &mut [f32]| {
            let Decoding {
                state,
                scratch,
                target,
            } = t;
            let place = range.start * latent..range.end * latent;
            let noisy = z[place.clone()].iter().zip(&batch.noise[place]);
            for (out, (z, noise)) in state.latents.iter_mut().zip(noisy) {
                *out = z + noise;
            }
            decoder.forward(weights, range.len(), state, scratch);
            let mut sums = [0f64; 2];
            let patches = state.patches.chunks_exact(len);
            let frames = patches.zip(state.dpatches.chunks_exact_mut(len));
            for (frame, (patches, dpatches)) in range.clone().zip(frames) {
                let image = &batch.images[frame * len..(frame + 1) * len];
                pictures.patches(image, None, Shift::default(), target);
                let [weighted, mse] = pictures.loss(patches, target, share, dpatches);
                sums = [sums[0] + weighted, sums[1] + mse];
            }
            decoder.backward(weights, range.len(), state, gradient, scratch);
            let dz = state.dlatents[..range.len() * latent].to_vec();
            Ok((sums, dz))
        };
        let parts = self.chunks[1].run(n, &mut self.decoding[..threads], work)?;
        let mut losses = TokenizerLosses::default();
        self.dz.clear();
        for ([weighted, mse], dz) in parts {
            losses.pixels += weighted * f64::from(share);
            losses.mse += mse * f64::from(share);
            self.dz.extend(dz);
        }
        Ok(losses)
    }

    fn encode_backward(&mut self, all: usize) -> Result<()> {
        let (threads, range) = (self.chunks[0].threads(all), self.chunks[0].range());
        let jobs = self.chunks[0].jobs(all).into_iter().zip(&mut self.states);
        let (encoder, weights) = (&self.encoder, &self.weights);
        let (draw, latent) = (&self.draw, self.latent);
        let scratch = &mut self.encoding[..threads];
        let zero = range;
        type Job<'a> = ((Range<usize>, &'a mut [f32]), &'a mut EncoderState);
        on_threads(jobs.collect(), scratch, |job: Job, scratch| {
            let ((range, gradient), state) = job;
            let draw = &draw[range.start * latent..range.end * latent];
            state.dlatents[..draw.len()].copy_from_slice(draw);
            gradient[zero.clone()].fill(0.0);
            encoder.backward(weights, range.len(), state, gradient, scratch);
            Ok(())
        })?;
        Ok(())
    }
}

/// The frame that an item of the encoder's batch shows, and how far it is shifted: all frames, then
/// the first ones shifted one way, then the other way.
fn source(batch: &FrameBatch, n: usize, item: usize) -> (usize, Shift) {
    let Some(joint) = batch.joint.as_ref().filter(|_| item >= n) else {
        return (item, Shift::default());
    };
    let by = joint.shift as isize;
    let (frame, by) = match item - n {
        ahead if ahead < joint.pairs => (ahead, by),
        behind => (behind - joint.pairs, -by),
    };
    let shift = match joint.vertical {
        true => Shift { down: by, right: 0 },
        false => Shift { down: 0, right: by },
    };
    (frame, shift)
}
