//! What a model holds of a frame, for a person who looks into it.

use crate::Result;
use driftless_engine::{Attention, Engine};
use driftless_model::dynamics::token_of;

/// A frame as the model has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// Latent cells along height and width.
    pub grid: [usize; 2],
    /// Numbers of a cell.
    pub channels: usize,
    /// Cells along each side of a token.
    pub merge: usize,
    /// The clean latent, standardised, `[cells, channels]`.
    pub latent: Vec<f32>,
    /// u8 RGB `[H, W, 3]`, also where the frame's picture stays on a device.
    pub image: Vec<u8>,
    /// Where all tokens looked when the frame's keys and values were written; none of an engine that
    /// does not tell.
    pub attention: Option<Attention>,
}

impl Inspection {
    /// Of an engine's last frame.
    pub(super) fn of(engine: &mut dyn Engine) -> Result<Self> {
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

    /// The token that holds a cell.
    pub fn token(&self, cell: usize) -> usize {
        token_of(cell, self.grid, self.merge)
    }

    /// Tokens that hold cells, along height and width; they come first among a frame's tokens.
    pub fn tokens(&self) -> [usize; 2] {
        self.grid.map(|side| side / self.merge.max(1))
    }
}
