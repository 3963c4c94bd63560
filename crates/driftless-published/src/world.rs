//! Plays a checkpoint's world: one frame after another from a starting clip.

use std::sync::Arc;
use std::time::Instant;

use driftless_data::{Action, Clip};
use driftless_engine::StageTimes;
use driftless_engine::noise::{self, NoisePurpose};

use crate::window::{Frame, WindowInfo, WindowNetwork};
use crate::{Error, Result};

/// How frames are drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WorldParams<S> {
    /// The sampler.
    pub sampler: S,
    /// Frames that the network sees, the current one included.
    pub window: usize,
    /// Frames by which a full window moves on. Whenever it moves, all of it is computed again.
    pub hop: usize,
    /// Standard deviation of the initial noise; 1 is that of the published program.
    pub temperature: f32,
    /// Frame n after a reset takes its noise from the address (seed, n).
    pub seed: u64,
}

impl<S: Default> WorldParams<S> {
    /// The published sampler with a window and a seed.
    pub fn seeded(window: usize, seed: u64) -> Self {
        Self {
            sampler: S::default(),
            window,
            hop: 1,
            temperature: 1.0,
            seed,
        }
    }
}

impl<S> WorldParams<S> {
    /// Checks the parameters, but those of the sampler, for windows of at most `most` frames.
    fn check(&self, most: usize) -> Result<()> {
        let refuse = |what: String| Err(Error::Argument(what));
        if !(1..=most).contains(&self.window) {
            let window = self.window;
            return refuse(format!("window {window}: expected 1 to {most} frames"));
        }
        if self.hop == 0 {
            return refuse("hop 0: expected at least 1 frame".into());
        }
        if !(self.temperature >= 0.0 && self.temperature.is_finite()) {
            return refuse(format!(
                "temperature {}: expected a finite number, at least 0",
                self.temperature
            ));
        }
        Ok(())
    }

    /// How many of `count` finished frames have left the window of the next one.
    fn first_of_window(&self, count: usize) -> usize {
        match (count + 1).checked_sub(self.window) {
            None | Some(0) => 0,
            Some(over) => over.next_multiple_of(self.hop).min(count),
        }
    }
}

/// Everything that the next frames depend on. Copies share their frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorldSnapshot {
    /// Frames since the reset.
    pub frame: u64,
    /// The frames in the window, oldest first; the last one is shown.
    pub frames: Vec<Arc<Frame>>,
    /// The last frame, u8 RGB `[H, W, 3]`.
    pub image: Arc<[u8]>,
}

impl WorldSnapshot {
    /// Approximate size in memory. Of the window only the newest frame is counted: the others are shared.
    pub fn bytes(&self) -> usize {
        let newest = self.frames.last().map_or(0, |frame| 4 * frame.latent.len());
        newest + self.image.len()
    }
}

/// A checkpoint's world between two frames.
pub struct World<N> {
    network: N,
    state: WorldSnapshot,
}

impl<N: WindowNetwork> World<N> {
    /// The world of a checkpoint. See [`Self::clear`].
    pub fn new(network: N) -> Self {
        let mut world = Self {
            network,
            state: WorldSnapshot::default(),
        };
        world.clear();
        world
    }

    /// Starts from nothing: a black picture is shown, but the network sees no frame before the first one, which is
    /// drawn from noise alone.
    pub fn clear(&mut self) {
        self.state = WorldSnapshot {
            frame: 0,
            frames: Vec::new(),
            image: vec![0; self.info().image_len()].into(),
        };
    }

    /// Sizes of the world.
    pub fn info(&self) -> WindowInfo {
        self.network.window()
    }

    /// The networks.
    pub fn network(&self) -> &N {
        &self.network
    }

    /// The networks, to change them.
    pub fn network_mut(&mut self) -> &mut N {
        &mut self.network
    }

    /// Starts from the last frames of a clip, whose actions led to its frames.
    ///
    /// # Errors
    /// Returns an error if the clip has no frames, or if frames or actions do not fit the world.
    pub fn reset(&mut self, clip: &Clip) -> Result<()> {
        let len = self.info().image_len();
        let frames: Vec<&[u8]> = clip.images.chunks_exact(len).collect();
        let whole = clip.images.len() == frames.len() * len && clip.actions.len() == frames.len();
        let Some(last) = frames.last().filter(|_| whole) else {
            let [height, width] = self.info().image;
            return Err(Error::Argument(format!(
                "a starting clip of {} bytes and {} actions, expected frames of {height}×{width} with an action each",
                clip.images.len(),
                clip.actions.len()
            )));
        };
        for action in &clip.actions {
            self.check_action(action)?;
        }
        // One place of the window is for the frame to be predicted.
        let skipped = (frames.len() + 1).saturating_sub(self.info().window);
        let latents = self.network.encode_all(&frames[skipped..])?;
        let actions = clip.actions[skipped..].iter();
        let window = latents.into_iter().zip(actions).map(|(latent, action)| {
            let controls = self.network.controls(action);
            Arc::new(Frame { latent, controls })
        });
        self.state = WorldSnapshot {
            frame: 0,
            frames: window.collect(),
            image: (*last).into(),
        };
        Ok(())
    }

    /// Predicts the next frame. Returns the times of its stages.
    ///
    /// # Errors
    /// Returns an error if the action or a parameter is out of its range, or if a number is not finite. The world is
    /// then as before.
    pub fn step(
        &mut self,
        action: &Action,
        params: &WorldParams<N::Sampler>,
    ) -> Result<StageTimes> {
        let info = self.info();
        params.check(info.window)?;
        self.network.check(&params.sampler)?;
        self.check_action(action)?;
        let frame = self.state.frame + 1;
        let context = &self.state.frames[params.first_of_window(self.state.frames.len())..];
        let (network, sampler) = (&mut self.network, &params.sampler);
        let started = Instant::now();
        network.see(context, sampler)?;
        let cache = started.elapsed();
        let mut initial = vec![0.0; info.latent_len];
        noise::fill(&mut initial, params.seed, frame, NoisePurpose::Initial);
        initial.iter_mut().for_each(|x| *x *= params.temperature);
        let controls = network.controls(action);
        let latent = network.next_latent(context, &controls, sampler, initial)?;
        let denoise = started.elapsed() - cache;
        let image = bytes(&network.decode(&latent)?);
        let mut frames = context.to_vec();
        frames.push(Arc::new(Frame { latent, controls }));
        self.state = WorldSnapshot {
            frame,
            frames,
            image: image.into(),
        };
        let decode = started.elapsed().saturating_sub(cache + denoise);
        Ok(StageTimes {
            denoise,
            cache,
            decode,
        })
    }

    fn check_action(&self, action: &Action) -> Result<()> {
        let WindowInfo { actions, axes, .. } = self.info();
        action.check(actions, axes).map_err(Error::Argument)
    }

    /// The last frame, u8 RGB `[H, W, 3]`.
    pub fn image(&self) -> &[u8] {
        &self.state.image
    }

    /// Everything that the next frames depend on.
    pub fn snapshot(&self) -> &WorldSnapshot {
        &self.state
    }

    /// Continues from a snapshot of this world.
    ///
    /// # Errors
    /// Returns an error if the snapshot is of another world.
    pub fn restore(&mut self, saved: &WorldSnapshot) -> Result<()> {
        let info = self.info();
        let fits = saved.image.len() == info.image_len()
            && saved
                .frames
                .iter()
                .all(|frame| frame.latent.len() == info.latent_len);
        if !fits {
            return Err(Error::Snapshot("the snapshot is of another world".into()));
        }
        self.state.clone_from(saved);
        Ok(())
    }
}

/// Bytes of a picture of which 0 is black and 1 is white, rounded down as the published program does.
fn bytes(picture: &[f32]) -> Vec<u8> {
    picture
        .iter()
        .map(|value| (value.clamp(0.0, 1.0) * 255.0) as u8)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_windows_move_by_a_hop() {
        let kept = |window, hop| {
            let params = WorldParams {
                hop,
                ..WorldParams::<()>::seeded(window, 0)
            };
            let mut count = 1;
            let mut next = || {
                count = count + 1 - params.first_of_window(count);
                count
            };
            [next(), next(), next(), next(), next(), next()]
        };
        // With the new frame, a window of four holds three before it.
        assert_eq!(kept(4, 1), [2, 3, 4, 4, 4, 4]);
        assert_eq!(kept(4, 3), [2, 3, 4, 2, 3, 4]);
        assert_eq!(kept(1, 1), [1, 1, 1, 1, 1, 1]);
        assert_eq!(kept(2, 9), [2, 1, 2, 1, 2, 1]);
    }
}
