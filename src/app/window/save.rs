//! Saving played frames to a file.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui::{Key, Rect, Ui};

use driftless_data::{DatasetInfo, Episode};

use crate::Result;
use crate::app::save_dialog::{SaveDialog, SaveOutcome};
use crate::workspace::Notify;

/// The save dialog, while open.
#[derive(Default)]
pub(super) struct Saving {
    dialog: Option<SaveDialog>,
}

impl Saving {
    pub fn is_open(&self) -> bool {
        self.dialog.is_some()
    }

    /// Opens the dialog for frames of a world.
    pub fn open(
        &mut self,
        episode: Arc<Episode>,
        world: &DatasetInfo,
        folder: PathBuf,
        notify: Notify,
    ) {
        self.dialog = Some(SaveDialog::new(episode, world, folder, notify));
    }

    /// Handles a key that no control of the dialog has consumed. Escape cancels a running export, or
    /// else closes the dialog.
    pub fn key(&mut self, key: Key) -> bool {
        let left = key == Key::Escape && !self.dialog.as_ref().is_some_and(SaveDialog::cancel);
        if left {
            self.dialog = None;
        }
        left
    }

    /// Draws the dialog; returns the file when it was saved, or why it was not.
    pub fn ui(&mut self, ui: &Ui, space: Rect) -> Option<Result<PathBuf>> {
        let result = match self.dialog.as_mut()?.ui(ui, space)? {
            // Keep the dialog: another name or format may work.
            SaveOutcome::Failed(error) => return Some(Err(error)),
            SaveOutcome::Saved(path) => Some(Ok(path)),
            SaveOutcome::Cancelled => None,
        };
        self.dialog = None;
        result
    }

    /// Closes the dialog when the game changes.
    pub fn close(&mut self) {
        self.dialog = None;
    }

    /// Aborts a running export when the window closes, and removes its partial file.
    pub fn abort(&mut self) {
        if let Some(dialog) = self.dialog.take() {
            dialog.abort();
        }
    }
}
