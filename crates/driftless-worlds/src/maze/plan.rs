//! The plan of a maze: which blocks are walls, their colours, and the objects.

use std::collections::VecDeque;

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::{FULL_TURN, Pose};

/// Rooms along a side; the blocks between two rooms are walls or passages.
const ROOMS: usize = 4;
/// Blocks along a side, the outer walls included.
pub const BLOCKS: usize = 2 * ROOMS + 1;
/// Passages more than a tree of them needs, so that there are ways around.
const LOOPS: usize = 2;
/// Niches: gaps in walls that hold an object and cannot be walked through.
const NICHES: usize = 4;
/// Colours of walls and of objects.
pub const WALL_COLOURS: usize = 5;
/// Radius of an object.
pub const OBJECT_RADIUS: f32 = 0.3;

/// What is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Wall,
    Open,
    /// Holds the object with this index.
    Niche(usize),
}

/// What an object looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// From floor to ceiling.
    Pillar,
    /// Lying on the floor.
    Ball,
}

/// Something to remember.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object {
    /// Its middle.
    pub x: f32,
    pub y: f32,
    pub shape: Shape,
    /// Index of its colour.
    pub colour: usize,
}

/// A place, as column and row of blocks from the south-west.
type Place = [usize; 2];

pub struct Plan {
    blocks: [[Block; BLOCKS]; BLOCKS],
    /// The middle of each wall colour's quarter.
    quarters: [[f32; 2]; WALL_COLOURS],
    objects: Vec<Object>,
}

impl Plan {
    /// The maze of a seed, and where its walker starts.
    pub fn new(seed: u64) -> (Self, Pose) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut plan = Self {
            blocks: [[Block::Wall; BLOCKS]; BLOCKS],
            quarters: [[0.0; 2]; WALL_COLOURS],
            objects: Vec::new(),
        };
        let mut walls = plan.dig(&mut rng);
        walls.shuffle(&mut rng);
        for (i, [x, y]) in walls.into_iter().take(LOOPS + NICHES).enumerate() {
            plan.blocks[y][x] = match i.checked_sub(LOOPS) {
                None => Block::Open,
                Some(niche) => Block::Niche(niche),
            };
            if let Some(niche) = i.checked_sub(LOOPS) {
                plan.objects.push(Object {
                    x: x as f32 + 0.5,
                    y: y as f32 + 0.5,
                    shape: [Shape::Pillar, Shape::Ball][niche % 2],
                    colour: niche,
                });
            }
        }
        for quarter in &mut plan.quarters {
            *quarter = [0.0; 2].map(|_: f32| rng.random_range(0.0..BLOCKS as f32));
        }
        let room = |rng: &mut ChaCha8Rng| (2 * rng.random_range(0..ROOMS)) as f32 + 1.5;
        let pose = Pose {
            x: room(&mut rng),
            y: room(&mut rng),
            angle: rng.random_range(0..FULL_TURN),
        };
        (plan, pose)
    }

    /// Opens all rooms and a tree of passages; returns the walls that are left between rooms.
    fn dig(&mut self, rng: &mut ChaCha8Rng) -> Vec<Place> {
        let mut trail = vec![[0_usize; 2].map(|_| 2 * rng.random_range(0..ROOMS) + 1)];
        while let Some(&[x, y]) = trail.last() {
            self.blocks[y][x] = Block::Open;
            let fresh: Vec<Place> = neighbours([x, y], 2)
                .filter(|&[x, y]| self.blocks[y][x] == Block::Wall)
                .collect();
            if fresh.is_empty() {
                trail.pop();
                continue;
            }
            let next = fresh[rng.random_range(0..fresh.len())];
            self.blocks[(y + next[1]) / 2][(x + next[0]) / 2] = Block::Open;
            trail.push(next);
        }
        let between = |x: usize, y: usize| (x + y) % 2 == 1;
        let inside = 1..BLOCKS - 1;
        inside
            .clone()
            .flat_map(|y| inside.clone().map(move |x| [x, y]))
            .filter(|&[x, y]| between(x, y) && self.blocks[y][x] == Block::Wall)
            .collect()
    }

    /// Whether a block is a wall; everything outside is.
    pub fn is_wall(&self, x: i32, y: i32) -> bool {
        let at = |side: i32| usize::try_from(side).ok();
        let row = at(y).and_then(|y| self.blocks.get(y));
        let block = row.zip(at(x)).and_then(|(row, x)| row.get(x));
        block.is_none_or(|block| *block == Block::Wall)
    }

    /// Index of a wall's colour: walls near each other share it.
    pub fn wall_colour(&self, x: i32, y: i32) -> usize {
        let far = |quarter: &[f32; 2]| (quarter[0] - x as f32).hypot(quarter[1] - y as f32);
        let nearest = self
            .quarters
            .iter()
            .enumerate()
            .min_by(|a, b| far(a.1).total_cmp(&far(b.1)));
        nearest.map_or(0, |(colour, _)| colour)
    }

    /// Every object.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Index of an object whose middle is at most `reach` away.
    pub fn object_within(&self, reach: f32, pose: Pose) -> Option<usize> {
        let near = |object: &Object| (object.x - pose.x).hypot(object.y - pose.y) <= reach;
        self.objects.iter().position(near)
    }

    /// Whether a disc touches neither wall nor object.
    pub fn has_room(&self, x: f32, y: f32, radius: f32) -> bool {
        let clear = |object: &Object| (object.x - x).hypot(object.y - y) > radius + OBJECT_RADIUS;
        let (column, row) = (x.floor() as i32, y.floor() as i32);
        let walls =
            (row - 1..=row + 1).flat_map(|y| (column - 1..=column + 1).map(move |x| (x, y)));
        self.objects.iter().all(clear)
            && walls.filter(|&(x, y)| self.is_wall(x, y)).all(|(bx, by)| {
                let (bx, by) = (bx as f32, by as f32);
                let (dx, dy) = (x - x.clamp(bx, bx + 1.0), y - y.clamp(by, by + 1.0));
                dx * dx + dy * dy > radius * radius
            })
    }

    /// Every block that can be walked on, in a fixed order.
    pub fn open_blocks(&self) -> Vec<Place> {
        let places = (0..BLOCKS).flat_map(|y| (0..BLOCKS).map(move |x| [x, y]));
        places
            .filter(|&[x, y]| self.blocks[y][x] == Block::Open)
            .collect()
    }

    /// The middle of the next block on the shortest way to the open block number `goal` (counted
    /// round and round); none once it is reached.
    pub fn next_block(&self, pose: Pose, goal: u64) -> Option<[f32; 2]> {
        let open = self.open_blocks();
        let goal = *open.get((goal % (open.len().max(1) as u64)) as usize)?;
        let here = [pose.x, pose.y].map(|side| side.max(0.0) as usize);
        let middle = |place: Place| place.map(|side| side as f32 + 0.5);
        if here == goal {
            let [x, y] = middle(goal);
            let there = (x - pose.x).hypot(y - pose.y) < 0.25;
            return (!there).then_some([x, y]);
        }
        // From the goal outwards: where the walker is met, the block before is the next one.
        let mut seen = [[false; BLOCKS]; BLOCKS];
        let mut queue = VecDeque::from([goal]);
        while let Some(place) = queue.pop_front() {
            for next in neighbours(place, 1) {
                if next == here {
                    return Some(middle(place));
                }
                let [x, y] = next;
                if self.blocks[y][x] == Block::Open && !seen[y][x] {
                    seen[y][x] = true;
                    queue.push_back(next);
                }
            }
        }
        None
    }
}

/// The places `step` away along an axis, outer walls left out.
fn neighbours([x, y]: Place, step: usize) -> impl Iterator<Item = Place> {
    let inside = 1..BLOCKS - 1;
    [
        [x + step, y],
        [x.wrapping_sub(step), y],
        [x, y + step],
        [x, y.wrapping_sub(step)],
    ]
    .into_iter()
    .filter(move |[x, y]| inside.contains(x) && inside.contains(y))
}
