//! Frames as files that people look at: a GIF, a folder of PNGs, or an MP4 (through ffmpeg).
//!
//! Whatever is written lies under a temporary name beside its target until it is complete.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::Stdio;

use image::codecs::gif::{GifEncoder, Repeat};
use image::imageops::{FilterType, resize};
use image::{Delay, RgbImage};

use super::Episode;
use super::ffmpeg::Ffmpeg;
use super::staging::Staging;
use crate::PathError as _;
use crate::fs::{put_in_place, temporary_beside};
use crate::{Error, Result};

/// What can be done where there is no ffmpeg.
const WITHOUT_FFMPEG: &str = "a .gif needs nothing";

/// What a name asks for.
enum Form {
    Npz,
    Gif,
    Mp4,
    Folder,
}

impl Form {
    fn of(path: &Path) -> Self {
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match extension.to_ascii_lowercase().as_str() {
            "npz" => Self::Npz,
            "gif" => Self::Gif,
            "mp4" => Self::Mp4,
            _ => Self::Folder,
        }
    }
}

/// Writes an episode as what the name asks for: `.gif`, `.mp4`, `.npz`, or else a folder of PNGs,
/// new or empty.
///
/// `scale` enlarges pictures by whole pixels (the `.npz` stays as it is), `fps` is the pace of
/// moving ones.
///
/// # Errors
/// The scale or the pace is out of its range, the file cannot be written, or the folder holds
/// something; for `.mp4` also where there is no ffmpeg.
pub fn write(episode: &Episode, path: &Path, scale: u32, fps: f32) -> Result<()> {
    write_while(episode, path, scale, fps, &mut |_| true)
}

/// The same, as long as `watch` says so: it is called with the frames done, before each and after
/// the last, and returns whether to go on. Given up, nothing is left behind, and what was there
/// before stays as it was.
///
/// # Errors
/// As [`write`]; [`Error::Interrupted`] where `watch` gave it up.
pub fn write_while(
    episode: &Episode,
    path: &Path,
    scale: u32,
    fps: f32,
    watch: &mut dyn FnMut(usize) -> bool,
) -> Result<()> {
    if !(fps > 0.0 && fps <= 1000.0) {
        let what = format!("{fps} frames a second: expected above 0, at most 1000");
        return Err(Error::Argument(what));
    }
    if episode.frames() == 0 {
        return Err(Error::Argument("there are no frames to write".into()));
    }
    let mut frames = Frames {
        episode,
        scale,
        at: 0,
        watch,
    };
    match Form::of(path) {
        Form::Npz => write_npz(&mut frames, path),
        Form::Gif => write_gif(&mut frames, path, fps),
        Form::Mp4 => write_mp4(&mut frames, path, fps),
        Form::Folder => write_folder(&mut frames, path),
    }
}

/// Whether [`write()`] could do that, as far as it can be known before there are frames.
///
/// # Errors
/// The folder to write holds something, or there is no ffmpeg for an `.mp4`.
pub fn check(path: &Path) -> Result<()> {
    match Form::of(path) {
        Form::Npz | Form::Gif => Ok(()),
        Form::Mp4 => Ffmpeg::start(path, WITHOUT_FFMPEG, |command| {
            command.arg("-version");
        })?
        .finish(path),
        Form::Folder => Staging::check(path),
    }
}

/// The frames of an episode on their way to a file.
struct Frames<'a> {
    episode: &'a Episode,
    scale: u32,
    /// How many are done.
    at: usize,
    watch: &'a mut dyn FnMut(usize) -> bool,
}

impl Frames<'_> {
    /// Hands each frame over, enlarged.
    fn each(&mut self, mut put: impl FnMut(usize, RgbImage) -> Result<()>) -> Result<()> {
        for t in 0..self.episode.frames() {
            self.done(t)?;
            put(t, picture(self.episode, t, self.scale)?)?;
        }
        self.done(self.episode.frames())
    }

    /// Says that so many are done.
    fn done(&mut self, frames: usize) -> Result<()> {
        self.at = frames;
        match (self.watch)(frames) {
            true => Ok(()),
            false => Err(Error::Interrupted),
        }
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

fn write_npz(frames: &mut Frames, path: &Path) -> Result<()> {
    frames.done(0)?;
    let file = frames.episode.packed(path)?;
    frames.done(frames.episode.frames())?;
    file.save()
}

/// GIF counts hundredths of a second: the delay after frame `t`, so that the whole keeps its pace.
/// Players take less than two for a mistake.
fn hundredths(t: usize, fps: f32) -> u32 {
    let at = |t: usize| (100.0 * t as f64 / f64::from(fps)).round();
    (at(t + 1) - at(t)).max(2.0) as u32
}

fn write_gif(frames: &mut Frames, path: &Path, fps: f32) -> Result<()> {
    let wrong = |e: image::ImageError| Error::invalid(path, format!("GIF: {e}"));
    let mut file = temporary_beside(path)?;
    let mut bytes = BufWriter::new(&mut file);
    {
        let mut encoder = GifEncoder::new_with_speed(&mut bytes, 10);
        encoder.set_repeat(Repeat::Infinite).map_err(wrong)?;
        frames.each(|t, picture| {
            let delay = Delay::from_numer_denom_ms(10 * hundredths(t, fps), 1);
            let frame = image::DynamicImage::from(picture).into_rgba8();
            let frame = image::Frame::from_parts(frame, 0, 0, delay);
            encoder.encode_frame(frame).map_err(wrong)
        })?;
    }
    bytes.flush().map_err(|e| Error::io(path, e))?;
    drop(bytes);
    put_in_place(file, path)
}

fn write_folder(frames: &mut Frames, folder: &Path) -> Result<()> {
    let staging = Staging::new(folder)?;
    frames.each(|t, picture| {
        let path = staging.path().join(format!("{t:06}.png"));
        picture.save(&path).map_err(|e| match e {
            image::ImageError::IoError(e) => Error::io(&path, e),
            e => Error::invalid(&path, format!("PNG: {e}")),
        })
    })?;
    staging.finish()
}

/// Feeds raw frames to ffmpeg.
fn write_mp4(frames: &mut Frames, path: &Path, fps: f32) -> Result<()> {
    let first = picture(frames.episode, 0, frames.scale)?;
    let file = temporary_beside(path)?;
    let size = format!("{}x{}", first.width(), first.height());
    let mut ffmpeg = Ffmpeg::start(path, WITHOUT_FFMPEG, |command| {
        command
            .args(["-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size])
            .args(["-r", &fps.to_string(), "-i", "-", "-pix_fmt", "yuv420p"])
            .args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-f", "mp4"])
            .arg(file.path())
            .stdin(Stdio::piped());
    })?;
    let mut input = ffmpeg.child.stdin.take();
    let mut stopped = false;
    let fed = frames.each(|_, picture| {
        let input = input
            .as_mut()
            .map_or(Ok(()), |input| input.write_all(picture.as_raw()));
        stopped = input.is_err();
        input.map_err(|e| Error::io(path, e))
    });
    drop(input);
    if stopped {
        // Ctrl-C reaches it, too. Else its own message says why, where it has one.
        frames.done(frames.at)?;
        ffmpeg.finish(path)?;
        return fed;
    }
    fed?;
    ffmpeg.finish(path)?;
    put_in_place(file, path)
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
