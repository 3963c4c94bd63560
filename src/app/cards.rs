//! What floats over the picture: the card of the first moments, failures, notices, the pause.

use std::time::{Duration, Instant};

use eframe::egui::{self, Align2, Area, Id, Key, Margin, Order, Rect, RichText, Ui, vec2};

use super::controls::chords;
use super::keys::{HeldKeys, KeyMap, Shortcut};
use super::theme;

/// How long a notice stays.
const NOTICE_TIME: Duration = Duration::from_secs(6);

/// Says what is played and names the keys; returns whether it was dismissed.
pub(super) fn welcome(ui: &Ui, space: Rect, world: &str, sampled: bool, keys: &KeyMap) -> bool {
    let what = match sampled {
        true => {
            "Every frame you see is predicted by a network, from the frames before and your keys."
        }
        false => "This is the real simulator: nothing of it is learned, and nothing is predicted.",
    };
    let mut dismissed = false;
    over(ui, "welcome", space.center(), Align2::CENTER_CENTER, |ui| {
        theme::card().show(ui, |ui| {
            ui.set_max_width((space.width() - 70.0).clamp(180.0, 340.0));
            ui.label(RichText::new(world).heading().color(theme::text()));
            ui.label(RichText::new(what).color(theme::muted()));
            ui.add_space(4.0);
            for bound in keys.shown() {
                ui.horizontal_wrapped(|ui| {
                    chords(ui, bound, &HeldKeys::default());
                    ui.label(RichText::new(&bound.name).color(theme::text()));
                });
            }
            ui.add_space(2.0);
            ui.label(
                RichText::new(shortcut_line(keys))
                    .small()
                    .color(theme::muted()),
            );
            ui.add_space(6.0);
            let play = egui::Button::new(RichText::new("Play").color(theme::on_accent()).strong());
            let size = vec2(ui.available_width(), 30.0);
            dismissed = ui.add_sized(size, play.fill(theme::accent())).clicked();
        });
    });
    dismissed
}

/// `P pause · N single step · …`, with the keys that the world leaves free.
fn shortcut_line(keys: &KeyMap) -> String {
    let parts: Vec<_> = keys
        .shortcuts()
        .iter()
        .filter(|&&shortcut| shortcut.has_button() || shortcut == Shortcut::Help)
        .filter_map(|&shortcut| {
            let key = keys.shortcut_keys(shortcut).next()?;
            let text = format!("{} {}", Key::symbol_or_name(key), shortcut.label());
            Some(text.replace(' ', "\u{a0}"))
        })
        .collect();
    parts.join("  ·  ")
}

/// What the player chose on the failure card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    GoOn,
    Restart,
    Close,
}

/// Says what happened and offers to start again, or, where a device failed, to go on without it.
pub(super) fn failure(ui: &Ui, space: Rect, what: &str, device: bool) -> Option<Answer> {
    let mut answer = None;
    ui.painter().rect_filled(space, 0, theme::veil());
    over(ui, "failure", space.center(), Align2::CENTER_CENTER, |ui| {
        theme::card().show(ui, |ui| {
            ui.set_width((space.width() - 70.0).clamp(180.0, 420.0));
            ui.label(
                RichText::new("The world stopped")
                    .heading()
                    .color(theme::alert()),
            );
            egui::ScrollArea::vertical()
                .max_height(140.0)
                .show(ui, |ui| {
                    ui.label(RichText::new(what).color(theme::text()));
                });
            ui.add_space(6.0);
            ui.horizontal_wrapped(|ui| {
                let (first, says) = match device {
                    true => (Answer::GoOn, "Go on with the processor"),
                    false => (Answer::Restart, "Restart"),
                };
                let text = RichText::new(says).color(theme::on_accent()).strong();
                let size = [if device { 200.0 } else { 110.0 }, 30.0];
                let button = ui.add_sized(size, egui::Button::new(text).fill(theme::accent()));
                if button.on_hover_text("Enter").clicked() {
                    answer = Some(first);
                }
                if device
                    && ui
                        .add_sized([90.0, 30.0], egui::Button::new("Restart"))
                        .clicked()
                {
                    answer = Some(Answer::Restart);
                }
                let close = egui::Button::new("Close");
                if ui.add_sized([90.0, 30.0], close).clicked() {
                    answer = Some(Answer::Close);
                }
            });
        });
    });
    answer
}

/// Short messages that go away by themselves, the latest one shown.
#[derive(Default)]
pub(super) struct Notices {
    latest: Option<(String, Instant)>,
}

impl Notices {
    pub fn say(&mut self, text: String) {
        self.latest = Some((text, Instant::now()));
    }

    pub fn show(&mut self, ui: &Ui, space: Rect) {
        let Some((text, since)) = &self.latest else {
            return;
        };
        let left = NOTICE_TIME.saturating_sub(since.elapsed());
        if left.is_zero() {
            self.latest = None;
            return;
        }
        ui.ctx().request_repaint_after(left);
        let at = space.center_bottom() - vec2(0.0, 14.0);
        over(ui, "notice", at, Align2::CENTER_BOTTOM, |ui| {
            theme::card()
                .inner_margin(Margin::symmetric(14, 9))
                .show(ui, |ui| {
                    ui.set_max_width((space.width() - 60.0).max(120.0));
                    ui.label(RichText::new(text).color(theme::text()));
                });
        });
    }
}

/// A mark in the picture's upper right corner, for the pause and for loading.
pub(super) fn mark(ui: &Ui, space: Rect, text: &str) {
    let at = space.right_top() + vec2(-12.0, 12.0);
    over(ui, "mark", at, Align2::RIGHT_TOP, |ui| {
        egui::Frame::new()
            .fill(theme::over_picture())
            .corner_radius(12)
            .inner_margin(Margin::symmetric(14, 5))
            .show(ui, |ui| {
                let text = RichText::new(text).small().strong().color(theme::accent());
                ui.add(egui::Label::new(text).extend());
            });
    });
}

pub(super) fn over(
    ui: &Ui,
    name: &str,
    at: egui::Pos2,
    pivot: Align2,
    content: impl FnOnce(&mut Ui),
) {
    Area::new(Id::unique(name))
        .order(Order::Foreground)
        .pivot(pivot)
        .fixed_pos(at)
        .show(ui.ctx(), content);
}
