//! What a capture is made from: a window, seen from outside. Each platform implements it in its own way.

use crate::{ChosenKey, Error, Key, KeySet, Result};

/// A window that can be captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowInfo {
    /// The display's number of the window.
    pub id: u32,
    /// The title.
    pub title: String,
    /// Width and height of its content in pixels.
    pub size: [u32; 2],
    /// The program that it belongs to; empty if it does not tell.
    pub process: String,
    /// The number of its process, if it tells.
    pub pid: Option<u32>,
}

/// A part of a window, in pixels from its upper left corner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Crop {
    /// Columns to the left of it.
    pub x: u32,
    /// Rows above it.
    pub y: u32,
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Crop {
    /// The part, or all of a window of this width and height.
    ///
    /// # Errors
    /// Returns an error if the part has no pixels, or is not inside the window.
    pub fn of_window(crop: Option<Self>, [width, height]: [u32; 2]) -> Result<Self> {
        let (x, y) = (0, 0);
        let whole = Self {
            x,
            y,
            width,
            height,
        };
        let crop = crop.unwrap_or(whole);
        let fits = |at: u32, length: u32, of: u32| {
            length > 0 && at.checked_add(length).is_some_and(|end| end <= of)
        };
        if fits(crop.x, crop.width, width) && fits(crop.y, crop.height, height) {
            return Ok(crop);
        }
        let what = format!(
            "the crop of {}×{} pixels at {},{} is not inside the window of {width}×{height} pixels",
            crop.width, crop.height, crop.x, crop.y
        );
        Err(Error::Argument(what))
    }
}

/// What to watch.
#[derive(Clone, Debug)]
pub struct SourceOptions {
    /// The display; `None` for that of the environment (`DISPLAY`).
    pub display: Option<String>,
    /// The window.
    pub window: WindowInfo,
    /// The part of it to record; `None` for all of it.
    pub crop: Option<Crop>,
    /// The keys to record. All others are dropped as they come.
    pub keys: Vec<Key>,
    /// Whether the mouse's motion is recorded.
    pub mouse: bool,
    /// The key that ends the capture, wherever it is pressed.
    pub stop_key: Option<Key>,
    /// The key that pauses the capture, wherever it is pressed.
    pub pause_key: Option<Key>,
}

impl SourceOptions {
    /// Checks that the keys that end and pause a capture are not recorded themselves.
    ///
    /// # Errors
    /// Returns an error that names the key.
    pub fn check(&self) -> Result<()> {
        let hotkeys = [("stop", self.stop_key), ("pause", self.pause_key)];
        for (what, key) in hotkeys {
            if let Some(key) = key.filter(|key| self.keys.contains(key)) {
                let what =
                    format!("the {what} key {key} is among the keys to record: choose another");
                return Err(Error::Argument(what));
            }
            if let Some(key) = key.filter(|key| key.button().is_some()) {
                return Err(Error::Argument(format!("{key} cannot be the {what} key")));
            }
        }
        match self.stop_key {
            Some(key) if self.pause_key == Some(key) => {
                Err(Error::Argument(format!("{key} cannot both stop and pause")))
            }
            _ => Ok(()),
        }
    }
}

/// A picture, u8 RGB `[height, width, 3]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Width in pixels.
    pub width: usize,
    /// Height in pixels.
    pub height: usize,
    /// The pixels, row by row.
    pub rgb: Vec<u8>,
}

/// Whether there is something to record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WindowState {
    /// The window has the keyboard's focus; the picture is of this moment.
    Focused,
    /// Another window has the focus, or this one is hidden. There is no picture.
    Unfocused,
    /// The window is gone.
    Closed,
    /// The window has this width and height now.
    Resized([u32; 2]),
}

/// A window at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Whether there is something to record.
    pub state: WindowState,
    /// The chosen keys that are down, and those that were pressed and released since the last moment, all in
    /// this window.
    pub held: KeySet,
    /// Motion of the mouse since the last moment, in its own units, to the right and down.
    pub mouse: [f32; 2],
    /// The stop key was pressed.
    pub stop: bool,
    /// How often the pause key was pressed.
    pub pauses: u32,
}

/// A window with its keys.
pub trait CaptureSource {
    /// Takes the picture of this moment, and the keys that belong to it.
    ///
    /// # Errors
    /// Returns an error if the display has gone.
    fn look(&mut self, picture: &mut Picture) -> Result<Moment>;
}

/// Chooses the window with this number (decimal, or hexadecimal with `0x`) or this title. A part of the title,
/// in any case, is enough if it is in no other.
///
/// # Errors
/// Returns an error if there is none or more than one, or if `wanted` is empty.
pub fn choose(windows: &[WindowInfo], wanted: &str) -> Result<WindowInfo> {
    if wanted.trim().is_empty() {
        let what =
            "the title of the window is empty, expected its title, a part of it, or its number";
        return Err(Error::Argument(what.into()));
    }
    let number = match wanted.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => wanted.parse().ok(),
    };
    let lower = wanted.to_lowercase();
    let by_number = |window: &&WindowInfo| Some(window.id) == number;
    let by_title = |window: &&WindowInfo| window.title == wanted;
    let by_part = |window: &&WindowInfo| window.title.to_lowercase().contains(&lower);
    let mut found: Vec<&WindowInfo> = windows.iter().filter(by_number).collect();
    if found.is_empty() {
        found = windows.iter().filter(by_title).collect();
    }
    if found.is_empty() {
        found = windows.iter().filter(by_part).collect();
    }
    match found.as_slice() {
        [window] => Ok((*window).clone()),
        [] => {
            let by = match number {
                Some(_) => "has the number",
                None => "is called",
            };
            let what = format!("no window {by} `{wanted}`; `driftless capture --list` shows all");
            Err(Error::Window(what))
        }
        several => {
            let ids: Vec<String> = several.iter().map(|w| format!("{:#x}", w.id)).collect();
            let what = format!(
                "{} windows are called `{wanted}`: choose one by its number, {}",
                several.len(),
                ids.join(" or ")
            );
            Err(Error::Window(what))
        }
    }
}

/// The keys of a list, without those that play them.
pub fn keys_of(chosen: &[ChosenKey]) -> Vec<Key> {
    chosen.iter().map(|one| one.key).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(id: u32, title: &str) -> WindowInfo {
        WindowInfo {
            id,
            title: title.into(),
            size: [64, 48],
            ..WindowInfo::default()
        }
    }

    #[test]
    fn windows_are_found_by_number_or_title() {
        let windows = [
            window(7, "Doom"),
            window(0x1f, "Doom launcher"),
            window(3, "7"),
        ];
        for (wanted, id) in [("Doom", 7), ("LAUNCH", 0x1f), ("7", 7), ("0x1F", 0x1f)] {
            assert_eq!(choose(&windows, wanted).unwrap().id, id, "{wanted}");
        }
        let error = choose(&windows, "doo").unwrap_err().to_string();
        assert!(
            error.contains("2 windows") && error.contains("0x7 or 0x1f"),
            "{error}"
        );
        for (wanted, expected) in [
            ("Quake", "no window is called `Quake`"),
            ("0x123", "no window has the number `0x123`"),
            ("", "the title of the window is empty"),
        ] {
            let error = choose(&windows, wanted).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn crops_stay_inside_the_window() {
        let crop = |x, y, width, height| {
            let crop = Crop {
                x,
                y,
                width,
                height,
            };
            Crop::of_window(Some(crop), [640, 480])
        };
        assert!(crop(600, 400, 40, 80).is_ok());
        for outside in [
            crop(600, 0, 41, 1),
            crop(0, 0, 0, 9),
            crop(u32::MAX, 0, 2, 1),
        ] {
            let error = outside.unwrap_err().to_string();
            assert!(
                error.contains("not inside the window of 640×480"),
                "{error}"
            );
        }
        assert_eq!(Crop::of_window(None, [640, 480]).unwrap().height, 480);
    }

    #[test]
    fn hotkeys_are_not_recorded() {
        let key = |name| Key::parse(name).unwrap();
        let mut options = SourceOptions {
            display: None,
            window: window(1, "a"),
            crop: None,
            keys: vec![key("Left"), key("F12")],
            mouse: false,
            stop_key: Some(key("F12")),
            pause_key: Some(key("F11")),
        };
        let error = options.check().unwrap_err().to_string();
        assert!(error.contains("stop key F12 is among the keys"), "{error}");
        options.stop_key = options.pause_key;
        assert!(options.check().is_err());
        options.stop_key = None;
        assert!(options.check().is_ok());
    }
}
