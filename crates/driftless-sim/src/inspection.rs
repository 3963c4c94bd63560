//! The model's internal state for one frame: denoising passes, latent, attention and memory.

use driftless_data::Pose;
use driftless_engine::{Attention, KeptFrame, Sampler};
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

/// A frame that a long-term memory keeps.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KeptFrameView {
    /// Where it was seen from.
    pub pose: Pose,
    /// Whether it was predicted, rather than given.
    pub predicted: bool,
}

/// A frame that was recalled.
#[derive(Clone, Debug, PartialEq)]
pub struct RecalledFrame {
    /// Where it was seen from.
    pub pose: Pose,
    /// How many frames ago.
    pub age: u64,
    /// u8 RGB `[H, W, 3]`.
    pub image: Vec<u8>,
}

/// What a world's long-term memory holds, and what it recalled for a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryView {
    /// The camera's pose in the frame, by dead reckoning from zero.
    pub pose: Pose,
    /// How far the camera sees, in the units of poses, and its field of view in degrees.
    pub reach: f32,
    /// See `reach`.
    pub field_of_view: f32,
    /// All frames that are kept.
    pub kept: Vec<KeptFrameView>,
    /// The recalled ones, best first.
    pub recalled: Vec<RecalledFrame>,
}

impl MemoryView {
    /// The memory after the engine's last frame; `None` if the world has none.
    fn of(engine: &mut Sampler) -> Result<Option<Self>> {
        let (now, image_len) = (engine.frame(), engine.world().image_len());
        let Some(memory) = engine.memory() else {
            return Ok(None);
        };
        let Some(config) = &engine.world().dynamics.memory else {
            return Ok(None);
        };
        let mut view = Self {
            pose: memory.pose(),
            reach: config.reach,
            field_of_view: config.field_of_view,
            kept: memory
                .kept()
                .map(|frame| KeptFrameView {
                    pose: frame.pose,
                    predicted: frame.predicted,
                })
                .collect(),
            recalled: memory
                .recalled()
                .map(|frame| RecalledFrame {
                    pose: frame.pose,
                    age: now.saturating_sub(frame.frame + 1),
                    image: Vec::new(),
                })
                .collect(),
        };
        let latents: Vec<f32> = memory.recalled().flat_map(KeptFrame::latent).collect();
        let images = engine.decode(&latents)?;
        for (frame, image) in view.recalled.iter_mut().zip(images.chunks(image_len)) {
            frame.image = image.to_vec();
        }
        Ok(Some(view))
    }
}

/// Latent, image, attention and memory of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Inspection {
    /// Latent cells along height and width.
    pub grid: [usize; 2],
    /// Channels of a latent cell.
    pub channels: usize,
    /// Latent cells along each side of a token.
    pub merge: usize,
    /// The clean latent, standardized, `[cells, channels]`.
    pub latent: Vec<f32>,
    /// u8 RGB `[H, W, 3]`, even if [`super::Frame::image`] stays on a device.
    pub image: Vec<u8>,
    /// Attention weights of all tokens in the pass that wrote the frame to the cache; `None` if the
    /// engine does not report them.
    pub attention: Option<Attention>,
    /// Of a world with a long-term memory.
    pub memory: Option<MemoryView>,
    /// Of a world with delta states, their norms: a row for each layer that has them, a number for each
    /// head.
    pub state_norms: Option<Vec<Vec<f32>>>,
}

impl Inspection {
    /// Inspects the engine's last frame.
    pub(super) fn of(engine: &mut Sampler) -> Result<Self> {
        let attention = engine.attention()?;
        let (image, latent) = (engine.image()?.to_vec(), engine.latent()?.to_vec());
        let memory = MemoryView::of(engine)?;
        let state_norms = engine.delta_state_norms()?;
        let world = engine.world();
        Ok(Self {
            grid: world.grid(),
            channels: world.tokenizer.channels,
            merge: world.dynamics.merge,
            latent,
            image,
            attention,
            memory,
            state_norms,
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
