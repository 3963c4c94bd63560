//! The Settings page: appearance, keys, gamepad, mouse. Changes apply immediately.

use eframe::egui;
use eframe::egui::{Align, Context, Grid, Key, Layout, Response, RichText, Ui, vec2};

use driftless_data::ActionSpec;

use super::config::{SCALE_RANGE, SENSITIVITY_RANGE, UserConfig};
use super::gamepad::{Gamepad, GamepadButton, GamepadMap};
use super::keys::{Bindings, Chord, KeyMap, chord_name, rebind};
use super::present::Scaling;
use super::text::readable;
use super::theme;
use super::theme::Appearance;
use super::widgets::{checkbox, choices, keycap, modal, page, reset_button, section, title};

const WIDTH: f32 = 460.0;
/// Width of the label column, in points.
const NAME: f32 = 132.0;

/// The Settings page.
#[derive(Default)]
pub(super) struct SettingsPage {
    /// What the next key press is captured for.
    capture: Option<KeyCapture>,
    /// Why the last key was rejected.
    rejection: Option<String>,
    /// The widget that last had the focus.
    focused: Option<egui::Id>,
}

/// What a key press is captured for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum KeyCapture {
    /// An additional key for an action.
    Action(String),
    /// The key that a gamepad button presses.
    Button(GamepadButton),
}

/// What the page edits and shows.
pub(super) struct SettingsContext<'a> {
    pub config: &'a mut UserConfig,
    /// The world whose keys are edited.
    pub world: &'a str,
    pub actions: &'a [ActionSpec],
    pub keys: &'a KeyMap,
    pub gamepad: &'a GamepadMap,
    /// The connected gamepads.
    pub gamepads: &'a [Gamepad],
}

impl SettingsPage {
    /// Whether the next key press is captured for a binding.
    pub fn is_capturing(&self) -> bool {
        self.capture.is_some()
    }

    /// Handles a captured key; Escape cancels.
    pub fn capture_key(
        &mut self,
        key: Key,
        config: &mut UserConfig,
        world: &str,
        actions: &[ActionSpec],
    ) {
        if key != Key::Escape && !rebind::is_bindable(key) {
            return;
        }
        let Some(capture) = self.capture.take().filter(|_| key != Key::Escape) else {
            return;
        };
        match capture {
            KeyCapture::Action(action) => {
                let custom = config.keys.entry(world.to_owned()).or_default();
                self.rejection = rebind::add(custom, actions, &action, key).err();
                config.keys.retain(|_, custom| !custom.is_empty());
            }
            KeyCapture::Button(button) => {
                let buttons = &mut config.gamepad.buttons;
                buttons.insert(button.name().to_owned(), key.name().to_owned());
            }
        }
    }

    /// Draws the modal page; returns whether it was closed. `fresh` is true on the first draw.
    pub fn ui(
        &mut self,
        context: &Context,
        settings: &mut SettingsContext<'_>,
        fresh: bool,
    ) -> bool {
        let space = context.content_rect().size() - vec2(60.0, 140.0);
        let response = modal(context, "settings").show(context, |ui| {
            ui.set_width(WIDTH.min(space.x));
            let mut closed = false;
            title(ui, "Settings", fresh, &mut closed);
            let scroll = page(space.y);
            scroll.show(ui, |ui| {
                // Leave room for the scroll bar.
                ui.set_max_width(ui.available_width() - 12.0);
                appearance(ui, settings.config);
                self.keys(ui, settings);
                self.gamepad(ui, settings);
                mouse(ui, settings.config);
                self.scroll_to_focus(ui);
            });
            closed
        });
        response.inner || response.should_close()
    }

    /// Scrolls a newly focused control into view.
    fn scroll_to_focus(&mut self, ui: &Ui) {
        let focused = ui.memory(egui::Memory::focused);
        if focused == self.focused {
            return;
        }
        self.focused = focused;
        if let Some(control) = focused.and_then(|id| ui.ctx().read_response(id)) {
            ui.scroll_to_rect(control.rect.expand(8.0), None);
        }
    }

    fn keys(&mut self, ui: &mut Ui, settings: &mut SettingsContext<'_>) {
        section(ui, &format!("Keys in {}", settings.world));
        let mut custom = settings
            .config
            .keys
            .remove(settings.world)
            .unwrap_or_default();
        let actions: Vec<(String, Vec<Chord>)> = settings
            .keys
            .rebindable(settings.actions)
            .map(|(spec, chords)| (spec.name.clone(), chords.to_vec()))
            .collect();
        grid(ui, "keys", |ui| {
            for (action, chords) in &actions {
                name(ui, &readable(action));
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing.x = 4.0;
                    for chord in chords {
                        if removable_chord(ui, action, chord) {
                            rebind::remove(&mut custom, settings.actions, action, chord);
                            self.rejection = None;
                        }
                    }
                    self.capture_button(ui, KeyCapture::Action(action.clone()), "Add", action);
                    if custom.contains_key(action) && reset_clicked(ui, action) {
                        custom.remove(action);
                        self.rejection = None;
                    }
                });
                ui.end_row();
            }
        });
        if let Some(rejection) = &self.rejection {
            ui.label(RichText::new(rejection).color(theme::palette(ui).alert));
        }
        let all = ui.add_enabled(!custom.is_empty(), egui::Button::new("Reset to defaults"));
        if all.clicked() {
            custom = Bindings::new();
            self.rejection = None;
        }
        if !custom.is_empty() {
            settings
                .config
                .keys
                .insert(settings.world.to_owned(), custom);
        }
    }

    fn gamepad(&mut self, ui: &mut Ui, settings: &mut SettingsContext<'_>) {
        section(ui, "Gamepad");
        checkbox(ui, &mut settings.config.gamepad.on, "Use gamepads");
        if !settings.config.gamepad.on {
            return;
        }
        let connected = match settings.gamepads {
            [] => "No gamepad connected.".to_owned(),
            gamepads => {
                let names: Vec<_> = gamepads
                    .iter()
                    .map(|gamepad| gamepad.name.as_str())
                    .collect();
                format!("Connected: {}.", names.join(", "))
            }
        };
        ui.label(RichText::new(connected).color(theme::palette(ui).muted));
        let directions = "D-pad and left stick give directions; Start pauses, Select restarts.";
        ui.label(RichText::new(directions).color(theme::palette(ui).muted));
        let buttons = &mut settings.config.gamepad.buttons;
        grid(ui, "buttons", |ui| {
            for button in GamepadButton::MAPPABLE {
                name(ui, button.label());
                ui.horizontal(|ui| {
                    if let Some(key) = settings.gamepad.key(button) {
                        keycap(ui, key, false);
                    }
                    self.capture_button(ui, KeyCapture::Button(button), "Change", button.label());
                    if buttons.contains_key(button.name()) && reset_clicked(ui, button.label()) {
                        buttons.remove(button.name());
                    }
                });
                ui.end_row();
            }
        });
    }

    /// A button that starts key capture, or the prompt while capturing.
    fn capture_button(&mut self, ui: &mut Ui, capture: KeyCapture, what: &str, whose: &str) {
        let capturing = self.capture.as_ref() == Some(&capture);
        let text = if capturing {
            RichText::new("Press a key, or Esc").color(theme::palette(ui).accent)
        } else {
            RichText::new(if what == "Add" { "+" } else { "…" })
        };
        let button = ui.button(text);
        let label = if capturing {
            format!("Press a key for {whose}, or Escape")
        } else {
            format!("{what} the key for {whose}")
        };
        named(&button, &label);
        let hint = "Click, then press the key.";
        if button.on_hover_text(hint).clicked() {
            self.rejection = None;
            self.capture = (!capturing).then_some(capture);
        }
    }
}

fn appearance(ui: &mut Ui, config: &mut UserConfig) {
    section(ui, "Appearance");
    grid(ui, "appearance", |ui| {
        name(ui, "Theme");
        line(ui, |ui| {
            let all = [Appearance::System, Appearance::Dark, Appearance::Light];
            choices(ui, &mut config.appearance, &all, |theme| match theme {
                Appearance::System => "System",
                Appearance::Dark => "Dark",
                Appearance::Light => "Light",
            });
        });
        name(ui, "Interface scale");
        line(ui, |ui| scale(ui, &mut config.scale));
        name(ui, "Image scaling");
        line(ui, |ui| {
            choices(ui, &mut config.scaling, &Scaling::ALL, |scaling| {
                scaling.label()
            });
        });
        name(ui, "Motion");
        line(ui, |ui| {
            checkbox(ui, &mut config.reduced_motion, "Reduce")
                .on_hover_text("Previews stand still; nothing slides or fades.");
        });
        name(ui, "Performance overlay");
        line(ui, |ui| {
            checkbox(ui, &mut config.hud, "Show");
        });
    });
}

/// Steps of a tenth: a slider would move away under the pointer.
fn scale(ui: &mut Ui, scale: &mut f32) {
    let (min, max) = SCALE_RANGE;
    let step = |ui: &mut Ui, scale: &mut f32, sign: &str, by: f32, enabled: bool| {
        let button = ui.add_enabled(enabled, egui::Button::new(sign).min_size(vec2(30.0, 24.0)));
        named(&button, if by > 0.0 { "Larger" } else { "Smaller" });
        if button.clicked() {
            *scale = ((*scale + by) * 10.0).round() / 10.0;
        }
    };
    step(ui, scale, "−", -0.1, *scale > min);
    ui.label(format!("{:.0} %", 100.0 * *scale));
    step(ui, scale, "+", 0.1, *scale < max);
    if *scale != 1.0
        && reset_button(ui)
            .on_hover_text("Reset to default.")
            .clicked()
    {
        *scale = 1.0;
    }
    *scale = scale.clamp(min, max);
}

fn mouse(ui: &mut Ui, config: &mut UserConfig) {
    section(ui, "Mouse");
    let (min, max) = SENSITIVITY_RANGE;
    grid(ui, "mouse", |ui| {
        let name = name(ui, "Sensitivity");
        line(ui, |ui| {
            let slider = egui::Slider::new(&mut config.mouse.sensitivity, min..=max);
            ui.add(slider.logarithmic(true).max_decimals(2))
                .labelled_by(name);
        });
    });
}

/// Draws a chord with a remove button; returns whether it was clicked.
fn removable_chord(ui: &mut Ui, action: &str, chord: &Chord) -> bool {
    for key in chord {
        keycap(ui, *key, false);
    }
    let remove = ui.small_button("×");
    named(
        &remove,
        &format!("Remove {} from {action}", chord_name(chord)),
    );
    ui.add_space(4.0);
    remove.on_hover_text("Remove this key.").clicked()
}

fn reset_clicked(ui: &mut Ui, whose: &str) -> bool {
    let undo = reset_button(ui);
    named(&undo, &format!("Reset the keys for {whose}"));
    undo.on_hover_text("Reset to default.").clicked()
}

/// Sets a button's accessible name.
fn named(button: &Response, label: &str) {
    let enabled = button.enabled();
    button.widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, enabled, label));
}

fn grid(ui: &mut Ui, id: &str, content: impl FnOnce(&mut Ui)) {
    Grid::new(id)
        .num_columns(2)
        .min_col_width(NAME)
        .spacing(vec2(10.0, 6.0))
        .show(ui, content);
}

fn name(ui: &mut Ui, text: &str) -> egui::Id {
    ui.label(RichText::new(text).color(theme::palette(ui).muted))
        .id
}

/// A control next to its label.
fn line(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    let size = vec2(ui.available_width().clamp(150.0, 260.0), 24.0);
    ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), content);
    ui.end_row();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::world;

    fn capturing(capture: KeyCapture) -> SettingsPage {
        SettingsPage {
            capture: Some(capture),
            ..SettingsPage::default()
        }
    }

    fn actions() -> Vec<ActionSpec> {
        world(&[("noop", &[]), ("up", &["W"]), ("down", &["S"])]).actions
    }

    #[test]
    fn captured_key_is_bound() {
        let mut config = UserConfig::default();
        let mut page = capturing(KeyCapture::Action("up".into()));
        page.capture_key(Key::ControlLeft, &mut config, "Test", &actions());
        assert!(page.is_capturing());
        page.capture_key(Key::Tab, &mut config, "Test", &actions());
        assert!(!page.is_capturing());
        assert_eq!(config.keys["Test"]["up"], ["W", "Tab"]);
    }

    #[test]
    fn escape_cancels_capture() {
        let mut config = UserConfig::default();
        let mut page = capturing(KeyCapture::Action("up".into()));
        page.capture_key(Key::Escape, &mut config, "Test", &actions());
        assert!(!page.is_capturing());
        assert_eq!(config, UserConfig::default());
    }

    #[test]
    fn taken_key_is_rejected() {
        let mut config = UserConfig::default();
        let mut page = capturing(KeyCapture::Action("up".into()));
        page.capture_key(Key::S, &mut config, "Test", &actions());
        assert!(page.rejection.unwrap().contains("S already plays down"));
        assert_eq!(config, UserConfig::default());
    }

    #[test]
    fn gamepad_button_takes_any_key() {
        let mut config = UserConfig::default();
        let mut page = capturing(KeyCapture::Button(GamepadButton::North));
        page.capture_key(Key::H, &mut config, "Test", &actions());
        assert_eq!(config.gamepad.buttons["north"], "H");
    }
}
