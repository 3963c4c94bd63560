//! Which walls and objects the frames of a clip show, by their colours: the census that captions of the maze
//! are checked with.

use driftless_worlds::caption::{OBJECT_NAMES, Place, Side, WALL_NAMES};

use super::picture::{FRAME, SIDE};
use crate::maze_colours::{self, Surface};

/// Share of a clip's frames in which a wall colour must lead on a side. Captions speak of walls that fill it
/// in more of them.
const WALL_FRAMES: f32 = 0.5;
/// Share of the frames in which an object must be in sight, likewise.
const OBJECT_FRAMES: f32 = 0.25;
/// Share of those in which it must be on the side that is asked for.
const ONE_SIDE: f32 = 0.6;
/// Least saturation of an object's pixel, in percent.
const COLOURFUL: u32 = 45;
/// Fewest pixels of an object in sight.
const OBJECT_PIXELS: usize = 18;

/// What the frames of a clip show.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Census {
    frames: usize,
    /// For each side and wall colour, the frames in which the colour leads there.
    walls: [[usize; WALL_NAMES.len()]; 3],
    /// For each object and side, the frames in which it is seen there.
    objects: [[usize; 3]; OBJECT_NAMES.len()],
}

impl Census {
    /// Of a clip, u8 RGB [T, 64, 64, 3].
    pub fn of(clip: &[u8]) -> Self {
        let mut census = Self {
            frames: clip.len() / FRAME,
            walls: Default::default(),
            objects: Default::default(),
        };
        for frame in clip.chunks_exact(FRAME) {
            census.count(frame);
        }
        census
    }

    fn count(&mut self, frame: &[u8]) {
        // At eye level, walls show neither their dark foot nor their bright band.
        let mut walls = [[0_usize; WALL_NAMES.len()]; 3];
        for row in [SIDE / 2 - 1, SIDE / 2] {
            for column in 0..SIDE {
                let surface = maze_colours::surface(frame, row * SIDE + column);
                if let Some(Surface::Wall(colour)) = surface {
                    walls[Side::of_column(column, SIDE) as usize][colour] += 1;
                }
            }
        }
        for (side, counts) in walls.iter().enumerate() {
            let most = counts.iter().enumerate().max_by_key(|(_, count)| **count);
            if let Some((colour, 1..)) = most {
                self.walls[side][colour] += 1;
            }
        }
        let mut pixels = [(0_usize, 0_usize); OBJECT_NAMES.len()];
        let colourful = (0..SIDE * SIDE).filter(|&at| is_colourful(&frame[3 * at..3 * at + 3]));
        for at in colourful {
            if let Some(Surface::Object(object)) = maze_colours::surface(frame, at) {
                pixels[object].0 += 1;
                pixels[object].1 += at % SIDE;
            }
        }
        for (object, (count, columns)) in pixels.into_iter().enumerate() {
            if count >= OBJECT_PIXELS {
                let side = Side::of_column(columns / count, SIDE);
                self.objects[object][side as usize] += 1;
            }
        }
    }

    /// Whether walls of a colour fill a side in most frames.
    pub fn has_wall(&self, side: Side, colour: usize) -> bool {
        let frames = self.walls[side as usize].get(colour);
        frames.is_some_and(|&frames| frames as f32 >= WALL_FRAMES * self.frames as f32)
    }

    /// Whether an object is in sight, and there.
    pub fn has_object(&self, place: Place, object: usize) -> bool {
        let Some(sides) = self.objects.get(object) else {
            return false;
        };
        let seen = sides.iter().sum::<usize>() as f32;
        let there = match place {
            Place::At(side) => sides[side as usize] as f32,
            Place::Seen => seen,
        };
        seen >= (OBJECT_FRAMES * self.frames as f32).max(1.0) && there >= ONE_SIDE * seen
    }
}

/// Whether a pixel may be an object's: walls, floor and ceiling are mostly duller. Quick, so that the slow
/// comparison with all colours is made of few pixels.
fn is_colourful(pixel: &[u8]) -> bool {
    let most = pixel.iter().copied().max().unwrap_or_default();
    let least = pixel.iter().copied().min().unwrap_or_default();
    100 * u32::from(most - least) >= COLOURFUL * u32::from(most) && most > 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use driftless_worlds::maze::{OBJECT_PALETTE, WALL_PALETTE};

    fn colour([r, g, b]: [f32; 3]) -> [u8; 3] {
        [r, g, b].map(|value| (200.0 * value) as u8)
    }

    /// A frame of one wall per side, with a square of an object at a column.
    fn frame(walls: [usize; 3], object: Option<(usize, usize)>) -> Vec<u8> {
        let pixel = |at: usize| {
            let column = at % SIDE;
            match object {
                Some((object, left))
                    if (left..left + 6).contains(&column) && at / SIDE > 40 && at / SIDE < 47 =>
                {
                    colour(OBJECT_PALETTE[object])
                }
                _ => colour(WALL_PALETTE[walls[Side::of_column(column, SIDE) as usize]]),
            }
        };
        (0..SIDE * SIDE).flat_map(pixel).collect()
    }

    #[test]
    fn walls_and_objects_are_counted_by_side() {
        let clip = [frame([0, 1, 2], Some((1, 3))), frame([0, 3, 2], None)].concat();
        let census = Census::of(&clip);
        let walls = |side| {
            (0..5)
                .filter(|&c| census.has_wall(side, c))
                .collect::<Vec<_>>()
        };
        assert_eq!(Side::ALL.map(walls), [vec![0], vec![1, 3], vec![2]]);
        let seen = |place| {
            (0..4)
                .filter(|&o| census.has_object(place, o))
                .collect::<Vec<_>>()
        };
        assert_eq!(seen(Place::Seen), [1]);
        assert_eq!(
            Side::ALL.map(|side| seen(Place::At(side))),
            [vec![1], vec![], vec![]]
        );
    }

    #[test]
    fn an_object_that_wanders_is_on_no_side() {
        let clip = [3, 20, 30, 50]
            .map(|at| frame([4; 3], Some((2, at))))
            .concat();
        let census = Census::of(&clip);
        assert!(census.has_object(Place::Seen, 2));
        assert!(
            !Side::ALL
                .into_iter()
                .any(|side| census.has_object(Place::At(side), 2))
        );
    }

    #[test]
    fn dark_clips_show_nothing() {
        let census = Census::of(&vec![0; 2 * FRAME]);
        assert!(
            !Side::ALL
                .into_iter()
                .any(|side| (0..5).any(|c| census.has_wall(side, c)))
        );
        assert!(!(0..4).any(|object| census.has_object(Place::Seen, object)));
    }
}
