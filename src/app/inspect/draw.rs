//! Drawing helpers of the panel.

use eframe::egui;
use eframe::egui::{
    Color32, ColorImage, Rect, Response, RichText, Sense, Stroke, StrokeKind, TextureHandle,
    TextureOptions, Ui, WidgetInfo, pos2, vec2,
};

use driftless_sim::Inspection;

use super::images::cell_rect;
use crate::app::theme;

/// Maximum side of the small frame, and height of the other parts below their titles, in points.
pub(super) const PICTURE: f32 = 128.0;
/// Space between rows.
pub(super) const GAP: f32 = 4.0;
/// Height of a legend.
pub(super) const LEGEND: f32 = 18.0;

/// A texture that is reused from frame to frame.
#[derive(Default)]
pub(super) struct CachedTexture(Option<TextureHandle>);

impl CachedTexture {
    pub fn put(&mut self, context: &egui::Context, name: &str, image: Option<ColorImage>) {
        match (&mut self.0, image) {
            (Some(texture), Some(image)) => texture.set(image, TextureOptions::NEAREST),
            (slot, image) => {
                *slot =
                    image.map(|image| context.load_texture(name, image, TextureOptions::NEAREST));
            }
        }
    }

    #[cfg(test)]
    pub fn id(&self) -> Option<egui::TextureId> {
        self.0.as_ref().map(TextureHandle::id)
    }

    /// Draws the rows in `part`, as fractions of the height, into `rect`.
    pub fn paint(&self, ui: &Ui, rect: Rect, part: std::ops::Range<f32>) {
        if let Some(texture) = &self.0 {
            let from = Rect::from_min_max(pos2(0.0, part.start), pos2(1.0, part.end));
            ui.painter().image(texture.id(), rect, from, Color32::WHITE);
        }
    }
}

/// Outlines a patch and, with a thinner line, its token.
pub(super) fn outline(ui: &Ui, picture: Rect, inspection: &Inspection, cell: usize) {
    let token = Color32::from_white_alpha(150);
    let lines = [(inspection.merge, 1.0, token), (1, 2.0, Color32::WHITE)];
    for (merge, width, colour) in lines {
        let rect = cell_rect(picture, inspection.grid, cell, merge);
        // A light line on a dark one is visible on any picture.
        let around = Stroke::new(width + 2.0, Color32::from_black_alpha(120));
        for stroke in [around, Stroke::new(width, colour)] {
            ui.painter()
                .rect_stroke(rect, 1, stroke, StrokeKind::Middle);
        }
    }
}

/// A part's title.
pub(super) fn title(ui: &mut Ui, text: &str) {
    let text = RichText::new(text).color(theme::palette(ui).muted);
    // Where the window is too narrow, the panel scrolls.
    ui.add(egui::Label::new(text).extend());
}

/// Draws small text.
pub(super) fn write(ui: &Ui, at: egui::Pos2, anchor: egui::Align2, text: &str) {
    let font = egui::FontId::proportional(11.0);
    ui.painter()
        .text(at, anchor, text, font, theme::palette(ui).muted);
}

/// A colour bar with labelled ends.
pub(super) fn legend(ui: &mut Ui, [low, high]: [String; 2], colour: impl Fn(f32) -> Color32) {
    const STEPS: usize = 24;
    let (rect, _) = ui.allocate_exact_size(vec2(150.0, 12.0), Sense::hover());
    let strip = Rect::from_center_size(rect.center(), vec2(74.0, 6.0));
    for i in 0..STEPS {
        let step = strip.width() / STEPS as f32;
        let left = strip.left() + step * i as f32;
        let part = Rect::from_min_size(pos2(left, strip.top()), vec2(step + 0.5, strip.height()));
        let fraction = i as f32 / (STEPS - 1) as f32;
        ui.painter().rect_filled(part, 0, colour(fraction));
    }
    write(
        ui,
        strip.left_center() - vec2(5.0, 0.0),
        egui::Align2::RIGHT_CENTER,
        &low,
    );
    write(
        ui,
        strip.right_center() + vec2(5.0, 0.0),
        egui::Align2::LEFT_CENTER,
        &high,
    );
}

/// Sets the accessible name of something drawn.
pub(super) fn name(response: &Response, text: &str) {
    response.widget_info(|| WidgetInfo::labeled(egui::Role::Image, true, text));
}
