//! What is on the stage: the game, or the page that covers it; and which game comes next.
//!
//! - [`pages`]: opens and closes the pages, and does what they ask for.
//! - [`switching`]: replaces the game, for good or for a while.
//! - [`keys`]: what a key does that no card takes.

mod keys;
mod pages;
mod switching;

use driftless_sim::{LinkState, Session};
use driftless_worlds::SimulatorKind;

use super::environment::Environment;
use super::game::EndedWorld;
use super::navigation::Navigation;
use super::play::Play;
use super::save::PictureUse;
use super::screen::Screen;
use crate::app::browse::Told;
use crate::app::new_world::NewWorldPage;
use crate::app::transport::TransportPage;
use crate::workspace::BackgroundRun;

pub(super) use self::keys::KeyUse;

/// What remains to be finished after the window has closed.
#[derive(Default)]
pub(in crate::app) struct AppExit {
    /// The recording of the game.
    pub recording: Option<Session>,
    /// A recording to be written as a dataset.
    pub dataset_recording: Option<(Session, SimulatorKind)>,
    /// A training run in the background.
    pub training: Option<BackgroundRun>,
    /// Why the world stopped, if it was not restarted.
    pub failure: Option<String>,
}

/// The game and the pages.
pub(super) struct Stage {
    pub play: Play,
    pub navigation: Navigation,
}

impl Stage {
    pub fn new(play: Play, navigation: Navigation) -> Self {
        Self { play, navigation }
    }

    /// Takes what the pages have finished in the background, and plays a world that was loaded.
    pub fn poll(&mut self, env: &mut Environment) {
        env.report(self.navigation.poll_pages());
        let cells = self.navigation.poll_cells();
        for saved in cells.into_iter().chain(self.navigation.poll_film()) {
            env.report_saved(Some(saved));
        }
        for told in self.navigation.poll_browser() {
            match told {
                Told::Done(text) => env.notices.info(text),
                Told::Failed(why) => env.notices.error(&why),
            }
        }
        if let Some(ended) = self.navigation.take_ended_training() {
            env.device.request_attention();
            env.notices.info(ended);
        }
        self.poll_loaded(env);
    }

    /// Saves or copies the picture on the screen.
    pub fn take_picture(&mut self, what_for: PictureUse, env: &mut Environment) {
        if let Screen::Cells { .. } = self.navigation.screen {
            let page = self.navigation.cells.as_ref();
            if let Some(picture) = page.and_then(TransportPage::picture) {
                env.copy(&picture);
            }
            return;
        }
        self.play.saver.take_picture(what_for, &mut self.play.game);
    }

    /// What is on the screen and what runs in the background: `New world, training maze 12 %`.
    pub fn title(&self, greets: bool) -> String {
        let game = &self.play.game;
        let world = self.navigation.title(&game.session);
        let screen = match &self.navigation.screen {
            Screen::NewWorld { .. } => "New world".to_owned(),
            Screen::Worlds { .. } => "Worlds".to_owned(),
            Screen::Cells { .. } => self.navigation.cells_name(),
            Screen::Film { .. } => "Film".to_owned(),
            Screen::Browse { .. } => self.navigation.browser_name(),
            Screen::Recording(..) | Screen::Game if game.session.sim.record.is_some() => {
                format!("● Recording {}", game.session.world.name)
            }
            Screen::Recording(kind, _) => format!("Recording {}", kind.title()),
            Screen::TryOut => format!("Trying {}", game.session.world.name),
            Screen::Game if game.failure().is_some() => format!("{world} (stopped)"),
            Screen::Game if game.link != LinkState::Up => format!("{world} (link lost)"),
            // A world that waits behind its card is not paused by anyone.
            Screen::Game if game.is_paused() && !greets => format!("{world} (paused)"),
            Screen::Game => world.to_owned(),
        };
        let training = self.navigation.training_state();
        let training = training.map(|(name, percent)| format!("training {name} {percent} %"));
        let saving = self.play.saver.percent();
        let saving = saving.map(|percent| format!("saving {percent} %"));
        let parts: Vec<_> = [Some(screen), training, saving]
            .into_iter()
            .flatten()
            .collect();
        parts.join(", ")
    }

    /// Ends everything and returns what remains to be finished after closing.
    pub fn leave(&mut self) -> AppExit {
        let EndedWorld {
            recording, failure, ..
        } = self.play.leave();
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
