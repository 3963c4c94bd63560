//! One recorded episode: frames, the action that led to each, rewards, and whatever else was kept.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::npz::{Archive, Dtype, Writer};
use crate::Clip;
use crate::{Error, Result};

/// Arrays of the format that are not extras.
const KNOWN: [&str; 5] = ["image", "action", "reward", "is_first", "is_last"];
/// Kept among the extras when a file has it, because nothing else of an [`Episode`] says it.
const TERMINAL: &str = "is_terminal";

/// An array of an episode that the format does not know, as numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Extra {
    /// Lengths of the axes, slowest first; usually `[T]` or `[T, n]`.
    pub shape: Vec<usize>,
    /// The elements, whatever their dtype was.
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
    /// `[T]`; zeros where the file has none.
    pub rewards: Vec<f32>,
    /// Everything else that the file holds as numbers.
    pub extras: BTreeMap<String, Extra>,
}

impl Episode {
    /// Frames in the episode, T.
    pub fn frames(&self) -> usize {
        self.actions.len()
    }

    /// Frame `t`, `[H, W, 3]`.
    ///
    /// # Panics
    /// The episode has no frame `t`.
    pub fn frame(&self, t: usize) -> &[u8] {
        let length = self.frame_len();
        &self.images[t * length..(t + 1) * length]
    }

    /// A copy of the frames in `range`, which is cut to the episode.
    pub fn clip(&self, range: Range<usize>) -> Clip {
        let end = range.end.min(self.frames());
        let start = range.start.min(end);
        let length = self.frame_len();
        Clip {
            images: self.images[start * length..end * length].to_vec(),
            actions: self.actions[start..end].to_vec(),
        }
    }

    fn frame_len(&self) -> usize {
        self.height * self.width * 3
    }

    /// Reads an `.npz` file: `image` u8 `[T, H, W, 3]`, `action` i32 or i64 `[T]`, and what else
    /// it holds. Extra arrays that are not plain numbers are left out.
    ///
    /// # Errors
    /// The file is missing, corrupt or no `.npz`; an array is missing, or has another dtype, rank
    /// or length than expected; an action is negative; the actions are continuous.
    pub fn read(path: &Path) -> Result<Self> {
        let mut file = Archive::open(path)?;
        let (images, [frames, height, width]) = read_images(&mut file)?;
        let actions = read_actions(&mut file, frames)?;
        let names = file.names();
        let rewards = match names.iter().any(|name| name == "reward") {
            true => read_rewards(&mut file, frames)?,
            false => vec![0.0; frames],
        };
        let mut extras = BTreeMap::new();
        for name in names {
            if KNOWN.contains(&name.as_str()) {
                continue;
            }
            let Ok(array) = file.readable_array(&name)? else {
                continue;
            };
            if let Some(values) = array.to_f32() {
                let shape = array.shape;
                extras.insert(name, Extra { shape, values });
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

    /// Writes an `.npz` file, under a temporary name first.
    ///
    /// # Errors
    /// The lengths do not fit each other, or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.packed(path)?.save()
    }

    /// The `.npz` file for `path`, complete in memory.
    ///
    /// # Errors
    /// The lengths do not fit each other.
    pub(super) fn packed(&self, path: &Path) -> Result<Writer> {
        let t = self.frames();
        let actions: Vec<i32> = self
            .actions
            .iter()
            .map(|&action| i32::try_from(action))
            .collect::<std::result::Result<_, _>>()
            .map_err(|_| Error::Argument("an action is above 2147483647".into()))?;
        let mut file = Writer::new(path);
        file.add("image", &[t, self.height, self.width, 3], &self.images)?;
        file.add("action", &[t], &actions)?;
        file.add("reward", &[t], &self.rewards)?;
        let flags = |f: &dyn Fn(usize) -> bool| (0..t).map(f).collect::<Vec<bool>>();
        file.add("is_first", &[t], &flags(&|i| i == 0))?;
        file.add("is_last", &[t], &flags(&|i| i + 1 == t))?;
        let terminal = self.extras.get(TERMINAL).map(|extra| &extra.values);
        let terminal = |i| terminal.and_then(|v| v.get(i)).is_some_and(|&v| v != 0.0);
        file.add(TERMINAL, &[t], &flags(&terminal))?;
        for (name, extra) in &self.extras {
            if !KNOWN.contains(&name.as_str()) && name != TERMINAL {
                file.add(name, &extra.shape, &extra.values)?;
            }
        }
        Ok(file)
    }
}

/// `image`, and its [T, H, W].
fn read_images(file: &mut Archive) -> Result<(Vec<u8>, [usize; 3])> {
    const NAME: &str = "image";
    let array = file.array(NAME)?;
    let &[frames, height, width, 3] = array.shape.as_slice() else {
        return Err(file.error(
            NAME,
            format!("shape is {:?}, expected [T, H, W, 3]", array.shape),
        ));
    };
    if frames == 0 || height == 0 || width == 0 {
        return Err(file.error(NAME, format!("shape {:?} holds no pixels", array.shape)));
    }
    let dtype = array.dtype.clone();
    let images = array
        .into_u8()
        .ok_or_else(|| file.error(NAME, format!("dtype is {dtype}, expected uint8")))?;
    Ok((images, [frames, height, width]))
}

/// `action`, as many as frames.
fn read_actions(file: &mut Archive, frames: usize) -> Result<Vec<u32>> {
    const NAME: &str = "action";
    let array = file.array(NAME)?;
    if matches!(array.dtype, Dtype::Float(_)) {
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

/// `reward`, as many as frames.
fn read_rewards(file: &mut Archive, frames: usize) -> Result<Vec<f32>> {
    const NAME: &str = "reward";
    let array = file.array(NAME)?;
    expect_length(file, NAME, &array.shape, frames)?;
    let dtype = &array.dtype;
    array
        .to_f32()
        .ok_or_else(|| file.error(NAME, format!("dtype is {dtype}, expected float32")))
}

/// Whether an array is one number a frame.
fn expect_length(file: &Archive, name: &str, shape: &[usize], frames: usize) -> Result<()> {
    match shape {
        [length] if *length == frames => Ok(()),
        [length] => Err(file.error(
            name,
            format!("length is {length}, expected {frames} as of `image`"),
        )),
        _ => Err(file.error(name, format!("shape is {shape:?}, expected [{frames}]"))),
    }
}

#[cfg(test)]
#[path = "episode_tests.rs"]
mod tests;
