//! What the agent thinks while it plays: the probability of each action, and the return that it expects.

use std::ops::RangeInclusive;

use eframe::egui;
use eframe::egui::{Align2, CornerRadius, FontId, Rect, Ui, pos2, vec2};

use driftless_agent::Decision;
use driftless_data::ActionSpec;

use super::theme;
use super::widgets::over_picture;

/// Actions that are shown; of more, the likeliest.
const ROWS: RangeInclusive<usize> = 3..=10;
/// How much of the height the actions may cover, so that the picture stays in view.
const COVERED: f32 = 0.2;
/// Width of the overlay's content and height of a row, in points.
const SIZE: [f32; 2] = [226.0, 16.0];
/// Where the bars begin, and their length at a probability of 1.
const BAR: [f32; 2] = [112.0, 74.0];

/// Draws the overlay in the lower left of `space`.
pub(super) fn show(ui: &Ui, space: Rect, decision: &Decision, actions: &[ActionSpec]) {
    let rows = (COVERED * space.height() / SIZE[1]) as usize;
    let rows = shown(decision, rows.clamp(*ROWS.start(), *ROWS.end()));
    let at = space.left_bottom() + vec2(12.0, -12.0);
    over_picture(ui, "agent", at, Align2::LEFT_BOTTOM, |ui| {
        draw(ui, decision, actions, &rows);
    });
}

/// The `most` actions that are shown, by their numbers and in their order.
fn shown(decision: &Decision, most: usize) -> Vec<usize> {
    let mut all: Vec<usize> = (0..decision.probabilities.len()).collect();
    let p = |i: &usize| decision.probabilities[*i];
    all.sort_by(|a, b| p(b).total_cmp(&p(a)));
    all.truncate(most);
    all.sort_unstable();
    all
}

fn draw(ui: &mut Ui, decision: &Decision, actions: &[ActionSpec], rows: &[usize]) {
    let [width, height] = SIZE;
    let size = vec2(width, height * (rows.len() + 1) as f32);
    let (rect, _) = ui.allocate_exact_size(size, egui::Sense::hover());
    let palette = theme::palette(ui);
    let font = FontId::monospace(11.5);
    let text = |y, align: Align2, text: String, colour| {
        let x = if align == Align2::LEFT_CENTER {
            rect.left()
        } else {
            rect.right()
        };
        ui.painter()
            .text(pos2(x, y), align, text, font.clone(), colour);
    };
    let y = rect.top() + height / 2.0;
    text(
        y,
        Align2::LEFT_CENTER,
        "Expected return".to_owned(),
        palette.muted,
    );
    text(
        y,
        Align2::RIGHT_CENTER,
        format!("{:.2}", decision.value),
        palette.text,
    );
    for (row, &i) in rows.iter().enumerate() {
        let y = rect.top() + height * (row as f32 + 1.5);
        let (taken, p) = (decision.action as usize == i, decision.probabilities[i]);
        let colour = if taken { palette.accent } else { palette.muted };
        let name = actions
            .get(i)
            .map_or_else(|| i.to_string(), |action| action.name.clone());
        let name: String = name.chars().take(15).collect();
        text(y, Align2::LEFT_CENTER, name, colour);
        let [start, length] = BAR;
        let left = rect.left() + start;
        let bar = Rect::from_x_y_ranges(left..=left + length * p, y - 4.0..=y + 4.0);
        ui.painter().rect_filled(bar, CornerRadius::same(2), colour);
        text(
            y,
            Align2::RIGHT_CENTER,
            format!("{:.0} %", 100.0 * p),
            colour,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likeliest_actions_are_shown_in_order() {
        let decision = Decision {
            action: 3,
            probabilities: (0..14)
                .map(|i| if i % 3 == 1 { 0.0 } else { 0.1 })
                .collect(),
            value: 0.0,
        };
        let rows = shown(&decision, 9);
        assert_eq!(rows.len(), 9);
        assert!(rows.is_sorted() && !rows.contains(&4), "{rows:?}");
    }
}
