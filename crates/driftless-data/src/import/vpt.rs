//! Videos with key presses beside them, as OpenAI's VPT contractors recorded Minecraft: `NAME.mp4`
//! at 20 frames a second, and `NAME.jsonl` with one line of JSON a frame.
//!
//! Line t holds what was down when frame t was on the screen, so it led to frame t + 1.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::actions::{ActionMap, Taken};
use super::film::Film;
use super::{Pairing, Recording, Source, between, video};
use crate::PathError as _;
use crate::{Error, Result};

/// The game's own pace, at which the recorder ran.
const FPS: f32 = 20.0;
/// By how many the frames of a video and the lines beside it may differ; the longer one is cut.
const SLACK: usize = 1;
/// The left mouse button, which some recordings hold down from the start though nobody does.
const ATTACK: u32 = 0;

/// The videos of a folder.
pub struct Contractors {
    videos: Vec<PathBuf>,
}

/// A line of the `.jsonl` file, as far as it matters here.
#[derive(Deserialize)]
struct Tick {
    mouse: Mouse,
    keyboard: Keyboard,
}

#[derive(Deserialize)]
struct Mouse {
    dx: f64,
    dy: f64,
    /// Buttons that are down: 0 left, 1 right, 2 middle.
    buttons: Vec<u32>,
    /// Those that were not down a line before.
    #[serde(default, rename = "newButtons")]
    pressed: Vec<u32>,
}

#[derive(Deserialize)]
struct Keyboard {
    /// Keys that are down, as Minecraft calls them: `key.keyboard.w`.
    keys: Vec<String>,
}

impl Contractors {
    /// Lists the videos of a folder.
    ///
    /// # Errors
    /// The folder cannot be read, or holds none.
    pub fn open(folder: &Path) -> Result<Self> {
        let videos = super::files(folder, "mp4")?;
        match videos.is_empty() {
            true => Err(Error::invalid(
                folder,
                "holds no .mp4 file, expected videos with a .jsonl file of the same name each",
            )),
            false => Ok(Self { videos }),
        }
    }
}

impl Source for Contractors {
    fn fps(&self) -> Option<f32> {
        Some(FPS)
    }

    fn episodes(&self) -> Vec<String> {
        super::names(&self.videos)
    }

    fn pairing(&self) -> Pairing {
        Pairing::TakenAt
    }

    fn default_actions(&self) -> Result<ActionMap> {
        ActionMap::built_in(include_str!("vpt.toml"))
    }

    fn read(&mut self, episode: usize, pairing: Pairing, film: &mut Film) -> Result<Recording> {
        let path = &self.videos[episode];
        let lines = path.with_extension("jsonl");
        let mut taken = ticks(&lines)?;
        let ticks = taken.len();
        video::read(path, film)?;
        let frames = film.seen();
        if frames.abs_diff(ticks) > SLACK {
            let what = format!(
                "{frames} frames, but {ticks} lines in the .jsonl file beside it; expected one a frame"
            );
            return Err(Error::invalid(path, what));
        }
        film.cut(ticks);
        taken.truncate(frames);
        Ok(Recording {
            steps: between(taken, pairing),
            rewards: Vec::new(),
            terminal: false,
        })
    }
}

/// What each line of a `.jsonl` file says was down.
fn ticks(path: &Path) -> Result<Vec<Taken>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let mut ticks = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let tick: Tick = serde_json::from_str(line)
            .map_err(|e| Error::invalid(path, format!("line {}: {e}", number + 1)))?;
        ticks.push(tick);
    }
    // Held from the first line on and not pressed again: nobody holds it.
    let mut stuck = ticks
        .first()
        .is_some_and(|tick| tick.mouse.pressed == [ATTACK]);
    let taken = |(t, tick): (usize, Tick)| {
        let Tick { mouse, keyboard } = tick;
        stuck &= t == 0 || !mouse.pressed.contains(&ATTACK);
        let buttons = mouse
            .buttons
            .iter()
            .filter(|&&button| !(stuck && button == ATTACK));
        let down: BTreeSet<String> = buttons
            .map(|button| format!("mouse.{button}"))
            .chain(keyboard.keys)
            .collect();
        let moved = BTreeMap::from([("mouse.dx", mouse.dx), ("mouse.dy", mouse.dy)]);
        Taken::Held { down, moved }
    };
    Ok(ticks.into_iter().enumerate().map(taken).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The buttons that count in each line, of (buttons, newly pressed).
    fn attacks(lines: &[(&str, &str)]) -> Vec<bool> {
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
        let attack = |taken: &Taken| match taken {
            Taken::Held { down, .. } => down.contains("mouse.0"),
            _ => false,
        };
        ticks(&path).unwrap().iter().map(attack).collect()
    }

    #[test]
    fn a_button_that_is_stuck_from_the_first_line_counts_once_it_is_pressed() {
        let stuck = [("[0]", "[0]"), ("[0]", "[]"), ("[0]", "[0]"), ("[0]", "[]")];
        assert_eq!(attacks(&stuck), [false, false, true, true]);
        let pressed = [("[]", "[]"), ("[0]", "[0]"), ("[0]", "[]"), ("[]", "[]")];
        assert_eq!(attacks(&pressed), [false, true, true, false]);
    }

    #[test]
    fn the_map_that_is_brought_along_knows_keys_buttons_and_the_mouse() {
        let source = Contractors { videos: Vec::new() };
        let mut map = source.default_actions().unwrap();
        let names: Vec<String> = map.actions().into_iter().map(|a| a.name).collect();
        let mut named = |down: &[&str], dx: f64| {
            let down = down.iter().map(|&key| key.to_string()).collect();
            let moved = BTreeMap::from([("mouse.dx", dx), ("mouse.dy", 0.0)]);
            names[map.index(&Taken::Held { down, moved }).unwrap() as usize].clone()
        };
        assert_eq!(named(&[], 0.0), "noop");
        assert_eq!(named(&["key.keyboard.w"], 0.0), "forward");
        assert_eq!(
            named(&["key.keyboard.w", "key.keyboard.space"], 50.0),
            "jump-forward"
        );
        assert_eq!(named(&["key.keyboard.w", "mouse.0"], -50.0), "turn-left");
        assert_eq!(named(&["key.keyboard.w", "mouse.0"], 3.0), "attack");
        assert_eq!(named(&["key.keyboard.e"], 0.0), "noop");
    }

    #[test]
    fn a_line_that_is_no_json_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, "{\"mouse\": 1}").unwrap();
        let said = ticks(&path).unwrap_err().to_string();
        assert!(said.contains("a.jsonl: line 1: "), "{said}");
    }
}
