//! What is sent to a player.

use std::time::Instant;

use driftless_engine::Outcome;
use driftless_sim::Frame;

use crate::Result;
use crate::pictures::encode;
use crate::protocol::{FrameFlags, FrameHeader, PictureFormat};

/// A message to a player.
#[derive(Debug)]
pub enum Outgoing {
    /// JSON.
    Text(String),
    /// A frame.
    Frame(Vec<u8>),
}

/// How a frame is sent.
pub struct Sent {
    /// Its number among those sent.
    pub frame: u32,
    /// The input that it is the first to reflect, and when that came.
    pub input: Option<(Instant, u32)>,
    /// The format of its pictures.
    pub format: PictureFormat,
    /// Whether the game is paused.
    pub paused: bool,
    /// Height and width.
    pub size: [usize; 2],
    /// Axes of the world.
    pub axes: usize,
}

/// A frame as bytes: header, picture, and the true picture if there is one.
///
/// # Errors
/// Returns an error if a picture cannot be encoded.
pub fn message(frame: &Frame, sent: &Sent) -> Result<Vec<u8>> {
    let size = sent.size.map(|side| side as u32);
    let rgb = frame.image.bytes().unwrap_or_default();
    let picture = encode(sent.format, rgb, size)?;
    let truth = match &frame.comparison {
        Some(truth) => encode(sent.format, truth, size)?,
        None => Vec::new(),
    };
    let ended = frame.prediction.outcome.is_some_and(Outcome::ends);
    let waited = |(at, _): (Instant, u32)| at.elapsed().as_secs_f32() * 1e3;
    let header = FrameHeader {
        format: sent.format,
        flags: FrameFlags {
            paused: sent.paused,
            ended,
            truth: !truth.is_empty(),
        },
        frame: sent.frame,
        number: frame.number as u32,
        branch: frame.position.branch,
        index: frame.position.index as u32,
        input: sent.input.map_or(0, |(_, number)| number),
        waited_ms: sent.input.map_or(0.0, waited),
        made_ms: frame.timing.stages.total().as_secs_f32() * 1e3,
        score: frame.prediction.score,
        size: [size[1] as u16, size[0] as u16],
        picture: picture.len() as u32,
        action: frame.action,
        axes: sent.axes as u8,
        seed: frame.params.seed,
        clip: frame.clip as u32,
        outcome: frame.prediction.outcome.map(|o| [o.reward, o.end]),
    };
    let mut bytes = header.to_bytes();
    bytes.reserve(picture.len() + truth.len());
    bytes.extend(picture);
    bytes.extend(truth);
    Ok(bytes)
}
