//! A frame as it is sent: a header of 68 bytes, the axes of the world, then one or two pictures.
//!
//! All numbers are little endian:
//!
//! | offset | type | |
//! |---:|---|---|
//! | 0 | u8 | version, 2 |
//! | 1 | u8 | format of the pictures: 0 RGB, 1 JPEG, 2 PNG |
//! | 2 | u8 | flags: 1 paused, 2 the episode has ended, 4 a true frame follows the predicted one |
//! | 3 | u8 | number of axes, at most 16 |
//! | 4 | u32 | number of the frame among those sent, for the acknowledgement |
//! | 8 | u32 | frames since the start |
//! | 12 | u32 | branch |
//! | 16 | u32 | index in the branch |
//! | 20 | u32 | the input that this frame is the first to reflect; 0 for none |
//! | 24 | f32 | ms from that input's arrival until the frame was ready to be sent |
//! | 28 | f32 | ms that the frame took to make |
//! | 32 | f32 | predicted score since the start |
//! | 36 | u16, u16 | width, height |
//! | 40 | u32 | bytes of the predicted picture; the rest is the true one |
//! | 44 | u32 | the action that led to the frame |
//! | 48 | u64 | the seed of its noise |
//! | 56 | u32 | the starting clip |
//! | 60, 64 | f32, f32 | predicted reward, and probability of an end; NaN where nothing is predicted |
//! | 68 | f32 each | where the axes were |

use driftless_data::{Action, MAX_AXES};

use super::VERSION;

/// Bytes of the header without axes.
pub const HEADER_BYTES: usize = 68;

/// How a picture is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PictureFormat {
    /// u8 RGB `[H, W, 3]`.
    Raw = 0,
    /// JPEG.
    Jpeg = 1,
    /// PNG.
    Png = 2,
    /// WebP, without loss.
    WebP = 3,
}

impl PictureFormat {
    /// All formats, by their number.
    pub const ALL: [Self; 4] = [Self::Raw, Self::Jpeg, Self::Png, Self::WebP];
}

/// What is true of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FrameFlags {
    /// The game is paused.
    pub paused: bool,
    /// The episode has ended.
    pub ended: bool,
    /// The true frame follows the predicted one.
    pub truth: bool,
}

/// What comes before the pictures of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameHeader {
    /// How the pictures are encoded.
    pub format: PictureFormat,
    /// What is true of it.
    pub flags: FrameFlags,
    /// Counts the frames sent to this player.
    pub frame: u32,
    /// Frames since the start.
    pub number: u32,
    /// Where the frame lies in the history.
    pub branch: u32,
    /// Where the frame lies in its branch.
    pub index: u32,
    /// The input that this frame is the first to reflect; 0 for none.
    pub input: u32,
    /// Milliseconds from the input's arrival until the frame was ready.
    pub waited_ms: f32,
    /// Milliseconds that the frame took to make.
    pub made_ms: f32,
    /// Predicted score since the start.
    pub score: f32,
    /// Width and height in pixels.
    pub size: [u16; 2],
    /// Bytes of the predicted picture.
    pub picture: u32,
    /// What led to the frame.
    pub action: Action,
    /// Axes of the world.
    pub axes: u8,
    /// The seed of the frame's noise.
    pub seed: u64,
    /// Index of the starting clip.
    pub clip: u32,
    /// Predicted reward, and the probability that the episode ends; `None` where nothing is predicted.
    pub outcome: Option<[f32; 2]>,
}

impl FrameHeader {
    /// The header as bytes, axes included.
    pub fn to_bytes(&self) -> Vec<u8> {
        let flags = u8::from(self.flags.paused)
            | u8::from(self.flags.ended) << 1
            | u8::from(self.flags.truth) << 2;
        let mut bytes = vec![VERSION as u8, self.format as u8, flags, self.axes];
        let [reward, end] = self.outcome.unwrap_or([f32::NAN; 2]);
        let words = [
            self.frame,
            self.number,
            self.branch,
            self.index,
            self.input,
            self.waited_ms.to_bits(),
            self.made_ms.to_bits(),
            self.score.to_bits(),
            u32::from(self.size[0]) | u32::from(self.size[1]) << 16,
            self.picture,
            self.action.index,
            self.seed as u32,
            (self.seed >> 32) as u32,
            self.clip,
            reward.to_bits(),
            end.to_bits(),
        ];
        let axes = self.action.axes.iter().take(usize::from(self.axes));
        let words = words.into_iter().chain(axes.map(|value| value.to_bits()));
        bytes.extend(words.flat_map(u32::to_le_bytes));
        bytes
    }

    /// Reads a frame: the header, the predicted picture, and the true one, which may be empty. `None` if it has
    /// another version or another form.
    pub fn parse(bytes: &[u8]) -> Option<(Self, &[u8], &[u8])> {
        let &[version, format, flags, axes] = bytes.first_chunk()?;
        let known = u32::from(version) == VERSION && flags < 8 && usize::from(axes) <= MAX_AXES;
        if !known {
            return None;
        }
        let length = HEADER_BYTES + 4 * usize::from(axes);
        let (header, rest) = bytes.split_at_checked(length)?;
        let word = |at: usize| {
            let bytes = header.get(at..at + 4)?.try_into().ok()?;
            Some(u32::from_le_bytes(bytes))
        };
        let number = |at| word(at).map(f32::from_bits);
        let size = word(36)?;
        let mut action = Action::from(word(44)?);
        for (i, value) in action.axes[..usize::from(axes)].iter_mut().enumerate() {
            *value = number(HEADER_BYTES + 4 * i)?;
        }
        let outcome = [number(60)?, number(64)?];
        let parsed = Self {
            format: *PictureFormat::ALL.get(usize::from(format))?,
            flags: FrameFlags {
                paused: flags & 1 != 0,
                ended: flags & 2 != 0,
                truth: flags & 4 != 0,
            },
            frame: word(4)?,
            number: word(8)?,
            branch: word(12)?,
            index: word(16)?,
            input: word(20)?,
            waited_ms: number(24)?,
            made_ms: number(28)?,
            score: number(32)?,
            size: [size as u16, (size >> 16) as u16],
            picture: word(40)?,
            action,
            axes,
            seed: u64::from(word(48)?) | u64::from(word(52)?) << 32,
            clip: word(56)?,
            outcome: outcome.iter().all(|v| !v.is_nan()).then_some(outcome),
        };
        let (picture, truth) = rest.split_at_checked(parsed.picture as usize)?;
        (truth.is_empty() != parsed.flags.truth).then_some((parsed, picture, truth))
    }
}
