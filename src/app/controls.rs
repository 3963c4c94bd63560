//! The control bar below the picture: buttons, and the world's keys, lit while held.

mod icons;

use eframe::egui;
use eframe::egui::{Align, Key, Layout, RichText, Sense, StrokeKind, Ui, vec2};

use self::icons::Icon;
use super::keys::{BoundAction, HeldKeys, KeyMap, Shortcut};
use super::theme;
use super::widgets::chords;

/// The bar's content.
pub(super) struct ControlBar<'a> {
    pub keys: &'a KeyMap,
    pub held: &'a HeldKeys,
    pub paused: bool,
    pub hud: bool,
    pub denoising: bool,
    pub inspect: bool,
    pub tuning: bool,
    pub timeline: bool,
    pub comparing: bool,
    pub plots: bool,
    /// Whether training runs in the background.
    pub training: bool,
    /// Whether a world is running.
    pub running: bool,
}

/// Height of the bar's content, in points.
pub(super) const HEIGHT: f32 = 40.0;

/// Estimated widths in points: a button with its gap, all outer gaps, a key, a letter.
const BUTTON: f32 = 37.0;
const GAPS: f32 = 16.0;
const KEY: f32 = 32.0;
const LETTER: f32 = 6.2;
/// Width around an action's name.
const NAME_MARGIN: f32 = 14.0;

impl ControlBar<'_> {
    /// Draws the bar and returns the shortcut whose button was clicked.
    pub fn ui(&self, ui: &mut Ui) -> Option<Shortcut> {
        let mut clicked = None;
        let (keyed, named) = self.fits_keys_and_names(ui.available_width());
        let chosen = self.held.active_chord(self.keys);
        ui.horizontal_centered(|ui| {
            ui.spacing_mut().item_spacing.x = 6.0;
            let pause = if self.paused { Icon::Play } else { Icon::Pause };
            for (icon, shortcut) in [
                (pause, Shortcut::Pause),
                (Icon::Step, Shortcut::Step),
                (Icon::Reset, Shortcut::Reset),
                (Icon::Next, Shortcut::NextScene),
            ] {
                let lit = shortcut == Shortcut::Pause && self.paused;
                if self.button(ui, icon, shortcut, lit, self.running) {
                    clicked = Some(shortcut);
                }
            }
            ui.add_space(14.0);
            for bound in self.keys.listed_actions().filter(|_| keyed) {
                chords(ui, bound, self.held);
                if named {
                    let lit = chosen.is_some_and(|(_, played)| {
                        bound
                            .chords
                            .iter()
                            .any(|chord| chord.iter().all(|key| played.contains(key)))
                    });
                    let colour = if lit {
                        theme::palette(ui).accent
                    } else {
                        theme::palette(ui).muted
                    };
                    ui.label(RichText::new(&bound.name).color(colour));
                    ui.add_space(8.0);
                }
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                for (icon, shortcut, lit) in [
                    (Icon::Plus, Shortcut::NewWorld, self.training),
                    (Icon::Cards, Shortcut::Worlds, false),
                    (Icon::Sliders, Shortcut::Tuning, self.tuning),
                    (Icon::Lens, Shortcut::Inspect, self.inspect),
                    (Icon::Strip, Shortcut::Denoising, self.denoising),
                    (Icon::Numbers, Shortcut::Overlay, self.hud),
                    (Icon::Curve, Shortcut::Plots, self.plots),
                    (Icon::Halves, Shortcut::Compare, self.comparing),
                    (Icon::Line, Shortcut::Timeline, self.timeline),
                ] {
                    let known = self.keys.shortcuts().contains(&shortcut);
                    if known && self.button(ui, icon, shortcut, lit, true) {
                        clicked = Some(shortcut);
                    }
                }
            });
        });
        clicked
    }

    /// Whether a bar of this width has room for the actions' keys, and also for their names.
    fn fits_keys_and_names(&self, width: f32) -> (bool, bool) {
        let keys = |bound: &BoundAction| bound.chords.iter().map(Vec::len).sum::<usize>() as f32;
        let letters = |bound: &BoundAction| bound.name.chars().count() as f32;
        let all: f32 = self
            .keys
            .listed_actions()
            .map(|bound| KEY * keys(bound))
            .sum();
        let names = self
            .keys
            .listed_actions()
            .map(|bound| LETTER * letters(bound) + NAME_MARGIN);
        let shortcuts = self.keys.shortcuts().iter();
        let buttons = shortcuts.filter(|shortcut| shortcut.has_button()).count();
        let room = width - GAPS - BUTTON * buttons as f32;
        (room >= all, room >= all + names.sum::<f32>())
    }

    fn button(
        &self,
        ui: &mut Ui,
        icon: Icon,
        shortcut: Shortcut,
        lit: bool,
        enabled: bool,
    ) -> bool {
        let sense = if enabled {
            Sense::click()
        } else {
            Sense::hover()
        };
        let (rect, response) = ui.allocate_exact_size(vec2(31.0, 30.0), sense);
        response.widget_info(|| {
            egui::WidgetInfo::selected(egui::Role::Button, enabled, lit, shortcut.label())
        });
        let visuals = ui.style().interact(&response);
        let fill = if lit {
            theme::palette(ui).raised
        } else {
            visuals.weak_bg_fill
        };
        ui.painter()
            .rect(rect, 6, fill, visuals.bg_stroke, StrokeKind::Inside);
        let colour = match (enabled, lit) {
            (false, _) => theme::palette(ui).line,
            (true, true) => theme::palette(ui).accent,
            (true, false) => theme::palette(ui).text,
        };
        icon.paint(ui, rect, colour);
        let keys: Vec<_> = self
            .keys
            .shortcut_keys(shortcut)
            .map(Key::symbol_or_name)
            .collect();
        let name = if shortcut == Shortcut::Pause && self.paused {
            "Resume"
        } else {
            shortcut.label()
        };
        let hint = if keys.is_empty() {
            name.to_owned()
        } else {
            format!("{name}  ({})", keys.join(" or "))
        };
        response.on_hover_text(hint).clicked()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_worlds::SimulatorKind;

    #[test]
    fn narrow_bar_drops_names_then_keys() {
        let keys = KeyMap::new(&SimulatorKind::Maze.open(0).info().actions).unwrap();
        let bar = ControlBar {
            keys: &keys,
            held: &HeldKeys::default(),
            paused: false,
            hud: true,
            denoising: false,
            inspect: false,
            tuning: true,
            timeline: false,
            comparing: false,
            plots: false,
            training: false,
            running: true,
        };
        let room = [1226.0, 900.0, 576.0].map(|width| bar.fits_keys_and_names(width));
        assert_eq!(room, [(true, true), (true, false), (false, false)]);
    }
}
