//! The "New world" page, in three steps: source, settings, training.
//!
//! It drives [`crate::workspace`] and returns requests that only the window can fulfil.

mod action;
pub(super) mod banner;
mod capture;
mod captured;
mod data_check;
mod plot;
mod setup;
mod source;
mod training;
mod training_request;
mod widgets;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use eframe::egui;
use eframe::egui::{Align, Layout, RichText, ScrollArea, Ui};

use driftless_data::text::counted;
use driftless_sim::{RecordOptions, Session};
use driftless_worlds::SimulatorKind;

use self::action::{DatasetJob, StepAction};
use self::captured::CaptureNote;
use self::setup::SetupStep;
use self::source::SourceStep;
use self::training::TrainingStep;
use self::training_request::TrainingRequest;
use self::widgets::ErrorCard;
use super::theme;
use crate::workspace::background_run::{RunState, records_dataset};
use crate::workspace::{
    BackgroundRun, BackgroundTask, ChildProgram, Notify, UserPaths, paths, recording,
};
use crate::{Error, Result};

pub(super) use self::action::PageRequest;

/// Maximum width of the page's content, in points.
const WIDTH: f32 = 940.0;

enum PageStep {
    Source,
    /// A dataset is being created.
    CreatingDataset {
        what: String,
        folder: PathBuf,
        task: BackgroundTask<CreatedDataset>,
        /// Whether it is a capture, of which nothing is lost when it is stopped.
        is_capture: bool,
    },
    Setup(Box<SetupStep>),
    Training(Box<TrainingStep>),
}

/// A dataset that was created, and what the capture that made it has printed.
struct CreatedDataset {
    folder: PathBuf,
    printed: String,
}

/// The "New world" page.
pub(super) struct NewWorldPage {
    home: Option<PathBuf>,
    notify: Notify,
    step: PageStep,
    source: SourceStep,
    error_card: Option<ErrorCard>,
    /// What is said of the dataset that was just captured.
    capture_note: Option<CaptureNote>,
    /// A settings file offered for training.
    settings: Option<PathBuf>,
}

impl NewWorldPage {
    pub fn new(home: Option<PathBuf>, notify: Notify) -> Self {
        Self {
            source: SourceStep::new(),
            step: PageStep::Source,
            error_card: None,
            capture_note: None,
            settings: None,
            home,
            notify,
        }
    }

    /// Drops textures of a lost device.
    pub fn drop_textures(&mut self) {
        self.source.drop_textures();
        if let PageStep::Training(training) = &mut self.step {
            training.drop_textures();
        }
    }

    /// Opens the page and lists the files on disk again.
    pub fn open(&mut self) {
        if let Some(paths) = self.paths() {
            self.source.list(&paths);
        }
    }

    fn paths(&mut self) -> Option<UserPaths> {
        let found = UserPaths::resolve(self.home.clone());
        found
            .map_err(|error| self.show_error("Cannot find the data folder", &error))
            .ok()
    }

    /// Offers a settings file for training.
    pub fn propose_settings(&mut self, settings: Option<PathBuf>) {
        self.settings = settings;
    }

    /// Shows an error card.
    pub fn show_error(&mut self, what: &str, error: &Error) {
        self.error_card = Some(ErrorCard::new(what, error));
    }

    /// Whether training is running.
    pub fn is_training(&self) -> bool {
        matches!(&self.step, PageStep::Training(training) if training.run.is_busy())
    }

    /// The name of the run that is training, and the part of its steps that is done, in percent.
    pub fn training_state(&self) -> Option<(String, usize)> {
        match &self.step {
            PageStep::Training(training) if training.run.is_busy() => {
                let percent = training.run.view().progress.percent();
                Some((training.run.name().to_owned(), percent))
            }
            _ => None,
        }
    }

    /// What to say about a run that is no longer training.
    pub fn training_ended(&self) -> Option<String> {
        let PageStep::Training(training) = &self.step else {
            return None;
        };
        let (name, view) = (training.run.name(), training.run.view());
        match &view.state {
            RunState::Failed(why) => Some(format!("The training of {name} failed: {why}")),
            RunState::Stopped if view.progress.is_complete() => {
                Some(format!("The training of {name} is done."))
            }
            RunState::Stopped => Some(format!("The training of {name} has stopped.")),
            RunState::Running | RunState::Stopping => None,
        }
    }

    /// When the newest playable weights were saved.
    pub fn saved(&self) -> Option<SystemTime> {
        match &self.step {
            PageStep::Training(training) => training.run.view().saved,
            _ => None,
        }
    }

    /// Where a new recording goes: a dataset in a folder of its own.
    ///
    /// # Errors
    /// Returns an error if the data folder cannot be determined.
    pub fn recording_options(&self, kind: SimulatorKind) -> Result<RecordOptions> {
        let paths = UserPaths::resolve(self.home.clone())?;
        Ok(RecordOptions {
            path: paths::unused_folder(&paths.data(), kind.name()),
            overwrite: false,
            journal: Some(paths.unfinished()),
            dataset_of: Some(kind.name().to_owned()),
        })
    }

    /// Writes a recording as a dataset.
    pub fn take_recording(&mut self, recording: Session, kind: SimulatorKind) {
        let folder = recording.path().to_path_buf();
        let out = folder.clone();
        let task = BackgroundTask::start(self.notify.clone(), move |_| {
            recording::write_dataset(recording, kind, &out)?;
            let printed = String::new();
            Ok(CreatedDataset {
                folder: out,
                printed,
            })
        });
        self.create_dataset("Writing the recording…".into(), folder, task, false);
    }

    /// Runs the program to create a dataset. A capture is only asked to stop, and keeps what it has.
    fn run_job(&mut self, job: DatasetJob, is_capture: bool) {
        let DatasetJob {
            what,
            folder,
            arguments,
        } = job;
        let (notify, out) = (self.notify.clone(), folder.clone());
        let task = ChildProgram::own().and_then(|program| {
            BackgroundTask::start(notify, move |stopped| {
                let printed = if is_capture {
                    program.run_until_stopped(&arguments, stopped)?
                } else {
                    program.run(&arguments, stopped)?;
                    String::new()
                };
                Ok(CreatedDataset {
                    folder: out,
                    printed,
                })
            })
        });
        self.create_dataset(what, folder, task, is_capture);
    }

    fn create_dataset(
        &mut self,
        what: String,
        folder: PathBuf,
        task: Result<BackgroundTask<CreatedDataset>>,
        is_capture: bool,
    ) {
        self.error_card = None;
        match task {
            Ok(task) => {
                self.step = PageStep::CreatingDataset {
                    what,
                    folder,
                    task,
                    is_capture,
                };
            }
            Err(error) => self.show_error("Cannot start", &error),
        }
    }

    /// Continues with a dataset.
    pub fn choose_data(&mut self, folder: PathBuf) {
        (self.error_card, self.capture_note) = (None, None);
        match SetupStep::new(folder, self.settings.as_deref(), &self.notify) {
            Ok(setup) => self.step = PageStep::Setup(Box::new(setup)),
            Err(error) => self.show_error("Cannot read the dataset", &error),
        }
    }

    /// Opens an existing training run.
    pub fn open_run(&mut self, folder: &Path) {
        self.open_run_with(folder, None);
    }

    fn open_run_with(&mut self, folder: &Path, data: Option<PathBuf>) {
        self.error_card = None;
        let opened = ChildProgram::own()
            .and_then(|program| BackgroundRun::open(folder, data, program, self.notify.clone()));
        match opened {
            Ok(run) => self.step = PageStep::Training(Box::new(TrainingStep::new(run))),
            Err(error) => {
                self.step = PageStep::Source;
                if !records_dataset(folder) {
                    self.source.ask_for_data(folder);
                }
                self.show_error("Cannot open the run", &error);
            }
        }
    }

    /// Handles a file or folder dropped on the window.
    pub fn drop_path(&mut self, path: &Path) {
        if matches!(
            self.step,
            PageStep::Training(_) | PageStep::CreatingDataset { .. }
        ) {
            return;
        }
        if let Some(action) = self.source.dropped(path) {
            self.handle(action);
        } else {
            self.step = PageStep::Source;
        }
    }

    /// Takes results from background tasks.
    pub fn poll(&mut self) {
        match &mut self.step {
            PageStep::CreatingDataset { task, .. } => match task.take() {
                Some(Ok(CreatedDataset { folder, printed })) => {
                    self.choose_data(folder);
                    self.capture_note = CaptureNote::read(&printed);
                }
                Some(Err(error)) => {
                    self.step = PageStep::Source;
                    self.show_error("No dataset was created", &error);
                }
                None => {}
            },
            PageStep::Setup(setup) => setup.poll(),
            PageStep::Training(training) => training.poll(),
            PageStep::Source => {}
        }
        self.source.poll();
    }

    /// Handles Enter: the step's primary button.
    pub fn enter(&mut self) -> Option<PageRequest> {
        let action = match &mut self.step {
            PageStep::Setup(setup) => setup.enter(),
            PageStep::Training(training) => training.enter(),
            PageStep::Source | PageStep::CreatingDataset { .. } => None,
        };
        action.and_then(|action| self.handle(action))
    }

    /// Handles S: saves a world in training under its name.
    pub fn save(&mut self) {
        if let PageStep::Training(training) = &mut self.step {
            training.save_as(UserPaths::resolve(self.home.clone()), &self.notify);
        }
    }

    fn handle(&mut self, action: StepAction) -> Option<PageRequest> {
        match action {
            StepAction::Request(request) => return Some(request),
            StepAction::Data(folder) => self.choose_data(folder),
            StepAction::CreateDataset(job) => self.run_job(job, false),
            StepAction::Capture(job) => self.run_job(job, true),
            StepAction::EndCapture => {
                if let PageStep::CreatingDataset { task, .. } = &self.step {
                    task.cancel();
                }
            }
            StepAction::OpenRun { folder, data } => self.open_run_with(&folder, data),
            StepAction::Start(start) => self.start(&start),
            StepAction::Source => {
                self.error_card = None;
                self.step = PageStep::Source;
                self.open();
            }
            StepAction::Failed { what, error } => self.show_error(what, &error),
        }
        None
    }

    fn start(&mut self, start: &TrainingRequest) {
        let Some(paths) = self.paths() else {
            return;
        };
        self.error_card = None;
        let started = paths::folder_name(&start.name).and_then(|name| {
            let plan = start.plan(paths::unused_folder(&paths.runs(), &name));
            BackgroundRun::start(
                &plan,
                start.minutes,
                ChildProgram::own()?,
                self.notify.clone(),
            )
        });
        match started {
            Ok(run) => self.step = PageStep::Training(Box::new(TrainingStep::new(run))),
            Err(error) => self.show_error("Cannot start training", &error),
        }
    }

    /// Ends background tasks; returns a running training to be waited for.
    pub fn close(self) -> Option<BackgroundRun> {
        match self.step {
            PageStep::Training(training) => Some(training.run),
            PageStep::CreatingDataset { task, .. } => {
                task.cancel_and_wait();
                None
            }
            PageStep::Source | PageStep::Setup(_) => None,
        }
    }

    /// Draws the page.
    pub fn ui(&mut self, ui: &mut Ui) -> Option<PageRequest> {
        let mut request = None;
        let bar = egui::Frame::new()
            .fill(theme::palette(ui).panel)
            .inner_margin(egui::Margin::symmetric(18, 10));
        egui::Panel::top("page-bar")
            .resizable(false)
            .frame(bar)
            .show(ui, |ui| {
                if self.headline(ui) {
                    request = Some(PageRequest::Back);
                }
            });
        // Each step begins at its top, wherever another page was.
        let scroll = ScrollArea::vertical().id_salt(("new world", self.step_number()));
        scroll.auto_shrink(false).show(ui, |ui| {
            let width = (ui.available_width() - 36.0).min(WIDTH);
            let aside = ((ui.available_width() - width) / 2.0).max(0.0);
            ui.horizontal_top(|ui| {
                ui.add_space(aside);
                ui.vertical(|ui| {
                    ui.set_width(width);
                    ui.add_space(14.0);
                    if let Some(action) = self.content(ui) {
                        request = self.handle(action).or(request.take());
                    }
                    ui.add_space(14.0);
                });
            });
        });
        request
    }

    /// The place of the step among the three that the title shows.
    fn step_number(&self) -> usize {
        match self.step {
            PageStep::Source | PageStep::CreatingDataset { .. } => 0,
            PageStep::Setup(_) => 1,
            PageStep::Training(_) => 2,
        }
    }

    /// Draws the page's title and steps; returns whether "Back" was clicked.
    fn headline(&self, ui: &mut Ui) -> bool {
        let now = self.step_number();
        ui.horizontal(|ui| {
            ui.label(
                RichText::new("New world")
                    .heading()
                    .color(theme::palette(ui).text),
            );
            ui.add_space(12.0);
            for (i, name) in ["1 Source", "2 Settings", "3 Training"].iter().enumerate() {
                let colour = if i == now {
                    theme::palette(ui).accent
                } else {
                    theme::palette(ui).muted
                };
                ui.label(RichText::new(*name).color(colour));
            }
            let back = ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                ui.button("Back to the game").on_hover_text("Esc").clicked()
            });
            back.inner
        })
        .inner
    }

    fn content(&mut self, ui: &mut Ui) -> Option<StepAction> {
        if let Some(error_card) = &self.error_card
            && error_card.ui(ui)
        {
            self.error_card = None;
        }
        if let (Some(note), PageStep::Setup(_)) = (&self.capture_note, &self.step)
            && note.ui(ui)
        {
            self.capture_note = None;
        }
        match &mut self.step {
            PageStep::Source => {
                let paths = UserPaths::resolve(self.home.clone());
                match paths {
                    Ok(paths) => self.source.ui(ui, &paths, &self.notify),
                    Err(error) => Some(StepAction::Failed {
                        what: "Cannot find the data folder",
                        error,
                    }),
                }
            }
            PageStep::CreatingDataset {
                what,
                folder,
                is_capture,
                ..
            } => {
                let is_capture = *is_capture;
                let stop = widgets::card(ui, |ui| {
                    ui.horizontal(|ui| {
                        widgets::activity(ui);
                        ui.label(RichText::new(what.as_str()).color(theme::palette(ui).text));
                    });
                    if is_capture {
                        return ui.button("Stop and use it").clicked();
                    }
                    let done = paths::count_staged_episodes(folder);
                    let count = format!("{} so far", counted(done, "episode"));
                    ui.label(
                        RichText::new(count)
                            .monospace()
                            .color(theme::palette(ui).muted),
                    );
                    ui.button("Stop").clicked()
                });
                let action = if is_capture {
                    StepAction::EndCapture
                } else {
                    StepAction::Source
                };
                stop.then_some(action)
            }
            PageStep::Setup(setup) => setup.ui(ui, &self.notify),
            PageStep::Training(training) => {
                training.ui(ui, UserPaths::resolve(self.home.clone()), &self.notify)
            }
        }
    }
}
