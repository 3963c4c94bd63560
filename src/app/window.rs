//! The window: handles input, polls the world-model thread, and draws. It never blocks on either.

mod analysis;
mod device;
mod inputs;
mod navigation;
mod save;
mod settings;
mod shortcuts;
mod world_picker;
mod world_thread;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eframe::egui::{Event, Frame as Fill, RawInput, Ui, ViewportCommand};
use eframe::{egui, egui_wgpu, wgpu};

use driftless_engine::{GpuSource, StageTimes};
use driftless_sim::{Frame, History, Session, SimThread};

use self::analysis::Analysis;
use self::device::prepare_window;
use self::inputs::Inputs;
use self::navigation::{ParkedGame, Screen};
use self::settings::Overlay;
use self::world_picker::PendingGame;
use super::cards::{FailureChoice, Notices};
use super::config::ConfigStore;
use super::controls::ControlBar;
use super::denoising::DenoisingStrip;
use super::inspect::InspectPanel;
use super::keys::HeldKeys;
use super::new_world::NewWorldPage;
use super::present::FrameCallback;
use super::presets::PresetPanel;
use super::save_dialog::SaveDialog;
use super::session::GameSession;
use super::stats::FrameStats;
use super::world_picker::WorldPicker;
use super::{
    NewWorldOptions, Waker, cards, controls, denoising, hud, inspect, plots, present, theme,
    timeline,
};

/// Windows narrower than this, in points, open without the tuning panel.
const MIN_WIDTH_FOR_TUNING: f32 = 760.0;

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

/// The state of the world-model thread.
enum WorldThread {
    /// Not started until the window has been drawn once: a surface cannot be configured while an
    /// engine submits work to its device.
    NotStarted,
    Running(SimThread),
    Failed(WorldFailure),
}

/// Why the world stopped.
struct WorldFailure {
    what: String,
    /// Whether the device failed; the CPU can then take over.
    device: bool,
    /// The history up to the failure.
    history: Option<History>,
}

impl WorldFailure {
    fn new(what: String) -> Self {
        Self {
            what,
            device: false,
            history: None,
        }
    }
}

pub(super) struct Window {
    setup: WindowSetup,
    session: GameSession,
    /// The game that is parked while another is played from the "New world" page.
    parked: Option<ParkedGame>,
    screen: Screen,
    /// The "New world" page, once it has been opened.
    page: Option<NewWorldPage>,
    /// The worlds page, once it has been opened.
    worlds: Option<WorldPicker>,
    /// A game being loaded in the background.
    pending_game: Option<PendingGame>,
    render: egui_wgpu::RenderState,
    /// The GPU that engines may use.
    gpu_source: GpuSource,
    context: egui::Context,
    world: WorldThread,
    /// The recording handed over to the next world-model thread.
    recording: Option<Session>,
    /// The finished recording of an earlier game, written on exit.
    previous_recording: Option<Session>,
    engine: String,
    held: HeldKeys,
    stats: FrameStats,
    notices: Notices,
    frame: Option<Frame>,
    /// Counts frames, so that each is uploaded once.
    image_id: u64,
    paused: bool,
    hud: bool,
    /// The denoising strip, while open.
    denoising: Option<DenoisingStrip>,
    analysis: Analysis,
    /// The save dialog, while open.
    saving: Option<SaveDialog>,
    /// The inspection panel, while open.
    inspect: Option<InspectPanel>,
    tuning_open: Option<bool>,
    welcome: bool,
    /// Whether the window has been drawn at least once.
    drawn: bool,
    /// Shortcut keys that are held down.
    shortcut_keys_down: Vec<egui::Key>,
    /// `None` before the first frame, then whether drawing it has been logged.
    first_frame_logged: Option<bool>,
    /// The user's settings and their file.
    store: ConfigStore,
    /// An interface scale that egui has been asked for but has not applied yet.
    requested_zoom: Option<f32>,
    /// A modal page on top of everything else.
    overlay: Option<Overlay>,
    presets: PresetPanel,
    /// Gamepads and the mouse.
    inputs: Inputs,
}

impl Window {
    /// Sets up rendering and settings; the world-model thread starts after the first draw.
    pub fn new(
        mut setup: WindowSetup,
        mut session: GameSession,
        creation: &eframe::CreationContext<'_>,
    ) -> crate::Result<Self> {
        let (render, gpu_source) = prepare_window(creation, &setup.waker, session.world.image)?;
        session.sim.gpu_source = gpu_source.clone();
        let (store, notice) = setup.store.take().unwrap_or_else(ConfigStore::find);
        let name = session.world.name.clone();
        let mut window = Self {
            paused: session.sim.paused,
            setup,
            session,
            parked: None,
            screen: Screen::Game,
            page: None,
            worlds: None,
            pending_game: None,
            render,
            gpu_source,
            context: creation.egui_ctx.clone(),
            world: WorldThread::NotStarted,
            recording: None,
            previous_recording: None,
            engine: String::new(),
            held: HeldKeys::default(),
            stats: FrameStats::default(),
            notices: Notices::default(),
            frame: None,
            image_id: 0,
            hud: true,
            denoising: None,
            analysis: Analysis::default(),
            saving: None,
            // `None` decides by the window's width, unless the user closed the panel.
            tuning_open: store.config.tuning.filter(|open| !open),
            welcome: !store.config.welcomed.contains(&name),
            inspect: None,
            drawn: false,
            first_frame_logged: None,
            shortcut_keys_down: Vec::new(),
            store,
            requested_zoom: None,
            overlay: None,
            presets: PresetPanel::default(),
            inputs: Inputs::default(),
        };
        window.apply_theme();
        if let Some(notice) = notice {
            tracing::warn!("{notice}");
            window.notices.post(notice);
        }
        if let Some(NewWorldOptions { first, settings }) = window.setup.new_world.take() {
            window.open_new_world_at(first, settings);
        }
        Ok(window)
    }

    /// Logs when the first frame is on the screen, for measuring startup time.
    fn log_first_frame(&mut self, ui: &Ui) {
        match (self.first_frame_logged, &self.frame) {
            (None, Some(_)) => {
                self.first_frame_logged = Some(false);
                ui.request_repaint();
            }
            (Some(false), _) => {
                self.first_frame_logged = Some(true);
                tracing::info!("the first frame is on the screen");
            }
            _ => {}
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
        if self.tuning_open == Some(true) {
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
            panel("timeline", height).show(ui, |ui| self.timeline_ui(ui));
        }
        if self.analysis.plots_open {
            panel("plots", plots::HEIGHT).show(ui, |ui| self.plots_ui(ui));
        }
        if let Some(denoising) = &mut self.denoising {
            panel("denoising", denoising::HEIGHT).show(ui, |ui| {
                denoising.ui(ui, self.frame.as_ref(), self.session.world.image);
            });
        }
        if let Some(inspect) = &mut self.inspect {
            panel("inspect", inspect::HEIGHT).show(ui, |ui| {
                inspect.ui(ui, self.frame.as_ref(), self.session.world.image);
            });
        }
    }

    fn bar(&mut self, ui: &mut Ui) {
        let bar = ControlBar {
            keys: &self.session.keys,
            held: &self.held,
            paused: self.paused,
            hud: self.hud,
            denoising: self.denoising.is_some(),
            inspect: self.inspect.is_some(),
            tuning: self.tuning_open == Some(true),
            timeline: self.analysis.timeline_open,
            comparing: self.analysis.is_comparing(),
            plots: self.analysis.plots_open,
            training: self.page.as_ref().is_some_and(NewWorldPage::is_training),
            running: !matches!(self.world, WorldThread::Failed(_)),
        };
        if let Some(shortcut) = bar.ui(ui) {
            self.act(shortcut);
        }
    }

    fn tuning(&mut self, ui: &mut Ui) {
        let before = self.session.tuning.settings;
        let seed = self.frame.as_ref().map_or(0, |frame| frame.params.seed);
        let presets = &mut self.store.config.presets;
        let cost = self.stats.times().map(StageTimes::total);
        let tuning = &mut self.session.tuning;
        tuning.ui(ui, seed, cost, &mut self.presets, presets);
        for command in self.session.tuning.settings.commands_since(&before) {
            self.send(command);
        }
    }

    fn picture(&mut self, ui: &mut Ui) {
        let space = ui.max_rect();
        let pixels_per_point = ui.pixels_per_point();
        if let Some(frame) = &self.frame {
            let (size, scaling) = (
                self.session.world.image,
                self.session.tuning.settings.scaling,
            );
            let slot = match &self.analysis.comparison {
                Some(comparison) => {
                    let name = if self.session.learned {
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
                id: self.image_id,
                pixels: (rect.size() * pixels_per_point).into(),
                scaling,
            };
            ui.painter().add(present::shape(rect, picture));
            if let Some(inspect) = &mut self.inspect {
                inspect.over_picture(ui, rect, Some(frame));
            }
            self.picture_clicks(ui, rect);
        }
        self.over_picture(ui, space);
    }

    fn over_picture(&mut self, ui: &Ui, space: egui::Rect) {
        if self.hud && space.width() >= hud::MIN_WIDTH {
            let number = self.frame.as_ref().map_or(0, |frame| frame.number);
            let learned = self.session.learned;
            hud::show(ui, space, &self.stats, number, &self.engine, learned);
        }
        if let WorldThread::Failed(failure) = &self.world {
            match cards::failure(ui, space, &failure.what, failure.device) {
                Some(FailureChoice::ContinueOnCpu) => self.continue_on_cpu(),
                Some(FailureChoice::Restart) => self.restart(),
                Some(FailureChoice::Close) => ui.send_viewport_cmd(ViewportCommand::Close),
                None => {}
            }
            return;
        }
        if self.frame.is_none() {
            cards::badge(ui, space, "LOADING…");
        } else if self.paused {
            cards::badge(ui, space, "PAUSED");
        }
        let GameSession {
            world,
            learned,
            keys,
            ..
        } = &self.session;
        if self.welcome && cards::welcome(ui, space, &world.name, *learned, keys) {
            self.dismiss_welcome();
        }
        self.saving_ui(ui, space);
        self.notices.ui(ui, space);
    }
}

impl eframe::App for Window {
    fn raw_input_hook(&mut self, context: &egui::Context, input: &mut RawInput) {
        let now = Instant::now();
        // On the "New world" page, Enter and Escape go to the focused control.
        let typing = match self.screen {
            Screen::NewWorld => context.memory(|memory| memory.focused().is_some()),
            _ => context.text_edit_focused(),
        };
        input.events.retain(|event| match event {
            Event::Key {
                key,
                pressed,
                modifiers,
                ..
            } => {
                let chooses = self
                    .inspect
                    .as_ref()
                    .is_some_and(|panel| panel.captures_key(*key));
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
            _ => !self.mouse_event(event),
        });
    }

    fn logic(&mut self, context: &egui::Context, frame: &mut eframe::Frame) {
        if self.setup.mailbox.swap(false, Ordering::Relaxed) {
            frame.set_wgpu_surface_config(egui_wgpu::SurfaceConfig {
                present_mode: wgpu::PresentMode::Mailbox,
                desired_maximum_frame_latency: Some(2),
            });
        }
        if self.setup.close.load(Ordering::Relaxed) || self.is_lost() {
            context.send_viewport_cmd(ViewportCommand::Close);
        }
        if matches!(self.world, WorldThread::NotStarted) && self.drawn {
            self.restart();
        }
        self.poll_world();
        self.poll_episode();
        self.poll_screenshot(context.pixels_per_point());
        self.poll_gamepads();
        self.autosave();
        if let Some(page) = &mut self.page {
            page.poll();
        }
        self.poll_world_picker();
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.stats.record_draw(Instant::now());
        if !std::mem::replace(&mut self.drawn, true) {
            ui.request_repaint();
        }
        self.log_first_frame(ui);
        if self.screen == Screen::NewWorld {
            self.new_world_ui(ui);
            self.overlay_ui(ui.ctx());
            return;
        }
        self.handle_dropped_file(ui);
        if let Screen::Worlds { .. } = self.screen {
            self.worlds_ui(ui);
            self.overlay_ui(ui.ctx());
            return;
        }
        if self.tuning_open.is_none() {
            self.tuning_open = Some(ui.available_width() >= MIN_WIDTH_FOR_TUNING);
        }
        self.banner(ui);
        self.panels(ui);
        egui::CentralPanel::default()
            .frame(Fill::new().fill(theme::palette(ui).backdrop))
            .show(ui, |ui| self.picture(ui));
        self.overlay_ui(ui.ctx());
        if self.paused {
            // Nothing else repaints while paused, and the display rate should stay current.
            ui.request_repaint_after(Duration::from_secs(1));
        }
    }
}

#[cfg(test)]
mod tests;
