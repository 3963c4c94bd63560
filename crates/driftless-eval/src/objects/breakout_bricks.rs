//! Which bricks of Breakout's wall a 64×64 frame shows.

use super::SIZE;

/// Rows and columns of bricks.
const GRID: [usize; 2] = [6, 18];
/// Number of bricks.
pub(crate) const BRICKS: usize = GRID[0] * GRID[1];
/// Largest channel of each row's colour, the upper row first.
const BRIGHTNESS: [f32; GRID[0]] = [200.0, 198.0, 180.0, 162.0, 160.0, 200.0];
/// Pixels per screen pixel: 64 for 160.
const SCALE: f32 = 0.4;
/// Top left corner of the wall: screen column 8, and row 57 in a crop from row 34 on.
const CORNER: [f32; 2] = [8.0 * SCALE, 23.0 * SCALE];
/// Width and height of a brick: 8 × 6 screen pixels.
const BRICK: [f32; 2] = [8.0 * SCALE, 6.0 * SCALE];

/// For each brick, row by row, whether more than half of its area is coloured.
pub(crate) fn bricks(image: &[u8]) -> [bool; BRICKS] {
    std::array::from_fn(|i| {
        let (row, column) = (i / GRID[1], i % GRID[1]);
        let x = CORNER[0] + column as f32 * BRICK[0];
        let y = CORNER[1] + row as f32 * BRICK[1];
        mean_brightness(image, x, y) > 0.5 * BRIGHTNESS[row]
    })
}

/// Mean of the pixels' largest channels over a brick whose top left corner is (x, y), pixels weighted by
/// their overlap.
fn mean_brightness(image: &[u8], x: f32, y: f32) -> f32 {
    let overlap = |low: f32, size: f32, i: usize| {
        ((low + size).min(i as f32 + 1.0) - low.max(i as f32)).max(0.0)
    };
    let mut sum = 0.0;
    for row in y as usize..=((y + BRICK[1]) as usize).min(SIZE[0] - 1) {
        for column in x as usize..=((x + BRICK[0]) as usize).min(SIZE[1] - 1) {
            let at = (row * SIZE[1] + column) * 3;
            let pixel = image.get(at..at + 3).unwrap_or_default();
            let bright = pixel.iter().copied().max().unwrap_or_default();
            sum += overlap(x, BRICK[0], column) * overlap(y, BRICK[1], row) * f32::from(bright);
        }
    }
    sum / (BRICK[0] * BRICK[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A wall as the game draws it, 160 × 160, without the bricks `missing`, shrunk by area.
    fn wall(missing: &[usize], ball: Option<[usize; 2]>) -> Vec<u8> {
        let mut screen = vec![0.0f32; 160 * 160];
        for (row, brightness) in BRIGHTNESS.into_iter().enumerate() {
            for y in 23 + row * 6..29 + row * 6 {
                for x in 8..152 {
                    if !missing.contains(&(row * GRID[1] + (x - 8) / 8)) {
                        screen[y * 160 + x] = brightness;
                    }
                }
            }
        }
        if let Some([left, top]) = ball {
            (top..top + 4).for_each(|y| screen[y * 160 + left..][..2].fill(200.0));
        }
        // Five small pixels a screen pixel's two: 160 · 2 = 64 · 5.
        let fine = |y: usize, x: usize| screen[y / 2 * 160 + x / 2];
        let pixel = |i: usize| {
            let (y, x) = (i / 64 * 5, i % 64 * 5);
            let sum: f32 = (0..25).map(|k| fine(y + k / 5, x + k % 5)).sum();
            [(sum / 25.0) as u8, 0, 0]
        };
        (0..SIZE[0] * SIZE[1]).flat_map(pixel).collect()
    }

    #[test]
    fn every_missing_brick_is_found() {
        assert_eq!(bricks(&wall(&[], None)), [true; BRICKS]);
        for brick in 0..BRICKS {
            let found = bricks(&wall(&[brick], None));
            let missing: Vec<_> = (0..BRICKS).filter(|i| !found[*i]).collect();
            assert_eq!(missing, [brick]);
        }
        assert_eq!(bricks(&[0; 64 * 64 * 3]), [false; BRICKS]);
    }

    #[test]
    fn a_ball_in_a_hole_is_no_brick() {
        // Brick 40 is in row 2, column 4: screen columns 40 to 47, crop rows 35 to 40.
        for x in 40..46 {
            let found = bricks(&wall(&[40], Some([x, 36])));
            assert!(!found[40] && found[39] && found[41]);
        }
    }
}
