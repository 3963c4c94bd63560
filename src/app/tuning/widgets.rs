//! Widgets of the Tuning panel.

use std::ops::RangeInclusive;

use eframe::egui;
use eframe::egui::{Align, Id, Layout, Response, RichText, Ui};

use crate::app::{controls, theme};

/// A control to be labelled by its row; `None` if its parts have their own names.
pub(super) type Labelled = Option<Response>;

/// Width of a control next to its label, in points.
const CONTROL_WIDTH: f32 = 156.0;

pub(in crate::app) fn section(ui: &mut Ui, title: &str) {
    ui.add_space(10.0);
    ui.label(
        RichText::new(title.to_uppercase())
            .small()
            .strong()
            .color(theme::palette(ui).accent),
    );
}

/// A row with a label and a control below it.
pub(super) fn stacked_row<T: PartialEq + Copy>(
    ui: &mut Ui,
    label: &str,
    hint: &str,
    value: &mut T,
    default: T,
    control: impl FnOnce(&mut Ui, &mut T) -> Labelled,
) {
    let name = ui.horizontal(|ui| {
        ui.set_min_height(18.0);
        row_label(ui, label, hint, value, default)
    });
    let shown = ui.scope(|ui| {
        if let Some(control) = control(ui, value) {
            control.labelled_by(name.inner);
        }
    });
    shown.response.on_hover_text(hint);
}

/// A row with a label and a small control next to it.
pub(super) fn inline_row<T: PartialEq + Copy>(
    ui: &mut Ui,
    label: &str,
    hint: &str,
    value: &mut T,
    default: T,
    control: impl FnOnce(&mut Ui, &mut T) -> Labelled,
) {
    ui.horizontal(|ui| {
        let name = row_label(ui, label, hint, value, default);
        ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
            let size = egui::vec2(CONTROL_WIDTH, ui.spacing().interact_size.y);
            let inner = Layout::left_to_right(Align::Center);
            let shown = ui.allocate_ui_with_layout(size, inner, |ui| {
                if let Some(control) = control(ui, value) {
                    control.labelled_by(name);
                }
            });
            shown.response.on_hover_text(hint);
        });
    });
}

/// A label with a tooltip, and a reset button if the value differs from its default; returns the
/// label's id.
fn row_label<T: PartialEq + Copy>(
    ui: &mut Ui,
    label: &str,
    hint: &str,
    value: &mut T,
    default: T,
) -> Id {
    let name = ui.label(RichText::new(label).color(theme::palette(ui).muted));
    let name = name.on_hover_text(hint).id;
    let changed = *value != default;
    let undone = |ui| controls::reset_button(ui).on_hover_text("Reset to default.");
    if changed && undone(ui).clicked() {
        *value = default;
    }
    name
}

pub(super) fn slider<T: egui::emath::Numeric>(
    ui: &mut Ui,
    value: &mut T,
    range: RangeInclusive<T>,
    step: f64,
) -> Labelled {
    let slider = egui::Slider::new(value, range)
        .step_by(step)
        .max_decimals(if T::INTEGRAL { 0 } else { 2 });
    slider_of(ui, slider)
}

/// A slider as wide as the panel.
pub(super) fn slider_of(ui: &mut Ui, slider: egui::Slider<'_>) -> Labelled {
    ui.spacing_mut().slider_width = (ui.available_width() - 62.0).max(60.0);
    // A value from the command line may be out of range; it stays until edited.
    Some(ui.add(slider.clamping(egui::SliderClamping::Edits)))
}

/// A drop-down menu.
pub(super) fn menu<T: PartialEq + Copy>(
    ui: &mut Ui,
    id: &str,
    value: &mut T,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Labelled {
    let menu = egui::ComboBox::from_id_salt(id)
        .selected_text(name(*value))
        .width(ui.available_width())
        .show_ui(ui, |ui| {
            for choice in all {
                ui.selectable_value(value, *choice, name(*choice));
            }
        });
    Some(menu.response)
}

/// A row of equally wide buttons of which one is selected.
pub(in crate::app) fn choices<T: PartialEq + Copy, S: Into<String>>(
    ui: &mut Ui,
    value: &mut T,
    all: &[T],
    name: impl Fn(&T) -> S,
) -> Labelled {
    let gap = 4.0;
    let per_row = all.len().clamp(1, 5);
    let width = (ui.available_width() - gap * (per_row - 1) as f32) / per_row as f32;
    ui.spacing_mut().item_spacing = egui::vec2(gap, gap);
    for part in all.chunks(per_row) {
        ui.horizontal(|ui| {
            for choice in part {
                let button = egui::Button::selectable(*value == *choice, name(choice).into())
                    .frame_when_inactive(true)
                    .min_size(egui::vec2(width, 24.0));
                let button = ui.add(button);
                if button.clicked() {
                    *value = *choice;
                }
                if button.has_focus() && *value == *choice {
                    // The selected fill has the same colour as the focus frame.
                    let ring = egui::Stroke::new(1.5, theme::palette(ui).text);
                    let inside = egui::StrokeKind::Inside;
                    ui.painter().rect_stroke(button.rect, 6, ring, inside);
                }
            }
        });
    }
    None
}
