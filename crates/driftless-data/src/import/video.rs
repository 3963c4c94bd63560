//! The frames of a video file, decoded and shrunk by ffmpeg.

use std::ffi::OsString;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;

use super::film::Film;
use crate::PathError as _;
use crate::ffmpeg::Ffmpeg;
use crate::{Error, Result};

/// Shows every frame of a video to `film`, area-averaged to its size.
///
/// # Errors
/// The file is missing, ffmpeg is, or it cannot decode the file.
pub fn read(path: &Path, film: &mut Film) -> Result<()> {
    // Each decoded frame comes out once: time is counted in frames, whatever the file says.
    let otherwise = "install it, or import pictures (--from images)";
    decode(path, film, "settb=1/25,setpts=N", &[], otherwise)
}

/// Shows the first `most` frames of a video to `film`, at a pace of `fps` frames a second.
///
/// # Errors
/// As of [`read`].
pub fn read_first(path: &Path, film: &mut Film, fps: f32, most: usize) -> Result<()> {
    let pace = format!("fps={fps},settb=1/25,setpts=N");
    let most = ["-frames:v".to_owned(), most.to_string()];
    let otherwise = "install it, or take a picture or a .gif";
    decode(path, film, &pace, &most, otherwise)
}

/// Shows the frames of a video to `film`, after the filter `pace`; `options` are those of ffmpeg's
/// output, and `otherwise` is what can be done without it.
fn decode(
    path: &Path,
    film: &mut Film,
    pace: &str,
    options: &[String],
    otherwise: &str,
) -> Result<()> {
    std::fs::metadata(path).map_err(|e| Error::io(path, e))?;
    let [height, width] = film.size();
    let filter = format!("{pace},scale={width}:{height}:flags=area+accurate_rnd+full_chroma_int");
    // With the protocol in front, no name is taken for another one.
    let mut input = OsString::from("file:");
    input.push(path);
    let mut ffmpeg = Ffmpeg::start(path, otherwise, |command| {
        command
            .arg("-i")
            .arg(&input)
            .args(["-map", "0:v:0", "-vf", &filter, "-r", "25"])
            .args(options)
            .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
            .stdout(Stdio::piped());
    })?;
    let mut frame = vec![0; height * width * 3];
    if let Some(output) = &mut ffmpeg.child.stdout {
        while whole(output, &mut frame).map_err(|e| Error::io(path, e))? {
            film.push([height, width], &frame);
        }
    }
    ffmpeg.finish(path)?;
    match film.seen() {
        0 => Err(Error::invalid(path, "holds no frames, expected a video")),
        _ => Ok(()),
    }
}

/// Reads the next frame; whether there was a whole one.
fn whole(input: &mut impl Read, frame: &mut [u8]) -> std::io::Result<bool> {
    match input.read_exact(frame) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}
