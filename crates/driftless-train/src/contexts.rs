//! The starting contexts of a checkpoint: a few short clips of the training data.

use super::footage::{Footage, Labels};
use driftless_data::Clip;
use driftless_data::Result;

/// Clips that a checkpoint offers.
const CLIPS: usize = 8;

/// Up to eight clips of `frames` frames, from different episodes where there are so many.
///
/// Where the data says where the ball is (array `ball`), clips with the ball in sight are taken.
///
/// # Errors
/// The frames cannot be read.
pub(super) fn choose(footage: &Footage, frames: usize) -> Result<Vec<Clip>> {
    let known = footage.info.actions.len();
    let usable: Vec<_> = footage
        .episodes
        .iter()
        .filter(|episode| episode.frames() >= frames)
        .filter(|episode| episode.actions.iter().all(|&a| (a as usize) < known))
        .collect();
    let count = usable.len().min(CLIPS);
    (0..count)
        .map(|i| {
            let episode = usable[i * usable.len() / count];
            let start = start(episode, frames);
            footage.clip(episode, start..start + frames)
        })
        .collect()
}

/// The first start behind the middle whose clip shows the ball throughout, else the middle.
fn start(episode: &Labels, frames: usize) -> usize {
    let last = episode.frames() - frames;
    let middle = last / 2;
    let Some(seen) = &episode.ball else {
        return middle;
    };
    (middle..=last)
        .chain(0..middle)
        .find(|&at| {
            seen.get(at..at + frames)
                .is_some_and(|s| s.iter().all(|&x| x))
        })
        .unwrap_or(middle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn episode(frames: usize, ball: Option<std::ops::Range<usize>>) -> Labels {
        Labels {
            start: 0,
            actions: vec![0; frames],
            rewards: vec![0.0; frames],
            ends: vec![0.0; frames],
            ball: ball.map(|seen| (0..frames).map(|t| seen.contains(&t)).collect()),
        }
    }

    #[test]
    fn a_clip_shows_the_ball_where_the_data_says_where_it_is() {
        assert_eq!(start(&episode(40, None), 10), 15);
        assert_eq!(start(&episode(40, Some(22..40)), 10), 22);
        assert_eq!(start(&episode(40, Some(3..14)), 10), 3);
        assert_eq!(start(&episode(40, Some(3..9)), 10), 15);
    }
}
