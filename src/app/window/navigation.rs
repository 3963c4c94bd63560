//! Navigation between the game, the "New world" page, and games played from there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use eframe::egui;
use eframe::egui::{Key, Ui, ViewportCommand};

use driftless_engine::{DeviceChoice, SamplerParams};
use driftless_sim::{History, Session};
use driftless_worlds::SimulatorKind;

use super::device::install_presenter;
use super::{Window, WorldFailure, WorldThread};
use crate::app::keys::Shortcut;
use crate::app::new_world::{NewWorldPage, PageRequest, banner};
use crate::app::session::GameSession;
use crate::app::stats::FrameStats;
use crate::app::{AppExit, FirstStep, theme};
use crate::workspace::PlayableWorld;

/// What the window currently shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Screen {
    /// The main game.
    Game,
    /// The "New world" page.
    NewWorld,
    /// The worlds page.
    Worlds {
        /// Whether closing the page resumes the game.
        resume: bool,
    },
    /// A simulator whose every frame is recorded.
    Recording(SimulatorKind, Episodes),
    /// The current checkpoint of a training run.
    TryOut,
}

/// The episodes seen in a recording, by the sequence number of their first frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Episodes(BTreeSet<u64>);

/// The main game, parked while another is played from the "New world" page.
pub(super) struct ParkedGame {
    session: GameSession,
    recording: Option<Session>,
    history: History,
}

/// What remains of an ended world-model thread.
#[derive(Default)]
pub(super) struct EndedWorld {
    pub recording: Option<Session>,
    /// Why it had already stopped, if it had.
    pub failure: Option<String>,
    history: History,
}

impl Window {
    /// Opens the "New world" page and pauses the game.
    pub(super) fn open_new_world(&mut self) {
        let waker = self.setup.waker.clone();
        let notify = Arc::new(move || waker.wake());
        let home = &self.setup.home;
        self.page
            .get_or_insert_with(|| NewWorldPage::new(home.clone(), notify))
            .open();
        self.show_new_world();
    }

    fn show_new_world(&mut self) {
        if !self.paused {
            self.act(Shortcut::Pause);
        }
        self.screen = Screen::NewWorld;
        self.welcome = false;
        self.release_all_input();
    }

    /// Opens the page at the step that the command line asks for.
    pub(super) fn open_new_world_at(&mut self, first: FirstStep, settings: Option<PathBuf>) {
        self.open_new_world();
        let Some(page) = &mut self.page else {
            return;
        };
        page.propose_settings(settings);
        match first {
            FirstStep::Source => {}
            FirstStep::Data(folder) => page.choose_data(folder),
            FirstStep::Run(folder) => page.open_run(&folder),
            FirstStep::Record(kind) => self.handle_request(PageRequest::Record(kind)),
        }
    }

    pub(super) fn new_world_ui(&mut self, ui: &mut Ui) {
        let Some(page) = &mut self.page else {
            return;
        };
        let dropped = ui.input(|input| input.raw.dropped_files.clone());
        for file in dropped {
            page.drop_path(file.path());
        }
        let fill = egui::Frame::new().fill(theme::palette(ui).backdrop);
        let request = egui::CentralPanel::default()
            .frame(fill)
            .show(ui, |ui| page.ui(ui));
        if let Some(request) = request.inner {
            self.handle_request(request);
        }
    }

    /// Handles a key on the page that no control has consumed.
    pub(super) fn new_world_key(&mut self, key: Key) -> bool {
        match key {
            Key::Escape => self.handle_request(PageRequest::Back),
            Key::Enter => {
                let request = self.page.as_mut().and_then(NewWorldPage::enter);
                if let Some(request) = request {
                    self.handle_request(request);
                }
            }
            Key::S => self.page.iter_mut().for_each(NewWorldPage::save),
            _ => return false,
        }
        true
    }

    /// Handles a key in a game played from the page that nothing else has consumed.
    pub(super) fn temporary_game_key(&mut self, key: Key) -> bool {
        match (&self.screen, key) {
            (Screen::Recording(..), Key::Enter) => self.finish_recording(true),
            (Screen::TryOut, Key::Escape) => {
                self.return_to_new_world();
            }
            _ => return false,
        }
        true
    }

    fn handle_request(&mut self, request: PageRequest) {
        let done = match request {
            PageRequest::Back => {
                self.screen = Screen::Game;
                self.act(Shortcut::Pause);
                Ok(())
            }
            PageRequest::Record(kind) => self.record(kind),
            PageRequest::Try(checkpoint) => self.play_checkpoint(&checkpoint),
            PageRequest::Play(world) => self.play(&world),
        };
        if let (Err(error), Some(page)) = (done, &mut self.page) {
            page.show_error("Cannot play this world", &error);
        }
    }

    pub(super) fn record(&mut self, kind: SimulatorKind) -> crate::Result<()> {
        let Some(page) = &self.page else {
            return Ok(());
        };
        let session =
            GameSession::recorded(PlayableWorld::simulator(kind), page.recording_folder(kind)?)?;
        self.play_temporarily(session);
        self.screen = Screen::Recording(kind, Episodes::default());
        Ok(())
    }

    fn play_checkpoint(&mut self, checkpoint: &Path) -> crate::Result<()> {
        let game = PlayableWorld::learned(checkpoint, DeviceChoice::Auto, None)?;
        self.play_temporarily(GameSession::temporary(game)?);
        self.screen = Screen::TryOut;
        Ok(())
    }

    /// Replaces the main game with a saved world.
    pub(super) fn play(&mut self, folder: &Path) -> crate::Result<()> {
        self.play_game(PlayableWorld::learned(folder, DeviceChoice::Auto, None)?)
    }

    /// Replaces the main game with another one.
    pub(super) fn play_game(&mut self, game: PlayableWorld) -> crate::Result<()> {
        let session = GameSession::new(game, None, SamplerParams::default(), None)?;
        self.paused = false;
        let (_, ended) = self.switch(session, None, None);
        self.update_title();
        if ended.recording.is_some() {
            let notice =
                "The previous world's recording has ended. It is written when the window closes.";
            self.notices.post(notice.into());
        }
        self.previous_recording = ended.recording.or(self.previous_recording.take());
        self.welcome = !self
            .store
            .config
            .welcomed
            .contains(&self.session.world.name);
        self.screen = Screen::Game;
        Ok(())
    }

    /// Updates the window title.
    pub(super) fn update_title(&self) {
        let game = self
            .parked
            .as_ref()
            .map_or(&self.session, |parked| &parked.session);
        let title = format!("Driftless – {}", game.world.name);
        self.context
            .send_viewport_cmd(ViewportCommand::Title(title));
    }

    /// Plays a game from the page; the main game is parked with its recording.
    fn play_temporarily(&mut self, session: GameSession) {
        self.paused = false;
        let (session, ended) = self.switch(session, None, None);
        // When going from one to the next, the main game is already parked.
        self.parked.get_or_insert(ParkedGame {
            session,
            recording: ended.recording,
            history: ended.history,
        });
    }

    /// Ends the game played from the page, and returns to the page.
    pub(super) fn return_to_new_world(&mut self) -> Option<Session> {
        let parked = self.parked.take()?;
        self.paused = true;
        let history = parked
            .history
            .position()
            .is_some()
            .then(|| Arc::new(parked.history));
        let (_, ended) = self.switch(parked.session, parked.recording, history);
        self.screen = Screen::NewWorld;
        if let Some(page) = &mut self.page {
            page.open();
        }
        ended.recording
    }

    fn finish_recording(&mut self, keep: bool) {
        let Screen::Recording(kind, _) = self.screen else {
            return;
        };
        let recording = self.return_to_new_world();
        if let (true, Some(recording), Some(page)) = (keep, recording, &mut self.page) {
            page.take_recording(recording, kind);
        }
    }

    /// Switches to another game, restored from `history` if given; returns the previous session and
    /// what remains of its thread.
    fn switch(
        &mut self,
        to: GameSession,
        recording: Option<Session>,
        history: Option<Arc<History>>,
    ) -> (GameSession, EndedWorld) {
        let before = self.end_world();
        install_presenter(&self.render, to.world.image);
        let mut session = std::mem::replace(&mut self.session, to);
        // Scripted actions apply only at the start.
        session.sim.actions = Arc::default();
        self.session.sim.gpu_source = self.gpu_source.clone();
        self.recording = recording;
        self.frame = None;
        self.engine.clear();
        self.release_all_input();
        self.apply_bindings();
        self.stats = FrameStats::default();
        self.analysis.reset();
        self.denoising = None;
        self.inspect = None;
        self.saving = None;
        self.restart_from(history);
        (session, before)
    }

    /// Ends the world-model thread.
    pub(super) fn end_world(&mut self) -> EndedWorld {
        let closed = WorldThread::Failed(WorldFailure::new("the window is closed".into()));
        match std::mem::replace(&mut self.world, closed) {
            WorldThread::Running(sim) => {
                let exit = sim.finish();
                EndedWorld {
                    recording: exit.session,
                    failure: None,
                    history: exit.history,
                }
            }
            WorldThread::NotStarted => EndedWorld {
                recording: self.recording.take(),
                ..EndedWorld::default()
            },
            WorldThread::Failed(failure) => EndedWorld {
                recording: self.recording.take(),
                failure: Some(failure.what),
                history: failure.history.unwrap_or_default(),
            },
        }
    }

    /// Draws the banner above a game played from the page.
    pub(super) fn banner(&mut self, ui: &mut Ui) {
        let clicked = match &mut self.screen {
            Screen::Recording(_, episodes) => {
                let sequence = self.frame.as_ref().map_or(0, |frame| {
                    episodes
                        .0
                        .insert(frame.sequence - frame.number.min(frame.sequence));
                    frame.sequence
                });
                banner::recording(ui, sequence, episodes.0.len())
            }
            Screen::TryOut => {
                let saved = self.page.as_ref().and_then(NewWorldPage::saved);
                banner::try_out(ui, saved)
            }
            Screen::Game | Screen::NewWorld | Screen::Worlds { .. } => return,
        };
        match clicked {
            Some(banner::BannerAction::Finish) => self.finish_recording(true),
            Some(banner::BannerAction::Discard) => self.finish_recording(false),
            Some(banner::BannerAction::NewEpisode) => self.act(Shortcut::Reset),
            Some(banner::BannerAction::Reload) => {
                self.end_world();
                self.restart();
            }
            Some(banner::BannerAction::Back) => {
                self.return_to_new_world();
            }
            None => {}
        }
    }

    /// Ends everything and returns what remains to be finished after closing.
    pub fn leave(&mut self) -> AppExit {
        if let Err(error) = self.store.write() {
            tracing::warn!("cannot save settings: {error}");
        }
        if let Some(saving) = self.saving.take() {
            saving.abort();
        }
        let EndedWorld {
            recording, failure, ..
        } = self.end_world();
        let mut exit = AppExit {
            training: self.page.take().and_then(NewWorldPage::close),
            ..AppExit::default()
        };
        let parked = self.parked.take();
        match (&self.screen, parked) {
            (Screen::Recording(kind, _), Some(parked)) => {
                exit.dataset_recording = recording.map(|recording| (recording, *kind));
                exit.recording = parked.recording;
            }
            (_, Some(parked)) => exit.recording = parked.recording,
            (_, None) => (exit.recording, exit.failure) = (recording, failure),
        }
        exit.recording = exit.recording.or(self.previous_recording.take());
        exit
    }
}
