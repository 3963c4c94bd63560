//! Saving what is seen: pictures, the last seconds, whole episodes, the world.

use std::path::PathBuf;
use std::sync::Arc;

use eframe::egui::{ColorImage, Key, Rect, Ui};

use driftless_data::Episode;
use driftless_sim::{Game, TimelineCommand, TimelinePosition};

use super::environment::Environment;
use super::game::GameState;
use super::save::{PictureUse, SaveEvent, Saving};
use crate::Result;
use crate::app::save_dialog::SaveSpan;
use crate::app::screenshot;
use crate::workspace::paths::{folder_name, unused_file};
use crate::workspace::{BackgroundTask, world_file};

/// How much *Save the last 10 seconds* saves.
const RECENT_SECONDS: f32 = 10.0;

/// What is being saved, and for what the world-model thread was asked.
#[derive(Default)]
pub(super) struct Saver {
    card: Saving,
    /// The number of the requested picture, and what it is for.
    picture: Option<(u64, PictureUse)>,
    /// The number of the request for the game to be shared.
    game: Option<u64>,
    /// Writes the world to a file.
    sharing: Option<BackgroundTask<PathBuf>>,
}

impl Saver {
    /// Whether a card covers the game.
    pub fn is_open(&self) -> bool {
        self.card.is_open()
    }

    /// Whether frames are being made again.
    pub fn is_rendering(&self) -> bool {
        self.card.is_rendering()
    }

    /// How far the making or the writing of frames is, in percent.
    pub fn percent(&self) -> Option<usize> {
        self.card.percent()
    }

    /// Waits for the frames of a request; `resumes` if the game was playing.
    #[cfg(test)]
    pub fn wait_for_frames(&mut self, request: u64, resumes: bool) {
        self.card.wait_for_frames(request, resumes);
    }

    /// Notes how far the making of a request's frames is.
    pub fn note_progress(&mut self, request: u64, done: usize, total: usize) {
        self.card.note_progress(request, done, total);
    }

    /// Requests the current picture, which may have stayed on the device.
    pub fn take_picture(&mut self, what_for: PictureUse, game: &mut GameState) {
        let position = game.frame.as_ref().map(|frame| frame.position);
        if let Some(end) = position.filter(|_| !self.is_open()) {
            let request = game.next_request();
            self.picture = Some((request, what_for));
            game.send(TimelineCommand::RecentFrames {
                request,
                end,
                frames: 1,
            });
        }
    }

    /// Takes recent frames: a picture, or what is to be saved.
    pub fn take_recent(
        &mut self,
        request: u64,
        episode: Arc<Episode>,
        game: &mut GameState,
        env: &mut Environment,
    ) {
        let picture = self.picture.take_if(|(asked, _)| *asked == request);
        let Some((_, what_for)) = picture else {
            self.take_episode(request, episode, SaveSpan::Recent, game, env);
            return;
        };
        if episode.frames() == 0 {
            return;
        }
        let picture = ColorImage::from_rgb([episode.width, episode.height], episode.frame(0));
        match what_for {
            PictureUse::Save => {
                let name = &game.session.world.name;
                let folder = env.saved_folder();
                let saved = folder.and_then(|folder| screenshot::save(&picture, name, &folder));
                env.report_saved(Some(saved));
            }
            PictureUse::Copy => env.copy(&picture),
        }
    }

    /// Starts to write the world as one file for others.
    pub fn share(&mut self, game: &GameState, env: &mut Environment) {
        self.write_shared(None, game, env);
    }

    /// Asks what the frames since the last restart were made with, to write it with the world.
    pub fn share_game(&mut self, game: &mut GameState) {
        let position = game.frame.as_ref().map(|frame| frame.position);
        if let Some(end) = position.filter(|_| self.sharing.is_none()) {
            let request = game.next_request();
            self.game = Some(request);
            game.send(TimelineCommand::Game { request, end });
        }
    }

    /// Starts to write the world and the game that was asked for as one file for others.
    pub fn take_game(
        &mut self,
        request: u64,
        played: Option<Arc<Game>>,
        game: &GameState,
        env: &mut Environment,
    ) {
        if self.game.take_if(|asked| *asked == request).is_none() {
            return;
        }
        match played {
            Some(played) => self.write_shared(Some(played), game, env),
            None => env.notices.info(
                "The start of this game is no longer in the history. Restart, and share what follows.",
            ),
        }
    }

    fn write_shared(&mut self, played: Option<Arc<Game>>, game: &GameState, env: &mut Environment) {
        let session = &game.session;
        let Some(origin) = session.origin.as_ref().filter(|_| self.sharing.is_none()) else {
            return;
        };
        let checkpoint = origin.folder.clone();
        let started = env.saved_folder().and_then(|folder| {
            let stem = folder_name(&session.world.name).unwrap_or_else(|_| "world".into());
            let file = unused_file(&folder, &format!("{stem}.{}", world_file::EXTENSION))?;
            BackgroundTask::start(env.notify(), move |_| {
                world_file::export(&checkpoint, played.as_deref(), &file, false)?;
                Ok(file)
            })
        });
        match started {
            Ok(task) => self.sharing = Some(task),
            Err(error) => env.notices.error(&error),
        }
    }

    /// Whether the world is being written to a file.
    #[cfg(test)]
    pub fn is_sharing(&self) -> bool {
        self.sharing.is_some() || self.game.is_some()
    }

    /// The file with the world, once it is written.
    pub fn poll_shared(&mut self) -> Option<Result<PathBuf>> {
        let shared = self.sharing.as_ref().and_then(BackgroundTask::take);
        if shared.is_some() {
            self.sharing = None;
        }
        shared
    }

    /// Whether frames can be requested now.
    pub fn can_request(&self, game: &GameState) -> bool {
        !self.is_open() && game.is_running() && game.frame.is_some()
    }

    /// Requests the frames from the last restart to the current frame.
    pub fn save(&mut self, game: &mut GameState) {
        let position = game.frame.as_ref().map(|frame| frame.position);
        if let Some(end) = position {
            self.request(game, |request| TimelineCommand::RenderEpisode {
                request,
                end,
            });
        }
    }

    /// Requests the last seconds before the current frame, as they were shown.
    pub fn save_recent(&mut self, game: &mut GameState) {
        let Some(frame) = &game.frame else {
            return;
        };
        let frames = (RECENT_SECONDS * game.session.world.fps).ceil() as usize;
        self.save_frames(frame.position, frames, game);
    }

    /// Requests `frames` frames up to `end`, as they were shown.
    pub fn save_frames(&mut self, end: TimelinePosition, frames: usize, game: &mut GameState) {
        self.request(game, |request| TimelineCommand::RecentFrames {
            request,
            end,
            frames,
        });
    }

    /// Requests frames to be saved, by a command with the number of the request, and pauses until they are.
    fn request(&mut self, game: &mut GameState, command: impl FnOnce(u64) -> TimelineCommand) {
        let resumes = game.pause();
        let request = game.next_request();
        self.card.wait_for_frames(request, resumes);
        game.send(command(request));
    }

    /// Opens the save dialog for the frames of a request, unless they are no longer wanted.
    pub fn take_episode(
        &mut self,
        request: u64,
        episode: Arc<Episode>,
        span: SaveSpan,
        game: &mut GameState,
        env: &mut Environment,
    ) {
        if self.card.awaited() != Some(request) {
            return;
        }
        match env.saved_folder() {
            Ok(folder) => {
                let (world, notify) = (&game.session.world, env.notify());
                self.card.open(episode, span, world, folder, notify);
            }
            Err(error) => {
                env.notices.error(&error);
                self.end(game);
            }
        }
    }

    /// Draws the card; returns what happened on it.
    pub fn ui(&mut self, ui: &Ui, space: Rect) -> Option<SaveEvent> {
        self.card.ui(ui, space)
    }

    /// Handles a key while the card is open; returns what it did there.
    pub fn key(&mut self, key: Key) -> Option<SaveEvent> {
        self.card.key(key)
    }

    /// Handles what happened on the card.
    pub fn handle(&mut self, event: SaveEvent, game: &mut GameState, env: &mut Environment) {
        match event {
            SaveEvent::CancelRender => {
                self.cancel_frames(game);
                self.end(game);
            }
            SaveEvent::Left => self.end(game),
            // Keep the dialog: another name or format may work.
            SaveEvent::Done(Err(error)) => env.notices.error(&error),
            SaveEvent::Done(Ok(path)) => {
                env.notices.saved(&path);
                self.end(game);
            }
        }
    }

    /// Tells the world-model thread that the frames are no longer wanted.
    fn cancel_frames(&self, game: &GameState) {
        if let Some(request) = self.card.awaited() {
            game.send(TimelineCommand::CancelRender(request));
        }
    }

    /// The thread makes no frames for a request.
    pub fn frames_cancelled(&mut self, request: u64, game: &mut GameState) {
        self.picture.take_if(|(asked, _)| *asked == request);
        if self.card.awaited() == Some(request) {
            self.end(game);
        }
    }

    /// Closes the card, and plays on if the game was playing.
    pub fn end(&mut self, game: &mut GameState) {
        if self.card.close() {
            game.resume();
        }
    }

    /// Closes the card because another page covers the game, which stays paused.
    pub fn leave(&mut self, game: &GameState) {
        self.cancel_frames(game);
        self.card.close();
        self.game = None;
    }

    /// Aborts a running export when the window closes, and removes its partial file.
    pub fn abort(&mut self) {
        self.card.abort();
    }
}
