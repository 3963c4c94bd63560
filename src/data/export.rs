//! Frames as files that people look at: a GIF, a folder of PNGs, or an MP4 (through ffmpeg).

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use image::codecs::gif::{GifEncoder, Repeat};
use image::imageops::{FilterType, resize};
use image::{Delay, RgbImage};

use super::Episode;
use super::ffmpeg::Ffmpeg;
use crate::model::checkpoint::write_atomic;
use crate::{Error, Result};

/// Writes an episode as what the name asks for: `.gif`, `.mp4`, `.npz`, or else a folder of PNGs.
///
/// `scale` enlarges pictures by whole pixels (the `.npz` stays as it is), `fps` is the pace of
/// moving ones.
///
/// # Errors
/// The file cannot be written; for `.mp4` also where there is no ffmpeg.
pub fn write(episode: &Episode, path: &Path, scale: u32, fps: f32) -> Result<()> {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("npz") => episode.write(path),
        Some("gif") => write_gif(episode, path, scale, fps),
        Some("mp4") => write_mp4(episode, path, scale, fps),
        _ => write_folder(episode, path, scale),
    }
}

/// Frame `t`, enlarged.
fn picture(episode: &Episode, t: usize, scale: u32) -> Result<RgbImage> {
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let (width, height) = (side(episode.width), side(episode.height));
    let frame = RgbImage::from_raw(width, height, episode.frame(t).to_vec())
        .ok_or_else(|| Error::Argument(format!("frame {t} is not {height}×{width} RGB")))?;
    let enlarged = width.checked_mul(scale).zip(height.checked_mul(scale));
    match enlarged {
        Some((w, h)) if scale >= 1 && w.max(h) <= 16_384 => {
            Ok(resize(&frame, w, h, FilterType::Nearest))
        }
        _ => Err(Error::Argument(format!(
            "scale {scale} is out of range, expected at least 1 and sides of at most 16384 pixels"
        ))),
    }
}

fn write_gif(episode: &Episode, path: &Path, scale: u32, fps: f32) -> Result<()> {
    let wrong = |e: image::ImageError| Error::invalid(path, format!("GIF: {e}"));
    let mut bytes = Vec::new();
    {
        let mut encoder = GifEncoder::new_with_speed(&mut bytes, 10);
        encoder.set_repeat(Repeat::Infinite).map_err(wrong)?;
        // GIF counts hundredths of a second.
        let delay = Delay::from_numer_denom_ms((1000.0 / fps).round().max(20.0) as u32, 1);
        for t in 0..episode.frames() {
            let frame = image::DynamicImage::from(picture(episode, t, scale)?).into_rgba8();
            let frame = image::Frame::from_parts(frame, 0, 0, delay);
            encoder.encode_frame(frame).map_err(wrong)?;
        }
    }
    write_atomic(path, &bytes)
}

fn write_folder(episode: &Episode, folder: &Path, scale: u32) -> Result<()> {
    std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
    for t in 0..episode.frames() {
        let path = folder.join(format!("{t:06}.png"));
        let mut bytes = std::io::Cursor::new(Vec::new());
        picture(episode, t, scale)?
            .write_to(&mut bytes, image::ImageFormat::Png)
            .map_err(|e| Error::invalid(&path, format!("PNG: {e}")))?;
        write_atomic(&path, &bytes.into_inner())?;
    }
    Ok(())
}

/// Feeds raw frames to ffmpeg, which writes beside the target; the result is then renamed.
fn write_mp4(episode: &Episode, path: &Path, scale: u32, fps: f32) -> Result<()> {
    let first = picture(episode, 0, scale)?;
    let partial = path.with_extension("partial.mp4");
    let size = format!("{}x{}", first.width(), first.height());
    let mut ffmpeg = Ffmpeg::start(path, "a .gif needs nothing", |command| {
        command
            .args(["-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size])
            .args(["-r", &fps.to_string(), "-i", "-", "-pix_fmt", "yuv420p"])
            .args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2"])
            .arg(&partial)
            .stdin(Stdio::piped());
    })?;
    if let Some(mut input) = ffmpeg.child.stdin.take() {
        for t in 0..episode.frames() {
            // Where ffmpeg stops early, its own message below says why.
            if input
                .write_all(picture(episode, t, scale)?.as_raw())
                .is_err()
            {
                break;
            }
        }
    }
    if let Err(error) = ffmpeg.finish(path) {
        let _ = std::fs::remove_file(&partial);
        return Err(error);
    }
    std::fs::rename(&partial, path).map_err(|e| Error::io(path, e))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use image::AnimationDecoder;

    use super::*;

    /// Two frames of 2×1: red and green, then blue and black.
    fn episode() -> Episode {
        Episode {
            height: 1,
            width: 2,
            images: vec![255, 0, 0, 0, 255, 0, 0, 0, 255, 0, 0, 0],
            actions: vec![0, 1],
            rewards: vec![0.0; 2],
            extras: BTreeMap::new(),
        }
    }

    #[test]
    fn a_folder_of_pictures_shows_every_frame_enlarged() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("pictures");
        write(&episode(), &out, 3, 15.0).unwrap();
        let second = image::open(out.join("000001.png")).unwrap().into_rgb8();
        assert_eq!(second.dimensions(), (6, 3));
        assert_eq!(second.get_pixel(2, 2).0, [0, 0, 255]);
        assert_eq!(second.get_pixel(3, 0).0, [0, 0, 0]);
        assert_eq!(std::fs::read_dir(out).unwrap().count(), 2);
    }

    #[test]
    fn a_gif_holds_the_frames_at_their_pace() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("clip.gif");
        write(&episode(), &path, 4, 10.0).unwrap();
        let file = std::io::BufReader::new(std::fs::File::open(path).unwrap());
        let frames = image::codecs::gif::GifDecoder::new(file)
            .unwrap()
            .into_frames();
        let frames: Vec<_> = frames.collect_frames().unwrap();
        assert_eq!(frames.len(), 2);
        assert_eq!(frames[0].delay().numer_denom_ms(), (100, 1));
        assert_eq!(frames[1].buffer().dimensions(), (8, 4));
        assert_eq!(frames[0].buffer().get_pixel(1, 1).0, [255, 0, 0, 255]);
    }

    #[test]
    fn a_scale_of_nothing_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let error = write(&episode(), &folder.path().join("x.gif"), 0, 15.0).unwrap_err();
        assert!(error.to_string().contains("scale 0"), "{error}");
    }
}
