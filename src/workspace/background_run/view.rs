//! What the window shows of a run, and what it may ask of the thread that watches it.

use std::sync::Arc;
use std::time::SystemTime;

use crate::workspace::progress::RunProgress;

/// State of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunState {
    /// No process trains. The run can be resumed unless it is complete.
    Stopped,
    /// The child process trains.
    Running,
    /// The child process was asked to save and exit.
    Stopping,
    /// The child process failed, with this message.
    Failed(String),
}

/// A preview image of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct PreviewImage {
    /// Its file name without extension, made of stage and step.
    pub name: String,
    /// Width and height in pixels.
    pub size: [usize; 2],
    /// u8 RGB, row by row.
    pub rgb: Vec<u8>,
}

/// What the window shows of a run.
#[derive(Clone, Debug)]
pub struct RunView {
    /// State of the run.
    pub state: RunState,
    /// Progress according to the log.
    pub progress: RunProgress,
    /// The newest preview, if any.
    pub preview: Option<Arc<PreviewImage>>,
    /// When the playable weights were saved; `None` until there are any.
    pub saved: Option<SystemTime>,
}

/// A message to the watching thread.
pub(super) enum WatcherCommand {
    /// Trains for so many minutes, or until the run is complete.
    Train(Option<f64>),
    /// Asks the trainer to save and exit.
    Stop,
    /// Ends the thread, and with it the trainer.
    Exit,
}
