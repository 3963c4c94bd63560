//! Cards that float over the picture: welcome, failure, and the pause badge.

use std::time::Duration;

use eframe::egui;
use eframe::egui::{Align2, Key, Rect, RichText, ScrollArea, Sense, Ui, vec2};

use super::goals;
use super::keys::{HeldKeys, KeyMap, Shortcut};
use super::text::readable;
use super::theme;
use super::widgets::{chords, floating};

/// How a person begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WelcomeChoice {
    /// By playing.
    Play,
    /// By saying what happens, in a world that makes clips.
    Film,
}

/// Draws the welcome card: the goal of the world, its keys, and how to begin; returns what was chosen.
pub(super) fn welcome(
    ui: &Ui,
    space: Rect,
    world: &str,
    learned: bool,
    keys: &KeyMap,
) -> Option<WelcomeChoice> {
    let what = goals::goal(world).unwrap_or_else(|| goals::description(learned));
    let mut choice = None;
    floating(ui, "welcome", space.center(), Align2::CENTER_CENTER, |ui| {
        let palette = theme::palette(ui);
        theme::card(palette).show(ui, |ui| {
            ui.set_max_width((space.width() - 70.0).clamp(180.0, 340.0));
            let tallest = (space.height() - 150.0).max(60.0);
            ScrollArea::vertical().max_height(tallest).show(ui, |ui| {
                ui.label(RichText::new(world).heading().color(palette.text));
                ui.label(RichText::new(what).color(palette.text));
                ui.add_space(4.0);
                for bound in keys.listed_actions().chain(keys.listed_axes()) {
                    ui.horizontal_wrapped(|ui| {
                        chords(ui, bound, &HeldKeys::default());
                        ui.label(RichText::new(readable(&bound.name)).color(palette.text));
                    });
                }
                ui.add_space(2.0);
                let line = RichText::new(shortcut_line(keys)).color(palette.muted);
                ui.label(line);
            });
            ui.add_space(6.0);
            let play = RichText::new("Play").color(palette.on_accent).strong();
            let size = vec2(ui.available_width(), 30.0);
            let play = egui::Button::new(play).fill(palette.accent);
            if ui.add_sized(size, play).clicked() {
                choice = Some(WelcomeChoice::Play);
            }
            if keys.shortcuts().contains(&Shortcut::Film) {
                let film = egui::Button::new("Begin with your words…");
                let film = ui.add_sized(size, film);
                if film.on_hover_text(Shortcut::Film.hint()).clicked() {
                    choice = Some(WelcomeChoice::Film);
                }
            }
        });
    });
    choice
}

/// `R Restart scene · F9 Lab · F1 Help`, with the keys that the world leaves free.
fn shortcut_line(keys: &KeyMap) -> String {
    let named = [Shortcut::Reset, Shortcut::Lab, Shortcut::Help];
    let parts: Vec<_> = named
        .into_iter()
        .filter_map(|shortcut| {
            let key = keys.shortcut_keys(shortcut).next()?;
            let text = format!("{} {}", Key::symbol_or_name(key), shortcut.label());
            Some(text.replace(' ', "\u{a0}"))
        })
        .collect();
    parts.join("  ·  ")
}

/// The choices on the failure card.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailureChoice {
    ContinueOnCpu,
    Restart,
    Close,
}

/// Draws the failure card, which offers to restart or, if the device failed, to continue on the CPU.
pub(super) fn failure(ui: &Ui, space: Rect, what: &str, device: bool) -> Option<FailureChoice> {
    let mut choice = None;
    ui.painter().rect_filled(space, 0, theme::palette(ui).veil);
    floating(ui, "failure", space.center(), Align2::CENTER_CENTER, |ui| {
        theme::card(theme::palette(ui)).show(ui, |ui| {
            ui.set_width((space.width() - 70.0).clamp(180.0, 420.0));
            ui.label(
                RichText::new("The world stopped")
                    .heading()
                    .color(theme::palette(ui).alert),
            );
            ScrollArea::vertical().max_height(140.0).show(ui, |ui| {
                ui.label(RichText::new(what).color(theme::palette(ui).text));
            });
            ui.add_space(6.0);
            ui.horizontal_wrapped(|ui| {
                let (first, label) = if device {
                    (FailureChoice::ContinueOnCpu, "Continue on the CPU")
                } else {
                    (FailureChoice::Restart, "Restart")
                };
                let text = RichText::new(label)
                    .color(theme::palette(ui).on_accent)
                    .strong();
                let size = [if device { 200.0 } else { 110.0 }, 30.0];
                let button = ui.add_sized(
                    size,
                    egui::Button::new(text).fill(theme::palette(ui).accent),
                );
                if button.on_hover_text("Enter").clicked() {
                    choice = Some(first);
                }
                if device
                    && ui
                        .add_sized([90.0, 30.0], egui::Button::new("Restart"))
                        .clicked()
                {
                    choice = Some(FailureChoice::Restart);
                }
                let close = egui::Button::new("Close");
                if ui.add_sized([90.0, 30.0], close).clicked() {
                    choice = Some(FailureChoice::Close);
                }
            });
        });
    });
    choice
}

/// Draws why the game waits for the link to its server, and how long: until the next attempt, and until the server
/// may have ended the game.
pub(super) fn link_lost(ui: &Ui, space: Rect, reason: &str, [again, kept]: [Duration; 2]) {
    ui.painter().rect_filled(space, 0, theme::palette(ui).veil);
    floating(ui, "link", space.center(), Align2::CENTER_CENTER, |ui| {
        let palette = theme::palette(ui);
        theme::card(palette).show(ui, |ui| {
            ui.set_width((space.width() - 70.0).clamp(180.0, 420.0));
            let title = RichText::new("The link is lost").heading();
            ui.label(title.color(palette.alert));
            ui.label(RichText::new(reason).color(palette.text));
            ui.add_space(4.0);
            let again = if again.is_zero() {
                "Trying again now.".to_owned()
            } else {
                format!("Trying again in {:.0} s.", again.as_secs_f32().ceil())
            };
            let kept = if kept.is_zero() {
                "The server may have ended the game by now.".to_owned()
            } else {
                let seconds = kept.as_secs_f32().ceil();
                format!("The game is paused; the server keeps it for {seconds:.0} s more.")
            };
            ui.label(RichText::new(again).color(palette.text));
            ui.label(RichText::new(kept).color(palette.muted));
        });
    });
}

/// A badge in the picture's upper right corner, for pause and loading.
pub(super) fn badge(ui: &Ui, space: Rect, text: &str) {
    let at = space.right_top() + vec2(-12.0, 12.0);
    floating(ui, "mark", at, Align2::RIGHT_TOP, |ui| {
        let palette = theme::palette(ui);
        theme::badge(palette).show(ui, |ui| {
            let text = RichText::new(text).small().strong();
            ui.add(egui::Label::new(text.color(palette.accent)).extend());
        });
    });
}

/// Shows that a file can be dropped, while one is held over the window.
pub(super) fn drop_zone(ui: &Ui) {
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
        badge(ui, space, "DROP TO OPEN");
    }
}

/// A red dot in the picture's lower left corner: every frame is recorded.
pub(super) fn recording(ui: &Ui, space: Rect) {
    let at = space.left_bottom() + vec2(12.0, -12.0);
    floating(ui, "recording", at, Align2::LEFT_BOTTOM, |ui| {
        let palette = theme::palette(ui);
        theme::badge(palette).show(ui, |ui| {
            ui.horizontal(|ui| {
                // Painted: the fonts have no such glyph.
                let (dot, _) = ui.allocate_exact_size(vec2(8.0, 8.0), Sense::hover());
                ui.painter().circle_filled(dot.center(), 4.0, palette.alert);
                let text = RichText::new("Recording").small().strong();
                ui.add(egui::Label::new(text.color(palette.alert)).extend());
            });
        });
    });
}
