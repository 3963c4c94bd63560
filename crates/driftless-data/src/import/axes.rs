//! Continuous actions as axes: their names, keys and ranges.
//!
//! The range of an axis is known only when the last action has been read. Until then, episodes hold what was
//! recorded; [`SourceAxes::normalize`] brings them to −1..1.

use std::path::Path;

use crate::layout::array::AXES;
use crate::{AxisInput, AxisSpec, Episode, MAX_AXES, Result};

/// Keys of the first axes, at −1 and at 1.
const KEYS: [[&str; 2]; 8] = [
    ["ArrowLeft", "ArrowRight"],
    ["ArrowDown", "ArrowUp"],
    ["A", "D"],
    ["S", "W"],
    ["J", "L"],
    ["K", "I"],
    ["F", "H"],
    ["G", "T"],
];
/// What moves the first axes besides keys.
const INPUTS: [&[AxisInput]; 5] = [
    &[AxisInput::LeftStickX, AxisInput::PointerX],
    &[AxisInput::LeftStickY, AxisInput::PointerY],
    &[AxisInput::RightStickX],
    &[AxisInput::RightStickY],
    &[AxisInput::Triggers],
];

/// The axes of a source, and the numbers that they have had so far.
#[derive(Clone, Debug)]
pub struct SourceAxes {
    names: Vec<String>,
    /// The least and the greatest number of each.
    extremes: Vec<[f64; 2]>,
}

impl SourceAxes {
    /// So many axes, with the names that the source gives them.
    ///
    /// # Errors
    /// Returns a message if there are more than a world can have.
    pub fn new(count: usize, names: Option<Vec<String>>) -> std::result::Result<Self, String> {
        if count > MAX_AXES {
            return Err(format!(
                "actions are vectors of {count} numbers, expected at most {MAX_AXES}: map them with --actions \
                 FILE"
            ));
        }
        let numbered = || (0..count).map(|axis| format!("axis{axis}")).collect();
        let names = names.filter(|names| names.len() == count);
        Ok(Self {
            names: names.unwrap_or_else(numbered),
            extremes: vec![[f64::INFINITY, f64::NEG_INFINITY]; count],
        })
    }

    /// Number of axes.
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Takes note of the numbers of an action, one for each axis; returns what was recorded.
    ///
    /// # Errors
    /// Returns a message if there are not as many, or one is not finite.
    pub fn read(&mut self, numbers: &[f64]) -> std::result::Result<Vec<f32>, String> {
        let (count, found) = (self.count(), numbers.len());
        if found != count {
            return Err(format!(
                "a vector of {found} numbers among vectors of {count} numbers"
            ));
        }
        for (extremes, number) in self.extremes.iter_mut().zip(numbers) {
            if !number.is_finite() {
                return Err(format!(
                    "an action holds {number}, expected a finite number"
                ));
            }
            *extremes = [extremes[0].min(*number), extremes[1].max(*number)];
        }
        Ok(numbers.iter().map(|number| *number as f32).collect())
    }

    /// What becomes of the axes in the dataset.
    pub fn specs(&self) -> Vec<AxisSpec> {
        let axes = self.names.iter().zip(&self.extremes).enumerate();
        axes.map(|(i, (name, extremes))| {
            let [negative, positive] = match KEYS.get(i) {
                Some(keys) => keys.map(|key| vec![key.to_owned()]),
                None => [Vec::new(), Vec::new()],
            };
            AxisSpec {
                range: range(*extremes),
                negative,
                positive,
                inputs: INPUTS.get(i).copied().unwrap_or_default().to_vec(),
                ..AxisSpec::named(name)
            }
        })
        .collect()
    }

    /// Brings the axes of an episode that was written as recorded to −1..1.
    ///
    /// # Errors
    /// Returns an error if the episode cannot be read or written.
    pub fn normalize(&self, path: &Path) -> Result<()> {
        let specs = self.specs();
        if specs
            .iter()
            .all(|axis| axis.range == AxisSpec::unit_range())
        {
            return Ok(());
        }
        let mut episode = Episode::read(path)?;
        if let Some(axes) = episode.extras.get_mut(AXES) {
            // Nothing led to the first frame: its axes stay at rest.
            for row in axes.values.chunks_exact_mut(specs.len()).skip(1) {
                for (value, axis) in row.iter_mut().zip(&specs) {
                    *value = axis.normalized((*value).into());
                }
            }
        }
        episode.write(path)
    }
}

/// What −1 and 1 stand for, given the least and the greatest number: those themselves, if none is beyond.
/// Otherwise zero stays in the middle, unless all numbers are on one side of it.
fn range([low, high]: [f64; 2]) -> [f32; 2] {
    let largest = low.abs().max(high.abs());
    // As f32, so that no number is beyond what is written.
    let range = if !largest.is_finite() || largest <= 1.0 {
        AxisSpec::unit_range()
    } else if low < 0.0 && high > 0.0 {
        [-largest as f32, largest as f32]
    } else if low < high {
        [low as f32, high as f32]
    } else {
        [low as f32 - 1.0, high as f32 + 1.0]
    };
    if range[0] < range[1] {
        range
    } else {
        AxisSpec::unit_range()
    }
}

/// The averages of rows of `width` values each that together led to one frame.
pub fn mean_rows(rows: &[Vec<f32>]) -> Vec<f32> {
    let width = rows.first().map_or(0, Vec::len);
    let mean = |i: usize| rows.iter().map(|row| row[i]).sum::<f32>() / rows.len() as f32;
    (0..width).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_hold_all_numbers() {
        let mut axes = SourceAxes::new(4, None).unwrap();
        for row in [[0.2, 10.0, -3.0, 7.0], [-0.9, 500.0, 1.0, 7.0]] {
            axes.read(&row).unwrap();
        }
        let ranges: Vec<_> = axes.specs().iter().map(|axis| axis.range).collect();
        assert_eq!(
            ranges,
            [[-1.0, 1.0], [10.0, 500.0], [-3.0, 3.0], [6.0, 8.0]]
        );
        assert_eq!(axes.specs()[1].normalized(255.0), 0.0);
    }

    #[test]
    fn axes_are_named_and_bound() {
        let names = vec!["x".to_owned(), "y".to_owned()];
        let specs = SourceAxes::new(2, Some(names)).unwrap().specs();
        assert_eq!([&specs[0].name, &specs[1].name], ["x", "y"]);
        assert_eq!(specs[0].positive, ["ArrowRight"]);
        assert_eq!(specs[1].inputs[0], AxisInput::LeftStickY);
        let specs = SourceAxes::new(16, None).unwrap().specs();
        assert_eq!(specs[15].name, "axis15");
        assert!(specs[15].positive.is_empty());
    }

    #[test]
    fn what_is_no_axis_is_named() {
        let message = SourceAxes::new(17, None).unwrap_err();
        assert!(
            message.contains("17 numbers, expected at most 16"),
            "{message}"
        );
        let mut axes = SourceAxes::new(2, None).unwrap();
        let message = axes.read(&[0.0]).unwrap_err();
        assert!(message.contains("among vectors of 2 numbers"), "{message}");
        let message = axes.read(&[0.0, f64::NAN]).unwrap_err();
        assert!(message.contains("holds NaN"), "{message}");
    }

    #[test]
    fn actions_of_dropped_frames_are_averaged() {
        assert_eq!(mean_rows(&[vec![1.0, 0.0], vec![0.0, -1.0]]), [0.5, -0.5]);
    }
}
