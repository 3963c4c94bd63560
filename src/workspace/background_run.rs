//! A training run in the background: a child process, and a thread that watches it.

mod watcher;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Sender, unbounded};
use serde::{Deserialize, Serialize};

use driftless_data::PathError as _;
use driftless_data::fs::{read_text, write_atomic, write_json};
use driftless_train::{RunLayout, TrainPreset, TrainSettings};

use self::watcher::Watcher;
use super::Notify;
use super::process::ChildProgram;
use super::progress::RunProgress;
use super::run_log::LogTail;
use crate::{Error, Result};

/// The run's [`RunNote`], read when it is opened again.
const NOTE: &str = "new_world.json";
/// The settings that the window passes to a new run.
const CONFIG: &str = "new_world.toml";
/// Default minutes between saves and between previews. Short, because a person is watching.
const MINUTES: f64 = 2.0;
/// Steps of the dynamics before the tokenizer is finished, where the world is to be played early.
const EARLY_STEPS: i64 = 1000;

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

/// What the window remembers about a run beside the trainer's own files.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct RunNote {
    name: String,
    data: PathBuf,
    preset: String,
}

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
enum WatcherCommand {
    /// Trains for so many minutes, or until the run is complete.
    Train(Option<f64>),
    /// Asks the trainer to save and exit.
    Stop,
    /// Ends the thread, and with it the trainer.
    Exit,
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
        write_json(&folder.join(NOTE), &note)?;
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
        let note = read_note(folder, data)?;
        if !RunLayout::new(folder).is_run() {
            let what = "is not a training run, expected a folder with settings.toml, as written by `train`";
            return Err(Error::invalid(folder, what));
        }
        Self::watch(folder.to_path_buf(), note, program, notify)
    }

    /// Whether the run records which dataset it was trained on.
    pub fn records_dataset(folder: &Path) -> bool {
        folder.join(NOTE).is_file()
    }

    /// A description of the dataset that the run was trained on, if recorded.
    pub fn trained_on(folder: &Path) -> Option<String> {
        let text = read_text(&folder.join(NOTE)).ok()?;
        let note: RunNote = serde_json::from_str(&text).ok()?;
        let name = note.data.file_name()?.to_string_lossy();
        Some(format!("the dataset {name}"))
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

fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).map_err(|e| Error::io(path, e))
}

/// The run's own note, or one made from its folder's name and `data`.
fn read_note(folder: &Path, data: Option<PathBuf>) -> Result<RunNote> {
    let path = folder.join(NOTE);
    if let Ok(text) = read_text(&path) {
        return serde_json::from_str(&text).map_err(|e| Error::invalid(&path, e.to_string()));
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let data = data.ok_or_else(|| {
        let what = "does not record which dataset it was trained on: choose its folder";
        Error::invalid(folder, what)
    })?;
    Ok(RunNote {
        name: name.into_owned(),
        data: absolute(&data)?,
        preset: String::new(),
    })
}

/// The run's settings, or the defaults until the trainer has written them.
fn read_settings(folder: &Path) -> Result<TrainSettings> {
    let path = RunLayout::new(folder).settings();
    if path.is_file() {
        Ok(TrainSettings::read(&path, &TrainSettings::default())?)
    } else {
        Ok(TrainSettings::default())
    }
}

/// The user's settings as TOML, with short intervals for saves and previews, and early steps of the dynamics if
/// `playable_early`, unless they are set.
fn initial_settings(path: Option<&Path>, playable_early: bool) -> Result<String> {
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

#[cfg(test)]
#[cfg(unix)]
#[path = "background_run_tests.rs"]
mod tests;
