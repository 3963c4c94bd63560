//! Widgets of the Tuning panel.

use std::ops::RangeInclusive;

use eframe::egui;
use eframe::egui::{Align, Id, Layout, Response, RichText, Ui};

use crate::app::{theme, widgets};

/// A control to be labelled by its row; `None` if its parts have their own names.
pub(super) type Labelled = Option<Response>;

/// Width of the number beside a slider, in points.
const NUMBER_WIDTH: f32 = 54.0;
/// Width of a control next to its label, in points.
const CONTROL_WIDTH: f32 = 156.0;

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
    let undone = |ui| widgets::reset_button(ui).on_hover_text("Reset to default.");
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
    let gap = 8.0;
    let spacing = ui.spacing_mut();
    spacing.item_spacing.x = gap;
    spacing.interact_size.x = NUMBER_WIDTH;
    let width = ui.available_width() - NUMBER_WIDTH - gap;
    ui.spacing_mut().slider_width = width.max(60.0);
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
