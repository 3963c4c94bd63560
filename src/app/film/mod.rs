//! The page that makes clips from words, to watch and to play on from.
//!
//! It draws and asks; the network runs in a thread of its own ([`worker`]).

mod clips;
mod controls;
mod view;
mod worker;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui;
use eframe::egui::{Align, Key, Layout, Margin, RichText, ScrollArea, Ui};

use driftless_data::Episode;

use self::controls::Asked;
use self::view::View;
use self::worker::{Answer, Worker};
use super::theme;
use super::widgets::loading;
use crate::workspace::paths::{folder_name, unused_file};
use crate::workspace::playable_world::{CheckpointOrigin, GivenClip};
use crate::workspace::{BackgroundExport, Notify, UserPaths};
use crate::{Error, Result};

/// Width of the panel with the controls, in points, and below which it lies above the clips.
const PANEL: f32 = 320.0;
const TWO_COLUMNS: f32 = 760.0;
/// Scale of saved pictures.
const SCALE: u32 = 4;

/// What the page asks the window for.
pub(super) enum PageEnd {
    /// Back to the game.
    Back,
    /// To play on from a clip.
    PlayOn(GivenClip),
}

/// The page.
pub(super) struct FilmPage {
    origin: CheckpointOrigin,
    home: Option<PathBuf>,
    notify: Notify,
    worker: Option<Worker>,
    picture: Option<Arc<[u8]>>,
    /// The request and the clips, once the network is loaded.
    view: Option<View>,
    failure: Option<String>,
    saved: Vec<Result<PathBuf>>,
    export: Option<BackgroundExport>,
    /// Whether the window is preparing to play on.
    is_leaving: bool,
}

impl FilmPage {
    /// Opens the clip network of a world, in a thread of its own. `picture` is that of the game, u8 RGB.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn open(
        origin: CheckpointOrigin,
        picture: Option<Arc<[u8]>>,
        home: Option<PathBuf>,
        notify: Notify,
    ) -> Result<Self> {
        Ok(Self {
            worker: Some(Worker::start(&origin, Arc::clone(&notify))?),
            origin,
            home,
            notify,
            picture,
            view: None,
            failure: None,
            saved: Vec::new(),
            export: None,
            is_leaving: false,
        })
    }

    /// The world's checkpoint.
    pub fn origin(&self) -> &CheckpointOrigin {
        &self.origin
    }

    /// Comes back to the page, with another picture of the game.
    pub fn reopen(&mut self, picture: Option<Arc<[u8]>>) {
        self.is_leaving = false;
        if let Some(view) = &mut self.view {
            view.picture.clone_from(&picture);
        }
        self.picture = picture;
    }

    /// Drops textures of a lost device.
    pub fn drop_textures(&mut self) {
        let clips = self.view.iter_mut().flat_map(|view| &mut view.clips);
        clips.for_each(view::ShownClip::drop_textures);
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
        std::mem::take(&mut self.saved)
    }

    fn receive(&mut self, answer: Answer) {
        match (answer, &mut self.view) {
            (Answer::Ready(about), _) => self.view = Some(View::new(*about, self.picture.clone())),
            (Answer::Step(job, clip, steps, preview), Some(view)) if view.job == Some(job) => {
                if let Some(clip) = view.clips.get_mut(clip) {
                    clip.steps = steps;
                    preview
                        .into_iter()
                        .for_each(|images| clip.set_images(images));
                }
            }
            (Answer::Clip(job, i, made, origin, took), Some(view)) if view.job == Some(job) => {
                view.remark = remark(&made.unknown, made.left_out);
                if let Some(clip) = view.clips.get_mut(i) {
                    clip.took = Some(took);
                    clip.actions = made.actions;
                    clip.origin = Some(origin);
                    clip.set_images(made.images);
                }
            }
            (Answer::Done(job), Some(view)) if view.job == Some(job) => view.is_making = false,
            (Answer::Failed(why), view) => {
                view.iter_mut().for_each(|view| view.is_making = false);
                self.failure = Some(why);
            }
            (Answer::Ended, _) => {
                self.worker = None;
                let why = || "The network's thread stopped unexpectedly.".to_owned();
                self.failure.get_or_insert_with(why);
            }
            // Of a job that is not wanted any more.
            (Answer::Step(..) | Answer::Clip(..) | Answer::Done(_), _) => {}
        }
    }

    /// Handles a key that no control has consumed; returns whether it did anything.
    pub fn key(&mut self, key: Key) -> bool {
        let Some(view) = &mut self.view else {
            return false;
        };
        match key {
            Key::Enter => self.ask(Asked::Make),
            Key::Space => match view.frame {
                Some(_) => view.play(),
                None => view.frame = view.clips.first().map(|_| view.shown_frame(usize::MAX)),
            },
            _ => return false,
        }
        true
    }

    fn ask(&mut self, asked: Asked) {
        let (Some(view), Some(worker)) = (&mut self.view, &self.worker) else {
            return;
        };
        match asked {
            Asked::Make => {
                self.failure = None;
                let number = worker.make(view.wish());
                view.begin(number);
            }
            Asked::Cancel => {
                worker.cancel();
                view.is_making = false;
            }
            Asked::Save => self.save(),
        }
    }

    /// Writes the chosen clip as a GIF.
    fn save(&mut self) {
        let Some(view) = &self.view else {
            return;
        };
        let Some(clip) = view.finished() else {
            return;
        };
        let [height, width] = view.about.world.image;
        let frames = clip.images.len() / (height * width * 3);
        let episode = Episode {
            height,
            width,
            images: clip.images.to_vec(),
            // A GIF tells none.
            actions: vec![0; frames],
            rewards: vec![0.0; frames],
            extras: BTreeMap::new(),
        };
        let words: Vec<&str> = view.prompt.split_whitespace().take(6).collect();
        let name = format!("{} {}", view.about.world.name, words.join(" "));
        let fps = view.about.world.fps;
        let started = self.new_file(&name).and_then(|path| {
            BackgroundExport::start(episode, path, SCALE, fps, Arc::clone(&self.notify))
        });
        match started {
            Ok(export) => self.export = Some(export),
            Err(error) => self.saved.push(Err(error)),
        }
    }

    fn new_file(&self, name: &str) -> Result<PathBuf> {
        let folder = UserPaths::resolve(self.home.clone())?.saved();
        let name = folder_name(name).unwrap_or_else(|_| "clip".to_owned());
        unused_file(&folder, &format!("{name}.gif"))
    }

    /// Draws the page.
    pub fn ui(&mut self, ui: &mut Ui) -> Option<PageEnd> {
        let palette = theme::palette(ui);
        let bar = egui::Frame::new()
            .fill(palette.panel)
            .inner_margin(Margin::symmetric(18, 10));
        let mut end = egui::Panel::top("film-bar")
            .resizable(false)
            .frame(bar)
            .show(ui, |ui| self.header(ui))
            .inner;
        let busy = self.export.is_some();
        let Some(view) = &mut self.view else {
            loading(ui, self.failure.as_deref());
            return end;
        };
        let failure = self.failure.as_deref();
        let mut asked = None;
        let mut play_on = false;
        if ui.available_width() < TWO_COLUMNS {
            let scroll = ScrollArea::vertical().id_salt("film").auto_shrink(false);
            scroll.show(ui, |ui| {
                let inner = egui::Frame::new().inner_margin(Margin::symmetric(14, 10));
                inner.show(ui, |ui| {
                    asked = controls::panel(ui, view);
                    ui.add_space(10.0);
                    let shown = clips::ui(ui, view, failure, busy, self.is_leaving);
                    play_on = shown.play_on;
                    asked = asked.take().or(shown.asked);
                });
            });
        } else {
            let fill = egui::Frame::new().fill(palette.panel);
            egui::Panel::left("film-controls")
                .exact_size(PANEL)
                .resizable(false)
                .frame(fill.inner_margin(Margin::symmetric(16, 12)))
                .show(ui, |ui| {
                    let scroll = ScrollArea::vertical().id_salt("film").auto_shrink(false);
                    scroll.show(ui, |ui| {
                        // Room for the scroll bar.
                        ui.set_max_width(ui.available_width() - 8.0);
                        asked = controls::panel(ui, view);
                    });
                });
            let inner = egui::Frame::new().inner_margin(Margin::symmetric(18, 14));
            egui::CentralPanel::default()
                .frame(inner.fill(palette.backdrop))
                .show(ui, |ui| {
                    let shown = clips::ui(ui, view, failure, busy, self.is_leaving);
                    play_on = shown.play_on;
                    asked = asked.take().or(shown.asked);
                });
        }
        if play_on && let Some(clip) = view.finished() {
            end = Some(PageEnd::PlayOn(GivenClip {
                images: Arc::clone(&clip.images),
                actions: clip.actions.iter().copied().map(Into::into).collect(),
                origin: clip.origin.clone(),
            }));
            self.is_leaving = true;
        }
        if let Some(asked) = asked {
            self.ask(asked);
        }
        end
    }

    fn header(&self, ui: &mut Ui) -> Option<PageEnd> {
        let palette = theme::palette(ui);
        let mut end = None;
        ui.horizontal(|ui| {
            ui.label(RichText::new("Film").heading().color(palette.text));
            let about = match &self.view {
                Some(view) => format!("a clip of {} from your words", view.about.world.name),
                None => "a clip from your words".to_owned(),
            };
            ui.label(RichText::new(about).color(palette.muted));
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if ui.button("Back to the game").on_hover_text("Esc").clicked() {
                    end = Some(PageEnd::Back);
                }
            });
        });
        end
    }
}

/// What the network did not read of the prompts, in words.
fn remark(unknown: &[String], left_out: usize) -> Option<String> {
    let mut parts = Vec::new();
    if !unknown.is_empty() {
        parts.push(format!(
            "The network does not know: {}.",
            unknown.join(", ")
        ));
    }
    if left_out > 0 {
        parts.push(format!(
            "The last {left_out} words were left out: the prompt is too long."
        ));
    }
    (!parts.is_empty()).then(|| parts.join(" "))
}

/// An error where the world makes no clips.
pub(super) fn no_network(world: &str) -> Error {
    Error::Argument(format!(
        "{world} makes no clips: it has no clip network. Choose a world that has one."
    ))
}

#[cfg(test)]
mod tests;
