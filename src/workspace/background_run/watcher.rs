//! The thread that watches a run: starts the trainer, reads its files, keeps the view up to date.

use std::ffi::OsString;
use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use driftless_data::PathError as _;
use driftless_model::checkpoint::DYNAMICS;
use driftless_train::RunLayout;

use super::note::RunNote;
use super::settings::{CONFIG, read_settings};
use super::view::{PreviewImage, RunState, RunView, WatcherCommand};
use crate::workspace::process::{ChildProcess, ChildProgram, Exit};
use crate::workspace::progress::RunProgress;
use crate::workspace::run_log::LogTail;
use crate::workspace::{Notify, library};
use crate::{Error, Result};

/// Time between two checks on the run.
const POLL_INTERVAL: Duration = Duration::from_millis(300);
/// Locked while a process trains in the folder.
const LOCK: &str = "training.lock";

/// The state of the watching thread.
pub(super) struct Watcher {
    pub layout: RunLayout,
    pub note: RunNote,
    pub program: ChildProgram,
    pub tail: LogTail,
    /// Whether the trainer's settings were read, which hold the number of steps.
    pub settings_read: bool,
    pub view: Arc<Mutex<RunView>>,
    pub process: Option<ChildProcess>,
    pub notify: Notify,
}

impl Watcher {
    pub fn run(mut self, commands: &Receiver<WatcherCommand>) {
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
        let mut arguments: Vec<OsString> = ["train", "all", "--data"].map(Into::into).into();
        arguments.extend([self.note.data.clone().into(), "--out".into()]);
        arguments.push(self.layout.root().into());
        // A run that was started before keeps its settings.
        if self.layout.is_run() {
            arguments.push("--resume".into());
        } else {
            arguments.extend(["--preset".into(), self.note.preset.clone().into()]);
            arguments.extend(["--config".into(), self.layout.root().join(CONFIG).into()]);
        }
        if let Some(minutes) = minutes {
            arguments.extend(["--max-minutes".into(), minutes.to_string().into()]);
        }
        arguments
    }

    /// Updates the view from the process and the run's files. Returns whether anything changed.
    pub fn poll(&mut self) -> bool {
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
        if !library::is_playable(&checkpoint) {
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
