//! The autoencoder between pictures and latents: two vision transformers on patches (He et al., *Masked Autoencoders
//! Are Scalable Vision Learners*, 2022), of which only the mean of the latent is used.

use driftless_engine::kernels::{RowLayout, Workers};
use driftless_published::{Activation, Linear, Result, Shape, Sides, Weights, layer_norm};

use crate::attention::Scratch;
use crate::rotary::{Rotary, pixel_frequencies};

/// Size of a head, which no tensor tells.
const HEAD: usize = 64;
/// Colours of a pixel.
pub(crate) const COLOURS: usize = 3;
/// What latents are multiplied by between encoder and transformer, as the published program has it.
const LATENT_SCALE: f32 = 0.078_431_37;

/// Encoder and decoder.
pub(crate) struct Autoencoder {
    /// Height and width of latents.
    latent: [usize; 2],
    pub patch: usize,
    pub channels: usize,
    embed: Linear,
    encoder: Stack,
    mean: Linear,
    expand: Linear,
    decoder: Stack,
    pixels: Linear,
}

/// A vision transformer's blocks and last norm.
struct Stack {
    blocks: Vec<Block>,
    norm: Norm,
    rotary: Rotary,
    scratch: Scratch,
}

struct Block {
    norms: [Norm; 2],
    qkv: Linear,
    out: Linear,
    up: Linear,
    down: Linear,
}

struct Norm {
    gain: Vec<f32>,
    shift: Vec<f32>,
}

impl Norm {
    fn read(weights: &mut Weights, name: &str, width: usize) -> Result<Self> {
        Ok(Self {
            gain: weights.vector(&format!("{name}.weight"), width)?,
            shift: weights.vector(&format!("{name}.bias"), width)?,
        })
    }

    fn apply(&self, workers: &Workers, x: &[f32], y: &mut [f32]) {
        layer_norm(workers, x, &self.gain, &self.shift, y);
    }
}

impl Block {
    fn read(weights: &mut Weights, name: &str, width: usize) -> Result<Self> {
        let part = |part: &str| format!("{name}.{part}");
        let qkv = weights.linear(&part("attn.qkv"), Sides::of(width).to(3 * width))?;
        let out = weights.linear(&part("attn.proj"), Sides::of(width).to(width))?;
        let up = weights.linear(&part("mlp.fc1"), Sides::of(width))?;
        let down = weights.linear(&part("mlp.fc2"), Sides::of(up.outputs).to(width))?;
        Ok(Self {
            norms: [
                Norm::read(weights, &part("norm1"), width)?,
                Norm::read(weights, &part("norm2"), width)?,
            ],
            qkv: Linear::new(&qkv),
            out: Linear::new(&out),
            up: Linear::new(&up),
            down: Linear::new(&down),
        })
    }

    fn apply(&self, workers: &Workers, x: &mut [f32], rotary: &Rotary, t: &mut Scratch) {
        self.norms[0].apply(workers, x, &mut t.normed);
        self.qkv
            .apply(workers, &t.normed, &mut t.qkv, Activation::None);
        t.attend(workers, rotary);
        self.out
            .add_to(workers, &t.attended, None, x, &mut t.products);
        self.norms[1].apply(workers, x, &mut t.normed);
        let hidden = &mut t.hidden[..t.shape.tokens * self.up.outputs()];
        self.up.apply(workers, &t.normed, hidden, Activation::Gelu);
        self.down.add_to(workers, hidden, None, x, &mut t.products);
    }
}

impl Stack {
    /// The blocks `{name}.{0, 1, …}` and the norm `{norm}`.
    fn read(
        weights: &mut Weights,
        [name, norm]: [&str; 2],
        width: usize,
        grid: [usize; 2],
    ) -> Result<Self> {
        if !width.is_multiple_of(HEAD) {
            return Err(weights.error(format!(
                "its {name} is {width} wide, expected a multiple of its heads' size of {HEAD}"
            )));
        }
        let count = weights.count(&format!("{name}."));
        let blocks: Result<Vec<Block>> = (0..count)
            .map(|i| Block::read(weights, &format!("{name}.{i}"), width))
            .collect();
        let blocks = blocks?;
        let hidden = blocks.iter().map(|block| block.up.outputs()).max();
        let tokens = grid[0] * grid[1];
        let shape = Shape {
            tokens,
            heads: width / HEAD,
            d: HEAD,
        };
        // A quarter of a head turns with the row, a quarter with the column.
        let frequencies = pixel_frequencies(HEAD / 8, tokens as f32);
        Ok(Self {
            blocks,
            norm: Norm::read(weights, norm, width)?,
            rotary: Rotary::grid(grid, &frequencies),
            scratch: Scratch::new(shape, hidden.unwrap_or_default()),
        })
    }

    /// Runs the blocks on `x` [tokens, width], which is lost. Returns the normalized result.
    fn apply(&mut self, workers: &Workers, x: &mut [f32]) -> &[f32] {
        for block in &self.blocks {
            block.apply(workers, x, &self.rotary, &mut self.scratch);
        }
        self.norm.apply(workers, x, &mut self.scratch.normed);
        &self.scratch.normed
    }
}

impl Autoencoder {
    /// The network in a file, for latents of this height and width.
    ///
    /// # Errors
    /// Returns an error if a tensor is missing or of another shape.
    pub(crate) fn read(weights: &mut Weights, latent: [usize; 2]) -> Result<Self> {
        let (embed, patch) = weights.patches("patch_embed.proj", COLOURS)?;
        let width = embed.outputs;
        let encoder = Stack::read(weights, ["encoder", "enc_norm"], width, latent)?;
        let expand = weights.linear("post_quant_conv", Sides::default())?;
        let channels = expand.inputs;
        let mean = weights.linear("quant_conv", Sides::of(width))?;
        // Means, then perhaps the logarithms of variances.
        if ![channels, 2 * channels].contains(&mean.outputs) {
            let shape = [mean.outputs, width];
            let expected = format!("{channels} outputs, or twice as many");
            return Err(weights.wrong("quant_conv.weight", &shape, &expected));
        }
        let decoder_width = expand.outputs;
        let decoder = Stack::read(weights, ["decoder", "dec_norm"], decoder_width, latent)?;
        let pixels = COLOURS * patch * patch;
        let last = weights.linear("predictor", Sides::of(decoder_width).to(pixels))?;
        // Pictures are [H, W, colours]: rows of a patch are read and written in place.
        let from_planes = |i: usize| i % COLOURS * patch * patch + i / COLOURS;
        Ok(Self {
            latent,
            patch,
            channels,
            embed: Linear::chosen(&embed, width, |o| o, from_planes),
            encoder,
            mean: Linear::chosen(&mean, channels, |o| o, |i| i),
            expand: Linear::new(&expand),
            decoder,
            pixels: Linear::chosen(&last, pixels, from_planes, |i| i),
        })
    }

    /// Makes room for so many threads.
    pub(crate) fn reserve(&mut self, threads: usize) {
        self.encoder.scratch.reserve(threads);
        self.decoder.scratch.reserve(threads);
    }

    /// Height and width of pictures.
    pub(crate) fn image(&self) -> [usize; 2] {
        self.latent.map(|side| side * self.patch)
    }

    /// The scaled latent `[h, w, channels]` of a picture, u8 RGB `[H, W, 3]`.
    pub(crate) fn encode(&mut self, workers: &Workers, picture: &[u8]) -> Vec<f32> {
        let [rows, columns] = self.latent;
        let tokens = rows * columns;
        let row = columns * self.patch * COLOURS;
        let levels: Vec<f32> = picture
            .iter()
            .map(|byte| f32::from(*byte) / 255.0 * 2.0 - 1.0)
            .collect();
        let patches = RowLayout {
            count: tokens,
            run: columns,
            outer: self.patch * row,
            inner: self.patch * COLOURS,
            segments: self.patch,
            stride: row,
        };
        let mut x = vec![0.0; tokens * self.embed.outputs()];
        self.embed
            .apply_rows(workers, &levels, patches, &mut x, Activation::None);
        let x = self.encoder.apply(workers, &mut x);
        let mut latent = vec![0.0; tokens * self.channels];
        self.mean.apply(workers, x, &mut latent, Activation::None);
        latent.iter_mut().for_each(|z| *z *= LATENT_SCALE);
        latent
    }

    /// The picture of a scaled latent, `[H, W, 3]`; 0 is black and 1 is white, but values can lie outside.
    pub(crate) fn decode(&mut self, workers: &Workers, latent: &[f32]) -> Vec<f32> {
        let [rows, columns] = self.latent;
        let tokens = rows * columns;
        let latent: Vec<f32> = latent.iter().map(|z| z / LATENT_SCALE).collect();
        let mut x = vec![0.0; tokens * self.expand.outputs()];
        self.expand
            .apply(workers, &latent, &mut x, Activation::None);
        let x = self.decoder.apply(workers, &mut x);
        let mut patches = vec![0.0; tokens * self.pixels.outputs()];
        self.pixels
            .apply(workers, x, &mut patches, Activation::None);
        let piece = self.patch * COLOURS;
        let mut picture = vec![0.0; patches.len()];
        for (i, from) in patches.chunks_exact(piece).enumerate() {
            let (token, y) = (i / self.patch, i % self.patch);
            let (row, column) = (token / columns * self.patch + y, token % columns);
            let to = &mut picture[(row * columns + column) * piece..][..piece];
            for (to, from) in to.iter_mut().zip(from) {
                *to = (from + 1.0) / 2.0;
            }
        }
        picture
    }
}
