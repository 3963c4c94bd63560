//! A training run in the background: a child process, and a thread that watches it.

mod note;
mod settings;
mod view;
mod watcher;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, unbounded};

use driftless_data::PathError as _;
use driftless_data::fs::write_atomic;
use driftless_train::{RunLayout, TrainPreset};

use self::note::{RunNote, absolute};
use self::settings::{CONFIG, initial_settings, read_settings};
use self::view::WatcherCommand;
use self::watcher::Watcher;
use super::Notify;
use super::process::ChildProgram;
use super::progress::RunProgress;
use super::run_log::LogTail;
use crate::{Error, Result};

pub use self::note::{records_dataset, trained_on};
pub use self::view::{PreviewImage, RunState, RunView};

/// What a new run is made from.
#[derive(Clone, Debug)]
pub struct RunPlan {
    /// Suggested name of the world.
    pub name: String,
    /// Folder of the dataset.
    pub data: PathBuf,
    /// Folder of the run, which must be new.
    pub folder: PathBuf,
    /// Sizes of networks and batches.
    pub preset: TrainPreset,
    /// Settings file (TOML) that overrides the preset.
    pub settings: Option<PathBuf>,
    /// Whether the networks take turns, so that the world can be played early.
    pub playable_early: bool,
}

/// A run, and the thread that watches it.
pub struct BackgroundRun {
    folder: PathBuf,
    note: RunNote,
    view: Arc<Mutex<RunView>>,
    commands: Sender<WatcherCommand>,
    thread: JoinHandle<()>,
}

impl BackgroundRun {
    /// Creates a run and trains it for so many `minutes`, or until it is complete.
    ///
    /// # Errors
    /// Returns an error if the settings are not valid TOML, or if a file or thread cannot be created.
    pub fn start(
        plan: &RunPlan,
        minutes: Option<f64>,
        program: ChildProgram,
        notify: Notify,
    ) -> Result<Self> {
        let folder = &plan.folder;
        let note = RunNote {
            name: plan.name.clone(),
            data: absolute(&plan.data)?,
            preset: plan.preset.name().to_owned(),
        };
        let settings = initial_settings(plan.settings.as_deref(), plan.playable_early)?;
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        write_atomic(&folder.join(CONFIG), settings.as_bytes())?;
        note.write(folder)?;
        let training = Self::watch(folder.clone(), note, program, notify)?;
        training.resume(minutes);
        Ok(training)
    }

    /// Opens an existing run, from the window or the command line. `data` names the dataset of a run
    /// from the command line, which does not record it.
    ///
    /// # Errors
    /// Returns an error if the folder is not a run, or if its dataset is unknown.
    pub fn open(
        folder: &Path,
        data: Option<PathBuf>,
        program: ChildProgram,
        notify: Notify,
    ) -> Result<Self> {
        let note = RunNote::read(folder, data)?;
        if !RunLayout::new(folder).is_run() {
            let what = "is not a training run, expected a folder with settings.toml, as written by `train`";
            return Err(Error::invalid(folder, what));
        }
        Self::watch(folder.to_path_buf(), note, program, notify)
    }

    fn watch(
        folder: PathBuf,
        note: RunNote,
        program: ChildProgram,
        notify: Notify,
    ) -> Result<Self> {
        let (commands, inbox) = unbounded();
        let settings = read_settings(&folder)?;
        let view = Arc::new(Mutex::new(RunView {
            state: RunState::Stopped,
            progress: RunProgress::new(&settings),
            preview: None,
            saved: None,
        }));
        let layout = RunLayout::new(&folder);
        let mut watcher = Watcher {
            tail: LogTail::new(layout.log()),
            settings_read: layout.is_run(),
            layout,
            note: note.clone(),
            program,
            view: Arc::clone(&view),
            process: None,
            notify,
        };
        // The view is complete before anyone sees it.
        watcher.poll();
        let thread = std::thread::Builder::new()
            .name("training".into())
            .spawn(move || watcher.run(&inbox))
            .map_err(|e| Error::no_thread(&e))?;
        Ok(Self {
            folder,
            note,
            view,
            commands,
            thread,
        })
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The checkpoint folder, which can be played once both networks were saved.
    pub fn checkpoint(&self) -> PathBuf {
        RunLayout::new(&self.folder).checkpoint()
    }

    /// Suggested name of the world.
    pub fn name(&self) -> &str {
        &self.note.name
    }

    /// The dataset's folder.
    pub fn data(&self) -> &Path {
        &self.note.data
    }

    /// The current view, locked. Hold it briefly.
    pub fn view(&self) -> MutexGuard<'_, RunView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resumes training, for so many minutes or until the run is complete.
    pub fn resume(&self, minutes: Option<f64>) {
        // Set at once, so that the window does not offer it twice.
        self.view().state = RunState::Running;
        let _ = self.commands.send(WatcherCommand::Train(minutes));
    }

    /// Asks the trainer to save and exit.
    pub fn request_stop(&self) {
        self.view().state = RunState::Stopping;
        let _ = self.commands.send(WatcherCommand::Stop);
    }

    /// Whether the child process is running.
    pub fn is_busy(&self) -> bool {
        matches!(self.view().state, RunState::Running | RunState::Stopping)
    }

    /// Asks the trainer to save and exit, and kills it after `timeout`. The last save remains in
    /// either case.
    pub fn shut_down(self, timeout: Duration) {
        let _ = self.commands.send(WatcherCommand::Stop);
        let start = Instant::now();
        while self.is_busy() && start.elapsed() < timeout {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.commands.send(WatcherCommand::Exit);
        let _ = self.thread.join();
    }
}

#[cfg(test)]
#[cfg(unix)]
#[path = "background_run_tests.rs"]
mod tests;
