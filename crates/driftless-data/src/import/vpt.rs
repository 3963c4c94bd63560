//! OpenAI's VPT contractor recordings of Minecraft: `NAME.mp4` at 20 frames per second, and
//! `NAME.jsonl` with one line of JSON per frame.
//!
//! Line t holds the keys and buttons held while frame t was on screen, so it led to frame t + 1.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::actions::ActionMap;
use super::frame_resampler::FrameResampler;
use super::raw_action::RawAction;
use super::{ActionPairing, RawEpisode, RecordingSource, per_transition, video_decoder};
use crate::fs::read_text;
use crate::{Error, PathError as _, Result};

/// Frame rate of the recordings: Minecraft's tick rate.
const FPS: f32 = 20.0;
/// Allowed difference between the numbers of frames and lines; the longer one is truncated.
const MAX_LENGTH_DIFFERENCE: usize = 1;
/// The left mouse button. In some recordings it is stuck down from the start.
const LEFT_BUTTON: u32 = 0;

/// The recordings of a folder.
pub struct VptRecordings {
    videos: Vec<PathBuf>,
}

/// The parts of a `.jsonl` line that are used.
#[derive(Deserialize)]
struct VptTick {
    mouse: VptMouse,
    keyboard: VptKeyboard,
    /// Whether an inventory or a menu is open: the mouse then moves its cursor, not the view.
    #[serde(default, rename = "isGuiOpen")]
    is_gui_open: bool,
    /// The place of the held item, 0 to 8, which the number keys and the wheel change.
    #[serde(default)]
    hotbar: Option<u32>,
}

#[derive(Deserialize)]
struct VptMouse {
    dx: f64,
    dy: f64,
    /// Buttons held down: 0 left, 1 right, 2 middle.
    buttons: Vec<u32>,
    /// Buttons newly pressed in this line.
    #[serde(default, rename = "newButtons")]
    new_buttons: Vec<u32>,
}

#[derive(Deserialize)]
struct VptKeyboard {
    /// Keys held down, by Minecraft's names: `key.keyboard.w`.
    keys: Vec<String>,
}

impl VptRecordings {
    /// Lists the videos of a folder.
    ///
    /// # Errors
    /// Returns an error if the folder cannot be read or has no `.mp4` files.
    pub fn open(folder: &Path) -> Result<Self> {
        let videos = super::files_with_extension(folder, "mp4")?;
        if videos.is_empty() {
            let what =
                "holds no .mp4 file, expected videos, each with a .jsonl file of the same name";
            return Err(Error::invalid(folder, what));
        }
        Ok(Self { videos })
    }
}

impl RecordingSource for VptRecordings {
    fn fps(&self) -> Option<f32> {
        Some(FPS)
    }

    fn episode_names(&self) -> Vec<String> {
        super::file_names(&self.videos)
    }

    fn default_pairing(&self) -> ActionPairing {
        ActionPairing::TakenAt
    }

    fn default_action_map(&self) -> Result<ActionMap> {
        ActionMap::built_in("vpt.toml", include_str!("vpt.toml"))
    }

    fn read(
        &mut self,
        episode: usize,
        pairing: ActionPairing,
        frames: &mut FrameResampler,
    ) -> Result<RawEpisode> {
        let path = &self.videos[episode];
        let lines = path.with_extension("jsonl");
        let mut actions = read_actions(&lines)?;
        let line_count = actions.len();
        let complaint = video_decoder::read(path, frames)?;
        let frame_count = frames.received();
        if frame_count.abs_diff(line_count) > MAX_LENGTH_DIFFERENCE {
            let what = format!(
                "{frame_count} frames, but {line_count} lines in its .jsonl file; expected one per frame"
            );
            return Err(Error::invalid(path, what));
        }
        frames.truncate(line_count);
        actions.truncate(frame_count);
        Ok(RawEpisode {
            actions: per_transition(actions, pairing),
            rewards: Vec::new(),
            terminal: false,
            remarks: complaint.into_iter().collect(),
        })
    }
}

/// Reads the controls held in each line of a `.jsonl` file.
fn read_actions(path: &Path) -> Result<Vec<RawAction>> {
    let text = read_text(path)?;
    let mut ticks = Vec::new();
    let lines = text.lines().enumerate();
    for (number, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let tick: VptTick = serde_json::from_str(line)
            .map_err(|e| Error::invalid(path, format!("line {}: {e}", number + 1)))?;
        ticks.push(tick);
    }
    // A button reported as pressed in the first line is stuck until it is pressed again.
    let mut stuck = ticks
        .first()
        .is_some_and(|tick| tick.mouse.new_buttons == [LEFT_BUTTON]);
    let mut hotbar = ticks.first().and_then(|tick| tick.hotbar);
    let action = |(t, tick): (usize, VptTick)| {
        let VptTick {
            mouse, keyboard, ..
        } = tick;
        let selected = tick.hotbar.filter(|_| tick.hotbar != hotbar);
        hotbar = tick.hotbar.or(hotbar);
        stuck &= t == 0 || !mouse.new_buttons.contains(&LEFT_BUTTON);
        let buttons = mouse
            .buttons
            .iter()
            .filter(|&&button| !(stuck && button == LEFT_BUTTON));
        let pressed: BTreeSet<String> = buttons
            .map(|button| format!("mouse.{button}"))
            .chain(keyboard.keys)
            .chain(selected.map(|place| format!("hotbar.{}", place.saturating_add(1))))
            .collect();
        let moved = |distance: f64| if tick.is_gui_open { 0.0 } else { distance };
        let axes = BTreeMap::from([("mouse.dx", moved(mouse.dx)), ("mouse.dy", moved(mouse.dy))]);
        RawAction::Controls { pressed, axes }
    };
    Ok(ticks.into_iter().enumerate().map(action).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether the left button counts in each line; lines are (buttons, newButtons).
    fn left_button_held(lines: &[(&str, &str)]) -> Vec<bool> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let line = |(buttons, pressed): &(&str, &str)| {
            format!(
                r#"{{"mouse": {{"x": 0.0, "y": 0.0, "dx": 0.0, "dy": 0.0, "dwheel": 0.0, "buttons": {buttons},
                "newButtons": {pressed}}}, "keyboard": {{"keys": [], "newKeys": [], "chars": ""}}, "tick": 1}}"#
            )
            .replace('\n', "")
        };
        let text: Vec<String> = lines.iter().map(line).collect();
        std::fs::write(&path, text.join("\n")).unwrap();
        let held = |action: &RawAction| match action {
            RawAction::Controls { pressed, .. } => pressed.contains("mouse.0"),
            _ => false,
        };
        read_actions(&path).unwrap().iter().map(held).collect()
    }

    #[test]
    fn stuck_button_is_ignored_until_pressed() {
        let stuck = [("[0]", "[0]"), ("[0]", "[]"), ("[0]", "[0]"), ("[0]", "[]")];
        assert_eq!(left_button_held(&stuck), [false, false, true, true]);
        let pressed = [("[]", "[]"), ("[0]", "[0]"), ("[0]", "[]"), ("[]", "[]")];
        assert_eq!(left_button_held(&pressed), [false, true, true, false]);
    }

    #[test]
    fn open_inventory_does_not_turn_and_the_wheel_selects() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        let line = |open: bool, hotbar: u32| {
            serde_json::json!({
                "mouse": {"dx": 40.0, "dy": -3.0, "buttons": []},
                "keyboard": {"keys": []}, "isGuiOpen": open, "hotbar": hotbar,
            })
            .to_string()
        };
        // An empty line, as some tools leave it at the end.
        let lines = [line(false, 2), line(true, 2), line(false, 4), String::new()];
        std::fs::write(&path, lines.join("\n")).unwrap();
        let read = |action: &RawAction| match action {
            RawAction::Controls { pressed, axes } => (
                axes["mouse.dx"],
                pressed.iter().cloned().collect::<Vec<_>>(),
            ),
            other => panic!("{other}"),
        };
        let actions: Vec<_> = read_actions(&path).unwrap().iter().map(read).collect();
        let selected = vec!["hotbar.5".to_owned()];
        assert_eq!(actions, [(40.0, vec![]), (0.0, vec![]), (40.0, selected)]);
    }

    #[test]
    fn built_in_map_covers_keys_and_mouse() {
        let source = VptRecordings { videos: Vec::new() };
        let mut map = source.default_action_map().unwrap();
        let names: Vec<String> = map.actions().into_iter().map(|a| a.name).collect();
        let mut action_name = |pressed: &[&str], dx: f64| {
            let pressed = pressed.iter().map(|&key| key.to_string()).collect();
            let axes = BTreeMap::from([("mouse.dx", dx), ("mouse.dy", 0.0)]);
            names[map.index(&RawAction::Controls { pressed, axes }).unwrap() as usize].clone()
        };
        assert_eq!(action_name(&[], 0.0), "noop");
        assert_eq!(action_name(&["key.keyboard.w"], 0.0), "forward");
        assert_eq!(
            action_name(&["key.keyboard.w", "key.keyboard.space"], 50.0),
            "jump-forward"
        );
        assert_eq!(
            action_name(&["key.keyboard.w", "mouse.0"], -50.0),
            "turn-left"
        );
        assert_eq!(action_name(&["key.keyboard.w", "mouse.0"], 3.0), "attack");
        assert_eq!(action_name(&["key.keyboard.e"], 0.0), "noop");
    }

    #[test]
    fn invalid_json_line_is_reported() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, "{\"mouse\": 1}").unwrap();
        let message = read_actions(&path).unwrap_err().to_string();
        assert!(message.contains("a.jsonl: line 1: "), "{message}");
    }
}
