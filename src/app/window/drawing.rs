//! Draws the game with its panels, and the modal pages.

use std::time::Duration;

use eframe::egui;
use eframe::egui::{Context, Frame as Fill, Rect, Ui, ViewportCommand};

use driftless_engine::StageTimes;

use super::Window;
use crate::app::cards::FailureChoice;
use crate::app::controls::ControlBar;
use crate::app::present::FrameCallback;
use crate::app::{cards, controls, denoising, hud, inspect, plots, present, theme, timeline};

impl Window {
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
                .exact_size(280.0)
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
        // On the page for new worlds the banner tells.
        if session.sim.record.is_some() && self.navigation.parked.is_none() {
            cards::recording(ui, space);
        }
        let (world, keys) = (&session.world.name, &session.keys);
        if self.preferences.welcome && cards::welcome(ui, space, world, session.learned, keys) {
            self.dismiss_welcome();
        }
        let discarded = self.recovery.ui(ui, space);
        self.report(discarded.unwrap_or(Ok(())));
        let saved = self.saving.ui(ui, space);
        self.report_saved(saved);
        self.notices.ui(ui, space);
    }

    pub(super) fn overlay_ui(&mut self, context: &Context) {
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

    pub(super) fn game_ui(&mut self, ui: &mut Ui) {
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
