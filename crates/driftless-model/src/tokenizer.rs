//! The tokenizer: a frame becomes a grid of smooth latent cells, and back.
//!
//! A patch is one cell, through a SwiGLU wide enough that a small object can be drawn anywhere in
//! it; residual 3×3 blocks let every cell know its neighbours' pixels, so that a
//! small object is handed over smoothly where it crosses a border. Latents are standardised: the
//! mean of every cell (the still background) goes, the rest is scaled per channel. Frames are coded
//! one by one, so the code is causal.

use candle_core::{DType, Device, Tensor};

use super::config::WorldConfig;
use super::layers::{CellBlock, Linear, Norm};
use super::ops::swiglu;
use super::params::{Init, Params};
use crate::Result;

/// Name of the stored mean of the raw latents, [gh, gw, channels].
pub const LATENT_MEAN: &str = "latent.mean";
/// Name of the stored standard deviation of the raw latents, [channels].
pub const LATENT_STD: &str = "latent.std";

/// Encoder and decoder.
pub struct Tokenizer {
    patch: usize,
    grid: [usize; 2],
    /// From the pixels of a patch.
    pub patch_in: Linear,
    /// To the width of the cells.
    pub narrow: Linear,
    /// Learned positions before the encoder.
    pub position_in: Tensor,
    /// The blocks of the encoder.
    pub encoder: Vec<CellBlock>,
    /// After the encoder.
    pub norm_in: Norm,
    /// From a cell to its raw latent.
    pub latent_in: Linear,
    /// The mean of the raw latents, [gh, gw, channels].
    pub mean: Tensor,
    /// The standard deviation of the raw latents, [channels].
    pub std: Tensor,
    /// From a latent to a cell.
    pub latent_out: Linear,
    /// Learned positions before the decoder.
    pub position_out: Tensor,
    /// The blocks of the decoder.
    pub decoder: Vec<CellBlock>,
    /// After the decoder.
    pub norm_out: Norm,
    /// To the width of a patch.
    pub widen: Linear,
    /// To the pixels of a patch.
    pub patch_out: Linear,
}

impl Tokenizer {
    /// Builds the network of a configuration from its parameters.
    ///
    /// # Errors
    /// A parameter is missing or of another shape.
    pub fn new(p: &Params, config: &WorldConfig) -> Result<Self> {
        let (t, cells) = (&config.tokenizer, config.cells());
        let pixels = t.patch * t.patch * 3;
        let blocks = |side: &str| -> Result<Vec<CellBlock>> {
            (0..t.blocks)
                .map(|i| CellBlock::new(p, &format!("{side}.blocks.{i}"), t.width))
                .collect()
        };
        let position = |side: &str| {
            p.get(
                &format!("{side}.position"),
                &[cells, t.width],
                Init::Normal(0.1),
            )
        };
        Ok(Self {
            patch: t.patch,
            grid: config.grid(),
            patch_in: Linear::new(
                p,
                "encoder.patch",
                [2 * t.hidden, pixels],
                Init::FanIn,
                true,
            )?,
            narrow: Linear::new(p, "encoder.narrow", [t.width, t.hidden], Init::FanIn, false)?,
            position_in: position("encoder")?,
            encoder: blocks("encoder")?,
            norm_in: Norm::new(p, "encoder.norm", t.width)?,
            latent_in: Linear::new(
                p,
                "encoder.latent",
                [t.channels, t.width],
                Init::FanIn,
                true,
            )?,
            mean: p.get(
                LATENT_MEAN,
                &[config.grid()[0], config.grid()[1], t.channels],
                Init::Constant(0.0),
            )?,
            std: p.get(LATENT_STD, &[t.channels], Init::Constant(1.0))?,
            latent_out: Linear::new(
                p,
                "decoder.latent",
                [t.width, t.channels],
                Init::FanIn,
                true,
            )?,
            position_out: position("decoder")?,
            decoder: blocks("decoder")?,
            norm_out: Norm::new(p, "decoder.norm", t.width)?,
            widen: Linear::new(
                p,
                "decoder.widen",
                [2 * t.hidden, t.width],
                Init::FanIn,
                true,
            )?,
            patch_out: Linear::new(p, "decoder.patch", [pixels, t.hidden], Init::FanIn, true)?,
        })
    }

    /// Latents before standardising: images [N, H, W, 3] in [−1, 1] → [N, gh, gw, channels].
    ///
    /// # Errors
    /// The shapes do not fit, or the device failed.
    pub fn encode_raw(&self, images: &Tensor) -> Result<Tensor> {
        let [gh, gw] = self.grid;
        let (n, p) = (images.dim(0)?, self.patch);
        // [N, gh, p, gw, p, 3] → [N, gh·gw, p·p·3]
        let patches = images
            .reshape(vec![n, gh, p, gw, p, 3])?
            .permute(vec![0, 1, 3, 2, 4, 5])?
            .reshape((n, gh * gw, p * p * 3))?;
        let mut h = self
            .narrow
            .forward(&swiglu(&self.patch_in.forward(&patches)?)?)?
            .broadcast_add(&self.position_in)?
            .reshape((n, gh, gw, ()))?;
        for block in &self.encoder {
            h = block.forward(&h)?;
        }
        self.latent_in.forward(&self.norm_in.forward(&h)?)
    }

    /// Standardised latents: images [N, H, W, 3] in [−1, 1] → [N, gh, gw, channels].
    ///
    /// # Errors
    /// The shapes do not fit, or the device failed.
    pub fn encode(&self, images: &Tensor) -> Result<Tensor> {
        Ok(self
            .encode_raw(images)?
            .broadcast_sub(&self.mean)?
            .broadcast_div(&self.std)?)
    }

    /// Latents [N, gh, gw, channels] → images [N, H, W, 3], about [−1, 1], not clamped.
    ///
    /// # Errors
    /// The shapes do not fit, or the device failed.
    pub fn decode(&self, latents: &Tensor) -> Result<Tensor> {
        let [gh, gw] = self.grid;
        let (n, p) = (latents.dim(0)?, self.patch);
        let mut h = self
            .latent_out
            .forward(latents)?
            .reshape((n, gh * gw, ()))?
            .broadcast_add(&self.position_out)?
            .reshape((n, gh, gw, ()))?;
        for block in &self.decoder {
            h = block.forward(&h)?;
        }
        let h = swiglu(&self.widen.forward(&self.norm_out.forward(&h)?)?)?;
        let patches = self.patch_out.forward(&h)?;
        // [N, gh, gw, p, p, 3] → [N, H, W, 3]
        Ok(patches
            .reshape(vec![n, gh, gw, p, p, 3])?
            .permute(vec![0, 1, 3, 2, 4, 5])?
            .reshape((n, gh * p, gw * p, 3))?)
    }
}

/// u8 RGB bytes of whole frames → [N, H, W, 3] in [−1, 1].
///
/// # Errors
/// The length is not a whole number of frames, or the device failed.
pub fn images_to_tensor(bytes: &[u8], image: [usize; 2], device: &Device) -> Result<Tensor> {
    let frame = image[0] * image[1] * 3;
    let n = bytes.len() / frame;
    let values: Vec<f32> = bytes.iter().map(|&b| f32::from(b) / 127.5 - 1.0).collect();
    Ok(Tensor::from_vec(
        values,
        (n, image[0], image[1], 3),
        device,
    )?)
}

/// [.., 3] in [−1, 1] → u8 RGB bytes, rounded and clamped.
///
/// # Errors
/// The device failed.
pub fn tensor_to_images(images: &Tensor) -> Result<Vec<u8>> {
    let values = images
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    Ok(values.into_iter().map(to_byte).collect())
}

/// One value in [−1, 1] → a byte, rounded and clamped.
#[inline(always)]
pub fn to_byte(value: f32) -> u8 {
    // A float-to-integer cast saturates and sends NaN to 0.
    ((value + 1.0) * 127.5 + 0.5) as u8
}
