//! Saving what is seen: pictures, the last seconds, whole episodes.

use std::sync::Arc;

use eframe::egui::ColorImage;

use driftless_data::Episode;
use driftless_sim::TimelineCommand;

use super::Window;
use super::navigation::Screen;
use super::save::SaveEvent;
use crate::app::save_dialog::SaveSpan;
use crate::app::screenshot;
use crate::app::transport::TransportPage;

/// How much *Save the last 10 seconds* saves.
const RECENT_SECONDS: f32 = 10.0;

/// What a requested picture is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PictureUse {
    Save,
    Copy,
}

impl Window {
    /// Requests the current picture, which may have stayed on the device.
    pub(super) fn take_picture(&mut self, what_for: PictureUse) {
        if let Screen::Cells { .. } = self.navigation.screen {
            let page = self.navigation.cells.as_ref();
            if let Some(picture) = page.and_then(TransportPage::picture) {
                self.copy(&picture);
            }
            return;
        }
        let position = self.game.frame.as_ref().map(|frame| frame.position);
        if let Some(end) = position.filter(|_| !self.saving.is_open()) {
            self.picture = Some(what_for);
            self.game
                .send(TimelineCommand::RecentFrames { end, frames: 1 });
        }
    }

    /// Takes recent frames: a picture, or what is to be saved.
    pub(super) fn take_recent(&mut self, episode: Arc<Episode>) {
        let Some(what_for) = self.picture.take() else {
            self.open_save_dialog(episode, SaveSpan::Recent);
            return;
        };
        if episode.frames() == 0 {
            return;
        }
        let picture = ColorImage::from_rgb([episode.width, episode.height], episode.frame(0));
        match what_for {
            PictureUse::Save => {
                let name = &self.game.session.world.name;
                let folder = self.navigation.saved_folder();
                let saved = folder.and_then(|folder| screenshot::save(&picture, name, &folder));
                self.report_saved(Some(saved));
            }
            PictureUse::Copy => self.copy(&picture),
        }
    }

    fn copy(&mut self, picture: &ColorImage) {
        self.device
            .context
            .copy_image(screenshot::enlarged(picture));
        self.notices.info("The picture is copied.");
    }

    /// Requests the frames from the last restart to the current frame.
    pub(super) fn save(&mut self) {
        let position = self.game.frame.as_ref().map(|frame| frame.position);
        if let Some(position) = position {
            self.request_frames(TimelineCommand::RenderEpisode(position));
        }
    }

    /// Requests the last seconds before the current frame, as they were shown.
    pub(super) fn save_recent(&mut self) {
        let Some(frame) = &self.game.frame else {
            return;
        };
        let frames = (RECENT_SECONDS * self.game.session.world.fps).ceil() as usize;
        let end = frame.position;
        self.request_frames(TimelineCommand::RecentFrames { end, frames });
    }

    /// Requests frames to be saved, and pauses until they are.
    pub(super) fn request_frames(&mut self, request: TimelineCommand) {
        if self.saving.is_open() || !self.game.is_running() {
            return;
        }
        self.release_all_input();
        let resumes = self.game.pause();
        self.saving.wait_for_frames(resumes);
        self.game.send(request);
    }

    /// Opens the save dialog for the requested frames, unless they are no longer wanted.
    pub(super) fn open_save_dialog(&mut self, episode: Arc<Episode>, span: SaveSpan) {
        if !self.saving.is_rendering() {
            return;
        }
        match self.navigation.saved_folder() {
            Ok(folder) => {
                let (world, notify) = (&self.game.session.world, self.device.waker.notify());
                self.saving.open(episode, span, world, folder, notify);
            }
            Err(error) => {
                self.notices.error(&error);
                self.end_saving();
            }
        }
    }

    /// Handles what happened on the save card.
    pub(super) fn handle_saving(&mut self, event: SaveEvent) {
        match event {
            SaveEvent::CancelRender => {
                self.game.send(TimelineCommand::CancelRender);
                self.end_saving();
            }
            SaveEvent::Left => self.end_saving(),
            // Keep the dialog: another name or format may work.
            SaveEvent::Done(Err(error)) => self.notices.error(&error),
            SaveEvent::Done(Ok(path)) => {
                self.notices.saved(&path);
                self.end_saving();
            }
        }
    }

    /// Closes the save card, and plays on if the game was playing.
    pub(super) fn end_saving(&mut self) {
        if self.saving.close() {
            self.game.resume();
        }
    }
}
