//! Saving played frames to a file: making them again, then the dialog.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use eframe::egui::{Align2, Key, Rect, RichText, Ui};

use driftless_data::{DatasetInfo, Episode};

use crate::Result;
use crate::app::save_dialog::{SaveDialog, SaveOutcome, SaveSpan};
use crate::app::text::{frames_done, grouped};
use crate::app::theme;
use crate::app::widgets::{floating, progress_bar};
use crate::workspace::Notify;

/// How far saving is.
#[derive(Default)]
pub(super) struct Saving {
    step: SaveStep,
    /// Whether the end of it resumes the game.
    resumes: bool,
}

#[derive(Default)]
enum SaveStep {
    #[default]
    Idle,
    /// The world-model thread makes the frames again.
    Rendering(Rendering),
    Dialog(SaveDialog),
}

/// Frames being made again.
struct Rendering {
    done: usize,
    total: usize,
    since: Instant,
}

/// What happened on the card.
pub(super) enum SaveEvent {
    /// Frames are no longer to be made.
    CancelRender,
    /// The dialog was left without a file.
    Left,
    /// The file was saved, or could not be; the dialog then stays.
    Done(Result<PathBuf>),
}

impl Saving {
    pub fn is_open(&self) -> bool {
        !matches!(self.step, SaveStep::Idle)
    }

    /// Whether frames are being made again.
    pub fn is_rendering(&self) -> bool {
        matches!(self.step, SaveStep::Rendering(_))
    }

    /// Waits for frames; `resumes` if the game was playing.
    pub fn wait_for_frames(&mut self, resumes: bool) {
        self.resumes = resumes;
        self.step = SaveStep::Rendering(Rendering {
            done: 0,
            total: 0,
            since: Instant::now(),
        });
    }

    /// Notes how far the making of the frames is.
    pub fn note_progress(&mut self, done: usize, total: usize) {
        if let SaveStep::Rendering(rendering) = &mut self.step {
            (rendering.done, rendering.total) = (done, total);
        }
    }

    /// Opens the dialog for the frames that were waited for.
    pub fn open(
        &mut self,
        episode: Arc<Episode>,
        span: SaveSpan,
        world: &DatasetInfo,
        folder: PathBuf,
        notify: Notify,
    ) {
        let dialog = SaveDialog::new(episode, span, world, folder, notify);
        self.step = SaveStep::Dialog(dialog);
    }

    /// Handles a key that no control has consumed. Escape cancels what runs, or else closes the dialog.
    pub fn key(&mut self, key: Key) -> Option<SaveEvent> {
        if key != Key::Escape {
            return None;
        }
        match &self.step {
            SaveStep::Rendering(_) => Some(SaveEvent::CancelRender),
            SaveStep::Dialog(dialog) if !dialog.cancel() => Some(SaveEvent::Left),
            SaveStep::Dialog(_) | SaveStep::Idle => None,
        }
    }

    /// Draws the card.
    pub fn ui(&mut self, ui: &Ui, space: Rect) -> Option<SaveEvent> {
        match &mut self.step {
            SaveStep::Idle => None,
            SaveStep::Rendering(rendering) => {
                rendering.ui(ui, space).then_some(SaveEvent::CancelRender)
            }
            SaveStep::Dialog(dialog) => Some(match dialog.ui(ui, space)? {
                SaveOutcome::Failed(error) => SaveEvent::Done(Err(error)),
                SaveOutcome::Saved(path) => SaveEvent::Done(Ok(path)),
                SaveOutcome::Cancelled => SaveEvent::Left,
            }),
        }
    }

    /// Closes the card; returns whether the game is to be resumed.
    pub fn close(&mut self) -> bool {
        self.step = SaveStep::Idle;
        std::mem::take(&mut self.resumes)
    }

    /// Aborts a running export when the window closes, and removes its partial file.
    pub fn abort(&mut self) {
        if let SaveStep::Dialog(dialog) = std::mem::take(&mut self.step) {
            dialog.abort();
        }
    }

    /// How far the making or the writing of frames is, in percent.
    pub fn percent(&self) -> Option<usize> {
        let (done, total) = match &self.step {
            SaveStep::Idle => return None,
            SaveStep::Rendering(rendering) => (rendering.done, rendering.total),
            SaveStep::Dialog(dialog) => dialog.progress()?,
        };
        Some(100 * done / total.max(1))
    }
}

impl Rendering {
    /// Draws the card; returns whether it was cancelled.
    fn ui(&self, ui: &Ui, space: Rect) -> bool {
        let palette = theme::palette(ui);
        floating(
            ui,
            "rendering",
            space.center(),
            Align2::CENTER_CENTER,
            |ui| {
                let card = theme::card(palette).show(ui, |ui| {
                    ui.set_width((space.width() - 70.0).clamp(200.0, 380.0));
                    let title = match self.total {
                        0 => "Collecting frames…".to_owned(),
                        total => format!("Re-rendering {} frames…", grouped(total)),
                    };
                    ui.label(RichText::new(title).heading().color(palette.text));
                    let fraction = self.done as f32 / self.total.max(1) as f32;
                    let text = match self.total {
                        0 => "Waiting for the current frame".to_owned(),
                        total => frames_done(self.done, total, self.since.elapsed()),
                    };
                    progress_bar(ui, fraction, &text);
                    ui.button("Cancel").on_hover_text("Esc").clicked()
                });
                card.inner
            },
        )
    }
}
