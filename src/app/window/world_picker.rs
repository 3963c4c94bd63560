//! Switching worlds: the worlds page, and files dropped on the window.

use std::path::Path;
use std::sync::Arc;

use eframe::egui;
use eframe::egui::{Key, Ui};

use driftless_data::PathError as _;
use driftless_data::layout::EPISODE_EXTENSION;
use driftless_engine::DeviceChoice;
use driftless_model::checkpoint::CONFIG;
use driftless_sim::InputCommand;
use driftless_sim::headless::read_actions;

use super::Window;
use super::navigation::Screen;
use crate::app::keys::Shortcut;
use crate::app::theme;
use crate::app::world_picker::{CurrentWorld, PickerChoice, WorldPicker};
use crate::workspace::{BackgroundTask, Notify, PlayableWorld};
use crate::{Error, Result};

/// A game being loaded.
pub(super) enum PendingGame {
    /// Replaces the current game.
    World(BackgroundTask<PlayableWorld>),
    /// Restarts the current world from another starting scene.
    Start(BackgroundTask<PlayableWorld>),
}

impl Window {
    fn notify(&self) -> Notify {
        let waker = self.setup.waker.clone();
        Arc::new(move || waker.wake())
    }

    /// Opens the worlds page and pauses the game.
    pub(super) fn open_worlds(&mut self) {
        let resume = !self.paused;
        if resume {
            self.act(Shortcut::Pause);
        }
        let playing = match &self.session.origin {
            Some(origin) => CurrentWorld::World(origin.folder.clone()),
            None => CurrentWorld::Simulator(self.session.world.name.clone()),
        };
        let (home, notify) = (self.setup.home.clone(), self.notify());
        let picker = self
            .worlds
            .get_or_insert_with(|| WorldPicker::new(home, notify));
        if let Err(error) = picker.open(playing) {
            self.notices.post(error.to_string());
        }
        self.screen = Screen::Worlds { resume };
        self.welcome = false;
        self.release_all_input();
    }

    fn close_worlds(&mut self) {
        let Screen::Worlds { resume } = self.screen else {
            return;
        };
        self.screen = Screen::Game;
        if resume && self.paused {
            self.act(Shortcut::Pause);
        }
    }

    pub(super) fn worlds_ui(&mut self, ui: &mut Ui) {
        let Some(picker) = &mut self.worlds else {
            return;
        };
        let fill = egui::Frame::new().fill(theme::palette(ui).backdrop);
        let choice = egui::CentralPanel::default()
            .frame(fill)
            .show(ui, |ui| picker.ui(ui));
        if let Some(choice) = choice.inner {
            self.handle_choice(choice);
        }
        self.notices.ui(ui, ui.max_rect());
    }

    /// Handles a key on the worlds page; unhandled keys move the focus or press the focused card.
    pub(super) fn worlds_key(&mut self, key: Key) -> bool {
        let again = self.session.keys.shortcut(key) == Some(Shortcut::Worlds);
        if key == Key::Escape || again {
            self.close_worlds();
            return true;
        }
        let nothing = self.context.memory(|memory| memory.focused().is_none());
        if nothing && let Some(picker) = &mut self.worlds {
            picker.take_focus();
        }
        false
    }

    fn handle_choice(&mut self, choice: PickerChoice) {
        match choice {
            PickerChoice::Back => self.close_worlds(),
            PickerChoice::Simulator(kind) => {
                if let Err(error) = self.play_game(PlayableWorld::simulator(kind)) {
                    self.notices.post(error.to_string());
                }
            }
            PickerChoice::World(folder) => self.open_world(&folder),
        }
    }

    /// Loads a checkpoint folder in the background, then plays it.
    fn open_world(&mut self, folder: &Path) {
        let device = self.session.origin.as_ref();
        let device = device.map_or(DeviceChoice::Auto, |origin| origin.device);
        let folder = folder.to_path_buf();
        let task = BackgroundTask::start(self.notify(), move |_| {
            PlayableWorld::learned(&folder, device, None)
        });
        self.await_game(task.map(PendingGame::World));
    }

    /// Loads a starting scene for the current world from a file, then restarts from it.
    fn open_start(&mut self, file: &Path) {
        let Some(origin) = self.session.origin.clone() else {
            let what = "Simulators cannot start from a file. Play a learned world first.";
            self.notices.post(what.to_owned());
            return;
        };
        let file = file.to_path_buf();
        let task = BackgroundTask::start(self.notify(), move |_| {
            PlayableWorld::learned_from_file(origin, &file)
        });
        self.await_game(task.map(PendingGame::Start));
    }

    fn await_game(&mut self, pending_game: Result<PendingGame>) {
        match pending_game {
            Ok(pending_game) => self.pending_game = Some(pending_game),
            Err(error) => self.notices.post(error.to_string()),
        }
    }

    /// Handles a file dropped outside the "New world" page: a checkpoint folder to play, or a file
    /// to start from.
    pub(super) fn handle_dropped_file(&mut self, ui: &Ui) {
        let dropped = ui.input(|input| input.raw.dropped_files.last().cloned());
        let Some(dropped) = dropped else {
            return;
        };
        let path = dropped.path();
        if matches!(self.screen, Screen::Recording(..) | Screen::TryOut) {
            let what = "Go back to the New world page before opening another world.";
            self.notices.post(what.to_owned());
        } else if matches!(self.screen, Screen::Worlds { .. }) && !path.is_dir() {
            let what = "Drop a checkpoint folder here.";
            self.notices.post(what.to_owned());
        } else if !path.is_dir() {
            match path.extension().and_then(|end| end.to_str()) {
                Some(EPISODE_EXTENSION) if self.session.learned => self.open_episode(path),
                Some("txt") => self.open_actions(path),
                _ => self.open_start(path),
            }
        } else if path.join(CONFIG).is_file() {
            self.open_world(path);
        } else {
            let what = format!("not a world, expected a checkpoint folder with {CONFIG}");
            let error = Error::invalid(path, what);
            self.notices.post(error.to_string());
        }
    }

    /// Plays the actions listed in a file.
    fn open_actions(&mut self, path: &Path) {
        match read_actions(path, &self.session.world.actions) {
            Ok(actions) => self.send(InputCommand::Play(actions.into())),
            Err(error) => self.notices.post(error.to_string()),
        }
    }

    /// Takes results from the background: the page's cards, and a loaded game.
    pub(super) fn poll_world_picker(&mut self) {
        if let Some(error) = self.worlds.as_mut().and_then(WorldPicker::poll) {
            self.notices.post(error.to_string());
        }
        let read = match &self.pending_game {
            Some(PendingGame::World(task) | PendingGame::Start(task)) => task.take(),
            None => None,
        };
        let Some(read) = read else {
            return;
        };
        let pending_game = self.pending_game.take();
        // The user may have moved to another page meanwhile.
        if !matches!(self.screen, Screen::Game | Screen::Worlds { .. }) {
            return;
        }
        let done = read.and_then(|game| match pending_game {
            Some(PendingGame::Start(_)) if game.origin == self.session.origin => {
                self.restart_with_scene(game);
                Ok(())
            }
            Some(PendingGame::World(_)) => self.play_game(game),
            // Another world is being played meanwhile.
            _ => Ok(()),
        });
        if let Err(error) = done {
            self.notices.post(error.to_string());
        }
    }

    /// Restarts the current world from the starting scene of `game`, keeping settings and recording.
    fn restart_with_scene(&mut self, game: PlayableWorld) {
        self.recording = self.end_world().recording;
        self.session.sim.actions = Arc::default();
        self.session.sim.player = game.player;
        self.session.sim.context = game.first_context;
        self.frame = None;
        self.welcome = false;
        self.paused = false;
        self.screen = Screen::Game;
        self.restart();
    }
}
