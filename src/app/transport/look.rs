//! How pictures with any number of channels are drawn.

use driftless_data::cells::false_colours;
use eframe::egui::ColorImage;

/// Which channels are drawn, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Look {
    /// Whether each channel is drawn.
    pub shown: Vec<bool>,
    /// Grey levels of the brightest channel instead of a colour for each.
    pub greys: bool,
}

impl Look {
    /// All channels in false colours.
    pub fn new(channels: usize) -> Self {
        Self {
            shown: vec![true; channels],
            greys: false,
        }
    }

    /// Pictures, u8 [.., C], as RGB, u8 [.., 3].
    pub fn rgb(&self, pictures: &[u8]) -> Vec<u8> {
        let channels = self.shown.len().max(1);
        let pixels = pictures.chunks_exact(channels);
        if self.greys {
            let grey = |pixel: &[u8]| {
                let shown = pixel.iter().zip(&self.shown).filter(|(_, shown)| **shown);
                shown.map(|(value, _)| *value).max().unwrap_or_default()
            };
            return pixels.flat_map(|pixel| [grey(pixel); 3]).collect();
        }
        let masked: Vec<u8> = pixels
            .flat_map(|pixel| pixel.iter().zip(&self.shown))
            .map(|(value, shown)| if *shown { *value } else { 0 })
            .collect();
        false_colours(&masked, channels)
    }

    /// A picture, u8 [H, W, C], to be drawn.
    pub fn image(&self, picture: &[u8], [height, width]: [usize; 2]) -> ColorImage {
        let rgb = self.rgb(picture);
        if rgb.len() == height * width * 3 {
            ColorImage::from_rgb([width, height], &rgb)
        } else {
            ColorImage::default()
        }
    }
}

/// The picture at a transport time between states at equal distances from τ = 0 to 1.
pub(super) fn between(states: &[Vec<u8>], tau: f32) -> Vec<u8> {
    let Some(last) = states.len().checked_sub(1) else {
        return Vec::new();
    };
    let place = tau.clamp(0.0, 1.0) * last as f32;
    let before = (place as usize).min(last);
    let after = (before + 1).min(last);
    let share = place - before as f32;
    let pairs = states[before].iter().zip(&states[after]);
    let blend =
        |(a, b): (&u8, &u8)| (f32::from(*a) * (1.0 - share) + f32::from(*b) * share).round();
    pairs.map(|pair| blend(pair) as u8).collect()
}

/// Root mean square difference of two pictures, as a share of white.
pub(super) fn rms(a: &[u8], b: &[u8]) -> f64 {
    let squares = a
        .iter()
        .zip(b)
        .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2));
    (squares.sum::<f64>() / a.len().min(b.len()).max(1) as f64).sqrt() / 255.0
}
