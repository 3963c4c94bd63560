//! What a person sees of a run, what the log keeps of it, and when it has to stop.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Map, Value};

use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_data::interrupt;

/// The time that a run has.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Option<Instant>);

impl Deadline {
    /// So many minutes from now; `None` is for ever.
    pub fn after(minutes: Option<f64>) -> Self {
        Self(minutes.and_then(|m| {
            let span = Duration::try_from_secs_f64(m * 60.0).ok()?;
            Instant::now().checked_add(span)
        }))
    }

    /// Whether the time is over or the user asked to stop.
    pub fn passed(self) -> bool {
        interrupt::requested() || self.0.is_some_and(|at| Instant::now() >= at)
    }
}

/// A bar of `steps` steps that stands at `done`.
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
/// The file cannot be written.
pub fn log(path: &Path, entry: Map<String, Value>) -> Result<()> {
    let mut file = std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|e| Error::io(path, e))?;
    writeln!(file, "{}", Value::Object(entry)).map_err(|e| Error::io(path, e))
}
