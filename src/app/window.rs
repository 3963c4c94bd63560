//! The window: gives what happens to the part that it concerns. It never blocks on the world-model thread.
//!
//! - [`environment`]: what all parts use: the [`device`] that is drawn on, the user's [`preferences`], notices.
//! - [`stage`]: the game or the page that covers it, and switching between games.
//!   - [`play`]: the current game with what belongs to it alone: [`game`] (the session, its world-model thread
//!     and the newest frame), [`analysis`], [`inputs`], [`saver`], [`transport`] (held keys and the quick
//!     slot) and [`changes`] (what can be undone).
//!   - [`navigation`]: the pages, and the games behind them.
//! - [`overlays`]: the modal page on top of everything else.
//!
//! [`game_view`] draws the game, [`shortcuts`] says who takes a key and who does what a shortcut stands for.

mod analysis;
mod changes;
mod device;
mod environment;
mod game;
mod game_view;
mod inputs;
mod navigation;
mod overlay;
mod overlays;
mod play;
mod preferences;
mod save;
mod saver;
mod screen;
mod shortcuts;
mod stage;
mod transport;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use eframe::egui::{Context, Event, RawInput, Ui};

use self::device::DisplayDevice;
use self::environment::Environment;
use self::game_view::{GameRequests, GameView};
use self::inputs::Modifiers;
use self::navigation::Navigation;
use self::overlay::OverlayEnd;
use self::overlays::Overlays;
use self::play::Play;
use self::preferences::UserPreferences;
use self::screen::Screen;
use self::stage::{AppExit, Stage};
use super::adapter::DisplayServer;
use super::cards;
use super::config::{ConfigStore, WindowPlace};
use super::keys::Shortcut;
use super::options::FirstPage;
use super::recovery::Recovery;
use super::session::GameSession;
use super::surface_gate::SurfaceGate;
use super::theme;
use super::waker::Waker;
use crate::Result;

/// What is needed to build the window.
pub(super) struct WindowSetup {
    /// What is shown first.
    pub first: FirstPage,
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

pub(super) struct Window {
    env: Environment,
    stage: Stage,
    overlays: Overlays,
    recovery: Recovery,
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
        let navigation = Navigation::new(setup.home.clone(), waker.notify());
        let mut window = Self {
            recovery: Recovery::new(setup.home.clone(), waker.notify()),
            stage: Stage::new(Play::new(session, waker), navigation),
            env: Environment::new(device, preferences, setup.home),
            overlays: Overlays::default(),
        };
        let Self { env, stage, .. } = &mut window;
        stage.play.apply_bindings(&env.preferences);
        stage.play.announce_shared(env);
        if let Some(notice) = notice {
            tracing::warn!("{notice}");
            env.notices.error(&notice);
        }
        match setup.first {
            FirstPage::NewWorld(options) => stage.open_new_world_at(options, env),
            FirstPage::Cells(folder) => {
                let opened = stage.open_cells(&folder, env);
                stage.navigation.cells_first = opened.is_ok();
                env.report(opened);
            }
            FirstPage::Browse(folder) => stage.open_browser(&folder, env),
            FirstPage::Worlds if env.preferences.config().welcomed.is_empty() => stage.greet(env),
            FirstPage::Worlds | FirstPage::Game => {}
        }
        Ok(window)
    }

    /// Moves the state into a new window with a new device.
    ///
    /// # Errors
    /// Returns an error if the window has no renderer.
    pub fn attach(&mut self, creation: &eframe::CreationContext<'_>) -> Result<()> {
        let Self { env, stage, .. } = self;
        env.device
            .attach(creation, stage.play.game.session.world.image)?;
        stage.play.attach(env);
        stage.navigation.drop_textures();
        env.preferences.apply_theme(&env.device.context);
        stage.play.apply_bindings(&env.preferences);
        Ok(())
    }

    /// Whether the window's device has been lost after drawing with it.
    pub fn is_lost(&self) -> bool {
        self.env.device.is_lost()
    }

    /// Where the window is on the screen.
    pub fn place(&self) -> Option<WindowPlace> {
        self.env.preferences.config().window
    }

    /// Ends everything and returns what remains to be finished after closing.
    pub fn leave(&mut self) -> AppExit {
        self.env.preferences.write();
        self.stage.leave()
    }

    fn poll_gamepads(&mut self) {
        let Self { env, stage, .. } = self;
        let on = env.preferences.config().gamepad.on;
        let Play { inputs, game, .. } = &mut stage.play;
        let changes = inputs.poll_gamepads(on, &env.device.waker, game);
        for change in changes {
            let takes_input = self.env.device.context.input(|input| input.focused)
                && self.takes_commands()
                && !self.stage.navigation.is_on_page();
            let preferences = &mut self.env.preferences;
            let shortcuts = self
                .stage
                .play
                .take_gamepads(change, takes_input, preferences);
            for shortcut in shortcuts {
                self.act(shortcut);
            }
        }
    }

    /// Handles an event before egui does; returns whether egui gets it.
    fn passes_on(&mut self, event: &Event, typing: bool, now: Instant) -> bool {
        match *event {
            Event::Key {
                key,
                physical_key,
                pressed,
                modifiers,
                ..
            } => {
                let key = self.key_at_place(physical_key, key, pressed);
                let inspect = self.stage.play.analysis.inspect.as_ref();
                let chooses = inspect.is_some_and(|panel| panel.captures_key(key));
                if chooses && pressed {
                    return true;
                }
                let with = Modifiers {
                    plain: !modifiers.command && !modifiers.ctrl && !modifiers.alt,
                    control: modifiers.command && !modifiers.alt,
                };
                !self.key(key, pressed, with, typing, now)
            }
            // The library makes this event of Ctrl+C.
            Event::Copy if !typing && self.takes_commands() => {
                self.act(Shortcut::CopyPicture);
                true
            }
            Event::WindowFocused(false) => {
                self.stage.play.lose_focus(&self.env.device.context);
                true
            }
            _ => {
                let sensitivity = self.env.preferences.config().mouse.sensitivity;
                !self.stage.play.mouse_event(event, sensitivity)
            }
        }
    }

    fn game_ui(&mut self, ui: &mut Ui) {
        let requests = GameView {
            play: &mut self.stage.play,
            navigation: &mut self.stage.navigation,
            env: &mut self.env,
            recovery: &mut self.recovery,
            covered: self.overlays.is_open(),
        }
        .ui(ui);
        if requests != GameRequests::default() {
            // What is asked for shows in the next picture.
            ui.request_repaint();
        }
        if let Some(action) = requests.banner {
            self.stage.handle_banner(action, &mut self.env);
        }
        if let Some(shortcut) = requests.shortcut {
            self.act(shortcut);
        }
    }

    fn overlay_ui(&mut self, context: &Context) {
        match self.overlays.ui(context, &mut self.stage, &mut self.env) {
            Some(OverlayEnd::Run(shortcut)) => self.act(shortcut),
            Some(OverlayEnd::Open(path)) => self.stage.open_path(&path, &mut self.env),
            Some(OverlayEnd::Closed) | None => {}
        }
    }
}

impl eframe::App for Window {
    fn raw_input_hook(&mut self, context: &Context, input: &mut RawInput) {
        let now = Instant::now();
        // On the "New world" page, Enter and Escape go to the focused control.
        let typing = match self.stage.navigation.screen {
            Screen::NewWorld { .. } => context.memory(|memory| memory.focused().is_some()),
            _ => context.text_edit_focused(),
        };
        input
            .events
            .retain(|event| self.passes_on(event, typing, now));
    }

    fn logic(&mut self, _context: &Context, frame: &mut eframe::Frame) {
        let Self { env, stage, .. } = self;
        env.device.update(frame);
        stage.play.poll(env);
        env.report_saved(self.recovery.poll());
        self.poll_gamepads();
        let Self { env, stage, .. } = self;
        env.poll_preferences(stage.play.game.session.tuning.settings.scaling);
        stage
            .play
            .run_held_keys(Instant::now(), &env.device.context);
        stage.poll(env);
        let title = stage.title(env.preferences.welcome);
        env.device.set_title(format!("{title} – Driftless"));
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        let Self { env, stage, .. } = self;
        stage.play.game.stats.record_draw(Instant::now());
        env.device.begin_draw(ui, stage.play.game.frame.is_some());
        // The "New world" page takes files itself.
        if !matches!(stage.navigation.screen, Screen::NewWorld { .. }) {
            let dropped = ui.input(|input| input.raw.dropped_files.last().cloned());
            if let Some(file) = dropped {
                stage.open_path(file.path(), env);
            }
        }
        if self.overlays.is_open() {
            theme::disable(ui);
        }
        if !stage.page_ui(ui, env) {
            self.game_ui(ui);
        }
        cards::drop_zone(ui);
        self.overlay_ui(ui.ctx());
    }
}

#[cfg(test)]
mod tests;
