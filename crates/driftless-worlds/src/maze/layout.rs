//! The layout of a maze: its walls and their colours, and the objects.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::pose::{FULL_TURN, Pose};
use super::sight::WallBlock;

/// Rooms along a side; the blocks between two rooms are walls or passages.
const ROOMS: usize = 4;
/// Blocks along a side, including the outer walls.
pub const BLOCKS: usize = 2 * ROOMS + 1;
/// Passages in addition to the spanning tree; each closes a loop.
const LOOPS: usize = 2;
/// Number of objects. Each is in a gap between two rooms and blocks the way.
pub const OBJECT_COUNT: usize = 4;
/// Number of wall colours.
pub const WALL_COLOURS: usize = 5;
/// Radius of an object.
pub const OBJECT_RADIUS: f32 = 0.3;

/// What a block is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Block {
    Wall,
    Open,
    /// Holds the object with this index.
    Niche(usize),
}

/// The shape of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// From floor to ceiling.
    Pillar,
    /// Lying on the floor.
    Ball,
}

/// A landmark.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Object {
    /// Its centre.
    pub x: f32,
    pub y: f32,
    pub shape: Shape,
    /// Index of its colour.
    pub colour: usize,
}

/// A block's column and row, from the south-west.
type BlockIndex = [usize; 2];

/// The walls and the objects of a maze.
pub struct MazeLayout {
    blocks: [[Block; BLOCKS]; BLOCKS],
    /// The centre of each wall colour's region; a wall has the colour of the nearest one.
    colour_centres: [[f32; 2]; WALL_COLOURS],
    objects: Vec<Object>,
    /// Walls that were painted in another colour.
    painted: BTreeMap<WallBlock, usize>,
}

impl MazeLayout {
    /// The layout of a seed and the pose in which its walker starts.
    pub fn new(seed: u64) -> (Self, Pose) {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let mut layout = Self {
            blocks: [[Block::Wall; BLOCKS]; BLOCKS],
            colour_centres: [[0.0; 2]; WALL_COLOURS],
            objects: Vec::new(),
            painted: BTreeMap::new(),
        };
        let mut walls = layout.carve_passages(&mut rng);
        walls.shuffle(&mut rng);
        for (i, [x, y]) in walls.into_iter().take(LOOPS + OBJECT_COUNT).enumerate() {
            layout.blocks[y][x] = match i.checked_sub(LOOPS) {
                None => Block::Open,
                Some(niche) => Block::Niche(niche),
            };
            if let Some(niche) = i.checked_sub(LOOPS) {
                layout.objects.push(Object {
                    x: x as f32 + 0.5,
                    y: y as f32 + 0.5,
                    shape: [Shape::Pillar, Shape::Ball][niche % 2],
                    colour: niche,
                });
            }
        }
        for centre in &mut layout.colour_centres {
            *centre = [0.0; 2].map(|_: f32| rng.random_range(0.0..BLOCKS as f32));
        }
        let room = |rng: &mut ChaCha8Rng| (2 * rng.random_range(0..ROOMS)) as f32 + 1.5;
        let pose = Pose {
            x: room(&mut rng),
            y: room(&mut rng),
            angle: rng.random_range(0..FULL_TURN),
        };
        (layout, pose)
    }

    /// Opens all rooms and a spanning tree of passages, by randomized depth-first search. Returns the
    /// walls that remain between rooms.
    fn carve_passages(&mut self, rng: &mut ChaCha8Rng) -> Vec<BlockIndex> {
        let mut stack = vec![[0_usize; 2].map(|_| 2 * rng.random_range(0..ROOMS) + 1)];
        while let Some(&[x, y]) = stack.last() {
            self.blocks[y][x] = Block::Open;
            let unvisited: Vec<BlockIndex> = neighbours([x, y], 2)
                .filter(|&[x, y]| self.blocks[y][x] == Block::Wall)
                .collect();
            if unvisited.is_empty() {
                stack.pop();
                continue;
            }
            let next = unvisited[rng.random_range(0..unvisited.len())];
            self.blocks[(y + next[1]) / 2][(x + next[0]) / 2] = Block::Open;
            stack.push(next);
        }
        let between = |x: usize, y: usize| (x + y) % 2 == 1;
        let inside = 1..BLOCKS - 1;
        inside
            .clone()
            .flat_map(|y| inside.clone().map(move |x| [x, y]))
            .filter(|&[x, y]| between(x, y) && self.blocks[y][x] == Block::Wall)
            .collect()
    }

    /// Whether a block is a wall. Everything outside the maze is.
    pub fn is_wall(&self, x: i32, y: i32) -> bool {
        let at = |side: i32| usize::try_from(side).ok();
        let row = at(y).and_then(|y| self.blocks.get(y));
        let block = row.zip(at(x)).and_then(|(row, x)| row.get(x));
        block.is_none_or(|block| *block == Block::Wall)
    }

    /// Index of a wall's colour, which neighbouring walls mostly share.
    pub fn wall_colour(&self, x: i32, y: i32) -> usize {
        if let Some(colour) = self.painted.get(&[x, y]) {
            return *colour;
        }
        let far = |centre: &[f32; 2]| (centre[0] - x as f32).hypot(centre[1] - y as f32);
        let nearest = self
            .colour_centres
            .iter()
            .enumerate()
            .min_by(|a, b| far(a.1).total_cmp(&far(b.1)));
        nearest.map_or(0, |(colour, _)| colour)
    }

    /// Gives walls a colour, an index below [`WALL_COLOURS`].
    pub fn paint(&mut self, walls: &BTreeSet<WallBlock>, colour: usize) {
        self.painted
            .extend(walls.iter().map(|&wall| (wall, colour)));
    }

    /// All objects.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// Index of an object whose centre is at most `reach` away.
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

    /// All blocks that can be walked on, in a fixed order.
    pub fn open_blocks(&self) -> Vec<BlockIndex> {
        let all = (0..BLOCKS).flat_map(|y| (0..BLOCKS).map(move |x| [x, y]));
        all.filter(|&[x, y]| self.blocks[y][x] == Block::Open)
            .collect()
    }

    /// The centre of the next block on a shortest path to open block number `goal` (modulo their
    /// number), or `None` once it is reached.
    pub fn next_block(&self, pose: Pose, goal: u64) -> Option<[f32; 2]> {
        let open = self.open_blocks();
        let goal = *open.get((goal % (open.len().max(1) as u64)) as usize)?;
        let here = [pose.x, pose.y].map(|side| side.max(0.0) as usize);
        let centre = |block: BlockIndex| block.map(|side| side as f32 + 0.5);
        if here == goal {
            let [x, y] = centre(goal);
            let reached = (x - pose.x).hypot(y - pose.y) < 0.25;
            return (!reached).then_some([x, y]);
        }
        // The block from which a search from the goal finds the walker is the next one.
        let path = self.shortest_path(goal, here, None)?;
        path.iter().rev().nth(1).copied().map(centre)
    }

    /// The blocks of a shortest way, both ends included, by breadth-first search. With `closed`, without
    /// the step between these two blocks.
    fn shortest_path(
        &self,
        from: BlockIndex,
        to: BlockIndex,
        closed: Option<[BlockIndex; 2]>,
    ) -> Option<Vec<BlockIndex>> {
        let is_closed = |a, b| closed.is_some_and(|step| step == [a, b] || step == [b, a]);
        // Where breadth-first search came from.
        let mut before: [[Option<BlockIndex>; BLOCKS]; BLOCKS] = [[None; BLOCKS]; BLOCKS];
        let mut queue = VecDeque::from([from]);
        while let Some(block) = queue.pop_front() {
            for next in neighbours(block, 1).filter(|&next| !is_closed(block, next)) {
                let [x, y] = next;
                if next == to {
                    let mut path = vec![to, block];
                    while let Some([x, y]) = path.last().filter(|&&last| last != from) {
                        path.push(before[*y][*x]?);
                    }
                    path.reverse();
                    return Some(path);
                }
                let seen = next == from || before[y][x].is_some();
                if self.blocks[y][x] == Block::Open && !seen {
                    before[y][x] = Some(block);
                    queue.push_back(next);
                }
            }
        }
        None
    }

    /// The nearest block that lies on a cycle of the passages, and the numbers of the blocks along the
    /// shortest such cycle through it, back to it.
    pub fn way_round(&self, pose: Pose) -> Vec<u64> {
        let open = self.open_blocks();
        let here = [pose.x, pose.y].map(|side| side.max(0.0) as usize);
        let steps = |&block: &BlockIndex| match self.shortest_path(here, block, None) {
            _ if block == here => 0,
            path => path.map_or(usize::MAX, |path| path.len()),
        };
        let mut by_distance = open.clone();
        by_distance.sort_by_cached_key(steps);
        let cycle = by_distance.into_iter().find_map(|block| {
            let beyond = |next| self.shortest_path(block, next, Some([block, next]));
            let paths = neighbours(block, 1).filter(|block| open.contains(block));
            paths.filter_map(beyond).min_by_key(Vec::len)
        });
        let number = |block: &BlockIndex| open.iter().position(|other| other == block);
        let cycle = cycle.unwrap_or_default();
        let closed = cycle.iter().chain(cycle.first());
        closed.filter_map(number).map(|at| at as u64).collect()
    }
}

/// The blocks `step` away along an axis, without the outer walls.
fn neighbours([x, y]: BlockIndex, step: usize) -> impl Iterator<Item = BlockIndex> {
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
