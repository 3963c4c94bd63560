//! The arrays of an `.npz` file that have one row per frame, in the forms in which programs write them:
//! numbers of any type, `[T]` or `[T, 1]`, one-hot actions, and several episodes in one file.

use std::ops::Range;

use crate::layout::array::{ACTION, IS_FIRST, IS_LAST, REWARD};
use crate::npz::{NpyArray, NpzReader};
use crate::{Error, Result};

/// The largest action; what is written is i32.
const MAX_ACTION: f64 = i32::MAX as f64;

/// The episodes in a file of `frames` frames: DreamerV3's replay chunks hold several, or parts of
/// them. One ends where `is_last` is true and where the next frame's `is_first` is.
///
/// # Errors
/// Returns an error if one of the two arrays does not hold one number per frame.
pub(crate) fn episode_ranges(file: &mut NpzReader, frames: usize) -> Result<Vec<Range<usize>>> {
    let names = file.names();
    let mut flags = |name: &str| {
        if !names.iter().any(|found| found == name) {
            return Ok(vec![0.0; frames]);
        }
        let array = file.array(name)?;
        per_frame(file, name, &array, frames)
    };
    let (first, last) = (flags(IS_FIRST)?, flags(IS_LAST)?);
    let starts = (1..frames).filter(|&t| first[t] != 0.0 || last[t - 1] != 0.0);
    let bounds: Vec<usize> = std::iter::once(0).chain(starts).chain([frames]).collect();
    Ok(bounds.windows(2).map(|pair| pair[0]..pair[1]).collect())
}

/// The values of an array with one number per frame, `[T]` or `[T, 1]`.
///
/// # Errors
/// Returns an error that names the array if it has another shape.
pub(crate) fn per_frame(
    file: &NpzReader,
    name: &str,
    array: &NpyArray,
    frames: usize,
) -> Result<Vec<f64>> {
    match array.shape[..] {
        [length] | [length, 1] if length == frames => {}
        [length] | [length, 1] => {
            let what = format!("length is {length}, expected {frames} as in `image`");
            return Err(file.error(name, what));
        }
        _ => {
            let what = format!("shape is {:?}, expected [{frames}]", array.shape);
            return Err(file.error(name, what));
        }
    }
    array
        .to_f64()
        .ok_or_else(|| file.error(name, format!("dtype is {}, expected numbers", array.dtype)))
}

/// Reads `action`: an index per frame, or one-hot rows `[T, n]`. NaN and a row of zeros count as 0 at
/// the start of an episode, where no action led to the frame.
///
/// # Errors
/// Returns an error if the array is missing, has another shape, or holds something else.
pub(super) fn read_actions(file: &mut NpzReader, episodes: &[Range<usize>]) -> Result<Vec<u32>> {
    let array = file.array(ACTION)?;
    let frames = episodes.last().map_or(0, |range| range.end);
    if let [length, width] = array.shape[..]
        && length == frames
        && width > 1
    {
        let values = array.to_f64().unwrap_or_default();
        return one_hot_indices(&values, width, episodes)
            .map_err(|t| not_discrete(file, &array, t));
    }
    let mut values = per_frame(file, ACTION, &array, frames)?;
    zero_nan_starts(&mut values, episodes);
    let values = values.into_iter().enumerate();
    values
        .map(|(t, value)| {
            if value.fract() != 0.0 || !value.is_finite() {
                Err(not_discrete(file, &array, t))
            } else if (0.0..=MAX_ACTION).contains(&value) {
                Ok(value as u32)
            } else {
                let what = format!("{value} at frame {t}, expected 0 or more");
                Err(file.error(ACTION, what))
            }
        })
        .collect()
}

/// The error for an action that is not an index.
fn not_discrete(file: &NpzReader, array: &NpyArray, frame: usize) -> Error {
    let what = format!(
        "frame {frame} of {} {:?} holds neither a whole number nor a one-hot row: `driftless import --from npz` \
         makes axes of continuous actions",
        array.dtype, array.shape
    );
    file.error(ACTION, what)
}

/// The indices of one-hot rows of `width` values. A row of zeros or NaN counts as 0 at the start of an
/// episode.
///
/// # Errors
/// Returns the index of the first row that is not one-hot.
pub(crate) fn one_hot_indices(
    values: &[f64],
    width: usize,
    episodes: &[Range<usize>],
) -> std::result::Result<Vec<u32>, usize> {
    let index = |(t, row): (usize, &[f64])| {
        let ones = row.iter().filter(|&&value| value == 1.0).count();
        let zeros = row.iter().filter(|&&value| value == 0.0).count();
        let blank = zeros == width || row.iter().all(|value| value.is_nan());
        match row.iter().position(|&value| value == 1.0) {
            Some(index) if ones == 1 && zeros + 1 == width => Ok(index as u32),
            None if blank && episodes.iter().any(|range| range.start == t) => Ok(0),
            _ => Err(t),
        }
    };
    let rows = values.chunks_exact(width.max(1)).enumerate();
    rows.map(index).collect()
}

/// Reads `reward`, one per frame, or zeros if the file has none. NaN counts as 0 at the start of an
/// episode: no action led to the frame.
///
/// # Errors
/// Returns an error if the array has another shape, or a value elsewhere is not finite.
pub(crate) fn read_rewards(file: &mut NpzReader, episodes: &[Range<usize>]) -> Result<Vec<f32>> {
    let frames = episodes.last().map_or(0, |range| range.end);
    if !file.names().iter().any(|name| name == REWARD) {
        return Ok(vec![0.0; frames]);
    }
    let array = file.array(REWARD)?;
    let mut values = per_frame(file, REWARD, &array, frames)?;
    zero_nan_starts(&mut values, episodes);
    let rewards: Vec<f32> = values.into_iter().map(|value| value as f32).collect();
    match rewards.iter().position(|reward| !reward.is_finite()) {
        None => Ok(rewards),
        Some(t) => {
            let what = format!("{} at frame {t}, expected a finite number", rewards[t]);
            Err(file.error(REWARD, what))
        }
    }
}

/// Replaces NaN by 0 at the start of every episode.
fn zero_nan_starts(values: &mut [f64], episodes: &[Range<usize>]) {
    for range in episodes {
        if let Some(value) = values.get_mut(range.start).filter(|value| value.is_nan()) {
            *value = 0.0;
        }
    }
}
