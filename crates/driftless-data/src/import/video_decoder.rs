//! Decodes and resizes the frames of a video with ffmpeg.

use std::ffi::OsString;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::frame_resampler::FrameResampler;
use crate::ffmpeg::{self, Ffmpeg};
use crate::fs::open_source;
use crate::{Error, PathError as _, Result};

/// What an input file may be. Playlists are not among them: they would have ffmpeg open other files.
const CONTAINERS: &str =
    "mov,matroska,webm,avi,gif,mpegts,mpeg,mpegvideo,flv,ogg,asf,ivf,h264,hevc,m4v,mjpeg,apng";
/// Longest complaint of ffmpeg that is passed on, in characters.
const MAX_COMPLAINT: usize = 160;
/// Frames further apart than this many times the usual distance, or closer than its inverse, make the
/// pace of a video vary.
const PACE_TOLERANCE: f64 = 1.5;

/// Pushes every frame of a video to `frames`, area-averaged to its size. Returns a remark if ffmpeg
/// complained about the file.
///
/// # Errors
/// Returns an error if the file or ffmpeg is missing, or ffmpeg cannot decode the file.
pub fn read(path: &Path, frames: &mut FrameResampler) -> Result<Option<String>> {
    let mut stream = VideoStream::open(path, frames.size())?;
    while stream.push_next(frames)? {}
    stream.finish()
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
    let options = ["-frames:v".to_owned(), max_frames.to_string()];
    let alternative = "install it, or use an image or a .gif";
    let filter = format!("fps={fps},");
    let mut stream = VideoStream::start(path, frames.size(), &filter, &options, alternative)?;
    while stream.push_next(frames)? {}
    stream.finish().map(drop)
}

/// A video that is being decoded, frame by frame.
pub struct VideoStream {
    path: PathBuf,
    ffmpeg: Ffmpeg,
    /// Height and width that frames are scaled to.
    size: [usize; 2],
    /// The frame last read.
    frame: Vec<u8>,
    /// Frames read or passed over so far.
    position: usize,
}

impl VideoStream {
    /// Starts to decode every frame of a video, whatever its time, area-averaged to `size`.
    ///
    /// # Errors
    /// Returns an error if the file or ffmpeg is missing.
    pub fn open(path: &Path, size: [usize; 2]) -> Result<Self> {
        let alternative = "install it, or import images (--from images)";
        Self::start(path, size, "", &[], alternative)
    }

    /// Starts ffmpeg with `filter` in front of the scaling; `output_options` are passed on, and
    /// `alternative` is suggested if ffmpeg is missing.
    fn start(
        path: &Path,
        size @ [height, width]: [usize; 2],
        filter: &str,
        output_options: &[String],
        alternative: &str,
    ) -> Result<Self> {
        open_source(path)?;
        let filter =
            format!("{filter}scale={width}:{height}:flags=area+accurate_rnd+full_chroma_int");
        let ffmpeg = Ffmpeg::start(path, alternative, |command| {
            // `V` leaves covers out, which come first in some files.
            command
                .args(["-format_whitelist", CONTAINERS, "-i"])
                .arg(input_argument(path))
                .args(["-map", "0:V:0", "-vf", &filter])
                .args(ffmpeg::every_frame_once())
                .args(output_options)
                .args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"])
                .stdout(Stdio::piped());
        })?;
        Ok(Self {
            path: path.to_path_buf(),
            ffmpeg,
            size,
            frame: vec![0; height * width * 3],
            position: 0,
        })
    }

    /// The file.
    #[cfg_attr(
        not(feature = "parquet"),
        allow(dead_code, reason = "read for LeRobot")
    )]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of frames read or passed over.
    #[cfg_attr(
        not(feature = "parquet"),
        allow(dead_code, reason = "read for LeRobot")
    )]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Passes over the next frame; `false` at the end.
    ///
    /// # Errors
    /// Returns an error if ffmpeg's output cannot be read.
    pub fn skip_next(&mut self) -> Result<bool> {
        let Some(output) = &mut self.ffmpeg.child.stdout else {
            return Ok(false);
        };
        let read = read_frame(output, &mut self.frame).map_err(|e| Error::io(&self.path, e))?;
        self.position += usize::from(read);
        Ok(read)
    }

    /// Pushes the next frame to `frames`; `false` at the end.
    ///
    /// # Errors
    /// As [`VideoStream::skip_next`].
    pub fn push_next(&mut self, frames: &mut FrameResampler) -> Result<bool> {
        let read = self.skip_next()?;
        if read {
            frames.push(self.size, &self.frame);
        }
        Ok(read)
    }

    /// Waits for ffmpeg to end after the last frame. Returns a remark if it complained about the file.
    ///
    /// # Errors
    /// Returns an error if ffmpeg failed or the video has no frames.
    pub fn finish(self) -> Result<Option<String>> {
        let complaint = self.ffmpeg.finish(&self.path)?;
        if self.position == 0 {
            let what = "holds no frames, expected a video";
            return Err(Error::invalid(&self.path, what));
        }
        let mut shown: String = complaint.chars().take(MAX_COMPLAINT).collect();
        if shown.len() < complaint.len() {
            shown.push('…');
        }
        let remark = "it may be cut off or damaged; ffmpeg says:";
        Ok((!shown.is_empty()).then(|| format!("{remark} {shown}")))
    }
}

/// A remark if the frames of a video are not equally far apart in time; none if that cannot be told.
pub fn remark_on_pace(path: &Path) -> Option<String> {
    let mut times = frame_times(path)?;
    times.sort_by(f64::total_cmp);
    let mut gaps: Vec<f64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    gaps.sort_by(f64::total_cmp);
    let usual = gaps.get(gaps.len() / 2).copied()?;
    let (shortest, longest) = (*gaps.first()?, *gaps.last()?);
    let varies = longest > usual * PACE_TOLERANCE || shortest * PACE_TOLERANCE < usual;
    varies.then(|| {
        format!(
            "its pace varies: frames come {shortest:.3} to {longest:.3} s after one another, and are taken as \
             equally far apart"
        )
    })
}

/// The time of every frame of a video in seconds, in the order of the file, without decoding it.
fn frame_times(path: &Path) -> Option<Vec<f64>> {
    let mut ffmpeg = Ffmpeg::start(path, "", |command| {
        command
            .args(["-format_whitelist", CONTAINERS, "-i"])
            .arg(input_argument(path))
            .args(["-map", "0:V:0", "-c", "copy", "-f", "framecrc", "-"])
            .stdout(Stdio::piped());
    })
    .ok()?;
    let mut text = String::new();
    let output = ffmpeg.child.stdout.take()?;
    BufReader::new(output).read_to_string(&mut text).ok()?;
    ffmpeg.finish(path).ok()?;
    parse_frame_times(&text)
}

/// The presentation times in the output of ffmpeg's `framecrc`: a line `#tb 0: 1/15360`, the unit of
/// time, and one line `stream, dts, pts, duration, size, checksum` per frame.
fn parse_frame_times(text: &str) -> Option<Vec<f64>> {
    let unit = text.lines().find_map(|line| line.strip_prefix("#tb 0:"))?;
    let (numerator, denominator) = unit.trim().split_once('/')?;
    let unit = numerator.parse::<f64>().ok()? / denominator.parse::<f64>().ok()?;
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| Some(row.split(',').nth(2)?.trim().parse::<f64>().ok()? * unit))
        .collect()
}

/// The argument of `-i`. The explicit protocol keeps ffmpeg from parsing one out of the file name.
fn input_argument(path: &Path) -> OsString {
    let mut input = OsString::from("file:");
    input.push(path);
    input
}

/// Fills `frame` with the next frame; `false` at the end of the stream.
fn read_frame(input: &mut impl Read, frame: &mut [u8]) -> std::io::Result<bool> {
    match input.read_exact(frame) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::UnexpectedEof => Ok(false),
        Err(e) => Err(e),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_from_framecrc() {
        let text = "#software: x\n#tb 0: 1/1000\n#media_type 0: video\n\
            0, -33, 0, 33, 9, 0x0\n0, 0, 66, 33, 9, 0x0\n0, 33, 33, 33, 9, 0x0, S=1, 8\n";
        assert_eq!(parse_frame_times(text).unwrap(), [0.0, 0.066, 0.033]);
        assert!(parse_frame_times("0, 0, 0, 1, 9, 0x0\n").is_none());
        let unknown = "#tb 0: 1/25\n0, 0, NOPTS, 1, 9, 0x0\n";
        assert!(parse_frame_times(unknown).is_none());
    }
}
