//! Opens and closes the pages that cover the game, and does what they ask for.

use std::path::Path;

use eframe::egui::{Rect, Ui};

use driftless_clip::ClipMaker;
use driftless_sim::EpisodeCommand;
use driftless_transport::TransportConfig;

use super::super::environment::Environment;
use super::super::screen::Screen;
use super::Stage;
use crate::Result;
use crate::app::film::{PageEnd as FilmEnd, no_network};
use crate::app::new_world::PageRequest;
use crate::app::new_world::banner::BannerAction;
use crate::app::options::{FirstStep, NewWorldOptions};
use crate::app::transport::PageEnd;
use crate::app::world_picker::PickerChoice;
use crate::workspace::PlayableWorld;
use crate::workspace::playable_world::GivenClip;

impl Stage {
    /// Opens the "New world" page and pauses the game.
    pub fn open_new_world(&mut self, env: &mut Environment) {
        let resume = self.play.game.pause() | env.preferences.stops_waiting();
        self.navigation.open_page(resume);
        self.leave_game(env);
    }

    /// Opens the page at the step that the command line asks for.
    pub fn open_new_world_at(&mut self, options: NewWorldOptions, env: &mut Environment) {
        self.open_new_world(env);
        let Some(page) = &mut self.navigation.page else {
            return;
        };
        page.propose_settings(options.settings);
        match options.first {
            FirstStep::Source => {}
            FirstStep::Data(folder) => page.choose_data(folder),
            FirstStep::Run(folder) => page.open_run(&folder),
            FirstStep::Record(kind) => self.handle_request(PageRequest::Record(kind), env),
        }
    }

    /// Opens the worlds page and pauses the game.
    pub fn open_worlds(&mut self, env: &mut Environment) {
        let waits = self.play.game.pause() | env.preferences.stops_waiting();
        let resume = waits | self.navigation.resumes();
        let opened = self.navigation.open_picker(&self.play.game.session, resume);
        env.report(opened);
        self.leave_game(env);
    }

    /// Shows the worlds before anything else.
    pub fn greet(&mut self, env: &mut Environment) {
        self.open_worlds(env);
        self.navigation.greet();
    }

    /// Opens the page of the transport network in a checkpoint folder and pauses the game.
    ///
    /// # Errors
    /// Returns an error if no thread can be started.
    pub fn open_cells(&mut self, folder: &Path, env: &mut Environment) -> Result<()> {
        let waits = self.play.game.pause() | env.preferences.stops_waiting();
        let resume = waits | self.navigation.resumes();
        self.navigation.open_cells(folder, resume)?;
        self.leave_game(env);
        Ok(())
    }

    /// Opens the page that makes clips of the current world and pauses the game.
    pub fn open_film(&mut self, env: &mut Environment) {
        let session = &self.play.game.session;
        let Some(origin) = session.origin.clone() else {
            env.report(Err(no_network(&session.world.name)));
            return;
        };
        if !ClipMaker::is_in(&origin.folder) {
            env.report(Err(no_network(&session.world.name)));
            return;
        }
        let waits = self.play.game.pause() | env.preferences.stops_waiting();
        let resume = waits | self.navigation.resumes();
        let picture = self.play.game.picture();
        let opened = self.navigation.open_film(&origin, picture, resume);
        env.report(opened);
        self.leave_game(env);
    }

    /// Opens the page of a dataset and pauses the game.
    pub fn open_browser(&mut self, folder: &Path, env: &mut Environment) {
        let waits = self.play.game.pause() | env.preferences.stops_waiting();
        let resume = waits | self.navigation.resumes();
        let opened = self.navigation.open_browser(folder, resume);
        env.report(opened);
        self.leave_game(env);
    }

    /// Plays on from a clip.
    fn play_on(&mut self, clip: GivenClip, env: &mut Environment) {
        if let Some(origin) = self.play.game.session.origin.clone() {
            let loaded = self.navigation.load_clip(clip, origin);
            env.report(loaded);
        }
    }

    /// Opens a checkpoint folder: the page of a transport network, or a world to play.
    pub(super) fn open_world(&mut self, folder: &Path, env: &mut Environment) -> Result<()> {
        if TransportConfig::is_in(folder) {
            return self.open_cells(folder, env);
        }
        let current = self.play.game.session.origin.as_ref();
        self.navigation.load_world(folder, current)
    }

    fn leave_game(&mut self, env: &mut Environment) {
        self.play.saver.leave(&self.play.game);
        env.preferences.welcome = false;
        self.play.release_all_input(&env.device.context);
    }

    /// Returns from a page to the game, or to the page of cells that the program was started for.
    pub fn close_page(&mut self, env: &mut Environment) {
        if !self.navigation.is_on_page() {
            return;
        }
        let resume = self.navigation.resumes();
        if self.navigation.cells_first {
            self.navigation.screen = Screen::Cells { resume };
            return;
        }
        self.navigation.screen = Screen::Game;
        if std::mem::take(&mut self.navigation.greets) {
            env.preferences.greet(&self.play.game.session.world.name);
        }
        if !resume {
            return;
        }
        // A world that greets waits until its card is dismissed.
        if env.preferences.welcome {
            env.preferences.welcome_resumes = true;
        } else {
            self.play.game.resume();
        }
    }

    /// Draws the page that covers the game, and does what it asks for; returns whether there is one.
    pub fn page_ui(&mut self, ui: &mut Ui, env: &mut Environment) -> bool {
        let space: Rect = ui.max_rect();
        match self.navigation.screen {
            Screen::NewWorld { .. } => {
                if let Some(request) = self.navigation.page_ui(ui) {
                    self.handle_request(request, env);
                }
                return true;
            }
            Screen::Worlds { .. } => {
                if let Some(choice) = self.navigation.picker_ui(ui) {
                    self.handle_choice(choice, env);
                }
            }
            Screen::Cells { .. } => match self.navigation.cells_ui(ui) {
                Some(PageEnd::Back) => self.close_page(env),
                Some(PageEnd::Worlds) => self.open_worlds(env),
                None => {}
            },
            Screen::Film { .. } => match self.navigation.film_ui(ui) {
                Some(FilmEnd::Back) => self.close_page(env),
                Some(FilmEnd::PlayOn(clip)) => self.play_on(clip, env),
                None => {}
            },
            Screen::Browse { .. } => {
                if self.navigation.browser_ui(ui) {
                    self.close_page(env);
                }
            }
            Screen::Game | Screen::Recording(..) | Screen::TryOut => return false,
        }
        env.notices_ui(ui, space);
        true
    }

    pub(super) fn handle_request(&mut self, request: PageRequest, env: &mut Environment) {
        let done = match request {
            PageRequest::Back => {
                self.close_page(env);
                Ok(())
            }
            PageRequest::Record(kind) => self.record(kind, env),
            PageRequest::Try(checkpoint) => self.play_checkpoint(&checkpoint, env),
            PageRequest::Browse(folder) => {
                self.open_browser(&folder, env);
                Ok(())
            }
            PageRequest::Play(world) => self.play_world(&world, env),
        };
        if let (Err(error), Some(page)) = (done, &mut self.navigation.page) {
            page.show_error("Cannot play this world", &error);
        }
    }

    fn handle_choice(&mut self, choice: PickerChoice, env: &mut Environment) {
        let done = match choice {
            PickerChoice::Back => {
                self.close_page(env);
                Ok(())
            }
            PickerChoice::Simulator(kind) => self.play_game(PlayableWorld::simulator(kind), env),
            PickerChoice::World(folder) => self.open_world(&folder, env),
        };
        env.report(done);
    }

    /// Does what the banner above a game played from the "New world" page asks for.
    pub fn handle_banner(&mut self, action: BannerAction, env: &mut Environment) {
        match action {
            BannerAction::Finish => self.finish_recording(true, env),
            BannerAction::Discard => self.finish_recording(false, env),
            BannerAction::NewEpisode => self.play.game.send(EpisodeCommand::Reset),
            BannerAction::Reload => {
                self.play.game.end();
                self.play.restart(None);
            }
            BannerAction::Back => {
                self.return_to_new_world(env);
            }
        }
    }
}
