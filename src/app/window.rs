//! The window: it listens to keys and to the world-model thread, and draws; it waits for neither.

mod away;
mod device;
mod inputs;
mod prefs;
mod saving;
mod shortcuts;
mod study;
mod world;
mod worlds;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use eframe::egui::{self, Event, Frame as Fill, RawInput, Ui, ViewportCommand};
use eframe::{egui_wgpu, wgpu};

use self::away::{Home, View};
use self::device::prepare;
use self::inputs::Inputs;
use self::prefs::Overlay;
use self::study::Study;
use self::worlds::Opening;
use super::cards::{self, Answer, Notices};
use super::config::Store;
use super::controls::{self, Bar};
use super::denoising::{self, Denoising};
use super::inspect::{self, Inspect};
use super::keys::HeldKeys;
use super::new_world::Page;
use super::picker::Picker;
use super::played::Played;
use super::present::{self, Picture};
use super::presets::Presets;
use super::saving::Saving;
use super::stats::Stats;
use super::{NewWorld, Waker, hud, plots, theme, timeline};
use driftless_engine::{Seat, StageTimes};
use driftless_sim::{Frame, History, Session, Sim};

/// Windows narrower than this open without the tuning panel.
const ROOM_FOR_TUNING: f32 = 760.0;

/// What the window is made of.
pub(super) struct Parts {
    /// Whether the "New world" page is opened first, and where.
    pub new_world: Option<NewWorld>,
    /// Where worlds, data and runs are kept, instead of the platform's folder.
    pub home: Option<PathBuf>,
    /// Other settings than the person's own, and what there is to say about them.
    pub store: Option<(Store, Option<String>)>,
    /// Whether the surface can show the newest frame without waiting for the screen.
    pub mailbox: Arc<AtomicBool>,
    /// Set from outside to close the window.
    pub close: Arc<AtomicBool>,
    pub waker: Waker,
}

/// The world-model thread as the window sees it.
enum World {
    /// Until the window has been drawn once: a surface cannot be set up while an engine submits to its
    /// device.
    Waiting,
    Running(Sim),
    Failed(Failure),
}

/// Why a world has stopped.
struct Failure {
    what: String,
    /// Whether it was the device, in whose place the processor can go on.
    device: bool,
    /// Where the game stood.
    history: Option<History>,
}

impl Failure {
    fn new(what: String) -> Self {
        Self {
            what,
            device: false,
            history: None,
        }
    }
}

pub(super) struct Window {
    parts: Parts,
    played: Played,
    /// The game that waits while another is played from the "New world" page.
    home: Option<Home>,
    view: View,
    /// The "New world" page, once it was opened.
    page: Option<Page>,
    /// The page of worlds, once it was opened.
    worlds: Option<Picker>,
    /// A game that is being read.
    opening: Option<Opening>,
    render: egui_wgpu::RenderState,
    /// What engines may compute on.
    seat: Seat,
    context: egui::Context,
    world: World,
    /// The recording of a thread that failed, for the next one.
    session: Option<Session>,
    /// The recording of a game that is not played any more.
    kept: Option<Session>,
    engine: String,
    held: HeldKeys,
    stats: Stats,
    notices: Notices,
    frame: Option<Frame>,
    /// Counts images, so that each is uploaded once.
    image_id: u64,
    paused: bool,
    hud: bool,
    /// How the frame came out of the noise, while that is on show.
    denoising: Option<Denoising>,
    study: Study,
    /// What was played, on its way to a file.
    saving: Option<Saving>,
    /// What the model holds and where it looked, while that is on show.
    inspect: Option<Inspect>,
    tuning_open: Option<bool>,
    welcome: bool,
    /// Whether the window has been drawn.
    drawn: bool,
    /// Keys of shortcuts that are down.
    down: Vec<egui::Key>,
    /// Whether it has been drawn with a frame, and whether that was said.
    playing: Option<bool>,
    /// What a person has set, and the file of it.
    store: Store,
    /// A size of all that egui was asked for and has not taken yet.
    zoom_asked: Option<f32>,
    /// A page over everything else.
    overlay: Option<Overlay>,
    presets: Presets,
    /// Gamepads and mouse.
    inputs: Inputs,
}

impl Window {
    /// Puts the presenter into egui's renderer and starts the world-model thread.
    pub fn new(
        mut parts: Parts,
        mut played: Played,
        creation: &eframe::CreationContext<'_>,
    ) -> crate::Result<Self> {
        let (render, seat) = prepare(creation, &parts.waker, played.world.image)?;
        played.sim.seat = seat.clone();
        let (store, said) = parts.store.take().unwrap_or_else(Store::find);
        let name = played.world.name.clone();
        let mut window = Self {
            paused: played.sim.paused,
            parts,
            played,
            home: None,
            view: View::Game,
            page: None,
            worlds: None,
            opening: None,
            render,
            seat,
            context: creation.egui_ctx.clone(),
            world: World::Waiting,
            session: None,
            kept: None,
            engine: String::new(),
            held: HeldKeys::default(),
            stats: Stats::default(),
            notices: Notices::default(),
            frame: None,
            image_id: 0,
            hud: true,
            denoising: None,
            study: Study::default(),
            saving: None,
            // By the window's width, unless it was closed.
            tuning_open: store.config.tuning.filter(|open| !open),
            welcome: !store.config.welcomed.contains(&name),
            inspect: None,
            drawn: false,
            playing: None,
            down: Vec::new(),
            store,
            zoom_asked: None,
            overlay: None,
            presets: Presets::default(),
            inputs: Inputs::default(),
        };
        window.put_on();
        if let Some(said) = said {
            tracing::warn!("{said}");
            window.notices.say(said);
        }
        if let Some(NewWorld { first, settings }) = window.parts.new_world.take() {
            window.open_page_at(first, settings);
        }
        Ok(window)
    }

    /// Says, for those who measure it, when the first frame is on the screen: once it was drawn.
    fn tell_start(&mut self, ui: &Ui) {
        match (self.playing, &self.frame) {
            (None, Some(_)) => {
                self.playing = Some(false);
                ui.request_repaint();
            }
            (Some(false), _) => {
                self.playing = Some(true);
                tracing::info!("the first frame is on the screen");
            }
            _ => {}
        }
    }

    fn bar(&mut self, ui: &mut Ui) {
        let bar = Bar {
            keys: &self.played.keys,
            held: &self.held,
            paused: self.paused,
            hud: self.hud,
            denoising: self.denoising.is_some(),
            inspect: self.inspect.is_some(),
            tuning: self.tuning_open == Some(true),
            timeline: self.study.timeline_open,
            truth: self.study.truth(),
            plots: self.study.plots_open,
            training: self.page.as_ref().is_some_and(Page::trains),
            running: !matches!(self.world, World::Failed(_)),
        };
        if let Some(shortcut) = bar.ui(ui) {
            self.act(shortcut);
        }
    }

    fn tuning(&mut self, ui: &mut Ui) {
        let before = self.played.tuning.settings;
        let seed = self.frame.as_ref().map_or(0, |frame| frame.params.seed);
        let presets = &mut self.store.config.presets;
        let cost = self.stats.times().map(StageTimes::sum);
        let tuning = &mut self.played.tuning;
        tuning.ui(ui, seed, cost, &mut self.presets, presets);
        for command in self.played.tuning.settings.commands_since(&before) {
            self.send(command);
        }
    }

    fn picture(&mut self, ui: &mut Ui) {
        let space = ui.max_rect();
        let pixels_per_point = ui.pixels_per_point();
        if let Some(frame) = &self.frame {
            let (size, scaling) = (self.played.world.image, self.played.tuning.settings.scaling);
            let own = match &self.study.side {
                Some(side) => {
                    let name = if self.played.sampled {
                        "predicted"
                    } else {
                        "real"
                    };
                    side.ui(ui, space, size, scaling, name);
                    side.places(space)[0]
                }
                None => space,
            };
            let rect = present::fit(own, size, pixels_per_point);
            let picture = Picture {
                image: frame.image.clone(),
                id: self.image_id,
                pixels: (rect.size() * pixels_per_point).into(),
                scaling,
            };
            ui.painter().add(present::shape(rect, picture));
            if let Some(inspect) = &mut self.inspect {
                inspect.over_picture(ui, rect, Some(frame));
            }
            self.picture_mouse(ui, rect);
        }
        self.over_picture(ui, space);
    }

    fn over_picture(&mut self, ui: &Ui, space: egui::Rect) {
        if self.hud && space.width() >= hud::ROOM {
            let number = self.frame.as_ref().map_or(0, |frame| frame.number);
            let sampled = self.played.sampled;
            hud::show(ui, space, &self.stats, number, &self.engine, sampled);
        }
        if let World::Failed(failure) = &self.world {
            match cards::failure(ui, space, &failure.what, failure.device) {
                Some(Answer::GoOn) => self.go_on(),
                Some(Answer::Restart) => self.restart(),
                Some(Answer::Close) => ui.send_viewport_cmd(ViewportCommand::Close),
                None => {}
            }
            return;
        }
        if self.frame.is_none() {
            cards::mark(ui, space, "LOADING THE WORLD");
        } else if self.paused {
            cards::mark(ui, space, "PAUSED");
        }
        let Played {
            world,
            sampled,
            keys,
            ..
        } = &self.played;
        if self.welcome && cards::welcome(ui, space, &world.name, *sampled, keys) {
            self.dismiss();
        }
        self.saving_ui(ui, space);
        self.notices.show(ui, space);
    }
}

impl eframe::App for Window {
    fn raw_input_hook(&mut self, context: &egui::Context, input: &mut RawInput) {
        let now = Instant::now();
        // On the page, Enter and Escape belong to a control that has the focus.
        let typing = match self.view {
            View::Page => context.memory(|memory| memory.focused().is_some()),
            _ => context.text_edit_focused(),
        };
        input.events.retain(|event| match event {
            Event::Key {
                key,
                pressed,
                modifiers,
                ..
            } => {
                let chooses = self.inspect.as_ref().is_some_and(|own| own.takes(*key));
                if chooses && *pressed {
                    return true;
                }
                let plain = !modifiers.command && !modifiers.ctrl && !modifiers.alt;
                !self.key(*key, *pressed, plain, typing, now)
            }
            Event::WindowFocused(false) => {
                self.let_all_go();
                true
            }
            _ => !self.mouse_event(event),
        });
    }

    fn logic(&mut self, context: &egui::Context, frame: &mut eframe::Frame) {
        if self.parts.mailbox.swap(false, Ordering::Relaxed) {
            frame.set_wgpu_surface_config(egui_wgpu::SurfaceConfig {
                present_mode: wgpu::PresentMode::Mailbox,
                desired_maximum_frame_latency: Some(2),
            });
        }
        if self.parts.close.load(Ordering::Relaxed) || self.is_lost() {
            context.send_viewport_cmd(ViewportCommand::Close);
        }
        if matches!(self.world, World::Waiting) && self.drawn {
            self.restart();
        }
        self.listen();
        self.take_episode();
        self.take_screenshot(context.pixels_per_point());
        self.hear_pads();
        self.settle();
        if let Some(page) = &mut self.page {
            page.listen();
        }
        self.listen_to_worlds();
    }

    fn ui(&mut self, ui: &mut Ui, _frame: &mut eframe::Frame) {
        self.stats.drawn(Instant::now());
        if !std::mem::replace(&mut self.drawn, true) {
            ui.request_repaint();
        }
        self.tell_start(ui);
        if self.view == View::Page {
            self.page_ui(ui);
            self.overlay_ui(ui.ctx());
            return;
        }
        self.take_dropped(ui);
        if let View::Worlds { .. } = self.view {
            self.worlds_ui(ui);
            self.overlay_ui(ui.ctx());
            return;
        }
        if self.tuning_open.is_none() {
            self.tuning_open = Some(ui.available_width() >= ROOM_FOR_TUNING);
        }
        let fill = Fill::new().fill(theme::panel());
        self.banner(ui);
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
        if self.study.timeline_open {
            let height = timeline::height(self.study.timeline.branches());
            panel("time line", height).show(ui, |ui| self.timeline_ui(ui));
        }
        if self.study.plots_open {
            panel("plots", plots::HEIGHT).show(ui, |ui| self.plots_ui(ui));
        }
        if let Some(denoising) = &mut self.denoising {
            panel("denoising", denoising::HEIGHT).show(ui, |ui| {
                denoising.ui(ui, self.frame.as_ref(), self.played.world.image);
            });
        }
        if let Some(inspect) = &mut self.inspect {
            panel("inspect", inspect::HEIGHT).show(ui, |ui| {
                inspect.ui(ui, self.frame.as_ref(), self.played.world.image);
            });
        }
        egui::CentralPanel::default()
            .frame(Fill::new().fill(theme::backdrop()))
            .show(ui, |ui| self.picture(ui));
        self.overlay_ui(ui.ctx());
        if self.paused {
            // Nothing else asks for a repaint, and the screen rate should not stand still.
            ui.request_repaint_after(Duration::from_secs(1));
        }
    }
}

#[cfg(test)]
mod tests;
