//! Where the cards of the worlds lie.

use eframe::egui::{Rect, RichText, Sense, Ui, Vec2, vec2};

use crate::app::theme;

/// Smallest size of a card and the gap between cards, in points.
pub(super) const CARD: Vec2 = vec2(216.0, 300.0);
pub(super) const GAP: f32 = 14.0;
/// Height of a picture by its width.
pub(super) const PICTURE: f32 = 0.72;
/// How much wider cards get where there is room.
pub(super) const MAX_WIDENING: f32 = 1.9;

/// Where cards lie: as many beside each other as fit, and as wide as there is room for.
pub(super) struct CardGrid {
    pub columns: usize,
    pub card: Vec2,
}

impl CardGrid {
    /// A grid for shelves of up to `longest` cards that are `smallest` or larger, where one is seen whole in `space`.
    pub fn new(space: Vec2, longest: usize, smallest: Vec2) -> Self {
        let fit = ((space.x - GAP) / (smallest.x + GAP)).floor().max(1.0) as usize;
        let columns = fit.min(longest.max(1));
        let room = (space.x - GAP) / columns as f32 - GAP;
        let seen = smallest.x + (space.y - smallest.y) / PICTURE;
        let wide = room.min(seen).clamp(smallest.x, smallest.x * MAX_WIDENING);
        let taller = (wide - smallest.x) * PICTURE;
        Self {
            columns,
            card: vec2(wide, smallest.y + taller),
        }
    }

    /// Allocates space for a heading and cards; returns the cards' rectangles.
    pub fn layout(&self, ui: &mut Ui, headline: &str, cards: usize) -> Vec<Rect> {
        let (columns, step) = (self.columns, self.card + vec2(GAP, GAP));
        let wide = columns as f32 * step.x - GAP;
        let aside = ((ui.available_width() - wide) / 2.0).max(0.0);
        ui.horizontal(|ui| {
            ui.add_space(aside);
            let text = RichText::new(headline).strong().size(15.0);
            ui.label(text.color(theme::palette(ui).text));
        });
        let rows = cards.div_ceil(columns);
        let size = vec2(aside + wide, rows as f32 * step.y);
        let (space, _) = ui.allocate_exact_size(size, Sense::hover());
        let rect = |i: usize| {
            let at = vec2((i % columns) as f32, (i / columns) as f32) * step;
            Rect::from_min_size(space.min + vec2(aside, 0.0) + at, self.card)
        };
        (0..cards).map(rect).collect()
    }
}
