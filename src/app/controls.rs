//! The control bar below the picture: buttons, and the world's keys, lit while held.

mod icons;

use eframe::egui;
use eframe::egui::{Align, Layout, RichText, ScrollArea, Sense, StrokeKind, Ui, vec2};

use self::icons::Icon;
use super::keys::{BoundAction, HeldKeys, KeyMap, Shortcut};
use super::text::readable;
use super::widgets::chords;
use super::{menu, theme};

/// The bar's content.
pub(super) struct ControlBar<'a> {
    pub keys: &'a KeyMap,
    pub held: &'a HeldKeys,
    pub paused: bool,
    /// Whether the world plays itself.
    pub autoplay: bool,
    /// Whether the instruments have buttons.
    pub lab: bool,
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
const GAPS: f32 = 30.0;
const KEY: f32 = 32.0;
const LETTER: f32 = 6.2;
/// Width around an action's name.
const NAME_MARGIN: f32 = 14.0;
/// Width of the button that lists the keys, and of the lab's.
const KEYS_BUTTON: f32 = 64.0;
const LAB_BUTTON: f32 = 48.0;

/// What a bar has room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Plan {
    /// The world's keys with their names; else a button that lists them.
    keys: bool,
    /// The instruments' buttons; else only the menu has them.
    instruments: bool,
}

impl ControlBar<'_> {
    /// Draws the bar and returns the shortcut that was chosen.
    pub fn ui(&self, ui: &mut Ui) -> Option<Shortcut> {
        let plan = self.plan(ui.available_width());
        let mut chosen = None;
        ui.horizontal_centered(|ui| {
            ui.spacing_mut().item_spacing.x = 6.0;
            chosen = menu::ui(ui, self.keys, |shortcut| self.is_on(shortcut));
            let pause = if self.paused { Icon::Play } else { Icon::Pause };
            let left = [
                (pause, Shortcut::Pause),
                (Icon::Step, Shortcut::Step),
                (Icon::Reset, Shortcut::Reset),
                (Icon::Next, Shortcut::NextScene),
            ];
            let right = [
                (Icon::Plus, Shortcut::NewWorld),
                (Icon::Cards, Shortcut::Worlds),
                (Icon::Sliders, Shortcut::Tuning),
                (Icon::Lens, Shortcut::Inspect),
                (Icon::Strip, Shortcut::Denoising),
                (Icon::Numbers, Shortcut::Overlay),
                (Icon::Curve, Shortcut::Plots),
                (Icon::Halves, Shortcut::Compare),
                (Icon::Line, Shortcut::Timeline),
            ];
            let is_shown = |shortcut: Shortcut| plan.instruments || !shortcut.is_instrument();
            for (icon, shortcut) in left.into_iter().filter(|(_, s)| is_shown(*s)) {
                if self.button(ui, icon, shortcut, self.running) {
                    chosen = Some(shortcut);
                }
            }
            ui.add_space(14.0);
            if plan.keys {
                self.named_keys(ui);
            } else {
                self.key_list(ui);
            }
            ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
                if self.lab_button(ui) {
                    chosen = Some(Shortcut::Lab);
                }
                for (icon, shortcut) in right.into_iter().filter(|(_, s)| is_shown(*s)) {
                    let known = self.keys.shortcuts().contains(&shortcut);
                    if known && self.button(ui, icon, shortcut, true) {
                        chosen = Some(shortcut);
                    }
                }
            });
        });
        chosen
    }

    /// Whether something is on, for the shortcuts that turn something on.
    fn is_on(&self, shortcut: Shortcut) -> bool {
        match shortcut {
            Shortcut::Pause => self.paused,
            Shortcut::Autoplay => self.autoplay,
            Shortcut::NewWorld => self.training,
            Shortcut::Tuning => self.tuning,
            Shortcut::Inspect => self.inspect,
            Shortcut::Denoising => self.denoising,
            Shortcut::Overlay => self.hud,
            Shortcut::Plots => self.plots,
            Shortcut::Compare => self.comparing,
            Shortcut::Timeline => self.timeline,
            Shortcut::Lab => self.lab,
            _ => false,
        }
    }

    /// The world's keys and what they do, lit while held.
    fn named_keys(&self, ui: &mut Ui) {
        let chosen = self.held.active_chord(self.keys);
        for bound in self.keys.listed_actions() {
            chords(ui, bound, self.held);
            let lit = chosen.is_some_and(|(_, played)| {
                let mut chords = bound.chords.iter();
                chords.any(|chord| chord.iter().all(|key| played.contains(key)))
            });
            let palette = theme::palette(ui);
            let colour = if lit { palette.accent } else { palette.muted };
            ui.label(RichText::new(readable(&bound.name)).color(colour));
            ui.add_space(8.0);
        }
        for axis in self.keys.listed_axes() {
            chords(ui, axis, self.held);
            let muted = theme::palette(ui).muted;
            ui.label(RichText::new(readable(&axis.name)).color(muted));
            ui.add_space(8.0);
        }
    }

    /// A button that lists the world's keys, where the bar has no room for them.
    fn key_list(&self, ui: &mut Ui) {
        let menu = ui.menu_button("Keys", |ui| {
            ui.spacing_mut().item_spacing.y = 4.0;
            let tallest = ui.content_rect().height() - 90.0;
            ScrollArea::vertical().max_height(tallest).show(ui, |ui| {
                for bound in self.keys.listed_actions().chain(self.keys.listed_axes()) {
                    ui.horizontal(|ui| {
                        chords(ui, bound, self.held);
                        ui.label(readable(&bound.name));
                    });
                }
            });
        });
        menu.response.on_hover_text("The keys of this world.");
    }

    fn lab_button(&self, ui: &mut Ui) -> bool {
        let button = egui::Button::selectable(self.lab, "Lab").frame_when_inactive(true);
        let response = ui.add(button);
        let hint = format!(
            "{}  ({})",
            Shortcut::Lab.hint(),
            self.keys.shortcut_text(Shortcut::Lab)
        );
        response.on_hover_text(hint).clicked()
    }

    /// What a bar of this width has room for.
    fn plan(&self, width: f32) -> Plan {
        let keys = |bound: &BoundAction| bound.chords.iter().map(Vec::len).sum::<usize>() as f32;
        let letters = |bound: &BoundAction| bound.name.chars().count() as f32;
        let actions = self.keys.listed_actions().chain(self.keys.listed_axes());
        let named: f32 = actions
            .map(|bound| KEY * keys(bound) + LETTER * letters(bound) + NAME_MARGIN)
            .sum();
        let buttons = |instruments: bool| {
            let all = self.keys.shortcuts().iter();
            let icons = all.filter(|s| s.has_button() && **s != Shortcut::Lab);
            let shown = icons.filter(|s| instruments || !s.is_instrument()).count();
            // The menu is one more.
            GAPS + LAB_BUTTON + BUTTON * (shown + 1) as f32
        };
        let instruments = self.lab && width >= buttons(true) + KEYS_BUTTON;
        Plan {
            keys: width >= buttons(instruments) + named,
            instruments,
        }
    }

    fn button(&self, ui: &mut Ui, icon: Icon, shortcut: Shortcut, enabled: bool) -> bool {
        let refused = self.keys.why_not(shortcut);
        let enabled = enabled && refused.is_none();
        let lit = self.is_on(shortcut);
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
        if lit && enabled {
            // A bar, for whoever does not see the colour.
            let bar = rect.shrink2(vec2(7.0, 0.0)).with_min_y(rect.bottom() - 4.0);
            let bar = bar.with_max_y(rect.bottom() - 1.5);
            ui.painter().rect_filled(bar, 1, colour);
        }
        let keys = self.keys.shortcut_text(shortcut);
        let name = if shortcut == Shortcut::Pause && self.paused {
            "Resume"
        } else {
            shortcut.label()
        };
        let hint = match refused {
            Some(why) => format!("{name}: {why}"),
            None if keys.is_empty() => name.to_owned(),
            None => format!("{name}  ({keys})"),
        };
        response.on_hover_text(hint).clicked()
    }
}

#[cfg(test)]
mod tests {
    use driftless_worlds::SimulatorKind;
    use egui_kittest::kittest::Queryable as _;

    use super::*;

    fn bar<'a>(keys: &'a KeyMap, held: &'a HeldKeys, lab: bool) -> ControlBar<'a> {
        ControlBar {
            keys,
            held,
            paused: false,
            autoplay: false,
            lab,
            hud: true,
            denoising: false,
            inspect: false,
            tuning: true,
            timeline: false,
            comparing: false,
            plots: false,
            training: false,
            running: true,
        }
    }

    #[test]
    fn narrow_bar_lists_keys_then_drops_instruments() {
        let keys = KeyMap::new(&SimulatorKind::Maze.open(0).info().actions).unwrap();
        let held = HeldKeys::default();
        let plan = |lab, width| {
            let Plan { keys, instruments } = bar(&keys, &held, lab).plan(width);
            (keys, instruments)
        };
        let lab = [1500.0, 900.0, 376.0].map(|width| plan(true, width));
        assert_eq!(lab, [(true, true), (false, true), (false, false)]);
        let game = [1500.0, 900.0, 376.0].map(|width| plan(false, width));
        assert_eq!(game, [(true, false), (false, false), (false, false)]);
    }

    #[test]
    fn keys_have_names_at_every_width() {
        let keys = KeyMap::new(&SimulatorKind::Maze.open(0).info().actions).unwrap();
        let held = HeldKeys::default();
        for width in [400.0, 640.0, 1400.0] {
            let mut harness = egui_kittest::Harness::builder()
                .with_size(vec2(width, 300.0))
                .build_ui(|ui| {
                    bar(&keys, &held, true).ui(ui);
                });
            if let Some(list) = harness.query_by_label("Keys") {
                list.click();
                harness.run();
            }
            for bound in keys.listed_actions() {
                harness.get_by_label(&readable(&bound.name));
            }
        }
    }
}
