//! Loads the first frames of an image, an animated GIF or a video at a given size and frame rate.

use std::io::{BufReader, Cursor};
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::metadata::Orientation;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageReader, Limits, Rgb, RgbImage};

use super::import::frame_resampler::FrameResampler;
use super::import::video_decoder;
use crate::fs::{open_source, read_source};
use crate::{Error, PathError as _, Result};

/// Extensions of still images.
pub const IMAGE_EXTENSIONS: [&str; 5] = ["png", "jpg", "jpeg", "webp", "bmp"];
/// Extensions of videos, which ffmpeg decodes.
pub const VIDEO_EXTENSIONS: [&str; 5] = ["mp4", "mkv", "webm", "mov", "avi"];

/// Largest accepted file of a still image in bytes.
pub(crate) const MAX_IMAGE_FILE: u64 = 256 << 20;
/// Longest accepted side of an image in pixels.
const MAX_SIDE: u32 = 16_384;
/// Most memory of a decoded image: 8192×8192 pixels with four bytes each. A file of a few hundred bytes can ask
/// for any size, and decoding holds two or three copies.
const MAX_DECODED: u64 = 256 << 20;

/// Duration of a GIF frame that has none, as in browsers.
const DEFAULT_DELAY_MS: f64 = 100.0;

/// Reads up to `max_frames` frames, u8 RGB `[T, H, W, 3]`, area-averaged to `size` (height, width).
/// A GIF or a video is sampled from its start at `fps` frames per second.
///
/// # Errors
/// Returns an error if the file is missing or corrupt, its extension is not supported, or it is a
/// video and ffmpeg is missing or fails.
pub fn read_frames(path: &Path, size: [usize; 2], fps: f32, max_frames: usize) -> Result<Vec<u8>> {
    let mut frames = FrameResampler::new(size, 1);
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    let extension = extension.to_lowercase();
    match extension.as_str() {
        "gif" => read_gif(path, &mut frames, fps, max_frames)?,
        still if IMAGE_EXTENSIONS.contains(&still) => read_image(path, &mut frames)?,
        video if VIDEO_EXTENSIONS.contains(&video) => {
            video_decoder::read_first(path, &mut frames, fps, max_frames)?;
        }
        _ => {
            let what = format!(
                "not an image or a video, expected .{}, .gif or .{}",
                IMAGE_EXTENSIONS.join(", ."),
                VIDEO_EXTENSIONS.join(", .")
            );
            return Err(Error::invalid(path, what));
        }
    }
    Ok(frames.into_images())
}

/// Resizes u8 RGB frames `[T, H, W, 3]` by area averaging; `from` and `to` are (height, width).
pub fn resize_frames(images: &[u8], from: [usize; 2], to: [usize; 2]) -> Vec<u8> {
    let mut frames = FrameResampler::new(to, 1);
    for frame in images.chunks_exact((from[0] * from[1] * 3).max(1)) {
        frames.push(from, frame);
    }
    frames.into_images()
}

fn read_image(path: &Path, frames: &mut FrameResampler) -> Result<()> {
    let bytes = read_source(path, MAX_IMAGE_FILE)?;
    let image = decode_image(&bytes).map_err(|e| decode_error(path, &e))?;
    push_image(&image, path, frames)
}

/// Samples a GIF at `fps`: each output frame is the one on display at its time.
fn read_gif(path: &Path, frames: &mut FrameResampler, fps: f32, max_frames: usize) -> Result<()> {
    let file = open_source(path)?;
    let decode_error = |e: image::ImageError| decode_error(path, &e);
    let mut decoder = GifDecoder::new(BufReader::new(file)).map_err(decode_error)?;
    decoder.set_limits(limits()).map_err(decode_error)?;
    let mut end_ms = 0.0;
    for frame in decoder.into_frames() {
        let frame = frame.map_err(decode_error)?;
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let delay = f64::from(numerator) / f64::from(denominator.max(1));
        end_ms += if delay > 0.0 { delay } else { DEFAULT_DELAY_MS };
        let image = DynamicImage::from(frame.into_buffer());
        let next_ms = |frames: &FrameResampler| frames.received() as f64 * 1000.0 / f64::from(fps);
        if next_ms(frames) < end_ms {
            push_image(&over_black(image), path, frames)?;
            while next_ms(frames) < end_ms && frames.received() < max_frames {
                frames.repeat_last();
            }
        }
        if frames.received() >= max_frames {
            break;
        }
    }
    if frames.received() == 0 {
        return Err(Error::invalid(
            path,
            "holds no frames, expected at least one",
        ));
    }
    Ok(())
}

fn push_image(image: &RgbImage, path: &Path, frames: &mut FrameResampler) -> Result<()> {
    let size = [image.height() as usize, image.width() as usize];
    if size.contains(&0) {
        return Err(Error::invalid(path, "holds no pixels"));
    }
    frames.push(size, image.as_raw());
    Ok(())
}

/// Decodes an image file in memory as it is meant to be seen: rotated as its metadata says, and laid
/// over black where it is transparent.
pub(crate) fn decode_image(bytes: &[u8]) -> image::ImageResult<RgbImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits());
    let mut decoder = reader.into_decoder()?;
    // Decoders keep to the limits themselves; the image's own memory is not theirs.
    limits().reserve(decoder.total_bytes())?;
    // Metadata that cannot be read does not spoil the picture.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let mut image = DynamicImage::from_decoder(decoder)?;
    image.apply_orientation(orientation);
    Ok(over_black(image))
}

/// The image in RGB, laid over black where it is transparent: what a transparent pixel would show if it
/// were not is arbitrary.
fn over_black(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let rgba = image.into_rgba8();
    RgbImage::from_fn(rgba.width(), rgba.height(), |x, y| {
        let [red, green, blue, alpha] = rgba.get_pixel(x, y).0;
        let scaled = |value: u8| ((u32::from(value) * u32::from(alpha) + 127) / 255) as u8;
        Rgb([red, green, blue].map(scaled))
    })
}

/// Decoder limits: memory, and a longest side.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(MAX_DECODED);
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits
}

fn decode_error(path: &Path, error: &image::ImageError) -> Error {
    Error::invalid(path, format!("not a readable image: {error}"))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;
    use std::process::Command;

    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame, RgbaImage};

    use super::*;
    use crate::{Episode, export};

    fn grey(values: &[u8]) -> Vec<u8> {
        values.iter().flat_map(|&value| [value; 3]).collect()
    }

    /// Writes a GIF of uniform 2×2 frames, given as (grey, delay in ms).
    fn write_gif(path: &Path, frames: &[(u8, u32)]) {
        let mut encoder = GifEncoder::new(File::create(path).unwrap());
        for &(grey, ms) in frames {
            let image = RgbaImage::from_pixel(2, 2, [grey, grey, grey, 255].into());
            let frame = Frame::from_parts(image, 0, 0, Delay::from_numer_denom_ms(ms, 1));
            encoder.encode_frame(frame).unwrap();
        }
    }

    #[test]
    fn image_is_one_resized_frame() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.PNG");
        let halves = RgbImage::from_fn(4, 2, |x, _| Rgb([if x < 2 { 10 } else { 200 }; 3]));
        halves
            .save_with_format(&path, image::ImageFormat::Png)
            .unwrap();
        assert_eq!(
            read_frames(&path, [1, 2], 15.0, 9).unwrap(),
            grey(&[10, 200])
        );
        let large = read_frames(&path, [2, 8], 15.0, 9).unwrap();
        assert_eq!(large.len(), 2 * 8 * 3);
        assert_eq!(large[..3], [10; 3]);
    }

    #[test]
    fn size_without_pixels_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.bmp");
        RgbImage::new(2, 2).save(&path).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        // Width and height.
        for at in [18, 22] {
            bytes[at..at + 4].copy_from_slice(&(MAX_SIDE - 1).to_le_bytes());
        }
        std::fs::write(&path, bytes).unwrap();
        let error = read_frames(&path, [2, 2], 15.0, 1).unwrap_err().to_string();
        assert!(
            error.contains("a.bmp") && error.contains("limit"),
            "{error}"
        );
    }

    #[test]
    fn webp_and_bmp_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.webp", "a.bmp"] {
            let path = folder.path().join(name);
            let image = RgbImage::from_pixel(4, 4, Rgb([10, 20, 30]));
            image.save(&path).unwrap();
            assert_eq!(
                read_frames(&path, [1, 1], 15.0, 1).unwrap(),
                [10, 20, 30],
                "{name}"
            );
        }
    }

    #[test]
    fn transparent_pixels_are_black() {
        let hidden = RgbaImage::from_pixel(2, 1, [255, 0, 255, 0].into());
        let mut half = hidden;
        half.put_pixel(1, 0, [200, 100, 0, 128].into());
        let mut png = Cursor::new(Vec::new());
        half.write_to(&mut png, image::ImageFormat::Png).unwrap();
        let image = decode_image(png.get_ref()).unwrap();
        assert_eq!(image.as_raw()[..], [0, 0, 0, 100, 50, 0]);
    }

    /// A JPEG whose metadata says that its left column is the top of the picture (orientation 6).
    fn turned_jpeg() -> Vec<u8> {
        let image = RgbImage::from_fn(16, 8, |x, _| Rgb([if x < 8 { 0 } else { 255 }; 3]));
        let mut jpeg = Cursor::new(Vec::new());
        image.write_to(&mut jpeg, image::ImageFormat::Jpeg).unwrap();
        let jpeg = jpeg.into_inner();
        let tiff = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let length = (2 + 6 + tiff.len()) as u8;
        [
            &jpeg[..2],
            &[0xff, 0xe1, 0, length],
            b"Exif\0\0",
            tiff,
            &jpeg[2..],
        ]
        .concat()
    }

    #[test]
    fn images_are_rotated_as_their_metadata_says() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jpg");
        std::fs::write(&path, turned_jpeg()).unwrap();
        let image = decode_image(&turned_jpeg()).unwrap();
        assert_eq!(image.dimensions(), (8, 16));
        // The left half of what is stored is the upper half of what is seen.
        let frame = read_frames(&path, [2, 1], 15.0, 1).unwrap();
        assert!(frame[0] < 20 && frame[3] > 235, "{frame:?}");
    }

    #[test]
    fn both_jpeg_extensions_are_read() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "a.jpeg"] {
            let path = folder.path().join(name);
            RgbImage::from_pixel(16, 16, Rgb([120; 3]))
                .save(&path)
                .unwrap();
            let frame = read_frames(&path, [1, 1], 15.0, 1).unwrap();
            assert!(frame.iter().all(|value| value.abs_diff(120) < 3));
        }
    }

    #[test]
    fn gif_is_resampled_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gif");
        // 100 ms each: at 20 fps every frame comes twice, at 5 fps every other one.
        write_gif(&path, &[(0, 100), (255, 100), (0, 100), (255, 100)]);
        let frames = |fps, max_frames| read_frames(&path, [1, 1], fps, max_frames).unwrap();
        assert_eq!(frames(20.0, 5), grey(&[0, 0, 255, 255, 0]));
        assert_eq!(frames(5.0, 9), grey(&[0, 0]));
        assert_eq!(frames(10.0, 9), grey(&[0, 255, 0, 255]));
    }

    #[test]
    fn untimed_gif_frame_lasts_100_ms() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gif");
        write_gif(&path, &[(0, 0), (255, 0)]);
        let frames = read_frames(&path, [1, 1], 20.0, 9).unwrap();
        assert_eq!(frames, grey(&[0, 0, 255, 255]));
    }

    #[test]
    fn video_is_resampled_in_time() {
        if Command::new("ffmpeg").arg("-version").output().is_err() {
            eprintln!("skipped: no ffmpeg");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.mp4");
        let greys = [20, 20, 200, 200, 110, 110];
        let episode = Episode {
            height: 16,
            width: 16,
            images: greys.iter().flat_map(|&g| vec![g; 16 * 16 * 3]).collect(),
            actions: vec![0; 6],
            rewards: vec![0.0; 6],
            extras: BTreeMap::new(),
        };
        export::write(&episode, &path, 1, 20.0).unwrap();
        for (max_frames, expected) in [(9, &[20, 200, 110][..]), (2, &[20, 200])] {
            let frames = read_frames(&path, [1, 1], 10.0, max_frames).unwrap();
            assert_eq!(frames.len(), expected.len() * 3);
            for (frames, expected) in frames.chunks(3).zip(expected) {
                assert!(frames[0].abs_diff(*expected) < 12, "{frames:?} {expected}");
            }
        }
    }

    #[test]
    fn sides_are_limited() {
        let folder = tempfile::tempdir().unwrap();
        for (name, size) in [("a.png", [MAX_SIDE + 1, 1]), ("b.gif", [1, MAX_SIDE + 1])] {
            let path = folder.path().join(name);
            let [width, height] = size;
            RgbImage::new(width, height).save(&path).unwrap();
            let message = read_frames(&path, [1, 1], 15.0, 1).unwrap_err().to_string();
            assert!(
                message.contains(name) && message.contains("not a readable image"),
                "{message}"
            );
        }
        let path = folder.path().join("c.png");
        RgbImage::new(MAX_SIDE, 1).save(&path).unwrap();
        read_frames(&path, [1, 1], 15.0, 1).unwrap();
    }

    #[test]
    fn unreadable_files_are_reported() {
        let folder = tempfile::tempdir().unwrap();
        let error_text = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = read_frames(&path, [2, 2], 15.0, 2).unwrap_err();
            error.to_string()
        };
        let message = error_text("a.txt", b"words");
        assert!(
            message.contains("a.txt") && message.contains(".png"),
            "{message}"
        );
        for name in ["a.png", "a.jpg", "a.gif"] {
            let message = error_text(name, b"not an image");
            assert!(
                message.contains(name) && message.contains("not a readable image"),
                "{message}"
            );
        }
        let missing = read_frames(&folder.path().join("b.png"), [2, 2], 15.0, 2);
        assert!(matches!(missing, Err(Error::Io { .. })));
    }
}
