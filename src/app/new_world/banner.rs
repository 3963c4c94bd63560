//! The banner above a game played from the page.

use std::time::{Duration, SystemTime};

use eframe::egui;
use eframe::egui::{Align, Layout, Margin, RichText, Sense, Ui, vec2};

use crate::app::theme;
use crate::workspace::progress::format_duration;

/// The clicked button.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum BannerAction {
    Finish,
    Discard,
    NewEpisode,
    Reload,
    Back,
}

/// The banner of a recording.
pub(in crate::app) fn recording(ui: &mut Ui, frames: u64, episodes: usize) -> Option<BannerAction> {
    strip(ui, |ui| {
        let (dot, _) = ui.allocate_exact_size(vec2(14.0, 14.0), Sense::hover());
        ui.painter()
            .circle_filled(dot.center(), 5.0, theme::palette(ui).alert);
        let plural = if episodes == 1 { "" } else { "s" };
        let count = format!("{frames} frames · {episodes} episode{plural}");
        ui.label(
            RichText::new(count)
                .monospace()
                .size(14.0)
                .color(theme::palette(ui).text),
        );
        buttons(
            ui,
            &[
                (
                    "Finish",
                    "Enter: write the dataset and continue",
                    BannerAction::Finish,
                ),
                (
                    "New episode",
                    "R: restart with a new world of the same kind",
                    BannerAction::NewEpisode,
                ),
                ("Discard", "Delete this recording", BannerAction::Discard),
            ],
        )
    })
}

/// The banner of a world in training; `saved` is when its newest weights were written.
pub(in crate::app) fn try_out(ui: &mut Ui, saved: Option<SystemTime>) -> Option<BannerAction> {
    let age = saved.and_then(|saved| saved.elapsed().ok());
    ui.request_repaint_after(Duration::from_secs(5));
    strip(ui, |ui| {
        ui.label(RichText::new("World as trained so far").color(theme::palette(ui).text));
        if let Some(age) = age.filter(|_| ui.available_width() > 420.0) {
            let text = format!("newest weights: {} old", format_duration(age));
            ui.label(RichText::new(text).color(theme::palette(ui).muted));
        }
        buttons(
            ui,
            &[
                ("Back", "Esc: back to training", BannerAction::Back),
                ("Reload", "Load the newest weights", BannerAction::Reload),
            ],
        )
    })
}

fn strip(
    ui: &mut Ui,
    content: impl FnOnce(&mut Ui) -> Option<BannerAction>,
) -> Option<BannerAction> {
    let fill = egui::Frame::new()
        .fill(theme::palette(ui).raised)
        .inner_margin(Margin::symmetric(14, 7));
    egui::Panel::top("banner")
        .resizable(false)
        .frame(fill)
        .show(ui, |ui| ui.horizontal(content).inner)
        .inner
}

/// Draws buttons from right to left; the first is the primary one.
fn buttons(ui: &mut Ui, all: &[(&str, &str, BannerAction)]) -> Option<BannerAction> {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let mut clicked = None;
        for (i, (name, hint, what)) in all.iter().enumerate() {
            let (text, fill) = match i {
                0 => (theme::palette(ui).on_accent, theme::palette(ui).accent),
                _ => (theme::palette(ui).text, theme::palette(ui).pressed),
            };
            let button = egui::Button::new(RichText::new(*name).color(text)).fill(fill);
            if ui.add(button).on_hover_text(*hint).clicked() {
                clicked = Some(*what);
            }
        }
        clicked
    })
    .inner
}
