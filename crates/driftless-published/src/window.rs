//! What a published network is to a world: it sees the latents of a window of finished frames, and predicts the next.

use std::sync::Arc;
use std::time::{Duration, Instant};

use driftless_data::Action;
use driftless_engine::kernels::fastest_threads;

use crate::{Error, Result};

/// Colours of a pixel.
const COLOURS: usize = 3;
/// Runs that are timed with each number of threads.
const PROBES: usize = 3;

/// A finished frame as a network sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Its latent.
    pub latent: Vec<f32>,
    /// What led to it, in the network's own numbers.
    pub controls: Vec<f32>,
}

/// What a world has to know of its network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WindowInfo {
    /// Height and width of frames in pixels.
    pub image: [usize; 2],
    /// Numbers in a latent.
    pub latent_len: usize,
    /// Most frames of a window, the current one included.
    pub window: usize,
    /// Discrete actions, the idle one included.
    pub actions: usize,
    /// Axes.
    pub axes: usize,
}

impl WindowInfo {
    /// Bytes of a frame, u8 RGB.
    pub fn image_len(&self) -> usize {
        self.image[0] * self.image[1] * COLOURS
    }

    /// Checks the length of a latent.
    ///
    /// # Errors
    /// Returns an error if it is another.
    pub fn check_latent(&self, latent: &[f32]) -> Result<()> {
        let (len, expected) = (latent.len(), self.latent_len);
        if len == expected {
            return Ok(());
        }
        let what = format!("a latent of {len} numbers, expected {expected}");
        Err(Error::Argument(what))
    }

    /// Checks the size of a picture, u8 RGB.
    ///
    /// # Errors
    /// Returns an error if it is another.
    pub fn check_picture(&self, picture: &[u8]) -> Result<()> {
        let (len, expected, [height, width]) = (picture.len(), self.image_len(), self.image);
        if len == expected {
            return Ok(());
        }
        Err(Error::Argument(format!(
            "a picture of {len} bytes, expected {expected}: {height}×{width} in RGB"
        )))
    }

    /// Checks that frames of context fit and leave a place for the next one.
    ///
    /// # Errors
    /// Returns an error if there are too many frames, or if one does not fit.
    pub fn check_context(&self, context: &[Arc<Frame>]) -> Result<()> {
        if context.len() >= self.window {
            return Err(Error::Argument(format!(
                "{} frames of context, expected fewer than {}",
                context.len(),
                self.window
            )));
        }
        context
            .iter()
            .try_for_each(|frame| self.check_latent(&frame.latent))
    }
}

/// A network that predicts a frame from a window of finished ones.
pub trait WindowNetwork {
    /// Parameters of its sampler; the defaults are those of the published program.
    type Sampler: Copy + Default + PartialEq;

    /// What a world has to know of it.
    fn window(&self) -> WindowInfo;

    /// Number of threads.
    fn threads(&self) -> usize;

    /// Computes on so many threads from now on. The results do not depend on it.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started.
    fn set_threads(&mut self, threads: usize) -> Result<()>;

    /// Computes a part of itself on nothing, to be timed.
    fn probe(&mut self);

    /// Computes on as many threads as are fastest: twice as many, up to all cores, while that is at least 15 % faster.
    ///
    /// # Errors
    /// Returns an error if a thread cannot be started.
    fn set_fastest_threads(&mut self) -> Result<()> {
        let threads = fastest_threads(|threads| -> Result<Duration> {
            self.set_threads(threads)?;
            let mut least = Duration::MAX;
            // The first run finds nothing in the caches.
            for _ in 0..=PROBES {
                let started = Instant::now();
                self.probe();
                least = least.min(started.elapsed());
            }
            Ok(least)
        })?;
        self.set_threads(threads)
    }

    /// Checks the sampler's parameters.
    ///
    /// # Errors
    /// Returns an error that names the first that is out of its range.
    fn check(&self, sampler: &Self::Sampler) -> Result<()>;

    /// An action in the network's own numbers.
    fn controls(&self, action: &Action) -> Vec<f32>;

    /// The latents of pictures in a row, u8 RGB `[H, W, 3]` each.
    ///
    /// # Errors
    /// Returns an error if a picture has another size.
    fn encode_all(&mut self, pictures: &[&[u8]]) -> Result<Vec<Vec<f32>>>;

    /// Computes what the network keeps of finished frames, unless it is there.
    ///
    /// # Errors
    /// Returns an error if there are too many frames, or if one does not fit.
    fn see(&mut self, context: &[Arc<Frame>], sampler: &Self::Sampler) -> Result<()>;

    /// The latent of the frame that `controls` lead to after the frames of `context`. `initial` are the numbers that it
    /// starts from.
    ///
    /// # Errors
    /// Returns an error if an argument does not fit, or if the network predicts a number that is not finite.
    fn next_latent(
        &mut self,
        context: &[Arc<Frame>],
        controls: &[f32],
        sampler: &Self::Sampler,
        initial: Vec<f32>,
    ) -> Result<Vec<f32>>;

    /// The picture of a latent, `[H, W, 3]`; 0 is black and 1 is white, but values can lie outside.
    ///
    /// # Errors
    /// Returns an error if the latent has another length.
    fn decode(&mut self, latent: &[f32]) -> Result<Vec<f32>>;
}

/// How many frames at the beginning of a window are those that were seen before.
pub fn known_frames(seen: &[Arc<Frame>], context: &[Arc<Frame>]) -> usize {
    let pairs = seen.iter().zip(context);
    pairs.take_while(|(a, b)| Arc::ptr_eq(a, b)).count()
}
