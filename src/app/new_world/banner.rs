//! The strip above what is played from the page.

use std::time::{Duration, SystemTime};

use eframe::egui::{self, Align, Color32, Layout, Margin, RichText, Sense, Ui, vec2};

use crate::app::theme;
use crate::workspace::progress::spoken;

/// What was clicked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::app) enum Clicked {
    Finish,
    Discard,
    NewEpisode,
    Reload,
    Back,
}

/// Above a simulator that is recorded.
pub(in crate::app) fn recording(ui: &mut Ui, frames: u64, episodes: usize) -> Option<Clicked> {
    strip(ui, |ui| {
        let (dot, _) = ui.allocate_exact_size(vec2(14.0, 14.0), Sense::hover());
        ui.painter()
            .circle_filled(dot.center(), 5.0, theme::alert());
        let plural = if episodes == 1 { "" } else { "s" };
        let count = format!("{frames} frames · {episodes} episode{plural}");
        ui.label(
            RichText::new(count)
                .monospace()
                .size(14.0)
                .color(theme::text()),
        );
        buttons(
            ui,
            &[
                (
                    "Finish",
                    "Enter: write the dataset and go on",
                    Clicked::Finish,
                ),
                (
                    "New episode",
                    "R: another world of the same kind",
                    Clicked::NewEpisode,
                ),
                ("Discard", "Keep nothing of it", Clicked::Discard),
            ],
        )
    })
}

/// Above a world that may still be in training; `saved` is when its newest weights were written.
pub(in crate::app) fn trying(ui: &mut Ui, saved: Option<SystemTime>) -> Option<Clicked> {
    let age = saved.and_then(|saved| saved.elapsed().ok());
    ui.request_repaint_after(Duration::from_secs(5));
    strip(ui, |ui| {
        ui.label(RichText::new("The world as it is trained so far").color(theme::text()));
        if let Some(age) = age.filter(|_| ui.available_width() > 420.0) {
            let text = format!("newest weights {} old", spoken(age));
            ui.label(RichText::new(text).color(theme::muted()));
        }
        buttons(
            ui,
            &[
                ("Back", "Esc: to the training", Clicked::Back),
                ("Reload", "Play the newest weights", Clicked::Reload),
            ],
        )
    })
}

fn strip(ui: &mut Ui, content: impl FnOnce(&mut Ui) -> Option<Clicked>) -> Option<Clicked> {
    let fill = egui::Frame::new()
        .fill(theme::raised())
        .inner_margin(Margin::symmetric(14, 7));
    egui::Panel::top("banner")
        .resizable(false)
        .frame(fill)
        .show(ui, |ui| ui.horizontal(content).inner)
        .inner
}

/// From the right to the left; the first is the next thing to do.
fn buttons(ui: &mut Ui, all: &[(&str, &str, Clicked)]) -> Option<Clicked> {
    ui.with_layout(Layout::right_to_left(Align::Center), |ui| {
        let mut clicked = None;
        for (i, (name, hint, what)) in all.iter().enumerate() {
            let (text, fill) = match i {
                0 => (theme::on_accent(), theme::accent()),
                _ => (theme::text(), Color32::from_rgb(54, 59, 70)),
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
