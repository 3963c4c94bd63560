//! Widgets of the page's steps.

use std::time::Duration;

use eframe::egui;
use eframe::egui::{Button, Margin, RichText, Stroke, Ui, vec2};

use crate::Error;
use crate::app::theme;

/// A card of the page.
pub(super) fn card<T>(ui: &mut Ui, content: impl FnOnce(&mut Ui) -> T) -> T {
    let shown = egui::Frame::new()
        .fill(theme::palette(ui).panel)
        .stroke(Stroke::new(1.0, theme::palette(ui).line))
        .corner_radius(10)
        .inner_margin(Margin::same(16))
        .show(ui, |ui| {
            ui.set_width(ui.available_width());
            content(ui)
        });
    ui.add_space(6.0);
    shown.inner
}

/// A card's title and description.
pub(super) fn title(ui: &mut Ui, name: &str, about: &str) {
    ui.label(
        RichText::new(name)
            .strong()
            .size(15.0)
            .color(theme::palette(ui).text),
    );
    if !about.is_empty() {
        ui.label(RichText::new(about).color(theme::palette(ui).muted));
    }
}

/// A primary button.
pub(super) fn primary(ui: &mut Ui, text: &str, enabled: bool) -> egui::Response {
    let text = RichText::new(text).strong();
    let button = if enabled {
        Button::new(text.color(theme::palette(ui).on_accent)).fill(theme::palette(ui).accent)
    } else {
        Button::new(text.color(theme::palette(ui).muted))
    };
    ui.add_enabled(enabled, button.min_size(vec2(96.0, 28.0)))
}

/// A control with a label in a fixed-width column.
pub(super) fn labelled<T>(ui: &mut Ui, name: &str, control: impl FnOnce(&mut Ui) -> T) -> T {
    ui.horizontal(|ui| {
        let label = egui::Label::new(RichText::new(name).color(theme::palette(ui).muted));
        ui.allocate_ui_with_layout(
            vec2(112.0, 24.0),
            egui::Layout::left_to_right(egui::Align::Center),
            |ui| {
                ui.set_min_width(112.0);
                ui.add(label);
            },
        );
        control(ui)
    })
    .inner
}

/// An activity indicator. It moves only twice a second: with a software adapter, drawing every frame
/// would slow down the work itself.
pub(super) fn activity(ui: &mut Ui) {
    let step = Duration::from_millis(500);
    let now = if theme::is_still(ui) {
        0.0
    } else {
        ui.input(|input| input.time) / step.as_secs_f64()
    };
    ui.request_repaint_after(step);
    let (rect, _) = ui.allocate_exact_size(vec2(30.0, 16.0), egui::Sense::hover());
    for i in 0..3 {
        let lit = now as u64 % 3 == i;
        let colour = if lit {
            theme::palette(ui).accent
        } else {
            theme::palette(ui).line
        };
        let at = rect.left_center() + vec2(5.0 + 10.0 * i as f32, 0.0);
        ui.painter().circle_filled(at, 3.0, colour);
    }
}

/// An error card.
pub(super) struct ErrorCard {
    title: String,
    what: String,
}

impl ErrorCard {
    pub fn new(title: &str, error: &Error) -> Self {
        Self {
            title: title.to_owned(),
            what: error.to_string(),
        }
    }

    /// Draws the card; returns whether it was dismissed.
    pub fn ui(&self, ui: &mut Ui) -> bool {
        failure(ui, &self.title, &self.what, "Dismiss")
    }
}

/// Draws an error card with a button; returns whether it was clicked.
pub(super) fn failure(ui: &mut Ui, headline: &str, what: &str, button: &str) -> bool {
    card(ui, |ui| {
        ui.label(
            RichText::new(headline)
                .strong()
                .size(15.0)
                .color(theme::palette(ui).alert),
        );
        ui.label(RichText::new(what).color(theme::palette(ui).text));
        ui.button(button).clicked()
    })
}
