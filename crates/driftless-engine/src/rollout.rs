//! Rollouts: after a starting clip of real frames, every frame is predicted from those before it.

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use driftless_data::{Action, Clip, Episode};

use crate::{Error, Result, Sampler, SamplerParams};

/// Predicts one frame per action after `clip`; u8 RGB `[actions, H, W, 3]`.
///
/// # Errors
/// Returns an error if the clip or an action does not match the world, or if the device fails.
pub fn rollout(
    engine: &mut Sampler,
    clip: &Clip,
    actions: &[Action],
    params: &SamplerParams,
) -> Result<Vec<u8>> {
    rollout_with_progress(engine, clip, actions, params, &mut || {})
}

/// As [`rollout`]; calls `tick` after each frame.
///
/// # Errors
/// As [`rollout`].
pub fn rollout_with_progress(
    engine: &mut Sampler,
    clip: &Clip,
    actions: &[Action],
    params: &SamplerParams,
    tick: &mut dyn FnMut(),
) -> Result<Vec<u8>> {
    engine.reset(clip, params)?;
    let mut images = Vec::with_capacity(actions.len() * engine.world().image_len());
    for &action in actions {
        engine.step(action, params)?;
        images.extend_from_slice(engine.image()?);
        tick();
    }
    Ok(images)
}

/// The frames of a clip as the world draws them: the first stays, each of the others is predicted from those
/// before it under the clip's actions, with the world's own sampler parameters; u8 RGB `[T, H, W, 3]`.
///
/// # Errors
/// As [`rollout`].
pub fn redraw(engine: &mut Sampler, clip: &Clip, seed: u64) -> Result<Vec<u8>> {
    let params = SamplerParams {
        seed,
        ..SamplerParams::of_world(engine.world())
    };
    let mut images = clip.images[..engine.world().image_len().min(clip.images.len())].to_vec();
    let first = Clip {
        images: images.clone(),
        actions: vec![Action::IDLE],
    };
    let rest = clip.actions.get(1..).unwrap_or_default();
    images.extend(rollout(engine, &first, rest, &params)?);
    Ok(images)
}

/// The actions in random order.
pub fn shuffle_actions(actions: &[Action], seed: u64) -> Vec<Action> {
    let mut shuffled = actions.to_vec();
    shuffled.shuffle(&mut ChaCha8Rng::seed_from_u64(seed));
    shuffled
}

/// Random actions below `kinds`, each held for 1 to 16 frames, with `axes` axes anywhere from −1 to 1.
pub fn random_held_actions(frames: usize, kinds: usize, axes: usize, seed: u64) -> Vec<Action> {
    const MAX_HELD: usize = 16;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut actions = Vec::with_capacity(frames);
    while actions.len() < frames {
        let mut action = Action::from(rng.random_range(0..kinds.max(1)) as u32);
        let held = rng.random_range(1..=MAX_HELD);
        for axis in action.axes.iter_mut().take(axes) {
            *axis = rng.random_range(-1.0..=1.0);
        }
        actions.extend(std::iter::repeat_n(
            action,
            held.min(frames - actions.len()),
        ));
    }
    actions
}

/// At most `count` indices of `0..total`: the middles of equal parts.
pub fn evenly_spaced(total: usize, count: usize) -> impl Iterator<Item = usize> {
    let count = count.min(total);
    (0..count).map(move |i| (2 * i + 1) * total / (2 * count))
}

/// Part of an episode: a starting clip, then the frames to predict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Index of the episode.
    pub episode: usize,
    /// First frame of the starting clip.
    pub start: usize,
}

/// At most `count` windows of `length` frames, spread evenly over the episodes.
///
/// # Errors
/// Returns an error if no episode is that long.
pub fn windows(episodes: &[Episode], length: usize, count: usize) -> Result<Vec<Window>> {
    windows_by_length(episodes.iter().map(Episode::frames), length, count)
}

/// [`windows`] of episodes that have these numbers of frames.
///
/// # Errors
/// Returns an error if no episode is that long.
pub fn windows_by_length(
    frames: impl Iterator<Item = usize>,
    length: usize,
    count: usize,
) -> Result<Vec<Window>> {
    let starts: Vec<usize> = frames
        .map(|frames| (frames + 1).saturating_sub(length))
        .collect();
    let total: usize = starts.iter().sum();
    if total == 0 {
        return Err(Error::Episodes(format!(
            "no episode has {length} frames (starting clip and horizon together)"
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
    Ok(evenly_spaced(total, count).filter_map(at).collect())
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
    fn shuffling_depends_on_the_seed() {
        let actions: Vec<Action> = (0..50).map(Action::from).collect();
        let first = shuffle_actions(&actions, 7);
        assert_eq!(first, shuffle_actions(&actions, 7));
        assert_ne!(first, shuffle_actions(&actions, 8));
        assert_ne!(first, actions);
        let mut sorted = first;
        sorted.sort_unstable_by_key(|action| action.index);
        assert_eq!(sorted, actions);
    }

    #[test]
    fn random_actions_are_held() {
        let actions = random_held_actions(1000, 3, 2, 1);
        assert_eq!(actions.len(), 1000);
        let plays = |index: u32| actions.iter().any(|action| action.index == index);
        assert!((0..3).all(plays));
        assert!(actions.iter().all(|action| action.check(3, 2).is_ok()));
        assert!(actions.iter().any(|action| action.axes[1] < -0.5));
        let changes = actions.windows(2).filter(|w| w[0] != w[1]).count();
        assert!((40..160).contains(&changes), "{changes} changes");
    }

    #[test]
    fn windows_spread_over_all_episodes() {
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
    fn too_long_windows_are_an_error() {
        assert_eq!(windows(&[episode(10)], 9, 50).unwrap().len(), 2);
        let error = windows(&[episode(10)], 11, 1).unwrap_err().to_string();
        assert!(error.contains("11 frames"), "{error}");
    }
}
