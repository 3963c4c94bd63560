//! Pictures as they come, decoded only if they have the size of the world's.

use std::io::Cursor;

use driftless_serve::protocol::PictureFormat;
use image::{ImageFormat, ImageReader, Limits};

/// Memory that a decoder may take beyond a few pictures, in bytes.
const MORE: u64 = 1 << 20;

/// Decodes a picture to u8 RGB `[H, W, 3]`.
///
/// # Errors
/// Returns what is wrong with it: another size, or damaged bytes.
pub fn decode(
    format: PictureFormat,
    bytes: &[u8],
    [height, width]: [usize; 2],
) -> Result<Vec<u8>, String> {
    let expected = height * width * 3;
    let known = match format {
        PictureFormat::Raw if bytes.len() == expected => return Ok(bytes.to_vec()),
        PictureFormat::Raw => {
            let found = bytes.len();
            return Err(format!(
                "a picture of {found} bytes, expected {expected} of {width}×{height}"
            ));
        }
        PictureFormat::Jpeg => ImageFormat::Jpeg,
        PictureFormat::Png => ImageFormat::Png,
        PictureFormat::WebP => ImageFormat::WebP,
    };
    let mut reader = ImageReader::with_format(Cursor::new(bytes), known);
    let mut limits = Limits::default();
    limits.max_image_width = Some(width as u32);
    limits.max_image_height = Some(height as u32);
    limits.max_alloc = Some(4 * expected as u64 + MORE);
    reader.limits(limits);
    let damaged = |e: image::ImageError| {
        let what = e.to_string().replace('\n', " ");
        format!("a damaged picture, expected {width}×{height}: {what}")
    };
    let picture = reader.decode().map_err(damaged)?.into_rgb8();
    let found = picture.dimensions();
    if found != (width as u32, height as u32) {
        return Err(format!(
            "a picture of {}×{}, expected {width}×{height}",
            found.0, found.1
        ));
    }
    Ok(picture.into_raw())
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::RgbImage;
    use rand::rngs::StdRng;
    use rand::{Rng as _, SeedableRng as _};

    fn encoded(format: ImageFormat, width: u32, height: u32) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let picture = RgbImage::from_pixel(width, height, image::Rgb([200, 30, 90]));
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    #[test]
    fn pictures_of_the_right_size_are_decoded() {
        let png = encoded(ImageFormat::Png, 16, 12);
        let rgb = decode(PictureFormat::Png, &png, [12, 16]).unwrap();
        assert_eq!((rgb.len(), &rgb[..3]), (16 * 12 * 3, &[200, 30, 90][..]));
        assert_eq!(decode(PictureFormat::Raw, &rgb, [12, 16]).unwrap(), rgb);
        let webp = encoded(ImageFormat::WebP, 16, 12);
        assert_eq!(decode(PictureFormat::WebP, &webp, [12, 16]).unwrap(), rgb);
        let jpeg = encoded(ImageFormat::Jpeg, 16, 12);
        assert_eq!(
            decode(PictureFormat::Jpeg, &jpeg, [12, 16]).unwrap().len(),
            rgb.len()
        );
    }

    #[test]
    fn others_are_refused() {
        let png = encoded(ImageFormat::Png, 16, 12);
        let mut cut = png.clone();
        cut.truncate(png.len() / 2);
        for (format, bytes, size, expected) in [
            (PictureFormat::Png, &png, [16, 16], "16×12, expected 16×16"),
            (PictureFormat::Png, &png, [6, 8], "expected 8×6"),
            (PictureFormat::Jpeg, &png, [12, 16], "damaged"),
            (PictureFormat::Png, &cut, [12, 16], "damaged"),
            (PictureFormat::Raw, &png, [12, 16], "expected 576 of 16×12"),
            (PictureFormat::Png, &Vec::new(), [12, 16], "damaged"),
        ] {
            let error = decode(format, bytes, size).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }

    #[test]
    fn mutated_pictures_never_panic() {
        let mut rng = StdRng::seed_from_u64(5);
        let pictures = [
            (PictureFormat::Png, encoded(ImageFormat::Png, 16, 12)),
            (PictureFormat::Jpeg, encoded(ImageFormat::Jpeg, 16, 12)),
            (PictureFormat::WebP, encoded(ImageFormat::WebP, 16, 12)),
        ];
        for _ in 0..2000 {
            let (format, bytes) = &pictures[rng.random_range(0..pictures.len())];
            let mut bytes = bytes.clone();
            for _ in 0..rng.random_range(1..5) {
                let at = rng.random_range(0..bytes.len());
                bytes[at] = rng.random();
            }
            bytes.truncate(rng.random_range(0..=bytes.len()));
            if let Ok(rgb) = decode(*format, &bytes, [12, 16]) {
                assert_eq!(rgb.len(), 12 * 16 * 3);
            }
        }
    }
}
