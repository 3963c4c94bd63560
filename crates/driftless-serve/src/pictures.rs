//! Pictures as they are sent, and the format that suits the link.

use std::time::Duration;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::{CompressionType, FilterType, PngEncoder};
use image::codecs::webp::WebPEncoder;
use image::{ExtendedColorType, ImageEncoder as _};

use crate::protocol::{PictureFormat, Pictures};
use crate::{Error, Result};

/// Of 100; chroma is not subsampled at this quality by the encoder that is used.
const JPEG_QUALITY: u8 = 88;

/// Encodes a picture, u8 RGB `[H, W, 3]`.
///
/// # Errors
/// Returns an error if the bytes do not fit the size.
pub fn encode(format: PictureFormat, rgb: &[u8], [height, width]: [u32; 2]) -> Result<Vec<u8>> {
    let (found, expected) = (rgb.len(), height as usize * width as usize * 3);
    if found != expected {
        // The encoders panic.
        return Err(Error::PictureSize { found, expected });
    }
    let mut bytes = Vec::new();
    let colour = ExtendedColorType::Rgb8;
    match format {
        PictureFormat::Raw => bytes.extend_from_slice(rgb),
        PictureFormat::Jpeg => JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY)
            .write_image(rgb, width, height, colour)?,
        PictureFormat::Png => {
            PngEncoder::new_with_quality(&mut bytes, CompressionType::Fast, FilterType::Adaptive)
                .write_image(rgb, width, height, colour)?;
        }
        PictureFormat::WebP => {
            WebPEncoder::new_lossless(&mut bytes).write_image(rgb, width, height, colour)?;
        }
    }
    Ok(bytes)
}

/// Chooses the format of a player's pictures.
#[derive(Clone, Copy, Debug)]
pub struct PictureChoice {
    wanted: Pictures,
    slow: bool,
    /// Mean time from sending a frame until its acknowledgement, in seconds.
    round_trip: f32,
}

/// How much of the mean a new round trip is.
const NEW: f32 = 0.125;
/// Round trips beyond which a link is slow, and below which it is fast again, in seconds.
const SLOW: f32 = 0.25;
const FAST: f32 = 0.1;

impl PictureChoice {
    /// For a player who wants this; links are fast until they show otherwise.
    pub fn new(wanted: Pictures) -> Self {
        Self {
            wanted,
            slow: false,
            round_trip: 0.0,
        }
    }

    /// Changes what the player wants.
    pub fn set_wanted(&mut self, wanted: Pictures) {
        self.wanted = wanted;
    }

    /// Counts the time from sending a frame until its acknowledgement.
    pub fn acknowledged(&mut self, after: Duration) {
        self.round_trip += NEW * (after.as_secs_f32() - self.round_trip);
        if self.round_trip > SLOW {
            self.slow = true;
        } else if self.round_trip < FAST {
            self.slow = false;
        }
    }

    /// The format of the next picture.
    pub fn format(&self) -> PictureFormat {
        match self.wanted {
            Pictures::Raw => PictureFormat::Raw,
            Pictures::Jpeg => PictureFormat::Jpeg,
            Pictures::Png => PictureFormat::Png,
            Pictures::WebP => PictureFormat::WebP,
            Pictures::Auto if self.slow => PictureFormat::Jpeg,
            Pictures::Auto => PictureFormat::Png,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gradient() -> Vec<u8> {
        (0..12 * 16)
            .flat_map(|at| [at as u8, 255 - at as u8, 90])
            .collect()
    }

    #[test]
    fn pictures_come_back() {
        let rgb = gradient();
        for format in PictureFormat::ALL {
            let bytes = encode(format, &rgb, [12, 16]).unwrap();
            if format == PictureFormat::Raw {
                assert_eq!(bytes, rgb);
                continue;
            }
            let read = image::load_from_memory(&bytes).unwrap().into_rgb8();
            assert_eq!(read.dimensions(), (16, 12));
            let off = |(a, b): (&u8, &u8)| a.abs_diff(*b);
            let most = read.iter().zip(&rgb).map(off).max().unwrap();
            let allowed = if format == PictureFormat::Jpeg { 40 } else { 0 };
            assert!(most <= allowed, "{format:?}: {most}");
        }
        for format in PictureFormat::ALL {
            assert!(encode(format, &rgb, [13, 16]).is_err());
        }
    }

    #[test]
    fn slow_links_get_jpeg_until_they_are_fast() {
        let mut choice = PictureChoice::new(Pictures::Auto);
        assert_eq!(choice.format(), PictureFormat::Png);
        let mut after = |seconds: f32| {
            for _ in 0..100 {
                choice.acknowledged(Duration::from_secs_f32(seconds));
            }
            choice.format()
        };
        assert_eq!(after(0.2), PictureFormat::Png);
        assert_eq!(after(0.5), PictureFormat::Jpeg);
        // In between, it stays as it is.
        assert_eq!(after(0.2), PictureFormat::Jpeg);
        assert_eq!(after(0.05), PictureFormat::Png);
        choice.set_wanted(Pictures::Raw);
        assert_eq!(choice.format(), PictureFormat::Raw);
    }
}
