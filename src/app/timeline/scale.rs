//! Where frames lie on the strip, and the marks of those that are selected.

use eframe::egui;
use eframe::egui::{Rect, Stroke, pos2};

use crate::app::theme::Palette;

/// What a drag on the strip moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grab {
    Playhead,
    RangeStart,
    RangeEnd,
}

/// Maps frame indices to points across the panel.
pub(super) struct FrameScale {
    pub strip: Rect,
    pub first: usize,
    pub end: usize,
}

impl FrameScale {
    pub(super) fn frames(&self) -> f32 {
        (self.end - self.first).max(2) as f32 - 1.0
    }

    /// Where a frame lies; outside the strip if it is not among those shown.
    pub(super) fn x(&self, index: usize) -> f32 {
        let room = self.strip.width() - 8.0;
        let fraction = (index as f32 - self.first as f32) / self.frames();
        self.strip.left() + 2.0 + room * fraction
    }

    pub(super) fn index(&self, x: f32) -> usize {
        let room = self.strip.width() - 8.0;
        let fraction = ((x - self.strip.left() - 2.0) / room).clamp(0.0, 1.0);
        self.first + (fraction * self.frames()).round() as usize
    }
}

/// Draws the selected frames: what lies outside is dimmed, and both ends have handles.
pub(super) fn range_marks(
    painter: &egui::Painter,
    palette: &Palette,
    scale: &FrameScale,
    start: usize,
    end: usize,
) {
    let (left, right) = (scale.x(start), scale.x(end));
    let strip = scale.strip;
    painter.rect_filled(strip.with_max_x(left), 0, palette.veil);
    painter.rect_filled(strip.with_min_x(right), 0, palette.veil);
    for x in [left, right] {
        painter.vline(x, strip.y_range(), Stroke::new(3.0, palette.warm));
        painter.circle_filled(pos2(x, strip.center().y), 6.0, palette.warm);
    }
}
