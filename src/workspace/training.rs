//! A run of the trainer in the background: a child process, and a thread that watches it.

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use clap::ValueEnum;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, unbounded};
use serde::{Deserialize, Serialize};

use super::log::Tail;
use super::process::{End, Process, Program};
use super::progress::Progress;
use super::{Notify, save};
use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_data::fs::{write_atomic, write_json};
use driftless_model::checkpoint::DYNAMICS;
use driftless_train::{Preset, Settings};

/// Between two looks at the run.
const LOOK: Duration = Duration::from_millis(300);
/// What is kept of a run for the next time it is opened.
const NOTE: &str = "new_world.json";
/// The settings that a run of the window begins with.
const CONFIG: &str = "new_world.toml";
/// Locked as long as somebody trains in the folder.
const LOCK: &str = "training.lock";
/// Minutes between saves and between previews where the settings name none: a person waits.
const MINUTES: f64 = 2.0;

/// A run to be made.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The world's name, as a proposal for saving it.
    pub name: String,
    /// Folder of the dataset.
    pub data: PathBuf,
    /// The run's folder, new.
    pub folder: PathBuf,
    /// Sizes of networks and batches.
    pub preset: Preset,
    /// Settings (TOML) on top of the preset.
    pub settings: Option<PathBuf>,
}

/// What the trainer's own files do not say of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note {
    name: String,
    data: PathBuf,
    preset: String,
}

/// Whether anybody trains.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// Nobody; it can go on unless all is done.
    Stopped,
    /// The child trains.
    Running,
    /// The child was asked to save and end.
    Stopping,
    /// The child failed and said this.
    Failed(String),
}

/// The newest preview.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Its file's name, which tells stage and step.
    pub name: String,
    /// Width and height in pixels.
    pub size: [usize; 2],
    /// u8 RGB, row by row.
    pub rgb: Vec<u8>,
}

/// What there is to see of a run.
#[derive(Clone, Debug)]
pub struct View {
    /// Whether anybody trains.
    pub state: State,
    /// What the log tells.
    pub progress: Progress,
    /// The newest preview, if any.
    pub preview: Option<Arc<Preview>>,
    /// When the weights that can be played were saved; none while there are none.
    pub saved: Option<SystemTime>,
}

enum Order {
    Continue(Option<f64>),
    Stop,
    Leave,
}

/// A run, and the thread that watches it.
pub struct Training {
    folder: PathBuf,
    note: Note,
    view: Arc<Mutex<View>>,
    orders: Sender<Order>,
    thread: JoinHandle<()>,
}

impl Training {
    /// Starts a new run, for so many `minutes` or until all steps are done.
    ///
    /// # Errors
    /// The folder holds something, the settings are no TOML, or no process starts.
    pub fn start(plan: &Plan, minutes: Option<f64>, own: Program, notify: Notify) -> Result<Self> {
        let folder = &plan.folder;
        let preset = plan.preset.to_possible_value();
        let note = Note {
            name: plan.name.clone(),
            data: std::path::absolute(&plan.data).map_err(|e| Error::io(&plan.data, e))?,
            preset: preset.map_or_else(String::new, |value| value.get_name().to_owned()),
        };
        let settings = first_settings(plan.settings.as_deref())?;
        std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        write_atomic(&folder.join(CONFIG), settings.as_bytes())?;
        write_json(&folder.join(NOTE), &note)?;
        let training = Self::watch(folder.clone(), note, own, notify)?;
        training.go_on(minutes);
        Ok(training)
    }

    /// Opens a run that was made earlier, here or by the command line. A run of the command line
    /// does not say what it was trained from: `data` does then.
    ///
    /// # Errors
    /// The folder is no run, or its dataset is unknown.
    pub fn open(
        folder: &Path,
        data: Option<PathBuf>,
        own: Program,
        notify: Notify,
    ) -> Result<Self> {
        let path = folder.join(NOTE);
        let note = match std::fs::read_to_string(&path) {
            Ok(text) => {
                serde_json::from_str(&text).map_err(|e| Error::invalid(&path, e.to_string()))?
            }
            Err(_) => {
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                let data = data.ok_or_else(|| {
                    let what =
                        "does not say which dataset it was trained from, expected its folder";
                    Error::invalid(folder, what)
                })?;
                Note {
                    name: name.into_owned(),
                    data: std::path::absolute(&data).map_err(|e| Error::io(&data, e))?,
                    preset: String::new(),
                }
            }
        };
        if !folder.join("settings.toml").is_file() {
            let what = "is no run, expected a folder with settings.toml that `train` has made";
            return Err(Error::invalid(folder, what));
        }
        Self::watch(folder.to_path_buf(), note, own, notify)
    }

    /// Whether a run says which dataset it was trained from.
    pub fn names_its_data(folder: &Path) -> bool {
        folder.join(NOTE).is_file()
    }

    /// What a run was trained on, in words, where it says so.
    pub fn trained_on(folder: &Path) -> Option<String> {
        let text = std::fs::read_to_string(folder.join(NOTE)).ok()?;
        let note: Note = serde_json::from_str(&text).ok()?;
        let name = note.data.file_name()?.to_string_lossy();
        Some(format!("the dataset {name}"))
    }

    fn watch(folder: PathBuf, note: Note, own: Program, notify: Notify) -> Result<Self> {
        let (orders, inbox) = unbounded();
        let settings = read_settings(&folder)?;
        let view = Arc::new(Mutex::new(View {
            state: State::Stopped,
            progress: Progress::new(&settings),
            preview: None,
            saved: None,
        }));
        let mut watcher = Watcher {
            tail: Tail::new(folder.join("log.jsonl")),
            settings_known: folder.join("settings.toml").is_file(),
            folder: folder.clone(),
            note: note.clone(),
            own,
            view: Arc::clone(&view),
            process: None,
            notify,
        };
        // So that a run that was opened is seen as it stands from the first moment on.
        watcher.look();
        let thread = std::thread::Builder::new()
            .name("training".into())
            .spawn(move || watcher.run(&inbox))
            .map_err(|e| Error::Device(format!("cannot start a thread: {e}")))?;
        Ok(Self {
            folder,
            note,
            view,
            orders,
            thread,
        })
    }

    /// The run's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder that is played.
    pub fn checkpoint(&self) -> PathBuf {
        self.folder.join("checkpoint")
    }

    /// The world's name.
    pub fn name(&self) -> &str {
        &self.note.name
    }

    /// The dataset's folder.
    pub fn data(&self) -> &Path {
        &self.note.data
    }

    /// What there is to see now.
    pub fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Trains on where the run stopped, for so many minutes or until all steps are done.
    pub fn go_on(&self, minutes: Option<f64>) {
        // Seen at once, so that nothing offers to do it twice.
        self.view().state = State::Running;
        let _ = self.orders.send(Order::Continue(minutes));
    }

    /// Asks the trainer to save and end.
    pub fn stop(&self) {
        self.view().state = State::Stopping;
        let _ = self.orders.send(Order::Stop);
    }

    /// Whether a child process is at work.
    pub fn busy(&self) -> bool {
        matches!(self.view().state, State::Running | State::Stopping)
    }

    /// Asks the trainer to save and end, and waits so long for it; then it is ended as it is, and
    /// the run's last save stays.
    pub fn finish(self, wait: Duration) {
        let _ = self.orders.send(Order::Stop);
        let since = Instant::now();
        while self.busy() && since.elapsed() < wait {
            std::thread::sleep(Duration::from_millis(50));
        }
        let _ = self.orders.send(Order::Leave);
        let _ = self.thread.join();
    }
}

/// Settings of the run, or the defaults before the trainer has written them.
fn read_settings(folder: &Path) -> Result<Settings> {
    let path = folder.join("settings.toml");
    match path.is_file() {
        true => Ok(Settings::read(&path, &Settings::default())?),
        false => Ok(Settings::default()),
    }
}

/// A person's settings, which save and show previews often unless they say otherwise.
fn first_settings(given: Option<&Path>) -> Result<String> {
    let mut table = toml::Table::new();
    if let Some(path) = given {
        let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
        let wrong = |e: toml::de::Error| Error::invalid(path, e.message().to_owned());
        table = toml::from_str(&text).map_err(wrong)?;
    }
    for key in ["save_minutes", "preview_minutes"] {
        let value = toml::Value::Float(MINUTES);
        table.entry(key).or_insert(value);
    }
    toml::to_string(&table).map_err(|e| Error::Argument(e.to_string()))
}

struct Watcher {
    folder: PathBuf,
    note: Note,
    own: Program,
    tail: Tail,
    /// Whether the trainer's own settings were read, which tell the number of steps.
    settings_known: bool,
    view: Arc<Mutex<View>>,
    process: Option<Process>,
    notify: Notify,
}

impl Watcher {
    fn run(mut self, orders: &Receiver<Order>) {
        loop {
            match orders.recv_timeout(LOOK) {
                Ok(Order::Continue(minutes)) => {
                    if let Err(error) = self.start(minutes) {
                        self.set_state(State::Failed(error.to_string()));
                    }
                }
                Ok(Order::Stop) => match &mut self.process {
                    Some(process) => process.ask_to_stop(),
                    None => self.stopped(),
                },
                // Dropping the process ends it.
                Ok(Order::Leave) | Err(RecvTimeoutError::Disconnected) => return,
                Err(RecvTimeoutError::Timeout) => {}
            }
            if self.process.is_some() && self.look() {
                (self.notify)();
            }
        }
    }

    fn view(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_state(&self, state: State) {
        self.view().state = state;
        (self.notify)();
    }

    /// A stop without a process changes nothing but what was announced.
    fn stopped(&self) {
        let announced = self.view().state == State::Stopping;
        if announced {
            self.set_state(State::Stopped);
        }
    }

    fn start(&mut self, minutes: Option<f64>) -> Result<()> {
        if self.process.is_none() {
            let lock = lock(&self.folder)?;
            self.process = Some(self.own.start(&self.arguments(minutes), Some(lock))?);
        }
        self.set_state(State::Running);
        Ok(())
    }

    /// The trainer's command line.
    fn arguments(&self, minutes: Option<f64>) -> Vec<OsString> {
        let mut words: Vec<OsString> = ["train", "all", "--resume", "--data"]
            .map(Into::into)
            .into();
        words.extend([self.note.data.clone().into(), "--out".into()]);
        words.push(self.folder.clone().into());
        // A run that has begun keeps its settings.
        if !self.folder.join("settings.toml").is_file() {
            words.extend(["--preset".into(), self.note.preset.clone().into()]);
            words.extend(["--config".into(), self.folder.join(CONFIG).into()]);
        }
        if let Some(minutes) = minutes {
            words.extend(["--max-minutes".into(), minutes.to_string().into()]);
        }
        words
    }

    /// Reads what is new; whether anything was.
    fn look(&mut self) -> bool {
        // Before the files, so that what a process wrote last is read after its end was seen.
        let state = self.process.as_mut().and_then(ended);
        let mut changed = state.is_some();
        if !self.settings_known
            && let Ok(settings) = self
                .folder
                .join("settings.toml")
                .is_file()
                .then(|| read_settings(&self.folder))
                .transpose()
            && let Some(settings) = settings
        {
            self.view().progress = Progress::new(&settings);
            self.settings_known = true;
            changed = true;
        }
        let entries = self.tail.read().unwrap_or_default();
        changed |= !entries.is_empty();
        let preview = self.newer_preview();
        changed |= preview.is_some();
        let checkpoint = self.folder.join("checkpoint");
        let written = || checkpoint.join(DYNAMICS).metadata().ok()?.modified().ok();
        let saved = save::playable(&checkpoint).then(written).flatten();
        let mut view = self.view();
        entries
            .into_iter()
            .for_each(|entry| view.progress.add(entry));
        changed |= view.saved != saved;
        view.saved = saved;
        if preview.is_some() {
            view.preview = preview;
        }
        if let Some(state) = state {
            view.state = state;
            drop(view);
            self.process = None;
        }
        changed
    }

    /// The newest preview, unless it is the one on show.
    fn newer_preview(&self) -> Option<Arc<Preview>> {
        let entries = self.folder.join("previews").read_dir().ok()?;
        let dated = entries.flatten().filter_map(|entry| {
            let path = entry.path();
            let png = path.extension().is_some_and(|extension| extension == "png");
            let written = entry.metadata().ok()?.modified().ok()?;
            png.then_some((written, path))
        });
        let (_, path) = dated.max()?;
        let name = path.file_stem()?.to_string_lossy().into_owned();
        let shown = self.view().preview.as_ref().map(|p| p.name.clone());
        if shown.as_deref() == Some(name.as_str()) {
            return None;
        }
        // One that cannot be read is still being written.
        let picture = image::open(&path).ok()?.into_rgb8();
        let size = [picture.width(), picture.height()].map(|side| side as usize);
        Some(Arc::new(Preview {
            name,
            size,
            rgb: picture.into_raw(),
        }))
    }
}

fn ended(process: &mut Process) -> Option<State> {
    match process.ended() {
        Ok(None) => None,
        Ok(Some(End::Done)) => Some(State::Stopped),
        Ok(Some(End::Failed(what))) => Some(State::Failed(what)),
        Err(error) => Some(State::Failed(error.to_string())),
    }
}

/// The run's lock. The child gets it as its standard input: on Unix it then holds as long as the
/// child lives, even where the window was killed.
fn lock(folder: &Path) -> Result<File> {
    let path = folder.join(LOCK);
    let file = File::create(&path).map_err(|e| Error::io(&path, e))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(Error::invalid(
            folder,
            "is being trained by another process, which has to end first",
        )),
        Err(std::fs::TryLockError::Error(error)) => Err(Error::io(&path, error)),
    }
}

#[cfg(test)]
#[cfg(unix)]
#[path = "training_tests.rs"]
mod tests;
