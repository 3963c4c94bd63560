//! What the walker sees, by name; the walker placed anywhere, and walls painted anew. Tests of a
//! world's memory are made of these.

use std::collections::BTreeSet;
use std::f32::consts::TAU;

use super::layout::{WALL_COLOURS, WallBlock};
use super::pose::FULL_TURN;
use super::render::Sight;
use super::{Maze, Pose, RADIUS, render};
use crate::raster::{IMAGE_SIDE, SAMPLES};
use crate::{Error, Result};

impl Maze {
    /// Puts the walker at `x`, `y` in blocks, looking in direction `angle` in radians, which is rounded
    /// to a 4096th of a turn.
    ///
    /// # Errors
    /// Returns an error if a number is not finite, or if there is no room for the walker.
    pub fn place(&mut self, x: f32, y: f32, angle: f32) -> Result<()> {
        let finite = x.is_finite() && y.is_finite() && angle.is_finite();
        if !finite || !self.layout.has_room(x, y, RADIUS) {
            return Err(Error::Argument(format!(
                "the walker does not fit at ({x}, {y}) in direction {angle}, expected finite numbers and \
                 {RADIUS} blocks between it and any wall"
            )));
        }
        let angle = units(angle);
        self.pose = Pose { x, y, angle };
        self.update_image();
        Ok(())
    }

    /// The blocks that can be walked on, column and row from the south-west, in a fixed order.
    pub fn open_blocks(&self) -> Vec<[usize; 2]> {
        self.layout.open_blocks()
    }

    /// What each column of pixels shows at eye level, from the left.
    pub fn columns(&self) -> Vec<Sight> {
        let middles = (0..IMAGE_SIDE).map(|column| column * SAMPLES + SAMPLES / 2);
        middles
            .map(|sample| render::sight(&self.layout, self.pose, sample))
            .collect()
    }

    /// What each column of pixels would show at eye level from another place, as [`Maze::columns`], and its
    /// distance in blocks. The walker stays where it is.
    pub fn columns_from(&self, pose: driftless_data::Pose) -> Vec<(Sight, f32)> {
        let middles = (0..IMAGE_SIDE).map(|column| column * SAMPLES + SAMPLES / 2);
        let pose = Pose {
            x: pose.x,
            y: pose.y,
            angle: units(pose.angle),
        };
        middles
            .map(|sample| render::sight_and_distance(&self.layout, pose, sample))
            .collect()
    }

    /// All walls of which the frame shows something.
    pub fn walls_in_view(&self) -> BTreeSet<WallBlock> {
        (0..IMAGE_SIDE * SAMPLES)
            .map(|sample| render::wall_at(&self.layout, self.pose, sample))
            .collect()
    }

    /// Paints walls in a colour, an index into [`super::WALL_PALETTE`], until the next reset. A snapshot
    /// does not contain it.
    ///
    /// # Errors
    /// Returns an error if there is no such colour.
    pub fn paint(&mut self, walls: &BTreeSet<WallBlock>, colour: usize) -> Result<()> {
        if colour >= WALL_COLOURS {
            return Err(Error::Argument(format!(
                "there is no wall colour {colour}, expected 0 to {}",
                WALL_COLOURS - 1
            )));
        }
        self.layout.paint(walls, colour);
        self.update_image();
        Ok(())
    }
}

/// An angle in radians in angle units.
fn units(angle: f32) -> u16 {
    let units = (angle.rem_euclid(TAU) / TAU * f32::from(FULL_TURN)).round() as u16;
    units % FULL_TURN
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Policy, PolicyAgent, Simulator};

    #[test]
    fn paint_shows_only_where_it_was_put() {
        let (mut painted_seen, mut hidden) = (0, 0);
        for seed in 0..4 {
            let (mut plain, mut painted) = (Maze::new(seed), Maze::new(seed));
            let walls = plain.walls_in_view();
            painted.paint(&walls, 3).unwrap();
            let shows = |maze: &Maze| maze.columns().contains(&Sight::Wall(3));
            assert!(shows(&painted));
            let mut agent = PolicyAgent::new(Policy::Scripted, &plain, seed);
            for _ in 0..60 {
                let action = agent.act(&plain);
                plain.step(action).unwrap();
                painted.step(action).unwrap();
                let sees_paint = !plain.walls_in_view().is_disjoint(&walls);
                if sees_paint {
                    painted_seen += 1;
                } else {
                    hidden += 1;
                    assert!(plain.image() == painted.image(), "seed {seed}");
                }
            }
        }
        assert!(painted_seen > 20 && hidden > 20, "{painted_seen}, {hidden}");
    }

    #[test]
    fn columns_name_wall_and_object() {
        let mut maze = Maze::new(4);
        let object = maze.layout.objects()[0];
        let sides = [
            (0.75, 0.0, 0.5),
            (-0.75, 0.0, 0.0),
            (0.0, 0.75, 0.75),
            (0.0, -0.75, 0.25),
        ];
        let free = sides
            .into_iter()
            .find_map(|(dx, dy, turn)| maze.place(object.x + dx, object.y + dy, turn * TAU).ok());
        free.unwrap();
        let columns = maze.columns();
        assert_eq!(columns[IMAGE_SIDE / 2], Sight::Object(object.colour));
        assert!(matches!(columns[0], Sight::Wall(_)), "{columns:?}");
    }

    #[test]
    fn columns_are_told_from_afar() {
        let mut maze = Maze::new(9);
        let [start, other] = [Maze::new(9), Maze::new(9)];
        for action in [1, 1, 7, 7, 4, 1, 1] {
            maze.step(action.into()).unwrap();
            let state = maze.state();
            let [x, y, angle] = [0, 1, 2].map(|i| state[i].1[0]);
            let seen = other.columns_from(driftless_data::Pose { x, y, angle });
            let sights: Vec<Sight> = seen.iter().map(|(sight, _)| *sight).collect();
            assert_eq!(sights, maze.columns());
            assert!(
                seen.iter()
                    .all(|(_, distance)| (0.01..13.0).contains(distance))
            );
        }
        assert_eq!(start.snapshot(), other.snapshot());
    }

    #[test]
    fn walls_leave_no_room() {
        let mut maze = Maze::new(1);
        let before = maze.snapshot();
        for (x, y, angle) in [
            (0.5, 0.5, 0.0),
            (1.1, 1.5, 0.0),
            (f32::NAN, 1.5, 0.0),
            (1.5, 1.5, f32::INFINITY),
        ] {
            assert!(maze.place(x, y, angle).is_err(), "{x}, {y}");
        }
        assert_eq!(maze.snapshot(), before);
        maze.place(1.5, 1.5, -TAU / 4.0).unwrap();
        assert_eq!(maze.pose.angle, 3 * FULL_TURN / 4);
        assert!(maze.paint(&BTreeSet::new(), WALL_COLOURS).is_err());
    }
}
