//! Plays given actions without a window, as fast as possible.

use std::path::{Path, PathBuf};

use driftless_data::fs::read_text;
use driftless_data::layout::is_episode;
use driftless_data::{Action, DatasetInfo, Episode, PathError as _};
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
    actions: &[Action],
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
    actions: &[Action],
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
    record(player, number, Action::IDLE, &params(0))?;
    for (t, &action) in actions.iter().enumerate() {
        let params = params(t + 1);
        if player.ground_truth().is_some_and(|truth| truth.ended) {
            player.start(start, &params)?;
            number = 0;
            record(player, number, Action::IDLE, &params)?;
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
    action: Action,
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
/// `NAME`, `NAME FRAMES` or, in a world with axes, `NAME FRAMES AXIS=VALUE …`, where `#` begins a comment.
/// An axis that a line does not name is at rest.
///
/// # Errors
/// Returns an error if the file cannot be read, if a line has another form, or if an action or an axis is
/// not one of the world's.
pub fn read_actions(path: &Path, world: &DatasetInfo) -> Result<Vec<Action>> {
    if is_episode(path) {
        read_episode_actions(path, world)
    } else {
        read_text_actions(path, world)
    }
}

fn read_episode_actions(path: &Path, world: &DatasetInfo) -> Result<Vec<Action>> {
    let actions = Episode::read(path)?.played();
    for (t, action) in actions.iter().enumerate() {
        let checked = action.check(world.actions.len(), world.axes.len());
        checked.map_err(|what| Error::invalid(path, format!("frame {t}: {what}")))?;
    }
    Ok(actions.into_iter().skip(1).collect())
}

fn read_text_actions(path: &Path, world: &DatasetInfo) -> Result<Vec<Action>> {
    let text = read_text(path)?;
    let mut actions = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let wrong = |what: String| Error::invalid(path, format!("line {}: {what}", number + 1));
        let line = line.split('#').next().unwrap_or_default();
        let Some((action, frames)) = read_line(line, world).map_err(wrong)? else {
            continue;
        };
        if actions.len() + frames > MAX_ACTIONS {
            let what = format!("more than {MAX_ACTIONS} frames up to here");
            return Err(wrong(what));
        }
        actions.extend(std::iter::repeat_n(action, frames));
    }
    Ok(actions)
}

/// An action and the number of its frames; `None` of an empty line.
fn read_line(
    line: &str,
    world: &DatasetInfo,
) -> std::result::Result<Option<(Action, usize)>, String> {
    let mut words = line.split_whitespace().peekable();
    let Some(name) = words.next() else {
        return Ok(None);
    };
    let index = world.actions.iter().position(|a| a.name == name);
    let index = index.ok_or_else(|| {
        let known: Vec<&str> = world.actions.iter().map(|a| a.name.as_str()).collect();
        format!(
            "unknown action '{name}', expected one of {}",
            known.join(", ")
        )
    })?;
    let mut action = Action::from(u32::try_from(index).unwrap_or(u32::MAX));
    let frames = match words.next_if(|word| !word.contains('=')) {
        None => 1,
        Some(count) => count
            .parse::<usize>()
            .ok()
            .filter(|&count| count <= MAX_ACTIONS)
            .ok_or_else(|| {
                format!("'{count}' is not a number of frames, expected 0 to {MAX_ACTIONS}")
            })?,
    };
    for word in words {
        let (name, value) = word
            .split_once('=')
            .ok_or("expected NAME, NAME FRAMES or NAME FRAMES AXIS=VALUE …")?;
        let axis = world.axes.iter().position(|axis| axis.name == name);
        let axis = axis.ok_or_else(|| format!("unknown axis '{name}'"))?;
        let value = value.parse().map_err(|_| {
            format!("'{value}' is not a number, expected -1 to 1 for the axis '{name}'")
        })?;
        // `check` keeps the number of axes within bounds.
        action.axes[axis] = value;
    }
    action.check(world.actions.len(), world.axes.len())?;
    Ok(Some((action, frames)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_engine::testing::small_config as world;

    fn read(text: &str) -> Result<Vec<Action>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut world = DatasetInfo::from(&world());
        world.axes = serde_json::from_str(r#"[{"name": "wheel"}, {"name": "gas"}]"#).unwrap();
        read_actions(file.path(), &world)
    }

    #[test]
    fn reads_axes() {
        let actions = read("up 2 wheel=-0.5 gas=1\nnoop gas=0.25").unwrap();
        let up = Action::with_axes(1, &[-0.5, 1.0]);
        assert_eq!(actions, [up, up, Action::with_axes(0, &[0.0, 0.25])]);
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
            ("up 1 2", "line 1: expected NAME, NAME FRAMES or"),
            ("up 1 horn=1", "line 1: unknown axis 'horn'"),
            ("up gas=full", "line 1: 'full' is not a number"),
            ("up gas=2", "line 1: axis 1 is 2, expected -1 to 1"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
