//! Decodes and resizes the frames of a video with ffmpeg.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use super::frame_resampler::FrameResampler;
use crate::ffmpeg::Ffmpeg;
use crate::{Error, PathError as _, Result};

/// Pushes every frame of a video to `frames`, area-averaged to its size.
///
/// # Errors
/// Returns an error if the file or ffmpeg is missing, or ffmpeg cannot decode the file.
pub fn read(path: &Path, frames: &mut FrameResampler) -> Result<()> {
    // Renumber the timestamps, so that ffmpeg neither drops nor repeats frames.
    let alternative = "install it, or import images (--from images)";
    decode(path, frames, "settb=1/25,setpts=N", &[], alternative)
}

/// Pushes the first `max_frames` frames of a video, sampled at `fps` frames per second.
///
/// # Errors
/// As [`read`].
pub fn read_first(
    path: &Path,
    frames: &mut FrameResampler,
    fps: f32,
    max_frames: usize,
) -> Result<()> {
    let filter = format!("fps={fps},settb=1/25,setpts=N");
    let options = ["-frames:v".to_owned(), max_frames.to_string()];
    let alternative = "install it, or use an image or a .gif";
    decode(path, frames, &filter, &options, alternative)
}

/// Pushes the frames of a video, filtered in time by `filter`. `output_options` are passed to
/// ffmpeg; `alternative` is suggested if it is missing.
fn decode(
    path: &Path,
    frames: &mut FrameResampler,
    filter: &str,
    output_options: &[String],
    alternative: &str,
) -> Result<()> {
    std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    let [height, width] = frames.size();
    let filter = format!("{filter},scale={width}:{height}:flags=area+accurate_rnd+full_chroma_int");
    // The explicit protocol keeps ffmpeg from parsing one out of the file name.
    let mut input = OsString::from("file:");
    input.push(path);
    let mut ffmpeg = Ffmpeg::start(path, alternative, |command| {
        command
            .arg("-i")
            .arg(&input)
            .args(["-map", "0:v:0", "-vf", &filter, "-r", "25"])
            .args(output_options)
            .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
            .stdout(Stdio::piped());
    })?;
    let mut frame = vec![0; height * width * 3];
    if let Some(output) = &mut ffmpeg.child.stdout {
        while read_frame(output, &mut frame).map_err(|e| Error::io(path, e))? {
            frames.push([height, width], &frame);
        }
    }
    ffmpeg.finish(path)?;
    if frames.received() == 0 {
        return Err(Error::invalid(path, "holds no frames, expected a video"));
    }
    Ok(())
}

/// Fills `frame` with the next frame; `false` at the end of the stream.
fn read_frame(input: &mut impl Read, frame: &mut [u8]) -> std::io::Result<bool> {
    match input.read_exact(frame) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}
