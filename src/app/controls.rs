//! The control bar below the picture: buttons, and the world's keys, lit while held.

use eframe::egui;
use eframe::egui::{
    Align, Color32, Key, Layout, Rect, RichText, Sense, Stroke, StrokeKind, Ui, Vec2, vec2,
};

use super::keys::{BoundAction, HeldKeys, KeyMap, Shortcut};
use super::theme;
use super::widgets::{chords, reset_arrow};

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

/// Drawn rather than taken from a font, so that they look the same everywhere.
#[derive(Clone, Copy)]
enum Icon {
    Pause,
    Play,
    Step,
    Reset,
    Next,
    Numbers,
    Strip,
    Lens,
    Sliders,
    Cards,
    Plus,
    Line,
    Halves,
    Curve,
}

impl Icon {
    fn paint(self, ui: &Ui, rect: Rect, colour: Color32) {
        let painter = ui.painter();
        let c = rect.center();
        let block = |x: f32, y: f32, width: f32, height: f32| {
            let rect = Rect::from_center_size(c + vec2(x, y), vec2(width, height));
            painter.rect_filled(rect, 1, colour);
        };
        let triangle = |x: f32, half: f32| {
            let points = [(-half, -half), (half, 0.0), (-half, half)];
            let points = points.map(|(dx, dy)| c + vec2(x + dx, dy));
            painter.add(egui::Shape::convex_polygon(
                points.into(),
                colour,
                Stroke::NONE,
            ));
        };
        match self {
            Self::Pause => {
                block(-3.0, 0.0, 3.0, 11.0);
                block(3.0, 0.0, 3.0, 11.0);
            }
            Self::Play => triangle(0.5, 5.5),
            Self::Step => {
                block(-5.0, 0.0, 2.5, 11.0);
                triangle(2.5, 5.0);
            }
            Self::Next => {
                triangle(-4.0, 4.5);
                triangle(3.0, 4.5);
                block(7.5, 0.0, 2.0, 9.0);
            }
            Self::Reset => reset_arrow(painter, c, 5.5, colour),
            Self::Numbers => {
                for (y, width) in [(-5.0, 12.0), (0.0, 8.0), (5.0, 10.0)] {
                    block((width - 12.0) / 2.0, y, width, 2.0);
                }
            }
            Self::Strip => {
                for (x, side) in [(-6.5, 5.0), (0.0, 5.0), (6.5, 5.0)] {
                    let square = Rect::from_center_size(c + vec2(x, 0.0), Vec2::splat(side));
                    let line = Stroke::new(1.3, colour);
                    painter.rect_stroke(square, 1, line, StrokeKind::Middle);
                }
            }
            Self::Line => {
                block(0.0, 3.0, 15.0, 2.0);
                for x in [-6.0, 0.0, 6.0] {
                    block(x, -2.0, 3.5, 5.0);
                }
            }
            Self::Halves => {
                let outline = Rect::from_center_size(c, vec2(15.0, 12.0));
                let line = Stroke::new(1.3, colour);
                painter.rect_stroke(outline, 1, line, StrokeKind::Middle);
                block(3.75, 0.0, 7.5, 12.0);
            }
            Self::Curve => {
                let points = [(-7.0, 4.0), (-3.0, -1.0), (1.0, 2.0), (7.0, -5.0)];
                let points = points.map(|(x, y)| c + vec2(x, y)).into();
                painter.add(egui::Shape::line(points, Stroke::new(1.6, colour)));
            }
            Self::Lens => {
                let line = Stroke::new(1.6, colour);
                painter.circle_stroke(c - vec2(1.5, 1.5), 4.5, line);
                painter.line_segment([c + vec2(2.0, 2.0), c + vec2(6.5, 6.5)], line);
            }
            Self::Cards => {
                for (x, y) in [(-3.5, -3.5), (3.5, -3.5), (-3.5, 3.5), (3.5, 3.5)] {
                    block(x, y, 5.0, 5.0);
                }
            }
            Self::Plus => {
                block(0.0, 0.0, 12.0, 2.5);
                block(0.0, 0.0, 2.5, 12.0);
            }
            Self::Sliders => {
                for (y, knob) in [(-5.0, -2.0), (0.0, 3.0), (5.0, -1.0)] {
                    block(0.0, y, 13.0, 1.5);
                    painter.circle_filled(c + vec2(knob, y), 2.5, colour);
                }
            }
        }
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
