//! The inputs of memory tokens.

use super::pose::{MEMORY_FEATURES, TURN_COS};
use crate::config::{MemoryConfig, WorldConfig};

/// Numbers that tell how a token's window stands to the view: the offset of its middle in cells, how
/// much wider and higher than there things are in the recalled frame, and the share of it that is in
/// the recalled picture.
pub const ALIGNMENT_FEATURES: usize = 4;

/// What stands in front of less than this cosine is not in any picture.
const LEAST_COSINE: f32 = 0.2;

/// Writes the inputs of memory tokens.
///
/// A token stands for a place in the coming view, not in the recalled picture: it holds the cells that
/// the recalled frame shows in that direction, so that after a turn on the spot the content is read
/// where it belongs (the homography of a rotating camera, Hartley and Zisserman, section 8.4). Since a
/// direction falls between cells, the window is twice as wide as the token; cells beyond the picture
/// are zero.
#[derive(Clone, Debug, PartialEq)]
pub struct TokenInputs {
    grid: [usize; 2],
    merge: usize,
    channels: usize,
    /// Tangent of half the angle of view.
    half_tangent: f32,
}

/// The window of a column of tokens in a recalled frame.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Alignment {
    /// First column of cells; may be outside of the picture.
    first: isize,
    features: [f32; ALIGNMENT_FEATURES],
}

impl TokenInputs {
    /// For the frames of a world.
    pub fn new(world: &WorldConfig, memory: &MemoryConfig) -> Self {
        Self {
            grid: world.grid(),
            merge: world.dynamics.merge,
            channels: world.tokenizer.channels,
            half_tangent: (memory.field_of_view.to_radians() / 2.0).tan(),
        }
    }

    /// Inputs of a token: 2 · merge² · c cells, the features of the frame, and those of the alignment.
    pub fn per_token(merge: usize, channels: usize) -> usize {
        2 * merge * merge * channels + MEMORY_FEATURES + ALIGNMENT_FEATURES
    }

    /// Inputs of all tokens of a frame.
    pub fn per_frame(&self) -> usize {
        let [gh, gw] = self.grid;
        gh * gw / (self.merge * self.merge) * Self::per_token(self.merge, self.channels)
    }

    /// Adds the inputs of the tokens of a recalled frame to `out`: for each token row by row, its cells
    /// (line by line), the features of the frame, and those of its alignment. `latent` is [gh, gw, c];
    /// `features` are those of [`memory_features`](super::memory_features).
    pub fn push(&self, latent: &[f32], features: &[f32; MEMORY_FEATURES], out: &mut Vec<f32>) {
        let ([gh, gw], merge, c) = (self.grid, self.merge, self.channels);
        let turn = [features[TURN_COS], features[TURN_COS + 1]];
        let columns: Vec<Alignment> = (0..gw / merge)
            .map(|column| self.align(column, turn))
            .collect();
        for row in (0..gh).step_by(merge) {
            for alignment in &columns {
                for line in row..row + merge {
                    for i in 0..2 * merge as isize {
                        let column = usize::try_from(alignment.first + i).ok();
                        match column.filter(|column| *column < gw) {
                            Some(column) => {
                                let at = (line * gw + column) * c;
                                out.extend_from_slice(&latent[at..at + c]);
                            }
                            None => out.resize(out.len() + c, 0.0),
                        }
                    }
                }
                out.extend_from_slice(features);
                out.extend_from_slice(&alignment.features);
            }
        }
    }

    /// Where the things that stand in a column of tokens of the coming view are in a frame whose camera
    /// is turned by an angle with this cosine and sine.
    fn align(&self, column: usize, [cos, sin]: [f32; 2]) -> Alignment {
        let (merge, across) = (self.merge as f32, self.grid[1] as f32);
        // Angles grow to the left: tangent of the direction in which a border between cells is seen.
        let left = |cells: f32| self.half_tangent * (1.0 - 2.0 * cells / across);
        let ahead = |tangent: f32| cos + tangent * sin;
        let seen = |cells: f32| {
            let tangent = left(cells);
            let turned = (tangent * cos - sin) / ahead(tangent);
            across * (1.0 - turned / self.half_tangent) / 2.0
        };
        let start = column as f32 * merge;
        let (middle, end) = (start + merge / 2.0, start + merge);
        if ahead(left(start)).min(ahead(left(end))) < LEAST_COSINE {
            return Alignment {
                first: -2 * self.merge as isize,
                features: [0.0; ALIGNMENT_FEATURES],
            };
        }
        let (from, at, to) = (seen(start), seen(middle), seen(end));
        let whole = at.round();
        let in_picture = (to.min(across) - from.max(0.0)).max(0.0) / (to - from);
        Alignment {
            first: whole as isize - self.merge as isize,
            features: [
                at - whole,
                (to - from) / merge - 1.0,
                1.0 / ahead(left(middle)) - 1.0,
                in_picture,
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Frames of 2×8 cells with one channel, merged two by two, that show a right angle.
    fn layout() -> TokenInputs {
        TokenInputs {
            grid: [2, 8],
            merge: 2,
            channels: 1,
            half_tangent: 1.0,
        }
    }

    fn turned(degrees: f32) -> [f32; MEMORY_FEATURES] {
        let mut features = [9.0; MEMORY_FEATURES];
        let (sin, cos) = degrees.to_radians().sin_cos();
        (features[TURN_COS], features[TURN_COS + 1]) = (cos, sin);
        features
    }

    /// The cells of each token, and the rest of its inputs.
    fn tokens(degrees: f32) -> Vec<(Vec<f32>, Vec<f32>)> {
        let latent: Vec<f32> = (1..=16).map(|x| x as f32).collect();
        let mut out = vec![-1.0];
        layout().push(&latent, &turned(degrees), &mut out);
        assert_eq!(out.len(), 1 + layout().per_frame());
        let tokens = out[1..].chunks_exact(TokenInputs::per_token(2, 1));
        let split = tokens.map(|token| (token[..8].to_vec(), token[8..].to_vec()));
        split.collect()
    }

    #[test]
    fn the_same_view_stands_in_place() {
        let tokens = tokens(0.0);
        // Columns 3 to 6 around token 1, whose own are 3 and 4 of the first line.
        assert_eq!(tokens[1].0, [2., 3., 4., 5., 10., 11., 12., 13.]);
        assert_eq!(tokens[0].0, [0., 1., 2., 3., 0., 9., 10., 11.]);
        assert_eq!(tokens[3].0, [6., 7., 8., 0., 14., 15., 16., 0.]);
        let expected = [turned(0.0).as_slice(), &[0.0, 0.0, 0.0, 1.0]].concat();
        assert!(tokens.iter().all(|(_, rest)| *rest == expected));
    }

    #[test]
    fn a_view_turned_to_the_left_shows_the_left() {
        // What stands 45° to the left, at the left border, is in the middle of a frame turned there.
        let tokens = tokens(45.0);
        let [offset, ..] = tokens[0].1[MEMORY_FEATURES..] else {
            panic!()
        };
        // The middle of token 0 is at a tangent of 0.75, 36.87°, 8.13° to the right of the middle.
        let cells = 4.0 * (1.0 + 8.13f32.to_radians().tan());
        assert!((offset - (cells - cells.round())).abs() < 1e-3, "{offset}");
        assert_eq!(tokens[0].0[..4], [4., 5., 6., 7.]);
        // What is on the right of the view is not in that frame.
        let (cells, rest) = &tokens[3];
        assert!(cells.iter().all(|x| *x == 0.0), "{cells:?}");
        assert_eq!(rest.last(), Some(&0.0));
    }

    #[test]
    fn opposite_views_share_nothing() {
        for (cells, rest) in tokens(180.0) {
            assert!(cells.iter().all(|x| *x == 0.0));
            assert_eq!(rest[MEMORY_FEATURES..], [0.0; ALIGNMENT_FEATURES]);
        }
    }
}
