//! A maze in first person: coloured walls, and pillars and balls at fixed places to remember.
//!
//! Lengths are in blocks: a wall block and a passage are 1 wide, walls 1 high, the eye at half.

mod plan;
mod view;

use std::f32::consts::TAU;

use self::plan::Plan;
use super::{Snapshot, State, World, chosen, picture, specs};
use crate::Result;
use driftless_data::DatasetInfo;

/// Units of a full turn: an angle is a whole number of them, so that turns add up exactly.
const FULL_TURN: u16 = 4096;
/// Units of one frame's turn, 7.5°; no divisor of a full turn, so that all angles are met.
const TURN: i32 = 85;
/// Blocks of one frame's step ahead, back and aside.
const AHEAD: f32 = 0.14;
const BACK: f32 = -0.1;
const ASIDE: f32 = 0.1;
/// Half the walker's width.
const RADIUS: f32 = 0.2;
/// Parts of a step that are tried one after another.
const PARTS: u16 = 4;
/// An object this near is reached.
const REACH: f32 = 1.1;

/// What an action does in one frame.
struct Motion {
    name: &'static str,
    keys: &'static [&'static str],
    /// Blocks ahead and to the left.
    step: [f32; 2],
    /// Units to the left.
    turn: i32,
}

const fn motion(
    name: &'static str,
    keys: &'static [&'static str],
    step: [f32; 2],
    turn: i32,
) -> Motion {
    Motion {
        name,
        keys,
        step,
        turn,
    }
}

const FORWARD: u32 = 1;
const LEFT: u32 = 3;
const RIGHT: u32 = 4;
const FORWARD_LEFT: u32 = 7;
const FORWARD_RIGHT: u32 = 8;

static ACTIONS: [Motion; 9] = [
    motion("noop", &[], [0.0, 0.0], 0),
    motion("forward", &["ArrowUp", "W"], [AHEAD, 0.0], 0),
    motion("back", &["ArrowDown", "S"], [BACK, 0.0], 0),
    motion("left", &["ArrowLeft", "A"], [0.0, 0.0], TURN),
    motion("right", &["ArrowRight", "D"], [0.0, 0.0], -TURN),
    motion("strafe-left", &["Q"], [0.0, ASIDE], 0),
    motion("strafe-right", &["E"], [0.0, -ASIDE], 0),
    motion(
        "forward-left",
        &["ArrowUp+ArrowLeft", "W+A"],
        [AHEAD, 0.0],
        TURN,
    ),
    motion(
        "forward-right",
        &["ArrowUp+ArrowRight", "W+D"],
        [AHEAD, 0.0],
        -TURN,
    ),
];

/// Where the walker stands and looks.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pose {
    x: f32,
    y: f32,
    /// In units, below [`FULL_TURN`].
    angle: u16,
}

impl Pose {
    fn radians(self) -> f32 {
        f32::from(self.angle) / f32::from(FULL_TURN) * TAU
    }

    /// The direction of view, of length 1.
    fn ahead(self) -> [f32; 2] {
        let (sin, cos) = self.radians().sin_cos();
        [cos, sin]
    }
}

/// The maze of a seed, and the walker in it.
pub struct Maze {
    seed: u64,
    plan: Plan,
    pose: Pose,
    reward: f32,
    image: Vec<u8>,
}

impl Maze {
    /// The maze of `seed`, the walker at its start.
    pub fn new(seed: u64) -> Self {
        let (plan, pose) = Plan::new(seed);
        let mut maze = Self {
            seed,
            plan,
            pose,
            reward: 0.0,
            image: vec![0; picture::SIDE * picture::SIDE * 3],
        };
        maze.look();
        maze
    }

    fn look(&mut self) {
        view::draw(&mut self.image, &self.plan, self.pose);
    }

    /// Moves in small parts, each along x and along y as far as there is room: walls are slid along.
    fn walk(&mut self, [ahead, left]: [f32; 2]) {
        let [cos, sin] = self.pose.ahead();
        let part = 1.0 / f32::from(PARTS);
        let dx = (ahead * cos - left * sin) * part;
        let dy = (ahead * sin + left * cos) * part;
        for _ in 0..PARTS {
            let Pose { x, y, .. } = self.pose;
            if self.plan.has_room(x + dx, y, RADIUS) {
                self.pose.x = x + dx;
            }
            if self.plan.has_room(self.pose.x, y + dy, RADIUS) {
                self.pose.y = y + dy;
            }
        }
    }
}

impl World for Maze {
    fn info(&self) -> DatasetInfo {
        DatasetInfo {
            name: "Maze".into(),
            fps: 15.0,
            image: [picture::SIDE; 2],
            actions: specs(ACTIONS.iter().map(|motion| (motion.name, motion.keys))),
        }
    }

    fn reset(&mut self, seed: u64) {
        *self = Self::new(seed);
    }

    fn step(&mut self, action: u32) -> Result<()> {
        let motion = chosen(&ACTIONS, action)?;
        let before = self.plan.object_within(REACH, self.pose);
        let angle = i32::from(self.pose.angle) + motion.turn;
        self.pose.angle = angle.rem_euclid(i32::from(FULL_TURN)) as u16;
        self.walk(motion.step);
        let now = self.plan.object_within(REACH, self.pose);
        self.reward = f32::from(now.is_some() && now != before);
        self.look();
        Ok(())
    }

    fn image(&self) -> &[u8] {
        &self.image
    }

    /// 1 where an object comes within reach, else 0.
    fn reward(&self) -> f32 {
        self.reward
    }

    /// A maze has no end.
    fn ended(&self) -> bool {
        false
    }

    /// `x` and `y` in blocks, `angle` in radians, `cos` and `sin` of it.
    fn state(&self) -> State {
        let [cos, sin] = self.pose.ahead();
        vec![
            ("x", vec![self.pose.x]),
            ("y", vec![self.pose.y]),
            ("angle", vec![self.pose.radians()]),
            ("cos", vec![cos]),
            ("sin", vec![sin]),
        ]
    }

    /// Goals are the open blocks.
    fn toward(&self, goal: u64) -> Option<u32> {
        let [x, y] = self.plan.next_block(self.pose, goal)?;
        let aim = (y - self.pose.y).atan2(x - self.pose.x) - self.pose.radians();
        let left = (aim + TAU / 2.0).rem_euclid(TAU) - TAU / 2.0;
        // Half a frame's turn counts as straight; by more than 35° it turns on the spot.
        Some(match (left.abs(), left > 0.0) {
            (off, _) if off < 0.07 => FORWARD,
            (off, true) if off < 0.61 => FORWARD_LEFT,
            (off, false) if off < 0.61 => FORWARD_RIGHT,
            (_, true) => LEFT,
            (_, false) => RIGHT,
        })
    }

    fn snapshot(&self) -> Snapshot {
        let Pose { x, y, angle } = self.pose;
        Snapshot {
            seed: self.seed,
            state: vec![x, y, f32::from(angle), self.reward],
        }
    }

    fn restore(&mut self, snapshot: &Snapshot) -> Result<()> {
        let [x, y, angle, reward] = snapshot.numbers()?;
        if snapshot.seed != self.seed {
            self.reset(snapshot.seed);
        }
        let angle = angle as u16 % FULL_TURN;
        self.pose = Pose { x, y, angle };
        self.reward = reward;
        self.look();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
