//! Draws the game with its panels, and the modal pages.

use std::time::{Duration, Instant};

use eframe::egui;
use eframe::egui::{Context, Frame as Fill, Rect, Ui, ViewportCommand};

use driftless_engine::StageTimes;

use super::Window;
use super::analysis::TimelineRequest;
use super::overlay::OverlayEnd;
use super::preferences::MIN_WIDTH_FOR_TUNING;
use super::undo::Change;
use crate::app::cards::FailureChoice;
use crate::app::controls::ControlBar;
use crate::app::desktop::open_folder;
use crate::app::keys::Shortcut;
use crate::app::present::FrameCallback;
use crate::app::{cards, controls, denoising, hud, inspect, plots, present, theme, timeline};

/// Width of the Tuning panel, in points.
const TUNING_WIDTH: f32 = 280.0;
/// Margins of an instrument below the picture, in points.
const INSTRUMENT_MARGIN: egui::Vec2 = egui::vec2(16.0, 10.0);

/// Draws an instrument of a fixed height, margins included.
fn instrument<T>(ui: &mut Ui, height: f32, content: impl FnOnce(&mut Ui) -> T) -> T {
    let size = egui::vec2(ui.available_width(), height);
    let (rect, _) = ui.allocate_exact_size(size, egui::Sense::hover());
    let inner = rect.shrink2(INSTRUMENT_MARGIN);
    let mut inside = ui.new_child(egui::UiBuilder::new().max_rect(inner));
    inside.reset_style();
    inside.shrink_clip_rect(rect);
    content(&mut inside)
}

impl Window {
    /// Draws the control bar and the open panels around the picture.
    fn panels(&mut self, ui: &mut Ui) {
        let fill = Fill::new().fill(theme::palette(ui).panel);
        egui::Panel::bottom("bar")
            .exact_size(controls::HEIGHT + 12.0)
            .resizable(false)
            .frame(fill.inner_margin(egui::Margin::symmetric(12, 6)))
            .show(ui, |ui| self.bar(ui));
        let narrow = ui.available_width() < MIN_WIDTH_FOR_TUNING;
        if self.preferences.shows_tuning() && !narrow {
            egui::Panel::right("tuning")
                .exact_size(TUNING_WIDTH)
                .resizable(false)
                .frame(fill.inner_margin(egui::Margin::symmetric(16, 14)))
                .show(ui, |ui| self.tuning(ui));
        }
        let height = self.instruments_height();
        if height > 0.0 {
            // The picture keeps half of the window; the instruments then scroll.
            let tallest = 0.5 * ui.available_height();
            egui::Panel::bottom("instruments")
                .exact_size(height.min(tallest))
                .resizable(false)
                .frame(fill)
                .show(ui, |ui| {
                    if height <= tallest {
                        self.instruments(ui);
                    } else {
                        let scroll = egui::ScrollArea::vertical().auto_shrink(false);
                        scroll.show(ui, |ui| self.instruments(ui));
                    }
                });
        }
    }

    /// Height of the open instruments below the picture, in points.
    fn instruments_height(&self) -> f32 {
        let analysis = &self.analysis;
        let timeline = timeline::height(analysis.timeline.branch_count());
        [
            (analysis.timeline_open, timeline),
            (analysis.plots_open, plots::HEIGHT),
            (analysis.denoising.is_some(), denoising::HEIGHT),
            (analysis.inspect.is_some(), inspect::HEIGHT),
        ]
        .into_iter()
        .filter_map(|(open, height)| open.then_some(height))
        .sum()
    }

    /// Draws the open instruments, one below the other.
    fn instruments(&mut self, ui: &mut Ui) {
        ui.spacing_mut().item_spacing.y = 0.0;
        let (frame, size) = (self.game.frame.as_ref(), self.game.session.world.image);
        if let Some(inspect) = &mut self.analysis.inspect {
            instrument(ui, inspect::HEIGHT, |ui| inspect.ui(ui, frame, size));
        }
        if let Some(denoising) = &mut self.analysis.denoising {
            instrument(ui, denoising::HEIGHT, |ui| denoising.ui(ui, frame, size));
        }
        if self.analysis.plots_open {
            let folder = || self.navigation.saved_folder();
            let waker = &self.device.waker;
            let saved = instrument(ui, plots::HEIGHT, |ui| {
                self.analysis.plots_ui(ui, waker, folder)
            });
            self.report_saved(saved);
        }
        if self.analysis.timeline_open {
            let height = timeline::height(self.analysis.timeline.branch_count());
            let asked = instrument(ui, height, |ui| {
                self.analysis.timeline_ui(ui, &mut self.game)
            });
            self.handle_timeline(asked);
        }
    }

    fn handle_timeline(&mut self, asked: Option<TimelineRequest>) {
        match asked {
            Some(TimelineRequest::Save) => self.save(),
            Some(TimelineRequest::SaveFrames(frames)) => self.request_frames(frames),
            Some(TimelineRequest::BranchDeleted) => {
                self.changes.note(Change::Branch, Instant::now());
                let keys = self.game.session.keys.shortcut_text(Shortcut::Undo);
                self.notices
                    .info(format!("The branch is deleted. {keys} brings it back."));
            }
            None => {}
        }
    }

    /// Draws the Tuning panel over the picture, where the window is too narrow for both.
    fn tuning_drawer(&mut self, ui: &Ui, space: Rect) {
        let palette = theme::palette(ui);
        let width = TUNING_WIDTH.min(space.width());
        egui::Area::new(egui::Id::unique("tuning-drawer"))
            .order(egui::Order::Middle)
            .pivot(egui::Align2::RIGHT_TOP)
            .fixed_pos(space.right_top())
            .show(ui.ctx(), |ui| {
                let drawer = Fill::new().fill(palette.panel);
                drawer
                    .inner_margin(egui::Margin::symmetric(16, 14))
                    .show(ui, |ui| {
                        ui.set_width(width - 32.0);
                        ui.set_height(space.height() - 28.0);
                        self.tuning(ui);
                    });
            });
    }

    fn bar(&mut self, ui: &mut Ui) {
        let bar = ControlBar {
            keys: &self.game.session.keys,
            held: &self.game.held,
            paused: self.game.is_paused(),
            autoplay: self.game.autoplay,
            lab: self.preferences.config().lab,
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
        if game.session.tuning.settings != before {
            let change = Change::Tuning(Box::new(before));
            self.changes.note(change, Instant::now());
        }
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
            let shows_hud = self.preferences.config().hud && space.width() >= hud::MIN_WIDTH;
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
                None if shows_hud => hud::beside(space, size, pixels_per_point),
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
        } else if let Some(running) = self.running() {
            cards::badge(ui, space, running);
        } else if self.saving.is_rendering() {
            cards::badge(ui, space, "WORKING…");
        } else if game.is_paused() && !self.preferences.welcome {
            cards::badge(ui, space, "PAUSED");
        } else if game.autoplay {
            cards::badge(ui, space, "PLAYS ITSELF");
        }
        // On the page for new worlds the banner tells.
        if session.sim.record.is_some() && self.navigation.parked.is_none() {
            cards::recording(ui, space);
        }
        let fps = session.world.fps;
        self.game.scoreboard.ui(ui, space, fps);
        let session = &self.game.session;
        let (world, keys) = (&session.world.name, &session.keys);
        if self.preferences.welcome && cards::welcome(ui, space, world, session.learned, keys) {
            self.dismiss_welcome();
        }
        let discarded = self.recovery.ui(ui, space);
        self.report(discarded.unwrap_or(Ok(())));
        if let Some(event) = self.saving.ui(ui, space) {
            self.handle_saving(event);
        }
        self.notices_ui(ui, space);
    }

    /// Shows that a file can be dropped, while one is held over the window.
    pub(super) fn drop_zone(&self, ui: &Ui) {
        let held = ui.input(|input| !input.raw.hovered_files.is_empty());
        if held {
            let palette = theme::palette(ui);
            let space = ui.max_rect();
            let painter = ui.ctx().layer_painter(egui::LayerId::new(
                egui::Order::Foreground,
                egui::Id::unique("drop-zone"),
            ));
            painter.rect_filled(space, 0, palette.veil);
            let frame = egui::Stroke::new(3.0, palette.accent);
            painter.rect_stroke(space.shrink(14.0), 12, frame, egui::StrokeKind::Inside);
            cards::badge(ui, space, "DROP TO OPEN");
        }
    }

    /// Draws the notices, and opens a folder that is asked for.
    pub(super) fn notices_ui(&mut self, ui: &Ui, space: Rect) {
        if let Some(folder) = self.notices.ui(ui, space) {
            self.report(open_folder(&folder));
        }
    }

    pub(super) fn overlay_ui(&mut self, context: &Context) {
        let Some(mut overlay) = self.overlay.take() else {
            return;
        };
        let before = self.preferences.config().clone();
        let (game, inputs) = (&self.game, &self.inputs);
        let end = overlay.ui(context, game, inputs, &mut self.preferences);
        if *self.preferences.config() != before {
            self.preferences.apply_changes(context, &before);
            self.apply_bindings();
            let change = Change::Config(Box::new(before));
            self.changes.note(change, Instant::now());
        }
        let Some(end) = end else {
            self.overlay = Some(overlay);
            return;
        };
        self.close_overlay(&overlay);
        match end {
            OverlayEnd::Closed => {}
            OverlayEnd::Run(shortcut) => self.act(shortcut),
            OverlayEnd::Open(path) => self.open_path(&path),
        }
    }

    pub(super) fn game_ui(&mut self, ui: &mut Ui) {
        if self.saving.is_open() {
            theme::disable(ui);
        }
        self.preferences.decide_tuning(ui.available_width());
        if let Some(action) = self.navigation.banner(ui, self.game.frame.as_ref()) {
            self.handle_banner(action);
        }
        let narrow = ui.available_width() < MIN_WIDTH_FOR_TUNING;
        self.panels(ui);
        egui::CentralPanel::default()
            .frame(Fill::new().fill(theme::palette(ui).backdrop))
            .show(ui, |ui| {
                let space = ui.max_rect();
                self.picture(ui);
                if self.preferences.shows_tuning() && narrow && self.takes_commands() {
                    self.tuning_drawer(ui, space);
                }
            });
        if self.game.is_paused() {
            // Nothing else repaints while paused, and the display rate should stay current.
            ui.request_repaint_after(Duration::from_secs(1));
        }
    }
}
