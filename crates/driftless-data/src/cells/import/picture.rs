//! Pictures of microscopes: PNG, TIFF and NPY, with 8 or 16 bit.

use std::io::BufReader;
use std::path::Path;

use image::DynamicImage;
use tiff::decoder::{Decoder, DecodingResult, Limits};

use crate::fs::{open_source, read_source};
use crate::guard::catch_panic;
use crate::npz::read_npy;
use crate::{Error, PathError as _, Result};

/// Largest side of a file's picture.
const MAX_FILE_SIDE: usize = 8192;
/// Largest file.
const MAX_FILE: u64 = 1 << 30;

/// A picture, f32 [H, W, C].
#[derive(Debug)]
pub(super) struct Picture {
    /// Height and width.
    pub size: [usize; 2],
    pub channels: usize,
    values: Vec<f32>,
    /// The largest value that a pixel can have.
    pub white: f32,
}

impl Picture {
    /// Reads a file by its extension.
    ///
    /// # Errors
    /// Returns an error if the file is damaged, or of another kind.
    pub fn read(path: &Path) -> Result<Self> {
        let extension = path.extension().unwrap_or_default().to_ascii_lowercase();
        let read = match extension.to_str() {
            Some("png") => Self::png(path),
            Some("tif" | "tiff") => catch_panic(path, || Self::tiff(path)),
            Some("npy") => Self::npy(path),
            _ => Err(Error::invalid(path, "expected a .png, .tif or .npy file")),
        }?;
        let [height, width] = read.size;
        let sides = 1..=MAX_FILE_SIDE;
        if !sides.contains(&height) || !sides.contains(&width) {
            let what = format!("{height}×{width} pixels, expected sides of 1 to {MAX_FILE_SIDE}");
            return Err(Error::invalid(path, what));
        }
        Ok(read)
    }

    fn png(path: &Path) -> Result<Self> {
        let bytes = read_source(path, MAX_FILE)?;
        let wrong = |e: image::ImageError| Error::invalid(path, e.to_string());
        let mut reader =
            image::ImageReader::with_format(std::io::Cursor::new(bytes), image::ImageFormat::Png);
        let mut limits = image::Limits::default();
        limits.max_image_width = Some(MAX_FILE_SIDE as u32);
        limits.max_image_height = Some(MAX_FILE_SIDE as u32);
        reader.limits(limits);
        let picture = reader.decode().map_err(wrong)?;
        let size = [picture.height() as usize, picture.width() as usize];
        let bytes = |values: &[u8], channels| {
            Self::new(size, channels, values.iter().map(|v| f32::from(*v)), 255.0)
        };
        let words = |values: &[u16], channels| {
            Self::new(
                size,
                channels,
                values.iter().map(|v| f32::from(*v)),
                65535.0,
            )
        };
        Ok(match &picture {
            DynamicImage::ImageLuma8(image) => bytes(image.as_raw(), 1),
            DynamicImage::ImageRgb8(image) => bytes(image.as_raw(), 3),
            DynamicImage::ImageRgba8(image) => bytes(image.as_raw(), 4),
            DynamicImage::ImageLuma16(image) => words(image.as_raw(), 1),
            DynamicImage::ImageRgb16(image) => words(image.as_raw(), 3),
            DynamicImage::ImageRgba16(image) => words(image.as_raw(), 4),
            _ => {
                return Err(Error::invalid(
                    path,
                    "expected grey, RGB or RGBA of 8 or 16 bit",
                ));
            }
        })
    }

    /// A TIFF: samples of a pixel are channels, and so are its pages.
    fn tiff(path: &Path) -> Result<Self> {
        let wrong = |e: tiff::TiffError| Error::invalid(path, e.to_string());
        let file = BufReader::new(open_source(path)?);
        let mut limits = Limits::default();
        limits.decoding_buffer_size = MAX_FILE as usize;
        let mut decoder = Decoder::new(file).map_err(wrong)?.with_limits(limits);
        let mut pages = Vec::new();
        loop {
            let (width, height) = decoder.dimensions().map_err(wrong)?;
            let size = [height as usize, width as usize];
            let (values, white): (Vec<f32>, f32) = match decoder.read_image().map_err(wrong)? {
                DecodingResult::U8(v) => (v.into_iter().map(f32::from).collect(), 255.0),
                DecodingResult::U16(v) => (v.into_iter().map(f32::from).collect(), 65535.0),
                _ => {
                    return Err(Error::invalid(
                        path,
                        "expected unsigned samples of 8 or 16 bit",
                    ));
                }
            };
            let pixels = size[0] * size[1];
            let channels = values.len() / pixels.max(1);
            if pixels == 0 || channels * pixels != values.len() {
                return Err(Error::invalid(
                    path,
                    "expected as many samples in each pixel",
                ));
            }
            pages.push(Self::new(size, channels, values.into_iter(), white));
            if !decoder.more_images() || pages.len() > super::super::MAX_CHANNELS {
                break;
            }
            decoder.next_image().map_err(wrong)?;
        }
        Self::merged(pages)
            .map_err(|(i, what)| Error::invalid(path, format!("page {}: {what}", i + 1)))
    }

    /// An array [H, W], [H, W, C] or [C, H, W]: an axis of at most six is the channels.
    fn npy(path: &Path) -> Result<Self> {
        let array = read_npy(path, MAX_FILE)?;
        let shape = array.shape.clone();
        let white = match array.dtype {
            crate::npz::NpyDtype::Uint(1) => 255.0,
            crate::npz::NpyDtype::Uint(2) => 65535.0,
            _ => {
                let what = format!("dtype is {}, expected uint8 or uint16", array.dtype);
                return Err(Error::invalid(path, what));
            }
        };
        let values = array.to_f32().unwrap_or_default();
        let few = 1..=super::super::MAX_CHANNELS;
        Ok(match shape[..] {
            [h, w] => Self::new([h, w], 1, values.into_iter(), white),
            [h, w, c] if few.contains(&c) => Self::new([h, w], c, values.into_iter(), white),
            [c, h, w] if few.contains(&c) => {
                let each = (0..h * w * c).map(|i| values[i % c * h * w + i / c]);
                Self::new([h, w], c, each, white)
            }
            _ => {
                let what = format!(
                    "shape is {shape:?}, expected [H, W], [H, W, C] or [C, H, W] with at most 6 channels"
                );
                return Err(Error::invalid(path, what));
            }
        })
    }

    fn new(
        size: [usize; 2],
        channels: usize,
        values: impl Iterator<Item = f32>,
        white: f32,
    ) -> Self {
        Self {
            size,
            channels,
            values: values.collect(),
            white,
        }
    }

    /// The channels of all pictures in one, or the index of the first that does not fit and why.
    pub fn merged(mut all: Vec<Self>) -> std::result::Result<Self, (usize, String)> {
        if all.len() == 1
            && let Some(only) = all.pop()
        {
            return Ok(only);
        }
        let first = all.first().ok_or((0, "no picture".to_owned()))?;
        let (size, white) = (first.size, first.white);
        if let Some(i) = all.iter().position(|p| p.size != size || p.white != white) {
            let ([h, w], [fh, fw]) = (all[i].size, size);
            let what = format!(
                "{h}×{w} pixels up to {}, expected {fh}×{fw} up to {white}",
                all[i].white
            );
            return Err((i, what));
        }
        let channels = all.iter().map(|p| p.channels).sum();
        let pixels = 0..size[0] * size[1];
        let pixel = |at: usize| {
            all.iter()
                .flat_map(move |p| &p.values[at * p.channels..(at + 1) * p.channels])
        };
        let values: Vec<f32> = pixels.flat_map(pixel).copied().collect();
        Ok(Self::new(size, channels, values.into_iter(), white))
    }

    /// The values of a channel.
    pub fn channel(&self, channel: usize) -> impl Iterator<Item = f32> + '_ {
        self.values
            .iter()
            .skip(channel)
            .step_by(self.channels)
            .copied()
    }

    /// The picture at a smaller size, area-averaged; says what is wrong if it is not smaller.
    pub fn resized(&self, [height, width]: [usize; 2]) -> std::result::Result<Self, String> {
        let [h, w] = self.size;
        if h < height || w < width {
            return Err(format!("{h}×{w} pixels, expected {height}×{width} or more"));
        }
        let rows = shares(h, height);
        let columns = shares(w, width);
        let mut values = Vec::with_capacity(height * width * self.channels);
        for row in &rows {
            for column in &columns {
                for c in 0..self.channels {
                    let mut sum = 0.0;
                    for (y, share_y) in row {
                        for (x, share_x) in column {
                            sum += share_y * share_x * self.values[(y * w + x) * self.channels + c];
                        }
                    }
                    values.push(sum);
                }
            }
        }
        Ok(Self::new(
            [height, width],
            self.channels,
            values.into_iter(),
            self.white,
        ))
    }

    /// Bytes, [H, W, C], where each channel's range becomes 0 to 255.
    pub fn bytes(&self, ranges: &[[f32; 2]]) -> Vec<u8> {
        let byte = |(i, value): (usize, &f32)| {
            let [low, high] = ranges[i % self.channels];
            (255.0 * (value - low) / (high - low))
                .round()
                .clamp(0.0, 255.0) as u8
        };
        self.values.iter().enumerate().map(byte).collect()
    }
}

/// Of each of `to` equal pieces of `from` pixels: the pixels and their shares.
fn shares(from: usize, to: usize) -> Vec<Vec<(usize, f32)>> {
    let size = from as f32 / to as f32;
    let piece = |i: usize| {
        let (start, end) = (i as f32 * size, (i + 1) as f32 * size);
        let pixels = start.floor() as usize..(end.ceil() as usize).min(from);
        let share = |p: usize| ((p + 1) as f32).min(end) - (p as f32).max(start);
        pixels.map(|p| (p, share(p).max(0.0) / size)).collect()
    };
    (0..to).map(piece).collect()
}
