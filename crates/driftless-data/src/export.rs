//! Exports an episode as an animated GIF, an MP4 (through ffmpeg), a folder of PNGs, or an `.npz`.
//!
//! Output is written under a temporary name next to its target and renamed once it is complete.

use std::io::{BufWriter, Cursor, Write};
use std::path::Path;
use std::process::Stdio;

use image::codecs::gif::{GifEncoder, Repeat};
use image::imageops::{FilterType, resize};
use image::{Delay, RgbImage};
use tempfile::NamedTempFile;

use super::Episode;
use super::ffmpeg::Ffmpeg;
use super::staging::StagingFolder;
use crate::fs::{check_new, check_target, create_file, replace_file, temporary_file_for};
use crate::layout::EPISODE_EXTENSION;
use crate::{Error, PathError as _, Result};

/// Suggested when ffmpeg is missing.
const FFMPEG_ALTERNATIVE: &str = "export a .gif instead";

/// The output format, chosen by the file extension.
enum ExportFormat {
    Npz,
    Gif,
    Mp4,
    PngFolder,
}

impl ExportFormat {
    /// # Errors
    /// Returns an error if the extension is of no format, and the path not of a folder.
    fn of(path: &Path) -> Result<Self> {
        let name = path.as_os_str().as_encoded_bytes();
        let folder =
            name.ends_with(b"/") || name.ends_with(std::path::MAIN_SEPARATOR_STR.as_bytes());
        if folder || path.is_dir() {
            return Ok(Self::PngFolder);
        }
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        match extension.to_ascii_lowercase().as_str() {
            EPISODE_EXTENSION => Ok(Self::Npz),
            "gif" => Ok(Self::Gif),
            "mp4" => Ok(Self::Mp4),
            "" if name != b"-" => Ok(Self::PngFolder),
            PNG_FOLDER_EXTENSION => Ok(Self::PngFolder),
            _ => {
                let what = "expected the extension .gif, .mp4 or .npz, or a folder for PNG files, whose name \
                            ends in /";
                Err(Error::invalid(path, what))
            }
        }
    }
}

/// Extension that a folder of PNGs may have.
pub const PNG_FOLDER_EXTENSION: &str = "frames";

/// Writes an episode in the format of the path's extension: `.gif`, `.mp4`, `.npz`, or a folder of PNGs,
/// which must be new or empty, for a path that ends in `/` or has no extension. A file that exists is
/// replaced.
///
/// `scale` is an integer enlargement of the images (not of an `.npz`), `fps` the playback rate of a
/// `.gif` or `.mp4`.
///
/// # Errors
/// Returns an error if the episode has no frames, `scale` or `fps` is out of range, the extension is
/// unknown, the output cannot be written, the folder is not empty, or an `.mp4` is requested and ffmpeg is missing or
/// fails.
pub fn write(episode: &Episode, path: &Path, scale: u32, fps: f32) -> Result<()> {
    write_with_progress(episode, path, scale, fps, true, &mut |_| true)
}

/// Like [`write()`], with progress and cancellation, and `overwrite` says whether a file that exists is
/// replaced: `progress` is called with the number of frames
/// done, before each frame and after the last, and returns whether to continue. A cancelled export
/// leaves nothing behind, and an existing file unchanged.
///
/// # Errors
/// As [`write()`], [`Error::Interrupted`] if `progress` returned `false`, and one that says under which
/// name the file is if another has appeared in its place.
pub fn write_with_progress(
    episode: &Episode,
    path: &Path,
    scale: u32,
    fps: f32,
    overwrite: bool,
    progress: &mut dyn FnMut(usize) -> bool,
) -> Result<()> {
    let format = ExportFormat::of(path)?;
    if !(fps > 0.0 && fps <= 1000.0) {
        let what = format!("fps is {fps}, expected above 0 and at most 1000");
        return Err(Error::Argument(what));
    }
    if episode.frames() == 0 {
        return Err(Error::Empty("the episode has no frames".into()));
    }
    let mut frames = FrameExport {
        episode,
        scale,
        overwrite,
        done: 0,
        progress,
    };
    match format {
        ExportFormat::Npz => write_npz(&mut frames, path),
        ExportFormat::Gif => write_gif(&mut frames, path, fps),
        ExportFormat::Mp4 => write_mp4(&mut frames, path, fps),
        ExportFormat::PngFolder => write_folder(&mut frames, path),
    }
}

/// Checks what can be checked before there are frames to [`write()`].
///
/// # Errors
/// Returns an error if the extension is unknown, a file exists and is not to be replaced, the output folder is
/// not empty, the folder of the output is missing or not writable, there is a device, a pipe or a folder in its
/// place, or an `.mp4` is requested without ffmpeg.
pub fn check(path: &Path, overwrite: bool) -> Result<()> {
    let format = ExportFormat::of(path)?;
    if matches!(format, ExportFormat::PngFolder) {
        return StagingFolder::check(path);
    }
    if !overwrite {
        check_new(path)?;
    }
    check_target(path)?;
    if matches!(format, ExportFormat::Mp4) {
        let ffmpeg = Ffmpeg::start(path, FFMPEG_ALTERNATIVE, |command| {
            command.arg("-version");
        })?;
        ffmpeg.finish(path)?;
    }
    Ok(())
}

/// An export in progress.
struct FrameExport<'a> {
    episode: &'a Episode,
    scale: u32,
    overwrite: bool,
    /// Frames done so far.
    done: usize,
    progress: &'a mut dyn FnMut(usize) -> bool,
}

impl FrameExport<'_> {
    /// Calls `write_frame` with each enlarged frame.
    fn for_each_frame(
        &mut self,
        mut write_frame: impl FnMut(usize, RgbImage) -> Result<()>,
    ) -> Result<()> {
        for t in 0..self.episode.frames() {
            self.report(t)?;
            write_frame(t, enlarged_frame(self.episode, t, self.scale)?)?;
        }
        self.report(self.episode.frames())
    }

    /// Puts the finished file in its place.
    fn place(&self, file: NamedTempFile, path: &Path) -> Result<()> {
        if self.overwrite {
            replace_file(file, path)
        } else {
            create_file(file, path)
        }
    }

    /// Reports that `done` frames are done.
    ///
    /// # Errors
    /// Returns [`Error::Interrupted`] if the caller cancels the export.
    fn report(&mut self, done: usize) -> Result<()> {
        self.done = done;
        if (self.progress)(done) {
            Ok(())
        } else {
            Err(Error::Interrupted)
        }
    }
}

/// Longest side of an exported image in pixels.
const MAX_SIDE: u32 = 16_384;

/// Frame `t`, enlarged `scale` times.
fn enlarged_frame(episode: &Episode, t: usize, scale: u32) -> Result<RgbImage> {
    let side = |side: usize| u32::try_from(side).unwrap_or(u32::MAX);
    let (width, height) = (side(episode.width), side(episode.height));
    let frame = RgbImage::from_raw(width, height, episode.frame(t).to_vec())
        .ok_or_else(|| Error::Shape(format!("frame {t} is not {height}×{width} RGB")))?;
    let enlarged = width.checked_mul(scale).zip(height.checked_mul(scale));
    match enlarged {
        Some((w, h)) if scale >= 1 && w.max(h) <= MAX_SIDE => {
            Ok(resize(&frame, w, h, FilterType::Nearest))
        }
        _ => Err(Error::Argument(format!(
            "scale {scale} is out of range, expected at least 1 and at most {MAX_SIDE} pixels a side"
        ))),
    }
}

fn write_npz(export: &mut FrameExport, path: &Path) -> Result<()> {
    export.report(0)?;
    let bytes = export.episode.to_npz(path)?.into_bytes()?;
    export.report(export.episode.frames())?;
    let mut file = temporary_file_for(path)?;
    file.as_file_mut()
        .write_all(&bytes)
        .map_err(|e| Error::io(path, e))?;
    export.place(file, path)
}

/// Delay after frame `t` in hundredths of a second, the unit of a GIF. Rounded so that the error
/// does not accumulate; at least 2, because viewers replace shorter delays.
fn gif_delay(t: usize, fps: f32) -> u32 {
    let at = |t: usize| (100.0 * t as f64 / f64::from(fps)).round();
    (at(t + 1) - at(t)).max(2.0) as u32
}

fn write_gif(export: &mut FrameExport, path: &Path, fps: f32) -> Result<()> {
    let gif_error = |e: image::ImageError| Error::invalid(path, format!("GIF: {e}"));
    let mut file = temporary_file_for(path)?;
    let mut bytes = BufWriter::new(file.as_file_mut());
    {
        let mut encoder = GifEncoder::new_with_speed(&mut bytes, 10);
        encoder.set_repeat(Repeat::Infinite).map_err(gif_error)?;
        export.for_each_frame(|t, image| {
            let delay = Delay::from_numer_denom_ms(10 * gif_delay(t, fps), 1);
            let frame = image::DynamicImage::from(image).into_rgba8();
            let frame = image::Frame::from_parts(frame, 0, 0, delay);
            encoder.encode_frame(frame).map_err(gif_error)
        })?;
    }
    bytes.flush().map_err(|e| Error::io(path, e))?;
    drop(bytes);
    export.place(file, path)
}

fn write_folder(export: &mut FrameExport, folder: &Path) -> Result<()> {
    let staging = StagingFolder::new(folder)?;
    export.for_each_frame(|t, image| {
        let path = staging.path().join(format!("{t:06}.png"));
        let mut bytes = Cursor::new(Vec::new());
        image
            .write_to(&mut bytes, image::ImageFormat::Png)
            .map_err(|e| Error::invalid(&path, format!("PNG: {e}")))?;
        // Not through a `BufWriter` that is dropped: it would swallow the error of a full disk.
        std::fs::write(&path, bytes.get_ref()).map_err(|e| Error::io(&path, e))
    })?;
    staging.finish()
}

/// Pipes raw frames through ffmpeg.
fn write_mp4(export: &mut FrameExport, path: &Path, fps: f32) -> Result<()> {
    let first = enlarged_frame(export.episode, 0, export.scale)?;
    let file = temporary_file_for(path)?;
    let size = format!("{}x{}", first.width(), first.height());
    let mut ffmpeg = Ffmpeg::start(path, FFMPEG_ALTERNATIVE, |command| {
        command
            .args(["-y", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", &size])
            .args(["-r", &fps.to_string(), "-i", "-", "-pix_fmt", "yuv420p"])
            .args(["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-f", "mp4"])
            .arg(file.path())
            .stdin(Stdio::piped());
    })?;
    let mut input = ffmpeg.child.stdin.take();
    let mut pipe_broken = false;
    let result = export.for_each_frame(|_, image| {
        let input = input
            .as_mut()
            .map_or(Ok(()), |input| input.write_all(image.as_raw()));
        pipe_broken = input.is_err();
        input.map_err(|e| Error::io(path, e))
    });
    drop(input);
    if pipe_broken {
        // Ctrl-C stops ffmpeg, too; otherwise its own message explains the failure best.
        export.report(export.done)?;
        ffmpeg.finish(path)?;
        return result;
    }
    result?;
    ffmpeg.finish(path)?;
    export.place(file, path)
}

#[cfg(test)]
#[path = "export_tests.rs"]
mod tests;
