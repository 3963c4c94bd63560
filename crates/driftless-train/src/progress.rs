//! The progress bar, the log file and the time limit of a run.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use driftless_data::{PathError as _, interrupt};

use crate::{Error, Result};

/// When a run has to stop.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// In this many minutes; `None` means never.
    pub fn after(minutes: Option<f64>) -> Self {
        Self(minutes.and_then(|m| {
            let span = Duration::try_from_secs_f64(m * 60.0).ok()?;
            Instant::now().checked_add(span)
        }))
    }

    /// Whether the time limit is reached or the user asked to stop.
    pub fn passed(self) -> bool {
        interrupt::requested() || self.0.is_some_and(|at| Instant::now() >= at)
    }
}

/// A progress bar of `steps` steps, `done` of which are done.
pub fn bar(stage: &str, steps: u64, done: u64) -> ProgressBar {
    let bar = ProgressBar::new(steps).with_position(done);
    let template = "{prefix:9} {wide_bar:.cyan/blue} {pos}/{len} {msg} {eta} left";
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_prefix(stage.to_owned());
    bar.reset_eta();
    bar
}

/// Appends one JSON object as a line.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub fn log(path: &Path, entry: Map<String, Value>) -> Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|e| Error::io(path, e))?;
    writeln!(file, "{}", Value::Object(entry)).map_err(|e| Error::io(path, e))
}
