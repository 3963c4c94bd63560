//! What a person has set in the window, in a file that outlives it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::keys::Bindings;
use super::present::Scaling;
use super::presets::Preset;
use super::theme::Look;
use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_data::fs::write_atomic;

/// The variable that names another folder for the file than the platform's.
const FOLDER: &str = "DRIFTLESS_CONFIG";
const FILE: &str = "settings.toml";
/// The version of the file that this program writes.
const VERSION: i64 = 1;
/// How long a change waits for the next one before the file is written.
pub(super) const MOMENT: Duration = Duration::from_secs(1);
/// Least and greatest factor on the size of text and controls.
pub(super) const SCALES: (f32, f32) = (0.5, 3.0);
/// Least and greatest factor on the mouse's motion.
pub(super) const SENSITIVITIES: (f32, f32) = (0.1, 5.0);

/// Everything that is kept; what a file does not name is as here by default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Config {
    version: i64,
    pub look: Look,
    /// Factor on the size of text and controls.
    pub scale: f32,
    /// Whether numbers stand over the picture.
    pub hud: bool,
    /// Whether the tuning panel is open; by the window's width until somebody says.
    pub tuning: Option<bool>,
    pub scaling: Scaling,
    /// Worlds whose first card was dismissed.
    pub welcomed: BTreeSet<String>,
    pub mouse: MouseConfig,
    pub gamepad: GamepadConfig,
    /// By a world's name, the actions that have other keys than its own.
    pub keys: BTreeMap<String, Bindings>,
    /// By a name, a sampler's parameters and a pace.
    pub presets: BTreeMap<String, Preset>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct MouseConfig {
    /// Factor on the mouse's motion.
    pub sensitivity: f32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct GamepadConfig {
    pub on: bool,
    /// By a button's name, the key that it presses instead of its own one.
    pub buttons: BTreeMap<String, String>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            version: VERSION,
            look: Look::default(),
            scale: 1.0,
            hud: true,
            tuning: None,
            scaling: Scaling::default(),
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

impl Config {
    /// Reads a file's text; keys that nobody knows are passed over, numbers brought into their range.
    ///
    /// # Errors
    /// Says in one line what is wrong, or which newer version it is.
    fn read(text: &str) -> std::result::Result<Self, String> {
        let line = |error: toml::de::Error| error.message().replace('\n', " ");
        let table: toml::Table = text.parse().map_err(line)?;
        let version = match table.get("version") {
            None => VERSION,
            Some(value) => value
                .as_integer()
                .ok_or_else(|| format!("`version` is {value}, expected a whole number"))?,
        };
        // The first version has no older one to come from.
        if version != VERSION {
            return Err(format!(
                "`version` is {version}, expected {VERSION}: another driftless wrote it"
            ));
        }
        let mut config: Self = table.try_into().map_err(line)?;
        let within = |value: f32, (least, most): (f32, f32)| match value.is_finite() {
            true => value.clamp(least, most),
            false => 1.0,
        };
        config.scale = within(config.scale, SCALES);
        config.mouse.sensitivity = within(config.mouse.sensitivity, SENSITIVITIES);
        Ok(config)
    }
}

/// The settings and the file that they are kept in.
pub(super) struct Store {
    pub config: Config,
    /// None where nothing may be written.
    path: Option<PathBuf>,
    /// What the file holds.
    written: Config,
    /// When the settings first differed from it.
    changed: Option<Instant>,
}

impl Store {
    /// The settings of this person: in the folder of the variable [`FOLDER`], else in the platform's.
    /// With it, what there is to say about the file, if anything.
    pub fn find() -> (Self, Option<String>) {
        let named = std::env::var_os(FOLDER).filter(|name| !name.is_empty());
        let platform = || {
            let folders = directories::ProjectDirs::from("", "", "driftless")?;
            Some(folders.config_dir().to_path_buf())
        };
        match named.map(PathBuf::from).or_else(platform) {
            Some(folder) => Self::open(folder.join(FILE)),
            None => (
                Self::new(Config::default(), None),
                Some(format!(
                    "Settings are not kept: this system names no folder for them, expected one in {FOLDER}"
                )),
            ),
        }
    }

    /// The settings in a file, which need not be there yet. A broken or newer one is set aside.
    fn open(path: PathBuf) -> (Self, Option<String>) {
        // A link stays one when the file is written.
        let path = path.canonicalize().unwrap_or(path);
        let text = match std::fs::read(&path) {
            Ok(bytes) => String::from_utf8(bytes).map_err(|_| "not UTF-8 text".to_owned()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
            Err(error) => {
                let what = Error::io(&path, error);
                let said = format!("Settings are not read, and not kept: {what}");
                return (Self::new(Config::default(), None), Some(said));
            }
        };
        match text.and_then(|text| Config::read(&text)) {
            Ok(config) => (Self::new(config, Some(path)), None),
            Err(why) => {
                let (kept, said) = match set_aside(&path) {
                    Ok(aside) => (
                        Some(path.clone()),
                        format!("set aside as {}", aside.display()),
                    ),
                    Err(error) => (None, format!("not kept: {error}")),
                };
                let said = format!("Settings start anew, {said}. {}: {why}", path.display());
                (Self::new(Config::default(), kept), Some(said))
            }
        }
    }

    /// Settings, and the file that they are kept in, if they are.
    pub fn new(config: Config, path: Option<PathBuf>) -> Self {
        Self {
            written: config.clone(),
            config,
            path,
            changed: None,
        }
    }

    /// Whether there is something to write in a moment.
    pub fn waits(&self) -> bool {
        self.path.is_some() && self.config != self.written
    }

    /// Writes what changed a moment ago.
    ///
    /// # Errors
    /// The file cannot be written; it is tried again at the next change.
    pub fn settle(&mut self, now: Instant) -> Result<()> {
        if !self.waits() {
            self.changed = None;
            return Ok(());
        }
        let since = *self.changed.get_or_insert(now);
        if now.saturating_duration_since(since) < MOMENT {
            return Ok(());
        }
        self.write()
    }

    /// Writes what has changed.
    ///
    /// # Errors
    /// The file cannot be written; it is tried again at the next change.
    pub fn write(&mut self) -> Result<()> {
        self.changed = None;
        if !self.waits() {
            return Ok(());
        }
        self.written = self.config.clone();
        let Some(path) = &self.path else {
            return Ok(());
        };
        let text = toml::to_string(&self.config)
            .map_err(|error| Error::invalid(path, error.to_string().replace('\n', " ")))?;
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
        }
        Ok(write_atomic(path, text.as_bytes())?)
    }
}

/// Gives a file another name, `settings.toml.broken-1` or the next that is free, and returns it.
fn set_aside(path: &Path) -> Result<PathBuf> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let numbered = (1_u32..).map(|n| path.with_file_name(format!("{name}.broken-{n}")));
    let mut free = numbered.filter(|aside| !aside.exists());
    let aside = free.next().unwrap_or_else(|| path.with_extension("broken"));
    std::fs::rename(path, &aside).map_err(|error| Error::io(path, error))?;
    Ok(aside)
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;
