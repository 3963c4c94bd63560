//! The Help page: every key.

use eframe::egui;
use eframe::egui::{Align, Context, Key, Layout, RichText, Ui, vec2};

use super::gamepad::{GamepadButton, GamepadMap};
use super::keys::{HeldKeys, KeyMap, Shortcut};
use super::mouse::MouseRole;
use super::text::readable;
use super::theme;
use super::widgets::{chords, keycap, modal, page, section, title};

/// The Help page's content.
pub(super) struct HelpPage<'a> {
    /// The current world's name.
    pub world: &'a str,
    pub keys: &'a KeyMap,
    pub gamepad: &'a GamepadMap,
    pub mouse: Option<MouseRole>,
}

/// Widths of a column, of the keys in it, and of the gamepad buttons, in points.
const COLUMN: f32 = 420.0;
const KEYS: f32 = 104.0;
const BUTTONS: f32 = 132.0;

impl HelpPage<'_> {
    /// Draws the modal page; returns whether it was closed. `fresh` is true on the first draw.
    pub fn ui(&self, context: &Context, fresh: bool) -> bool {
        let space = context.content_rect().size() - vec2(60.0, 140.0);
        let shown = modal(context, "help").show(context, |ui| {
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
                scroll_by_keys(ui);
                if wide {
                    ui.columns(2, |columns| {
                        self.window(&mut columns[0]);
                        self.world(&mut columns[1]);
                        Self::new_world(&mut columns[1]);
                        self.devices(&mut columns[1]);
                    });
                } else {
                    self.world(ui);
                    self.window(ui);
                    Self::new_world(ui);
                    self.devices(ui);
                }
            });
            closed
        });
        shown.inner || shown.should_close()
    }

    fn world(&self, ui: &mut Ui) {
        section(ui, self.world);
        rows(ui, |ui| {
            for bound in self.keys.listed_actions().chain(self.keys.listed_axes()) {
                row(ui, &readable(&bound.name), |ui| {
                    chords(ui, bound, &HeldKeys::default());
                });
            }
        });
    }

    fn window(&self, ui: &mut Ui) {
        section(ui, "Window");
        rows(ui, |ui| {
            let all = self.keys.shortcuts().iter();
            let keyed = |s: &&Shortcut| !self.keys.shortcut_text(**s).is_empty();
            for shortcut in all.filter(keyed) {
                let hint = self.keys.why_not(*shortcut).unwrap_or(shortcut.hint());
                row(ui, hint, |ui| {
                    for key in self.keys.shortcut_keys(*shortcut) {
                        keycap(ui, key, false);
                    }
                    if let Some(key) = shortcut.control_key() {
                        let control = if cfg!(target_os = "macos") {
                            "⌘"
                        } else {
                            "Ctrl"
                        };
                        ui.label(RichText::new(control).color(theme::palette(ui).muted));
                        keycap(ui, key, false);
                    }
                });
            }
        });
    }

    fn new_world(ui: &mut Ui) {
        section(ui, "New world");
        rows(ui, |ui| {
            let keys = [
                (Key::Enter, "Press the primary button; finish a recording."),
                (Key::S, "Save the world as trained so far."),
                (Key::Escape, "Go back; close the top page."),
            ];
            for (key, text) in keys {
                row(ui, text, |ui| keycap(ui, key, false));
            }
        });
    }

    fn devices(&self, ui: &mut Ui) {
        section(ui, "Gamepad");
        rows(ui, |ui| {
            text_row(ui, "D-pad, left stick", "Directions, including diagonals.");
            for button in GamepadButton::MAPPABLE {
                if let Some(key) = self.gamepad.key(button) {
                    let played = self.keys.action_of(key).map(|bound| bound.name.as_str());
                    let shortcut = self.keys.shortcut(key).map(Shortcut::label);
                    let what = played.or(shortcut).unwrap_or(key.name());
                    text_row(ui, button.label(), what);
                }
            }
            text_row(ui, GamepadButton::Start.label(), "Pause.");
            text_row(ui, GamepadButton::Select.label(), "Restart.");
        });
        section(ui, "Mouse");
        let text = match self.mouse {
            Some(MouseRole::Turn) => "Click the picture to turn with the mouse; Esc releases it.",
            Some(MouseRole::Steer) => "Click the picture to steer with the mouse; Esc releases it.",
            None => "This world has no mouse controls.",
        };
        ui.label(RichText::new(text).color(theme::palette(ui).text));
    }
}

/// Scrolls the page by keys: only its button can take the focus.
fn scroll_by_keys(ui: &Ui) {
    let by = ui.input(|input| {
        let pressed = |key| input.num_presses(key) as f32;
        40.0 * (pressed(Key::ArrowUp) - pressed(Key::ArrowDown))
            + 240.0 * (pressed(Key::PageUp) - pressed(Key::PageDown))
    });
    if by != 0.0 {
        ui.scroll_with_delta(vec2(0.0, by));
    }
}

fn rows(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    ui.scope(|ui| {
        ui.spacing_mut().item_spacing.y = 3.0;
        content(ui);
    });
}

/// Keys, and beside them what they do, which may take several lines.
fn row(ui: &mut Ui, text: &str, keys: impl FnOnce(&mut Ui)) {
    wide_row(ui, KEYS, text, keys);
}

fn wide_row(ui: &mut Ui, width: f32, text: &str, keys: impl FnOnce(&mut Ui)) {
    ui.horizontal_top(|ui| {
        let left = Layout::left_to_right(Align::Center);
        ui.allocate_ui_with_layout(vec2(width, 26.0), left, |ui| {
            ui.spacing_mut().item_spacing.x = 5.0;
            ui.set_min_width(width);
            keys(ui);
        });
        ui.vertical(|ui| {
            ui.add_space(4.0);
            let text = RichText::new(text).color(theme::palette(ui).text);
            ui.add(egui::Label::new(text).wrap());
        });
    });
}

fn text_row(ui: &mut Ui, name: &str, text: &str) {
    wide_row(ui, BUTTONS, text, |ui| {
        ui.label(RichText::new(name).color(theme::palette(ui).muted));
    });
}
