//! The walker, the walls and the objects.

use std::collections::HashSet;

use super::*;
use crate::{Hand, Policy};

fn by_name(name: &str) -> u32 {
    let found = ACTIONS.iter().position(|motion| motion.name == name);
    found.unwrap() as u32
}

#[test]
fn every_open_block_can_be_reached_and_no_block_outside() {
    for seed in 0..50 {
        let (plan, pose) = Plan::new(seed);
        let open = plan.open_blocks();
        assert_eq!(plan.objects().len(), 4);
        assert!(plan.has_room(pose.x, pose.y, RADIUS));
        for goal in 0..open.len() as u64 {
            let mut pose = pose;
            let mut blocks = 0;
            while let Some([x, y]) = plan.next_block(pose, goal) {
                assert!(
                    (x - pose.x).abs() + (y - pose.y).abs() < 1.1,
                    "one block at a time"
                );
                assert!(plan.has_room(x, y, RADIUS), "seed {seed}");
                (pose.x, pose.y) = (x, y);
                blocks += 1;
                assert!(blocks < 81, "seed {seed}, goal {goal}");
            }
            let goal = open[goal as usize].map(|side| side as f32 + 0.5);
            assert_eq!([pose.x, pose.y], goal);
        }
        for side in -1..=plan::BLOCKS as i32 {
            let last = plan::BLOCKS as i32 - 1;
            let border = [(side, 0), (side, last), (0, side), (last, side)];
            assert!(border.iter().all(|&(x, y)| plan.is_wall(x, y)));
        }
    }
}

#[test]
fn walls_and_objects_are_never_crossed() {
    for seed in 0..8 {
        let mut maze = Maze::new(seed);
        let mut hand = Hand::new(Policy::Random, &maze, seed);
        for _ in 0..400 {
            let before = maze.pose;
            let action = hand.act(&maze);
            maze.step(action).unwrap();
            let Pose { x, y, .. } = maze.pose;
            assert!(maze.plan.has_room(x, y, RADIUS), "seed {seed}: {x}, {y}");
            assert!((x - before.x).hypot(y - before.y) < AHEAD + 1e-4);
        }
    }
}

#[test]
fn a_wall_met_at_an_angle_is_slid_along() {
    let mut maze = Maze::new(1);
    // North-east into the outer wall's corner of the north-west room: north stops, east goes on.
    maze.pose = Pose {
        x: 1.5,
        y: 7.75,
        angle: FULL_TURN / 8,
    };
    let before = maze.pose;
    maze.step(FORWARD).unwrap();
    assert!(maze.pose.x > before.x + 0.08);
    assert!(maze.pose.y <= 7.8);
}

#[test]
fn steps_follow_the_heading_and_a_step_back_and_aside_is_what_it_says() {
    let mut maze = Maze::new(2);
    let go = |maze: &mut Maze, angle: u16, name: &str| {
        (maze.pose.x, maze.pose.y, maze.pose.angle) = (1.5, 1.5, angle);
        maze.step(by_name(name)).unwrap();
        [maze.pose.x - 1.5, maze.pose.y - 1.5]
    };
    let near = |a: [f32; 2], b: [f32; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    let north = FULL_TURN / 4;
    assert!(near(go(&mut maze, 0, "forward"), [AHEAD, 0.0]));
    assert!(near(go(&mut maze, north, "forward"), [0.0, AHEAD]));
    assert!(near(go(&mut maze, 0, "back"), [BACK, 0.0]));
    assert!(near(go(&mut maze, 0, "strafe-left"), [0.0, ASIDE]));
    assert!(near(go(&mut maze, north, "strafe-right"), [ASIDE, 0.0]));
    assert!(near(go(&mut maze, north, "noop"), [0.0, 0.0]));
}

#[test]
fn turning_left_and_then_right_comes_back_to_the_same_frame() {
    let mut maze = Maze::new(3);
    let first = maze.image.clone();
    let turns = 60;
    for _ in 0..turns {
        maze.step(LEFT).unwrap();
        assert_ne!(maze.image, first);
    }
    for _ in 0..turns {
        maze.step(RIGHT).unwrap();
    }
    assert_eq!(maze.image, first);
}

#[test]
fn what_is_ahead_moves_right_when_the_walker_turns_left() {
    let mut maze = Maze::new(4);
    let object = maze.plan.objects()[0];
    // Right before a pillar, looking at it from one of its open sides.
    let sides = [
        (0.75, 0.0, 2048),
        (-0.75, 0.0, 0),
        (0.0, 0.75, 3072),
        (0.0, -0.75, 1024),
    ];
    let side = sides
        .iter()
        .find(|(dx, dy, _)| maze.plan.has_room(object.x + dx, object.y + dy, RADIUS));
    let &(dx, dy, angle) = side.unwrap();
    let (x, y) = (object.x + dx, object.y + dy);
    maze.pose = Pose { x, y, angle };
    // Red of the pillar, per column.
    let middle = |maze: &Maze| {
        let row = &maze.image[20 * 64 * 3..21 * 64 * 3];
        let red = |pixel: &[u8]| pixel[0] > 100 && pixel[1] < 90 && pixel[2] < 90;
        let columns: Vec<usize> = (0..64).filter(|i| red(&row[i * 3..i * 3 + 3])).collect();
        columns.iter().sum::<usize>() as f32 / columns.len() as f32
    };
    maze.look();
    let ahead = middle(&maze);
    assert!((ahead - 31.5).abs() < 1.0, "{ahead}");
    maze.step(LEFT).unwrap();
    assert!(middle(&maze) > ahead + 4.0);
}

#[test]
fn an_object_is_rewarded_when_it_comes_within_reach_and_not_while_it_stays() {
    let mut maze = Maze::new(5);
    let mut rewards = Vec::new();
    let mut hand = Hand::new(Policy::Scripted, &maze, 1);
    let mut near = maze.plan.object_within(REACH, maze.pose);
    for _ in 0..600 {
        let action = hand.act(&maze);
        maze.step(action).unwrap();
        let now = maze.plan.object_within(REACH, maze.pose);
        assert_eq!(maze.reward, f32::from(now.is_some() && now != near));
        near = now;
        rewards.push(maze.reward);
    }
    let sum: f32 = rewards.iter().sum();
    assert!(sum >= 2.0, "{sum}");
}

#[test]
fn the_scripted_policy_visits_most_of_the_maze_and_looks_in_all_directions() {
    let (mut visited, mut open) = (0, 0);
    for seed in 0..6 {
        let mut maze = Maze::new(seed);
        let mut hand = Hand::new(Policy::Scripted, &maze, seed);
        let (mut blocks, mut eighths) = (HashSet::new(), HashSet::new());
        for _ in 0..1000 {
            let action = hand.act(&maze);
            maze.step(action).unwrap();
            blocks.insert([maze.pose.x as usize, maze.pose.y as usize]);
            eighths.insert(maze.pose.angle / 512);
        }
        assert_eq!(eighths.len(), 8);
        visited += blocks.len();
        open += maze.plan.open_blocks().len();
    }
    assert!(visited * 10 > open * 8, "{visited} of {open} blocks");
}
