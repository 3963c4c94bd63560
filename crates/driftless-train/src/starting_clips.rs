//! Chooses the starting clips of a checkpoint: a few short clips of the training data.

use driftless_data::{Clip, Error, Result};

use super::frame_store::{EpisodeLabels, FrameStore};

/// Most clips in a checkpoint.
const CLIPS: usize = 8;

/// Up to eight clips of `frames` frames, from different episodes if there are enough.
///
/// If the data tells which frames are worth starting from, clips of such frames are preferred
/// ([`driftless_data::Episode::starting_frames`]).
///
/// # Errors
/// Returns an error if every episode is shorter, or the frames cannot be read.
pub(super) fn choose(store: &FrameStore, frames: usize) -> Result<Vec<Clip>> {
    let known = store.info.actions.len();
    let usable: Vec<_> = store
        .episodes
        .iter()
        .filter(|episode| episode.frames() >= frames)
        .filter(|episode| episode.actions.iter().all(|a| (a.index as usize) < known))
        .collect();
    if usable.is_empty() {
        let longest = store.episodes.iter().map(EpisodeLabels::frames).max();
        return Err(Error::Argument(format!(
            "episodes have {} frames at most, expected some of at least {frames}, the context of the dynamics",
            longest.unwrap_or(0)
        )));
    }
    let count = usable.len().min(CLIPS);
    (0..count)
        .map(|i| {
            let episode = usable[i * usable.len() / count];
            let start = start(episode, frames);
            store.clip(episode, start..start + frames)
        })
        .collect()
}

/// The first start from the middle on whose clip has only frames worth starting from; otherwise the
/// middle.
fn start(episode: &EpisodeLabels, frames: usize) -> usize {
    let last = episode.frames() - frames;
    let middle = last / 2;
    let Some(can_start) = &episode.can_start else {
        return middle;
    };
    (middle..=last)
        .chain(0..middle)
        .find(|&at| {
            can_start
                .get(at..at + frames)
                .is_some_and(|clip| clip.iter().all(|&frame| frame))
        })
        .unwrap_or(middle)
}

#[cfg(test)]
mod tests {
    use driftless_data::Action;

    use super::*;

    fn episode(frames: usize, worthwhile: Option<std::ops::Range<usize>>) -> EpisodeLabels {
        EpisodeLabels {
            poses: None,
            name: String::new(),
            start: 0,
            actions: vec![Action::IDLE; frames],
            rewards: vec![0.0; frames],
            ends: vec![0.0; frames],
            can_start: worthwhile.map(|range| (0..frames).map(|t| range.contains(&t)).collect()),
        }
    }

    #[test]
    fn clips_have_worthwhile_frames() {
        assert_eq!(start(&episode(40, None), 10), 15);
        assert_eq!(start(&episode(40, Some(22..40)), 10), 22);
        assert_eq!(start(&episode(40, Some(3..14)), 10), 3);
        assert_eq!(start(&episode(40, Some(3..9)), 10), 15);
    }
}
