//! Loads the first frames of an image, an animated GIF or a video at a given size and frame rate.

use std::fs::File;
use std::io::{BufReader, Cursor};
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageReader, Limits};

use super::import::frame_resampler::FrameResampler;
use super::import::video_decoder;
use crate::{Error, PathError as _, Result};

/// Extensions of still images.
pub const IMAGE_EXTENSIONS: [&str; 3] = ["png", "jpg", "jpeg"];
/// Extensions of videos, which ffmpeg decodes.
pub const VIDEO_EXTENSIONS: [&str; 5] = ["mp4", "mkv", "webm", "mov", "avi"];

/// Longest accepted side of an image in pixels.
const MAX_SIDE: u32 = 16_384;

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

/// Pushes a still image, rotated as its metadata says.
fn read_image(path: &Path, frames: &mut FrameResampler) -> Result<()> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let mut reader = reader.map_err(|e| Error::io(path, e))?;
    reader.limits(limits());
    let decode = || {
        let mut decoder = reader.into_decoder()?;
        let orientation = decoder.orientation()?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(image)
    };
    let image = decode().map_err(|e| decode_error(path, &e))?;
    push_image(image, path, frames)
}

/// Samples a GIF at `fps`: each output frame is the one on display at its time.
fn read_gif(path: &Path, frames: &mut FrameResampler, fps: f32, max_frames: usize) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
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
            push_image(image, path, frames)?;
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

fn push_image(image: DynamicImage, path: &Path, frames: &mut FrameResampler) -> Result<()> {
    let image = image.into_rgb8();
    let size = [image.height() as usize, image.width() as usize];
    if size.contains(&0) {
        return Err(Error::invalid(path, "holds no pixels"));
    }
    frames.push(size, image.as_raw());
    Ok(())
}

/// Decodes an image file in memory.
pub(crate) fn decode_image(bytes: &[u8]) -> image::ImageResult<DynamicImage> {
    let mut reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format()?;
    reader.limits(limits());
    reader.decode()
}

/// Decoder limits: the default memory, and a longest side.
fn limits() -> Limits {
    let mut limits = Limits::default();
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
    use std::process::Command;

    use image::codecs::gif::GifEncoder;
    use image::{Delay, Frame, Rgb, RgbImage, RgbaImage};

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
