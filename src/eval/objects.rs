//! Finding Pong's ball and paddles in a 64×64 frame by their colours.
//!
//! A down-scaled object is a blend of its colour with the brown background, so each pixel's
//! difference from the background is split into shares of the known colours by fixed linear forms.
//! A moving player's edge takes the channel-wise maximum with the background, which is a third
//! colour there; the forms ignore it where they must. Pixel i's centre is at i.

/// Height and width of the frames for which the columns and masses below hold.
pub const SIZE: [usize; 2] = [64, 64];

const BACKGROUND: [f32; 3] = [144.0, 72.0, 17.0];
/// 1 on the ball, 0 on the background, on the player and on its pooled edge (144, 186, 92).
const BALL_FORM_RIGHT: [f32; 3] = [0.0, -75.0 / 12_666.0, 114.0 / 12_666.0];
/// 1 on the ball, 0 on the background and on the enemy; the shortest such form.
const BALL_FORM_LEFT: [f32; 3] = [-0.006_298, 0.001_534, 0.006_063];
/// 1 on the player and on its pooled edge, 0 on the background and on the ball.
const PLAYER_FORM: [f32; 3] = [0.0, 219.0 / 12_666.0, -164.0 / 12_666.0];
/// 1 on the enemy, 0 on the background and on the ball; the shortest such form.
const ENEMY_FORM: [f32; 3] = [0.021_761, 0.001_277, -0.010_098];
const PLAYER_COLUMNS: std::ops::Range<usize> = 54..62;
const ENEMY_COLUMNS: std::ops::Range<usize> = 4..11;

/// Shares below these are taken for noise.
const BALL_NOISE: f32 = 0.1;
const PADDLE_NOISE: f32 = 0.15;
/// Sum of shares of a ball that does not move: 2 × 4 of 160 × 160 pixels, in 64 × 64.
const BALL_MASS: f32 = 1.28;
/// A blob with less than this part of a ball's mass is no ball (real balls, cut by an edge
/// included, have at least half).
const LEAST_BALL: f32 = 0.45;
/// A blob longer than this on either axis is a line or a stain, not a ball.
const LONGEST_BALL: usize = 7;
/// A paddle that does not move has 10.24; at the edge a quarter of it shows.
const LEAST_PADDLE: f32 = 2.0;

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
    /// Row of the player's centre.
    pub player: Option<f32>,
    /// Row of the enemy's centre.
    pub enemy: Option<f32>,
}

impl Objects {
    /// The heaviest ball-like blob's centre.
    pub fn ball(&self) -> Option<Point> {
        self.balls.first().map(|blob| blob.centre)
    }
}

/// Finds the objects of one frame, u8 RGB `[64, 64, 3]`.
pub fn find(image: &[u8]) -> Objects {
    let share = |x: usize, y: usize, form: &[f32; 3]| -> f32 {
        let at = (y * SIZE[1] + x) * 3;
        let pixel = image.get(at..at + 3).unwrap_or(&[144, 72, 17]);
        pixel
            .iter()
            .zip(BACKGROUND)
            .zip(form)
            .map(|((&value, background), weight)| (f32::from(value) - background) * weight)
            .sum()
    };
    let paddle = |columns: std::ops::Range<usize>, form: &[f32; 3]| {
        let (mut mass, mut moment) = (0.0, 0.0);
        for y in 0..SIZE[0] {
            for x in columns.clone() {
                let share = share(x, y, form).min(1.0);
                if share > PADDLE_NOISE {
                    mass += share;
                    moment += share * y as f32;
                }
            }
        }
        (mass > LEAST_PADDLE).then(|| moment / mass)
    };
    let mut ball = Vec::with_capacity(SIZE[0] * SIZE[1]);
    for y in 0..SIZE[0] {
        for x in 0..SIZE[1] {
            let form = if x < SIZE[1] / 2 {
                &BALL_FORM_LEFT
            } else {
                &BALL_FORM_RIGHT
            };
            ball.push(share(x, y, form).min(1.0));
        }
    }
    Objects {
        balls: blobs(&mut ball),
        player: paddle(PLAYER_COLUMNS, &PLAYER_FORM),
        enemy: paddle(ENEMY_COLUMNS, &ENEMY_FORM),
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
#[path = "objects_tests.rs"]
mod tests;
