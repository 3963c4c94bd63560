//! Widgets that several pages share.

use std::collections::BTreeMap;
use std::sync::Arc;

use eframe::egui;
use eframe::egui::{
    Align2, Area, Color32, Context, FontId, Id, Key, Margin, Order, Pos2, Rangef, Response,
    RichText, ScrollArea, Sense, Stroke, StrokeKind, Ui, Vec2, pos2, vec2,
};
use egui_plot::AxisHints;

use super::keys::{BoundAction, HeldKeys};
use super::theme;

/// A section's heading.
pub(super) fn section(ui: &mut Ui, title: &str) {
    ui.add_space(10.0);
    ui.label(
        RichText::new(title.to_uppercase())
            .small()
            .strong()
            .color(theme::palette(ui).accent),
    );
}

/// A row of equally wide buttons of which one is selected.
pub(super) fn choices<T: PartialEq + Copy, S: Into<String>>(
    ui: &mut Ui,
    value: &mut T,
    all: &[T],
    name: impl Fn(&T) -> S,
) -> Option<Response> {
    let gap = 4.0;
    let per_row = all.len().clamp(1, 5);
    let width = (ui.available_width() - gap * (per_row - 1) as f32) / per_row as f32;
    ui.spacing_mut().item_spacing = vec2(gap, gap);
    for part in all.chunks(per_row) {
        ui.horizontal(|ui| {
            for choice in part {
                let button = egui::Button::selectable(*value == *choice, name(choice).into())
                    .frame_when_inactive(true)
                    .min_size(vec2(width, 24.0));
                let button = ui.add(button);
                if button.clicked() {
                    *value = *choice;
                }
                if button.has_focus() && *value == *choice {
                    // The selected fill has the same colour as the focus frame.
                    let ring = Stroke::new(1.5, theme::palette(ui).text);
                    let inside = StrokeKind::Inside;
                    ui.painter().rect_stroke(button.rect, 6, ring, inside);
                }
            }
        });
    }
    None
}

/// Outlines the boxes and circles to tick in `content`: their ground is hardly told from a panel's.
pub(super) fn outlined<T>(ui: &mut Ui, content: impl FnOnce(&mut Ui) -> T) -> T {
    ui.scope(|ui| {
        let outline = Stroke::new(1.0, theme::palette(ui).muted);
        let widgets = &mut ui.visuals_mut().widgets;
        widgets.inactive.bg_stroke = outline;
        widgets.hovered.bg_stroke = outline;
        content(ui)
    })
    .inner
}

/// A box to tick.
pub(super) fn checkbox(ui: &mut Ui, ticked: &mut bool, text: impl Into<RichText>) -> Response {
    outlined(ui, |ui| ui.checkbox(ticked, text.into()))
}

/// The axes x and y of a plot. Their numbers are dropped where they stand too close together; egui_plot's own fade
/// until they cannot be read.
pub(super) fn plot_axes<'a>(ui: &Ui) -> [AxisHints<'a>; 2] {
    let colour = theme::palette(ui).muted;
    let axis = |hints: AxisHints<'a>, apart| {
        hints
            .label_spacing(Rangef::new(apart, apart + 0.1))
            .tick_label_color(colour)
    };
    [
        axis(AxisHints::new_x(), 50.0),
        axis(AxisHints::new_y(), 20.0),
    ]
}

/// A row with a label in front of its control, and a hint on both.
pub(super) fn row(ui: &mut Ui, name: &str, hint: &str, control: impl FnOnce(&mut Ui) -> Response) {
    ui.horizontal(|ui| {
        let label = RichText::new(name).color(theme::palette(ui).muted);
        let size = vec2(84.0, 24.0);
        let left = egui::Layout::left_to_right(egui::Align::Center);
        let label = ui.allocate_ui_with_layout(size, left, |ui| {
            ui.set_min_width(size.x);
            ui.label(label).on_hover_text(hint).id
        });
        control(ui).labelled_by(label.inner).on_hover_text(hint);
    });
}

/// Says that a page's network is loaded, or why there is none.
pub(super) fn loading(ui: &mut Ui, failure: Option<&str>) {
    let palette = theme::palette(ui);
    ui.add_space(40.0);
    ui.vertical_centered(|ui| {
        let text = match failure {
            Some(why) => RichText::new(why).color(palette.alert),
            None => RichText::new("Loading the network…").color(palette.muted),
        };
        ui.label(text);
    });
}

/// A progress bar with a text on it, which stays legible on both parts of the bar.
pub(super) fn progress_bar(ui: &mut Ui, fraction: f32, text: &str) {
    let palette = theme::palette(ui);
    let width = ui.available_size_before_wrap().x.max(96.0);
    let (rect, response) = ui.allocate_exact_size(vec2(width, 20.0), Sense::hover());
    response.widget_info(|| {
        let mut info =
            egui::WidgetInfo::labeled(egui::Role::ProgressIndicator, ui.is_enabled(), text);
        info.value = Some(f64::from((fraction * 100.0).floor()));
        info
    });
    let edge = egui::lerp(rect.x_range(), fraction.clamp(0.0, 1.0));
    let parts = [
        (rect.with_max_x(edge), palette.accent, palette.on_accent),
        (rect.with_min_x(edge), palette.backdrop, palette.text),
    ];
    let font = FontId::proportional(12.0);
    for (part, fill, colour) in parts {
        let painter = ui.painter().with_clip_rect(part.intersect(ui.clip_rect()));
        painter.rect_filled(rect, 6, fill);
        let at = rect.left_center() + vec2(10.0, 0.0);
        painter.text(at, Align2::LEFT_CENTER, text, font.clone(), colour);
    }
}

/// A modal page.
pub(super) fn modal(context: &Context, name: &str) -> egui::Modal {
    let palette = theme::palette_of(&context.global_style().visuals);
    egui::Modal::new(Id::unique(name))
        .frame(theme::card(palette).fill(palette.panel))
        .backdrop_color(palette.veil)
}

/// The page's title and its Close button, which takes the focus when the page is `fresh`.
pub(super) fn title(ui: &mut Ui, text: &str, fresh: bool, closed: &mut bool) {
    ui.horizontal(|ui| {
        ui.label(RichText::new(text).heading().color(theme::palette(ui).text));
        let right = egui::Layout::right_to_left(egui::Align::Center);
        ui.with_layout(right, |ui| {
            let close = ui.button("Close");
            if fresh {
                close.request_focus();
            }
            *closed |= close.clicked();
        });
    });
}

/// A scroll area for content taller than the window, with its bar at the right edge of the card.
pub(super) fn page(height: f32) -> ScrollArea {
    ScrollArea::vertical()
        .auto_shrink([false, true])
        .max_height(height)
        .min_scrolled_height(height)
}

/// Content that floats above everything else at a fixed place.
pub(super) fn floating<T>(
    ui: &Ui,
    name: &str,
    at: Pos2,
    pivot: Align2,
    content: impl FnOnce(&mut Ui) -> T,
) -> T {
    Area::new(Id::unique(name))
        .order(Order::Foreground)
        .pivot(pivot)
        .fixed_pos(at)
        .show(ui.ctx(), content)
        .inner
}

/// Content on a dark ground over the picture, which takes no clicks.
pub(super) fn over_picture(
    ui: &Ui,
    name: &str,
    at: Pos2,
    pivot: Align2,
    content: impl FnOnce(&mut Ui),
) {
    Area::new(Id::unique(name))
        .order(Order::Middle)
        .interactable(false)
        .pivot(pivot)
        .fixed_pos(at)
        .show(ui.ctx(), |ui| {
            egui::Frame::new()
                .fill(theme::palette(ui).over_picture)
                .corner_radius(6)
                .inner_margin(Margin::symmetric(10, 8))
                .show(ui, content)
        });
}

/// Draws an action's keys, lit while held.
pub(super) fn chords(ui: &mut Ui, bound: &BoundAction, held: &HeldKeys) {
    for chord in &bound.chords {
        for (i, key) in chord.iter().enumerate() {
            if i > 0 {
                ui.label(RichText::new("+").color(theme::palette(ui).muted));
            }
            keycap(ui, printed(ui, *key), held.is_down(*key));
        }
    }
}

/// Sets what the layout prints on keys, by their place; keycaps of a world show it from now on.
pub(super) fn show_letters(context: &Context, letters: BTreeMap<Key, Key>) {
    context.data_mut(|data| data.insert_temp(letters_id(), Arc::new(letters)));
}

fn letters_id() -> Id {
    Id::unique("keyboard letters")
}

/// What the layout prints on the key at a place.
fn printed(ui: &Ui, place: Key) -> Key {
    let letters: Option<Arc<BTreeMap<Key, Key>>> = ui.data(|data| data.get_temp(letters_id()));
    letters
        .and_then(|letters| letters.get(&place).copied())
        .unwrap_or(place)
}

/// Draws a key like a keycap; lit while held.
pub(super) fn keycap(ui: &mut Ui, key: Key, lit: bool) {
    let (text, fill, line) = if lit {
        (
            theme::palette(ui).on_accent,
            theme::palette(ui).accent,
            theme::palette(ui).accent,
        )
    } else {
        (
            theme::palette(ui).text,
            theme::palette(ui).raised,
            theme::palette(ui).line,
        )
    };
    let arrow = arrow(key);
    let name = if arrow.is_some() {
        ""
    } else {
        key.symbol_or_name()
    };
    let font = FontId::proportional(13.0);
    let label = ui.painter().layout_no_wrap(name.to_owned(), font, text);
    let size = vec2((label.size().x + 14.0).max(26.0), 26.0);
    let (rect, response) = ui.allocate_exact_size(size, Sense::hover());
    let painter = ui.painter();
    if !lit {
        let shadow = rect.translate(vec2(0.0, 2.0));
        painter.rect_filled(shadow, 5, theme::palette(ui).shadow);
    }
    let cap = if lit {
        rect.translate(vec2(0.0, 1.0))
    } else {
        rect
    };
    painter.rect(cap, 5, fill, Stroke::new(1.0, line), StrokeKind::Inside);
    if let Some(ahead) = arrow {
        let (tip, aside) = (ahead * 4.0, ahead.rot90() * 5.0);
        let corners = [tip, aside - tip * 0.75, -aside - tip * 0.75];
        let corners = corners.map(|corner| cap.center() + corner).into();
        painter.add(egui::Shape::convex_polygon(corners, text, Stroke::NONE));
    }
    let at = Align2::CENTER_CENTER.anchor_size(cap.center(), label.size());
    painter.galley(at.min, label, text);
    response.widget_info(|| egui::WidgetInfo::selected(egui::Role::Label, true, lit, key.name()));
}

/// The direction of an arrow key, drawn because the font lacks arrows.
fn arrow(key: Key) -> Option<Vec2> {
    match key {
        Key::ArrowUp => Some(Vec2::UP),
        Key::ArrowDown => Some(Vec2::DOWN),
        Key::ArrowLeft => Some(Vec2::LEFT),
        Key::ArrowRight => Some(Vec2::RIGHT),
        _ => None,
    }
}

/// A small reset button.
pub(super) fn reset_button(ui: &mut Ui) -> Response {
    let (rect, response) = ui.allocate_exact_size(vec2(16.0, 16.0), Sense::click());
    response
        .widget_info(|| egui::WidgetInfo::labeled(egui::Role::Button, true, "Reset to default"));
    let colour = if response.hovered() {
        theme::palette(ui).accent
    } else {
        theme::palette(ui).muted
    };
    reset_arrow(ui.painter(), rect.center(), 4.0, colour);
    response
}

/// A three-quarter circle with an arrow head.
pub(super) fn reset_arrow(painter: &egui::Painter, centre: Pos2, radius: f32, colour: Color32) {
    let points = (0..=24)
        .map(|i| {
            let angle = (-60.0 + 285.0 * i as f32 / 24.0).to_radians();
            centre + radius * vec2(angle.cos(), angle.sin())
        })
        .collect();
    painter.add(egui::Shape::line(points, Stroke::new(radius / 3.0, colour)));
    let tip = pos2(centre.x + radius * 0.5, centre.y - radius * 0.87);
    let head = [vec2(-0.82, -0.15), vec2(0.29, -0.65), vec2(0.16, 0.58)];
    let head = head.map(|corner| tip + corner * radius).into();
    painter.add(egui::Shape::convex_polygon(head, colour, Stroke::NONE));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::tests::snapshot_light;

    #[test]
    fn progress_stays_legible() {
        snapshot_light("progress_light", vec2(300.0, 120.0), |ui| {
            for done in [0_u8, 30, 100, 200] {
                progress_bar(
                    ui,
                    f32::from(done) / 200.0,
                    &format!("{done} of 200 frames"),
                );
            }
        });
    }
}
