//! The log of a run: `log.jsonl`, and the same numbers as TensorBoard events.

use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::Map;

use driftless_data::PathError as _;

use super::TrainStage;
use super::layout::RunLayout;
use super::tensorboard::EventFile;
use crate::{Error, Result};

/// Steps between two lines of the log.
pub const LOG_EVERY: u64 = 20;

/// What every line of the log holds. The other numbers of a line depend on the stage.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LogEntry {
    /// What is trained.
    pub stage: TrainStage,
    /// Steps done.
    pub step: u64,
    /// Loss of the last step.
    pub loss: f64,
    /// Throughput of the last step, in frames per second.
    pub frames_per_s: f64,
    /// Seconds spent on the stage's steps so far.
    pub seconds: f64,
}

/// Writes the log of one stage.
pub(super) struct RunLog {
    stage: TrainStage,
    path: PathBuf,
    events: EventFile,
}

impl RunLog {
    /// Appends to the run's log, and begins a new event file.
    ///
    /// # Errors
    /// Returns an error if the event file cannot be written.
    pub fn open(layout: &RunLayout, stage: TrainStage) -> Result<Self> {
        Ok(Self {
            stage,
            path: layout.log(),
            events: EventFile::create(&layout.events(stage))?,
        })
    }

    /// Appends the named numbers of a step, among them those of a [`LogEntry`].
    ///
    /// # Errors
    /// Returns an error if a file cannot be written.
    pub fn numbers(&self, step: u64, numbers: &[(&str, f64)]) -> Result<()> {
        self.events.scalars(step, numbers)?;
        let mut line = Map::new();
        line.insert("stage".into(), self.stage.name().into());
        line.insert("step".into(), step.into());
        for &(key, number) in numbers {
            line.insert(key.into(), number.into());
        }
        let line = serde_json::Value::Object(line);
        let mut file = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&self.path)
            .map_err(|e| Error::io(&self.path, e))?;
        writeln!(file, "{line}").map_err(|e| Error::io(&self.path, e))
    }

    /// Appends a PNG of the given height and width to the events.
    ///
    /// # Errors
    /// Returns an error if the file cannot be written.
    pub fn preview(&self, step: u64, png: Vec<u8>, size: [usize; 2]) -> Result<()> {
        self.events.image(step, "preview", png, size)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_log_entries() {
        let folder = tempfile::tempdir().unwrap();
        let layout = RunLayout::new(folder.path());
        let log = RunLog::open(&layout, TrainStage::Dynamics).unwrap();
        let numbers = [
            ("loss", 0.5),
            ("frames_per_s", 90.0),
            ("seconds", 2.0),
            ("from_noise", f64::NAN),
        ];
        log.numbers(21, &numbers).unwrap();
        let text = std::fs::read_to_string(layout.log()).unwrap();
        let expected = LogEntry {
            stage: TrainStage::Dynamics,
            step: 21,
            loss: 0.5,
            frames_per_s: 90.0,
            seconds: 2.0,
        };
        assert_eq!(serde_json::from_str::<LogEntry>(&text).unwrap(), expected);
    }
}
