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
//! - [`device`]: the graphics device and egui's context.
//!
//! Here they are drawn and polled; [`shortcuts`] says what keys do, [`switching`] changes the game.

mod analysis;
mod device;
mod game;
mod inputs;
mod navigation;
mod overlay;
mod preferences;
mod save;
mod shortcuts;
mod switching;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use eframe::egui;
use eframe::egui::{Context, Event, Frame as Fill, RawInput, Rect, Ui, ViewportCommand};

use driftless_engine::{GpuSource, StageTimes};
use driftless_sim::{Frame, Message};

use self::analysis::Analysis;
use self::device::DisplayDevice;
use self::game::{GameState, WorldThread};
use self::inputs::Inputs;
use self::navigation::{Navigation, Screen};
use self::overlay::Overlay;
use self::preferences::UserPreferences;
use self::save::Saving;
use super::cards::FailureChoice;
use super::config::ConfigStore;
use super::controls::ControlBar;
use super::keys::Shortcut;
use super::notices::Notices;
use super::present::FrameCallback;
use super::session::GameSession;
use super::waker::Waker;
use super::{
    NewWorldOptions, cards, controls, denoising, hud, inspect, plots, present, theme, timeline,
};
use crate::Result;

/// What is needed to build the window.
pub(super) struct WindowSetup {
    /// Opens the "New world" page at this step.
    pub new_world: Option<NewWorldOptions>,
    /// Where worlds, data and runs are stored; `None` uses the platform's folder.
    pub home: Option<PathBuf>,
    /// Settings to use instead of the user's own, with a notice about them.
    pub store: Option<(ConfigStore, Option<String>)>,
    /// Whether the surface supports mailbox presentation.
    pub mailbox: Arc<AtomicBool>,
    /// Set from any thread to close the window.
    pub close: Arc<AtomicBool>,
    pub waker: Waker,
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
        let device = DisplayDevice::new(creation, waker.clone(), flags, size)?;
        session.sim.gpu_source = device.gpu_source.clone();
        let (store, notice) = setup.store.unwrap_or_else(ConfigStore::find);
        let preferences = UserPreferences::new(store, &session.world.name, &device.context);
        let mut window = Self {
            navigation: Navigation::new(setup.home, waker.notify()),
            game: GameState::new(session, waker),
            device,
            analysis: Analysis::default(),
            inputs: Inputs::default(),
            preferences,
            overlay: None,
            saving: Saving::default(),
            notices: Notices::default(),
        };
        window.apply_bindings();
        if let Some(notice) = notice {
            tracing::warn!("{notice}");
            window.notices.error(notice);
        }
        if let Some(options) = setup.new_world {
            window.open_new_world_at(options);
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
        self.update_title();
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

    fn dismiss_welcome(&mut self) {
        let world = &self.game.session.world.name;
        self.preferences.dismiss_welcome(world);
    }

    fn release_all_input(&mut self) {
        self.inputs
            .release_all(&self.device.context, &mut self.game);
    }

    fn report(&mut self, done: Result<()>) {
        if let Err(error) = done {
            self.notices.error(error);
        }
    }

    fn report_saved(&mut self, saved: Option<Result<PathBuf>>) {
        match saved {
            Some(Ok(path)) => self.notices.info(format!("Saved as {}", path.display())),
            Some(Err(error)) => self.notices.error(error),
            None => {}
        }
    }

    /// Handles everything that has arrived from the world-model thread.
    fn poll_world(&mut self) {
        let (frames, messages) = self.game.receive();
        self.show_newest(frames);
        for message in messages {
            match message {
                Message::Started { engine } => self.game.engine = engine,
                Message::Notice(text) => self.notices.info(text),
                Message::ParamsRejected { reason, active } => {
                    self.game.accept_params(active);
                    self.notices.error(reason);
                }
                Message::Branches(branches) => self.analysis.timeline.set_branches(branches),
                Message::StoredImages { branch, images } => {
                    let size = self.game.session.world.image;
                    let timeline = &mut self.analysis.timeline;
                    timeline.add_thumbnails(&self.device.context, branch, images, size);
                }
                Message::RenderedEpisode(episode) => self.open_save_dialog(episode),
                Message::Failed {
                    reason,
                    device_failed,
                } => self.game.fail(reason, device_failed),
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
                frame.input_at = skipped.input_at.or(frame.input_at);
                self.analysis.record(&skipped, None, false, learned);
            }
            self.inputs.frame_arrived(&frame, &mut self.game);
            newest = Some(frame);
        }
        if let Some(frame) = newest {
            self.analysis.show(&frame, &self.device.context, size);
            let latency = frame
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

    /// Draws the control bar and the open panels around the picture.
    fn panels(&mut self, ui: &mut Ui) {
        let fill = Fill::new().fill(theme::palette(ui).panel);
        egui::Panel::bottom("bar")
            .exact_size(controls::HEIGHT + 12.0)
            .resizable(false)
            .frame(fill.inner_margin(egui::Margin::symmetric(12, 6)))
            .show(ui, |ui| self.bar(ui));
        if self.preferences.shows_tuning() {
            egui::Panel::right("tuning")
                .exact_size(270.0)
                .resizable(false)
                .frame(fill.inner_margin(egui::Margin::symmetric(16, 14)))
                .show(ui, |ui| self.tuning(ui));
        }
        let panel = |name: &'static str, height: f32| {
            egui::Panel::bottom(name)
                .exact_size(height)
                .resizable(false)
                .frame(fill.inner_margin(egui::Margin::symmetric(16, 10)))
        };
        if self.analysis.timeline_open {
            let height = timeline::height(self.analysis.timeline.branch_count());
            let saves = panel("timeline", height)
                .show(ui, |ui| self.analysis.timeline_ui(ui, &mut self.game));
            if saves.inner {
                self.save();
            }
        }
        if self.analysis.plots_open {
            let folder = || self.navigation.saved_folder();
            let waker = &self.device.waker;
            let saved = panel("plots", plots::HEIGHT)
                .show(ui, |ui| self.analysis.plots_ui(ui, waker, folder));
            self.report_saved(saved.inner);
        }
        let (frame, size) = (self.game.frame.as_ref(), self.game.session.world.image);
        if let Some(denoising) = &mut self.analysis.denoising {
            panel("denoising", denoising::HEIGHT).show(ui, |ui| denoising.ui(ui, frame, size));
        }
        if let Some(inspect) = &mut self.analysis.inspect {
            panel("inspect", inspect::HEIGHT).show(ui, |ui| inspect.ui(ui, frame, size));
        }
    }

    fn bar(&mut self, ui: &mut Ui) {
        let bar = ControlBar {
            keys: &self.game.session.keys,
            held: &self.game.held,
            paused: self.game.is_paused(),
            hud: self.preferences.config().hud,
            denoising: self.analysis.denoising.is_some(),
            inspect: self.analysis.inspect.is_some(),
            tuning: self.preferences.shows_tuning(),
            timeline: self.analysis.timeline_open,
            comparing: self.analysis.comparison.is_some(),
            plots: self.analysis.plots_open,
            training: self.navigation.is_training(),
            running: self.game.failure().is_none(),
        };
        if let Some(shortcut) = bar.ui(ui) {
            self.act(shortcut);
        }
    }

    fn tuning(&mut self, ui: &mut Ui) {
        let game = &mut self.game;
        let before = game.session.tuning.settings;
        let seed = game.frame.as_ref().map_or(0, |frame| frame.params.seed);
        let cost = game.stats.times().map(StageTimes::total);
        let (panel, presets) = self.preferences.presets();
        game.session.tuning.ui(ui, seed, cost, panel, presets);
        for command in game.session.tuning.settings.commands_since(&before) {
            game.send(command);
        }
    }

    fn picture(&mut self, ui: &mut Ui) {
        let space = ui.max_rect();
        let pixels_per_point = ui.pixels_per_point();
        if let Some(frame) = &self.game.frame {
            let session = &self.game.session;
            let (size, scaling) = (session.world.image, session.tuning.settings.scaling);
            let slot = match &self.analysis.comparison {
                Some(comparison) => {
                    let name = if session.learned {
                        "Prediction"
                    } else {
                        "Simulator"
                    };
                    comparison.ui(ui, space, size, scaling, name);
                    comparison.rects(space)[0]
                }
                None => space,
            };
            let rect = present::fit(slot, size, pixels_per_point);
            let picture = FrameCallback {
                image: frame.image.clone(),
                id: self.game.image_id,
                pixels: (rect.size() * pixels_per_point).into(),
                scaling,
            };
            ui.painter().add(present::shape(rect, picture));
            let inspect = &mut self.analysis.inspect;
            if let Some(inspect) = inspect {
                inspect.over_picture(ui, rect, Some(frame));
            }
            if self.inputs.over_picture(ui, rect, inspect.is_some()) {
                self.toggle_mouse();
            }
        }
        self.over_picture(ui, space);
    }

    fn over_picture(&mut self, ui: &Ui, space: Rect) {
        let (game, session) = (&self.game, &self.game.session);
        if self.preferences.config().hud && space.width() >= hud::MIN_WIDTH {
            let number = game.frame.as_ref().map_or(0, |frame| frame.number);
            let learned = session.learned;
            hud::show(ui, space, &game.stats, number, &game.engine, learned);
        }
        if let Some(failure) = game.failure() {
            match cards::failure(ui, space, &failure.what, failure.device) {
                Some(FailureChoice::ContinueOnCpu) => self.continue_on_cpu(),
                Some(FailureChoice::Restart) => self.restart(None),
                Some(FailureChoice::Close) => self.device.command(ViewportCommand::Close),
                None => {}
            }
            return;
        }
        if game.frame.is_none() {
            cards::badge(ui, space, "LOADING…");
        } else if game.is_paused() {
            cards::badge(ui, space, "PAUSED");
        }
        let (world, keys) = (&session.world.name, &session.keys);
        if self.preferences.welcome && cards::welcome(ui, space, world, session.learned, keys) {
            self.dismiss_welcome();
        }
        let saved = self.saving.ui(ui, space);
        self.report_saved(saved);
        self.notices.ui(ui, space);
    }

    fn overlay_ui(&mut self, context: &Context) {
        let Some(mut overlay) = self.overlay.take() else {
            return;
        };
        let before = self.preferences.config().clone();
        let (game, inputs) = (&self.game, &self.inputs);
        let closed = overlay.ui(context, game, inputs, &mut self.preferences);
        if *self.preferences.config() != before {
            self.preferences.apply_changes(context, &before);
            self.apply_bindings();
        }
        if closed {
            self.close_overlay(&overlay);
        } else {
            self.overlay = Some(overlay);
        }
    }

    fn game_ui(&mut self, ui: &mut Ui) {
        self.preferences.decide_tuning(ui.available_width());
        if let Some(action) = self.navigation.banner(ui, self.game.frame.as_ref()) {
            self.handle_banner(action);
        }
        self.panels(ui);
        egui::CentralPanel::default()
            .frame(Fill::new().fill(theme::palette(ui).backdrop))
            .show(ui, |ui| self.picture(ui));
        if self.game.is_paused() {
            // Nothing else repaints while paused, and the display rate should stay current.
            ui.request_repaint_after(Duration::from_secs(1));
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
                pressed,
                modifiers,
                ..
            } => {
                let inspect = self.analysis.inspect.as_ref();
                let chooses = inspect.is_some_and(|panel| panel.captures_key(*key));
                if chooses && *pressed {
                    return true;
                }
                let plain = !modifiers.command && !modifiers.ctrl && !modifiers.alt;
                !self.key(*key, *pressed, plain, typing, now)
            }
            Event::WindowFocused(false) => {
                self.release_all_input();
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
            self.notices.error(why);
        }
        let folder = || self.navigation.saved_folder();
        let saved = self
            .analysis
            .poll_screenshot(context.pixels_per_point(), folder);
        self.report_saved(saved);
        self.poll_gamepads();
        let scaling = self.game.session.tuning.settings.scaling;
        if let Err(error) = self.preferences.autosave(&self.device.context, scaling) {
            self.notices.error(format!("Cannot save settings: {error}"));
        }
        let listed = self.navigation.poll_pages();
        self.report(listed);
        self.poll_loaded();
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.game.stats.record_draw(Instant::now());
        self.device.begin_draw(ui, self.game.frame.is_some());
        if !matches!(self.navigation.screen, Screen::NewWorld { .. }) {
            self.handle_dropped_file(ui);
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
                self.notices.ui(ui, ui.max_rect());
            }
            Screen::Game | Screen::Recording(..) | Screen::TryOut => self.game_ui(ui),
        }
        self.overlay_ui(ui.ctx());
    }
}

#[cfg(test)]
mod tests;
