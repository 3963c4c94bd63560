//! The sequences of a batch, as they are drawn from episodes.

use std::ops::RangeInclusive;

use rand::Rng;
use rand_chacha::ChaCha8Rng;

use driftless_data::Action;

use super::recalled::RecallDrawer;
use crate::context::RunContext;
use crate::frame_store::FrameStore;
use crate::{Error, Result};

/// The sequences of a step: how many frames each has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Length {
    pub frames: usize,
    /// Whether it is the long one of the settings.
    pub is_long: bool,
}

/// B sequences of T frames, one after another.
#[derive(Default)]
pub(super) struct Sequences<'a> {
    /// First frame of each among all frames of the data, `[B]`.
    pub starts: Vec<usize>,
    /// Latents, f32 in native byte order, `[B, T, gh, gw, c]`.
    pub latents: Vec<u8>,
    /// `[B, T]`.
    pub actions: Vec<Action>,
    /// `[B, T]`.
    pub rewards: Vec<f32>,
    /// 1 if the frame ends its episode, else 0; `[B, T]`.
    pub ends: Vec<f32>,
    /// What they recall, if the world has a memory.
    pub recalled: Option<RecallDrawer<'a>>,
    /// What each is predicted from, `[B]`.
    pub histories: Vec<History>,
}

/// What a sequence is predicted from.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct History {
    /// The first frames, which are only remembered.
    pub prefix: usize,
    /// The signal level of a context that is too noisy to predict from.
    pub noisy: Option<f32>,
}

impl History {
    /// The signal level of frame `at` in the context, if it is noisy.
    pub fn noisy_at(self, at: usize) -> Option<f32> {
        self.noisy.filter(|_| at >= self.prefix)
    }
}

/// What a sequence of `frames` frames is predicted from; `by_pose` if it recalls frames by their poses.
pub(super) fn draw_history(
    run: &RunContext,
    by_pose: bool,
    frames: usize,
    rng: &mut ChaCha8Rng,
) -> History {
    let s = &run.settings.dynamics;
    let mut history = History::default();
    let mut noisy_fraction = if by_pose {
        s.memory.noisy_context_fraction
    } else {
        0.0
    };
    if run.world.dynamics.delta_state {
        let most = s.delta_state.max_prefix_fraction * frames as f64;
        history.prefix = (most * rng.random::<f64>()) as usize;
        if history.prefix > 0 {
            noisy_fraction = noisy_fraction.max(s.delta_state.noisy_context_fraction);
        }
    }
    if noisy_fraction > 0.0 && rng.random_bool(noisy_fraction) {
        history.noisy = Some(s.min_context_signal as f32 * rng.random::<f32>());
    }
    history
}

/// (episode, start) of every window of `frames` frames.
///
/// # Errors
/// Returns an error if there is none.
pub(super) fn find_windows(store: &FrameStore, frames: usize) -> Result<Vec<(usize, usize)>> {
    let episodes = store.episodes.iter().enumerate();
    let windows: Vec<_> = episodes
        .flat_map(|(i, episode)| {
            let starts = (episode.frames() + 1).saturating_sub(frames);
            (0..starts).map(move |start| (i, start))
        })
        .collect();
    if windows.is_empty() {
        return Err(Error::Episodes(format!(
            "no episode has {frames} frames, the sequence length of the settings"
        )));
    }
    Ok(windows)
}

/// Starts of the windows of `length` frames, within an episode of `frames` frames, in which frame `at`
/// comes after the first `untrained` frames; `None` if there is none.
pub(super) fn starts_around(
    at: usize,
    frames: usize,
    length: usize,
    untrained: usize,
) -> Option<RangeInclusive<usize>> {
    let latest = at.checked_sub(untrained)?;
    let starts = (at + 1).saturating_sub(length)..=latest.min(frames.checked_sub(length)?);
    (!starts.is_empty()).then_some(starts)
}

/// (episode, start) of windows of `frames` frames that have no frame in common: as many as fit, each episode's from a random
/// frame on.
pub(super) fn separate_windows(
    store: &FrameStore,
    frames: usize,
    rng: &mut ChaCha8Rng,
) -> Vec<(usize, usize)> {
    let mut windows = Vec::new();
    for (i, episode) in store.episodes.iter().enumerate() {
        let count = episode.frames() / frames;
        if count > 0 {
            let first = rng.random_range(0..=episode.frames() % frames);
            windows.extend((0..count).map(|window| (i, first + window * frames)));
        }
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_train_on_the_hard_frame() {
        // Ten frames, windows of four, of which the first is not trained on.
        let starts = |at| starts_around(at, 10, 4, 1);
        assert_eq!(starts(5), Some(2..=4));
        assert_eq!(starts(9), Some(6..=6));
        assert_eq!(starts(1), Some(0..=0));
        assert_eq!(starts(0), None);
        assert_eq!(starts_around(2, 3, 4, 1), None);
    }
}
