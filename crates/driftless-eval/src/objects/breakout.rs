//! Detection of Breakout's objects: ball and paddle are red (200, 72, 72) on black, like a row of
//! bricks.
//!
//! The ball is searched above and below the bricks, where nothing else is red. Rows are those of
//! the recording script's crop: screen rows 34 to 194, scaled to 64.

use super::{Coverage, DetectedObjects, MIN_PADDLE, Point, SIZE, find_blobs};

const RED: [f32; 3] = [1.0 / 200.0, 0.0, 0.0];
/// Columns between the walls.
const COLUMNS: std::ops::Range<usize> = 4..60;
/// Rows of the bricks: screen rows 57 to 93.
const BRICKS: std::ops::Range<usize> = 9..24;
/// Rows of the paddle: screen rows 189 to 193.
const PADDLE: std::ops::Range<usize> = 62..64;
/// Coverage by the paddle below this is noise.
const PADDLE_NOISE: f32 = 0.25;
/// Half the height of a ball. Nearer to bricks or paddle, a part of it cannot be distinguished.
const HALF_HEIGHT: f32 = 0.8;

/// Whether the whole ball lies in rows that are searched.
pub(super) fn can_detect(ball: Point) -> bool {
    // Pixel i covers [i − ½, i + ½].
    let (top, bottom) = (ball.y - HALF_HEIGHT + 0.5, ball.y + HALF_HEIGHT + 0.5);
    bottom <= BRICKS.start as f32 || (top >= BRICKS.end as f32 && bottom <= PADDLE.start as f32)
}

/// Detects the objects of a frame.
pub(super) fn find(image: &[u8]) -> DetectedObjects {
    let coverage = Coverage {
        image,
        background: [0.0; 3],
    };
    let mut ball = Vec::with_capacity(SIZE[0] * SIZE[1]);
    for y in 0..SIZE[0] {
        for x in 0..SIZE[1] {
            let free = COLUMNS.contains(&x) && !BRICKS.contains(&y) && !PADDLE.contains(&y);
            ball.push(if free { coverage.at(x, y, &RED) } else { 0.0 });
        }
    }
    let (mut mass, mut moment) = (0.0, 0.0);
    for y in PADDLE {
        for x in COLUMNS {
            let value = coverage.at(x, y, &RED);
            if value > PADDLE_NOISE {
                mass += value;
                moment += value * x as f32;
            }
        }
    }
    DetectedObjects {
        balls: find_blobs(&mut ball),
        player: (mass > MIN_PADDLE).then(|| moment / mass),
        enemy: None,
    }
}
