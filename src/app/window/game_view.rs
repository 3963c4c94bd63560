//! Draws the game with its panels.

use std::time::{Duration, Instant};

use eframe::egui;
use eframe::egui::{Frame as Fill, Rect, Ui, ViewportCommand};

use driftless_sim::LinkState;

use super::environment::Environment;
use super::navigation::Navigation;
use super::play::Play;
use super::preferences::MIN_WIDTH_FOR_TUNING;
use crate::app::cards::{FailureChoice, WelcomeChoice};
use crate::app::controls::ControlBar;
use crate::app::keys::Shortcut;
use crate::app::new_world::banner::BannerAction;
use crate::app::present::FrameCallback;
use crate::app::recovery::Recovery;
use crate::app::{
    agent_view, cards, controls, denoising, hud, inspect, plots, present, theme, timeline,
};

/// Width of the Tuning panel, in points.
const TUNING_WIDTH: f32 = 280.0;
/// How long the mouse rests until the bar makes room for the picture on the full screen, in seconds.
const BAR_SECONDS: f32 = 2.5;
/// Margins of an instrument below the picture, in points.
const INSTRUMENT_MARGIN: egui::Vec2 = egui::vec2(16.0, 10.0);

/// What the game's controls ask for that concerns more than the game.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GameRequests {
    pub banner: Option<BannerAction>,
    pub shortcut: Option<Shortcut>,
}

/// The game and what is drawn with it.
pub(super) struct GameView<'a> {
    pub play: &'a mut Play,
    pub navigation: &'a mut Navigation,
    pub env: &'a mut Environment,
    pub recovery: &'a mut Recovery,
    /// Whether a modal page lies above.
    pub covered: bool,
}

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

impl GameView<'_> {
    /// Draws the game; returns what it asks for.
    pub fn ui(&mut self, ui: &mut Ui) -> GameRequests {
        if self.play.saver.is_open() {
            theme::disable(ui);
        }
        self.env.preferences.decide_tuning(ui.available_width());
        let banner = self.navigation.banner(ui, self.play.game.frame.as_ref());
        let narrow = ui.available_width() < MIN_WIDTH_FOR_TUNING;
        let shortcut = self.panels(ui);
        let shown = egui::CentralPanel::default()
            .frame(Fill::new().fill(theme::palette(ui).backdrop))
            .show(ui, |ui| {
                let space = ui.max_rect();
                let chosen = self.picture(ui);
                let takes_commands = !self.covered && !self.play.saver.is_open();
                if self.env.preferences.shows_tuning() && narrow && takes_commands {
                    self.tuning_drawer(ui, space);
                }
                chosen
            });
        let shortcut = shortcut.or(shown.inner);
        if self.play.game.is_paused() {
            // Nothing else repaints while paused, and the display rate should stay current.
            ui.request_repaint_after(Duration::from_secs(1));
        }
        GameRequests { banner, shortcut }
    }

    /// Draws the control bar and the open panels around the picture; returns the button that was pressed.
    fn panels(&mut self, ui: &mut Ui) -> Option<Shortcut> {
        let fill = Fill::new().fill(theme::palette(ui).panel);
        let mut pressed = None;
        if self.hides_bar(ui) {
            ui.ctx().set_cursor_icon(egui::CursorIcon::None);
        } else {
            egui::Panel::bottom("bar")
                .exact_size(controls::HEIGHT + 12.0)
                .resizable(false)
                .frame(fill.inner_margin(egui::Margin::symmetric(12, 6)))
                .show(ui, |ui| pressed = self.bar(ui));
        }
        let narrow = ui.available_width() < MIN_WIDTH_FOR_TUNING;
        if self.env.preferences.shows_tuning() && !narrow {
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
        pressed
    }

    /// Whether the picture has the whole screen: the game plays there, and nobody moves the mouse or the focus.
    fn hides_bar(&self, ui: &Ui) -> bool {
        let game = &self.play.game;
        let plays = !game.is_paused() && game.failure().is_none();
        let alone = !self.env.preferences.config().lab && !self.covered;
        let (full, still) = ui.input(|input| {
            let still = input.pointer.time_since_last_movement();
            (input.viewport().fullscreen == Some(true), still)
        });
        let used = egui::Popup::is_any_open(ui.ctx()) || ui.memory(|m| m.focused().is_some());
        full && plays && alone && !used && still > BAR_SECONDS
    }

    /// Height of the open instruments below the picture, in points.
    fn instruments_height(&self) -> f32 {
        let analysis = &self.play.analysis;
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
        let (game, analysis) = (&mut self.play.game, &mut self.play.analysis);
        let (frame, size) = (game.frame.as_ref(), game.session.world.image);
        if let Some(inspect) = &mut analysis.inspect {
            instrument(ui, inspect::HEIGHT, |ui| inspect.ui(ui, frame, size));
        }
        if let Some(denoising) = &mut analysis.denoising {
            instrument(ui, denoising::HEIGHT, |ui| denoising.ui(ui, frame, size));
        }
        if analysis.plots_open {
            let env = &*self.env;
            let saved = instrument(ui, plots::HEIGHT, |ui| {
                analysis.plots_ui(ui, &env.device.waker, || env.saved_folder())
            });
            self.env.report_saved(saved);
        }
        if analysis.timeline_open {
            let height = timeline::height(analysis.timeline.branch_count());
            let asked = instrument(ui, height, |ui| analysis.timeline_ui(ui, game));
            if let Some(asked) = asked {
                self.play.handle_timeline(asked, self.env);
            }
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

    fn bar(&mut self, ui: &mut Ui) -> Option<Shortcut> {
        let Play { game, analysis, .. } = &*self.play;
        let preferences = &self.env.preferences;
        let bar = ControlBar {
            keys: &game.session.keys,
            held: &game.held,
            paused: game.is_paused(),
            autoplay: game.autoplay,
            lab: preferences.config().lab,
            hud: preferences.config().hud,
            denoising: analysis.denoising.is_some(),
            inspect: analysis.inspect.is_some(),
            tuning: preferences.shows_tuning(),
            timeline: analysis.timeline_open,
            comparing: analysis.comparison.is_some(),
            plots: analysis.plots_open,
            training: self.navigation.is_training(),
            running: game.failure().is_none(),
        };
        bar.ui(ui)
    }

    fn tuning(&mut self, ui: &mut Ui) {
        let cost = self.play.frame_cost();
        let game = &mut self.play.game;
        let before = game.session.tuning.settings;
        let seed = game.frame.as_ref().map_or(0, |frame| frame.params.seed);
        let (panel, presets) = self.env.preferences.presets();
        game.session.tuning.ui(ui, seed, cost, panel, presets);
        self.play.tuning_changed(before);
    }

    fn picture(&mut self, ui: &mut Ui) -> Option<Shortcut> {
        let space = ui.max_rect();
        let pixels_per_point = ui.pixels_per_point();
        let Play {
            game,
            analysis,
            inputs,
            ..
        } = &mut *self.play;
        if let Some(frame) = &game.frame {
            let session = &game.session;
            let (size, scaling) = (session.world.image, session.tuning.settings.scaling);
            let shows_hud = self.env.preferences.config().hud && space.width() >= hud::MIN_WIDTH;
            let slot = match &analysis.comparison {
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
                id: game.image_id,
                pixels: (rect.size() * pixels_per_point).into(),
                scaling,
            };
            ui.painter().add(present::shape(rect, picture));
            let inspect = &mut analysis.inspect;
            if let Some(inspect) = inspect {
                inspect.over_picture(ui, rect, Some(frame));
            }
            if inputs.over_picture(ui, rect, inspect.is_some()) {
                self.play.toggle_mouse(self.env);
            }
        }
        self.over_picture(ui, space)
    }

    fn over_picture(&mut self, ui: &Ui, space: Rect) -> Option<Shortcut> {
        let game = &self.play.game;
        if self.env.preferences.config().hud && space.width() >= hud::MIN_WIDTH {
            let number = game.frame.as_ref().map_or(0, |frame| frame.number);
            let source = match (&game.session.remote, game.session.learned) {
                (Some(_), _) => hud::FrameSource::Remote,
                (None, true) => hud::FrameSource::Learned,
                (None, false) => hud::FrameSource::Simulated,
            };
            hud::show(ui, space, &game.stats, number, &game.engine, source);
        }
        if let Some(decision) = game.decision().filter(|_| game.autoplay) {
            agent_view::show(ui, space, decision, &game.session.world.actions);
        }
        if let Some(failure) = game.failure() {
            match cards::failure(ui, space, &failure.what, failure.device) {
                Some(FailureChoice::ContinueOnCpu) => self.play.continue_on_cpu(),
                Some(FailureChoice::Restart) => self.play.restart(None),
                Some(FailureChoice::Close) => self.env.device.command(ViewportCommand::Close),
                None => {}
            }
            return None;
        }
        self.link_card(ui, space);
        if let Some(badge) = self.badge() {
            cards::badge(ui, space, badge);
        }
        // On the page for new worlds the banner tells.
        if game.session.sim.record.is_some() && self.navigation.parked.is_none() {
            cards::recording(ui, space);
        }
        let chosen = self.cards(ui, space);
        self.env.notices_ui(ui, space);
        chosen
    }

    /// Says that the game waits for its link, if it does.
    fn link_card(&self, ui: &Ui, space: Rect) {
        if let LinkState::Lost {
            reason,
            again_at,
            kept_until,
        } = &self.play.game.link
        {
            let now = Instant::now();
            let times = [again_at, kept_until].map(|at| at.saturating_duration_since(now));
            cards::link_lost(ui, space, reason, times);
            // The seconds count down.
            ui.ctx().request_repaint_after(Duration::from_millis(200));
        }
    }

    /// What the world does instead of playing under the keys.
    fn badge(&self) -> Option<&'static str> {
        let (play, game) = (&*self.play, &self.play.game);
        if game.link != LinkState::Up {
            Some("LINK LOST")
        } else if game.frame.is_none() {
            Some("LOADING…")
        } else if let Some(running) = play.transport_label() {
            Some(running)
        } else if play.saver.is_rendering() {
            Some("WORKING…")
        } else if game.is_paused() && !self.env.preferences.welcome {
            Some("PAUSED")
        } else {
            let player = match game.decision() {
                Some(_) => "THE AGENT PLAYS",
                None => "PLAYS ITSELF",
            };
            game.autoplay.then_some(player)
        }
    }

    /// Draws the score and the cards over the picture.
    fn cards(&mut self, ui: &Ui, space: Rect) -> Option<Shortcut> {
        let game = &mut self.play.game;
        let fps = game.session.world.fps;
        game.scoreboard.ui(ui, space, fps);
        let session = &game.session;
        let (world, keys) = (&session.world.name, &session.keys);
        let greets = self.env.preferences.welcome.then_some(());
        let choice = greets.and_then(|()| cards::welcome(ui, space, world, session.learned, keys));
        if choice.is_some() {
            self.play.dismiss_welcome(&mut self.env.preferences);
        }
        if let Some(discarded) = self.recovery.ui(ui, space) {
            self.env.report(discarded);
        }
        let (saver, game) = (&mut self.play.saver, &mut self.play.game);
        if let Some(event) = saver.ui(ui, space) {
            saver.handle(event, game, self.env);
        }
        (choice == Some(WelcomeChoice::Film)).then_some(Shortcut::Film)
    }
}
