//! The model's internal state for one frame: denoising passes, latent and attention.

use driftless_engine::{Attention, Sampler};
use driftless_model::dynamics::token_of_cell;

use crate::Result;

/// One denoising pass as decoded images.
#[derive(Clone, Debug, PartialEq)]
pub struct TracedPass {
    /// Signal level τ of the network's input.
    pub tau: f32,
    /// The input z_τ through the decoder, u8 RGB `[H, W, 3]`.
    pub noisy: Vec<u8>,
    /// The prediction x̂ through the decoder, u8 RGB `[H, W, 3]`.
    pub clean: Vec<u8>,
}

/// Latent, image and attention of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// Latent cells along height and width.
    pub grid: [usize; 2],
    /// Channels of a latent cell.
    pub channels: usize,
    /// Latent cells along each side of a token.
    pub merge: usize,
    /// The clean latent, standardised, `[cells, channels]`.
    pub latent: Vec<f32>,
    /// u8 RGB `[H, W, 3]`, even if [`super::Frame::image`] stays on a device.
    pub image: Vec<u8>,
    /// Attention weights of all tokens in the pass that wrote the frame to the cache; `None` if the
    /// engine does not report them.
    pub attention: Option<Attention>,
}

impl Inspection {
    /// Inspects the engine's last frame.
    pub(super) fn of(engine: &mut Sampler) -> Result<Self> {
        let attention = engine.attention()?;
        let (image, latent) = (engine.image()?.to_vec(), engine.latent()?.to_vec());
        let world = engine.world();
        Ok(Self {
            grid: world.grid(),
            channels: world.tokenizer.channels,
            merge: world.dynamics.merge,
            latent,
            image,
            attention,
        })
    }

    /// Index of the token that holds a latent cell.
    pub fn token(&self, cell: usize) -> usize {
        token_of_cell(cell, self.grid, self.merge)
    }

    /// Tokens that hold latent cells, along height and width. They are a frame's first tokens.
    pub fn tokens(&self) -> [usize; 2] {
        self.grid.map(|side| side / self.merge.max(1))
    }
}
