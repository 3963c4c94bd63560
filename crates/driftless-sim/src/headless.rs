//! Plays given actions without a window, as fast as possible.

use std::path::{Path, PathBuf};

use driftless_data::fs::read_text;
use driftless_data::layout::is_episode;
use driftless_data::{ActionSpec, Episode, PathError as _};
use driftless_engine::SamplerParams;

use super::{Frame, FrameImage, Player, Prediction, Session};
use crate::{Error, Result};

/// The most actions that a text file may hold.
const MAX_ACTIONS: usize = 1_000_000;

/// Plays `actions` from the starting clip with index `start`, whose last frame is frame 0 of the
/// episode. Calls `tick` after each action. When a simulator's episode has ended, the next action is
/// replaced by a restart.
///
/// # Errors
/// Returns an error if the start, an action or a parameter does not fit the world, if the recording
/// is full, or if the device fails.
pub fn play(
    player: &mut dyn Player,
    start: usize,
    actions: &[u32],
    params: &SamplerParams,
    tick: &mut dyn FnMut(),
) -> Result<Episode> {
    play_under(player, start, actions, &|_| *params, tick)
}

/// As [`play`], under the sampler parameters that `params` has for each frame.
///
/// # Errors
/// As [`play`].
pub fn play_under(
    player: &mut dyn Player,
    start: usize,
    actions: &[u32],
    params: &dyn Fn(usize) -> SamplerParams,
    tick: &mut dyn FnMut(),
) -> Result<Episode> {
    let mut session = Session::new(PathBuf::new());
    let mut record = |player: &mut dyn Player, number, action, params: &SamplerParams| {
        let frame = frame(player, number, start, action, params)?;
        match session.append(&frame, player)? {
            Some(full) => Err(Error::Full(full.to_string())),
            None => Ok(()),
        }
    };
    let mut number = 0;
    player.start(start, &params(0))?;
    record(player, number, 0, &params(0))?;
    for (t, &action) in actions.iter().enumerate() {
        let params = params(t + 1);
        if player.ground_truth().is_some_and(|truth| truth.ended) {
            player.start(start, &params)?;
            number = 0;
            record(player, number, 0, &params)?;
        } else {
            player.step(action, &params)?;
            number += 1;
            record(player, number, action, &params)?;
        }
        tick();
    }
    Ok(session.into_episode())
}

/// Checks that `frames` frames of `[height, width]` pixels after the starting one can be recorded.
///
/// # Errors
/// Returns an error that names the most frames.
pub fn check_frames(frames: usize, image: [usize; 2]) -> Result<()> {
    let most = Session::room(image).saturating_sub(1);
    if frames > most {
        let what = format!("--frames {frames}: expected at most {most} of this size");
        return Err(Error::Argument(what));
    }
    Ok(())
}

/// The player's last frame, without what only the window needs.
///
/// # Errors
/// Returns an error if the image cannot be read back from the device.
pub(super) fn frame(
    player: &mut dyn Player,
    number: u64,
    clip: usize,
    action: u32,
    params: &SamplerParams,
) -> Result<Frame> {
    Ok(Frame {
        number,
        clip,
        action,
        params: *params,
        prediction: Prediction {
            outcome: player.outcome().filter(|_| number > 0),
            score: 0.0,
        },
        ground_truth: player.ground_truth(),
        ..Frame::new(FrameImage::Bytes(player.image()?.into()))
    })
}

/// Reads actions from an episode (`.npz`, from its second frame on) or from a text file with lines
/// `NAME` or `NAME FRAMES`, where `#` begins a comment.
///
/// # Errors
/// Returns an error if the file cannot be read, if a line has another form, or if an action is not
/// among `known`.
pub fn read_actions(path: &Path, known: &[ActionSpec]) -> Result<Vec<u32>> {
    if is_episode(path) {
        read_episode_actions(path, known)
    } else {
        read_text_actions(path, known)
    }
}

fn read_episode_actions(path: &Path, known: &[ActionSpec]) -> Result<Vec<u32>> {
    let actions = Episode::read(path)?.actions;
    if let Some(action) = actions.iter().find(|&&a| a as usize >= known.len()) {
        let last = known.len().saturating_sub(1);
        let what = format!("array `action`: holds {action}, expected 0 to {last}");
        return Err(Error::invalid(path, what));
    }
    Ok(actions.into_iter().skip(1).collect())
}

fn read_text_actions(path: &Path, known: &[ActionSpec]) -> Result<Vec<u32>> {
    let text = read_text(path)?;
    let mut actions = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = |what: String| Error::invalid(path, format!("line {}: {what}", number + 1));
        let mut words = line
            .split('#')
            .next()
            .unwrap_or_default()
            .split_whitespace();
        let Some(name) = words.next() else {
            continue;
        };
        let action = known.iter().position(|a| a.name == name);
        let action = action.ok_or_else(|| {
            let known: Vec<&str> = known.iter().map(|a| a.name.as_str()).collect();
            wrong(format!(
                "unknown action '{name}', expected one of {}",
                known.join(", ")
            ))
        })?;
        let frames = match (words.next(), words.next()) {
            (None, _) => 1,
            (Some(count), None) => count
                .parse::<usize>()
                .ok()
                .filter(|&count| count <= MAX_ACTIONS)
                .ok_or_else(|| {
                    wrong(format!(
                        "'{count}' is not a number of frames, expected 0 to {MAX_ACTIONS}"
                    ))
                })?,
            _ => return Err(wrong("expected NAME or NAME FRAMES".into())),
        };
        let action = u32::try_from(action).unwrap_or(u32::MAX);
        if actions.len() + frames > MAX_ACTIONS {
            let what = format!("more than {MAX_ACTIONS} frames up to here");
            return Err(wrong(what));
        }
        actions.extend(std::iter::repeat_n(action, frames));
    }
    Ok(actions)
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_engine::testing::small_config as world;

    fn read(text: &str) -> Result<Vec<u32>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        read_actions(file.path(), &world().actions)
    }

    #[test]
    fn reads_names_counts_and_comments() {
        assert_eq!(
            read("up 2\n\n# a comment\ndown # once\nnoop 1").unwrap(),
            [1, 1, 2, 0]
        );
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            (
                "up\nleft 3",
                "line 2: unknown action 'left', expected one of noop, up, down",
            ),
            ("up many", "line 1: 'many' is not a number of frames"),
            ("up 1 2", "line 1: expected NAME or NAME FRAMES"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
