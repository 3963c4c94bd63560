//! Replaces the game: for good, or for a while from the "New world" page.

use std::path::Path;
use std::sync::Arc;

use driftless_engine::DeviceChoice;
use driftless_sim::headless::read_actions;
use driftless_sim::{InputCommand, Session};
use driftless_worlds::SimulatorKind;

use super::super::environment::Environment;
use super::super::navigation::{DroppedFile, LoadedGame, ParkedGame};
use super::super::play::NextGame;
use super::super::screen::{Episodes, Screen};
use super::Stage;
use crate::Result;
use crate::app::session::GameSession;
use crate::workspace::PlayableWorld;

impl Stage {
    /// Opens a file or folder: a world, an episode, actions, or a starting scene.
    pub fn open_path(&mut self, path: &Path, env: &mut Environment) {
        let session = &self.play.game.session;
        let done = match self.navigation.dropped(path, session.learned) {
            Ok(DroppedFile::World) => self.open_world(path, env),
            Ok(DroppedFile::Dataset) => {
                self.open_browser(path, env);
                Ok(())
            }
            Ok(DroppedFile::WorldFile) => {
                let current = session.origin.as_ref();
                self.navigation.load_world_file(path, current)
            }
            Ok(DroppedFile::Episode | DroppedFile::Actions | DroppedFile::StartingScene)
                if session.remote.is_some() =>
            {
                let why =
                    "A world on a server takes no files. Play a world of this computer first.";
                env.notices.error(&why);
                Ok(())
            }
            Ok(DroppedFile::Episode) => self.open_episode(path, env),
            Ok(DroppedFile::Actions) => read_actions(path, &session.world)
                .map(|actions| self.play.game.send(InputCommand::Play(actions.into())))
                .map_err(Into::into),
            Ok(DroppedFile::StartingScene) => match session.origin.clone() {
                Some(world) => self.navigation.load_start(path, world),
                None => {
                    let why =
                        "This world cannot start from a file here. Play a learned world first.";
                    env.notices.error(&why);
                    Ok(())
                }
            },
            Err(why) => {
                env.notices.error(&why);
                Ok(())
            }
        };
        env.report(done);
    }

    /// Loads an episode to compare with.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn open_episode(&mut self, path: &Path, env: &Environment) -> Result<()> {
        let play = &mut self.play;
        play.analysis
            .open_episode(path, &play.game.session, env.notify())
    }

    /// Plays a game that was loaded in the background.
    pub(super) fn poll_loaded(&mut self, env: &mut Environment) {
        let done = match self.navigation.take_loaded() {
            Some(Ok(LoadedGame::World(game))) => self.play_game(game, env),
            Some(Ok(LoadedGame::Start(game))) => {
                // Another world may be played meanwhile.
                if game.origin == self.play.game.session.origin {
                    self.play.restart_with_scene(game);
                    env.preferences.welcome = false;
                    self.navigation.screen = Screen::Game;
                    self.navigation.cells_first = false;
                }
                Ok(())
            }
            Some(Err(error)) => Err(error),
            None => Ok(()),
        };
        env.report(done);
    }

    /// Plays a simulator, recording every frame.
    ///
    /// # Errors
    /// Returns an error if the recording cannot be written, or if a key binding is invalid.
    pub fn record(&mut self, kind: SimulatorKind, env: &mut Environment) -> Result<()> {
        let Some(page) = &self.navigation.page else {
            return Ok(());
        };
        let record = page.recording_options(kind)?;
        let session = GameSession::recorded(PlayableWorld::simulator(kind), record)?;
        self.play_temporarily(session, Screen::Recording(kind, Episodes::default()), env);
        Ok(())
    }

    pub(super) fn play_checkpoint(
        &mut self,
        checkpoint: &Path,
        env: &mut Environment,
    ) -> Result<()> {
        let game = PlayableWorld::learned(checkpoint, DeviceChoice::Auto, None)?;
        self.play_temporarily(GameSession::temporary(game)?, Screen::TryOut, env);
        Ok(())
    }

    /// Replaces the main game with a saved world.
    ///
    /// # Errors
    /// Returns an error if the world cannot be read, or if a key binding is invalid.
    pub fn play_world(&mut self, folder: &Path, env: &mut Environment) -> Result<()> {
        let game = PlayableWorld::learned(folder, DeviceChoice::Auto, None)?;
        self.play_game(game, env)
    }

    /// Replaces the main game with another one.
    pub(super) fn play_game(&mut self, game: PlayableWorld, env: &mut Environment) -> Result<()> {
        let params = game.first_params();
        let session = GameSession::new(game, None, params, None)?;
        let (_, ended) = self.play.switch(session.into(), env);
        if let Some(recording) = ended.recording {
            self.navigation.previous_recording = Some(recording);
            env.notices.info(
                "The previous world's recording has ended. It is written when the window closes.",
            );
        }
        self.navigation.screen = Screen::Game;
        self.navigation.greets = false;
        self.navigation.cells_first = false;
        if self.play.announce_shared(env) {
            return Ok(());
        }
        let preferences = &mut env.preferences;
        preferences.greet(&self.play.game.session.world.name);
        if preferences.welcome {
            self.play.game.pause();
            preferences.welcome_resumes = true;
        }
        Ok(())
    }

    /// Plays a game from the "New world" page; the main game is parked with its recording.
    fn play_temporarily(&mut self, session: GameSession, screen: Screen, env: &Environment) {
        let resume = matches!(self.navigation.screen, Screen::NewWorld { resume: true });
        let (session, ended) = self.play.switch(session.into(), env);
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
    pub fn return_to_new_world(&mut self, env: &Environment) -> Option<Session> {
        let parked = self.navigation.parked.take()?;
        let played = parked.history.position().is_some();
        let main = NextGame {
            session: parked.session,
            recording: parked.recording,
            history: played.then(|| Arc::new(parked.history)),
            paused: true,
        };
        let (_, ended) = self.play.switch(main, env);
        self.navigation.open_page(parked.resume);
        ended.recording
    }

    pub(super) fn finish_recording(&mut self, keep: bool, env: &Environment) {
        let Screen::Recording(kind, _) = self.navigation.screen else {
            return;
        };
        let recording = self.return_to_new_world(env);
        match (recording, &mut self.navigation.page) {
            (Some(recording), Some(page)) if keep => page.take_recording(recording, kind),
            (Some(recording), _) if !keep => recording.discard(),
            _ => {}
        }
    }
}
