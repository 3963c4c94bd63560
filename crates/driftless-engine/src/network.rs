//! What an engine asks of a world's networks, pass by pass or a whole frame at once.

use std::sync::Arc;

use super::{Attention, Painting, StageTimes};
use crate::{Error, Result};

/// What all passes over one frame share.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The `stem_frames` frames before, as they are kept, latest first: `[cells, stem_frames · c]`.
    pub past: &'a [f32],
    /// Frames since the reset.
    pub frame: u64,
    /// Earlier frames that time attention sees.
    pub seen: usize,
}

/// What one pass asks.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    /// z_τ, `[cells, channels]`.
    pub z: &'a [f32],
    /// Signal level τ.
    pub signal: f32,
    /// Index of the step size.
    pub step: u32,
    /// The action that leads to the frame, or [`WorldConfig::unknown_action`].
    pub action: u32,
}

/// One step of shortcut sampling: a pass, and z ← keep · z + take · (what the network puts out).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// Signal level τ of the pass.
    pub signal: f32,
    /// Share of z.
    pub keep: f32,
    /// Share of the network's output.
    pub take: f32,
}

/// A frame from noise to pixels, for a network that can do all of it on its own device.
#[derive(Clone, Copy, Debug)]
pub struct Whole<'a> {
    /// Frames since the reset.
    pub frame: u64,
    /// Earlier frames that time attention sees.
    pub seen: usize,
    /// The action that leads to the frame.
    pub action: u32,
    /// Seed of its noise.
    pub seed: u64,
    /// Factor of the starting noise.
    pub temperature: f32,
    /// The steps, in order.
    pub shares: &'a [Share],
    /// Index of their size.
    pub step: u32,
    /// Signal level of the frame as context, and the shares α of the clean latent and σ of noise.
    pub context: [f32; 3],
}

/// What is brought back of a frame that was made on a device.
#[derive(Debug)]
pub struct Copies<'a> {
    /// The clean latent, `[cells, channels]`.
    pub latent: &'a mut [f32],
    /// The frames before the next one, as [`Moment::past`].
    pub past: &'a mut [f32],
    /// u8 RGB `[H, W, 3]`.
    pub image: &'a mut [u8],
}

/// What [`Network::frame`] makes.
#[derive(Debug, Default)]
pub struct Made {
    /// The picture as a texture, where it stays on the device.
    pub painting: Option<Arc<Painting>>,
    /// What is predicted beside the picture, where the network has a head for it.
    pub outcome: Option<Outcome>,
    /// Time spent in each stage, where the device tells it.
    pub times: StageTimes,
}

/// What a network predicts of a frame beside its picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Outcome {
    /// The reward that comes with the frame.
    pub reward: f32,
    /// The probability that the frame ends its episode.
    pub end: f32,
}

impl Outcome {
    /// Whether the end is as likely as not, or more.
    pub fn ends(self) -> bool {
        self.end >= 0.5
    }

    /// From what the head puts out: a reward and a logit.
    pub(super) fn new([reward, logit]: [f32; 2]) -> Self {
        Self {
            reward,
            end: 1.0 / (1.0 + (-logit).exp()),
        }
    }
}

/// The networks of a world with their cache of earlier frames' keys and values.
pub trait Network: Send {
    /// A short name for people.
    fn name(&self) -> &str;

    /// Turns to a frame; the passes after it are about this frame.
    ///
    /// # Errors
    /// The device failed.
    fn begin(&mut self, moment: &Moment) -> Result<()>;

    /// What the dynamics puts out (x̂, v̂ or ε̂), `[cells, channels]`; leaves the cache as it is.
    ///
    /// # Errors
    /// The device failed.
    fn denoise(&mut self, ask: &Ask, x: &mut [f32]) -> Result<()>;

    /// Writes the frame's keys and values into the cache, where they replace the oldest frame's;
    /// the frame's outcome, where the network has a head for it.
    ///
    /// # Errors
    /// The device failed.
    fn cache(&mut self, ask: &Ask) -> Result<Option<Outcome>>;

    /// Whether [`Network::attention`] is kept from the next [`Network::cache`] on.
    fn inspect(&mut self, _on: bool) {}

    /// Where tokens looked in the last [`Network::cache`]; none while not asked for, after
    /// [`Network::load`], and of a network that does not tell.
    ///
    /// # Errors
    /// The device failed.
    fn attention(&mut self) -> Result<Option<Attention>> {
        Ok(None)
    }

    /// Whether [`Network::frame`] makes frames of so many steps; others go pass by pass.
    fn makes_frames(&self, _steps: usize) -> bool {
        false
    }

    /// Whether [`Network::frame`] can paint.
    fn paints(&self) -> bool {
        false
    }

    /// Tells the frames before the next one, as [`Moment::past`]; [`Network::frame`] moves them on by
    /// itself.
    fn put_past(&mut self, _past: &[f32]) {}

    /// Makes a whole frame, its cache entry included; brings back what `copies` has room for, or paints.
    /// After an error the cache is as before.
    ///
    /// # Errors
    /// The device failed, or the network's prediction is not finite.
    fn frame(&mut self, _whole: &Whole, _copies: Option<Copies>) -> Result<Made> {
        Err(Error::Argument("this network makes no whole frames".into()))
    }

    /// Brings back the last whole frame, which stays on the device until something else is asked.
    ///
    /// # Errors
    /// The device failed.
    fn fetch(&mut self, _copies: Copies) -> Result<()> {
        Err(Error::Argument("this network makes no whole frames".into()))
    }

    /// u8 RGB frames `[T, H, W, 3]` → latents `[T, cells, channels]`.
    ///
    /// # Errors
    /// The device failed.
    fn encode(&mut self, images: &[u8], latents: &mut [f32]) -> Result<()>;

    /// Latents `[T, cells, channels]` → u8 RGB frames `[T, H, W, 3]`.
    ///
    /// # Errors
    /// The device failed.
    fn decode(&mut self, latents: &[f32], images: &mut [u8]) -> Result<()>;

    /// Copies the cache into `out`, `[time layers, 2, context − 1, tokens, width]`: of each layer
    /// the normalised keys, then the values.
    ///
    /// # Errors
    /// The device failed.
    fn save(&self, out: &mut [f32]) -> Result<()>;

    /// The inverse of [`Network::save`].
    ///
    /// # Errors
    /// The device failed.
    fn load(&mut self, cache: &[f32]) -> Result<()>;
}
