//! One recorded episode: frames, the action that led to each, rewards, and any further arrays.

pub(crate) mod arrays;

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::npz::{NpzReader, NpzWriter};
use crate::layout::array::{
    ACTION, AXES, BALL, CAN_START, IMAGE, IS_FIRST, IS_LAST, IS_TERMINAL, REWARD,
};
use crate::{Action, Clip, Error, PathError as _, Result};

/// Arrays with a field of their own; all others are extras.
const STANDARD_ARRAYS: [&str; 5] = [IMAGE, ACTION, REWARD, IS_FIRST, IS_LAST];

/// The most memory that the further arrays of a file may take, in bytes.
const MAX_EXTRAS: u64 = 512 << 20;

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
            actions: (start..end).map(|t| self.action(t)).collect(),
        }
    }

    /// What led to frame `t`: the discrete action and, if the episode has the array [`AXES`], the axes.
    ///
    /// # Panics
    /// Panics if `t` is not below [`Episode::frames`].
    pub fn action(&self, t: usize) -> Action {
        let index = self.actions[t];
        let Some(axes) = self.extras.get(AXES).filter(|axes| !axes.values.is_empty()) else {
            return index.into();
        };
        let width = axes.values.len() / self.frames();
        Action::with_axes(index, &axes.values[t * width..(t + 1) * width])
    }

    /// What led to each frame, as [`Episode::action`].
    pub fn played(&self) -> Vec<Action> {
        (0..self.frames()).map(|t| self.action(t)).collect()
    }

    /// The values of `count` axes, `[T, count]`; `None` if the episode has others or none.
    pub fn axes(&self, count: usize) -> Option<&[f32]> {
        let extra = self.extras.get(AXES)?;
        let fits = match extra.shape[..] {
            [frames] => frames == self.frames() && count == 1,
            [frames, width] => frames == self.frames() && width == count,
            _ => false,
        };
        (fits && count > 0).then_some(&extra.values)
    }

    /// Sets what led to each frame, in a world with so many axes.
    pub fn set_played(&mut self, actions: &[Action], axes: usize) {
        self.actions = actions.iter().map(|action| action.index).collect();
        self.extras.remove(AXES);
        if axes > 0 {
            let values = actions
                .iter()
                .flat_map(|action| action.axes.iter().take(axes));
            let extra = ExtraArray {
                shape: vec![actions.len(), axes],
                values: values.copied().collect(),
            };
            self.extras.insert(AXES.to_owned(), extra);
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

    /// Reads an `.npz` file with one episode: `image` u8 `[T, H, W, 3]`, `action` `[T]` or one-hot
    /// `[T, n]`, and any further arrays. Those that are not plain numbers are skipped.
    ///
    /// # Errors
    /// As [`Episode::read_all`], or if the file holds several episodes.
    pub fn read(path: &Path) -> Result<Self> {
        let mut episodes = Self::read_all(path)?;
        match (episodes.pop(), episodes.len()) {
            (Some(only), 0) => Ok(only),
            (_, others) => {
                let what = format!(
                    "holds {} episodes (`{IS_FIRST}`, `{IS_LAST}`), expected one; `driftless import --from npz` \
                     writes one file for each",
                    others + 1
                );
                Err(Error::invalid(path, what))
            }
        }
    }

    /// Reads the episodes of an `.npz` file: one, or several where `is_first` and `is_last` mark where
    /// one ends and the next begins, as in DreamerV3's replay chunks. Arrays as in [`Episode::read`].
    ///
    /// # Errors
    /// Returns an error if the file is missing, corrupt or not an `.npz`; `image` or `action` is
    /// missing; an array has an unexpected dtype, rank or length; an action is negative or not a whole
    /// number; a reward is not finite; or the further arrays are too large together.
    pub fn read_all(path: &Path) -> Result<Vec<Self>> {
        Self::read_npz(&mut NpzReader::open(path)?)
    }

    /// As [`Episode::read_all`], from an archive that is open.
    ///
    /// # Errors
    /// As [`Episode::read_all`].
    pub fn read_npz(file: &mut NpzReader) -> Result<Vec<Self>> {
        let (images, [frames, height, width]) = read_images(file)?;
        let ranges = arrays::episode_ranges(file, frames)?;
        let whole = Self {
            height,
            width,
            images,
            actions: arrays::read_actions(file, &ranges)?,
            rewards: arrays::read_rewards(file, &ranges)?,
            extras: read_extras(file)?,
        };
        match ranges.as_slice() {
            [_] => Ok(vec![whole]),
            _ => Ok(ranges.into_iter().map(|range| whole.part(range)).collect()),
        }
    }

    /// The frames in `range`, which start an episode of their own, with the rows of every array that belong to
    /// them.
    ///
    /// # Panics
    /// Panics if the range reaches past the end.
    pub fn part(&self, range: Range<usize>) -> Self {
        let images = self.clip(range.clone()).images;
        let mut actions = self.actions[range.clone()].to_vec();
        let mut rewards = self.rewards[range.clone()].to_vec();
        // Nothing led to the first frame.
        if let (Some(action), Some(reward)) = (actions.first_mut(), rewards.first_mut()) {
            (*action, *reward) = (0, 0.0);
        }
        let rows = |extra: &ExtraArray| {
            let width: usize = extra.shape.iter().skip(1).product();
            let mut shape = extra.shape.clone();
            *shape.first_mut()? = range.len();
            let values = extra.values.get(range.start * width..range.end * width)?;
            Some(ExtraArray {
                shape,
                values: values.to_vec(),
            })
        };
        let per_frame = |extra: &&ExtraArray| extra.shape.first() == Some(&self.frames());
        let extras = self.extras.iter().filter_map(|(name, extra)| {
            let extra = Some(extra).filter(per_frame).and_then(rows)?;
            Some((name.clone(), extra))
        });
        let mut extras: BTreeMap<_, _> = extras.collect();
        if let Some(axes) = extras.get_mut(AXES) {
            let width: usize = axes.shape.iter().skip(1).product();
            axes.values.iter_mut().take(width).for_each(|x| *x = 0.0);
        }
        Self {
            height: self.height,
            width: self.width,
            images,
            actions,
            rewards,
            extras,
        }
    }

    /// Writes an `.npz` file atomically.
    ///
    /// # Errors
    /// Returns an error if the arrays' lengths disagree or the file cannot be written.
    pub fn write(&self, path: &Path) -> Result<()> {
        self.to_npz(path)?.save()
    }

    /// The content of an `.npz` file; `path` names it in errors.
    ///
    /// # Errors
    /// Returns an error if the arrays' lengths disagree.
    pub fn to_bytes(&self, path: &Path) -> Result<Vec<u8>> {
        self.to_npz(path)?.into_bytes()
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

/// Reads the arrays that have no field of their own and are plain numbers.
fn read_extras(file: &mut NpzReader) -> Result<BTreeMap<String, ExtraArray>> {
    let mut extras = BTreeMap::new();
    let mut bytes = 0_u64;
    for name in file.names() {
        if STANDARD_ARRAYS.contains(&name.as_str()) {
            continue;
        }
        // As bytes the array is at most this long; as f32 at most four times that.
        bytes = bytes.saturating_add(4 * file.unpacked_len(&name));
        if bytes > MAX_EXTRAS {
            let what = format!(
                "with it, the arrays besides `{IMAGE}` take more than {} MiB",
                MAX_EXTRAS >> 20
            );
            return Err(file.error(&name, what));
        }
        let Ok(array) = file.readable_array(&name)? else {
            continue;
        };
        if let Some(values) = array.to_f32() {
            let shape = array.shape;
            extras.insert(name, ExtraArray { shape, values });
        }
    }
    Ok(extras)
}

#[cfg(test)]
#[path = "episode_tests.rs"]
mod tests;
