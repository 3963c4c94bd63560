//! Rotary positions (Su et al., *RoFormer*, 2021): pairs of neighbours in a vector are rotated by angles that grow with
//! the position.

use std::f32::consts::PI;

/// Cosine and sine of each pair of a vector, for each position.
pub(crate) struct Rotary {
    pairs: usize,
    /// [positions, pairs].
    turns: Vec<[f32; 2]>,
}

/// Frequencies for coordinates from −1 to 1: π times 1 to `most` / 2 in even steps.
pub(crate) fn pixel_frequencies(count: usize, most: f32) -> Vec<f32> {
    between(1.0, most / 2.0, count).map(|f| PI * f).collect()
}

/// Frequencies for the index of a frame, for vectors of `len`: 10000^(−2i / len).
pub(crate) fn frame_frequencies(len: usize) -> Vec<f32> {
    let power = |i: usize| (2 * i) as f32 / len as f32;
    (0..len / 2)
        .map(|i| 1.0 / 10_000_f32.powf(power(i)))
        .collect()
}

/// `count` numbers in even steps.
fn between(first: f32, last: f32, count: usize) -> impl Iterator<Item = f32> + Clone {
    let step = (last - first) / (count.max(2) - 1) as f32;
    // From the nearer end, so that both are exact.
    (0..count).map(move |i| {
        if 2 * i < count {
            first + step * i as f32
        } else {
            last - step * (count - 1 - i) as f32
        }
    })
}

impl Rotary {
    /// For the cells of a grid in row-major order: the first pairs turn with the row, as many with the column, and any
    /// that are left not at all.
    pub(crate) fn grid([rows, columns]: [usize; 2], frequencies: &[f32]) -> Self {
        let mut turns = Vec::new();
        for y in between(-1.0, 1.0, rows) {
            for x in between(-1.0, 1.0, columns) {
                let angles = [y, x]
                    .into_iter()
                    .flat_map(|at| frequencies.iter().map(move |frequency| at * frequency));
                turns.extend(angles.map(turn));
            }
        }
        Self {
            pairs: 2 * frequencies.len(),
            turns,
        }
    }

    /// For the frames 0 to `count` − 1.
    pub(crate) fn frames(count: usize, frequencies: &[f32]) -> Self {
        let angles = (0..count).flat_map(|t| frequencies.iter().map(move |f| t as f32 * f));
        Self {
            pairs: frequencies.len(),
            turns: angles.map(turn).collect(),
        }
    }

    /// Rotates a vector at a position.
    pub(crate) fn rotate(&self, position: usize, vector: &mut [f32]) {
        let turns = &self.turns[position * self.pairs..][..self.pairs];
        for (pair, [cos, sin]) in vector.as_chunks_mut::<2>().0.iter_mut().zip(turns) {
            let [a, b] = *pair;
            *pair = [a * cos - b * sin, b * cos + a * sin];
        }
    }
}

fn turn(angle: f32) -> [f32; 2] {
    [angle.cos(), angle.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_depend_on_the_distance_of_frames() {
        let rotary = Rotary::frames(9, &frame_frequencies(8));
        let product = |i: usize, j: usize| {
            let (mut a, mut b) = ([1.0, -2.0, 3.0, 0.5, 1.0, 1.0, -1.0, 2.0], [0.7; 8]);
            rotary.rotate(i, &mut a);
            rotary.rotate(j, &mut b);
            a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>()
        };
        assert!((product(5, 3) - product(8, 6)).abs() < 1e-5);
        assert!((product(5, 3) - product(5, 5)).abs() > 0.1);
    }

    #[test]
    fn rows_and_columns_turn_pairs_of_their_own() {
        let rotary = Rotary::grid([3, 2], &[PI / 2.0]);
        let at = |cell: usize| {
            let mut vector = [1.0, 0.0, 1.0, 0.0, 1.0, 7.0];
            rotary.rotate(cell, &mut vector);
            vector.map(f32::round)
        };
        // Rows at −1, 0 and 1, columns at −1 and 1: quarter turns.
        assert_eq!(at(0), [0.0, -1.0, 0.0, -1.0, 1.0, 7.0]);
        assert_eq!(at(3), [1.0, 0.0, 0.0, 1.0, 1.0, 7.0]);
        assert_eq!(at(5), [0.0, 1.0, 0.0, 1.0, 1.0, 7.0]);
    }

    #[test]
    fn frequencies_are_evenly_spaced() {
        let found = pixel_frequencies(3, 256.0);
        let expected = [PI, 64.5 * PI, 128.0 * PI];
        assert!(
            found
                .iter()
                .zip(expected)
                .all(|(a, b)| (a - b).abs() < 1e-3)
        );
        assert_eq!(frame_frequencies(4), [1.0, 0.01]);
    }
}
