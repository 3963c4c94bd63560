//! Renders the walker's view by ray casting, one ray for each sample of the image.

use super::layout::{
    MazeLayout, OBJECT_COUNT, OBJECT_RADIUS, Object, Shape, WALL_COLOURS, WallBlock,
};
use super::pose::Pose;
use crate::raster;
use crate::raster::{Colour, IMAGE_SIDE, SAMPLES, from_centre, lit, mix, smoothstep};

/// Tangent of half the field of view, which is 72° horizontally and vertically.
const HALF_FOV_TAN: f32 = 0.7265;
/// Height of the eye; walls are 1 high.
const EYE: f32 = 0.5;
/// Distance over which light fades to 1/e.
const FADE_DISTANCE: f32 = 8.0;

/// What everything fades to with the distance.
pub const DARK: Colour = [0.04, 0.05, 0.09];
/// The colour of the floor.
pub const FLOOR: Colour = [0.56, 0.48, 0.39];
/// The colour of the ceiling.
pub const CEILING: Colour = [0.72, 0.77, 0.84];
/// The colours of walls before light and shadow, RGB in [0, 1].
pub const WALL_PALETTE: [Colour; WALL_COLOURS] = [
    [0.77, 0.38, 0.29],
    [0.26, 0.56, 0.55],
    [0.84, 0.66, 0.30],
    [0.52, 0.41, 0.68],
    [0.45, 0.63, 0.33],
];
/// The colours of objects, likewise.
pub const OBJECT_PALETTE: [Colour; OBJECT_COUNT] = [
    [0.97, 0.20, 0.24],
    [0.20, 0.55, 1.00],
    [1.00, 0.90, 0.20],
    [0.98, 0.40, 0.85],
];
/// Unit vector towards the light that falls on objects.
const SUN: [f32; 3] = [0.48, 0.36, 0.8];

/// What a column of pixels shows at eye level.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// A wall of this colour, an index into [`super::WALL_PALETTE`].
    Wall(usize),
    /// An object of this colour, an index into [`super::OBJECT_PALETTE`].
    Object(usize),
}

/// Where a ray hits a wall.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// In multiples of the length of the ray's direction.
    pub distance: f32,
    /// The block.
    pub block: [i32; 2],
    /// Position along the wall, in [0, 1).
    pub along: f32,
    /// Brightness, which differs for each of the block's four sides.
    light: f32,
}

/// Follows a ray from `[x, y]` in direction `[dx, dy]` to the first wall, block by block.
pub fn cast(layout: &MazeLayout, [x, y]: [f32; 2], [dx, dy]: [f32; 2]) -> Hit {
    let mut block = [x.floor() as i32, y.floor() as i32];
    // Distances along the ray: to the first block border of each axis, and between borders.
    let first = |at: f32, d: f32| {
        if d > 0.0 {
            (at.floor() + 1.0 - at) / d
        } else {
            (at.floor() - at) / d
        }
    };
    let between = [1.0 / dx.abs(), 1.0 / dy.abs()];
    let mut next = [first(x, dx), first(y, dy)].map(|t| if t.is_nan() { f32::INFINITY } else { t });
    loop {
        let axis = usize::from(next[1] < next[0]);
        let distance = next[axis];
        next[axis] += between[axis];
        let forward = [dx, dy][axis] > 0.0;
        block[axis] += if forward { 1 } else { -1 };
        if layout.is_wall(block[0], block[1]) {
            let along = [y + dy * distance, x + dx * distance][axis];
            let light = [[0.94, 0.70], [0.82, 1.0]][axis][usize::from(forward)];
            return Hit {
                distance,
                block,
                along: along - along.floor(),
                light,
            };
        }
    }
}

/// A column of samples: the direction of its rays, the wall that they hit, and the objects in
/// front of it.
struct Column {
    direction: [f32; 2],
    wall: Hit,
    /// The wall's colour before light, and the share of the light that reaches the eye.
    paint: Colour,
    reach: f32,
    /// Nearest first, each with the distance at which the ray enters its circle in the ground plan.
    objects: Vec<(Object, f32)>,
}

impl Column {
    fn new(layout: &MazeLayout, pose: Pose, sample: usize) -> Self {
        let [cos, sin] = pose.direction();
        let right = from_centre(sample) * HALF_FOV_TAN;
        let direction = [cos + right * sin, sin - right * cos];
        let wall = cast(layout, [pose.x, pose.y], direction);
        let mut objects: Vec<_> = layout
            .objects()
            .iter()
            .filter_map(|object| Some((*object, circle_entry(object, pose, direction)?)))
            .filter(|(_, near)| *near < wall.distance)
            .collect();
        objects.sort_by(|a, b| a.1.total_cmp(&b.1));
        Self {
            direction,
            paint: WALL_PALETTE[layout.wall_colour(wall.block[0], wall.block[1])],
            reach: (-wall.distance / FADE_DISTANCE).exp(),
            wall,
            objects,
        }
    }

    /// The colour of the wall at this height.
    fn wall_colour(&self, height: f32) -> Colour {
        let Hit { along, light, .. } = self.wall;
        // A dark foot, a bright band at eye level, and dark edges of each block.
        let foot = 1.0 - 0.45 * smoothstep(0.16, 0.12, height);
        let band = smoothstep(0.60, 0.63, height) * smoothstep(0.77, 0.74, height);
        let edge = along.min(1.0 - along);
        let edges = 0.72 + 0.28 * smoothstep(0.0, 0.07, edge);
        let colour = mix(self.paint, [0.95, 0.93, 0.88], 0.5 * band);
        mix(DARK, lit(colour, light * foot * edges), self.reach)
    }
}

/// Distance at which a ray enters an object's circle in the ground plan.
fn circle_entry(object: &Object, pose: Pose, [dx, dy]: [f32; 2]) -> Option<f32> {
    let (ox, oy) = (pose.x - object.x, pose.y - object.y);
    let (a, b) = (dx * dx + dy * dy, ox * dx + oy * dy);
    let c = ox * ox + oy * oy - OBJECT_RADIUS * OBJECT_RADIUS;
    let root = (b * b - a * c).max(0.0).sqrt();
    (root > 0.0 && b < 0.0).then(|| (-b - root) / a)
}

/// What a column of samples shows at eye level.
pub fn sight(layout: &MazeLayout, pose: Pose, sample: usize) -> Sight {
    sight_and_distance(layout, pose, sample).0
}

/// What a column of samples shows at eye level, and how far it is along the direction of view.
pub fn sight_and_distance(layout: &MazeLayout, pose: Pose, sample: usize) -> (Sight, f32) {
    let column = Column::new(layout, pose, sample);
    match column.objects.first() {
        Some((object, near)) => (Sight::Object(object.colour % OBJECT_COUNT), *near),
        None => {
            let [x, y] = column.wall.block;
            (Sight::Wall(layout.wall_colour(x, y)), column.wall.distance)
        }
    }
}

/// The wall behind a column of samples.
pub fn wall_at(layout: &MazeLayout, pose: Pose, sample: usize) -> WallBlock {
    Column::new(layout, pose, sample).wall.block
}

/// Renders the view from `pose`.
pub fn render(image: &mut [u8], layout: &MazeLayout, pose: Pose) {
    let columns: Vec<Column> = (0..IMAGE_SIDE * SAMPLES)
        .map(|sample| Column::new(layout, pose, sample))
        .collect();
    raster::render(image, |column, row| {
        let column = &columns[column];
        let rise = -from_centre(row) * HALF_FOV_TAN;
        let seen = column
            .objects
            .iter()
            .find_map(|(object, near)| object_colour(object, *near, pose, column.direction, rise));
        seen.unwrap_or_else(|| {
            let height = EYE + rise * column.wall.distance;
            if (0.0..=1.0).contains(&height) {
                column.wall_colour(height)
            } else {
                ground_colour(layout, pose, column.direction, rise)
            }
        })
    });
}

/// Colours fade to dark with the distance.
fn faded(colour: Colour, distance: f32) -> Colour {
    mix(DARK, colour, (-distance / FADE_DISTANCE).exp())
}

fn ground_colour(layout: &MazeLayout, pose: Pose, [dx, dy]: [f32; 2], rise: f32) -> Colour {
    let distance = EYE / rise.abs();
    let (x, y) = (pose.x + dx * distance, pose.y + dy * distance);
    if rise > 0.0 {
        return faded(CEILING, distance);
    }
    // Large tiles that blur in the distance, and shadows around the objects.
    let odd = (x.floor() + y.floor()).rem_euclid(2.0) * 2.0 - 1.0;
    let tiles = 1.0 + 0.09 * odd * smoothstep(7.0, 2.0, distance);
    let near = |object: &Object| (object.x - x).powi(2) + (object.y - y).powi(2);
    let nearest = layout.objects().iter().map(near).fold(9.0, f32::min).sqrt();
    let shadow = 0.45 + 0.55 * smoothstep(0.5 * OBJECT_RADIUS, 2.0 * OBJECT_RADIUS, nearest);
    faded(lit(FLOOR, tiles * shadow), distance)
}

/// The colour of an object where a ray with slope `rise` hits it; `None` if it misses.
fn object_colour(
    object: &Object,
    near: f32,
    pose: Pose,
    [dx, dy]: [f32; 2],
    rise: f32,
) -> Option<Colour> {
    let distance = match object.shape {
        Shape::Pillar => Some(near),
        Shape::Ball => {
            // As `circle_entry`, in three dimensions. The ball lies on the floor.
            let (ox, oy, oz) = (pose.x - object.x, pose.y - object.y, EYE - OBJECT_RADIUS);
            let a = dx * dx + dy * dy + rise * rise;
            let b = ox * dx + oy * dy + oz * rise;
            let c = ox * ox + oy * oy + oz * oz - OBJECT_RADIUS * OBJECT_RADIUS;
            let root = b * b - a * c;
            (root > 0.0).then(|| (-b - root.sqrt()) / a)
        }
    }?;
    let height = EYE + rise * distance;
    if distance <= 0.0 || !(0.0..=1.0).contains(&height) {
        return None;
    }
    let (x, y) = (pose.x + dx * distance, pose.y + dy * distance);
    let up = match object.shape {
        Shape::Pillar => 0.0,
        Shape::Ball => height - OBJECT_RADIUS,
    };
    let normal = [x - object.x, y - object.y, up].map(|side| side / OBJECT_RADIUS);
    let sun: f32 = normal.iter().zip(SUN).map(|(n, s)| n * s).sum();
    // Pillars have a white ring at eye level.
    let base = OBJECT_PALETTE[object.colour % OBJECT_COUNT];
    let ring = smoothstep(0.40, 0.42, height) * smoothstep(0.60, 0.58, height);
    let ring = if object.shape == Shape::Pillar {
        ring
    } else {
        0.0
    };
    let colour = mix(base, [1.0; 3], 0.75 * ring);
    Some(faded(lit(colour, 0.72 + 0.34 * sun), distance * 0.6))
}

#[cfg(test)]
mod tests {
    use super::super::pose::FULL_TURN;
    use super::*;

    /// Poses in rooms of several mazes, facing in many directions.
    fn poses() -> impl Iterator<Item = (MazeLayout, Pose)> {
        (0..40_u16).map(|i| {
            let (layout, pose) = MazeLayout::new(u64::from(i) / 4);
            let angle = (pose.angle + i * 997) % FULL_TURN;
            (layout, Pose { angle, ..pose })
        })
    }

    #[test]
    fn ray_ends_at_first_wall() {
        for (layout, pose) in poses() {
            let [dx, dy] = pose.direction();
            let hit = cast(&layout, [pose.x, pose.y], [dx, dy]);
            let wall = |t: f32| {
                let (x, y) = (pose.x + dx * t, pose.y + dy * t);
                layout.is_wall(x.floor() as i32, y.floor() as i32)
            };
            // Marches along the ray in small steps.
            let met = (0..20_000).map(|i| i as f32 * 0.001).find(|&t| wall(t));
            let met = met.unwrap();
            assert!((met - hit.distance).abs() < 0.002, "{met}, {hit:?}");
        }
    }

    #[test]
    fn wall_height_matches_distance() {
        let mut image = vec![0; IMAGE_SIDE * IMAGE_SIDE * 3];
        let mut checked = 0;
        for (layout, pose) in poses() {
            render(&mut image, &layout, pose);
            let column = |sample| Column::new(&layout, pose, sample);
            let [left, right] =
                [IMAGE_SIDE * SAMPLES / 2 - 3, IMAGE_SIDE * SAMPLES / 2 + 2].map(column);
            let (near, far) = (left.wall.distance, right.wall.distance);
            let hidden = !left.objects.is_empty() || !right.objects.is_empty();
            if hidden || near.max(far) > 1.1 * near.min(far) {
                continue;
            }
            // The ceiling is a bluish grey, which no wall is.
            let ceiling = |row: &usize| {
                let pixel = &image[(row * IMAGE_SIDE + IMAGE_SIDE / 2) * 3..][..3];
                let [r, g, b] = [0, 1, 2].map(|i| f32::from(pixel[i]));
                g >= r && b > g && b < 1.4 * r
            };
            let rows = (0..IMAGE_SIDE).take_while(ceiling).count() as f32;
            let distance = f32::midpoint(near, far);
            let half = IMAGE_SIDE as f32 / 2.0;
            let expected = (half - half * EYE / (distance * HALF_FOV_TAN)).max(0.0);
            assert!(
                (rows - expected).abs() <= 1.5,
                "{rows} rows, {expected} expected"
            );
            checked += 1;
        }
        assert!(checked > 15, "{checked}");
    }
}
