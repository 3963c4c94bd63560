//! The way to another world: the page on which one is chosen, and what is dropped onto the window.

use std::path::Path;
use std::sync::Arc;

use eframe::egui::{self, Key, Ui};

use super::Window;
use super::away::View;
use crate::app::keys::Shortcut;
use crate::app::picker::{Picked, Picker, Playing};
use crate::app::theme;
use crate::workspace::{Game, Notify, Task};
use crate::{Error, Result};
use driftless_data::PathError as _;
use driftless_engine::DeviceChoice;
use driftless_model::checkpoint::CONFIG;
use driftless_sim::Command;
use driftless_sim::headless::read_actions;

/// A game on its way.
pub(super) enum Opening {
    /// In the place of the one that is played.
    World(Task<Game>),
    /// The world that is played, from another start.
    Start(Task<Game>),
}

impl Window {
    fn notify(&self) -> Notify {
        let waker = self.parts.waker.clone();
        Arc::new(move || waker.wake())
    }

    /// Opens the page of worlds; the game waits.
    pub(super) fn open_worlds(&mut self) {
        let resume = !self.paused;
        if resume {
            self.act(Shortcut::Pause);
        }
        let playing = match &self.played.origin {
            Some(origin) => Playing::World(origin.folder.clone()),
            None => Playing::Simulator(self.played.world.name.clone()),
        };
        let (home, notify) = (self.parts.home.clone(), self.notify());
        let picker = self.worlds.get_or_insert_with(|| Picker::new(home, notify));
        if let Err(error) = picker.open(playing) {
            self.notices.say(error.to_string());
        }
        self.view = View::Worlds { resume };
        self.welcome = false;
        self.let_all_go();
    }

    fn close_worlds(&mut self) {
        let View::Worlds { resume } = self.view else {
            return;
        };
        self.view = View::Game;
        if resume && self.paused {
            self.act(Shortcut::Pause);
        }
    }

    pub(super) fn worlds_ui(&mut self, ui: &mut Ui) {
        let Some(picker) = &mut self.worlds else {
            return;
        };
        let fill = egui::Frame::new().fill(theme::backdrop());
        let picked = egui::CentralPanel::default()
            .frame(fill)
            .show(ui, |ui| picker.ui(ui));
        if let Some(picked) = picked.inner {
            self.pick(picked);
        }
        self.notices.show(ui, ui.max_rect());
    }

    /// A key on the page of worlds; the others move the focus, or press what has it.
    pub(super) fn worlds_key(&mut self, key: Key) -> bool {
        let again = self.played.keys.shortcut(key) == Some(Shortcut::Worlds);
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

    fn pick(&mut self, picked: Picked) {
        match picked {
            Picked::Back => self.close_worlds(),
            Picked::Simulator(kind) => {
                if let Err(error) = self.play_game(Game::simulator(kind)) {
                    self.notices.say(error.to_string());
                }
            }
            Picked::World(folder) => self.open_world(&folder),
        }
    }

    /// Plays the world of a checkpoint folder once it is read.
    fn open_world(&mut self, folder: &Path) {
        let device = self.played.origin.as_ref();
        let device = device.map_or(DeviceChoice::Auto, |origin| origin.device);
        let folder = folder.to_path_buf();
        let task = Task::start(self.notify(), move |_| Game::learned(&folder, device, None));
        self.await_game(task.map(Opening::World));
    }

    /// Starts the world that is played from a file, once that is read.
    fn open_start(&mut self, file: &Path) {
        let Some(origin) = self.played.origin.clone() else {
            let what = "a simulator starts by itself; play a learned world to start it from a file";
            self.notices.say(what.to_owned());
            return;
        };
        let file = file.to_path_buf();
        let task = Task::start(self.notify(), move |_| Game::started_from(origin, &file));
        self.await_game(task.map(Opening::Start));
    }

    fn await_game(&mut self, opening: Result<Opening>) {
        match opening {
            Ok(opening) => self.opening = Some(opening),
            Err(error) => self.notices.say(error.to_string()),
        }
    }

    /// What is dropped onto the window away from the "New world" page: a checkpoint folder to play, or
    /// a file to start from.
    pub(super) fn take_dropped(&mut self, ui: &Ui) {
        let dropped = ui.input(|input| input.raw.dropped_files.last().cloned());
        let Some(dropped) = dropped else {
            return;
        };
        let path = dropped.path();
        if matches!(self.view, View::Recording(..) | View::Trying) {
            let what = "go back to the page first; then other worlds can be dropped here";
            self.notices.say(what.to_owned());
        } else if matches!(self.view, View::Worlds { .. }) && !path.is_dir() {
            let what = "only a checkpoint's folder can be dropped on this page";
            self.notices.say(what.to_owned());
        } else if !path.is_dir() {
            match path.extension().and_then(|end| end.to_str()) {
                Some("npz") if self.played.sampled => self.open_episode(path),
                Some("txt") => self.open_actions(path),
                _ => self.open_start(path),
            }
        } else if path.join(CONFIG).is_file() {
            self.open_world(path);
        } else {
            let what = format!("no world, expected a checkpoint folder with {CONFIG}");
            let error = Error::invalid(path, what);
            self.notices.say(error.to_string());
        }
    }

    /// Plays the actions of a file.
    fn open_actions(&mut self, path: &Path) {
        match read_actions(path, &self.played.world.actions) {
            Ok(actions) => self.send(Command::Actions(actions.into())),
            Err(error) => self.notices.say(error.to_string()),
        }
    }

    /// Takes what was read in the background: the page's cards, and a game that was on its way.
    pub(super) fn listen_to_worlds(&mut self) {
        if let Some(error) = self.worlds.as_mut().and_then(Picker::listen) {
            self.notices.say(error.to_string());
        }
        let read = match &self.opening {
            Some(Opening::World(task) | Opening::Start(task)) => task.take(),
            None => None,
        };
        let Some(read) = read else {
            return;
        };
        let opening = self.opening.take();
        // Meanwhile the way may have led to another page.
        if !matches!(self.view, View::Game | View::Worlds { .. }) {
            return;
        }
        let done = read.and_then(|game| match opening {
            Some(Opening::Start(_)) if game.origin == self.played.origin => {
                self.start_from(game);
                Ok(())
            }
            Some(Opening::World(_)) => self.play_game(game),
            // Meanwhile another world is played.
            _ => Ok(()),
        });
        if let Err(error) = done {
            self.notices.say(error.to_string());
        }
    }

    /// The world that is played goes on from the starts of `game`, with its settings and recording.
    fn start_from(&mut self, game: Game) {
        self.session = self.end_world().session;
        self.played.sim.actions = Arc::default();
        self.played.sim.player = game.player;
        self.played.sim.context = game.first_context;
        self.frame = None;
        self.welcome = false;
        self.paused = false;
        self.view = View::Game;
        self.restart();
    }
}
