//! Frames that were played, on their way to a file.

use std::sync::Arc;

use eframe::egui::Key;

use super::Window;
use crate::app::keys::Shortcut;
use crate::app::saving::{Done, Saving};
use driftless_data::Episode;
use driftless_sim::Command;

impl Window {
    /// Asks for the frames from the last start to the present one.
    pub(super) fn save(&mut self) {
        if self.saving.is_some() {
            return;
        }
        if !self.paused {
            self.act(Shortcut::Pause);
        }
        if let Some(frame) = &self.frame {
            self.send(Command::Keep(frame.place));
        }
    }

    /// The frames are there: a card asks what they should become.
    pub(super) fn offer_to_save(&mut self, episode: Arc<Episode>) {
        let waker = self.parts.waker.clone();
        let notify = Arc::new(move || waker.wake());
        match self.saved_folder() {
            Ok(folder) => {
                let world = &self.played.world;
                self.saving = Some(Saving::new(episode, world, folder, notify));
            }
            Err(error) => self.notices.say(error.to_string()),
        }
    }

    /// A key while the card is there that no control has taken.
    pub(super) fn saving_key(&mut self, key: Key) -> bool {
        let left = key == Key::Escape && !self.saving.as_ref().is_some_and(Saving::cancel);
        if left {
            self.saving = None;
        }
        left
    }

    /// Draws the card, while there is something to save.
    pub(super) fn saving_ui(&mut self, ui: &eframe::egui::Ui, space: eframe::egui::Rect) {
        let Some(saving) = &mut self.saving else {
            return;
        };
        match saving.ui(ui, space) {
            Some(Done::Saved(path)) => self.say_saved(Ok(path)),
            Some(Done::Failed(error)) => {
                // Another name or format may do.
                self.notices.say(error.to_string());
                return;
            }
            Some(Done::Left) => {}
            None => return,
        }
        self.saving = None;
    }
}
