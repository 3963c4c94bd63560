//! The card that offers what a killed program was recording.

use std::collections::VecDeque;
use std::path::PathBuf;

use eframe::egui::{Align2, Button, Rect, RichText, Ui, vec2};

use super::theme;
use super::widgets::floating;
use crate::Result;
use crate::workspace::recovery::{Unfinished, unfinished};
use crate::workspace::{BackgroundTask, Notify, UserPaths};

/// The unfinished recordings of earlier programs, offered one after another.
pub(super) struct Recovery {
    /// Looks for them, once.
    search: Option<BackgroundTask<Vec<Unfinished>>>,
    offered: VecDeque<Unfinished>,
    /// Writes one to its place.
    writing: Option<BackgroundTask<PathBuf>>,
    notify: Notify,
}

impl Recovery {
    /// Starts to look for them in the background.
    pub fn new(home: Option<PathBuf>, notify: Notify) -> Self {
        let search = BackgroundTask::start(notify.clone(), move |_| {
            Ok(unfinished(&UserPaths::resolve(home)?))
        });
        Self {
            // Nothing is offered where there is no data folder, or no thread.
            search: search.ok(),
            offered: VecDeque::new(),
            writing: None,
            notify,
        }
    }

    /// Takes results from the background; returns where a recording was written, or why not.
    pub fn poll(&mut self) -> Option<Result<PathBuf>> {
        if let Some(Ok(found)) = self.search.as_ref().and_then(BackgroundTask::take) {
            self.search = None;
            self.offered = found.into();
        }
        let written = self.writing.as_ref()?.take()?;
        self.writing = None;
        if written.is_ok() {
            self.offered.pop_front();
        }
        Some(written)
    }

    /// Draws the card for the oldest one. Returns an error if it cannot be deleted.
    pub fn ui(&mut self, ui: &Ui, space: Rect) -> Option<Result<()>> {
        let first = self.offered.front()?;
        let at = space.center_top() + vec2(0.0, 16.0);
        let mut clicked = None;
        floating(ui, "recovery", at, Align2::CENTER_TOP, |ui| {
            theme::card(theme::palette(ui)).show(ui, |ui| {
                ui.set_max_width((space.width() - 70.0).clamp(180.0, 400.0));
                clicked = card(ui, first, self.writing.is_some());
            });
        });
        match clicked? {
            Choice::Recover => {
                let recording = first.clone();
                let write =
                    BackgroundTask::start(self.notify.clone(), move |_| recording.recover(None));
                match write {
                    Ok(task) => self.writing = Some(task),
                    Err(error) => return Some(Err(error)),
                }
            }
            Choice::Later => {
                self.offered.pop_front();
            }
            Choice::Discard => {
                let discarded = first.discard();
                self.offered.pop_front();
                return Some(discarded);
            }
        }
        None
    }
}

#[derive(Clone, Copy)]
enum Choice {
    Recover,
    Later,
    Discard,
}

fn card(ui: &mut Ui, recording: &Unfinished, writing: bool) -> Option<Choice> {
    let palette = theme::palette(ui);
    ui.label(
        RichText::new("Unfinished recording")
            .heading()
            .color(palette.text),
    );
    let what = format!(
        "The program ended while it was recording {}: {}.",
        recording.describe(),
        recording.target.display()
    );
    ui.label(RichText::new(what).color(palette.muted));
    ui.add_space(6.0);
    if writing {
        ui.label(RichText::new("Writing…").color(palette.text));
        return None;
    }
    let mut choice = None;
    ui.horizontal_wrapped(|ui| {
        let text = RichText::new("Recover").color(palette.on_accent).strong();
        let recover = ui.add_sized([110.0, 30.0], Button::new(text).fill(palette.accent));
        if recover.clicked() {
            choice = Some(Choice::Recover);
        }
        let later = ui.add_sized([90.0, 30.0], Button::new("Later"));
        if later.on_hover_text("Ask again at the next start").clicked() {
            choice = Some(Choice::Later);
        }
        let discard = ui.add_sized([90.0, 30.0], Button::new("Discard"));
        if discard.on_hover_text("Delete this recording").clicked() {
            choice = Some(Choice::Discard);
        }
    });
    choice
}
