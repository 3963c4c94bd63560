//! The page that shows the episodes of a dataset, frame by frame, and changes them: cut, split, set aside,
//! hold out, merge actions.
//!
//! It draws and asks; files are read and written in a thread of its own ([`worker`]).

mod actions;
mod list;
mod player;
mod tracks;
mod view;
mod worker;

use std::path::{Path, PathBuf};
use std::time::Instant;

use eframe::egui;
use eframe::egui::{Align, Key, Layout, Margin, RichText, Ui};

use self::view::{ActionTable, Shown, View};
use self::worker::{Answer, Edit, Remapping, Worker};
use super::theme;
use crate::Result;
use crate::workspace::Notify;

/// Width of the list, in points, and below which it lies above the frames.
const LIST: f32 = 300.0;
const TWO_COLUMNS: f32 = 760.0;
/// Frames that a page key moves by.
const PAGE: isize = 10;

/// What a control of the page asks for.
#[derive(Clone, Debug, PartialEq)]
enum Asked {
    /// Show another file.
    Show(String),
    /// Change the shown one.
    Edit(Edit),
    Undo,
    /// Decide what becomes of the actions, or leave it.
    Actions(bool),
    /// Write a copy with other actions.
    Remap,
    /// Stop writing it.
    Cancel,
}

/// What the page tells the window.
pub(super) enum Told {
    Done(String),
    Failed(String),
}

/// The page.
pub(super) struct BrowsePage {
    folder: PathBuf,
    worker: Option<Worker>,
    /// The dataset, once it is listed.
    view: Option<View>,
    /// Why there is nothing to see.
    failure: Option<String>,
    told: Vec<Told>,
}

impl BrowsePage {
    /// Opens a dataset, in a thread of its own.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn open(folder: &Path, notify: Notify) -> Result<Self> {
        Ok(Self {
            worker: Some(Worker::start(folder, notify)?),
            folder: folder.to_path_buf(),
            view: None,
            failure: None,
            told: Vec::new(),
        })
    }

    /// The dataset's name, or that of its folder while it is read.
    pub fn name(&self) -> String {
        match &self.view {
            Some(view) => view.listing.info.name.clone(),
            None => {
                let name = self.folder.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
        }
    }

    /// Drops textures of a lost device.
    pub fn drop_textures(&mut self) {
        let episode = self.view.as_mut().and_then(|view| view.episode.as_mut());
        episode.into_iter().for_each(Shown::drop_textures);
    }

    /// Takes what the thread has sent; returns what to tell.
    pub fn poll(&mut self) -> Vec<Told> {
        while let Some(answer) = self.worker.as_ref().and_then(Worker::take) {
            self.receive(answer);
        }
        std::mem::take(&mut self.told)
    }

    fn receive(&mut self, answer: Answer) {
        match answer {
            Answer::Listed(listing, done) => {
                self.told.extend(done.map(Told::Done));
                let view = self
                    .view
                    .get_or_insert_with(|| View::new((*listing).clone()));
                let next = view.next_file(&listing);
                view.listing = *listing;
                view.is_busy = false;
                if let Some(file) = next {
                    self.show(file);
                }
            }
            Answer::Read(file, read) => {
                let Some(view) = self.view.as_mut() else {
                    return;
                };
                if view.file.as_ref() == Some(&file) {
                    (view.episode, view.unreadable) = match read {
                        Ok(episode) => (Some(Shown::new(episode)), None),
                        Err(why) => (None, Some(why)),
                    };
                }
            }
            Answer::Copied(episodes) => {
                let view = self.view.iter_mut();
                view.for_each(|view| view.copied = Some(episodes));
            }
            Answer::Remapped(out) => {
                let text = format!("Wrote {}", out.display());
                self.told.push(Told::Done(text));
                self.view.iter_mut().for_each(View::finish_copy);
            }
            Answer::Failed(why) => match &mut self.view {
                Some(view) => {
                    view.is_busy = false;
                    view.copied = None;
                    self.told.push(Told::Failed(why));
                }
                None => self.failure = Some(why),
            },
            Answer::Ended => {
                self.worker = None;
                if self.view.is_some() {
                    let why = "The thread that reads the dataset stopped unexpectedly.";
                    self.told.push(Told::Failed(why.to_owned()));
                }
            }
        }
    }

    /// Shows the episode in a file.
    fn show(&mut self, file: String) {
        let (Some(view), Some(worker)) = (&mut self.view, &self.worker) else {
            return;
        };
        if view.file.as_ref() != Some(&file) || view.episode.is_none() {
            worker.read(&file);
            view.episode = None;
            view.unreadable = None;
            view.file = Some(file);
        }
    }

    fn ask(&mut self, asked: Asked) {
        let (Some(view), Some(worker)) = (&mut self.view, &self.worker) else {
            return;
        };
        match asked {
            Asked::Show(file) => self.show(file),
            Asked::Edit(edit) => {
                if let (Some(file), false) = (&view.file, view.is_busy) {
                    worker.edit(file, edit);
                    view.is_busy = true;
                }
            }
            Asked::Undo => {
                if view.listing.changes > 0 && !view.is_busy {
                    worker.undo();
                    view.is_busy = true;
                }
            }
            Asked::Actions(opens) => {
                let table = || ActionTable::new(&view.listing.info.actions);
                view.remapping = opens.then(table);
            }
            Asked::Remap => {
                if let Some(table) = &view.remapping {
                    let (actions, map) = table.result();
                    worker.remap(Remapping { actions, map });
                    view.copied = Some(0);
                }
            }
            Asked::Cancel => worker.cancel(),
        }
    }

    /// Handles a key that no control has consumed; returns whether it did anything.
    pub fn key(&mut self, key: Key) -> bool {
        let Some(view) = &mut self.view else {
            return false;
        };
        let file = match key {
            Key::ArrowUp => view.neighbour(-1),
            Key::ArrowDown => view.neighbour(1),
            _ => None,
        };
        if let Some(file) = file {
            self.show(file);
            return true;
        }
        let Some(shown) = &mut view.episode else {
            return false;
        };
        match key {
            Key::Space => shown.toggle(Instant::now()),
            Key::ArrowLeft | Key::Comma => shown.step(-1),
            Key::ArrowRight | Key::Period => shown.step(1),
            Key::PageUp => shown.step(-PAGE),
            Key::PageDown => shown.step(PAGE),
            Key::Home => shown.stop_at(0),
            Key::End => shown.stop_at(usize::MAX),
            Key::OpenBracket => shown.select_from_here(),
            Key::CloseBracket => shown.select_to_here(),
            Key::Z => self.ask(Asked::Undo),
            _ => return false,
        }
        true
    }

    /// Draws the page; returns whether it is to be closed.
    pub fn ui(&mut self, ui: &mut Ui) -> bool {
        let palette = theme::palette(ui);
        let bar = egui::Frame::new()
            .fill(palette.panel)
            .inner_margin(Margin::symmetric(18, 10));
        let closes = egui::Panel::top("browse-bar")
            .resizable(false)
            .frame(bar)
            .show(ui, |ui| self.header(ui))
            .inner;
        let Some(view) = &mut self.view else {
            waiting(ui, self.failure.as_deref());
            return closes;
        };
        let mut asked = None;
        let narrow = ui.available_width() < TWO_COLUMNS;
        let fill = egui::Frame::new()
            .fill(palette.panel)
            .inner_margin(Margin::symmetric(12, 10));
        let panel = if narrow {
            let height = (ui.available_height() * 0.3).max(120.0);
            egui::Panel::top("browse-list").exact_size(height)
        } else {
            egui::Panel::left("browse-list").exact_size(LIST)
        };
        panel.resizable(false).frame(fill).show(ui, |ui| {
            asked = list::ui(ui, view);
        });
        let inner = egui::Frame::new().inner_margin(Margin::symmetric(18, 14));
        egui::CentralPanel::default()
            .frame(inner.fill(palette.backdrop))
            .show(ui, |ui| {
                let wanted = if view.remapping.is_some() {
                    actions::ui(ui, view)
                } else {
                    player::ui(ui, view)
                };
                asked = asked.take().or(wanted);
            });
        if let Some(asked) = asked {
            self.ask(asked);
        }
        closes
    }

    fn header(&self, ui: &mut Ui) -> bool {
        let palette = theme::palette(ui);
        let mut closes = false;
        ui.horizontal(|ui| {
            ui.label(RichText::new("Dataset").heading().color(palette.text));
            if let Some(view) = &self.view {
                let info = &view.listing.info;
                let [height, width] = info.image;
                let about = format!(
                    "{}, {width}×{height} pixels at {} frames a second, {} actions",
                    info.name,
                    info.fps,
                    info.actions.len()
                );
                ui.label(RichText::new(about).color(palette.muted));
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                closes = ui.button("Back to the game").on_hover_text("Esc").clicked();
            });
        });
        closes
    }
}

/// What is shown before the list: that it is read, or why it cannot be.
fn waiting(ui: &mut Ui, failure: Option<&str>) {
    let palette = theme::palette(ui);
    ui.add_space(40.0);
    ui.vertical_centered(|ui| {
        let text = match failure {
            Some(why) => RichText::new(why).color(palette.alert),
            None => RichText::new("Reading the dataset…").color(palette.muted),
        };
        ui.label(text);
    });
}
