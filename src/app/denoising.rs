//! The denoising strip: the current frame's denoise passes, one column each.

use eframe::egui;
use eframe::egui::{
    Align, ColorImage, Layout, RichText, ScrollArea, TextureHandle, TextureOptions, Ui,
};

use driftless_sim::{Frame, TracedPass};

use super::theme;

/// Height of an image in points.
const PICTURE: f32 = 72.0;
/// Width of the row labels in points.
const NAMES: f32 = 88.0;
/// The strip's height: two rows of images with their signal levels above.
pub(super) const HEIGHT: f32 = 2.0 * PICTURE + 44.0;

/// The strip, with one frame's passes as textures.
#[derive(Default)]
pub(super) struct DenoisingStrip {
    /// `Frame::sequence` of the uploaded frame.
    shown: Option<u64>,
    passes: Vec<PassTextures>,
}

struct PassTextures {
    tau: f32,
    noisy: TextureHandle,
    clean: TextureHandle,
}

impl DenoisingStrip {
    /// Draws the strip for a frame of `[height, width]` `size`.
    pub fn ui(&mut self, ui: &mut Ui, frame: Option<&Frame>, size: [usize; 2]) {
        if let Some(frame) = frame.filter(|frame| self.shown != Some(frame.sequence)) {
            self.shown = Some(frame.sequence);
            self.upload(ui.ctx(), &frame.diagnostics.trace, size);
        }
        if self.passes.is_empty() {
            ui.centered_and_justified(|ui| {
                ui.label(
                    RichText::new("The next generated frame will show its denoising steps here.")
                        .color(theme::palette(ui).muted),
                );
            });
            return;
        }
        ui.horizontal_top(|ui| {
            ui.spacing_mut().item_spacing = egui::vec2(6.0, 4.0);
            ui.vertical(|ui| {
                ui.set_width(NAMES);
                ui.label(RichText::new("τ").color(theme::palette(ui).muted));
                for (name, hint) in [
                    (
                        "Noisy input",
                        "The network's input: the latent at signal level τ, decoded.",
                    ),
                    (
                        "Prediction",
                        "The network's prediction of the clean latent, decoded.",
                    ),
                ] {
                    let row = Layout::left_to_right(Align::Center);
                    let size = egui::vec2(NAMES, PICTURE);
                    let row = ui.allocate_ui_with_layout(size, row, |ui| {
                        ui.set_min_size(size);
                        ui.label(RichText::new(name).color(theme::palette(ui).muted));
                    });
                    row.response.on_hover_text(hint);
                }
            });
            ScrollArea::horizontal()
                .stick_to_right(true)
                .show(ui, |ui| {
                    ui.horizontal_top(|ui| {
                        for pass in &self.passes {
                            pass.ui(ui, size);
                        }
                    });
                });
        });
    }

    /// Uploads the passes into textures that are reused from frame to frame.
    fn upload(&mut self, context: &egui::Context, trace: &[TracedPass], size: [usize; 2]) {
        let [height, width] = size;
        self.passes.truncate(trace.len());
        for (i, pass) in trace.iter().enumerate() {
            if pass.noisy.len() != height * width * 3 || pass.clean.len() != pass.noisy.len() {
                continue;
            }
            let [noisy, clean] =
                [&pass.noisy, &pass.clean].map(|rgb| ColorImage::from_rgb([width, height], rgb));
            match self.passes.get_mut(i) {
                Some(pictures) => {
                    pictures.tau = pass.tau;
                    pictures.noisy.set(noisy, TextureOptions::NEAREST);
                    pictures.clean.set(clean, TextureOptions::NEAREST);
                }
                None => {
                    let load =
                        |image| context.load_texture("denoising", image, TextureOptions::NEAREST);
                    self.passes.push(PassTextures {
                        tau: pass.tau,
                        noisy: load(noisy),
                        clean: load(clean),
                    });
                }
            }
        }
    }
}

impl PassTextures {
    fn ui(&self, ui: &mut Ui, [height, width]: [usize; 2]) {
        let size = egui::vec2(PICTURE * width as f32 / height.max(1) as f32, PICTURE);
        ui.vertical(|ui| {
            ui.set_width(size.x);
            ui.label(
                RichText::new(format!("{:.2}", self.tau))
                    .monospace()
                    .color(theme::palette(ui).text),
            );
            for texture in [&self.noisy, &self.clean] {
                let image = egui::Image::new((texture.id(), size));
                ui.add(image).on_hover_ui(|ui| {
                    ui.add(egui::Image::new((texture.id(), size * 4.0)));
                });
            }
        });
    }
}
