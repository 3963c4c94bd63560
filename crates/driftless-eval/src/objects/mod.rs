//! Finding a game's ball and paddles in a 64×64 frame by their colours.
//!
//! A down-scaled object is a blend of its colour with the background, so each pixel's difference
//! from the background is split into shares of the known colours. Pixel i's centre is at i.

mod breakout;
mod pong;

use driftless_data::Episode;

/// Height and width of the frames for which the games' columns and masses hold.
pub const SIZE: [usize; 2] = [64, 64];

/// Shares of a ball below this are taken for noise.
const BALL_NOISE: f32 = 0.1;
/// Sum of shares of a ball that does not move: 2 × 4 of 160 × 160 pixels, in 64 × 64.
const BALL_MASS: f32 = 1.28;
/// A blob with less than this part of a ball's mass is no ball (real balls, cut by an edge
/// included, have at least half).
const LEAST_BALL: f32 = 0.45;
/// A blob longer than this on either axis is a line or a stain, not a ball.
const LONGEST_BALL: usize = 7;
/// A paddle that does not move has 10.24; at the edge a quarter of it shows.
const LEAST_PADDLE: f32 = 2.0;

/// A game whose objects are known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Game {
    /// A ball, the player's paddle on the right and the enemy's on the left.
    Pong,
    /// A ball and the player's paddle at the bottom.
    Breakout,
}

impl Game {
    /// The game of which an episode carries the truth: extra arrays `ball` with `player_y` and
    /// `enemy_y`, or with `player_x`.
    pub fn of(episode: &Episode) -> Option<Self> {
        let has = |name: &str| episode.extras.contains_key(name);
        if [episode.height, episode.width] != SIZE || !has("ball") {
            return None;
        }
        match (has("player_y") && has("enemy_y"), has("player_x")) {
            (true, _) => Some(Self::Pong),
            (false, true) => Some(Self::Breakout),
            (false, false) => None,
        }
    }

    /// Finds the objects of one frame, u8 RGB `[64, 64, 3]`.
    pub fn find(self, image: &[u8]) -> Objects {
        match self {
            Self::Pong => pong::find(image),
            Self::Breakout => breakout::find(image),
        }
    }

    /// Whether the ball is told from what lies around and behind it there.
    pub fn tells(self, ball: Point) -> bool {
        match self {
            Self::Pong => true,
            Self::Breakout => breakout::tells(ball),
        }
    }

    /// Whether the ball and a box of 9 × 9 pixels around it, also when shifted by two, are away
    /// from everything else.
    pub(super) fn alone(self, ball: Point) -> bool {
        let (x, y) = match self {
            Self::Pong => (14.0..=48.0, 6.0..=57.0),
            Self::Breakout => (9.0..=53.0, 30.0..=56.0),
        };
        x.contains(&ball.x) && y.contains(&ball.y)
    }
}

/// A place in a frame, in pixels; pixel i's centre is at i.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// Columns from the left.
    pub x: f32,
    /// Rows from the top.
    pub y: f32,
}

impl Point {
    /// The Euclidean distance in pixels.
    pub fn distance(self, other: Self) -> f64 {
        f64::from(self.x - other.x).hypot(f64::from(self.y - other.y))
    }
}

/// A ball-like blob.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Blob {
    /// Its centre, weighted by the ball's share in each pixel.
    pub centre: Point,
    /// Sum of the shares; a real ball has 0.6 (cut by an edge) to 2.5 (moving).
    pub mass: f32,
}

/// What a frame shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Objects {
    /// Ball-like blobs, the heaviest first.
    pub balls: Vec<Blob>,
    /// The player's centre along its way: a row in Pong, a column in Breakout.
    pub player: Option<f32>,
    /// Row of the enemy's centre, where there is one.
    pub enemy: Option<f32>,
}

impl Objects {
    /// The heaviest ball-like blob's centre.
    pub fn ball(&self) -> Option<Point> {
        self.balls.first().map(|blob| blob.centre)
    }
}

/// A frame whose pixels are read as shares of known colours.
struct Shares<'a> {
    image: &'a [u8],
    background: [f32; 3],
}

impl Shares<'_> {
    /// The difference of pixel (x, y) from the background through a linear form, at most 1.
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

/// The ball-like connected components (8 neighbours) of a map of shares; clears the map.
fn blobs(map: &mut [f32]) -> Vec<Blob> {
    let [height, width] = SIZE;
    let mut found = Vec::new();
    let mut open = Vec::new();
    for start in 0..map.len() {
        let mut take = |at: usize, open: &mut Vec<(usize, usize, f32)>| {
            if let Some(share) = map.get_mut(at).filter(|share| **share > BALL_NOISE) {
                open.push((at % width, at / width, *share));
                *share = 0.0;
            }
        };
        take(start, &mut open);
        let (mut mass, mut mx, mut my) = (0.0, 0.0, 0.0);
        let (mut low, mut high) = ([usize::MAX; 2], [0; 2]);
        while let Some((x, y, share)) = open.pop() {
            mass += share;
            mx += share * x as f32;
            my += share * y as f32;
            low = [low[0].min(x), low[1].min(y)];
            high = [high[0].max(x), high[1].max(y)];
            for v in y.saturating_sub(1)..=(y + 1).min(height - 1) {
                for u in x.saturating_sub(1)..=(x + 1).min(width - 1) {
                    take(v * width + u, &mut open);
                }
            }
        }
        let small = (0..2).all(|axis| high[axis] < low[axis].saturating_add(LONGEST_BALL));
        if mass >= LEAST_BALL * BALL_MASS && small {
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
