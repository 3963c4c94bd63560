//! Saving played frames to a file.

use std::sync::Arc;

use eframe::egui::Key;

use driftless_data::Episode;
use driftless_sim::TimelineCommand;

use super::Window;
use crate::app::keys::Shortcut;
use crate::app::save_dialog::{SaveDialog, SaveOutcome};

impl Window {
    /// Requests the frames from the last restart to the current frame.
    pub(super) fn save(&mut self) {
        if self.saving.is_some() {
            return;
        }
        if !self.paused {
            self.act(Shortcut::Pause);
        }
        if let Some(frame) = &self.frame {
            self.send(TimelineCommand::RenderEpisode(frame.position));
        }
    }

    /// Opens the save dialog for the requested frames.
    pub(super) fn open_save_dialog(&mut self, episode: Arc<Episode>) {
        let waker = self.setup.waker.clone();
        let notify = Arc::new(move || waker.wake());
        match self.saved_folder() {
            Ok(folder) => {
                let world = &self.session.world;
                self.saving = Some(SaveDialog::new(episode, world, folder, notify));
            }
            Err(error) => self.notices.post(error.to_string()),
        }
    }

    /// Handles a key that no control of the save dialog has consumed.
    pub(super) fn saving_key(&mut self, key: Key) -> bool {
        let left = key == Key::Escape && !self.saving.as_ref().is_some_and(SaveDialog::cancel);
        if left {
            self.saving = None;
        }
        left
    }

    /// Draws the save dialog, if open.
    pub(super) fn saving_ui(&mut self, ui: &eframe::egui::Ui, space: eframe::egui::Rect) {
        let Some(saving) = &mut self.saving else {
            return;
        };
        match saving.ui(ui, space) {
            Some(SaveOutcome::Saved(path)) => self.report_saved(Ok(path)),
            Some(SaveOutcome::Failed(error)) => {
                // Keep the dialog: another name or format may work.
                self.notices.post(error.to_string());
                return;
            }
            Some(SaveOutcome::Cancelled) => {}
            None => return,
        }
        self.saving = None;
    }
}
