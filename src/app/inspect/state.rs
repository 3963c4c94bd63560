//! The delta states: a bar for the norm of each head.

use eframe::egui::{Align2, Rect, Sense, Ui, pos2, vec2};

use super::draw::{GAP, LEGEND, PICTURE, name, title, write};
use crate::app::theme;

/// Width of a bar, with the space after it.
const BAR: f32 = 14.0;

/// Draws the norms, a row for each layer.
pub(super) fn ui(ui: &mut Ui, norms: &[Vec<f32>]) {
    title(ui, "Memory: state norms");
    let heads = norms.iter().map(Vec::len).max().unwrap_or(0);
    let width = (heads as f32 * BAR).max(120.0);
    let height = PICTURE / norms.len().max(1) as f32;
    let largest = norms.iter().flatten().fold(1e-6f32, |a, b| a.max(*b));
    let palette = theme::palette(ui);
    for (layer, norms) in norms.iter().enumerate() {
        let (rect, response) = ui.allocate_exact_size(vec2(width, height - GAP), Sense::hover());
        let bars = Rect::from_min_max(rect.min, rect.max - vec2(0.0, LEGEND));
        for (head, norm) in norms.iter().enumerate() {
            let left = bars.left() + head as f32 * BAR;
            let top = bars.bottom() - bars.height() * (norm / largest).clamp(0.0, 1.0);
            let bar = Rect::from_min_max(pos2(left, top), pos2(left + BAR - 4.0, bars.bottom()));
            ui.painter().rect_filled(bar, 1, palette.accent);
        }
        let mean = norms.iter().sum::<f32>() / norms.len().max(1) as f32;
        let text = format!("state {}: {mean:.2}", layer + 1);
        write(
            ui,
            bars.left_bottom() + vec2(0.0, 2.0),
            Align2::LEFT_TOP,
            &text,
        );
        let each: Vec<String> = norms.iter().map(|norm| format!("{norm:.2}")).collect();
        let text = format!("State {}, norm per head: {}", layer + 1, each.join(", "));
        name(&response, &text);
        response.on_hover_text(text);
    }
}
