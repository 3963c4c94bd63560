//! The inputs of memory tokens.

use super::pose::{BEARING_FEATURES, MEMORY_FEATURES, bearing_features};
use crate::config::{MemoryConfig, WorldConfig};

/// Numbers behind the cells of a memory token: the features of its frame, and those of its bearing.
pub const TOKEN_FEATURES: usize = MEMORY_FEATURES + BEARING_FEATURES;

/// Writes the inputs of memory tokens.
#[derive(Clone, Debug)]
pub struct TokenInputs {
    grid: [usize; 2],
    merge: usize,
    /// Cosine and sine of the direction in which the middle of each column of tokens is seen.
    columns: Vec<[f32; 2]>,
}

impl TokenInputs {
    /// For the frames of a world.
    pub fn new(world: &WorldConfig, memory: &MemoryConfig) -> Self {
        let (grid, merge) = (world.grid(), world.dynamics.merge);
        Self {
            grid,
            merge,
            columns: column_directions(grid[1] / merge, memory),
        }
    }

    /// Writes the inputs of the tokens of M recalled frames to `out` [M, tokens, merge² · c +
    /// [`TOKEN_FEATURES`]]: the cells of each token row by row, the features of its frame, and those of
    /// its bearing. `latents` is [M, gh, gw, c] for the grid (gh, gw), `features` is [M, features]; what
    /// `out` holds behind these frames stays.
    pub fn write(&self, latents: &[f32], features: &[f32], out: &mut [f32]) {
        let ([gh, gw], merge) = (self.grid, self.merge);
        let (features, _) = features.as_chunks::<MEMORY_FEATURES>();
        let Some(channels) = latents.len().checked_div(features.len() * gh * gw) else {
            return;
        };
        let (line, across) = (merge * channels, gw / merge);
        let tokens = across * (gh / merge);
        let inputs = merge * line + TOKEN_FEATURES;
        let frames = latents.chunks_exact(gh * gw * channels).zip(features);
        for ((latent, features), out) in frames.zip(out.chunks_exact_mut(tokens * inputs)) {
            for (token, out) in out.chunks_exact_mut(inputs).enumerate() {
                let (cells, place) = out.split_at_mut(merge * line);
                let (row, column) = (token / across * merge, token % across * merge);
                for (i, cells) in cells.chunks_exact_mut(line).enumerate() {
                    let at = ((row + i) * gw + column) * channels;
                    cells.copy_from_slice(&latent[at..at + line]);
                }
                let (of_frame, bearing) = place.split_at_mut(MEMORY_FEATURES);
                of_frame.copy_from_slice(features);
                bearing.copy_from_slice(&bearing_features(features, self.columns[token % across]));
            }
        }
    }
}

/// Cosine and sine of the direction in which the middle of each of `across` equal columns of a picture
/// is seen, from the direction of view. Angles grow to the left.
pub(super) fn column_directions(across: usize, memory: &MemoryConfig) -> Vec<[f32; 2]> {
    let half = (memory.field_of_view.to_radians() / 2.0).tan();
    let direction = |column: usize| {
        let left = half * (1.0 - (2 * column + 1) as f32 / across as f32);
        let length = left.hypot(1.0);
        [1.0 / length, left / length]
    };
    (0..across).map(direction).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(field_of_view: f32) -> MemoryConfig {
        MemoryConfig {
            frames: 2,
            field_of_view,
            reach: 4.0,
            capacity: 100,
        }
    }

    #[test]
    fn a_token_holds_its_cells_and_the_features() {
        // Two frames of 2×4 cells with one channel, merged two by two.
        let layout = TokenInputs {
            grid: [2, 4],
            merge: 2,
            columns: column_directions(2, &memory(90.0)),
        };
        let latents: Vec<f32> = (0..16).map(|x| x as f32).collect();
        let features: Vec<f32> = (0..2 * MEMORY_FEATURES).map(|x| 100.0 + x as f32).collect();
        let inputs = 4 + TOKEN_FEATURES;
        let mut out = vec![-1.0; 6 * inputs];
        layout.write(&latents, &features, &mut out);
        let cells = |token: usize| &out[token * inputs..token * inputs + 4];
        assert_eq!(cells(0), [0.0, 1.0, 4.0, 5.0]);
        assert_eq!(cells(1), [2.0, 3.0, 6.0, 7.0]);
        assert_eq!(cells(3), [10.0, 11.0, 14.0, 15.0]);
        let of_frame = &out[3 * inputs + 4..][..MEMORY_FEATURES];
        assert_eq!(of_frame, &features[MEMORY_FEATURES..]);
        assert_eq!(out[4 * inputs..], vec![-1.0; 2 * inputs]);
    }

    #[test]
    fn columns_to_the_left_have_greater_angles() {
        let columns = column_directions(4, &memory(90.0));
        let angles: Vec<f32> = columns.iter().map(|[cos, sin]| sin.atan2(*cos)).collect();
        let expected = [0.75f32, 0.25, -0.25, -0.75].map(f32::atan);
        for (angle, expected) in angles.iter().zip(expected) {
            assert!((angle - expected).abs() < 1e-6, "{angles:?}");
        }
    }
}
