//! Breakout's colours: ball and paddle are red (200, 72, 72) on black, and so is a row of bricks.
//!
//! The ball is looked for above and below the bricks, where nothing else is red. Rows are those of
//! the crop that the recording script takes, screen rows 34 to 194 in 64.

use super::{LEAST_PADDLE, Objects, Point, SIZE, Shares, blobs};

const RED: [f32; 3] = [1.0 / 200.0, 0.0, 0.0];
/// Between the walls.
const COLUMNS: std::ops::Range<usize> = 4..60;
/// The rows of the bricks, screen rows 57 to 93.
const BRICKS: std::ops::Range<usize> = 9..24;
/// Screen rows 189 to 193, the paddle's.
const PADDLE: std::ops::Range<usize> = 62..64;
/// Shares of the paddle below this are taken for noise.
const PADDLE_NOISE: f32 = 0.25;
/// Half a ball's height: nearer than this to bricks or paddle a part of it is not told.
const HALF: f32 = 0.8;

/// Whether the whole ball lies in rows in which it is looked for.
pub(super) fn tells(ball: Point) -> bool {
    // Pixel i covers [i − ½, i + ½].
    let (top, bottom) = (ball.y - HALF + 0.5, ball.y + HALF + 0.5);
    bottom <= BRICKS.start as f32 || (top >= BRICKS.end as f32 && bottom <= PADDLE.start as f32)
}

/// Finds the objects of one frame.
pub(super) fn find(image: &[u8]) -> Objects {
    let shares = Shares {
        image,
        background: [0.0; 3],
    };
    let mut ball = Vec::with_capacity(SIZE[0] * SIZE[1]);
    for y in 0..SIZE[0] {
        for x in 0..SIZE[1] {
            let free = COLUMNS.contains(&x) && !BRICKS.contains(&y) && !PADDLE.contains(&y);
            ball.push(if free { shares.at(x, y, &RED) } else { 0.0 });
        }
    }
    let (mut mass, mut moment) = (0.0, 0.0);
    for y in PADDLE {
        for x in COLUMNS {
            let share = shares.at(x, y, &RED);
            if share > PADDLE_NOISE {
                mass += share;
                moment += share * x as f32;
            }
        }
    }
    Objects {
        balls: blobs(&mut ball),
        player: (mass > LEAST_PADDLE).then(|| moment / mass),
        enemy: None,
    }
}
