//! What was done in an episode and what came of it, over its frames: a row of actions, rewards above it, and
//! the selection. A click or a drag shows a frame.

use std::collections::BTreeSet;

use eframe::egui::{Color32, Rect, RichText, Sense, Stroke, StrokeKind, Ui, WidgetInfo, vec2};
use eframe::egui::{Rangef, Role, ecolor::Hsva};

use driftless_data::ActionSpec;

use super::view::Shown;
use crate::app::theme;

/// Heights of the rewards and of the actions, in points.
const REWARDS: f32 = 26.0;
const ACTIONS: f32 = 22.0;

/// Draws the tracks.
pub(super) fn ui(ui: &mut Ui, shown: &mut Shown, actions: &[ActionSpec]) {
    let palette = theme::palette(ui);
    let frames = shown.episode.frames();
    let width = ui.available_width();
    let (area, response) =
        ui.allocate_exact_size(vec2(width, REWARDS + ACTIONS), Sense::click_and_drag());
    let name = format!("Frame {} of {frames}", shown.frame);
    response.widget_info(|| WidgetInfo::labeled(Role::Slider, true, &name));
    let each = area.width() / frames as f32;
    if let Some(at) = response.interact_pointer_pos() {
        shown.stop_at(((at.x - area.left()) / each).max(0.0) as usize);
    }
    let painter = ui.painter_at(area.expand(2.0));
    let (above, below) = area.split_top_bottom_at_y(area.top() + REWARDS);
    painter.rect_filled(above, 3.0, palette.panel);
    let span = |from: usize, to: usize, rows: Rect| {
        let x = Rangef::new(
            area.left() + from as f32 * each,
            area.left() + to as f32 * each,
        );
        Rect::from_x_y_ranges(x, rows.y_range())
    };
    let mut start = 0;
    for run in shown.episode.actions.chunk_by(|a, b| a == b) {
        let end = start + run.len();
        painter.rect_filled(span(start, end, below), 0.0, colour(run[0] as usize, ui));
        start = end;
    }
    let rewards = &shown.episode.rewards;
    let most = rewards.iter().fold(0.0_f32, |most, r| most.max(r.abs()));
    for (t, &reward) in rewards.iter().enumerate().filter(|(_, r)| **r != 0.0) {
        let height = reward.abs() / most * (REWARDS / 2.0 - 2.0);
        let middle = above.center().y;
        let y = if reward > 0.0 {
            Rangef::new(middle - height, middle)
        } else {
            Rangef::new(middle, middle + height)
        };
        let colour = if reward > 0.0 {
            palette.accent
        } else {
            palette.alert
        };
        // One frame of many would be too thin to see.
        let x = span(t, t + 1, above)
            .x_range()
            .expand((1.0 - each / 2.0).max(0.0));
        painter.rect_filled(Rect::from_x_y_ranges(x, y), 0.0, colour);
    }
    if let Some(range) = &shown.selected {
        let selected = span(range.start, range.end, area);
        let stroke = Stroke::new(2.0, palette.accent);
        painter.rect_stroke(selected, 2.0, stroke, StrokeKind::Inside);
    }
    let here = span(shown.frame, shown.frame + 1, area).center().x;
    painter.vline(here, area.y_range(), Stroke::new(2.0, palette.text));
    legend(ui, shown, actions);
}

/// The colours of the actions that occur, with their names.
fn legend(ui: &mut Ui, shown: &Shown, actions: &[ActionSpec]) {
    let palette = theme::palette(ui);
    let used: BTreeSet<u32> = shown.episode.actions.iter().copied().collect();
    ui.horizontal_wrapped(|ui| {
        for action in used {
            let (patch, _) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
            ui.painter()
                .rect_filled(patch, 2.0, colour(action as usize, ui));
            let name = actions
                .get(action as usize)
                .map_or("?", |action| &action.name);
            ui.label(RichText::new(name).small().color(palette.muted));
        }
    });
}

/// The colour of an action; the idle one is that of a raised control.
fn colour(action: usize, ui: &Ui) -> Color32 {
    if action == 0 {
        return theme::palette(ui).raised;
    }
    // Steps of the golden section keep neighbours apart.
    let hue = (action as f32 * 0.618_034).fract();
    let value = if ui.visuals().dark_mode { 0.55 } else { 0.4 };
    Hsva::new(hue, 0.8, value, 1.0).into()
}
