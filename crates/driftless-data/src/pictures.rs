//! The first frames of a picture, an animated GIF or a video, at a world's size and pace.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::codecs::gif::GifDecoder;
use image::{AnimationDecoder, DynamicImage, ImageDecoder, ImageReader, Limits};

use super::import::film::Film;
use super::import::video;
use crate::PathError as _;
use crate::{Error, Result};

/// Files that are read here.
pub const PICTURES: [&str; 3] = ["png", "jpg", "jpeg"];
/// Files that are read through ffmpeg.
pub const VIDEOS: [&str; 5] = ["mp4", "mkv", "webm", "mov", "avi"];

/// Longest side of a picture in pixels.
const LONGEST: u32 = 16_384;

/// A frame of an animation without a duration is shown so long, as browsers do.
const UNTIMED_MS: f64 = 100.0;

/// Reads up to `most` frames, u8 RGB `[T, H, W, 3]`, area-averaged to the height and width `size`;
/// moving ones `fps` a second, from the first on.
///
/// # Errors
/// The file is missing, of another kind, broken, or a video where there is no ffmpeg.
pub fn first(path: &Path, size: [usize; 2], fps: f32, most: usize) -> Result<Vec<u8>> {
    let mut film = Film::new(size, 1);
    let kind = path.extension().unwrap_or_default().to_string_lossy();
    let kind = kind.to_lowercase();
    match kind.as_str() {
        "gif" => animation(path, &mut film, fps, most)?,
        kind if PICTURES.contains(&kind) => picture(path, &mut film)?,
        kind if VIDEOS.contains(&kind) => video::read_first(path, &mut film, fps, most)?,
        _ => {
            let what = format!(
                "neither a picture nor a film, expected .{}, .gif or .{}",
                PICTURES.join(", ."),
                VIDEOS.join(", .")
            );
            return Err(Error::invalid(path, what));
        }
    }
    Ok(film.into_images())
}

/// Frames u8 RGB `[T, H, W, 3]` of the height and width `from`, area-averaged to those of `to`.
pub fn resized(images: &[u8], from: [usize; 2], to: [usize; 2]) -> Vec<u8> {
    let mut film = Film::new(to, 1);
    for frame in images.chunks_exact((from[0] * from[1] * 3).max(1)) {
        film.push(from, frame);
    }
    film.into_images()
}

/// Shows a picture to `film`, turned as its file says.
fn picture(path: &Path, film: &mut Film) -> Result<()> {
    let reader = ImageReader::open(path).and_then(ImageReader::with_guessed_format);
    let mut reader = reader.map_err(|e| Error::io(path, e))?;
    reader.limits(limits());
    let read = || {
        let mut decoder = reader.into_decoder()?;
        let orientation = decoder.orientation()?;
        let mut image = DynamicImage::from_decoder(decoder)?;
        image.apply_orientation(orientation);
        Ok(image)
    };
    let image = read().map_err(|e| unreadable(path, &e))?;
    show(image, path, film)
}

/// Shows an animation to `film`, `most` frames at most: at every moment of a frame what is seen then.
fn animation(path: &Path, film: &mut Film, fps: f32, most: usize) -> Result<()> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let wrong = |e: image::ImageError| unreadable(path, &e);
    let mut decoder = GifDecoder::new(BufReader::new(file)).map_err(wrong)?;
    decoder.set_limits(limits()).map_err(wrong)?;
    let mut ends = 0.0;
    for frame in decoder.into_frames() {
        let frame = frame.map_err(wrong)?;
        let (numerator, denominator) = frame.delay().numer_denom_ms();
        let shown = f64::from(numerator) / f64::from(denominator.max(1));
        ends += if shown > 0.0 { shown } else { UNTIMED_MS };
        let image = DynamicImage::from(frame.into_buffer());
        let next = |film: &Film| film.seen() as f64 * 1000.0 / f64::from(fps);
        if next(film) < ends {
            show(image, path, film)?;
            while next(film) < ends && film.seen() < most {
                film.again();
            }
        }
        if film.seen() >= most {
            break;
        }
    }
    match film.seen() {
        0 => Err(Error::invalid(path, "holds no frames, expected some")),
        _ => Ok(()),
    }
}

fn show(image: DynamicImage, path: &Path, film: &mut Film) -> Result<()> {
    let image = image.into_rgb8();
    let size = [image.height() as usize, image.width() as usize];
    if size.contains(&0) {
        return Err(Error::invalid(path, "holds no pixels"));
    }
    film.push(size, image.as_raw());
    Ok(())
}

/// Beside the memory that decoders may take by default.
fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST);
    limits.max_image_height = Some(LONGEST);
    limits
}

fn unreadable(path: &Path, error: &image::ImageError) -> Error {
    Error::invalid(path, format!("not a picture that can be read: {error}"))
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

    /// Frames of 2×2 pixels, each of one grey that a palette holds exactly, and how long they stay.
    fn gif(path: &Path, frames: &[(u8, u32)]) {
        let mut encoder = GifEncoder::new(File::create(path).unwrap());
        for &(grey, ms) in frames {
            let image = RgbaImage::from_pixel(2, 2, [grey, grey, grey, 255].into());
            let frame = Frame::from_parts(image, 0, 0, Delay::from_numer_denom_ms(ms, 1));
            encoder.encode_frame(frame).unwrap();
        }
    }

    #[test]
    fn a_picture_is_one_frame_of_the_wanted_size() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.PNG");
        let halves = RgbImage::from_fn(4, 2, |x, _| Rgb([if x < 2 { 10 } else { 200 }; 3]));
        halves
            .save_with_format(&path, image::ImageFormat::Png)
            .unwrap();
        assert_eq!(first(&path, [1, 2], 15.0, 9).unwrap(), grey(&[10, 200]));
        let large = first(&path, [2, 8], 15.0, 9).unwrap();
        assert_eq!(large.len(), 2 * 8 * 3);
        assert_eq!(large[..3], [10; 3]);
    }

    #[test]
    fn a_jpeg_is_read_by_either_of_its_names() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["a.jpg", "a.jpeg"] {
            let path = folder.path().join(name);
            RgbImage::from_pixel(16, 16, Rgb([120; 3]))
                .save(&path)
                .unwrap();
            let frame = first(&path, [1, 1], 15.0, 1).unwrap();
            assert!(frame.iter().all(|value| value.abs_diff(120) < 3));
        }
    }

    #[test]
    fn an_animation_comes_at_the_pace_of_the_world() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gif");
        // 100 ms of each; a world of 20 frames a second sees each twice, one of 5 every other.
        gif(&path, &[(0, 100), (255, 100), (0, 100), (255, 100)]);
        let seen = |fps, most| first(&path, [1, 1], fps, most).unwrap();
        assert_eq!(seen(20.0, 5), grey(&[0, 0, 255, 255, 0]));
        assert_eq!(seen(5.0, 9), grey(&[0, 0]));
        assert_eq!(seen(10.0, 9), grey(&[0, 255, 0, 255]));
    }

    #[test]
    fn a_frame_without_a_duration_stays_for_a_tenth_of_a_second() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.gif");
        gif(&path, &[(0, 0), (255, 0)]);
        let seen = first(&path, [1, 1], 20.0, 9).unwrap();
        assert_eq!(seen, grey(&[0, 0, 255, 255]));
    }

    #[test]
    fn a_video_comes_at_the_pace_of_the_world_through_ffmpeg() {
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
        for (most, expected) in [(9, &[20, 200, 110][..]), (2, &[20, 200])] {
            let seen = first(&path, [1, 1], 10.0, most).unwrap();
            assert_eq!(seen.len(), expected.len() * 3);
            for (seen, expected) in seen.chunks(3).zip(expected) {
                assert!(seen[0].abs_diff(*expected) < 12, "{seen:?} {expected}");
            }
        }
    }

    #[test]
    fn what_is_no_picture_is_named_with_what_was_expected() {
        let folder = tempfile::tempdir().unwrap();
        let complaint = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = first(&path, [2, 2], 15.0, 2).unwrap_err();
            error.to_string()
        };
        let said = complaint("a.txt", b"words");
        assert!(said.contains("a.txt") && said.contains(".png"), "{said}");
        for name in ["a.png", "a.jpg", "a.gif"] {
            let said = complaint(name, b"no picture at all");
            assert!(
                said.contains(name) && said.contains("not a picture"),
                "{said}"
            );
        }
        let missing = first(&folder.path().join("b.png"), [2, 2], 15.0, 2);
        assert!(matches!(missing, Err(Error::Io { .. })));
    }
}
