//! The comparison: ground truth or another branch next to the frame, and their difference.

use std::sync::Arc;

use eframe::egui;
use eframe::egui::{
    Align2, Color32, ColorImage, FontId, Pos2, Rect, TextureHandle, TextureOptions, Ui, pos2, vec2,
};

use driftless_data::metrics::psnr;
use driftless_sim::Frame;

use super::present::Scaling;
use super::{present, theme};

/// Space between the images, and for their names below, in points.
const GAP: f32 = 8.0;
const NAME: f32 = 24.0;
/// Factor by which differences are amplified.
const AMPLIFICATION: u16 = 4;

/// The reference image next to the frame.
#[derive(Default)]
pub(super) struct Comparison {
    /// The reference's name for display.
    name: String,
    /// Whether the difference is also shown.
    pub difference: bool,
    /// PSNR of the frame to the reference, in dB; `None` if they are identical or there is no
    /// reference.
    pub psnr: Option<f64>,
    /// Whether frame and reference are identical.
    identical: bool,
    shown: Option<u64>,
    textures: Option<[TextureHandle; 2]>,
}

impl Comparison {
    /// A comparison with a reference of this name.
    pub fn new(name: String, difference: bool) -> Self {
        Self {
            name,
            difference,
            ..Self::default()
        }
    }

    /// The rectangles of the frame, the reference, and the difference.
    pub fn rects(&self, space: Rect) -> [Rect; 3] {
        let space = space.shrink(GAP);
        let count = if self.difference { 3.0 } else { 2.0 };
        let across = space.width() >= space.height();
        let rect_at = |i: f32| {
            let (size, step) = if across {
                let width = (space.width() - GAP * (count - 1.0)) / count;
                (vec2(width, space.height()), vec2(width + GAP, 0.0))
            } else {
                let height = (space.height() - GAP * (count - 1.0)) / count;
                (vec2(space.width(), height), vec2(0.0, height + GAP))
            };
            let mut rect = Rect::from_min_size(space.min + step * i, size);
            rect.max.y -= NAME;
            rect
        };
        [rect_at(0.0), rect_at(1.0), rect_at(2.0)]
    }

    /// Uploads the images of a frame of `[height, width]` `size`.
    pub fn take(&mut self, context: &egui::Context, frame: &Frame, size: [usize; 2]) {
        if self.shown.replace(frame.sequence) == Some(frame.sequence) {
            return;
        }
        let images = frame.image.bytes().zip(frame.comparison.as_ref());
        let length = size[0] * size[1] * 3;
        let Some((frame_rgb, reference)) =
            images.filter(|(a, b)| a.len() == length && b.len() == length)
        else {
            self.textures = None;
            (self.psnr, self.identical) = (None, false);
            return;
        };
        self.identical = frame_rgb == &reference[..];
        self.psnr = psnr(frame_rgb, reference).filter(|db| db.is_finite());
        let [height, width] = size;
        let pictures = [
            Arc::clone(reference),
            difference(frame_rgb, reference).into(),
        ];
        let images = pictures.map(|rgb| ColorImage::from_rgb([width, height], &rgb));
        match &mut self.textures {
            Some(textures) => {
                for (texture, image) in textures.iter_mut().zip(images) {
                    texture.set(image, TextureOptions::NEAREST);
                }
            }
            none => {
                let load = |image| context.load_texture("beside", image, TextureOptions::NEAREST);
                *none = Some(images.map(load));
            }
        }
    }

    /// Drops textures of a lost device.
    pub fn drop_textures(&mut self) {
        self.textures = None;
        self.shown = None;
    }

    /// Draws the reference and difference, and the names of all images.
    pub fn ui(&self, ui: &Ui, space: Rect, size: [usize; 2], scaling: Scaling, frame_name: &str) {
        let [frame_rect, reference, difference_rect] = self.rects(space);
        let fits = |slot| present::fit(slot, size, ui.pixels_per_point());
        name(ui, fits(frame_rect), frame_name);
        let Some(textures) = &self.textures else {
            let hint = "not available for this frame";
            let font = FontId::proportional(13.0);
            ui.painter().text(
                reference.center(),
                Align2::CENTER_CENTER,
                format!("{}: {hint}", self.name),
                font,
                theme::palette(ui).muted,
            );
            return;
        };
        let quality = match (self.psnr, self.identical) {
            (_, true) => "identical".to_owned(),
            (Some(db), _) => format!("{db:.1} dB"),
            (None, false) => String::new(),
        };
        let titles = [
            format!("{}   {quality}", self.name),
            format!("Difference ×{AMPLIFICATION}"),
        ];
        let shown = if self.difference { 2 } else { 1 };
        let rects = [reference, difference_rect];
        for ((texture, slot), title) in textures.iter().zip(rects).zip(titles).take(shown) {
            let rect = fits(slot);
            let uv = Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0));
            let mut image = egui::Image::new((texture.id(), rect.size()))
                .uv(uv)
                .tint(Color32::WHITE);
            if scaling == Scaling::Smooth {
                image = image.texture_options(TextureOptions::LINEAR);
            }
            image.paint_at(ui, rect);
            name(ui, rect, &title);
        }
    }
}

fn name(ui: &Ui, rect: Rect, text: &str) {
    let at = rect.left_bottom() + vec2(0.0, 5.0);
    let font = FontId::proportional(13.0);
    ui.painter()
        .text(at, Align2::LEFT_TOP, text, font, theme::palette(ui).text);
}

/// The amplified absolute difference |a − b| per value, saturating.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let amplified = |(a, b): (&u8, &u8)| {
        let difference = u16::from(a.abs_diff(*b)) * AMPLIFICATION;
        u8::try_from(difference).unwrap_or(u8::MAX)
    };
    a.iter().zip(b).map(amplified).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn difference_saturates() {
        assert_eq!(difference(&[0, 10, 200], &[3, 9, 20]), [12, 4, 255]);
    }

    #[test]
    fn images_do_not_overlap() {
        let wide = Rect::from_min_size(Pos2::ZERO, vec2(900.0, 400.0));
        let tall = Rect::from_min_size(Pos2::ZERO, vec2(400.0, 900.0));
        for (space, difference) in [(wide, false), (wide, true), (tall, false), (tall, true)] {
            let comparison = Comparison {
                difference,
                ..Comparison::default()
            };
            let rects = &comparison.rects(space)[..if difference { 3 } else { 2 }];
            for (i, rect) in rects.iter().enumerate() {
                assert!(space.contains_rect(*rect) && rect.is_positive());
                for other in &rects[i + 1..] {
                    assert!(!rect.intersects(*other));
                }
            }
        }
    }
}
