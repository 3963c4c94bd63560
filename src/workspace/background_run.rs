//! A training run in the background: a child process, and a thread that watches it.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use serde::{Deserialize, Serialize};

use driftless_data::PathError as _;
use driftless_data::fs::{write_atomic, write_json};
use driftless_model::checkpoint::DYNAMICS;
use driftless_train::{RunLayout, TrainPreset, TrainSettings};

use super::process::{ChildProcess, ChildProgram, Exit};
use super::progress::RunProgress;
use super::run_log::LogTail;
use super::{Notify, save};
use crate::{Error, Result};

/// Time between two checks on the run.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// The run's [`RunNote`], read when it is opened again.
const NOTE: &str = "new_world.json";
/// The settings that the window passes to a new run.
const CONFIG: &str = "new_world.toml";
/// Locked while a process trains in the folder.
const LOCK: &str = "training.lock";
/// Default minutes between saves and between previews. Short, because a person is watching.
const MINUTES: f64 = 2.0;

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
        let settings = initial_settings(plan.settings.as_deref())?;
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
        let text = std::fs::read_to_string(folder.join(NOTE)).ok()?;
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
    if let Ok(text) = std::fs::read_to_string(&path) {
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

/// The user's settings as TOML, with short intervals for saves and previews unless they are set.
fn initial_settings(path: Option<&Path>) -> Result<String> {
    let mut table = toml::Table::new();
    if let Some(path) = path {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let invalid = |e: toml::de::Error| Error::invalid(path, e.message().to_owned());
        table = toml::from_str(&text).map_err(invalid)?;
    }
    for key in ["save_minutes", "preview_minutes"] {
        let value = toml::Value::Float(MINUTES);
        table.entry(key).or_insert(value);
    }
    Ok(toml::to_string(&table).map_err(|e| driftless_data::Error::encode("TOML", e))?)
}

/// The state of the watching thread.
struct Watcher {
    layout: RunLayout,
    note: RunNote,
    program: ChildProgram,
    tail: LogTail,
    /// Whether the trainer's settings were read, which hold the number of steps.
    settings_read: bool,
    view: Arc<Mutex<RunView>>,
    process: Option<ChildProcess>,
    notify: Notify,
}

impl Watcher {
    fn run(mut self, commands: &Receiver<WatcherCommand>) {
        loop {
            match commands.recv_timeout(POLL_INTERVAL) {
                Ok(WatcherCommand::Train(minutes)) => {
                    if let Err(error) = self.start(minutes) {
                        self.set_state(RunState::Failed(error.to_string()));
                    }
                }
                Ok(WatcherCommand::Stop) => match &mut self.process {
                    Some(process) => process.request_stop(),
                    None => self.stop_without_process(),
                },
                // Dropping the process kills it.
                Ok(WatcherCommand::Exit) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.process.is_some() && self.poll() {
                (self.notify)();
            }
        }
    }

    fn view(&self) -> MutexGuard<'_, RunView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_state(&self, state: RunState) {
        self.view().state = state;
        (self.notify)();
    }

    /// [`BackgroundRun::request_stop`] has already set the state to stopping.
    fn stop_without_process(&self) {
        let stopping = self.view().state == RunState::Stopping;
        if stopping {
            self.set_state(RunState::Stopped);
        }
    }

    fn start(&mut self, minutes: Option<f64>) -> Result<()> {
        if self.process.is_none() {
            let lock = lock(self.layout.root())?;
            let arguments = self.arguments(minutes);
            self.process = Some(self.program.start(&arguments, Some(lock))?);
        }
        self.set_state(RunState::Running);
        Ok(())
    }

    /// The trainer's command line arguments.
    fn arguments(&self, minutes: Option<f64>) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = ["train", "all", "--resume", "--data"]
            .map(Into::into)
            .into();
        arguments.extend([self.note.data.clone().into(), "--out".into()]);
        arguments.push(self.layout.root().into());
        // A run that was started before keeps its settings.
        if !self.layout.is_run() {
            arguments.extend(["--preset".into(), self.note.preset.clone().into()]);
            arguments.extend(["--config".into(), self.layout.root().join(CONFIG).into()]);
        }
        if let Some(minutes) = minutes {
            arguments.extend(["--max-minutes".into(), minutes.to_string().into()]);
        }
        arguments
    }

    /// Updates the view from the process and the run's files. Returns whether anything changed.
    fn poll(&mut self) -> bool {
        // First, so that the last output of a process that has ended is read below.
        let exit_state = self.process.as_mut().and_then(exit_state);
        let mut changed = exit_state.is_some();
        changed |= self.poll_settings();
        let entries = self.tail.read().unwrap_or_default();
        changed |= !entries.is_empty();
        let preview = self.newer_preview();
        changed |= preview.is_some();
        let saved = self.saved_time();
        let mut view = self.view();
        entries
            .into_iter()
            .for_each(|entry| view.progress.add(entry));
        changed |= view.saved != saved;
        view.saved = saved;
        if preview.is_some() {
            view.preview = preview;
        }
        if let Some(state) = exit_state {
            view.state = state;
            drop(view);
            self.process = None;
        }
        changed
    }

    /// Reads the settings once the trainer has written them. Returns whether it has.
    fn poll_settings(&mut self) -> bool {
        if self.settings_read || !self.layout.is_run() {
            return false;
        }
        let Ok(settings) = read_settings(self.layout.root()) else {
            return false;
        };
        self.view().progress = RunProgress::new(&settings);
        self.settings_read = true;
        true
    }

    /// When the playable weights were saved.
    fn saved_time(&self) -> Option<SystemTime> {
        let checkpoint = self.layout.checkpoint();
        if !save::is_playable(&checkpoint) {
            return None;
        }
        checkpoint.join(DYNAMICS).metadata().ok()?.modified().ok()
    }

    /// The newest preview, unless the view already has it.
    fn newer_preview(&self) -> Option<Arc<PreviewImage>> {
        let entries = self.layout.previews().read_dir().ok()?;
        let with_time = entries.flatten().filter_map(|entry| {
            let path = entry.path();
            let is_png = path.extension().is_some_and(|extension| extension == "png");
            let modified = entry.metadata().ok()?.modified().ok()?;
            is_png.then_some((modified, path))
        });
        let (_, path) = with_time.max()?;
        let name = path.file_stem()?.to_string_lossy().into_owned();
        let shown = self.view().preview.as_ref().map(|p| p.name.clone());
        if shown.as_deref() == Some(name.as_str()) {
            return None;
        }
        // A file that cannot be read is still being written.
        let image = image::open(&path).ok()?.into_rgb8();
        let size = [image.width(), image.height()].map(|side| side as usize);
        Some(Arc::new(PreviewImage {
            name,
            size,
            rgb: image.into_raw(),
        }))
    }
}

/// The run's state after its process has exited; `None` while it runs.
fn exit_state(process: &mut ChildProcess) -> Option<RunState> {
    match process.try_wait() {
        Ok(None) => None,
        Ok(Some(Exit::Success)) => Some(RunState::Stopped),
        Ok(Some(Exit::Failure(message))) => Some(RunState::Failed(message)),
        Err(error) => Some(RunState::Failed(error.to_string())),
    }
}

/// Locks the run. The child gets the file as its standard input: on Unix the lock then lasts as long
/// as the child, even if the window is killed.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = File::create(&path).map_err(|e| Error::io(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::invalid(
            folder,
            "another process is training this run: stop it first",
        )),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::io(&path, error)),
    }
}

#[cfg(test)]
#[cfg(unix)]
#[path = "background_run_tests.rs"]
mod tests;
