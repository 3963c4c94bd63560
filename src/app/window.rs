//! The window: handles input, polls the world-model thread, and draws. It never blocks on either.
//!
//! Each part of its state is a struct that knows nothing of the others:
//!
//! - [`game`]: the session, its world-model thread and the newest frame.
//! - [`navigation`]: the pages, and the games behind them.
//! - [`analysis`]: timeline, comparison, plots, denoising and inspection.
//! - [`inputs`]: gamepads, mouse and held keys.
//! - [`preferences`]: the user's settings.
//! - [`overlay`]: Help and Settings.
//! - [`save`]: the save dialog.
//! - [`transport`]: held timeline keys and the quick slot.
//! - [`changes`]: what can be undone.
//! - [`device`]: the graphics device and egui's context.
//!
//! Here they are put together and polled; [`drawing`] draws them, [`shortcuts`] says what keys do,
//! [`switching`] changes the game, [`save_commands`], [`transport_commands`] and [`undo`] do what their
//! names say.

mod analysis;
mod changes;
mod device;
mod drawing;
mod game;
mod inputs;
mod navigation;
mod overlay;
mod preferences;
mod save;
mod save_commands;
mod shortcuts;
mod switching;
mod title;
mod transport;
mod transport_commands;
mod undo;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use eframe::egui::{Context, Event, RawInput, Ui, UserAttentionType, ViewportCommand};

use driftless_engine::GpuSource;
use driftless_sim::{Frame, Message, Notice, Session};
use driftless_worlds::SimulatorKind;

use self::analysis::Analysis;
use self::changes::Changes;
use self::device::DisplayDevice;
use self::game::{GameState, WorldThread};
use self::inputs::{Inputs, Modifiers};
use self::navigation::{Navigation, Screen};
use self::overlay::Overlay;
use self::preferences::UserPreferences;
use self::save::{PictureUse, Saving};
use self::transport::Transport;
use super::adapter::DisplayServer;
use super::config::{ConfigStore, WindowPlace};
use super::keys::Shortcut;
use super::notices::Notices;
use super::options::NewWorldOptions;
use super::recovery::Recovery;
use super::save_dialog::SaveSpan;
use super::session::GameSession;
use super::surface_gate::SurfaceGate;
use super::theme;
use super::waker::Waker;
use crate::Result;
use crate::workspace::{BackgroundRun, BackgroundTask};

/// What is needed to build the window.
pub(super) struct WindowSetup {
    /// Opens the "New world" page at this step.
    pub new_world: Option<NewWorldOptions>,
    /// Shows every world first, to a person who has not played yet.
    pub gallery: bool,
    /// Opens the page of the transport network in this checkpoint folder.
    pub cells: Option<PathBuf>,
    /// Where worlds, data and runs are stored; `None` uses the platform's folder.
    pub home: Option<PathBuf>,
    /// Settings to use instead of the user's own, with a notice about them.
    pub store: Option<(ConfigStore, Option<String>)>,
    /// Whether the surface supports mailbox presentation.
    pub mailbox: Arc<AtomicBool>,
    /// Set from any thread to close the window.
    pub close: Arc<AtomicBool>,
    /// The window system to use.
    pub server: DisplayServer,
    /// What keeps the engine from submitting while the surface is set up.
    pub gate: Arc<SurfaceGate>,
    pub waker: Waker,
}

/// What remains to be finished after the window has closed.
#[derive(Default)]
pub(super) struct AppExit {
    /// The recording of the game.
    pub recording: Option<Session>,
    /// A recording to be written as a dataset.
    pub dataset_recording: Option<(Session, SimulatorKind)>,
    /// A training run in the background.
    pub training: Option<BackgroundRun>,
    /// Why the world stopped, if it was not restarted.
    pub failure: Option<String>,
}

pub(super) struct Window {
    device: DisplayDevice,
    game: GameState,
    navigation: Navigation,
    analysis: Analysis,
    inputs: Inputs,
    preferences: UserPreferences,
    /// A modal page on top of everything else.
    overlay: Option<Overlay>,
    saving: Saving,
    /// The number of the requested picture, and what it is for.
    picture: Option<(u64, PictureUse)>,
    /// Writes the world to a file.
    sharing: Option<BackgroundTask<PathBuf>>,
    transport: Transport,
    /// What can be undone.
    changes: Changes,
    recovery: Recovery,
    notices: Notices,
}

impl Window {
    /// Sets up rendering and settings; the world-model thread starts after the first draw.
    ///
    /// # Errors
    /// Returns an error if the window has no renderer.
    pub fn new(
        setup: WindowSetup,
        mut session: GameSession,
        creation: &eframe::CreationContext<'_>,
    ) -> Result<Self> {
        let flags = [setup.mailbox, setup.close];
        let (waker, size) = (setup.waker, session.world.image);
        let device = DisplayDevice::new(creation, waker.clone(), flags, setup.gate, size)?;
        session.sim.gpu_source = device.gpu_source.clone();
        let (store, notice) = setup.store.unwrap_or_else(ConfigStore::find);
        let preferences = UserPreferences::new(store, &session.world.name, &device.context);
        let mut window = Self {
            recovery: Recovery::new(setup.home.clone(), waker.notify()),
            navigation: Navigation::new(setup.home, waker.notify()),
            game: GameState::new(session, waker),
            device,
            analysis: Analysis::default(),
            inputs: Inputs::default(),
            preferences,
            overlay: None,
            saving: Saving::default(),
            picture: None,
            sharing: None,
            transport: Transport::default(),
            changes: Changes::default(),
            notices: Notices::default(),
        };
        window.apply_bindings();
        if let Some(notice) = notice {
            tracing::warn!("{notice}");
            window.notices.error(&notice);
        }
        if let Some(options) = setup.new_world {
            window.open_new_world_at(options);
        } else if let Some(folder) = setup.cells {
            let opened = window.open_cells(&folder);
            window.report(opened);
        } else if setup.gallery && window.preferences.config().welcomed.is_empty() {
            window.open_worlds();
            window.navigation.greet();
        }
        Ok(window)
    }

    /// Moves the state into a new window with a new device.
    ///
    /// # Errors
    /// Returns an error if the window has no renderer.
    pub fn attach(&mut self, creation: &eframe::CreationContext<'_>) -> Result<()> {
        self.device
            .attach(creation, self.game.session.world.image)?;
        let source = &mut self.game.session.sim.gpu_source;
        if let GpuSource::Shared(_) = source {
            *source = self.device.gpu_source.clone();
        }
        // Textures on the old device are lost.
        self.game.drop_textures();
        self.analysis.drop_textures();
        self.navigation.drop_textures();
        self.release_all_input();
        self.preferences.apply_theme(&self.device.context);
        self.apply_bindings();
        Ok(())
    }

    /// Whether the window's device has been lost after drawing with it.
    pub fn is_lost(&self) -> bool {
        self.device.is_lost()
    }

    /// Applies the settings that depend on the current world.
    fn apply_bindings(&mut self) {
        let session = &mut self.game.session;
        session.rebind(&self.preferences.bindings(&session.world.name));
        let config = self.preferences.config();
        session.tuning.set_scaling(config.scaling);
        self.inputs
            .apply_bindings(&session.keys, &config.gamepad.buttons);
    }

    /// Where the window is on the screen.
    pub fn place(&self) -> Option<WindowPlace> {
        self.preferences.config().window
    }

    fn dismiss_welcome(&mut self) {
        let world = &self.game.session.world.name;
        if self.preferences.dismiss_welcome(world) {
            self.game.resume();
        }
    }

    fn release_all_input(&mut self) {
        self.inputs
            .release_all(&self.device.context, &mut self.game);
    }

    fn report(&mut self, done: Result<()>) {
        if let Err(error) = done {
            self.notices.error(&error);
        }
    }

    fn report_saved(&mut self, saved: Option<Result<PathBuf>>) {
        match saved {
            Some(Ok(path)) => self.notices.saved(&path),
            Some(Err(error)) => self.notices.error(&error),
            None => {}
        }
    }

    /// Handles everything that has arrived from the world-model thread.
    fn poll_world(&mut self) {
        let (frames, messages) = self.game.receive();
        self.game.scoreboard.take(&frames);
        self.show_newest(frames);
        for message in messages {
            match message {
                Message::Started { engine } => self.game.engine = engine,
                Message::Notice(Notice::EpisodeEnded) => {
                    self.game.scoreboard.episode_ended(Instant::now());
                }
                Message::Notice(notice) => {
                    if notice == Notice::AutoplayStopped {
                        self.game.autoplay = false;
                    }
                    self.notices.info(notice.to_string());
                }
                Message::ParamsRejected { reason, active } => {
                    self.game.accept_params(active);
                    self.notices.error(&reason);
                }
                Message::Branches(branches) => self.analysis.timeline.set_branches(branches),
                Message::StoredImages { branch, images } => {
                    let size = self.game.session.world.image;
                    let timeline = &mut self.analysis.timeline;
                    timeline.add_thumbnails(&self.device.context, branch, images, size);
                }
                Message::RenderProgress {
                    request,
                    done,
                    total,
                } => self.saving.note_progress(request, done, total),
                Message::RenderedEpisode { request, episode } => {
                    self.open_save_dialog(request, episode, SaveSpan::Episode);
                }
                Message::RecentFrames { request, episode } => self.take_recent(request, episode),
                Message::RenderCancelled(request) => self.frames_cancelled(request),
                Message::Failed {
                    reason,
                    device_failed,
                } => {
                    self.game.fail(reason, device_failed);
                    if self.saving.is_rendering() {
                        self.end_saving();
                    }
                }
            }
        }
    }

    /// Shows the newest frame, and measures the skipped ones.
    fn show_newest(&mut self, frames: Vec<Frame>) {
        let (learned, size) = (self.game.session.learned, self.game.session.world.image);
        let mut newest: Option<Frame> = None;
        for mut frame in frames {
            // A key change first shown by a skipped frame becomes visible with the next one.
            if let Some(skipped) = newest.take() {
                frame.timing.input_at = skipped.timing.input_at.or(frame.timing.input_at);
                self.analysis.record(&skipped, None, false, learned);
            }
            self.inputs.frame_arrived(&frame, &mut self.game);
            newest = Some(frame);
        }
        if let Some(frame) = newest {
            self.analysis.show(&frame, &self.device.context, size);
            let latency = frame
                .timing
                .input_at
                .map(|key| key.elapsed().as_secs_f64() * 1000.0);
            self.analysis.record(&frame, latency, true, learned);
            self.game.show(frame);
        }
    }

    fn poll_gamepads(&mut self) {
        let on = self.preferences.config().gamepad.on;
        let (inputs, waker) = (&mut self.inputs, &self.device.waker);
        for change in inputs.poll_gamepads(on, waker, &mut self.game) {
            let takes_input = self.device.context.input(|input| input.focused)
                && self.overlay.is_none()
                && !self.navigation.is_on_page()
                && !self.saving.is_open();
            let game = &mut self.game;
            let Some(pressed) = self.inputs.take_gamepads(change, game, takes_input) else {
                continue;
            };
            if pressed.plays {
                self.dismiss_welcome();
            }
            for shortcut in pressed.shortcuts {
                self.act(shortcut);
            }
            if pressed.start && self.preferences.welcome {
                self.dismiss_welcome();
            } else if pressed.start {
                self.act(Shortcut::Pause);
            }
            if pressed.select {
                self.act(Shortcut::Reset);
            }
        }
    }
}

impl eframe::App for Window {
    fn raw_input_hook(&mut self, context: &Context, input: &mut RawInput) {
        let now = Instant::now();
        // On the "New world" page, Enter and Escape go to the focused control.
        let typing = match self.navigation.screen {
            Screen::NewWorld { .. } => context.memory(|memory| memory.focused().is_some()),
            _ => context.text_edit_focused(),
        };
        input.events.retain(|event| match event {
            Event::Key {
                key,
                physical_key,
                pressed,
                modifiers,
                ..
            } => {
                let key = self.key_at_place(*physical_key, *key, *pressed);
                let inspect = self.analysis.inspect.as_ref();
                let chooses = inspect.is_some_and(|panel| panel.captures_key(key));
                if chooses && *pressed {
                    return true;
                }
                let with = Modifiers {
                    plain: !modifiers.command && !modifiers.ctrl && !modifiers.alt,
                    control: modifiers.command && !modifiers.alt,
                };
                !self.key(key, *pressed, with, typing, now)
            }
            // The library makes this event of Ctrl+C.
            Event::Copy if !typing && self.takes_commands() => {
                self.act(Shortcut::CopyPicture);
                true
            }
            Event::WindowFocused(false) => {
                self.release_step();
                self.release_all_input();
                self.inputs.forget_keys();
                true
            }
            _ => {
                let sensitivity = self.preferences.config().mouse.sensitivity;
                !self.inputs.mouse_event(event, sensitivity, &mut self.game)
            }
        });
    }

    fn logic(&mut self, context: &Context, frame: &mut eframe::Frame) {
        self.device.update(frame);
        if matches!(self.game.world, WorldThread::NotStarted) && self.device.drawn {
            self.restart(None);
        }
        self.poll_world();
        if let Err(why) = self.analysis.poll_episode(&self.game) {
            self.notices.error(&why);
        }
        let folder = || self.navigation.saved_folder();
        let saved = self
            .analysis
            .poll_screenshot(context.pixels_per_point(), folder);
        self.report_saved(saved);
        let shared = self.sharing.as_ref().and_then(BackgroundTask::take);
        if shared.is_some() {
            self.sharing = None;
        }
        self.report_saved(shared);
        let recovered = self.recovery.poll();
        self.report_saved(recovered);
        self.poll_gamepads();
        let scaling = self.game.session.tuning.settings.scaling;
        if let Err(error) = self.preferences.autosave(&self.device.context, scaling) {
            self.notices
                .error(&format!("Cannot save settings: {error}"));
        }
        self.run_held_step(Instant::now());
        if let Some(size) = self.preferences.size_for_screen(&self.device.context) {
            self.device.command(ViewportCommand::InnerSize(size));
        }
        self.preferences.note_place(&self.device.context);
        let listed = self.navigation.poll_pages();
        self.report(listed);
        for saved in self.navigation.poll_cells() {
            self.report_saved(Some(saved));
        }
        if let Some(ended) = self.navigation.take_ended_training() {
            let attention = UserAttentionType::Informational;
            self.device
                .command(ViewportCommand::RequestUserAttention(attention));
            self.notices.info(ended);
        }
        self.poll_loaded();
        self.update_title();
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.game.stats.record_draw(Instant::now());
        self.device.begin_draw(ui, self.game.frame.is_some());
        if !matches!(self.navigation.screen, Screen::NewWorld { .. }) {
            self.handle_dropped_file(ui);
        }
        if self.overlay.is_some() {
            theme::disable(ui);
        }
        match self.navigation.screen {
            Screen::NewWorld { .. } => {
                if let Some(request) = self.navigation.page_ui(ui) {
                    self.handle_request(request);
                }
            }
            Screen::Worlds { .. } => {
                if let Some(choice) = self.navigation.picker_ui(ui) {
                    self.handle_choice(choice);
                }
                self.notices_ui(ui, ui.max_rect());
            }
            Screen::Cells { .. } => {
                if let Some(end) = self.navigation.cells_ui(ui) {
                    self.handle_cells(end);
                }
                self.notices_ui(ui, ui.max_rect());
            }
            Screen::Game | Screen::Recording(..) | Screen::TryOut => self.game_ui(ui),
        }
        self.drop_zone(ui);
        self.overlay_ui(ui.ctx());
    }
}

#[cfg(test)]
mod tests;
