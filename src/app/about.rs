//! What program this is, and where its files are.

use eframe::egui::{Context, Grid, RichText, Ui, vec2};

use super::theme;
use super::widgets::{modal, title};

const WIDTH: f32 = 420.0;

/// What the page says about this window.
pub(super) struct AboutPage<'a> {
    /// The engine that computes the current world.
    pub engine: &'a str,
    /// Where worlds, data and saved files are.
    pub files: &'a str,
    /// The settings file.
    pub settings: &'a str,
}

impl AboutPage<'_> {
    /// Draws the modal page; returns whether it was closed. `fresh` is true on the first draw.
    pub fn ui(&self, context: &Context, fresh: bool) -> bool {
        let space = context.content_rect().size() - vec2(60.0, 0.0);
        let response = modal(context, "about").show(context, |ui| {
            ui.set_width(WIDTH.min(space.x));
            let mut closed = false;
            title(ui, "Driftless", fresh, &mut closed);
            let what = "Play inside a learned world model: a neural network predicts every frame from the frames before and your keys.";
            ui.label(RichText::new(what).color(theme::palette(ui).text));
            Grid::new("about").num_columns(2).spacing(vec2(12.0, 4.0)).show(ui, |ui| {
                row(ui, "Version", env!("CARGO_PKG_VERSION"));
                row(ui, "Licence", env!("CARGO_PKG_LICENSE"));
                row(ui, "Engine", self.engine);
                row(ui, "Files", self.files);
                row(ui, "Settings", self.settings);
                row(ui, "Log", "DRIFTLESS_LOG=driftless=info writes it to stderr");
            });
            closed
        });
        response.inner || response.should_close()
    }
}

fn row(ui: &mut Ui, name: &str, text: &str) {
    let palette = theme::palette(ui);
    ui.label(RichText::new(name).color(palette.muted));
    ui.label(RichText::new(text).color(palette.text));
    ui.end_row();
}
