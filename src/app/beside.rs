//! What is shown beside the frame: the truth or another branch, and the difference to it.

use std::sync::Arc;

use eframe::egui::{
    self, Align2, Color32, ColorImage, FontId, Pos2, Rect, TextureHandle, TextureOptions, Ui, pos2,
    vec2,
};

use super::present::{self, Scaling};
use super::theme;
use driftless_data::metrics::psnr;
use driftless_sim::Frame;

/// Space between the pictures, and below them for their names.
const GAP: f32 = 8.0;
const NAME: f32 = 24.0;
/// How many times a difference is enlarged.
const ENLARGED: u16 = 4;

/// Pictures beside the frame.
#[derive(Default)]
pub(super) struct Side {
    /// What the picture is, for people.
    name: String,
    /// Whether the difference is shown, too.
    pub difference: bool,
    /// PSNR of the frame on show to it, in dB; none where they are the same, or there is no picture.
    pub psnr: Option<f64>,
    /// Whether frame and picture are the same.
    same: bool,
    shown: Option<u64>,
    textures: Option<[TextureHandle; 2]>,
}

impl Side {
    /// Shows a picture of that name, and the difference to it if that is asked for.
    pub fn new(name: String, difference: bool) -> Self {
        Self {
            name,
            difference,
            ..Self::default()
        }
    }

    /// The places of the frame, of what is beside, and of the difference.
    pub fn places(&self, space: Rect) -> [Rect; 3] {
        let space = space.shrink(GAP);
        let count = if self.difference { 3.0 } else { 2.0 };
        let across = space.width() >= space.height();
        let place = |i: f32| {
            let (size, step) = match across {
                true => {
                    let width = (space.width() - GAP * (count - 1.0)) / count;
                    (vec2(width, space.height()), vec2(width + GAP, 0.0))
                }
                false => {
                    let height = (space.height() - GAP * (count - 1.0)) / count;
                    (vec2(space.width(), height), vec2(0.0, height + GAP))
                }
            };
            let mut place = Rect::from_min_size(space.min + step * i, size);
            place.max.y -= NAME;
            place
        };
        [place(0.0), place(1.0), place(2.0)]
    }

    /// Takes the pictures of a frame of the height and width `size`.
    pub fn take(&mut self, context: &egui::Context, frame: &Frame, size: [usize; 2]) {
        if self.shown.replace(frame.sequence) == Some(frame.sequence) {
            return;
        }
        let images = frame.image.bytes().zip(frame.beside.as_ref());
        let length = size[0] * size[1] * 3;
        let Some((own, beside)) = images.filter(|(a, b)| a.len() == length && b.len() == length)
        else {
            self.textures = None;
            (self.psnr, self.same) = (None, false);
            return;
        };
        self.same = own == &beside[..];
        self.psnr = psnr(own, beside).filter(|db| db.is_finite());
        let [height, width] = size;
        let pictures = [Arc::clone(beside), difference(own, beside).into()];
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

    /// Textures lie on a device that is gone.
    pub fn forget_pictures(&mut self) {
        self.textures = None;
        self.shown = None;
    }

    /// Draws what is beside the frame, and the names of all pictures.
    pub fn ui(&self, ui: &Ui, space: Rect, size: [usize; 2], scaling: Scaling, own: &str) {
        let [dream, beside, differs] = self.places(space);
        let fits = |place| present::fit(place, size, ui.pixels_per_point());
        name(ui, fits(dream), own);
        let Some(textures) = &self.textures else {
            let hint = "there is none of this frame";
            let font = FontId::proportional(13.0);
            ui.painter().text(
                beside.center(),
                Align2::CENTER_CENTER,
                format!("{}: {hint}", self.name),
                font,
                theme::muted(),
            );
            return;
        };
        let quality = match (self.psnr, self.same) {
            (_, true) => "the same".to_owned(),
            (Some(db), _) => format!("{db:.1} dB"),
            (None, false) => String::new(),
        };
        let titles = [
            format!("{}   {quality}", self.name),
            format!("difference × {ENLARGED}"),
        ];
        let shown = if self.difference { 2 } else { 1 };
        let places = [beside, differs];
        for ((texture, place), title) in textures.iter().zip(places).zip(titles).take(shown) {
            let rect = fits(place);
            let whole = Rect::from_min_max(Pos2::ZERO, pos2(1.0, 1.0));
            let mut image = egui::Image::new((texture.id(), rect.size()))
                .uv(whole)
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
        .text(at, Align2::LEFT_TOP, text, font, theme::text());
}

/// |a − b| of every number, enlarged.
fn difference(a: &[u8], b: &[u8]) -> Vec<u8> {
    let enlarged = |(a, b): (&u8, &u8)| {
        let difference = u16::from(a.abs_diff(*b)) * ENLARGED;
        u8::try_from(difference).unwrap_or(u8::MAX)
    };
    a.iter().zip(b).map(enlarged).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_enlarged_and_never_wraps() {
        assert_eq!(difference(&[0, 10, 200], &[3, 9, 20]), [12, 4, 255]);
    }

    #[test]
    fn pictures_lie_along_the_longer_side_without_covering_each_other() {
        let wide = Rect::from_min_size(Pos2::ZERO, vec2(900.0, 400.0));
        let tall = Rect::from_min_size(Pos2::ZERO, vec2(400.0, 900.0));
        for (space, difference) in [(wide, false), (wide, true), (tall, false), (tall, true)] {
            let side = Side {
                difference,
                ..Side::default()
            };
            let places = &side.places(space)[..if difference { 3 } else { 2 }];
            for (i, place) in places.iter().enumerate() {
                assert!(space.contains_rect(*place) && place.is_positive());
                for other in &places[i + 1..] {
                    assert!(!place.intersects(*other));
                }
            }
        }
    }
}
