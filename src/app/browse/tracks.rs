//! What was done in an episode and what came of it, over its frames: a row of actions, rewards above it, lines of
//! the axes below, and the selection. A click or a drag shows a frame.

use std::collections::BTreeSet;

use eframe::egui::{
    Color32, Painter, Rect, RichText, Sense, Stroke, StrokeKind, Ui, WidgetInfo, vec2,
};
use eframe::egui::{Rangef, Role, ecolor::Hsva, pos2};

use driftless_data::{ActionSpec, DatasetInfo};

use super::view::Shown;
use crate::app::theme;

/// Heights of the rewards, of the actions and of the axes, in points.
const REWARDS: f32 = 26.0;
const ACTIONS: f32 = 22.0;
const AXES: f32 = 40.0;

/// Draws the tracks.
pub(super) fn ui(ui: &mut Ui, shown: &mut Shown, info: &DatasetInfo) {
    let palette = theme::palette(ui);
    let frames = shown.episode.frames();
    let width = ui.available_width();
    let has_axes = shown.episode.axes(info.axes.len()).is_some();
    let height = REWARDS + ACTIONS + if has_axes { AXES } else { 0.0 };
    let (area, response) = ui.allocate_exact_size(vec2(width, height), Sense::click_and_drag());
    let name = format!("Frame {} of {frames}", shown.frame);
    response.widget_info(|| WidgetInfo::labeled(Role::Slider, true, &name));
    let each = area.width() / frames as f32;
    if let Some(at) = response.interact_pointer_pos() {
        shown.stop_at(((at.x - area.left()) / each).max(0.0) as usize);
    }
    let painter = ui.painter_at(area.expand(2.0));
    let (above, below) = area.split_top_bottom_at_y(area.top() + REWARDS);
    let (below, lowest) = below.split_top_bottom_at_y(below.top() + ACTIONS);
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
    if let Some(values) = shown.episode.axes(info.axes.len()) {
        let colours: Vec<Color32> = (0..info.axes.len())
            .map(|axis| axis_colour(axis, info, ui))
            .collect();
        draw_axes(&painter, lowest, values, &colours);
    }
    if let Some(range) = &shown.selected {
        let selected = span(range.start, range.end, area);
        let stroke = Stroke::new(2.0, palette.accent);
        painter.rect_stroke(selected, 2.0, stroke, StrokeKind::Inside);
    }
    let here = span(shown.frame, shown.frame + 1, area).center().x;
    painter.vline(here, area.y_range(), Stroke::new(2.0, palette.text));
    legend(ui, shown, info);
}

/// Draws values `[T, axes]` from −1, at the bottom of `area`, to 1, a line for each axis.
fn draw_axes(painter: &Painter, area: Rect, values: &[f32], colours: &[Color32]) {
    let frames = values.len() / colours.len().max(1);
    let each = area.width() / frames.max(1) as f32;
    let half = area.height() / 2.0 - 3.0;
    for (axis, colour) in colours.iter().enumerate() {
        let rows = values.chunks_exact(colours.len()).enumerate();
        let points = rows.map(|(t, row)| {
            let x = area.left() + (t as f32 + 0.5) * each;
            pos2(x, area.center().y - half * row[axis])
        });
        painter.line(points.collect(), Stroke::new(1.5, *colour));
    }
}

/// The colours of the actions that occur and of the axes, with their names.
fn legend(ui: &mut Ui, shown: &Shown, info: &DatasetInfo) {
    let palette = theme::palette(ui);
    let used: BTreeSet<u32> = shown.episode.actions.iter().copied().collect();
    ui.horizontal_wrapped(|ui| {
        let name_of = |action: u32| -> &str {
            let spec: Option<&ActionSpec> = info.actions.get(action as usize);
            spec.map_or("?", |action| &action.name)
        };
        let actions = used.into_iter();
        let actions = actions.map(|action| (colour(action as usize, ui), name_of(action)));
        let axes = info.axes.iter().enumerate();
        let axes = axes.map(|(i, axis)| (axis_colour(i, info, ui), axis.name.as_str()));
        let entries: Vec<(Color32, &str)> = actions.chain(axes).collect();
        for (colour, name) in entries {
            let (patch, _) = ui.allocate_exact_size(vec2(10.0, 10.0), Sense::hover());
            ui.painter().rect_filled(patch, 2.0, colour);
            ui.label(RichText::new(name).small().color(palette.muted));
        }
    });
}

/// The colour of an axis, which no action has.
fn axis_colour(axis: usize, info: &DatasetInfo, ui: &Ui) -> Color32 {
    colour(info.actions.len().max(1) + axis, ui)
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
