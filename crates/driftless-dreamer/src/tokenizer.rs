//! The tokenizer: a transformer that squeezes the patches of a picture into a few latent tokens, and one that makes
//! patches of them again (after He et al., *Masked Autoencoders Are Scalable Vision Learners*, 2022).

use driftless_engine::kernels::{RowLayout, Workers};
use driftless_published::{Activation, Linear, Result, Sides, Weights};

use crate::options::{MAX_HEADS, Options};
use crate::positions::Positions;
use crate::stack::{Stack, StackSpec};

/// Colours of a pixel.
const COLOURS: usize = 3;
/// Most pixels of a side of a picture.
const MAX_SIDE: usize = 4096;
/// Heads where the file does not tell them.
pub(crate) const HEADS: usize = 4;

/// Encoder and decoder.
pub(crate) struct Tokenizer {
    /// Rows and columns of patches.
    grid: [usize; 2],
    patch: usize,
    /// Latent tokens of a frame, and numbers of each.
    pub latent: [usize; 2],
    embed: Linear,
    encoder: Side,
    squeeze: Linear,
    expand: Linear,
    decoder: Side,
    pixels: Linear,
}

/// A transformer with the tokens that it learned, and its positions.
struct Side {
    /// [count, width].
    learned: Vec<f32>,
    stack: Stack,
    positions: Positions,
    /// [tokens, width].
    x: Vec<f32>,
}

/// What encoder and decoder have in common.
struct Shared<'a> {
    options: &'a Options,
    latents: usize,
    patches: usize,
}

impl Side {
    /// The transformer in a file whose learned tokens are given, for so many frames.
    fn read(
        weights: &mut Weights,
        shared: &Shared,
        name: &str,
        learned: Vec<f32>,
        frames: usize,
    ) -> Result<Self> {
        let Shared {
            options,
            latents,
            patches,
        } = *shared;
        let tokens = latents + patches;
        let encodes = name == "encoder";
        let rows = if encodes { latents } else { patches };
        let width = learned.len() / rows;
        // An encoder's latents see all, a decoder's patches do; the others see their own kind.
        let sight = if encodes {
            vec![[0..latents, 0..tokens], [latents..tokens, latents..tokens]]
        } else {
            vec![[0..latents, 0..latents], [latents..tokens, 0..tokens]]
        };
        let in_time = if options.flag("latents_only_time", true) {
            latents
        } else {
            tokens
        };
        let spec = StackSpec {
            name: &format!("{name}.transformer"),
            width,
            heads: options.count("n_heads", 1..=MAX_HEADS, HEADS)?,
            tokens,
            sight,
            in_time,
        };
        let scaled = options.flag("scale_pos_embeds", true);
        Ok(Self {
            stack: Stack::read(weights, spec)?,
            positions: Positions::new([frames, tokens], width, scaled),
            learned,
            x: vec![0.0; tokens * width],
        })
    }

    /// Adds positions, and runs the layers on the tokens of the frame at `frame`.
    fn run(&mut self, workers: &Workers, frame: usize) {
        self.positions.add(frame, &mut self.x);
        self.stack.run(workers, frame, &mut self.x);
    }
}

impl Tokenizer {
    /// The network in a file, which encodes at most so many frames in a row.
    ///
    /// # Errors
    /// Returns an error if a tensor is missing or of another shape, or if the options do not fit the tensors.
    pub(crate) fn read(weights: &mut Weights, options: &Options, frames: usize) -> Result<Self> {
        let queries = weights.take("decoder.patch_queries", 2)?;
        let learned = weights.take("encoder.latents", 2)?;
        let (latents, width) = (learned.shape[0], learned.shape[1]);
        let (patches, decoder_width) = (queries.shape[0], queries.shape[1]);
        let embed = weights.linear("encoder.patch_proj", Sides::default().to(width))?;
        let pixels = embed.inputs;
        let patch = (pixels / COLOURS).isqrt();
        if COLOURS * patch * patch != pixels {
            let name = "encoder.patch_proj.weight";
            return Err(weights.wrong(name, &[width, pixels], "3·side² inputs: patches in RGB"));
        }
        let grid = grid(weights, options, patches, patch)?;
        let squeeze = weights.linear("encoder.bottleneck_proj", Sides::of(width))?;
        let channels = squeeze.outputs;
        let expand = weights.linear("decoder.up_proj", Sides::of(channels).to(decoder_width))?;
        let head = weights.linear("decoder.patch_head", Sides::of(decoder_width).to(pixels))?;
        // Only training masks patches.
        weights.vector("encoder.mae.mask_token", width)?;
        let shared = Shared {
            options,
            latents,
            patches,
        };
        // Pictures are [H, W, colours]: rows of a patch are read and written in place.
        let from_planes = |i: usize| i % COLOURS * patch * patch + i / COLOURS;
        Ok(Self {
            grid,
            patch,
            latent: [latents, channels],
            embed: Linear::chosen(&embed, width, |o| o, from_planes),
            encoder: Side::read(weights, &shared, "encoder", learned.values, frames)?,
            squeeze: Linear::new(&squeeze),
            expand: Linear::new(&expand),
            decoder: Side::read(weights, &shared, "decoder", queries.values, 1)?,
            pixels: Linear::chosen(&head, pixels, from_planes, |i| i),
        })
    }

    /// Makes room for so many threads.
    pub(crate) fn reserve(&mut self, threads: usize) {
        self.encoder.stack.reserve(threads);
        self.decoder.stack.reserve(threads);
    }

    /// Height and width of pictures.
    pub(crate) fn image(&self) -> [usize; 2] {
        self.grid.map(|side| side * self.patch)
    }

    /// The latent `[latents, channels]`, from −1 to 1, of a picture, u8 RGB `[H, W, 3]`, at `frame` in a row of pictures,
    /// of which those before it were encoded last.
    pub(crate) fn encode(&mut self, workers: &Workers, picture: &[u8], frame: usize) -> Vec<f32> {
        let levels: Vec<f32> = picture
            .iter()
            .map(|byte| f32::from(*byte) / 255.0)
            .collect();
        let row = self.grid[1] * self.patch * COLOURS;
        let patches = RowLayout {
            count: self.grid[0] * self.grid[1],
            run: self.grid[1],
            outer: self.patch * row,
            inner: self.patch * COLOURS,
            segments: self.patch,
            stride: row,
        };
        let side = &mut self.encoder;
        let (latents, tokens) = side.x.split_at_mut(side.learned.len());
        latents.copy_from_slice(&side.learned);
        self.embed
            .apply_rows(workers, &levels, patches, tokens, Activation::None);
        side.run(workers, frame);
        let mut latent = vec![0.0; self.latent[0] * self.latent[1]];
        let encoded = &side.x[..side.learned.len()];
        self.squeeze
            .apply(workers, encoded, &mut latent, Activation::None);
        latent.iter_mut().for_each(|z| *z = z.tanh());
        latent
    }

    /// The picture of a latent, `[H, W, 3]`; 0 is black and 1 is white.
    pub(crate) fn decode(&mut self, workers: &Workers, latent: &[f32]) -> Vec<f32> {
        let side = &mut self.decoder;
        let count = side.x.len() - side.learned.len();
        let (latents, queries) = side.x.split_at_mut(count);
        self.expand
            .apply(workers, latent, latents, Activation::None);
        latents.iter_mut().for_each(|z| *z = z.tanh());
        queries.copy_from_slice(&side.learned);
        // Frames are decoded one by one: each is the first of its own row.
        side.run(workers, 0);
        let mut patches = vec![0.0; self.grid[0] * self.grid[1] * self.pixels.outputs()];
        let decoded = &side.x[count..];
        self.pixels
            .apply(workers, decoded, &mut patches, Activation::None);
        let piece = self.patch * COLOURS;
        let mut picture = vec![0.0; patches.len()];
        for (i, from) in patches.chunks_exact(piece).enumerate() {
            let (token, y) = (i / self.patch, i % self.patch);
            let (row, column) = (token / self.grid[1], token % self.grid[1]);
            let row = row * self.patch + y;
            let to = &mut picture[(row * self.grid[1] + column) * piece..][..piece];
            for (to, from) in to.iter_mut().zip(from) {
                *to = 1.0 / (1.0 + (-from).exp());
            }
        }
        picture
    }

    /// Runs the decoder's first layer on nothing, to be timed.
    pub(crate) fn probe(&mut self, workers: &Workers) {
        self.decoder.stack.probe(workers);
    }
}

/// Rows and columns of patches: of the size of pictures that the file tells, or else of a square.
fn grid(weights: &Weights, options: &Options, patches: usize, patch: usize) -> Result<[usize; 2]> {
    let side_of = |name| options.given(name, 1..=MAX_SIDE);
    let (height, width) = (side_of("H")?, side_of("W")?);
    let side = patches.isqrt();
    let image = match (height, width) {
        (Some(height), Some(width)) => [height, width],
        _ => [side * patch; 2],
    };
    if image.iter().any(|side| *side > MAX_SIDE) {
        let [height, width] = image;
        return Err(weights.error(format!(
            "its pictures are {height}×{width}, expected at most {MAX_SIDE} pixels a side"
        )));
    }
    let grid = image.map(|length| length / patch);
    if grid[0] * grid[1] == patches && grid.map(|side| side * patch) == image {
        return Ok(grid);
    }
    let [height, width] = image;
    Err(weights.error(format!(
        "`decoder.patch_queries` are {patches}, expected as many as patches of {patch}×{patch} in {height}×{width}"
    )))
}
