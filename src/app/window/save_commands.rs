//! Saving what is seen: pictures, the last seconds, whole episodes.

use std::sync::Arc;

use eframe::egui::ColorImage;

use driftless_data::Episode;
use driftless_sim::{TimelineCommand, TimelinePosition};

use super::Window;
use super::navigation::Screen;
use super::save::{PictureUse, SaveEvent};
use crate::app::save_dialog::SaveSpan;
use crate::app::screenshot;
use crate::app::transport::TransportPage;
use crate::workspace::paths::{folder_name, unused_file};
use crate::workspace::{BackgroundTask, world_file};

/// How much *Save the last 10 seconds* saves.
const RECENT_SECONDS: f32 = 10.0;

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
            let request = self.game.next_request();
            self.picture = Some((request, what_for));
            self.game.send(TimelineCommand::RecentFrames {
                request,
                end,
                frames: 1,
            });
        }
    }

    /// Takes recent frames: a picture, or what is to be saved.
    pub(super) fn take_recent(&mut self, request: u64, episode: Arc<Episode>) {
        let picture = self.picture.take_if(|(asked, _)| *asked == request);
        let Some((_, what_for)) = picture else {
            self.open_save_dialog(request, episode, SaveSpan::Recent);
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

    /// Starts to write the world as one file for others.
    pub(super) fn share(&mut self) {
        let session = &self.game.session;
        let Some(origin) = session.origin.as_ref().filter(|_| self.sharing.is_none()) else {
            return;
        };
        let checkpoint = origin.folder.clone();
        let started = self.navigation.saved_folder().and_then(|folder| {
            let stem = folder_name(&session.world.name).unwrap_or_else(|_| "world".into());
            let file = unused_file(&folder, &format!("{stem}.{}", world_file::EXTENSION))?;
            BackgroundTask::start(self.device.waker.notify(), move |_| {
                world_file::export(&checkpoint, &file, false)?;
                Ok(file)
            })
        });
        match started {
            Ok(task) => self.sharing = Some(task),
            Err(error) => self.notices.error(&error),
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
            self.request_frames(|request| TimelineCommand::RenderEpisode {
                request,
                end: position,
            });
        }
    }

    /// Requests the last seconds before the current frame, as they were shown.
    pub(super) fn save_recent(&mut self) {
        let Some(frame) = &self.game.frame else {
            return;
        };
        let frames = (RECENT_SECONDS * self.game.session.world.fps).ceil() as usize;
        self.save_frames(frame.position, frames);
    }

    /// Requests `frames` frames up to `end`, as they were shown.
    pub(super) fn save_frames(&mut self, end: TimelinePosition, frames: usize) {
        self.request_frames(|request| TimelineCommand::RecentFrames {
            request,
            end,
            frames,
        });
    }

    /// Requests frames to be saved, by a command with the number of the request, and pauses until they are.
    fn request_frames(&mut self, command: impl FnOnce(u64) -> TimelineCommand) {
        if self.saving.is_open() || !self.game.is_running() {
            return;
        }
        self.release_all_input();
        let resumes = self.game.pause();
        let request = self.game.next_request();
        self.saving.wait_for_frames(request, resumes);
        self.game.send(command(request));
    }

    /// Opens the save dialog for the frames of a request, unless they are no longer wanted.
    pub(super) fn open_save_dialog(&mut self, request: u64, episode: Arc<Episode>, span: SaveSpan) {
        if self.saving.awaited() != Some(request) {
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
                self.cancel_frames();
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

    /// Tells the world-model thread that the frames are no longer wanted.
    pub(super) fn cancel_frames(&self) {
        if let Some(request) = self.saving.awaited() {
            self.game.send(TimelineCommand::CancelRender(request));
        }
    }

    /// The thread makes no frames for a request.
    pub(super) fn frames_cancelled(&mut self, request: u64) {
        self.picture.take_if(|(asked, _)| *asked == request);
        if self.saving.awaited() == Some(request) {
            self.end_saving();
        }
    }

    /// Closes the save card, and plays on if the game was playing.
    pub(super) fn end_saving(&mut self) {
        if self.saving.close() {
            self.game.resume();
        }
    }
}
