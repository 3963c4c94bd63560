//! The page of all keys.

use eframe::egui::{self, Context, Grid, Id, Key, RichText, ScrollArea, Ui, vec2};

use super::controls::{chords, keycap};
use super::keys::{HeldKeys, KeyMap, Shortcut};
use super::mouse::Role;
use super::pad::{Button, PadMap};
use super::theme;
use super::tuning::section;

/// What the page tells of.
pub(super) struct Help<'a> {
    /// The world that is played.
    pub world: &'a str,
    pub keys: &'a KeyMap,
    pub pad: &'a PadMap,
    pub mouse: Option<Role>,
}

/// Width of a column of the page, of the keys in it, and of a pad's buttons.
const COLUMN: f32 = 390.0;
const KEYS: f32 = 96.0;
const BUTTONS: f32 = 132.0;

impl Help<'_> {
    /// Draws the page over everything else; whether it was closed. `fresh` the first time.
    pub fn ui(&self, context: &Context, fresh: bool) -> bool {
        let space = context.content_rect().size() - vec2(60.0, 140.0);
        let shown = modal("help").show(context, |ui| {
            let wide = space.x >= 2.0 * COLUMN;
            let width = if wide {
                2.0 * COLUMN
            } else {
                space.x.min(COLUMN)
            };
            ui.set_width(width);
            let mut closed = false;
            title(ui, "Keys", fresh, &mut closed);
            let scroll = page(space.y);
            scroll.show(ui, |ui| {
                steps(ui);
                if wide {
                    ui.columns(2, |columns| {
                        self.window(&mut columns[0]);
                        self.world(&mut columns[1]);
                        self.devices(&mut columns[1]);
                    });
                } else {
                    self.world(ui);
                    self.window(ui);
                    self.devices(ui);
                }
            });
            closed
        });
        shown.inner || shown.should_close()
    }

    fn world(&self, ui: &mut Ui) {
        section(ui, self.world);
        rows(ui, "world", KEYS, |ui| {
            for bound in self.keys.shown() {
                row(ui, &bound.name, |ui| {
                    chords(ui, bound, &HeldKeys::default());
                });
            }
        });
    }

    fn window(&self, ui: &mut Ui) {
        section(ui, "Window");
        rows(ui, "window", KEYS, |ui| {
            for shortcut in self.keys.shortcuts() {
                row(ui, shortcut.hint(), |ui| {
                    for key in self.keys.shortcut_keys(*shortcut) {
                        keycap(ui, key, false);
                    }
                });
            }
        });
        section(ui, "New world");
        rows(ui, "page", KEYS, |ui| {
            let keys = [
                (Key::Enter, "Begin what the page offers; end a recording."),
                (Key::S, "Save the half-trained world under its name."),
                (Key::Escape, "Go back; close what is on top."),
            ];
            for (key, text) in keys {
                row(ui, text, |ui| keycap(ui, key, false));
            }
        });
    }

    fn devices(&self, ui: &mut Ui) {
        section(ui, "Gamepad");
        rows(ui, "pad", BUTTONS, |ui| {
            words(
                ui,
                "Cross, left stick",
                "The directions, also two at a time.",
            );
            for button in Button::PLAYED {
                if let Some(key) = self.pad.key(button) {
                    let played = self.keys.action_of(key).map(|bound| bound.name.as_str());
                    let shortcut = self.keys.shortcut(key).map(Shortcut::label);
                    let what = played.or(shortcut).unwrap_or(key.name());
                    words(ui, button.label(), what);
                }
            }
            words(ui, Button::Start.label(), "Pause.");
            words(ui, Button::Select.label(), "Start again.");
        });
        section(ui, "Mouse");
        let text = match self.mouse {
            Some(Role::Turn) => "A click on the picture lets the mouse turn you; Esc lets it go.",
            Some(Role::Steer) => {
                "A click on the picture lets the mouse steer, by its place; Esc lets it go."
            }
            None => "There is nothing to turn or to steer with a mouse in this world.",
        };
        ui.label(RichText::new(text).color(theme::text()));
    }
}

/// A page over everything else.
pub(super) fn modal(name: &str) -> egui::Modal {
    egui::Modal::new(Id::unique(name))
        .frame(theme::card().fill(theme::panel()))
        .backdrop_color(theme::veil())
}

/// The page's headline, and a button that closes it, which has the focus when the page is `fresh`.
pub(super) fn title(ui: &mut Ui, text: &str, fresh: bool, closed: &mut bool) {
    ui.horizontal(|ui| {
        ui.label(RichText::new(text).heading().color(theme::text()));
        let right = egui::Layout::right_to_left(egui::Align::Center);
        ui.with_layout(right, |ui| {
            let close = ui.button("Close");
            if fresh {
                close.request_focus();
            }
            *closed |= close.clicked();
        });
    });
}

/// What is too high for the window is scrolled.
pub(super) fn page(height: f32) -> ScrollArea {
    ScrollArea::vertical()
        .max_height(height)
        .min_scrolled_height(height)
}

/// Up and down move a page on which nothing but its button can have the focus.
fn steps(ui: &Ui) {
    let by = ui.input(|input| {
        let pressed = |key| input.num_presses(key) as f32;
        40.0 * (pressed(Key::ArrowUp) - pressed(Key::ArrowDown))
            + 240.0 * (pressed(Key::PageUp) - pressed(Key::PageDown))
    });
    if by != 0.0 {
        ui.scroll_with_delta(vec2(0.0, by));
    }
}

fn rows(ui: &mut Ui, name: &str, width: f32, content: impl FnOnce(&mut Ui)) {
    Grid::new(name)
        .num_columns(2)
        .min_col_width(width)
        .spacing(vec2(10.0, 6.0))
        .show(ui, content);
}

fn row(ui: &mut Ui, text: &str, keys: impl FnOnce(&mut Ui)) {
    ui.horizontal(|ui| {
        ui.spacing_mut().item_spacing.x = 5.0;
        keys(ui);
    });
    let text = RichText::new(text).color(theme::text());
    ui.add(egui::Label::new(text).wrap());
    ui.end_row();
}

fn words(ui: &mut Ui, name: &str, text: &str) {
    row(ui, text, |ui| {
        ui.label(RichText::new(name).color(theme::muted()));
    });
}
