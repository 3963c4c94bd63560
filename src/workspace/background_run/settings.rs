//! The settings of a run: those that the window passes to a new one, and those that the trainer wrote.

use std::path::Path;

use driftless_data::PathError as _;
use driftless_data::fs::read_text;
use driftless_train::{RunLayout, TrainSettings};

use crate::{Error, Result};

/// The settings that the window passes to a new run.
pub(super) const CONFIG: &str = "new_world.toml";
/// Default minutes between saves and between previews. Short, because a person is watching.
pub(super) const MINUTES: f64 = 2.0;
/// Steps of the dynamics before the tokenizer is finished, where the world is to be played early.
pub(super) const EARLY_STEPS: i64 = 1000;

/// The run's settings, or the defaults until the trainer has written them.
pub(super) fn read_settings(folder: &Path) -> Result<TrainSettings> {
    let path = RunLayout::new(folder).settings();
    if path.is_file() {
        Ok(TrainSettings::read(&path, &TrainSettings::default())?)
    } else {
        Ok(TrainSettings::default())
    }
}

/// The user's settings as TOML, with short intervals for saves and previews, and early steps of the dynamics if
/// `playable_early`, unless they are set.
pub(super) fn initial_settings(path: Option<&Path>, playable_early: bool) -> Result<String> {
    let mut table = toml::Table::new();
    if let Some(path) = path {
        let text = read_text(path)?;
        let invalid = |e: toml::de::Error| Error::invalid(path, e.message().to_owned());
        table = toml::from_str(&text).map_err(invalid)?;
    }
    for key in ["save_minutes", "preview_minutes"] {
        let value = toml::Value::Float(MINUTES);
        table.entry(key).or_insert(value);
    }
    if playable_early {
        let empty = || toml::Value::Table(toml::Table::new());
        let dynamics = table.entry("dynamics").or_insert_with(empty);
        if let Some(dynamics) = dynamics.as_table_mut() {
            let steps = toml::Value::Integer(EARLY_STEPS);
            dynamics.entry("early_steps").or_insert(steps);
        }
    }
    Ok(toml::to_string(&table).map_err(|e| driftless_data::Error::encode("TOML", e))?)
}
