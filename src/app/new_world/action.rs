//! What the page and its steps ask for.

use std::path::PathBuf;

use driftless_worlds::SimulatorKind;

use super::training_request::TrainingRequest;
use crate::Error;

/// A request to the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::app) enum PageRequest {
    /// Return to the game.
    Back,
    /// Play and record a simulator.
    Record(SimulatorKind),
    /// Play the checkpoint of a training run temporarily.
    Try(PathBuf),
    /// Look through the episodes of a dataset.
    Browse(PathBuf),
    /// Play a saved world instead of the current game.
    Play(PathBuf),
}

/// A run of the program that creates a dataset.
pub(super) struct DatasetJob {
    /// What it does, in words.
    pub what: String,
    /// Folder of the dataset.
    pub folder: PathBuf,
    /// Arguments of the command line.
    pub arguments: Vec<std::ffi::OsString>,
}

/// An action requested by a step of the page.
pub(super) enum StepAction {
    Request(PageRequest),
    /// Continue with this dataset to the settings.
    Data(PathBuf),
    /// Run the program to create a dataset.
    CreateDataset(DatasetJob),
    /// The same with a capture, which keeps what it has when it is stopped.
    Capture(DatasetJob),
    /// End the capture, and use what it has recorded.
    EndCapture,
    OpenRun {
        folder: PathBuf,
        data: Option<PathBuf>,
    },
    Start(Box<TrainingRequest>),
    /// Return to the source step.
    Source,
    Failed {
        what: &'static str,
        error: Error,
    },
}
