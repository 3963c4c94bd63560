//! The page of a transport network: an untreated cell, what a drug makes of it, and the way between.
//!
//! It draws and asks; the network runs in a thread of its own ([`worker`]).

mod controls;
mod export;
mod look;
mod picture;
mod specimens;
mod starts;
mod strip;
mod view;
mod wish;
mod worker;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use eframe::egui;
use eframe::egui::{
    Align, Color32, ColorImage, Key, Label, Layout, Margin, RichText, ScrollArea, TextStyle, Ui,
    vec2,
};

use self::picture::Pictures;
use self::view::{FileKind, View};
use self::wish::Wish;
use self::worker::{Answer, Bench, Morph, Recorded, Worker};
use super::theme;
use super::widgets::loading;
use crate::workspace::{BackgroundExport, Notify, UserPaths};
use crate::{Error, Result};

/// Width of the panel with the controls, in points, and below which it lies under the pictures.
const PANEL: f32 = 300.0;
const TWO_COLUMNS: f32 = 760.0;
/// Repaints a second while the film plays.
const FILM_RATE: u64 = 30;
/// The longest time between two of them that moves the film on, in seconds.
const SLOWEST: f32 = 0.1;

/// What the page asks the window for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PageEnd {
    /// Back to the game.
    Back,
    /// To the worlds page.
    Worlds,
}

/// The page.
pub(super) struct TransportPage {
    folder: PathBuf,
    home: Option<PathBuf>,
    notify: Notify,
    worker: Option<Worker>,
    /// The network and its cells, once they are loaded, and how they are looked at.
    view: Option<View>,
    /// Why there is nothing to see.
    failure: Option<String>,
    /// Files that were written, or could not be.
    saved: Vec<Result<PathBuf>>,
    export: Option<BackgroundExport>,
}

impl TransportPage {
    /// Opens a checkpoint folder, in a thread of its own.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn open(folder: &Path, home: Option<PathBuf>, notify: Notify) -> Result<Self> {
        let from = folder.to_path_buf();
        Self::with(folder, home, notify, move || Bench::read(&from))
    }

    fn with(
        folder: &Path,
        home: Option<PathBuf>,
        notify: Notify,
        load: impl FnOnce() -> Result<Bench> + Send + 'static,
    ) -> Result<Self> {
        Ok(Self {
            worker: Some(Worker::start(Arc::clone(&notify), load)?),
            folder: folder.to_path_buf(),
            home,
            notify,
            view: None,
            failure: None,
            saved: Vec::new(),
            export: None,
        })
    }

    /// The checkpoint's name, or that of its folder while it is loaded.
    pub fn name(&self) -> String {
        match &self.view {
            Some(view) => view.config().name.clone(),
            None => {
                let name = self.folder.file_name().unwrap_or_default();
                name.to_string_lossy().into_owned()
            }
        }
    }

    /// The picture at τ, as it is drawn.
    pub fn picture(&self) -> Option<ColorImage> {
        let view = self.view.as_ref()?;
        Some(view.look.image(&view.shown()?, view.config().image))
    }

    /// Drops textures of a lost device.
    pub fn drop_textures(&mut self) {
        self.view
            .iter_mut()
            .for_each(|view| view.pictures = Pictures::default());
    }

    /// Takes what the thread has sent; returns files that were written, or why not.
    pub fn poll(&mut self) -> Vec<Result<PathBuf>> {
        while let Some(answer) = self.worker.as_ref().and_then(Worker::take) {
            self.receive(answer);
        }
        let written = self.export.as_mut().and_then(BackgroundExport::take_result);
        if let Some(written) = written {
            self.export = None;
            self.saved.push(written);
        }
        self.ask();
        std::mem::take(&mut self.saved)
    }

    fn receive(&mut self, answer: Answer) {
        match (answer, &mut self.view) {
            (Answer::Ready(bench), _) => self.view = Some(View::new(bench)),
            (Answer::Morph(morph), Some(view)) => {
                view.pictures.forget();
                view.morph = Some(morph);
                self.failure = None;
            }
            (Answer::Film(morph), _) => self.write_film(&morph),
            (Answer::Series(series), Some(view)) => {
                view.recorded = None;
                let (look, size) = (view.look.clone(), view.config().image);
                let written = self
                    .new_file(&series.wish, FileKind::Sheet)
                    .and_then(|path| {
                        export::write_series(&path, &series, &look, size)?;
                        Ok(path)
                    });
                self.saved.push(written);
            }
            (Answer::Failed(why), view) => {
                view.iter_mut().for_each(|view| view.recorded = None);
                self.failure = Some(why);
            }
            (Answer::Ended, _) => {
                self.worker = None;
                let why = || "The network's thread stopped unexpectedly.".to_owned();
                self.failure.get_or_insert_with(why);
            }
            (Answer::Morph(_) | Answer::Series(_), None) => {}
        }
    }

    /// Tells the thread the wish if it has changed.
    fn ask(&mut self) {
        if let (Some(view), Some(worker)) = (&mut self.view, &self.worker)
            && view.asked != Some(view.wish)
        {
            view.asked = Some(view.wish);
            worker.ask(view.wish);
        }
    }

    /// Asks for the pictures of a file.
    fn record(&mut self, kind: FileKind) {
        if let (Some(view), Some(worker)) = (&mut self.view, &self.worker) {
            view.recorded = Some(kind);
            let what = match kind {
                FileKind::Gif | FileKind::Mp4 => Recorded::Film,
                FileKind::Sheet => Recorded::Series,
            };
            worker.record(view.wish, what);
        }
    }

    fn write_film(&mut self, morph: &Morph) {
        let Some(view) = &mut self.view else {
            return;
        };
        let kind = view.recorded.take().unwrap_or(FileKind::Gif);
        let size = view.config().image;
        let film = export::film(morph, &view.look, size);
        let started = self.new_file(&morph.wish, kind).and_then(|path| {
            let scale = export::film_scale(size);
            BackgroundExport::start(film, path, scale, export::FPS, Arc::clone(&self.notify))
        });
        match started {
            Ok(export) => self.export = Some(export),
            Err(error) => self.saved.push(Err(error)),
        }
    }

    fn new_file(&self, wish: &Wish, kind: FileKind) -> Result<PathBuf> {
        let Some(view) = &self.view else {
            return Err(Error::Argument("no network is loaded".into()));
        };
        let folder = UserPaths::resolve(self.home.clone())?.saved();
        let what = match kind {
            FileKind::Gif | FileKind::Mp4 => wish::figure(wish.dose),
            FileKind::Sheet => "doses".to_owned(),
        };
        let name = format!("{what}.{}", kind.extension());
        export::file(&folder, view.config(), wish, &name)
    }

    /// Whether a file is being prepared or written.
    fn is_busy(&self) -> bool {
        self.export.is_some()
            || self
                .view
                .as_ref()
                .is_some_and(|view| view.recorded.is_some())
    }

    /// Handles a key that no control has consumed; returns whether it did anything.
    pub fn key(&mut self, key: Key) -> bool {
        self.view.as_mut().is_some_and(|view| view.key(key))
    }

    /// Draws the page; `game` is whether there is a game to go back to.
    pub fn ui(&mut self, ui: &mut Ui, game: bool) -> Option<PageEnd> {
        let palette = theme::palette(ui);
        let bar = egui::Frame::new()
            .fill(palette.panel)
            .inner_margin(Margin::symmetric(18, 10));
        let end = egui::Panel::top("cells-bar")
            .resizable(false)
            .frame(bar)
            .show(ui, |ui| self.header(ui, game))
            .inner;
        let busy = self.is_busy();
        let mut file = None;
        if let Some(view) = &mut self.view {
            if view.plays.is_some() {
                view.advance(ui.input(|input| input.unstable_dt).min(SLOWEST));
                let period = Duration::from_millis(1000 / FILM_RATE);
                ui.request_repaint_after(period);
            }
            let failure = self.failure.as_deref();
            if ui.available_width() < TWO_COLUMNS {
                let scroll = ScrollArea::vertical().id_salt("cells").auto_shrink(false);
                scroll.show(ui, |ui| {
                    let inner = egui::Frame::new().inner_margin(Margin::symmetric(14, 10));
                    inner.show(ui, |ui| {
                        strip::pictures(ui, view, failure);
                        file = controls::panel(ui, view, busy);
                    });
                });
            } else {
                let fill = egui::Frame::new().fill(palette.panel);
                egui::Panel::right("cells-controls")
                    .exact_size(PANEL)
                    .resizable(false)
                    .frame(fill.inner_margin(Margin {
                        left: 16,
                        right: 8,
                        top: 12,
                        bottom: 12,
                    }))
                    .show(ui, |ui| {
                        let scroll = ScrollArea::vertical().id_salt("cells").auto_shrink(false);
                        let shown = scroll.show(ui, |ui| {
                            // Room for the scroll bar.
                            ui.set_max_width(ui.available_width() - 8.0);
                            controls::panel(ui, view, busy)
                        });
                        file = shown.inner;
                    });
                let inner = egui::Frame::new().inner_margin(Margin::symmetric(18, 14));
                egui::CentralPanel::default()
                    .frame(inner.fill(palette.backdrop))
                    .show(ui, |ui| {
                        let scroll = ScrollArea::vertical()
                            .id_salt("pictures")
                            .auto_shrink(false);
                        scroll.show(ui, |ui| strip::pictures(ui, view, failure));
                    });
            }
        } else {
            loading(ui, self.failure.as_deref());
        }
        if let Some(kind) = file {
            self.record(kind);
        }
        self.ask();
        end
    }

    fn header(&self, ui: &mut Ui, game: bool) -> Option<PageEnd> {
        let palette = theme::palette(ui);
        let back = ("Back to the game", "Esc", PageEnd::Back);
        let buttons = [("Worlds", "Choose another world.", PageEnd::Worlds)]
            .into_iter()
            .chain(game.then_some(back));
        let mut end = None;
        ui.horizontal(|ui| {
            // Drawn from the left, which is the order of the keyboard.
            let width: f32 = buttons
                .clone()
                .map(|(name, ..)| button_width(ui, name) + ui.spacing().item_spacing.x)
                .sum();
            let space = vec2(
                (ui.available_width() - width).max(0.0),
                ui.available_height(),
            );
            let left = Layout::left_to_right(Align::Center);
            ui.allocate_ui_with_layout(space, left, |ui| {
                ui.set_min_width(space.x);
                let name = RichText::new(self.name()).heading().color(palette.text);
                ui.add(Label::new(name).truncate());
                let about = "untreated cells become treated ones";
                ui.add(Label::new(RichText::new(about).color(palette.muted)).truncate());
            });
            for (name, hint, leads_to) in buttons {
                if ui.button(name).on_hover_text(hint).clicked() {
                    end = Some(leads_to);
                }
            }
        });
        end
    }
}

/// How wide a button with this text is.
fn button_width(ui: &Ui, text: &str) -> f32 {
    let font = TextStyle::Button.resolve(ui.style());
    let text = ui
        .painter()
        .layout_no_wrap(text.to_owned(), font, Color32::PLACEHOLDER);
    text.size().x + 2.0 * ui.spacing().button_padding.x
}

#[cfg(test)]
pub(super) mod tests;
