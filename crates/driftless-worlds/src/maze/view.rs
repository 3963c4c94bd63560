//! What the walker sees: a ray through every point of the picture.

use super::Pose;
use super::plan::{OBJECT_RADIUS, Object, Plan, Shape, WALL_COLOURS};
use crate::picture;
use crate::picture::{Colour, POINTS, SIDE, from_middle, lit, mix, smooth};

/// Tangent of half the field of view, which is 72° both ways.
const SPREAD: f32 = 0.7265;
/// Height of the eye; walls are 1 high.
const EYE: f32 = 0.5;
/// Distance over which light fades to 1/e.
const FADE: f32 = 8.0;

const DARK: Colour = [0.04, 0.05, 0.09];
const FLOOR: Colour = [0.56, 0.48, 0.39];
const CEILING: Colour = [0.72, 0.77, 0.84];
const WALLS: [Colour; WALL_COLOURS] = [
    [0.77, 0.38, 0.29],
    [0.26, 0.56, 0.55],
    [0.84, 0.66, 0.30],
    [0.52, 0.41, 0.68],
    [0.45, 0.63, 0.33],
];
const OBJECTS: [Colour; 4] = [
    [0.97, 0.20, 0.24],
    [0.20, 0.55, 1.00],
    [1.00, 0.90, 0.20],
    [0.98, 0.40, 0.85],
];
/// From where objects are lit: north, east and above; of length 1.
const SUN: [f32; 3] = [0.48, 0.36, 0.8];

/// Where a ray meets a wall.
#[derive(Clone, Copy, Debug)]
pub struct Hit {
    /// In lengths of the ray's direction.
    pub distance: f32,
    /// The block.
    pub block: [i32; 2],
    /// Along the wall, in [0, 1).
    pub along: f32,
    /// Light of the side that is seen: each of the four has its own.
    light: f32,
}

/// Follows a ray from `[x, y]` along the direction `[dx, dy]` to the first wall.
pub fn cast(plan: &Plan, [x, y]: [f32; 2], [dx, dy]: [f32; 2]) -> Hit {
    let mut block = [x.floor() as i32, y.floor() as i32];
    // Distance to the next border along each axis, and from one border to the next.
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
        if plan.is_wall(block[0], block[1]) {
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

/// A column of points: the direction of its rays, the wall at their end, the objects before it.
struct Column {
    direction: [f32; 2],
    wall: Hit,
    /// Nearest first, each with the distance at which the ray enters its outline.
    objects: Vec<(Object, f32)>,
}

impl Column {
    fn new(plan: &Plan, pose: Pose, point: usize) -> Self {
        let [cos, sin] = pose.ahead();
        let right = from_middle(point) * SPREAD;
        let direction = [cos + right * sin, sin - right * cos];
        let wall = cast(plan, [pose.x, pose.y], direction);
        let mut objects: Vec<_> = plan
            .objects()
            .iter()
            .filter_map(|object| Some((*object, outline(object, pose, direction)?)))
            .filter(|(_, near)| *near < wall.distance)
            .collect();
        objects.sort_by(|a, b| a.1.total_cmp(&b.1));
        Self {
            direction,
            wall,
            objects,
        }
    }
}

/// Where a ray enters an object seen from above.
fn outline(object: &Object, pose: Pose, [dx, dy]: [f32; 2]) -> Option<f32> {
    let (ox, oy) = (pose.x - object.x, pose.y - object.y);
    let (a, b) = (dx * dx + dy * dy, ox * dx + oy * dy);
    let c = ox * ox + oy * oy - OBJECT_RADIUS * OBJECT_RADIUS;
    let root = (b * b - a * c).max(0.0).sqrt();
    (root > 0.0 && b < 0.0).then(|| (-b - root) / a)
}

/// Draws what is seen from `pose`.
pub fn draw(image: &mut [u8], plan: &Plan, pose: Pose) {
    let columns: Vec<Column> = (0..SIDE * POINTS)
        .map(|point| Column::new(plan, pose, point))
        .collect();
    picture::draw(image, |column, row| {
        let column = &columns[column];
        let rise = -from_middle(row) * SPREAD;
        let seen = column
            .objects
            .iter()
            .find_map(|(object, near)| of_object(object, *near, pose, column.direction, rise));
        seen.unwrap_or_else(|| {
            let height = EYE + rise * column.wall.distance;
            if (0.0..=1.0).contains(&height) {
                of_wall(plan, &column.wall, height)
            } else {
                of_ground(plan, pose, column.direction, rise)
            }
        })
    });
}

/// Light dies away with the distance.
fn faded(colour: Colour, distance: f32) -> Colour {
    mix(DARK, colour, (-distance / FADE).exp())
}

fn of_wall(plan: &Plan, hit: &Hit, height: f32) -> Colour {
    let base = WALLS[plan.wall_colour(hit.block[0], hit.block[1])];
    // A dark foot, a bright band at the height of the eyes, and darker edges of each block.
    let foot = 1.0 - 0.45 * smooth(0.16, 0.12, height);
    let band = smooth(0.60, 0.63, height) * smooth(0.77, 0.74, height);
    let edge = hit.along.min(1.0 - hit.along);
    let edges = 0.72 + 0.28 * smooth(0.0, 0.07, edge);
    let colour = mix(base, [0.95, 0.93, 0.88], 0.5 * band);
    faded(lit(colour, hit.light * foot * edges), hit.distance)
}

fn of_ground(plan: &Plan, pose: Pose, [dx, dy]: [f32; 2], rise: f32) -> Colour {
    let distance = EYE / rise.abs();
    let (x, y) = (pose.x + dx * distance, pose.y + dy * distance);
    if rise > 0.0 {
        return faded(CEILING, distance);
    }
    // Large tiles that blur into each other far away, and shadows around the objects.
    let odd = (x.floor() + y.floor()).rem_euclid(2.0) * 2.0 - 1.0;
    let tiles = 1.0 + 0.09 * odd * smooth(7.0, 2.0, distance);
    let near = |object: &Object| (object.x - x).powi(2) + (object.y - y).powi(2);
    let nearest = plan.objects().iter().map(near).fold(9.0, f32::min).sqrt();
    let shadow = 0.45 + 0.55 * smooth(0.5 * OBJECT_RADIUS, 2.0 * OBJECT_RADIUS, nearest);
    faded(lit(FLOOR, tiles * shadow), distance)
}

/// The colour of an object where a ray that rises by `rise` meets it, if it does.
fn of_object(
    object: &Object,
    near: f32,
    pose: Pose,
    [dx, dy]: [f32; 2],
    rise: f32,
) -> Option<Colour> {
    let distance = match object.shape {
        Shape::Pillar => Some(near),
        Shape::Ball => {
            // As the outline, with heights added: the ball's middle is its radius above the floor.
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
    // Pillars have a white ring at the height of the eyes.
    let base = OBJECTS[object.colour % OBJECTS.len()];
    let ring = smooth(0.40, 0.42, height) * smooth(0.60, 0.58, height);
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
    use super::super::FULL_TURN;
    use super::*;

    /// Poses in the rooms of several mazes, looking into many directions.
    fn poses() -> impl Iterator<Item = (Plan, Pose)> {
        (0..40_u16).map(|i| {
            let (plan, pose) = Plan::new(u64::from(i) / 4);
            let angle = (pose.angle + i * 997) % FULL_TURN;
            (plan, Pose { angle, ..pose })
        })
    }

    #[test]
    fn a_ray_ends_where_the_first_wall_begins() {
        for (plan, pose) in poses() {
            let [dx, dy] = pose.ahead();
            let hit = cast(&plan, [pose.x, pose.y], [dx, dy]);
            let wall = |t: f32| {
                let (x, y) = (pose.x + dx * t, pose.y + dy * t);
                plan.is_wall(x.floor() as i32, y.floor() as i32)
            };
            // In small steps along the ray.
            let met = (0..20_000).map(|i| i as f32 * 0.001).find(|&t| wall(t));
            let met = met.unwrap();
            assert!((met - hit.distance).abs() < 0.002, "{met}, {hit:?}");
        }
    }

    #[test]
    fn the_wall_ahead_is_as_high_in_the_picture_as_it_is_far() {
        let mut image = vec![0; SIDE * SIDE * 3];
        let mut checked = 0;
        for (plan, pose) in poses() {
            draw(&mut image, &plan, pose);
            let column = |point| Column::new(&plan, pose, point);
            let [left, right] = [SIDE * POINTS / 2 - 3, SIDE * POINTS / 2 + 2].map(column);
            let (near, far) = (left.wall.distance, right.wall.distance);
            let hidden = !left.objects.is_empty() || !right.objects.is_empty();
            if hidden || near.max(far) > 1.1 * near.min(far) {
                continue;
            }
            // The ceiling is a bluish grey, which no wall is.
            let ceiling = |row: &usize| {
                let pixel = &image[(row * SIDE + SIDE / 2) * 3..][..3];
                let [r, g, b] = [0, 1, 2].map(|i| f32::from(pixel[i]));
                g >= r && b > g && b < 1.4 * r
            };
            let rows = (0..SIDE).take_while(ceiling).count() as f32;
            let distance = f32::midpoint(near, far);
            let half = SIDE as f32 / 2.0;
            let expected = (half - half * EYE / (distance * SPREAD)).max(0.0);
            assert!(
                (rows - expected).abs() <= 1.5,
                "{rows} rows, {expected} expected"
            );
            checked += 1;
        }
        assert!(checked > 15, "{checked}");
    }
}
