//! Switching games, which concerns every part of the window.

use std::path::Path;
use std::sync::Arc;

use eframe::egui::Ui;

use driftless_engine::DeviceChoice;
use driftless_sim::headless::read_actions;
use driftless_sim::{EpisodeCommand, History, InputCommand, Session};
use driftless_transport::TransportConfig;
use driftless_worlds::SimulatorKind;

use super::game::EndedWorld;
use super::navigation::{DroppedFile, Episodes, LoadedGame, ParkedGame, Screen};
use super::{AppExit, Window};
use crate::Result;
use crate::app::new_world::banner::BannerAction;
use crate::app::new_world::{NewWorldPage, PageRequest};
use crate::app::options::{FirstStep, NewWorldOptions};
use crate::app::session::GameSession;
use crate::app::transport::PageEnd;
use crate::app::world_picker::PickerChoice;
use crate::workspace::PlayableWorld;

impl Window {
    /// Opens the "New world" page and pauses the game.
    pub(super) fn open_new_world(&mut self) {
        let resume = self.game.pause() | self.preferences.stops_waiting();
        self.navigation.open_page(resume);
        self.leave_game();
    }

    /// Opens the page at the step that the command line asks for.
    pub(super) fn open_new_world_at(&mut self, options: NewWorldOptions) {
        self.open_new_world();
        let Some(page) = &mut self.navigation.page else {
            return;
        };
        page.propose_settings(options.settings);
        match options.first {
            FirstStep::Source => {}
            FirstStep::Data(folder) => page.choose_data(folder),
            FirstStep::Run(folder) => page.open_run(&folder),
            FirstStep::Record(kind) => self.handle_request(PageRequest::Record(kind)),
        }
    }

    /// Opens the worlds page and pauses the game.
    pub(super) fn open_worlds(&mut self) {
        let waits = self.game.pause() | self.preferences.stops_waiting();
        let resume = waits | self.navigation.resumes();
        if let Err(error) = self.navigation.open_picker(&self.game.session, resume) {
            self.notices.error(&error);
        }
        self.leave_game();
    }

    /// Opens the page of the transport network in a checkpoint folder and pauses the game.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub(super) fn open_cells(&mut self, folder: &Path) -> Result<()> {
        let waits = self.game.pause() | self.preferences.stops_waiting();
        let resume = waits | self.navigation.resumes();
        self.navigation.open_cells(folder, resume)?;
        self.leave_game();
        Ok(())
    }

    /// Opens a checkpoint folder: the page of a transport network, or a world to play.
    fn open_world(&mut self, folder: &Path) -> Result<()> {
        if TransportConfig::is_in(folder) {
            return self.open_cells(folder);
        }
        let current = self.game.session.origin.as_ref();
        self.navigation.load_world(folder, current)
    }

    pub(super) fn handle_cells(&mut self, end: PageEnd) {
        match end {
            PageEnd::Back => self.close_page(),
            PageEnd::Worlds => self.open_worlds(),
        }
    }

    fn leave_game(&mut self) {
        self.cancel_frames();
        self.saving.close();
        self.preferences.welcome = false;
        self.release_all_input();
    }

    /// Returns from a page to the game.
    pub(super) fn close_page(&mut self) {
        if !self.navigation.is_on_page() {
            return;
        }
        let resume = self.navigation.resumes();
        self.navigation.screen = Screen::Game;
        if std::mem::take(&mut self.navigation.greets) {
            self.preferences.greet(&self.game.session.world.name);
        }
        if resume {
            self.play_or_greet();
        }
    }

    /// Plays on; a world that greets waits until its card is dismissed.
    fn play_or_greet(&mut self) {
        if self.preferences.welcome {
            self.preferences.welcome_resumes = true;
        } else {
            self.game.resume();
        }
    }

    pub(super) fn handle_request(&mut self, request: PageRequest) {
        let done = match request {
            PageRequest::Back => {
                self.close_page();
                Ok(())
            }
            PageRequest::Record(kind) => self.record(kind),
            PageRequest::Try(checkpoint) => self.play_checkpoint(&checkpoint),
            PageRequest::Play(world) => self.play(&world),
        };
        if let (Err(error), Some(page)) = (done, &mut self.navigation.page) {
            page.show_error("Cannot play this world", &error);
        }
    }

    pub(super) fn handle_choice(&mut self, choice: PickerChoice) {
        let done = match choice {
            PickerChoice::Back => {
                self.close_page();
                Ok(())
            }
            PickerChoice::Simulator(kind) => self.play_game(PlayableWorld::simulator(kind)),
            PickerChoice::World(folder) => self.open_world(&folder),
        };
        self.report(done);
    }

    pub(super) fn handle_banner(&mut self, action: BannerAction) {
        match action {
            BannerAction::Finish => self.finish_recording(true),
            BannerAction::Discard => self.finish_recording(false),
            BannerAction::NewEpisode => self.game.send(EpisodeCommand::Reset),
            BannerAction::Reload => {
                self.game.end();
                self.restart(None);
            }
            BannerAction::Back => {
                self.return_to_new_world();
            }
        }
    }

    /// Handles a file dropped outside the "New world" page.
    pub(super) fn handle_dropped_file(&mut self, ui: &Ui) {
        let dropped = ui.input(|input| input.raw.dropped_files.last().cloned());
        let Some(dropped) = dropped else {
            return;
        };
        self.open_path(dropped.path());
    }

    /// Opens a file or folder: a world, an episode, actions, or a starting scene.
    pub(super) fn open_path(&mut self, path: &Path) {
        let session = &self.game.session;
        let done = match self.navigation.dropped(path, session.learned) {
            Ok(DroppedFile::World) => self.open_world(path),
            Ok(DroppedFile::WorldFile) => {
                let current = session.origin.as_ref();
                self.navigation.load_world_file(path, current)
            }
            Ok(DroppedFile::Episode) => self.open_episode(path),
            Ok(DroppedFile::Actions) => read_actions(path, &session.world.actions)
                .map(|actions| self.game.send(InputCommand::Play(actions.into())))
                .map_err(Into::into),
            Ok(DroppedFile::StartingScene) => match session.origin.clone() {
                Some(world) => self.navigation.load_start(path, world),
                None => {
                    let why = "Simulators cannot start from a file. Play a learned world first.";
                    self.notices.error(&why);
                    Ok(())
                }
            },
            Err(why) => {
                self.notices.error(&why);
                Ok(())
            }
        };
        self.report(done);
    }

    pub(super) fn open_episode(&mut self, path: &Path) -> Result<()> {
        let notify = self.device.waker.notify();
        self.analysis.open_episode(path, &self.game.session, notify)
    }

    /// Plays a game that was loaded in the background.
    pub(super) fn poll_loaded(&mut self) {
        let done = match self.navigation.take_loaded() {
            Some(Ok(LoadedGame::World(game))) => self.play_game(game),
            Some(Ok(LoadedGame::Start(game))) => {
                // Another world may be played meanwhile.
                if game.origin == self.game.session.origin {
                    self.restart_with_scene(game);
                }
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        self.report(done);
    }

    pub(super) fn record(&mut self, kind: SimulatorKind) -> Result<()> {
        let Some(page) = &self.navigation.page else {
            return Ok(());
        };
        let record = page.recording_options(kind)?;
        let session = GameSession::recorded(PlayableWorld::simulator(kind), record)?;
        self.play_temporarily(session, Screen::Recording(kind, Episodes::default()));
        Ok(())
    }

    fn play_checkpoint(&mut self, checkpoint: &Path) -> Result<()> {
        let game = PlayableWorld::learned(checkpoint, DeviceChoice::Auto, None)?;
        self.play_temporarily(GameSession::temporary(game)?, Screen::TryOut);
        Ok(())
    }

    /// Replaces the main game with a saved world.
    pub(super) fn play(&mut self, folder: &Path) -> Result<()> {
        self.play_game(PlayableWorld::learned(folder, DeviceChoice::Auto, None)?)
    }

    /// Replaces the main game with another one.
    fn play_game(&mut self, game: PlayableWorld) -> Result<()> {
        let params = game.sampling;
        let session = GameSession::new(game, None, params, None)?;
        let (_, ended) = self.switch(session, None, false, None);
        if let Some(recording) = ended.recording {
            self.navigation.previous_recording = Some(recording);
            self.notices.info(
                "The previous world's recording has ended. It is written when the window closes.",
            );
        }
        self.preferences.greet(&self.game.session.world.name);
        self.navigation.screen = Screen::Game;
        self.navigation.greets = false;
        if self.preferences.welcome {
            self.game.pause();
            self.preferences.welcome_resumes = true;
        }
        Ok(())
    }

    /// Plays a game from the "New world" page; the main game is parked with its recording.
    fn play_temporarily(&mut self, session: GameSession, screen: Screen) {
        let resume = matches!(self.navigation.screen, Screen::NewWorld { resume: true });
        let (session, ended) = self.switch(session, None, false, None);
        // When going from one to the next, the main game is already parked.
        self.navigation.parked.get_or_insert(ParkedGame {
            session,
            recording: ended.recording,
            history: ended.history,
            resume,
        });
        self.navigation.screen = screen;
    }

    /// Ends the game played from the page, and returns to the page.
    pub(super) fn return_to_new_world(&mut self) -> Option<Session> {
        let parked = self.navigation.parked.take()?;
        let played = parked.history.position().is_some();
        let history = played.then(|| Arc::new(parked.history));
        let (_, ended) = self.switch(parked.session, parked.recording, true, history);
        self.navigation.open_page(parked.resume);
        ended.recording
    }

    pub(super) fn finish_recording(&mut self, keep: bool) {
        let Screen::Recording(kind, _) = self.navigation.screen else {
            return;
        };
        let recording = self.return_to_new_world();
        match (recording, &mut self.navigation.page) {
            (Some(recording), Some(page)) if keep => page.take_recording(recording, kind),
            (Some(recording), _) if !keep => recording.discard(),
            _ => {}
        }
    }

    /// Switches to another game, restored from `history` if given; returns the previous session and
    /// what remains of its thread.
    fn switch(
        &mut self,
        to: GameSession,
        recording: Option<Session>,
        paused: bool,
        history: Option<Arc<History>>,
    ) -> (GameSession, EndedWorld) {
        let before = self.game.replace(to, recording, paused);
        self.device.install_presenter(self.game.session.world.image);
        self.game.session.sim.gpu_source = self.device.gpu_source.clone();
        self.release_all_input();
        self.apply_bindings();
        self.analysis.reset();
        self.saving.close();
        self.transport.leave_world();
        self.changes.leave_world();
        self.restart(history);
        before
    }

    /// Restarts the current world from the starting scene of `game`, keeping settings and recording.
    fn restart_with_scene(&mut self, game: PlayableWorld) {
        self.game.replace_scene(game);
        self.preferences.welcome = false;
        self.navigation.screen = Screen::Game;
        self.restart(None);
    }

    /// Starts a new world-model thread, from `history` if given.
    pub(super) fn restart(&mut self, history: Option<Arc<History>>) {
        if history.is_none() {
            self.analysis.restart();
        }
        self.analysis.clear_comparison();
        self.game.start(history, self.analysis.commands());
    }

    /// Continues on the CPU from where the device failed.
    pub(super) fn continue_on_cpu(&mut self) {
        let history = self.game.leave_device();
        self.restart(history);
    }

    /// Ends everything and returns what remains to be finished after closing.
    pub fn leave(&mut self) -> AppExit {
        self.preferences.write();
        self.saving.abort();
        let EndedWorld {
            recording, failure, ..
        } = self.game.end();
        let navigation = &mut self.navigation;
        let mut exit = AppExit {
            training: navigation.page.take().and_then(NewWorldPage::close),
            ..AppExit::default()
        };
        match (&navigation.screen, navigation.parked.take()) {
            (Screen::Recording(kind, _), Some(parked)) => {
                exit.dataset_recording = recording.map(|recording| (recording, *kind));
                exit.recording = parked.recording;
            }
            (_, Some(parked)) => exit.recording = parked.recording,
            (_, None) => (exit.recording, exit.failure) = (recording, failure),
        }
        exit.recording = exit.recording.or(navigation.previous_recording.take());
        exit
    }
}
