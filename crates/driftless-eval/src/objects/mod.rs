//! Detection of a game's ball and paddles in a 64×64 frame by their colours.
//!
//! A downscaled object is a blend of its colour with the background. So each pixel's difference
//! from the background is split into coverages: how much of the pixel each object covers, 0 to 1.
//! The centre of pixel i is at i.

mod breakout;
pub(crate) mod breakout_bricks;
pub(crate) mod edit;
mod pong;

use driftless_data::Episode;
use driftless_data::layout::array::{BALL, ENEMY_Y, PLAYER_X, PLAYER_Y};

/// Height and width of the frames that the detectors expect.
pub const SIZE: [usize; 2] = [64, 64];

/// Largest distance of a ball that counts as correct from the true one, in pixels.
pub(crate) const BALL_TOLERANCE: f64 = 2.0;

/// Coverage by a ball below this is noise.
const BALL_NOISE: f32 = 0.1;
/// Total coverage of a ball at rest: 2 × 4 of 160 × 160 pixels, in 64 × 64.
const BALL_MASS: f32 = 1.28;
/// Least mass of a ball, as a fraction of [`BALL_MASS`]. Real balls have at least half of it, even
/// if the frame's edge cuts them.
const MIN_BALL: f32 = 0.45;
/// Largest extent of a ball on either axis, in pixels.
const MAX_BALL_SIZE: usize = 7;
/// Least total coverage of a paddle. A paddle at rest has 10.24; at the frame's edge a quarter of
/// it is visible.
const MIN_PADDLE: f32 = 2.0;

/// A game whose objects can be detected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Game {
    /// A ball, the player's paddle on the right, and the enemy's on the left.
    Pong,
    /// A ball and the player's paddle at the bottom.
    Breakout,
}

impl Game {
    /// The game of an episode with ground truth of its objects: the extra array `ball` with
    /// `player_y` and `enemy_y`, or with `player_x`.
    pub fn of(episode: &Episode) -> Option<Self> {
        let has = |name: &str| episode.extras.contains_key(name);
        if [episode.height, episode.width] != SIZE || !has(BALL) {
            return None;
        }
        if has(PLAYER_Y) && has(ENEMY_Y) {
            Some(Self::Pong)
        } else if has(PLAYER_X) {
            Some(Self::Breakout)
        } else {
            None
        }
    }

    /// Detects the objects of a frame, u8 RGB `[64, 64, 3]`.
    pub fn find(self, image: &[u8]) -> DetectedObjects {
        match self {
            Self::Pong => pong::find(image),
            Self::Breakout => breakout::find(image),
        }
    }

    /// Whether a ball at this position can be distinguished from its surroundings.
    pub fn can_detect(self, ball: Point) -> bool {
        match self {
            Self::Pong => true,
            Self::Breakout => breakout::can_detect(ball),
        }
    }

    /// Whether a box of 9 × 9 pixels around the ball contains nothing else, even if the ball is
    /// shifted by two pixels.
    pub(super) fn is_isolated(self, ball: Point) -> bool {
        let (x, y) = match self {
            Self::Pong => (14.0..=48.0, 6.0..=57.0),
            Self::Breakout => (9.0..=53.0, 30.0..=56.0),
        };
        x.contains(&ball.x) && y.contains(&ball.y)
    }
}

/// A position in a frame, in pixels. The centre of pixel i is at i.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Column, from the left.
    pub x: f32,
    /// Row, from the top.
    pub y: f32,
}

impl Point {
    /// The Euclidean distance in pixels.
    pub fn distance(self, other: Self) -> f64 {
        f64::from(self.x - other.x).hypot(f64::from(self.y - other.y))
    }
}

/// A connected area that looks like a ball.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blob {
    /// Its centre, weighted by coverage.
    pub centre: Point,
    /// Total coverage. A real ball has 0.6 (cut by an edge) to 2.5 (moving).
    pub mass: f32,
}

/// The objects of a frame.
#[derive(Clone, Debug, PartialEq)]
pub struct DetectedObjects {
    /// Balls, the largest mass first.
    pub balls: Vec<Blob>,
    /// Centre of the player's paddle: a row in Pong, a column in Breakout.
    pub player: Option<f32>,
    /// Centre of the enemy's paddle: a row in Pong.
    pub enemy: Option<f32>,
}

impl DetectedObjects {
    /// Centre of the ball with the largest mass.
    pub fn ball(&self) -> Option<Point> {
        self.balls.first().map(|blob| blob.centre)
    }
}

/// A frame whose pixels are split into coverages.
struct Coverage<'a> {
    image: &'a [u8],
    background: [f32; 3],
}

impl Coverage<'_> {
    /// A linear form of the difference of pixel (x, y) from the background, at most 1.
    fn at(&self, x: usize, y: usize, form: &[f32; 3]) -> f32 {
        let at = (y * SIZE[1] + x) * 3;
        let Some(pixel) = self.image.get(at..at + 3) else {
            return 0.0;
        };
        let parts = pixel.iter().zip(self.background).zip(form);
        let sum: f32 = parts
            .map(|((&value, background), weight)| (f32::from(value) - background) * weight)
            .sum();
        sum.min(1.0)
    }
}

/// The connected components (8 neighbours) of a coverage map that look like a ball. Clears the map.
fn find_blobs(map: &mut [f32]) -> Vec<Blob> {
    let [height, width] = SIZE;
    let mut found = Vec::new();
    let mut open = Vec::new();
    for start in 0..map.len() {
        let mut take = |at: usize, open: &mut Vec<(usize, usize, f32)>| {
            if let Some(coverage) = map.get_mut(at).filter(|coverage| **coverage > BALL_NOISE) {
                open.push((at % width, at / width, *coverage));
                *coverage = 0.0;
            }
        };
        take(start, &mut open);
        let (mut mass, mut mx, mut my) = (0.0, 0.0, 0.0);
        let (mut low, mut high) = ([usize::MAX; 2], [0; 2]);
        while let Some((x, y, coverage)) = open.pop() {
            mass += coverage;
            mx += coverage * x as f32;
            my += coverage * y as f32;
            low = [low[0].min(x), low[1].min(y)];
            high = [high[0].max(x), high[1].max(y)];
            for v in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                for u in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                    take(v * width + u, &mut open);
                }
            }
        }
        let small = (0..2).all(|axis| high[axis] < low[axis].saturating_add(MAX_BALL_SIZE));
        if mass >= MIN_BALL * BALL_MASS && small {
            found.push(Blob {
                centre: Point {
                    x: mx / mass,
                    y: my / mass,
                },
                mass,
            });
        }
    }
    found.sort_by(|a, b| b.mass.total_cmp(&a.mass));
    found
}

#[cfg(test)]
mod tests;
