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

/// Checks that `frames` frames of `[height, width]` pixels after the starting one can be recorded, at least one.
///
/// # Errors
/// Returns an error that names the most frames.
pub fn check_frames(frames: usize, image: [usize; 2]) -> Result<()> {
    let most = Session::room(image).saturating_sub(1);
    if !(1..=most).contains(&frames) {
        let what = format!("--frames {frames}: expected 1 to {most} of this size");
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
/// A name may have spaces, and stand in double quotes. An axis that a line does not name is at rest.
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
    let (quoted, rest) = match line.trim_start().strip_prefix('"') {
        Some(text) => {
            let parts = text.split_once('"');
            let (name, rest) = parts.ok_or("a quote has no end, expected \"NAME\"")?;
            (Some(name), rest)
        }
        None => (None, line),
    };
    let rest = rest.split('#').next().unwrap_or_default();
    let words: Vec<&str> = rest.split_whitespace().collect();
    if words.is_empty() && quoted.is_none() {
        return Ok(None);
    }
    // Without quotes the first word belongs to the name, whatever it is.
    let own = usize::from(quoted.is_none());
    let last = words.iter().rposition(|word| !word.contains('='));
    let (words, axes) = words.split_at(last.map_or(own, |last| (last + 1).max(own)));
    let (index, frames) = match quoted {
        Some(name) => (action_index(name, world)?, given_frames(words)?),
        None => index_and_frames(words, world)?,
    };
    let mut action = Action::from(u32::try_from(index).unwrap_or(u32::MAX));
    for word in axes {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
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

/// The action of a name without quotes and its number of frames: the last word, if it is a number and the words before
/// it, if there are any, are an action's name.
fn index_and_frames(
    words: &[&str],
    world: &DatasetInfo,
) -> std::result::Result<(usize, usize), String> {
    let whole = words.join(" ");
    if let [before @ .., last] = words
        && !before.is_empty()
        && last.bytes().all(|byte| byte.is_ascii_digit())
    {
        let name = before.join(" ");
        let index = action_index(&name, world);
        if index.is_ok() || action_index(&whole, world).is_err() {
            return Ok((index?, given_frames(&[last])?));
        }
    }
    Ok((action_index(&whole, world)?, 1))
}

/// The number of the action with this name.
fn action_index(name: &str, world: &DatasetInfo) -> std::result::Result<usize, String> {
    let index = world.actions.iter().position(|a| a.name == name);
    index.ok_or_else(|| {
        let known: Vec<&str> = world.actions.iter().map(|a| a.name.as_str()).collect();
        format!(
            "unknown action '{name}', expected one of {}",
            known.join(", ")
        )
    })
}

/// The number of frames in the words after a name, 1 if there is none.
fn given_frames(words: &[&str]) -> std::result::Result<usize, String> {
    match words {
        [] => Ok(1),
        [count] => count
            .parse::<usize>()
            .ok()
            .filter(|&count| count <= MAX_ACTIONS)
            .ok_or_else(|| {
                format!("'{count}' is not a number of frames, expected 0 to {MAX_ACTIONS}")
            }),
        _ => Err("expected NAME, NAME FRAMES or NAME FRAMES AXIS=VALUE …".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_data::ActionSpec;
    use driftless_engine::testing::small_config as world;

    fn read(text: &str) -> Result<Vec<Action>> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let mut world = DatasetInfo::from(&world());
        let more = ["jump", "jump 1", "#1 left up"].map(|name| ActionSpec {
            name: name.to_owned(),
            keys: Vec::new(),
        });
        world.actions.extend(more);
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
    fn at_least_one_frame_is_played() {
        assert!(check_frames(1, [64, 64]).is_ok());
        for frames in [0, usize::MAX] {
            let error = check_frames(frames, [64, 64]).unwrap_err().to_string();
            assert!(error.contains("expected 1 to "), "{error}");
        }
    }

    #[test]
    fn names_have_spaces_and_quotes() {
        // As ever, the last word is the number of frames where that gives an action.
        let text = "jump 1\njump 1 2\n\"jump 1\"\n\"#1 left up\" 2 gas=1 # three\n \"up\"#";
        let actions = read(text).unwrap();
        let fifth = Action::with_axes(5, &[0.0, 1.0]);
        let plain = [3, 4, 4, 4].map(Action::from);
        let expected = [&plain[..], &[fifth, fifth, Action::from(1)]].concat();
        assert_eq!(actions, expected);
    }

    #[test]
    fn errors_name_the_line() {
        for (text, expected) in [
            (
                "up\nleft 3",
                "line 2: unknown action 'left', expected one of noop, up, down",
            ),
            ("up many", "line 1: unknown action 'up many'"),
            ("up 1 2", "line 1: unknown action 'up 1', expected one of"),
            ("up 9999999", "line 1: '9999999' is not a number of frames"),
            ("\"up\" 1 2", "line 1: expected NAME, NAME FRAMES or"),
            ("\"up\" many", "line 1: 'many' is not a number of frames"),
            ("\"up 1", "line 1: a quote has no end"),
            ("up 1 horn=1", "line 1: unknown axis 'horn'"),
            ("up gas=full", "line 1: 'full' is not a number"),
            ("up gas=2", "line 1: axis 1 is 2, expected -1 to 1"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
