//! The track: a smooth closed curve that does not cross itself, as points about a metre apart, with
//! trees beside it.

use std::f32::consts::TAU;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Half the width of the road.
pub const HALF_WIDTH: f32 = 5.0;
/// Width of a kerb beside the road.
pub const KERB: f32 = 1.3;
/// No part of the track is farther from the centre line than this.
const BAND: f32 = 9.0;
/// Mean distance of the curve from its centre.
const RADIUS: f32 = 62.0;
/// Least radius of a bend.
const MIN_BEND_RADIUS: f32 = 11.0;
/// Bends of a smaller radius than this have kerbs.
const KERB_BEND_RADIUS: f32 = 38.0;
/// Least distance between parts of the road that do not follow each other.
const MIN_GAP: f32 = 26.0;
/// Candidate trees; those that would stand on the track are left out.
const TREES: usize = 130;

/// A point of the centre line, and the offset of a position from it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TrackPoint {
    /// The point of the centre line.
    pub position: [f32; 2],
    /// The track's direction there, a unit vector.
    pub direction: [f32; 2],
    /// Metres along the centre line from the start line.
    pub distance: f32,
    /// Metres to the left of the centre line.
    pub offset: f32,
    /// Curvature in 1/m, positive to the left.
    pub curvature: f32,
    /// Whether there are kerbs.
    pub kerb: bool,
}

/// A tree from above.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tree {
    pub position: [f32; 2],
    pub radius: f32,
}

/// The track and its trees.
pub struct Track {
    /// The centre line, a point every `spacing` metres.
    line: Vec<TrackPoint>,
    spacing: f32,
    trees: Vec<Tree>,
    grid: NearestGrid,
}

impl Track {
    /// The track of a seed and the point where the car starts.
    pub fn new(seed: u64) -> (Self, TrackPoint) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let line = loop {
            let line = resampled(&random_curve(&mut rng));
            if is_drivable(&line) {
                break line;
            }
        };
        let grid = NearestGrid::new(&line);
        let mut track = Self {
            spacing: distance(line[0].position, line[1].position),
            line,
            trees: Vec::new(),
            grid,
        };
        for _ in 0..TREES {
            let position = [0.0; 2].map(|_: f32| rng.random_range(-1.6 * RADIUS..1.6 * RADIUS));
            let radius = rng.random_range(1.8..3.4);
            if track.locate(position).offset.abs() > BAND + radius {
                track.trees.push(Tree { position, radius });
            }
        }
        let start = track.at(rng.random_range(0.0..track.length()));
        (track, start)
    }

    /// Length of a lap in metres.
    pub fn length(&self) -> f32 {
        self.line.len() as f32 * self.spacing
    }

    pub fn trees(&self) -> &[Tree] {
        &self.trees
    }

    /// The point of the centre line at a distance from the start line.
    pub fn at(&self, distance: f32) -> TrackPoint {
        let index = (distance / self.spacing).round() as i64;
        self.line[index.rem_euclid(self.line.len() as i64) as usize]
    }

    /// The nearest point of the centre line, and the offset from it.
    pub fn locate(&self, position: [f32; 2]) -> TrackPoint {
        self.nearest(position, 0..self.line.len() as i64)
    }

    /// Like [`Track::locate`] but much faster; `None` if the position is too far from the track.
    pub fn locate_near(&self, position: [f32; 2]) -> Option<TrackPoint> {
        let index = i64::from(self.grid.index(position)?);
        Some(self.nearest(position, index - 2..index + 3))
    }

    fn nearest(&self, position: [f32; 2], indices: std::ops::Range<i64>) -> TrackPoint {
        let count = self.line.len() as i64;
        let at = |index: i64| self.line[index.rem_euclid(count) as usize];
        let far = |index: &i64| square_distance(at(*index).position, position);
        let nearest = indices.min_by(|a, b| far(a).total_cmp(&far(b)));
        let point = at(nearest.unwrap_or(0));
        let [dx, dy] = [0, 1].map(|i| position[i] - point.position[i]);
        let [ax, ay] = point.direction;
        // Between two points the line is straight.
        let past = (dx * ax + dy * ay).clamp(-self.spacing, self.spacing);
        TrackPoint {
            distance: (point.distance + past).rem_euclid(self.length()),
            offset: dy * ax - dx * ay,
            ..point
        }
    }
}

fn distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    square_distance(a, b).sqrt()
}

/// The squared distance.
pub fn square_distance(a: [f32; 2], b: [f32; 2]) -> f32 {
    (a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)
}

/// A closed curve around the origin. The logarithm of its distance from the origin is a sum of a
/// few waves.
fn random_curve(rng: &mut ChaCha8Rng) -> Vec<[f32; 2]> {
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

/// The curve as equally spaced points, about a metre apart, with directions and curvatures.
fn resampled(curve: &[[f32; 2]]) -> Vec<TrackPoint> {
    let next = |i: usize| curve[(i + 1) % curve.len()];
    let lengths: Vec<f32> = (0..curve.len())
        .map(|i| distance(curve[i], next(i)))
        .collect();
    let length: f32 = lengths.iter().sum();
    let count = length.round().max(3.0) as usize;
    let spacing = length / count as f32;
    let mut positions = Vec::with_capacity(count);
    let mut travelled = 0.0;
    for (i, step) in lengths.iter().enumerate() {
        while positions.len() < count && positions.len() as f32 * spacing < travelled + step {
            let share = (positions.len() as f32 * spacing - travelled) / step;
            positions
                .push([0, 1].map(|axis| curve[i][axis] + share * (next(i)[axis] - curve[i][axis])));
        }
        travelled += step;
    }
    let at = |i: usize| positions[i % positions.len()];
    let direction = |i: usize| {
        let (from, to) = (at(i + positions.len() - 1), at(i + 1));
        let length = distance(from, to);
        [0, 1].map(|axis| (to[axis] - from[axis]) / length)
    };
    (0..positions.len())
        .map(|i| {
            let (before, after) = (direction(i + positions.len() - 2), direction(i + 2));
            let turn = before[0] * after[1] - before[1] * after[0];
            let curvature = turn.clamp(-1.0, 1.0).asin() / (4.0 * spacing);
            TrackPoint {
                position: at(i),
                direction: direction(i),
                distance: i as f32 * spacing,
                offset: 0.0,
                curvature,
                kerb: curvature.abs() > 1.0 / KERB_BEND_RADIUS,
            }
        })
        .collect()
}

/// Whether no bend is too tight and no two parts are too close to each other.
fn is_drivable(line: &[TrackPoint]) -> bool {
    let count = line.len();
    let tight = line
        .iter()
        .any(|point| point.curvature.abs() > 1.0 / MIN_BEND_RADIUS);
    let neighbours = (1.8 * MIN_GAP) as usize;
    let too_close = |i: usize| {
        (i + neighbours..count.min(i + count - neighbours))
            .step_by(3)
            .any(|j| distance(line[i].position, line[j].position) < MIN_GAP)
    };
    !tight && !(0..count).step_by(3).any(too_close)
}

/// A grid of one-metre squares with the nearest point of the centre line for each.
struct NearestGrid {
    /// The south-west corner.
    corner: [f32; 2],
    size: [usize; 2],
    /// Index of the point, row by row; `None` if the line is farther away than [`BAND`].
    nearest: Vec<Option<u16>>,
}

impl NearestGrid {
    fn new(line: &[TrackPoint]) -> Self {
        let side = |axis: usize| line.iter().map(move |point| point.position[axis]);
        let corner = [0, 1].map(|axis| side(axis).fold(f32::MAX, f32::min) - BAND - 1.0);
        let size = [0, 1].map(|axis| {
            let far = side(axis).fold(f32::MIN, f32::max) + BAND + 1.0;
            (far - corner[axis]).ceil() as usize
        });
        let mut grid = Self {
            corner,
            size,
            nearest: vec![None; size[0] * size[1]],
        };
        let mut least = vec![BAND; grid.nearest.len()];
        for (index, point) in (0_u16..).zip(line) {
            let [x, y] = [0, 1].map(|axis| point.position[axis] - corner[axis]);
            let around = |at: f32, size: usize| {
                ((at - BAND).max(0.0) as usize)..((at + BAND).ceil() as usize).min(size)
            };
            for row in around(y, size[1]) {
                for column in around(x, size[0]) {
                    let far = distance([x, y], [column as f32 + 0.5, row as f32 + 0.5]);
                    let square = row * size[0] + column;
                    if far < least[square] {
                        least[square] = far;
                        grid.nearest[square] = Some(index);
                    }
                }
            }
        }
        grid
    }

    fn index(&self, position: [f32; 2]) -> Option<u16> {
        let [x, y] = [0, 1].map(|axis| (position[axis] - self.corner[axis]).floor());
        if x < 0.0 || y < 0.0 || x >= self.size[0] as f32 {
            return None;
        }
        let square = y as usize * self.size[0] + x as usize;
        self.nearest.get(square).copied().flatten()
    }
}
