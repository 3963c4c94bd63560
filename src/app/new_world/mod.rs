//! The "New world" page: a source, the settings, the training, step by step.
//!
//! It shows what [`crate::workspace`] is doing and asks the window for what only the window can do.

pub(super) mod banner;
mod plot;
mod setup;
mod source;
mod training;
mod widgets;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use eframe::egui::{self, Align, Layout, RichText, ScrollArea, Ui};

use self::setup::Setup;
use self::source::Source;
use self::training::Watch;
use self::widgets::Complaint;
use super::theme;
use crate::workspace::{Notify, Places, Program, Task, Training, places, recording};
use crate::{Error, Result};
use driftless_sim::Session;
use driftless_worlds::Kind;

/// Width of the page's content at most.
const WIDTH: f32 = 940.0;

/// What the page asks of the window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// Go back to the game.
    Back,
    /// Play and record a simulator.
    Record(Kind),
    /// Play the checkpoint of a run, and come back.
    Try(PathBuf),
    /// Play a saved world.
    Play(PathBuf),
}

/// What a part of the page asks of the page.
enum Wish {
    Ask(Ask),
    /// A dataset is there: choose the settings.
    Data(PathBuf),
    /// Work that leads to a dataset in this folder, by the program's command with these arguments.
    Make {
        what: String,
        folder: PathBuf,
        arguments: Vec<std::ffi::OsString>,
    },
    OpenRun {
        folder: PathBuf,
        data: Option<PathBuf>,
    },
    Start(Box<setup::Start>),
    /// Choose another source.
    Source,
    Failed {
        what: &'static str,
        error: Error,
    },
}

enum Step {
    Source,
    /// A dataset is being made.
    Making {
        what: String,
        folder: PathBuf,
        task: Task<PathBuf>,
    },
    Setup(Box<Setup>),
    Training(Box<Watch>),
}

/// The page.
pub(super) struct Page {
    home: Option<PathBuf>,
    notify: Notify,
    step: Step,
    source: Source,
    complaint: Option<Complaint>,
    /// Settings that are proposed for training.
    settings: Option<PathBuf>,
}

impl Page {
    pub fn new(home: Option<PathBuf>, notify: Notify) -> Self {
        Self {
            source: Source::new(),
            step: Step::Source,
            complaint: None,
            settings: None,
            home,
            notify,
        }
    }

    /// Loads pictures anew, for another window.
    pub fn forget_pictures(&mut self) {
        self.source.forget_pictures();
        if let Step::Training(watch) = &mut self.step {
            watch.forget_preview();
        }
    }

    /// The page comes into sight: what lies on the disk may have changed.
    pub fn open(&mut self) {
        if let Some(places) = self.places() {
            self.source.list(&places);
        }
    }

    fn places(&mut self) -> Option<Places> {
        let found = Places::find(self.home.clone());
        found
            .map_err(|error| self.complain("No place for worlds", &error))
            .ok()
    }

    /// Proposes a settings file for training.
    pub fn propose_settings(&mut self, settings: Option<PathBuf>) {
        self.settings = settings;
    }

    /// Shows a card about what went wrong.
    pub fn complain(&mut self, what: &str, error: &Error) {
        self.complaint = Some(Complaint::new(what, error));
    }

    /// Whether a run is at work.
    pub fn trains(&self) -> bool {
        matches!(&self.step, Step::Training(watch) if watch.run.busy())
    }

    /// When the weights that can be tried were saved.
    pub fn saved(&self) -> Option<SystemTime> {
        match &self.step {
            Step::Training(watch) => watch.run.view().saved,
            _ => None,
        }
    }

    /// The dataset that a recording becomes.
    ///
    /// # Errors
    /// There is no place for it.
    pub fn recording_folder(&self, kind: Kind) -> Result<PathBuf> {
        let data = Places::find(self.home.clone())?.data();
        Ok(places::free(&data, kind.name()))
    }

    /// What was played becomes a dataset.
    pub fn take_recording(&mut self, session: Session, kind: Kind) {
        let folder = session.path().to_path_buf();
        let out = folder.clone();
        let task = Task::start(self.notify.clone(), move |_| {
            recording::write(session, kind, &out).map(|_| out)
        });
        self.make("Writing the recording".into(), folder, task);
    }

    fn make(&mut self, what: String, folder: PathBuf, task: Result<Task<PathBuf>>) {
        self.complaint = None;
        match task {
            Ok(task) => self.step = Step::Making { what, folder, task },
            Err(error) => self.complain("The work cannot begin", &error),
        }
    }

    /// Goes on with a dataset.
    pub fn choose_data(&mut self, folder: PathBuf) {
        self.complaint = None;
        match Setup::new(folder, self.settings.as_deref(), &self.notify) {
            Ok(setup) => self.step = Step::Setup(Box::new(setup)),
            Err(error) => self.complain("The dataset cannot be read", &error),
        }
    }

    /// Goes on with a run that has begun.
    pub fn open_run(&mut self, folder: &Path) {
        self.open_run_with(folder, None);
    }

    fn open_run_with(&mut self, folder: &Path, data: Option<PathBuf>) {
        self.complaint = None;
        let opened =
            Program::own().and_then(|own| Training::open(folder, data, own, self.notify.clone()));
        match opened {
            Ok(run) => self.step = Step::Training(Box::new(Watch::new(run))),
            Err(error) => {
                self.step = Step::Source;
                if !Training::names_its_data(folder) {
                    self.source.want_data_of(folder);
                }
                self.complain("The run cannot be opened", &error);
            }
        }
    }

    /// A file or a folder that was dropped onto the window.
    pub fn drop_path(&mut self, path: &Path) {
        if matches!(self.step, Step::Training(_) | Step::Making { .. }) {
            return;
        }
        if let Some(wish) = self.source.dropped(path) {
            self.fulfil(wish);
        } else {
            self.step = Step::Source;
        }
    }

    /// Takes the results of what runs in the background.
    pub fn listen(&mut self) {
        match &mut self.step {
            Step::Making { task, .. } => match task.take() {
                Some(Ok(folder)) => self.choose_data(folder),
                Some(Err(error)) => {
                    self.step = Step::Source;
                    self.complain("No dataset was made", &error);
                }
                None => {}
            },
            Step::Setup(setup) => setup.listen(),
            Step::Training(watch) => watch.listen(),
            Step::Source => {}
        }
        self.source.listen();
    }

    /// The key Enter: what the step's green button does.
    pub fn enter(&mut self) -> Option<Ask> {
        let wish = match &mut self.step {
            Step::Setup(setup) => setup.enter(),
            Step::Training(watch) => watch.enter(),
            Step::Source | Step::Making { .. } => None,
        };
        wish.and_then(|wish| self.fulfil(wish))
    }

    /// The key S: a world in training is saved under its name.
    pub fn save(&mut self) {
        if let Step::Training(watch) = &mut self.step {
            watch.save_as(Places::find(self.home.clone()), &self.notify);
        }
    }

    fn fulfil(&mut self, wish: Wish) -> Option<Ask> {
        match wish {
            Wish::Ask(ask) => return Some(ask),
            Wish::Data(folder) => self.choose_data(folder),
            Wish::Make {
                what,
                folder,
                arguments,
            } => {
                let notify = self.notify.clone();
                let out = folder.clone();
                let task = Program::own().and_then(|own| {
                    Task::start(notify, move |cancelled| {
                        own.run(&arguments, cancelled).map(|()| out)
                    })
                });
                self.make(what, folder, task);
            }
            Wish::OpenRun { folder, data } => self.open_run_with(&folder, data),
            Wish::Start(start) => self.start(&start),
            Wish::Source => {
                self.complaint = None;
                self.step = Step::Source;
                self.open();
            }
            Wish::Failed { what, error } => self.complain(what, &error),
        }
        None
    }

    fn start(&mut self, start: &setup::Start) {
        let Some(places) = self.places() else {
            return;
        };
        self.complaint = None;
        let started = places::folder_name(&start.name).and_then(|name| {
            let plan = start.plan(places::free(&places.runs(), &name));
            Training::start(&plan, start.minutes, Program::own()?, self.notify.clone())
        });
        match started {
            Ok(run) => self.step = Step::Training(Box::new(Watch::new(run))),
            Err(error) => self.complain("Training cannot begin", &error),
        }
    }

    /// Ends what runs for the page; a run of the trainer is handed over to be waited for.
    pub fn close(self) -> Option<Training> {
        match self.step {
            Step::Training(watch) => Some(watch.run),
            Step::Making { task, .. } => {
                task.end();
                None
            }
            Step::Source | Step::Setup(_) => None,
        }
    }

    /// Draws the page.
    pub fn ui(&mut self, ui: &mut Ui) -> Option<Ask> {
        let mut ask = None;
        let bar = egui::Frame::new()
            .fill(theme::panel())
            .inner_margin(egui::Margin::symmetric(18, 10));
        egui::Panel::top("page-bar")
            .resizable(false)
            .frame(bar)
            .show(ui, |ui| {
                if self.headline(ui) {
                    ask = Some(Ask::Back);
                }
            });
        ScrollArea::vertical().auto_shrink(false).show(ui, |ui| {
            let width = (ui.available_width() - 36.0).min(WIDTH);
            let aside = ((ui.available_width() - width) / 2.0).max(0.0);
            ui.horizontal_top(|ui| {
                ui.add_space(aside);
                ui.vertical(|ui| {
                    ui.set_width(width);
                    ui.add_space(14.0);
                    if let Some(wish) = self.content(ui) {
                        ask = self.fulfil(wish).or(ask.take());
                    }
                    ui.add_space(14.0);
                });
            });
        });
        ask
    }

    /// The name of the page and its steps; whether the way back was clicked.
    fn headline(&self, ui: &mut Ui) -> bool {
        let now = match self.step {
            Step::Source | Step::Making { .. } => 0,
            Step::Setup(_) => 1,
            Step::Training(_) => 2,
        };
        ui.horizontal(|ui| {
            ui.label(RichText::new("New world").heading().color(theme::text()));
            ui.add_space(12.0);
            for (i, name) in ["1 Source", "2 Settings", "3 Training"].iter().enumerate() {
                let colour = if i == now {
                    theme::accent()
                } else {
                    theme::muted()
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

    fn content(&mut self, ui: &mut Ui) -> Option<Wish> {
        if let Some(complaint) = &self.complaint
            && complaint.ui(ui)
        {
            self.complaint = None;
        }
        match &mut self.step {
            Step::Source => {
                let places = Places::find(self.home.clone());
                match places {
                    Ok(places) => self.source.ui(ui, &places, &self.notify),
                    Err(error) => Some(Wish::Failed {
                        what: "No place for worlds",
                        error,
                    }),
                }
            }
            Step::Making { what, folder, .. } => {
                let stop = widgets::card(ui, |ui| {
                    ui.horizontal(|ui| {
                        widgets::working(ui);
                        ui.label(RichText::new(what.as_str()).color(theme::text()));
                    });
                    let done = places::episodes_so_far(folder);
                    let count = format!("{done} episodes so far");
                    ui.label(RichText::new(count).monospace().color(theme::muted()));
                    ui.button("Stop").clicked()
                });
                stop.then_some(Wish::Source)
            }
            Step::Setup(setup) => setup.ui(ui, &self.notify),
            Step::Training(watch) => watch.ui(ui, Places::find(self.home.clone()), &self.notify),
        }
    }
}
