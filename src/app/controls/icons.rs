//! The buttons' icons: drawn rather than taken from a font, so that they look the same everywhere.

use eframe::egui;
use eframe::egui::{Color32, Painter, Pos2, Rect, Stroke, StrokeKind, Ui, Vec2, vec2};

use crate::app::widgets::reset_arrow;

#[derive(Clone, Copy)]
pub(super) enum Icon {
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
    /// Draws the icon in the middle of `rect`.
    pub fn paint(self, ui: &Ui, rect: Rect, colour: Color32) {
        let pen = Pen {
            painter: ui.painter(),
            centre: rect.center(),
            colour,
        };
        match self {
            Self::Pause => pen.blocks([(-3.0, 0.0), (3.0, 0.0)], 3.0, 11.0),
            Self::Play => pen.triangle(0.5, 5.5),
            Self::Step => {
                pen.block(-5.0, 0.0, 2.5, 11.0);
                pen.triangle(2.5, 5.0);
            }
            Self::Next => {
                pen.triangle(-4.0, 4.5);
                pen.triangle(3.0, 4.5);
                pen.block(7.5, 0.0, 2.0, 9.0);
            }
            Self::Reset => reset_arrow(pen.painter, pen.centre, 5.5, colour),
            Self::Numbers => {
                for (y, width) in [(-5.0, 12.0), (0.0, 8.0), (5.0, 10.0)] {
                    pen.block((width - 12.0) / 2.0, y, width, 2.0);
                }
            }
            Self::Strip => [-6.5, 0.0, 6.5]
                .into_iter()
                .for_each(|x| pen.outline(x, 5.0, 5.0)),
            Self::Line => {
                pen.block(0.0, 3.0, 15.0, 2.0);
                pen.blocks([-6.0, 0.0, 6.0].map(|x| (x, -2.0)), 3.5, 5.0);
            }
            Self::Halves => {
                pen.outline(0.0, 15.0, 12.0);
                pen.block(3.75, 0.0, 7.5, 12.0);
            }
            Self::Curve => pen.line(&[(-7.0, 4.0), (-3.0, -1.0), (1.0, 2.0), (7.0, -5.0)]),
            Self::Lens => {
                pen.ring(-1.5, -1.5, 4.5);
                pen.line(&[(2.0, 2.0), (6.5, 6.5)]);
            }
            Self::Cards => {
                let corners = [(-3.5, -3.5), (3.5, -3.5), (-3.5, 3.5), (3.5, 3.5)];
                pen.blocks(corners, 5.0, 5.0);
            }
            Self::Plus => {
                pen.block(0.0, 0.0, 12.0, 2.5);
                pen.block(0.0, 0.0, 2.5, 12.0);
            }
            Self::Sliders => {
                for (y, knob) in [(-5.0, -2.0), (0.0, 3.0), (5.0, -1.0)] {
                    pen.block(0.0, y, 13.0, 1.5);
                    pen.dot(knob, y, 2.5);
                }
            }
        }
    }
}

/// Draws shapes around a centre, in points.
struct Pen<'a> {
    painter: &'a Painter,
    centre: Pos2,
    colour: Color32,
}

impl Pen<'_> {
    /// A filled rectangle around (x, y).
    fn block(&self, x: f32, y: f32, width: f32, height: f32) {
        let rect = Rect::from_center_size(self.at(x, y), vec2(width, height));
        self.painter.rect_filled(rect, 1, self.colour);
    }

    fn blocks<const N: usize>(&self, centres: [(f32, f32); N], width: f32, height: f32) {
        for (x, y) in centres {
            self.block(x, y, width, height);
        }
    }

    /// The outline of a rectangle around (x, 0).
    fn outline(&self, x: f32, width: f32, height: f32) {
        let rect = Rect::from_center_size(self.at(x, 0.0), Vec2::new(width, height));
        let stroke = Stroke::new(1.3, self.colour);
        self.painter
            .rect_stroke(rect, 1, stroke, StrokeKind::Middle);
    }

    /// A triangle that points to the right.
    fn triangle(&self, x: f32, half: f32) {
        let points = [(-half, -half), (half, 0.0), (-half, half)];
        let points = points.map(|(dx, dy)| self.at(x + dx, dy)).into();
        let shape = egui::Shape::convex_polygon(points, self.colour, Stroke::NONE);
        self.painter.add(shape);
    }

    fn line(&self, points: &[(f32, f32)]) {
        let points = points.iter().map(|&(x, y)| self.at(x, y)).collect();
        self.painter.add(egui::Shape::line(points, self.stroke()));
    }

    fn ring(&self, x: f32, y: f32, radius: f32) {
        self.painter
            .circle_stroke(self.at(x, y), radius, self.stroke());
    }

    fn dot(&self, x: f32, y: f32, radius: f32) {
        self.painter
            .circle_filled(self.at(x, y), radius, self.colour);
    }

    fn stroke(&self) -> Stroke {
        Stroke::new(1.6, self.colour)
    }

    fn at(&self, x: f32, y: f32) -> Pos2 {
        self.centre + vec2(x, y)
    }
}
