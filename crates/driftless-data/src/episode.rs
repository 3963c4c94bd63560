//! One recorded episode: frames, the action that led to each, rewards, and any further arrays.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::npz::{NpyDtype, NpzReader, NpzWriter};
use crate::layout::array::{
    ACTION, BALL, CAN_START, IMAGE, IS_FIRST, IS_LAST, IS_TERMINAL, REWARD,
};
use crate::{Clip, Error, PathError as _, Result};

/// Arrays with a field of their own; all others are extras.
const STANDARD_ARRAYS: [&str; 5] = [IMAGE, ACTION, REWARD, IS_FIRST, IS_LAST];

/// A further array of an episode, converted to f32.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtraArray {
    /// Lengths of the axes, slowest first; usually `[T]` or `[T, n]`.
    pub shape: Vec<usize>,
    /// The elements, converted to f32 from whatever dtype the file has.
    pub values: Vec<f32>,
}

/// An episode in memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Episode {
    /// Height of the frames in pixels.
    pub height: usize,
    /// Width of the frames in pixels.
    pub width: usize,
    /// u8 RGB, `[T, H, W, 3]`.
    pub images: Vec<u8>,
    /// `[T]`; `actions[t]` led to frame t, `actions[0]` is 0.
    pub actions: Vec<u32>,
    /// `[T]`; zeros if the file has no rewards.
    pub rewards: Vec<f32>,
    /// All other numeric arrays of the file, by name.
    pub extras: BTreeMap<String, ExtraArray>,
}

impl Episode {
    /// Number of frames, T.
    pub fn frames(&self) -> usize {
        self.actions.len()
    }

    /// Frame `t`, `[H, W, 3]`.
    ///
    /// # Panics
    /// Panics if `t` is not below [`Episode::frames`].
    pub fn frame(&self, t: usize) -> &[u8] {
        let length = self.frame_len();
        &self.images[t * length..(t + 1) * length]
    }

    /// Copies the frames in `range`, clamped to the episode.
    pub fn clip(&self, range: Range<usize>) -> Clip {
        let end = range.end.min(self.frames());
        let start = range.start.min(end);
        let length = self.frame_len();
        Clip {
            images: self.images[start * length..end * length].to_vec(),
            actions: self.actions[start..end].to_vec(),
        }
    }

    /// For every frame, 1 if the episode ended there by itself, else 0; `None` if it was not recorded.
    pub fn is_terminal(&self) -> Option<&[f32]> {
        let ends = &self.extras.get(IS_TERMINAL)?.values;
        (ends.len() == self.frames()).then_some(ends)
    }

    /// For every frame, whether it shows what a starting clip should show, a ball in play for example;
    /// `None` if the recording does not tell. Recordings from before [`CAN_START`] tell if they have the
    /// position of a ball: it should be in sight.
    pub fn starting_frames(&self) -> Option<Vec<bool>> {
        let per_frame = |extra: &ExtraArray| extra.values.len() == self.frames();
        if let Some(flags) = self.extras.get(CAN_START).filter(|extra| per_frame(extra)) {
            return Some(flags.values.iter().map(|&flag| flag != 0.0).collect());
        }
        let ball = self.extras.get(BALL)?;
        let width = ball.shape.get(1).copied().unwrap_or(1).max(1);
        let positions = ball.values.chunks_exact(width);
        Some(
            positions
                .map(|position| position.iter().all(|x| x.is_finite()))
                .collect(),
        )
    }

    fn frame_len(&self) -> usize {
        self.height * self.width * 3
    }

    /// Reads an `.npz` file: `image` u8 `[T, H, W, 3]`, `action` i32 or i64 `[T]`, and any further
    /// arrays. Those that are not plain numbers are skipped.
    ///
    /// # Errors
    /// Returns an error if the file is missing, corrupt or not an `.npz`; `image` or `action` is
    /// missing; an array has an unexpected dtype, rank or length; an action is negative; or the
    /// actions are continuous.
    pub fn read(path: &Path) -> Result<Self> {
        let mut file = NpzReader::open(path)?;
        let (images, [frames, height, width]) = read_images(&mut file)?;
        let actions = read_actions(&mut file, frames)?;
        let names = file.names();
        let rewards = if names.iter().any(|name| name == REWARD) {
            read_rewards(&mut file, frames)?
        } else {
            vec![0.0; frames]
        };
        let mut extras = BTreeMap::new();
        for name in names {
            if STANDARD_ARRAYS.contains(&name.as_str()) {
                continue;
            }
            let Ok(array) = file.readable_array(&name)? else {
                continue;
            };
            if let Some(values) = array.to_f32() {
                let shape = array.shape;
                extras.insert(name, ExtraArray { shape, values });
            }
        }
        Ok(Self {
            height,
            width,
            images,
            actions,
            rewards,
            extras,
        })
    }

    /// Writes an `.npz` file atomically.
    ///
    /// # Errors
    /// Returns an error if the arrays' lengths disagree or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.to_npz(path)?.save()
    }

    /// Builds the `.npz` file for `path` in memory.
    ///
    /// # Errors
    /// Returns an error if the arrays' lengths disagree.
    pub(super) fn to_npz(&self, path: &Path) -> Result<NpzWriter> {
        let t = self.frames();
        let actions: Vec<i32> = self
            .actions
            .iter()
            .map(|&action| i32::try_from(action))
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| Error::invalid(path, "an action is above 2147483647"))?;
        let mut file = NpzWriter::new(path);
        file.add(IMAGE, &[t, self.height, self.width, 3], &self.images)?;
        file.add(ACTION, &[t], &actions)?;
        file.add(REWARD, &[t], &self.rewards)?;
        let flags = |f: &dyn Fn(usize) -> bool| (0..t).map(f).collect::<Vec<bool>>();
        file.add(IS_FIRST, &[t], &flags(&|i| i == 0))?;
        file.add(IS_LAST, &[t], &flags(&|i| i + 1 == t))?;
        let terminal = self.extras.get(IS_TERMINAL).map(|extra| &extra.values);
        let terminal = |i| terminal.and_then(|v| v.get(i)).is_some_and(|&v| v != 0.0);
        file.add(IS_TERMINAL, &[t], &flags(&terminal))?;
        for (name, extra) in &self.extras {
            if !STANDARD_ARRAYS.contains(&name.as_str()) && name != IS_TERMINAL {
                file.add(name, &extra.shape, &extra.values)?;
            }
        }
        Ok(file)
    }
}

/// Reads `image`; also returns [T, H, W].
fn read_images(file: &mut NpzReader) -> Result<(Vec<u8>, [usize; 3])> {
    const NAME: &str = IMAGE;
    let array = file.array(NAME)?;
    let &[frames, height, width, 3] = array.shape.as_slice() else {
        return Err(file.error(
            NAME,
            format!("shape is {:?}, expected [T, H, W, 3]", array.shape),
        ));
    };
    if frames == 0 || height == 0 || width == 0 {
        return Err(file.error(NAME, format!("shape {:?} has no pixels", array.shape)));
    }
    let dtype = array.dtype.clone();
    let images = array
        .into_u8()
        .ok_or_else(|| file.error(NAME, format!("dtype is {dtype}, expected uint8")))?;
    Ok((images, [frames, height, width]))
}

/// Reads `action`, one per frame.
fn read_actions(file: &mut NpzReader, frames: usize) -> Result<Vec<u32>> {
    const NAME: &str = ACTION;
    let array = file.array(NAME)?;
    if matches!(array.dtype, NpyDtype::Float(_)) {
        return Err(file.error(
            NAME,
            format!(
                "continuous actions ({} {:?}) are not supported by this version, expected int32 [T]",
                array.dtype, array.shape
            ),
        ));
    }
    let values = array.to_i64().ok_or_else(|| {
        file.error(
            NAME,
            format!("dtype is {}, expected int32 or int64", array.dtype),
        )
    })?;
    expect_length(file, NAME, &array.shape, frames)?;
    values
        .iter()
        .enumerate()
        .map(|(t, &value)| {
            u32::try_from(value)
                .map_err(|_| file.error(NAME, format!("{value} at frame {t}, expected 0 or more")))
        })
        .collect()
}

/// Reads `reward`, one per frame.
fn read_rewards(file: &mut NpzReader, frames: usize) -> Result<Vec<f32>> {
    const NAME: &str = REWARD;
    let array = file.array(NAME)?;
    expect_length(file, NAME, &array.shape, frames)?;
    let dtype = &array.dtype;
    array
        .to_f32()
        .ok_or_else(|| file.error(NAME, format!("dtype is {dtype}, expected float32")))
}

/// Checks that an array has one number per frame.
fn expect_length(file: &NpzReader, name: &str, shape: &[usize], frames: usize) -> Result<()> {
    match shape {
        [length] if *length == frames => Ok(()),
        [length] => Err(file.error(
            name,
            format!("length is {length}, expected {frames} as in `image`"),
        )),
        _ => Err(file.error(name, format!("shape is {shape:?}, expected [{frames}]"))),
    }
}

#[cfg(test)]
#[path = "episode_tests.rs"]
mod tests;
