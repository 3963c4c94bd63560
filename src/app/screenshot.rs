//! The picture of a world as an image of its own.

use std::path::{Path, PathBuf};

use eframe::egui::ColorImage;

use driftless_data::PathError as _;
use driftless_data::fs::write_atomic;

use crate::workspace::paths::{folder_name, unused_file};
use crate::{Error, Result};

/// The shorter side of a picture is enlarged to at least this many pixels.
const MIN_SIDE: usize = 512;

/// The picture, each pixel enlarged by a whole number.
pub(super) fn enlarged(picture: &ColorImage) -> ColorImage {
    let [width, height] = picture.size;
    let factor = MIN_SIDE.div_ceil(width.min(height).max(1)).max(1);
    let mut pixels = Vec::with_capacity(picture.pixels.len() * factor * factor);
    for row in picture.pixels.chunks_exact(width.max(1)) {
        let wide: Vec<_> = row
            .iter()
            .flat_map(|pixel| std::iter::repeat_n(*pixel, factor))
            .collect();
        (0..factor).for_each(|_| pixels.extend_from_slice(&wide));
    }
    ColorImage::new([width * factor, height * factor], pixels)
}

/// Saves the enlarged picture as a PNG named after its world; returns the file.
///
/// # Errors
/// Returns an error if the file cannot be written.
pub(super) fn save(picture: &ColorImage, world: &str, folder: &Path) -> Result<PathBuf> {
    let picture = enlarged(picture);
    let stem = folder_name(world).unwrap_or_else(|_| "picture".into());
    let path = unused_file(folder, &format!("{stem}.png"))?;
    let [width, height] = picture
        .size
        .map(|side| u32::try_from(side).unwrap_or(u32::MAX));
    let rgb = picture
        .pixels
        .iter()
        .flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()]);
    let cannot = |error: &dyn std::fmt::Display| Error::invalid(&path, error.to_string());
    let image = image::RgbImage::from_raw(width, height, rgb.collect())
        .ok_or_else(|| cannot(&"a picture of another size"))?;
    let mut png = std::io::Cursor::new(Vec::new());
    image
        .write_to(&mut png, image::ImageFormat::Png)
        .map_err(|error| cannot(&error))?;
    write_atomic(&path, png.get_ref())?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use eframe::egui::Color32;

    use super::*;

    #[test]
    fn pixels_become_squares() {
        let pixels = vec![Color32::RED, Color32::BLUE];
        let large = enlarged(&ColorImage::new([2, 1], pixels));
        assert_eq!(large.size, [1024, 512]);
        let at = |x: usize, y: usize| large.pixels[y * 1024 + x];
        assert_eq!([at(511, 511), at(512, 0)], [Color32::RED, Color32::BLUE]);
    }

    #[test]
    fn saved_pictures_get_names_of_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let picture = ColorImage::new([2, 2], vec![Color32::GREEN; 4]);
        let first = save(&picture, "Doom: take cover", folder.path()).unwrap();
        let second = save(&picture, "Doom: take cover", folder.path()).unwrap();
        assert_ne!(first, second);
        let read = image::open(&second).unwrap().into_rgb8();
        assert_eq!(read.dimensions(), (512, 512));
        assert_eq!(read.get_pixel(300, 2).0, [0, 255, 0]);
    }
}
