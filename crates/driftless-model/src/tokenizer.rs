//! The tokenizer: encodes a frame as a grid of latent cells and decodes it again.
//!
//! Each patch becomes one cell, through a SwiGLU wide enough to draw a small object anywhere in the
//! patch. Residual 3×3 blocks give each cell its neighbours' context, so that a small object
//! crosses cell borders smoothly. Latents are standardized: the mean of each cell
//! (the static background) is subtracted, and each channel is scaled. Frames are encoded
//! independently, so encoding is causal.

use candle_core::{DType, Device, Tensor};

use super::config::WorldConfig;
use super::layers::{CellBlock, Linear, RmsNorm};
use super::ops::swiglu;
use super::params::{Init, Params};
use crate::Result;

/// Name of the stored mean of the raw latents, [gh, gw, channels].
pub const LATENT_MEAN: &str = "latent.mean";
/// Name of the stored standard deviation of the raw latents, `[channels]`.
pub const LATENT_STD: &str = "latent.std";

/// The encoder and the decoder.
pub struct Tokenizer {
    patch: usize,
    grid: [usize; 2],
    /// From the pixels of a patch.
    pub(crate) patch_in: Linear,
    /// To the width of the cells.
    pub(crate) narrow: Linear,
    /// Learned positions before the encoder.
    pub(crate) position_in: Tensor,
    /// The blocks of the encoder.
    pub(crate) encoder: Vec<CellBlock>,
    /// After the encoder.
    pub(crate) norm_in: RmsNorm,
    /// From a cell to its raw latent.
    pub(crate) latent_in: Linear,
    /// The mean of the raw latents, [gh, gw, channels].
    pub(crate) mean: Tensor,
    /// The standard deviation of the raw latents, `[channels]`.
    pub(crate) std: Tensor,
    /// From a latent to a cell.
    pub(crate) latent_out: Linear,
    /// Learned positions before the decoder.
    pub(crate) position_out: Tensor,
    /// The blocks of the decoder.
    pub(crate) decoder: Vec<CellBlock>,
    /// After the decoder.
    pub(crate) norm_out: RmsNorm,
    /// To the width of a patch.
    pub(crate) widen: Linear,
    /// To the pixels of a patch.
    pub(crate) patch_out: Linear,
}

impl Tokenizer {
    /// Builds the network for a configuration.
    ///
    /// # Errors
    /// Returns an error if a parameter is missing or has another shape.
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
        let linear = |name: &str, shape, bias| Linear::new(p, name, shape, Init::FanIn, bias);
        let [height, width] = config.grid();
        Ok(Self {
            patch: t.patch,
            grid: config.grid(),
            patch_in: linear("encoder.patch", [2 * t.hidden, pixels], true)?,
            narrow: linear("encoder.narrow", [t.width, t.hidden], false)?,
            position_in: position("encoder")?,
            encoder: blocks("encoder")?,
            norm_in: RmsNorm::new(p, "encoder.norm", t.width)?,
            latent_in: linear("encoder.latent", [t.channels, t.width], true)?,
            mean: p.get(
                LATENT_MEAN,
                &[height, width, t.channels],
                Init::Constant(0.0),
            )?,
            std: p.get(LATENT_STD, &[t.channels], Init::Constant(1.0))?,
            latent_out: linear("decoder.latent", [t.width, t.channels], true)?,
            position_out: position("decoder")?,
            decoder: blocks("decoder")?,
            norm_out: RmsNorm::new(p, "decoder.norm", t.width)?,
            widen: linear("decoder.widen", [2 * t.hidden, t.width], true)?,
            patch_out: linear("decoder.patch", [pixels, t.hidden], true)?,
        })
    }

    /// Encodes images [N, H, W, 3] in [−1, 1] as latents [N, gh, gw, channels], not standardized.
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
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

    /// Encodes images [N, H, W, 3] in [−1, 1] as standardized latents [N, gh, gw, channels].
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
    pub fn encode(&self, images: &Tensor) -> Result<Tensor> {
        Ok(self
            .encode_raw(images)?
            .broadcast_sub(&self.mean)?
            .broadcast_div(&self.std)?)
    }

    /// Decodes latents [N, gh, gw, channels] to images [N, H, W, 3], roughly in [−1, 1], not
    /// clamped.
    ///
    /// # Errors
    /// Returns an error if the shapes are inconsistent or the device fails.
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

/// Converts u8 RGB frames to a tensor [N, H, W, 3] in [−1, 1]; `image` is (height, width).
///
/// # Errors
/// Returns an error if the length is not a multiple of the frame size or the device fails.
pub fn images_to_tensor(bytes: &[u8], image: [usize; 2], device: &Device) -> Result<Tensor> {
    let frame = image[0] * image[1] * 3;
    let n = bytes.len() / frame;
    let values: Vec<f32> = bytes.iter().map(|&byte| from_byte(byte)).collect();
    Ok(Tensor::from_vec(
        values,
        (n, image[0], image[1], 3),
        device,
    )?)
}

/// Converts a tensor [.., 3] in [−1, 1] to u8 RGB, rounded and clamped.
///
/// # Errors
/// Returns an error if the device fails.
pub fn tensor_to_images(images: &Tensor) -> Result<Vec<u8>> {
    let values = images
        .to_dtype(DType::F32)?
        .flatten_all()?
        .to_vec1::<f32>()?;
    Ok(values.into_iter().map(to_byte).collect())
}

/// Converts a byte to a value in [−1, 1].
#[inline(always)]
pub fn from_byte(byte: u8) -> f32 {
    from_brightness(f32::from(byte))
}

/// Converts a brightness from 0 to 255 to [−1, 1].
#[inline(always)]
pub fn from_brightness(brightness: f32) -> f32 {
    brightness / 127.5 - 1.0
}

/// Converts a value in [−1, 1] to a byte, rounded and clamped.
#[inline(always)]
pub fn to_byte(value: f32) -> u8 {
    // The cast saturates and maps NaN to 0.
    ((value + 1.0) * 127.5 + 0.5) as u8
}
