//! A first-person maze with coloured walls, and pillars and balls as landmarks.
//!
//! Lengths are in blocks: wall blocks and passages are 1 wide, walls are 1 high, and the eye is at
//! half of that.

mod layout;
mod pose;
mod render;
mod sight;

use std::f32::consts::TAU;

use driftless_data::layout::array::{ANGLE, COS, SIN, X, Y};
use driftless_data::{Action, DatasetInfo};

use self::layout::MazeLayout;
pub use self::layout::WallBlock;
use self::pose::{FULL_TURN, Pose};
pub use self::render::{CEILING, DARK, FLOOR, OBJECT_PALETTE, Sight, WALL_PALETTE};
use crate::simulator::{action_entry, action_specs};
use crate::{Result, Simulator, SimulatorSnapshot, SimulatorState, raster};

/// Angle units turned in a frame, about 7.5°. It does not divide a full turn, so all angles occur.
const TURN: i32 = 85;
/// The same in radians.
pub(crate) const TURN_RADIANS: f32 = TURN as f32 / FULL_TURN as f32 * TAU;
/// Blocks moved in a frame.
pub(crate) const FORWARD_STEP: f32 = 0.14;
const BACK_STEP: f32 = -0.1;
pub(crate) const STRAFE_STEP: f32 = 0.1;
/// Half the walker's width.
const RADIUS: f32 = 0.2;
/// A step is made in this many parts, each checked for collisions.
const SUBSTEPS: u16 = 4;
/// Distance at which an object is reached.
const REACH: f32 = 1.1;

/// The motion of an action in one frame.
struct Motion {
    name: &'static str,
    keys: &'static [&'static str],
    /// Blocks ahead and to the left.
    step: [f32; 2],
    /// Angle units to the left.
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
    motion("forward", &["ArrowUp", "W"], [FORWARD_STEP, 0.0], 0),
    motion("back", &["ArrowDown", "S"], [BACK_STEP, 0.0], 0),
    motion("left", &["ArrowLeft", "A"], [0.0, 0.0], TURN),
    motion("right", &["ArrowRight", "D"], [0.0, 0.0], -TURN),
    motion("strafe-left", &["Q"], [0.0, STRAFE_STEP], 0),
    motion("strafe-right", &["E"], [0.0, -STRAFE_STEP], 0),
    motion(
        "forward-left",
        &["ArrowUp+ArrowLeft", "W+A"],
        [FORWARD_STEP, 0.0],
        TURN,
    ),
    motion(
        "forward-right",
        &["ArrowUp+ArrowRight", "W+D"],
        [FORWARD_STEP, 0.0],
        -TURN,
    ),
];

/// A maze and the walker in it.
pub struct Maze {
    seed: u64,
    layout: MazeLayout,
    pose: Pose,
    reward: f32,
    image: Vec<u8>,
}

impl Maze {
    /// The maze of `seed`, with the walker at the start.
    pub fn new(seed: u64) -> Self {
        let (layout, pose) = MazeLayout::new(seed);
        let mut maze = Self {
            seed,
            layout,
            pose,
            reward: 0.0,
            image: vec![0; raster::IMAGE_SIDE * raster::IMAGE_SIDE * 3],
        };
        maze.update_image();
        maze
    }

    fn update_image(&mut self) {
        render::render(&mut self.image, &self.layout, self.pose);
    }

    /// Moves in small parts, along x and y separately, so that the walker slides along walls.
    fn walk(&mut self, [ahead, left]: [f32; 2]) {
        let [cos, sin] = self.pose.direction();
        let part = 1.0 / f32::from(SUBSTEPS);
        let dx = (ahead * cos - left * sin) * part;
        let dy = (ahead * sin + left * cos) * part;
        for _ in 0..SUBSTEPS {
            let Pose { x, y, .. } = self.pose;
            if self.layout.has_room(x + dx, y, RADIUS) {
                self.pose.x = x + dx;
            }
            if self.layout.has_room(self.pose.x, y + dy, RADIUS) {
                self.pose.y = y + dy;
            }
        }
    }
}

impl Simulator for Maze {
    fn info(&self) -> DatasetInfo {
        DatasetInfo {
            name: "Maze".into(),
            fps: 15.0,
            image: [raster::IMAGE_SIDE; 2],
            actions: action_specs(ACTIONS.iter().map(|motion| (motion.name, motion.keys))),
            axes: Vec::new(),
        }
    }

    fn reset(&mut self, seed: u64) {
        *self = Self::new(seed);
    }

    fn step(&mut self, action: Action) -> Result<()> {
        let motion = action_entry(&ACTIONS, action)?;
        let before = self.layout.object_within(REACH, self.pose);
        let angle = i32::from(self.pose.angle) + motion.turn;
        self.pose.angle = angle.rem_euclid(i32::from(FULL_TURN)) as u16;
        self.walk(motion.step);
        let now = self.layout.object_within(REACH, self.pose);
        self.reward = f32::from(now.is_some() && now != before);
        self.update_image();
        Ok(())
    }

    fn image(&self) -> &[u8] {
        &self.image
    }

    /// 1 when an object comes within reach, else 0.
    fn reward(&self) -> f32 {
        self.reward
    }

    /// Episodes never end.
    fn ended(&self) -> bool {
        false
    }

    /// `x` and `y` in blocks, `angle` in radians, and its `cos` and `sin`.
    fn state(&self) -> SimulatorState {
        let [cos, sin] = self.pose.direction();
        vec![
            (X, vec![self.pose.x]),
            (Y, vec![self.pose.y]),
            (ANGLE, vec![self.pose.radians()]),
            (COS, vec![cos]),
            (SIN, vec![sin]),
        ]
    }

    /// Goals are the open blocks.
    fn action_toward(&self, goal: u64) -> Option<Action> {
        let [x, y] = self.layout.next_block(self.pose, goal)?;
        let bearing = (y - self.pose.y).atan2(x - self.pose.x) - self.pose.radians();
        let left = (bearing + TAU / 2.0).rem_euclid(TAU) - TAU / 2.0;
        // Straight on within about half a frame's turn; more than 35° is turned on the spot.
        let straight = left.abs() < 0.07;
        let walking = left.abs() < 0.61;
        let action = if straight {
            FORWARD
        } else if left > 0.0 {
            if walking { FORWARD_LEFT } else { LEFT }
        } else if walking {
            FORWARD_RIGHT
        } else {
            RIGHT
        };
        Some(action.into())
    }

    fn turns(&self) -> Option<[u32; 2]> {
        Some([LEFT, RIGHT])
    }

    fn way_round(&self) -> Vec<u64> {
        self.layout.way_round(self.pose)
    }

    fn snapshot(&self) -> SimulatorSnapshot {
        let Pose { x, y, angle } = self.pose;
        SimulatorSnapshot {
            seed: self.seed,
            state: vec![x, y, f32::from(angle), self.reward],
        }
    }

    fn restore(&mut self, snapshot: &SimulatorSnapshot) -> Result<()> {
        let [x, y, angle, reward] = snapshot.numbers()?;
        if snapshot.seed != self.seed {
            self.reset(snapshot.seed);
        }
        let angle = angle as u16 % FULL_TURN;
        self.pose = Pose { x, y, angle };
        self.reward = reward;
        self.update_image();
        Ok(())
    }
}

#[cfg(test)]
mod tests;
