//! The ways between the game, the "New world" page, and what is played from there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui::{self, Key, Ui, ViewportCommand};

use super::device::put_presenter;
use super::{Failure, Window, World};
use crate::app::keys::Shortcut;
use crate::app::new_world::{Ask, Page, banner};
use crate::app::played::Played;
use crate::app::stats::Stats;
use crate::app::{FirstStep, Left, theme};
use crate::workspace::Game;
use driftless_engine::{DeviceChoice, SamplerParams};
use driftless_sim::{History, Session};
use driftless_worlds::Kind;

/// What the window shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// The game that the window was opened with.
    Game,
    /// The page on which worlds are made.
    Page,
    /// The page on which a world is chosen; whether the game that waits for it goes on afterwards.
    Worlds {
        /// It was not paused before.
        resume: bool,
    },
    /// A simulator, of which every frame is kept.
    Recording(Kind, Episodes),
    /// The world of a run, as far as it is trained.
    Trying,
}

/// The episodes that were seen of a recording, by the number of their first frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Episodes(BTreeSet<u64>);

/// A game that waits.
pub(super) struct Home {
    played: Played,
    session: Option<Session>,
    history: History,
}

/// What is left of a world that has ended.
#[derive(Default)]
pub(super) struct Ended {
    pub session: Option<Session>,
    /// Why it had stopped before, if it had.
    pub failure: Option<String>,
    history: History,
}

impl Window {
    /// Opens the page; the game waits.
    pub(super) fn open_page(&mut self) {
        let waker = self.parts.waker.clone();
        let notify = Arc::new(move || waker.wake());
        let home = &self.parts.home;
        self.page
            .get_or_insert_with(|| Page::new(home.clone(), notify))
            .open();
        self.show_page();
    }

    fn show_page(&mut self) {
        if !self.paused {
            self.act(Shortcut::Pause);
        }
        self.view = View::Page;
        self.welcome = false;
        self.let_all_go();
    }

    /// The page's first look, as the command line asks for it.
    pub(super) fn open_page_at(&mut self, first: FirstStep, settings: Option<PathBuf>) {
        self.open_page();
        let Some(page) = &mut self.page else {
            return;
        };
        page.propose_settings(settings);
        match first {
            FirstStep::Source => {}
            FirstStep::Data(folder) => page.choose_data(folder),
            FirstStep::Run(folder) => page.open_run(&folder),
            FirstStep::Record(kind) => self.answer(Ask::Record(kind)),
        }
    }

    pub(super) fn page_ui(&mut self, ui: &mut Ui) {
        let Some(page) = &mut self.page else {
            return;
        };
        let dropped = ui.input(|input| input.raw.dropped_files.clone());
        for file in dropped {
            page.drop_path(file.path());
        }
        let fill = egui::Frame::new().fill(theme::backdrop());
        let ask = egui::CentralPanel::default()
            .frame(fill)
            .show(ui, |ui| page.ui(ui));
        if let Some(ask) = ask.inner {
            self.answer(ask);
        }
    }

    /// A key on the page that no control has taken.
    pub(super) fn page_key(&mut self, key: Key) -> bool {
        match key {
            Key::Escape => self.answer(Ask::Back),
            Key::Enter => {
                let ask = self.page.as_mut().and_then(Page::enter);
                if let Some(ask) = ask {
                    self.answer(ask);
                }
            }
            Key::S => self.page.iter_mut().for_each(Page::save),
            _ => return false,
        }
        true
    }

    /// A key away from the page that neither the world nor the window has taken.
    pub(super) fn away_key(&mut self, key: Key) -> bool {
        match (&self.view, key) {
            (View::Recording(..), Key::Enter) => self.finish_recording(true),
            (View::Trying, Key::Escape) => {
                self.return_to_page();
            }
            _ => return false,
        }
        true
    }

    fn answer(&mut self, ask: Ask) {
        let done = match ask {
            Ask::Back => {
                self.view = View::Game;
                self.act(Shortcut::Pause);
                Ok(())
            }
            Ask::Record(kind) => self.record(kind),
            Ask::Try(checkpoint) => self.try_out(&checkpoint),
            Ask::Play(world) => self.play(&world),
        };
        if let (Err(error), Some(page)) = (done, &mut self.page) {
            page.complain("This cannot be played", &error);
        }
    }

    pub(super) fn record(&mut self, kind: Kind) -> crate::Result<()> {
        let Some(page) = &self.page else {
            return Ok(());
        };
        let played = Played::recorded(Game::simulator(kind), page.recording_folder(kind)?)?;
        self.go_away(played);
        self.view = View::Recording(kind, Episodes::default());
        Ok(())
    }

    fn try_out(&mut self, checkpoint: &Path) -> crate::Result<()> {
        let game = Game::learned(checkpoint, DeviceChoice::Auto, None)?;
        self.go_away(Played::away(game)?);
        self.view = View::Trying;
        Ok(())
    }

    /// A saved world takes the game's place for good.
    pub(super) fn play(&mut self, folder: &Path) -> crate::Result<()> {
        self.play_game(Game::learned(folder, DeviceChoice::Auto, None)?)
    }

    /// Another game takes the place of the one that is played, for good.
    pub(super) fn play_game(&mut self, game: Game) -> crate::Result<()> {
        let played = Played::new(game, None, SamplerParams::default(), None)?;
        self.paused = false;
        let (_, ended) = self.switch(played, None, None);
        self.name();
        if ended.session.is_some() {
            let said = "The recording of the world before is over; it is written at the end.";
            self.notices.say(said.into());
        }
        self.kept = ended.session.or(self.kept.take());
        self.welcome = !self.store.config.welcomed.contains(&self.played.world.name);
        self.view = View::Game;
        Ok(())
    }

    /// Puts the game's name on the window.
    pub(super) fn name(&self) {
        let game = self.home.as_ref().map_or(&self.played, |home| &home.played);
        let title = format!("Driftless – {}", game.world.name);
        self.context
            .send_viewport_cmd(ViewportCommand::Title(title));
    }

    /// Plays something from the page; the game waits, with its recording.
    fn go_away(&mut self, played: Played) {
        self.paused = false;
        let (played, ended) = self.switch(played, None, None);
        // Going from one to the next, the game has been waiting already.
        self.home.get_or_insert(Home {
            played,
            session: ended.session,
            history: ended.history,
        });
    }

    /// Ends what is played from the page, and shows the page over the game.
    pub(super) fn return_to_page(&mut self) -> Option<Session> {
        let home = self.home.take()?;
        self.paused = true;
        let history = home.history.at().is_some().then(|| Arc::new(home.history));
        let (_, ended) = self.switch(home.played, home.session, history);
        self.view = View::Page;
        if let Some(page) = &mut self.page {
            page.open();
        }
        ended.session
    }

    fn finish_recording(&mut self, keep: bool) {
        let View::Recording(kind, _) = self.view else {
            return;
        };
        let session = self.return_to_page();
        if let (true, Some(session), Some(page)) = (keep, session, &mut self.page) {
            page.take_recording(session, kind);
        }
    }

    /// Plays something else, from where it stood if that is known; returns what was played before, and
    /// what is left of it.
    fn switch(
        &mut self,
        to: Played,
        session: Option<Session>,
        history: Option<Arc<History>>,
    ) -> (Played, Ended) {
        let before = self.end_world();
        put_presenter(&self.render, to.world.image);
        let mut played = std::mem::replace(&mut self.played, to);
        // They were for its beginning.
        played.sim.actions = Arc::default();
        self.played.sim.seat = self.seat.clone();
        self.session = session;
        self.frame = None;
        self.engine.clear();
        self.let_all_go();
        self.dress();
        self.stats = Stats::default();
        self.study.begin_again();
        self.denoising = None;
        self.inspect = None;
        self.saving = None;
        self.restart_from(history);
        (played, before)
    }

    /// Ends the world's thread.
    pub(super) fn end_world(&mut self) -> Ended {
        let closed = World::Failed(Failure::new("the window is closed".into()));
        match std::mem::replace(&mut self.world, closed) {
            World::Running(sim) => {
                let left = sim.finish();
                Ended {
                    session: left.session,
                    failure: None,
                    history: left.history,
                }
            }
            World::Waiting => Ended {
                session: self.session.take(),
                ..Ended::default()
            },
            World::Failed(failure) => Ended {
                session: self.session.take(),
                failure: Some(failure.what),
                history: failure.history.unwrap_or_default(),
            },
        }
    }

    /// The strip above what is played from the page.
    pub(super) fn banner(&mut self, ui: &mut Ui) {
        let clicked = match &mut self.view {
            View::Recording(_, episodes) => {
                let sequence = self.frame.as_ref().map_or(0, |frame| {
                    episodes
                        .0
                        .insert(frame.sequence - frame.number.min(frame.sequence));
                    frame.sequence
                });
                banner::recording(ui, sequence, episodes.0.len())
            }
            View::Trying => {
                let saved = self.page.as_ref().and_then(Page::saved);
                banner::trying(ui, saved)
            }
            View::Game | View::Page | View::Worlds { .. } => return,
        };
        match clicked {
            Some(banner::Clicked::Finish) => self.finish_recording(true),
            Some(banner::Clicked::Discard) => self.finish_recording(false),
            Some(banner::Clicked::NewEpisode) => self.act(Shortcut::Reset),
            Some(banner::Clicked::Reload) => {
                self.end_world();
                self.restart();
            }
            Some(banner::Clicked::Back) => {
                self.return_to_page();
            }
            None => {}
        }
    }

    /// What is left to do when the window closes.
    pub fn leave(&mut self) -> Left {
        if let Err(error) = self.store.write() {
            tracing::warn!("settings are not kept: {error}");
        }
        if let Some(saving) = self.saving.take() {
            saving.end();
        }
        let Ended {
            session, failure, ..
        } = self.end_world();
        let mut left = Left {
            training: self.page.take().and_then(Page::close),
            ..Left::default()
        };
        let home = self.home.take();
        match (&self.view, home) {
            (View::Recording(kind, _), Some(home)) => {
                left.recording = session.map(|session| (session, *kind));
                left.session = home.session;
            }
            (_, Some(home)) => left.session = home.session,
            (_, None) => (left.session, left.failure) = (session, failure),
        }
        left.session = left.session.or(self.kept.take());
        left
    }
}
