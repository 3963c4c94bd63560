//! What the window remembers about a run beside the trainer's own files.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use driftless_data::PathError as _;
use driftless_data::fs::{read_text, write_json};

use crate::{Error, Result};

/// The run's [`RunNote`], read when it is opened again.
const NOTE: &str = "new_world.json";

/// What the window remembers about a run beside the trainer's own files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RunNote {
    pub name: String,
    pub data: PathBuf,
    pub preset: String,
}

impl RunNote {
    /// The run's own note, or one made from its folder's name and `data`.
    pub fn read(folder: &Path, data: Option<PathBuf>) -> Result<Self> {
        let path = folder.join(NOTE);
        if let Ok(text) = read_text(&path) {
            return serde_json::from_str(&text).map_err(|e| Error::invalid(&path, e.to_string()));
        }
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let data = data.ok_or_else(|| {
            let what = "does not record which dataset it was trained on: choose its folder";
            Error::invalid(folder, what)
        })?;
        Ok(Self {
            name: name.into_owned(),
            data: absolute(&data)?,
            preset: String::new(),
        })
    }

    /// Writes the note into the run's folder.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn write(&self, folder: &Path) -> Result<()> {
        Ok(write_json(&folder.join(NOTE), self)?)
    }
}

/// Whether a run records which dataset it was trained on.
pub fn records_dataset(folder: &Path) -> bool {
    folder.join(NOTE).is_file()
}

/// A description of the dataset that a run was trained on, if recorded.
pub fn trained_on(folder: &Path) -> Option<String> {
    let text = read_text(&folder.join(NOTE)).ok()?;
    let note: RunNote = serde_json::from_str(&text).ok()?;
    let name = note.data.file_name()?.to_string_lossy();
    Some(format!("the dataset {name}"))
}

pub(super) fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::io(path, e))
}
