//! The user's settings and their file.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use toml::Table;

use driftless_data::PathError as _;
use driftless_data::fs::{read_source, read_text, write_atomic};

use super::keys::Bindings;
use super::present::Scaling;
use super::presets::SamplerPreset;
use super::settings_merge;
use super::theme::Appearance;
use crate::{Error, Result};

/// Environment variable that overrides the settings folder.
const FOLDER: &str = "DRIFTLESS_CONFIG";
const FILE: &str = "settings.toml";
/// The file format version.
const VERSION: i64 = 1;
/// Largest accepted file in bytes.
const MAX_BYTES: u64 = 16 << 20;
/// Delay between a change and writing the file, so that changes are collected.
pub(super) const AUTOSAVE_DELAY: Duration = Duration::from_secs(1);
/// Minimum and maximum interface scale.
pub(super) const SCALE_RANGE: (f32, f32) = (0.5, 3.0);
/// Minimum and maximum mouse sensitivity.
pub(super) const SENSITIVITY_RANGE: (f32, f32) = (0.1, 5.0);

/// All settings. Keys missing from the file take their defaults.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct UserConfig {
    version: i64,
    #[serde(rename = "look")]
    pub appearance: Appearance,
    /// Interface scale factor.
    pub scale: f32,
    /// Whether the performance overlay is shown.
    pub hud: bool,
    /// Whether the window shows its instruments, and not only the game.
    pub lab: bool,
    /// Whether the Tuning panel is open in the lab; `None` decides by the window's width.
    pub tuning: Option<bool>,
    pub scaling: Scaling,
    /// Whether pictures in lists stand still, and nothing slides or fades.
    pub reduced_motion: bool,
    /// Worlds whose welcome card was dismissed.
    pub welcomed: BTreeSet<String>,
    /// Where the window was when it was closed.
    pub window: Option<WindowPlace>,
    pub mouse: MouseConfig,
    pub gamepad: GamepadConfig,
    /// The user's key bindings, by world name.
    pub keys: BTreeMap<String, Bindings>,
    /// The user's presets, by name.
    pub presets: BTreeMap<String, SamplerPreset>,
}

/// Place and size of the window on the screen, in points.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct WindowPlace {
    /// Width and height of the content.
    pub size: [f32; 2],
    /// The upper left corner, where the system tells it.
    pub corner: Option<[f32; 2]>,
    pub maximized: bool,
    pub full_screen: bool,
}

impl WindowPlace {
    /// Whether a window can be opened there: the numbers are finite and of a plausible size.
    fn is_valid(&self) -> bool {
        let plausible = |side: &f32| (100.0..=20_000.0).contains(side);
        let corner = self.corner.unwrap_or_default();
        self.size.iter().all(plausible) && corner.iter().all(|at| at.abs() <= 40_000.0)
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct MouseConfig {
    /// Factor on mouse motion.
    pub sensitivity: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct GamepadConfig {
    pub on: bool,
    /// Custom keys, by button name.
    pub buttons: BTreeMap<String, String>,
}

impl Default for UserConfig {
    fn default() -> Self {
        Self {
            version: VERSION,
            appearance: Appearance::default(),
            scale: 1.0,
            hud: false,
            lab: false,
            tuning: None,
            window: None,
            scaling: Scaling::default(),
            reduced_motion: false,
            welcomed: BTreeSet::new(),
            mouse: MouseConfig::default(),
            gamepad: GamepadConfig::default(),
            keys: BTreeMap::new(),
            presets: BTreeMap::new(),
        }
    }
}

impl Default for MouseConfig {
    fn default() -> Self {
        Self { sensitivity: 1.0 }
    }
}

impl Default for GamepadConfig {
    fn default() -> Self {
        Self {
            on: true,
            buttons: BTreeMap::new(),
        }
    }
}

impl UserConfig {
    /// Parses a file. Ignores unknown keys and clamps numbers to their ranges.
    ///
    /// # Errors
    /// Returns a one-line message if the text is invalid or has another version.
    fn read(text: &str) -> std::result::Result<Self, String> {
        let line = |error: toml::de::Error| error.message().replace('\n', " ");
        let table: Table = text.parse().map_err(line)?;
        let version = match table.get("version") {
            None => VERSION,
            Some(value) => value
                .as_integer()
                .ok_or_else(|| format!("`version` is {value}, expected a whole number"))?,
        };
        // No older version exists to migrate from.
        if version != VERSION {
            return Err(format!(
                "`version` is {version}, expected {VERSION}: written by another version of driftless"
            ));
        }
        let mut config: Self = table.try_into().map_err(line)?;
        let within = |value: f32, (min, max): (f32, f32)| {
            if value.is_finite() {
                value.clamp(min, max)
            } else {
                1.0
            }
        };
        config.window = config.window.filter(WindowPlace::is_valid);
        config.scale = within(config.scale, SCALE_RANGE);
        config.mouse.sensitivity = within(config.mouse.sensitivity, SENSITIVITY_RANGE);
        Ok(config)
    }
}

/// Checks the text of a settings file, as the window does at its start.
///
/// # Errors
/// Returns a one-line message if the text is invalid or has another version.
pub fn check_settings(text: &str) -> std::result::Result<(), String> {
    UserConfig::read(text).map(drop)
}

/// The settings and the file they are stored in.
pub(super) struct ConfigStore {
    pub config: UserConfig,
    /// `None` if nothing may be written.
    path: Option<PathBuf>,
    /// The settings last written, or tried to.
    written: UserConfig,
    /// The settings of which the file knows.
    stored: UserConfig,
    /// When the settings first differed from `written`.
    changed: Option<Instant>,
}

impl ConfigStore {
    /// Loads the user's settings from the folder named by [`FOLDER`], else from the platform's. Also
    /// returns a notice about the file, if any.
    pub fn find() -> (Self, Option<String>) {
        let named = std::env::var_os(FOLDER).filter(|name| !name.is_empty());
        let platform = || {
            let folders = directories::ProjectDirs::from("", "", "driftless")?;
            Some(folders.config_dir().to_path_buf())
        };
        match named.map(PathBuf::from).or_else(platform) {
            Some(folder) => Self::open(folder.join(FILE)),
            None => (
                Self::new(UserConfig::default(), None),
                Some(format!(
                    "Settings cannot be saved: no settings folder found, set {FOLDER}"
                )),
            ),
        }
    }

    /// Loads a settings file, which need not exist yet. Sets a broken or newer file aside.
    fn open(path: PathBuf) -> (Self, Option<String>) {
        // Writing must not replace a symbolic link.
        let path = path.canonicalize().unwrap_or(path);
        let text = match read_source(&path, MAX_BYTES) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned()),
            Err(driftless_data::Error::Io { source, .. })
                if source.kind() == ErrorKind::NotFound =>
            {
                Ok(String::new())
            }
            Err(what) => {
                let notice = format!("Cannot read settings, and will not save them: {what}");
                return (Self::new(UserConfig::default(), None), Some(notice));
            }
        };
        match text.and_then(|text| UserConfig::read(&text)) {
            Ok(config) => (Self::new(config, Some(path)), None),
            Err(why) => {
                let (saved_path, notice) = match set_aside(&path) {
                    Ok(backup) => (
                        Some(path.clone()),
                        format!("the old file was renamed to {}", backup.display()),
                    ),
                    Err(error) => (None, format!("changes will not be saved: {error}")),
                };
                let notice = format!("Settings were reset, {notice}. {}: {why}", path.display());
                (Self::new(UserConfig::default(), saved_path), Some(notice))
            }
        }
    }

    /// Settings and their file, if any.
    pub fn new(config: UserConfig, path: Option<PathBuf>) -> Self {
        Self {
            written: config.clone(),
            stored: config.clone(),
            config,
            path,
            changed: None,
        }
    }

    /// The file, if settings are written.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Whether there are unwritten changes.
    pub fn is_dirty(&self) -> bool {
        self.path.is_some() && self.config != self.written
    }

    /// Writes changes older than [`AUTOSAVE_DELAY`].
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; retried at the next change.
    pub fn autosave(&mut self, now: Instant) -> Result<()> {
        if !self.is_dirty() {
            self.changed = None;
            return Ok(());
        }
        let since = *self.changed.get_or_insert(now);
        if now.saturating_duration_since(since) < AUTOSAVE_DELAY {
            return Ok(());
        }
        self.write()
    }

    /// Writes unwritten changes into what other windows have written meanwhile.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written; retried at the next change.
    pub fn write(&mut self) -> Result<()> {
        self.changed = None;
        if !self.is_dirty() {
            return Ok(());
        }
        self.written = self.config.clone();
        let Some(path) = &self.path else {
            return Ok(());
        };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        }
        let _lock = settings_merge::lock(path);
        let invalid = |error: &dyn std::fmt::Display| {
            Error::invalid(path, error.to_string().replace('\n', " "))
        };
        let table = |config| Table::try_from(config).map_err(|error| invalid(&error));
        let config = match read_table(path) {
            Some(mut file) => {
                settings_merge::merge(&mut file, &table(&self.stored)?, &table(&self.config)?);
                let text = toml::to_string(&file).map_err(|error| invalid(&error))?;
                // Written by hand, or by another version, meanwhile: this window's settings are whole.
                UserConfig::read(&text).unwrap_or_else(|_| self.config.clone())
            }
            None => self.config.clone(),
        };
        let text = toml::to_string(&config).map_err(|error| invalid(&error))?;
        write_atomic(path, text.as_bytes())?;
        self.stored = self.config.clone();
        Ok(())
    }
}

/// The settings in the file; `None` if there are none to be read.
fn read_table(path: &Path) -> Option<Table> {
    let text = read_text(path).ok()?;
    text.parse().ok().filter(|table: &Table| !table.is_empty())
}

/// Renames a file to `settings.toml.broken-1`, or the next free number, and returns the new path.
fn set_aside(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let numbered = (1_u32..).map(|n| path.with_file_name(format!("{name}.broken-{n}")));
    let mut free = numbered.filter(|backup| !backup.exists());
    let backup = free.next().unwrap_or_else(|| path.with_extension("broken"));
    std::fs::rename(path, &backup).map_err(|error| Error::io(path, error))?;
    Ok(backup)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
