//! Rollouts: from real context frames on, every frame is predicted from the frames before it.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{Engine, SamplerParams};
use crate::{Error, Result};
use driftless_data::Clip;
use driftless_data::Episode;

/// Predicts one frame for each of `actions` after `context`; u8 RGB `[actions, H, W, 3]`.
///
/// # Errors
/// The context or an action does not fit the world, or the device failed.
pub fn rollout(
    engine: &mut dyn Engine,
    context: &Clip,
    actions: &[u32],
    params: &SamplerParams,
) -> Result<Vec<u8>> {
    engine.reset(context, params)?;
    let mut images = Vec::with_capacity(actions.len() * engine.world().image_len());
    for &action in actions {
        engine.step(action, params)?;
        images.extend_from_slice(engine.image()?);
    }
    Ok(images)
}

/// The same actions in another order.
pub fn shuffled(actions: &[u32], seed: u64) -> Vec<u32> {
    let mut shuffled = actions.to_vec();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    shuffled
}

/// Random actions below `kinds`, each held for 1 to 16 frames.
pub fn held_actions(frames: usize, kinds: usize, seed: u64) -> Vec<u32> {
    const LONGEST: usize = 16;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut actions = Vec::with_capacity(frames);
    while actions.len() < frames {
        let action = rng.random_range(0..kinds.max(1)) as u32;
        let held = rng.random_range(1..=LONGEST);
        actions.extend(std::iter::repeat_n(
            action,
            held.min(frames - actions.len()),
        ));
    }
    actions
}

/// At most `count` of `0..total`: the middles of equal parts.
pub fn evenly(total: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(total);
    (0..count).map(move |i| (2 * i + 1) * total / (2 * count))
}

/// A stretch of an episode: context frames, then the frames to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Index of the episode.
    pub episode: usize,
    /// First frame of the context.
    pub start: usize,
}

/// `count` windows of `length` frames, spread evenly over the episodes; fewer where fewer exist.
///
/// # Errors
/// No episode is that long.
pub fn windows(episodes: &[Episode], length: usize, count: usize) -> Result<Vec<Window>> {
    windows_of(episodes.iter().map(Episode::frames), length, count)
}

/// The same in episodes of these numbers of frames.
///
/// # Errors
/// No episode is that long.
pub fn windows_of(
    frames: impl Iterator<Item = usize>,
    length: usize,
    count: usize,
) -> Result<Vec<Window>> {
    let starts: Vec<usize> = frames
        .map(|frames| (frames + 1).saturating_sub(length))
        .collect();
    let total: usize = starts.iter().sum();
    if total == 0 {
        return Err(Error::Argument(format!(
            "no episode has {length} frames (context and horizon together)"
        )));
    }
    let at = |mut start: usize| {
        for (episode, &starts) in starts.iter().enumerate() {
            if start < starts {
                return Some(Window { episode, start });
            }
            start -= starts;
        }
        None
    };
    Ok(evenly(total, count).filter_map(at).collect())
}

#[cfg(test)]
mod tests {

    use std::collections::BTreeMap;

    use super::*;

    fn episode(frames: usize) -> Episode {
        Episode {
            height: 1,
            width: 1,
            images: vec![0; frames * 3],
            actions: vec![0; frames],
            rewards: vec![0.0; frames],
            extras: BTreeMap::new(),
        }
    }

    #[test]
    fn shuffling_keeps_the_actions_and_depends_on_the_seed_alone() {
        let actions: Vec<u32> = (0..50).collect();
        let first = shuffled(&actions, 7);
        assert_eq!(first, shuffled(&actions, 7));
        assert_ne!(first, shuffled(&actions, 8));
        assert_ne!(first, actions);
        let mut sorted = first;
        sorted.sort_unstable();
        assert_eq!(sorted, actions);
    }

    #[test]
    fn held_actions_are_known_ones_held_for_a_while() {
        let actions = held_actions(1000, 3, 1);
        assert_eq!(actions.len(), 1000);
        assert!((0..3).all(|action| actions.contains(&action)));
        assert!(actions.iter().all(|&action| action < 3));
        let changes = actions.windows(2).filter(|w| w[0] != w[1]).count();
        assert!((40..160).contains(&changes), "{changes} changes");
    }

    #[test]
    fn windows_spread_over_all_episodes_and_stay_inside() {
        let episodes = [episode(100), episode(5), episode(200)];
        let windows = windows(&episodes, 20, 8).unwrap();
        assert_eq!(windows.len(), 8);
        assert!(windows.iter().any(|w| w.episode == 0));
        assert!(windows.iter().any(|w| w.episode == 2));
        for w in &windows {
            assert!(w.start + 20 <= episodes[w.episode].frames(), "{w:?}");
        }
    }

    #[test]
    fn windows_are_at_most_all_there_are_and_none_is_an_error() {
        assert_eq!(windows(&[episode(10)], 9, 50).unwrap().len(), 2);
        let error = windows(&[episode(10)], 11, 1).unwrap_err().to_string();
        assert!(error.contains("11 frames"), "{error}");
    }
}
