//! The files of a run's folder.

use std::path::{Path, PathBuf};

use driftless_data::PathError as _;
use driftless_data::cells;
use driftless_data::layout::checkpoint::CONFIG;
use driftless_data::layout::dataset;

use super::TrainStage;
use crate::{Error, Result};

const LOG: &str = "log.jsonl";
const CHECKPOINT: &str = "checkpoint";
const PREVIEWS: &str = "previews";
const EVENTS: &str = "events";
const STATE: &str = "state.safetensors";
const PREVIOUS_STATE: &str = "state.previous.safetensors";
const LOCK: &str = "trainer.lock";
const NEXT_STATE: &str = "state.next.safetensors";

/// Where a run keeps its files.
///
/// ```
/// use driftless_train::{RunLayout, TrainStage};
///
/// let run = RunLayout::new("runs/maze");
/// assert!(run.checkpoint().ends_with("maze/checkpoint"));
/// assert!(run.preview(TrainStage::Dynamics, 40).ends_with("previews/dynamics-000040.png"));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunLayout {
    root: PathBuf,
}

impl RunLayout {
    /// Name of the settings file, by which a folder is recognized as a run.
    pub const SETTINGS: &str = "settings.toml";

    /// The layout of the run in the folder `root`.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Whether the folder holds a run that has started.
    pub fn is_run(&self) -> bool {
        self.settings().is_file()
    }

    /// Checks that there is a run to resume.
    ///
    /// # Errors
    /// Returns an error if the folder holds none, or does not exist.
    pub(crate) fn check_run(&self) -> Result<()> {
        if self.is_run() {
            return Ok(());
        }
        let what = "holds no run to resume, expected the --out of one";
        Err(Error::invalid(self.root(), what))
    }

    /// The run's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// All settings of the run (TOML).
    pub fn settings(&self) -> PathBuf {
        self.root.join(Self::SETTINGS)
    }

    /// The settings of a run: those in the file, or else the run's own, or the defaults for a new run.
    ///
    /// # Errors
    /// As `read`.
    pub(crate) fn read_settings<T: Default>(
        &self,
        file: Option<&Path>,
        read: impl Fn(&Path) -> Result<T>,
    ) -> Result<T> {
        let own = self.settings();
        match file {
            Some(path) => read(path),
            None if own.exists() => read(&own),
            None => Ok(T::default()),
        }
    }

    /// Checks that a new run in this folder overwrites nothing: no saved state of these stages, none of these `weights`
    /// of a checkpoint, no settings of another kind of run, which `read` does not understand, and no dataset.
    ///
    /// # Errors
    /// Returns an error that names what is there.
    pub(crate) fn check_new<T>(
        &self,
        stages: &[TrainStage],
        weights: &[&str],
        read: impl Fn(&Path) -> Result<T>,
    ) -> Result<()> {
        for &stage in stages {
            self.state(stage).check_unused()?;
        }
        let refuse = |path: &Path, what: &str| {
            let what = format!("{what}; use another --out to start a new run");
            Err(Error::invalid(path, what))
        };
        for file in [dataset::INFO, cells::INFO, CONFIG] {
            if self.root.join(file).exists() {
                return refuse(
                    &self.root,
                    &format!("holds {file}, expected a run or nothing"),
                );
            }
        }
        let checkpoint = self.checkpoint();
        for path in weights.iter().map(|file| checkpoint.join(file)) {
            if path.exists() {
                return refuse(&path, "is there already");
            }
        }
        let own = self.settings();
        if own.exists() && read(&own).is_err() {
            return refuse(&own, "holds no settings of such a run");
        }
        Ok(())
    }

    /// The log: one [`LogEntry`](crate::LogEntry) a line.
    pub fn log(&self) -> PathBuf {
        self.root.join(LOG)
    }

    /// Locked while a trainer works in the folder; holds its process id.
    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join(LOCK)
    }

    /// Folder of the playable world, with averaged (EMA) weights.
    pub fn checkpoint(&self) -> PathBuf {
        self.root.join(CHECKPOINT)
    }

    /// Folder of the preview pictures.
    pub fn previews(&self) -> PathBuf {
        self.root.join(PREVIEWS)
    }

    /// The preview picture of a stage at a step.
    pub fn preview(&self, stage: TrainStage, step: u64) -> PathBuf {
        let name = format!("{}-{step:06}.png", stage.name());
        self.previews().join(name)
    }

    /// Folder of a stage's TensorBoard event files.
    pub fn events(&self, stage: TrainStage) -> PathBuf {
        self.root.join(EVENTS).join(stage.name())
    }

    /// The saved state of a stage, from which a run is resumed.
    pub(crate) fn state(&self, stage: TrainStage) -> StateFiles {
        StateFiles {
            folder: self.root.join(stage.name()),
        }
    }
}

/// The files in the state folder of a stage.
#[derive(Clone, Debug)]
pub(crate) struct StateFiles {
    folder: PathBuf,
}

impl StateFiles {
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn current(&self) -> PathBuf {
        self.folder.join(STATE)
    }

    /// The state before the current one.
    pub fn previous(&self) -> PathBuf {
        self.folder.join(PREVIOUS_STATE)
    }

    /// A state that is still being written.
    pub fn next(&self) -> PathBuf {
        self.folder.join(NEXT_STATE)
    }

    /// Checks that a new run overwrites nothing.
    ///
    /// # Errors
    /// Returns an error if there is a saved state.
    pub fn check_unused(&self) -> Result<()> {
        if self.exist() {
            let what = "already holds a run: use --resume to continue it, or another --out to start a new one";
            return Err(Error::invalid(self.folder(), what));
        }
        Ok(())
    }

    /// Whether there is a saved state.
    pub fn exist(&self) -> bool {
        self.current().exists() || self.previous().exists()
    }
}
