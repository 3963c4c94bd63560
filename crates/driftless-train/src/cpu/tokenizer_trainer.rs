//! A training step of the tokenizer, in parallel over the frames of the batch.
//!
//! Frames depend on each other only through the statistics of the batch. First, all frames are
//! encoded and their latents standardized. Then decoder and loss run forward and backward. The
//! backward pass of the encoder starts from the gradients of the latents.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use candle_core::Var;

use super::encoder_decoder::{Decoder, DecoderState, Encoder, EncoderState, HalfScratch};
use super::frame_patches::{FrameAndPrevious, FrameLoss, FramePatches, PixelWeights, Shift};
use super::gradient_chunks::{GradientChunks, on_threads};
use super::parameters::{Layout, Slot, Weights};
use super::standardization::{BatchShape, Standardized};
use crate::ranks::Ranks;
use crate::tokenizer::backgrounds::Backgrounds;
use crate::{Error, Result};
use driftless_model::config::WorldConfig;
use driftless_model::tokenizer::{LATENT_MEAN, LATENT_STD};

/// Minimum number of cells per chunk: shorter sums in the gradients of the weights are slow.
const CELLS: usize = 256;

/// What a step needs to train the encoder too.
pub(crate) struct JointTraining {
    /// How many of the first frames are shifted both ways, for the curvature penalty.
    pub pairs: usize,
    /// Whether they are shifted vertically instead of horizontally.
    pub vertical: bool,
    /// The shift in pixels.
    pub shift: usize,
    /// 0 for hidden patches, [N, cells]; `None` if nothing is hidden.
    pub visible: Option<Vec<f32>>,
    /// Weight of the curvature penalty in the loss.
    pub curvature_weight: f32,
}

/// The batch of a step.
pub(crate) struct FrameBatch<'a> {
    /// Bytes of N frames.
    pub images: &'a [u8],
    /// Bytes of the N frames before them; `None` if changes have no weight.
    pub previous: Option<&'a [u8]>,
    /// Noise added to the standardized latents, [N, cells, channels].
    pub noise: Vec<f32>,
    /// `None` if only the decoder is trained.
    pub joint: Option<JointTraining>,
    /// Lower bound of the standard deviations.
    pub min_std: f32,
}

/// The losses of a step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct TokenizerLosses {
    /// Weighted mean squared error of the pixels.
    pub pixels: f64,
    /// Mean squared error of the pixels.
    pub mse: f64,
    pub curvature: f64,
}

/// Trains the tokenizer on all threads.
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
    /// One per chunk of the encoder.
    states: Vec<EncoderState>,
    encoding: Vec<HalfScratch>,
    decoding: Vec<Decoding>,
    /// Frames per chunk of encoder and decoder for which buffers are allocated.
    room: [usize; 2],
    standardized: Standardized,
    raw: Vec<f32>,
    dz: Vec<f32>,
    draw: Vec<f32>,
    gradient: Vec<f32>,
    /// Weighted error of the worst patch of each frame.
    errors: Vec<f32>,
}

/// A thread's buffers for the decoder.
struct Decoding {
    state: DecoderState,
    scratch: HalfScratch,
    target: Vec<f32>,
    near: Vec<u8>,
}

impl TokenizerTrainer {
    /// A trainer of the parameters `vars`.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape, or the backgrounds have another
    /// size.
    pub(crate) fn new(
        config: &WorldConfig,
        vars: &BTreeMap<String, Var>,
        backgrounds: &Backgrounds,
        weights: PixelWeights,
        ranks: &Ranks,
    ) -> Result<Self> {
        let (pixels, bytes) = (weights.foreground.len(), backgrounds.bytes().len());
        if bytes != backgrounds.count() * config.image_len() || pixels * 3 != config.image_len() {
            return Err(Error::Internal("the backgrounds have another size"));
        }
        let mut layout = Layout::new(vars);
        let encoder = Encoder::new(&mut layout, config)?;
        let decoder = Decoder::new(&mut layout, config)?;
        let least = CELLS / config.cells().max(1);
        Ok(Self {
            weights: Weights::new(&layout),
            encoder,
            decoder,
            pictures: FramePatches::new(config, backgrounds, weights),
            mean: layout.slot(LATENT_MEAN)?,
            std: layout.slot(LATENT_STD)?,
            latent: config.latent_len(),
            channels: config.tokenizer.channels,
            // In the order of names, the parameters of each half are contiguous.
            chunks: ["encoder.", "decoder."]
                .map(|half| GradientChunks::new(layout.len(), layout.range(half), least, ranks)),
            states: Vec::new(),
            encoding: Vec::new(),
            decoding: Vec::new(),
            room: [0; 2],
            standardized: Standardized::default(),
            raw: Vec::new(),
            dz: Vec::new(),
            draw: Vec::new(),
            gradient: Vec::new(),
            errors: Vec::new(),
            layout: Arc::new(layout),
        })
    }

    /// The offset of each parameter in the gradient.
    pub(crate) fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.layout)
    }

    /// The gradient of the last step.
    pub(crate) fn gradient(&self) -> &[f32] {
        &self.gradient
    }

    /// Weighted error of the worst patch of each frame of the last step, [N].
    pub(crate) fn frame_errors(&self) -> &[f32] {
        &self.errors
    }

    /// Losses and gradient of a step with the current values of the parameters.
    ///
    /// # Errors
    /// Returns an error if the parts of the batch do not match or a parameter is not on the CPU.
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
        // On its way while the encoder goes backwards.
        let pending = self.chunks[1].start_sum(n);
        if let Some(joint) = &batch.joint {
            losses.curvature = self.standardized.curvature;
            let (s, draw) = (&self.standardized, &mut self.draw);
            sizes.backward(s, &self.dz, joint.curvature_weight, draw);
            self.encode_backward(all)?;
        }
        self.gradient.resize(self.layout.len(), 0.0);
        let decoder = self.chunks[1].range();
        self.gradient[decoder.clone()]
            .copy_from_slice(&self.chunks[1].finish_sum(pending)?[decoder]);
        let encoder = self.chunks[0].range();
        let gradient = &mut self.gradient[encoder.clone()];
        match batch.joint {
            Some(_) => gradient.copy_from_slice(&self.chunks[0].sum(all)?[encoder]),
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
                near: Vec::new(),
            });
        }
    }

    /// Writes the raw latents of all frames, and then of the shifted ones, into `raw`.
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
        let raw = std::mem::take(&mut self.raw);
        self.raw = self.chunks[0].ranks().join(raw)?;
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

    /// Runs decoder and loss forward and backward; writes the gradient of z into `dz`.
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
                near,
            } = t;
            let numbers = range.start * latent..range.end * latent;
            let noisy = z[numbers.clone()].iter().zip(&batch.noise[numbers]);
            for (out, (z, noise)) in state.latents.iter_mut().zip(noisy) {
                *out = z + noise;
            }
            decoder.forward(weights, range.len(), state, scratch);
            let mut losses = Vec::with_capacity(range.len());
            let patches = state.patches.chunks_exact(len);
            let frames = patches.zip(state.dpatches.chunks_exact_mut(len));
            for (frame, (patches, dpatches)) in range.clone().zip(frames) {
                let bytes = frame * len..(frame + 1) * len;
                let image = FrameAndPrevious {
                    frame: &batch.images[bytes.clone()],
                    previous: batch.previous.map(|previous| &previous[bytes]),
                };
                losses.push(pictures.loss(image, patches, target, share, dpatches, near));
            }
            decoder.backward(weights, range.len(), state, gradient, scratch);
            let dz = state.dlatents[..range.len() * latent].to_vec();
            Ok((losses, dz))
        };
        let parts = self.chunks[1].run(n, &mut self.decoding[..threads], work)?;
        let mut losses = TokenizerLosses::default();
        self.dz.clear();
        self.errors.clear();
        for (frames, dz) in parts {
            // Part by part, in the order of the frames, whichever thread computed them.
            let sum = |of: fn(&FrameLoss) -> f64| frames.iter().map(of).sum::<f64>();
            losses.pixels += sum(|frame| frame.weighted) * f64::from(share);
            losses.mse += sum(|frame| frame.plain) * f64::from(share);
            self.errors
                .extend(frames.iter().map(|frame| frame.worst_patch));
            self.dz.extend(dz);
        }
        let ranks = self.chunks[1].ranks();
        if ranks.size() > 1 {
            let sums = ranks.sum(&[losses.pixels, losses.mse])?;
            (losses.pixels, losses.mse) = (sums[0], sums[1]);
            self.dz = ranks.join(std::mem::take(&mut self.dz))?;
            self.errors = ranks.join(std::mem::take(&mut self.errors))?;
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

/// The frame and shift of an item of the encoder's batch, which has all frames, then the first ones
/// shifted one way, then the other way.
fn source(batch: &FrameBatch, n: usize, item: usize) -> (usize, Shift) {
    let Some(joint) = batch.joint.as_ref().filter(|_| item >= n) else {
        return (item, Shift::default());
    };
    let by = joint.shift as isize;
    let (frame, by) = match item - n {
        ahead if ahead < joint.pairs => (ahead, by),
        behind => (behind - joint.pairs, -by),
    };
    let shift = if joint.vertical {
        Shift { down: by, right: 0 }
    } else {
        Shift { down: 0, right: by }
    };
    (frame, shift)
}
