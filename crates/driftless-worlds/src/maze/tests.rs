//! The walker, the walls and the objects.

use std::collections::HashSet;

use super::*;
use crate::{Policy, PolicyAgent};

fn by_name(name: &str) -> u32 {
    let found = ACTIONS.iter().position(|motion| motion.name == name);
    found.unwrap() as u32
}

#[test]
fn open_blocks_are_reachable() {
    for seed in 0..50 {
        let (layout, pose) = MazeLayout::new(seed);
        let open = layout.open_blocks();
        assert_eq!(layout.objects().len(), 4);
        assert!(layout.has_room(pose.x, pose.y, RADIUS));
        for goal in 0..open.len() as u64 {
            let mut pose = pose;
            let mut blocks = 0;
            while let Some([x, y]) = layout.next_block(pose, goal) {
                assert!(
                    (x - pose.x).abs() + (y - pose.y).abs() < 1.1,
                    "one block at a time"
                );
                assert!(layout.has_room(x, y, RADIUS), "seed {seed}");
                (pose.x, pose.y) = (x, y);
                blocks += 1;
                assert!(blocks < 81, "seed {seed}, goal {goal}");
            }
            let goal = open[goal as usize].map(|side| side as f32 + 0.5);
            assert_eq!([pose.x, pose.y], goal);
        }
        for side in -1..=layout::BLOCKS as i32 {
            let last = layout::BLOCKS as i32 - 1;
            let border = [(side, 0), (side, last), (0, side), (last, side)];
            assert!(border.iter().all(|&(x, y)| layout.is_wall(x, y)));
        }
    }
}

#[test]
fn way_round_leads_back_to_where_it_began() {
    for seed in 0..50 {
        let maze = Maze::new(seed);
        let open = maze.layout.open_blocks();
        let way = maze.way_round();
        assert!(
            way.len() >= 9 && way.first() == way.last(),
            "seed {seed}: {way:?}"
        );
        let blocks: Vec<_> = way.iter().map(|&goal| open[goal as usize]).collect();
        for step in blocks.windows(2) {
            let [[ax, ay], [bx, by]] = [step[0], step[1]];
            assert_eq!(ax.abs_diff(bx) + ay.abs_diff(by), 1, "seed {seed}");
        }
        let different: HashSet<_> = blocks.iter().collect();
        assert_eq!(different.len(), blocks.len() - 1, "seed {seed}");
    }
}

#[test]
fn turns_undo_each_other() {
    let mut maze = Maze::new(6);
    let before = maze.snapshot();
    for action in maze.turns().unwrap() {
        maze.step(action.into()).unwrap();
    }
    assert_eq!(maze.snapshot(), before);
}

/// Share of the frames that were seen before, bit by bit, more than 12 frames ago.
fn seen_again(policy: Policy) -> f64 {
    let (mut again, mut frames) = (0, 0);
    for seed in 0..2 {
        let mut maze = Maze::new(seed);
        let mut agent = PolicyAgent::new(policy, &maze, seed);
        let mut seen = vec![maze.image.clone()];
        for t in 0..600_usize {
            let action = agent.act(&maze);
            maze.step(action).unwrap();
            again += usize::from(seen[..t.saturating_sub(12)].contains(&maze.image));
            frames += 1;
            seen.push(maze.image.clone());
        }
    }
    again as f64 / frames as f64
}

#[test]
fn revisit_policy_sees_frames_again() {
    let [revisit, scripted] = [Policy::Revisit, Policy::Scripted].map(seen_again);
    assert!(
        revisit > 0.05 && revisit > 5.0 * scripted,
        "{revisit}, {scripted}"
    );
}

#[test]
fn walls_and_objects_are_never_crossed() {
    for seed in 0..8 {
        let mut maze = Maze::new(seed);
        let mut agent = PolicyAgent::new(Policy::Random, &maze, seed);
        for _ in 0..400 {
            let before = maze.pose;
            let action = agent.act(&maze);
            maze.step(action).unwrap();
            let Pose { x, y, .. } = maze.pose;
            assert!(maze.layout.has_room(x, y, RADIUS), "seed {seed}: {x}, {y}");
            assert!((x - before.x).hypot(y - before.y) < FORWARD_STEP + 1e-4);
        }
    }
}

#[test]
fn walker_slides_along_walls() {
    let mut maze = Maze::new(1);
    // Heading north-east into the outer wall of the north-west room: north stops, east continues.
    maze.pose = Pose {
        x: 1.5,
        y: 7.75,
        angle: FULL_TURN / 8,
    };
    let before = maze.pose;
    maze.step(FORWARD.into()).unwrap();
    assert!(maze.pose.x > before.x + 0.08);
    assert!(maze.pose.y <= 7.8);
}

#[test]
fn steps_follow_the_heading() {
    let mut maze = Maze::new(2);
    let go = |maze: &mut Maze, angle: u16, name: &str| {
        (maze.pose.x, maze.pose.y, maze.pose.angle) = (1.5, 1.5, angle);
        maze.step(by_name(name).into()).unwrap();
        [maze.pose.x - 1.5, maze.pose.y - 1.5]
    };
    let near = |a: [f32; 2], b: [f32; 2]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
    let north = FULL_TURN / 4;
    assert!(near(go(&mut maze, 0, "forward"), [FORWARD_STEP, 0.0]));
    assert!(near(go(&mut maze, north, "forward"), [0.0, FORWARD_STEP]));
    assert!(near(go(&mut maze, 0, "back"), [BACK_STEP, 0.0]));
    assert!(near(go(&mut maze, 0, "strafe-left"), [0.0, STRAFE_STEP]));
    assert!(near(
        go(&mut maze, north, "strafe-right"),
        [STRAFE_STEP, 0.0]
    ));
    assert!(near(go(&mut maze, north, "noop"), [0.0, 0.0]));
}

#[test]
fn turns_are_reversible() {
    let mut maze = Maze::new(3);
    let first = maze.image.clone();
    let turns = 60;
    for _ in 0..turns {
        maze.step(LEFT.into()).unwrap();
        assert_ne!(maze.image, first);
    }
    for _ in 0..turns {
        maze.step(RIGHT.into()).unwrap();
    }
    assert_eq!(maze.image, first);
}

#[test]
fn view_moves_against_the_turn() {
    let mut maze = Maze::new(4);
    let object = maze.layout.objects()[0];
    // Right in front of a pillar, facing it from one of its open sides.
    let sides = [
        (0.75, 0.0, 2048),
        (-0.75, 0.0, 0),
        (0.0, 0.75, 3072),
        (0.0, -0.75, 1024),
    ];
    let side = sides
        .iter()
        .find(|(dx, dy, _)| maze.layout.has_room(object.x + dx, object.y + dy, RADIUS));
    let &(dx, dy, angle) = side.unwrap();
    let (x, y) = (object.x + dx, object.y + dy);
    maze.pose = Pose { x, y, angle };
    // Mean column of the red pillar.
    let middle = |maze: &Maze| {
        let row = &maze.image[20 * 64 * 3..21 * 64 * 3];
        let red = |pixel: &[u8]| pixel[0] > 100 && pixel[1] < 90 && pixel[2] < 90;
        let columns: Vec<usize> = (0..64).filter(|i| red(&row[i * 3..i * 3 + 3])).collect();
        columns.iter().sum::<usize>() as f32 / columns.len() as f32
    };
    maze.update_image();
    let ahead = middle(&maze);
    assert!((ahead - 31.5).abs() < 1.0, "{ahead}");
    maze.step(LEFT.into()).unwrap();
    assert!(middle(&maze) > ahead + 4.0);
}

#[test]
fn objects_are_rewarded_once_reached() {
    let mut maze = Maze::new(5);
    let mut rewards = Vec::new();
    let mut agent = PolicyAgent::new(Policy::Scripted, &maze, 1);
    let mut near = maze.layout.object_within(REACH, maze.pose);
    for _ in 0..600 {
        let action = agent.act(&maze);
        maze.step(action).unwrap();
        let now = maze.layout.object_within(REACH, maze.pose);
        assert_eq!(maze.reward, f32::from(now.is_some() && now != near));
        near = now;
        rewards.push(maze.reward);
    }
    let sum: f32 = rewards.iter().sum();
    assert!(sum >= 2.0, "{sum}");
}

#[test]
fn scripted_policies_cover_the_maze() {
    for (policy, least, mazes) in [(Policy::Scripted, 0.8, 6), (Policy::Revisit, 0.5, 2)] {
        let share = covered(policy, mazes);
        assert!(share > least, "{policy:?}: {share}");
    }
}

/// Share of the open blocks of some mazes that 1000 frames lead to. All directions must occur.
fn covered(policy: Policy, mazes: u64) -> f64 {
    let (mut visited, mut open) = (0, 0);
    for seed in 0..mazes {
        let mut maze = Maze::new(seed);
        let mut agent = PolicyAgent::new(policy, &maze, seed);
        let (mut blocks, mut eighths) = (HashSet::new(), HashSet::new());
        for _ in 0..1000 {
            let action = agent.act(&maze);
            maze.step(action).unwrap();
            blocks.insert([maze.pose.x as usize, maze.pose.y as usize]);
            eighths.insert(maze.pose.angle / 512);
        }
        assert_eq!(eighths.len(), 8);
        visited += blocks.len();
        open += maze.layout.open_blocks().len();
    }
    visited as f64 / open as f64
}
