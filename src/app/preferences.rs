//! The page of settings: looks, keys, gamepad, mouse. What is changed counts at once.

use eframe::egui::{self, Align, Context, Grid, Key, Layout, Response, RichText, Ui, vec2};

use super::config::{Config, SCALES, SENSITIVITIES};
use super::controls::{back, keycap};
use super::help::{modal, page, title};
use super::keys::{Bindings, Chord, KeyMap, choice, chord_name};
use super::pad::{Button, Pad, PadMap};
use super::present::Scaling;
use super::theme::{self, Look};
use super::tuning::{choices, section};
use driftless_data::ActionSpec;

const WIDTH: f32 = 460.0;
/// Width of a name before what is set.
const NAME: f32 = 132.0;

/// The page.
#[derive(Default)]
pub(super) struct Preferences {
    /// What the next key is for.
    capture: Option<Capture>,
    /// Why a key was not taken.
    word: Option<String>,
    /// What has the focus.
    focused: Option<egui::Id>,
}

/// What a key is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Capture {
    /// One more for an action.
    Action(String),
    /// The one that a pad's button presses.
    Button(Button),
}

/// What the page sets and shows.
pub(super) struct Shown<'a> {
    pub config: &'a mut Config,
    /// The world whose keys are set.
    pub world: &'a str,
    pub actions: &'a [ActionSpec],
    pub keys: &'a KeyMap,
    pub pad: &'a PadMap,
    /// The pads that are there.
    pub pads: &'a [Pad],
}

impl Preferences {
    /// Whether the next key is for a binding.
    pub fn captures(&self) -> bool {
        self.capture.is_some()
    }

    /// Takes a key for what it was asked for; Escape for nothing.
    pub fn take(&mut self, key: Key, config: &mut Config, world: &str, actions: &[ActionSpec]) {
        if key != Key::Escape && !choice::can_be_chosen(key) {
            return;
        }
        let Some(capture) = self.capture.take().filter(|_| key != Key::Escape) else {
            return;
        };
        match capture {
            Capture::Action(action) => {
                let own = config.keys.entry(world.to_owned()).or_default();
                self.word = choice::add(own, actions, &action, key).err();
                config.keys.retain(|_, own| !own.is_empty());
            }
            Capture::Button(button) => {
                let buttons = &mut config.gamepad.buttons;
                buttons.insert(button.name().to_owned(), key.name().to_owned());
            }
        }
    }

    /// Draws the page over everything else; whether it was closed. `fresh` the first time.
    pub fn ui(&mut self, context: &Context, shown: &mut Shown<'_>, fresh: bool) -> bool {
        let space = context.content_rect().size() - vec2(60.0, 140.0);
        let shown_page = modal("preferences").show(context, |ui| {
            ui.set_width(WIDTH.min(space.x));
            let mut closed = false;
            title(ui, "Preferences", fresh, &mut closed);
            let scroll = page(space.y);
            scroll.show(ui, |ui| {
                // Room for the scroll bar.
                ui.set_max_width(ui.available_width() - 12.0);
                looks(ui, shown.config);
                self.keys(ui, shown);
                self.gamepad(ui, shown);
                mouse(ui, shown.config);
                self.follow(ui);
            });
            closed
        });
        shown_page.inner || shown_page.should_close()
    }

    /// Brings what has got the focus into sight.
    fn follow(&mut self, ui: &Ui) {
        let focused = ui.memory(egui::Memory::focused);
        if focused == self.focused {
            return;
        }
        self.focused = focused;
        if let Some(control) = focused.and_then(|id| ui.ctx().read_response(id)) {
            ui.scroll_to_rect(control.rect.expand(8.0), None);
        }
    }

    fn keys(&mut self, ui: &mut Ui, shown: &mut Shown<'_>) {
        section(ui, &format!("Keys of {}", shown.world));
        let mut own = shown.config.keys.remove(shown.world).unwrap_or_default();
        let actions: Vec<(String, Vec<Chord>)> = shown
            .keys
            .choosable(shown.actions)
            .map(|(spec, chords)| (spec.name.clone(), chords.to_vec()))
            .collect();
        grid(ui, "keys", |ui| {
            for (action, chords) in &actions {
                name(ui, action);
                ui.horizontal_wrapped(|ui| {
                    ui.spacing_mut().item_spacing.x = 4.0;
                    for chord in chords {
                        if removable(ui, action, chord) {
                            choice::remove(&mut own, shown.actions, action, chord);
                            self.word = None;
                        }
                    }
                    self.ask(ui, Capture::Action(action.clone()), "add", action);
                    if own.contains_key(action) && undo(ui, action) {
                        own.remove(action);
                        self.word = None;
                    }
                });
                ui.end_row();
            }
        });
        if let Some(word) = &self.word {
            ui.label(RichText::new(word).color(theme::alert()));
        }
        let all = ui.add_enabled(
            !own.is_empty(),
            egui::Button::new("Back to the world's own"),
        );
        if all.clicked() {
            own = Bindings::new();
            self.word = None;
        }
        if !own.is_empty() {
            shown.config.keys.insert(shown.world.to_owned(), own);
        }
    }

    fn gamepad(&mut self, ui: &mut Ui, shown: &mut Shown<'_>) {
        section(ui, "Gamepad");
        ui.checkbox(&mut shown.config.gamepad.on, "Play with gamepads");
        if !shown.config.gamepad.on {
            return;
        }
        let there = match shown.pads {
            [] => "None is there.".to_owned(),
            pads => {
                let names: Vec<_> = pads.iter().map(|pad| pad.name.as_str()).collect();
                format!("There: {}.", names.join(", "))
            }
        };
        ui.label(RichText::new(there).color(theme::muted()));
        let directions =
            "The cross and the left stick are the directions; Start pauses, Select starts again.";
        ui.label(RichText::new(directions).color(theme::muted()));
        let buttons = &mut shown.config.gamepad.buttons;
        grid(ui, "buttons", |ui| {
            for button in Button::PLAYED {
                name(ui, button.label());
                ui.horizontal(|ui| {
                    if let Some(key) = shown.pad.key(button) {
                        keycap(ui, key, false);
                    }
                    self.ask(ui, Capture::Button(button), "change", button.label());
                    if buttons.contains_key(button.name()) && undo(ui, button.label()) {
                        buttons.remove(button.name());
                    }
                });
                ui.end_row();
            }
        });
    }

    /// A button that asks for a key, or the question, while it is asked.
    fn ask(&mut self, ui: &mut Ui, capture: Capture, what: &str, whose: &str) {
        let asked = self.capture.as_ref() == Some(&capture);
        let text = match asked {
            true => RichText::new("press a key, or Esc").color(theme::accent()),
            false => RichText::new(if what == "add" { "+" } else { "…" }),
        };
        let button = ui.button(text);
        let label = match asked {
            true => format!("press a key for {whose}, or Escape"),
            false => format!("{what} a key for {whose}"),
        };
        named(&button, &label);
        let hint = "Then press the key.";
        if button.on_hover_text(hint).clicked() {
            self.word = None;
            self.capture = (!asked).then_some(capture);
        }
    }
}

fn looks(ui: &mut Ui, config: &mut Config) {
    section(ui, "Looks");
    grid(ui, "looks", |ui| {
        name(ui, "Look");
        line(ui, |ui| {
            choices(
                ui,
                &mut config.look,
                &[Look::Dark, Look::Light],
                |look| match look {
                    Look::Dark => "dark",
                    Look::Light => "light",
                },
            );
        });
        name(ui, "Size of all");
        line(ui, |ui| scale(ui, &mut config.scale));
        name(ui, "Picture's scaling");
        line(ui, |ui| {
            choices(ui, &mut config.scaling, &Scaling::ALL, |scaling| {
                scaling.label()
            });
        });
        name(ui, "Numbers");
        line(ui, |ui| {
            ui.checkbox(&mut config.hud, "over the picture");
        });
    });
}

/// Tenths to add or to take: a slider would move away under the pointer.
fn scale(ui: &mut Ui, scale: &mut f32) {
    let (least, most) = SCALES;
    let step = |ui: &mut Ui, scale: &mut f32, sign: &str, by: f32, enabled: bool| {
        let button = ui.add_enabled(enabled, egui::Button::new(sign).min_size(vec2(30.0, 24.0)));
        named(&button, if by > 0.0 { "larger" } else { "smaller" });
        if button.clicked() {
            *scale = ((*scale + by) * 10.0).round() / 10.0;
        }
    };
    step(ui, scale, "−", -0.1, *scale > least);
    ui.label(format!("{:.0} %", 100.0 * *scale));
    step(ui, scale, "+", 0.1, *scale < most);
    if *scale != 1.0 && back(ui).on_hover_text("Back to the default.").clicked() {
        *scale = 1.0;
    }
    *scale = scale.clamp(least, most);
}

fn mouse(ui: &mut Ui, config: &mut Config) {
    section(ui, "Mouse");
    let (least, most) = SENSITIVITIES;
    grid(ui, "mouse", |ui| {
        let name = name(ui, "Sensitivity");
        line(ui, |ui| {
            let slider = egui::Slider::new(&mut config.mouse.sensitivity, least..=most);
            ui.add(slider.logarithmic(true).max_decimals(2))
                .labelled_by(name);
        });
    });
}

/// Keys that are held together and a button that removes them; whether it was clicked.
fn removable(ui: &mut Ui, action: &str, chord: &Chord) -> bool {
    for key in chord {
        keycap(ui, *key, false);
    }
    let remove = ui.small_button("×");
    named(
        &remove,
        &format!("remove {} from {action}", chord_name(chord)),
    );
    ui.add_space(4.0);
    remove.on_hover_text("Remove this key.").clicked()
}

fn undo(ui: &mut Ui, whose: &str) -> bool {
    let undo = back(ui);
    named(&undo, &format!("back to the own keys of {whose}"));
    undo.on_hover_text("Back to its own.").clicked()
}

/// Gives a button the name by which those know it who do not see it.
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
    ui.label(RichText::new(text).color(theme::muted())).id
}

/// What is set, beside its name.
fn line(ui: &mut Ui, content: impl FnOnce(&mut Ui)) {
    let size = vec2(ui.available_width().clamp(150.0, 260.0), 24.0);
    ui.allocate_ui_with_layout(size, Layout::left_to_right(Align::Center), content);
    ui.end_row();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::world;

    fn asked(capture: Capture) -> Preferences {
        Preferences {
            capture: Some(capture),
            ..Preferences::default()
        }
    }

    fn actions() -> Vec<ActionSpec> {
        world(&[("noop", &[]), ("up", &["W"]), ("down", &["S"])]).actions
    }

    #[test]
    fn the_next_key_is_bound_and_kept_under_the_worlds_name() {
        let mut config = Config::default();
        let mut page = asked(Capture::Action("up".into()));
        page.take(Key::ControlLeft, &mut config, "Test", &actions());
        assert!(page.captures());
        page.take(Key::Tab, &mut config, "Test", &actions());
        assert!(!page.captures());
        assert_eq!(config.keys["Test"]["up"], ["W", "Tab"]);
    }

    #[test]
    fn escape_binds_nothing() {
        let mut config = Config::default();
        let mut page = asked(Capture::Action("up".into()));
        page.take(Key::Escape, &mut config, "Test", &actions());
        assert!(!page.captures());
        assert_eq!(config, Config::default());
    }

    #[test]
    fn a_key_of_another_action_is_not_taken_and_the_page_says_why() {
        let mut config = Config::default();
        let mut page = asked(Capture::Action("up".into()));
        page.take(Key::S, &mut config, "Test", &actions());
        assert!(page.word.unwrap().contains("S plays down"));
        assert_eq!(config, Config::default());
    }

    #[test]
    fn a_pads_button_gets_any_key() {
        let mut config = Config::default();
        let mut page = asked(Capture::Button(Button::North));
        page.take(Key::H, &mut config, "Test", &actions());
        assert_eq!(config.gamepad.buttons["north"], "H");
    }
}
