//! The track: a smooth closed curve without crossings, as points a metre apart; trees beside it.

use std::f32::consts::TAU;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Half the road's width.
pub const HALF_WIDTH: f32 = 5.0;
/// Width of a kerb beside the road.
pub const KERB: f32 = 1.3;
/// Everything of the track lies this near to the centre line.
const BAND: f32 = 9.0;
/// Mean distance of the curve from its middle.
const RADIUS: f32 = 62.0;
/// Bends of a smaller radius are not made; those below the second one have kerbs.
const TIGHTEST: f32 = 11.0;
const KERB_BELOW: f32 = 38.0;
/// Parts of the road that are not neighbours stay this far from each other.
const APART: f32 = 26.0;
const TREES: usize = 130;

/// A spot on or near the track.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spot {
    /// The nearest point of the centre line.
    pub place: [f32; 2],
    /// The track's direction there, of length 1.
    pub ahead: [f32; 2],
    /// Metres from the start line along the centre line.
    pub along: f32,
    /// Metres to the left of the centre line.
    pub offset: f32,
    /// Curvature in 1/m, left positive.
    pub bend: f32,
    /// Whether there are kerbs.
    pub kerb: bool,
}

/// A tree from above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tree {
    pub place: [f32; 2],
    pub radius: f32,
}

pub struct Track {
    /// The centre line, a spot for every step of `spacing` metres.
    line: Vec<Spot>,
    spacing: f32,
    trees: Vec<Tree>,
    near: Near,
}

impl Track {
    /// The track of a seed, and where its car starts.
    pub fn new(seed: u64) -> (Self, Spot) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let line = loop {
            let line = evened(&curve(&mut rng));
            if fits(&line) {
                break line;
            }
        };
        let near = Near::new(&line);
        let mut track = Self {
            spacing: distance(line[0].place, line[1].place),
            line,
            trees: Vec::new(),
            near,
        };
        for _ in 0..TREES {
            let place = [0.0; 2].map(|_: f32| rng.random_range(-1.6 * RADIUS..1.6 * RADIUS));
            let radius = rng.random_range(1.8..3.4);
            if track.spot(place).offset.abs() > BAND + radius {
                track.trees.push(Tree { place, radius });
            }
        }
        let start = track.at(rng.random_range(0.0..track.length()));
        (track, start)
    }

    /// Length of a lap.
    pub fn length(&self) -> f32 {
        self.line.len() as f32 * self.spacing
    }

    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// The centre line at so many metres from the start line.
    pub fn at(&self, along: f32) -> Spot {
        let index = (along / self.spacing).round() as i64;
        self.line[index.rem_euclid(self.line.len() as i64) as usize]
    }

    /// Where a place lies along the track and beside it.
    pub fn spot(&self, place: [f32; 2]) -> Spot {
        self.nearest(place, 0..self.line.len() as i64)
    }

    /// The same, if the place is on the track or right beside it; much faster.
    pub fn spot_near(&self, place: [f32; 2]) -> Option<Spot> {
        let index = i64::from(self.near.index(place)?);
        Some(self.nearest(place, index - 2..index + 3))
    }

    fn nearest(&self, place: [f32; 2], indices: std::ops::Range<i64>) -> Spot {
        let count = self.line.len() as i64;
        let of = |index: i64| self.line[index.rem_euclid(count) as usize];
        let far = |index: &i64| square_distance(of(*index).place, place);
        let nearest = indices.min_by(|a, b| far(a).total_cmp(&far(b)));
        let point = of(nearest.unwrap_or(0));
        let [dx, dy] = [0, 1].map(|i| place[i] - point.place[i]);
        let [ax, ay] = point.ahead;
        // Between two points the line is straight.
        let past = (dx * ax + dy * ay).clamp(-self.spacing, self.spacing);
        Spot {
            along: (point.along + past).rem_euclid(self.length()),
            offset: dy * ax - dx * ay,
            ..point
        }
    }
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    square_distance(a, b).sqrt()
}

/// The square of a distance.
pub fn square_distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

/// A closed curve around the origin whose distance from it is a sum of a few waves.
fn curve(rng: &mut ChaCha8Rng) -> Vec<[f32; 2]> {
    let waves: Vec<[f32; 3]> = (2..=6)
        .map(|wave| {
            let wave = wave as f32;
            let height = rng.random_range(0.2..1.0) * 0.42 / wave.sqrt();
            [wave, height, rng.random_range(0.0..TAU)]
        })
        .collect();
    let turn = if rng.random_bool(0.5) { 1.0 } else { -1.0 };
    let point = |i: usize| {
        let angle = turn * TAU * i as f32 / 4000.0;
        let high: f32 = waves
            .iter()
            .map(|[w, h, p]| h * (w * angle + p).cos())
            .sum();
        let radius = RADIUS * high.exp();
        [radius * angle.cos(), radius * angle.sin()]
    };
    (0..4000).map(point).collect()
}

/// A closed curve as points of equal spacing, about a metre, with directions and bends.
fn evened(curve: &[[f32; 2]]) -> Vec<Spot> {
    let next = |i: usize| curve[(i + 1) % curve.len()];
    let lengths: Vec<f32> = (0..curve.len())
        .map(|i| distance(curve[i], next(i)))
        .collect();
    let length: f32 = lengths.iter().sum();
    let count = length.round().max(3.0) as usize;
    let spacing = length / count as f32;
    let mut places = Vec::with_capacity(count);
    let mut gone = 0.0;
    for (i, step) in lengths.iter().enumerate() {
        while places.len() < count && places.len() as f32 * spacing < gone + step {
            let share = (places.len() as f32 * spacing - gone) / step;
            places
                .push([0, 1].map(|axis| curve[i][axis] + share * (next(i)[axis] - curve[i][axis])));
        }
        gone += step;
    }
    let at = |i: usize| places[i % places.len()];
    let ahead = |i: usize| {
        let (from, to) = (at(i + places.len() - 1), at(i + 1));
        let length = distance(from, to);
        [0, 1].map(|axis| (to[axis] - from[axis]) / length)
    };
    (0..places.len())
        .map(|i| {
            let (before, after) = (ahead(i + places.len() - 2), ahead(i + 2));
            let turn = before[0] * after[1] - before[1] * after[0];
            let bend = turn.clamp(-1.0, 1.0).asin() / (4.0 * spacing);
            Spot {
                place: at(i),
                ahead: ahead(i),
                along: i as f32 * spacing,
                offset: 0.0,
                bend,
                kerb: bend.abs() > 1.0 / KERB_BELOW,
            }
        })
        .collect()
}

/// Whether a car can drive it: no bend too tight, no parts too near each other.
fn fits(line: &[Spot]) -> bool {
    let count = line.len();
    let tight = line.iter().any(|spot| spot.bend.abs() > 1.0 / TIGHTEST);
    let neighbours = (1.8 * APART) as usize;
    let meets = |i: usize| {
        (i + neighbours..count.min(i + count - neighbours))
            .step_by(3)
            .any(|j| distance(line[i].place, line[j].place) < APART)
    };
    !tight && !(0..count).step_by(3).any(meets)
}

/// A grid of squares of one metre that knows the nearest point of a line close by.
struct Near {
    /// The south-west corner.
    corner: [f32; 2],
    size: [usize; 2],
    /// Row by row; none where the line is farther than [`BAND`].
    nearest: Vec<Option<u16>>,
}

impl Near {
    fn new(line: &[Spot]) -> Self {
        let side = |axis: usize| line.iter().map(move |spot| spot.place[axis]);
        let corner = [0, 1].map(|axis| side(axis).fold(f32::MAX, f32::min) - BAND - 1.0);
        let size = [0, 1].map(|axis| {
            let far = side(axis).fold(f32::MIN, f32::max) + BAND + 1.0;
            (far - corner[axis]).ceil() as usize
        });
        let mut near = Self {
            corner,
            size,
            nearest: vec![None; size[0] * size[1]],
        };
        let mut least = vec![BAND; near.nearest.len()];
        for (index, spot) in (0_u16..).zip(line) {
            let [x, y] = [0, 1].map(|axis| spot.place[axis] - corner[axis]);
            let around = |at: f32, size: usize| {
                ((at - BAND).max(0.0) as usize)..((at + BAND).ceil() as usize).min(size)
            };
            for row in around(y, size[1]) {
                for column in around(x, size[0]) {
                    let far = distance([x, y], [column as f32 + 0.5, row as f32 + 0.5]);
                    let square = row * size[0] + column;
                    if far < least[square] {
                        least[square] = far;
                        near.nearest[square] = Some(index);
                    }
                }
            }
        }
        near
    }

    fn index(&self, place: [f32; 2]) -> Option<u16> {
        let [x, y] = [0, 1].map(|axis| (place[axis] - self.corner[axis]).floor());
        if x < 0.0 || y < 0.0 || x >= self.size[0] as f32 {
            return None;
        }
        let square = y as usize * self.size[0] + x as usize;
        self.nearest.get(square).copied().flatten()
    }
}
