//! What a clip of the maze shows: the walker's motion, the walls' colours and the objects.

use driftless_data::Pose;

use super::fact::{Fact, OBJECT_NAMES, Place, Side, WALL_NAMES};
use super::motion;
use crate::maze::{Maze, Sight};

/// Farthest that a wall or an object is spoken of, in blocks.
const FAR: f32 = 5.0;
/// Share of a side's columns that walls of a colour fill where they fill the side.
const FILLED: f32 = 0.5;
/// Share of the frames in which they must do so to be spoken of.
const MOST_FRAMES: f32 = 0.65;
/// Fewest columns of an object that is spoken of.
const OBJECT_COLUMNS: usize = 4;
/// Share of the frames in which an object must be in sight to be spoken of.
const SEEN_FRAMES: f32 = 0.35;
/// Share of those in which it must be on one side for the side to be told.
const ONE_SIDE: f32 = 0.75;

/// What a frame shows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct View {
    /// The wall colour that fills the left, the middle and the right.
    pub walls: [Option<usize>; 3],
    /// The side on which each object is, if it is in sight.
    pub objects: [Option<Side>; OBJECT_NAMES.len()],
}

impl View {
    /// What the maze shows from a pose.
    pub fn of(maze: &Maze, pose: Pose) -> Self {
        Self::from_columns(&maze.columns_from(pose))
    }

    /// What a frame with these columns, from left to right, shows.
    fn from_columns(columns: &[(Sight, f32)]) -> Self {
        let width = columns.len();
        let side = |side| move |at: &usize| Side::of_column(*at, width) == side;
        let walls = Side::ALL.map(|which| {
            let here: Vec<usize> = (0..width).filter(side(which)).collect();
            let count = |colour| {
                let fills = |at: &&usize| {
                    let (sight, distance) = columns[**at];
                    sight == Sight::Wall(colour) && distance <= FAR
                };
                here.iter().filter(fills).count() as f32
            };
            (0..WALL_NAMES.len()).find(|&colour| count(colour) > FILLED * here.len() as f32)
        });
        let objects = std::array::from_fn(|object| {
            let shows = |(sight, distance): &(Sight, f32)| {
                *sight == Sight::Object(object) && *distance <= FAR
            };
            let at: Vec<usize> = (0..width).filter(|&at| shows(&columns[at])).collect();
            let middle = at.iter().sum::<usize>() / at.len().max(1);
            (at.len() >= OBJECT_COLUMNS).then(|| Side::of_column(middle, width))
        });
        Self { walls, objects }
    }
}

/// The motion of a clip from the poses of its frames; empty where it is not clear.
pub fn motion_facts(poses: &[Pose]) -> Vec<Fact> {
    let motions: Vec<_> = poses
        .windows(2)
        .map(|pair| pair[0].motion_to(pair[1]))
        .collect();
    let kinds = motion::phases(&motions).unwrap_or_default();
    let phases = kinds.into_iter().enumerate();
    phases
        .map(|(phase, kind)| Fact::Motion(phase, kind))
        .collect()
}

/// The walls and the objects of a clip, as far as they are clear: what its frames show.
pub fn sight_facts(views: &[View]) -> Vec<Fact> {
    let frames = views.len() as f32;
    let mut facts = Vec::new();
    for (i, side) in Side::ALL.into_iter().enumerate() {
        let count = |colour| views.iter().filter(|v| v.walls[i] == Some(colour)).count() as f32;
        let colour = (0..WALL_NAMES.len()).find(|&colour| count(colour) >= MOST_FRAMES * frames);
        facts.extend(colour.map(|colour| Fact::Wall(side, colour)));
    }
    for object in 0..OBJECT_NAMES.len() {
        let sides: Vec<Side> = views
            .iter()
            .filter_map(|view| view.objects[object])
            .collect();
        let seen = sides.len() as f32;
        if seen < (SEEN_FRAMES * frames).max(1.0) {
            continue;
        }
        let on = |side: &Side| sides.iter().filter(|s| *s == side).count() as f32;
        let side = Side::ALL
            .into_iter()
            .find(|side| on(side) >= ONE_SIDE * seen);
        facts.push(Fact::Object(side.map_or(Place::Seen, Place::At), object));
    }
    facts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caption::fact::MotionKind;
    use crate::{Policy, PolicyAgent, Simulator};

    fn wall(colour: usize) -> (Sight, f32) {
        (Sight::Wall(colour), 2.0)
    }

    #[test]
    fn walls_fill_the_sides_that_they_fill() {
        let mut columns = vec![wall(0); 64];
        columns[22..43].fill(wall(3));
        columns[43..].fill(wall(1));
        assert_eq!(
            View::from_columns(&columns).walls,
            [Some(0), Some(3), Some(1)]
        );
        // Half and half, far away, or behind an object: nothing fills the side.
        columns[..11].fill(wall(2));
        columns[22..43].fill((Sight::Wall(3), 5.5));
        columns[43..60].fill((Sight::Object(2), 1.0));
        let view = View::from_columns(&columns);
        assert_eq!(view.walls, [None; 3]);
        assert_eq!(view.objects, [None, None, Some(Side::Right), None]);
    }

    #[test]
    fn small_and_far_objects_are_passed_over() {
        let mut columns = vec![wall(0); 64];
        columns[30..33].fill((Sight::Object(0), 2.0));
        columns[5..15].fill((Sight::Object(1), 6.0));
        assert_eq!(View::from_columns(&columns).objects, [None; 4]);
    }

    #[test]
    fn most_frames_decide() {
        let view = |left, blue| View {
            walls: [left, None, Some(4)],
            objects: [None, blue, None, None],
        };
        let mut views = vec![view(Some(0), Some(Side::Left)); 6];
        views.extend(vec![view(Some(0), None); 5]);
        views.extend(vec![view(Some(1), None); 5]);
        let told = |views: &[View]| -> Vec<String> {
            sight_facts(views).iter().map(Fact::to_string).collect()
        };
        assert_eq!(
            told(&views),
            ["wall:left:red", "wall:right:green", "object:left:blue-ball"]
        );
        views[..3].fill(view(Some(2), Some(Side::Right)));
        assert_eq!(told(&views), ["wall:right:green", "object:seen:blue-ball"]);
        views[0].objects = [None; 4];
        assert_eq!(told(&views), ["wall:right:green"]);
    }

    #[test]
    fn captions_follow_the_actions() {
        let mut clear = 0;
        for seed in 0..20 {
            for (action, kind) in [
                (0, MotionKind::Still),
                (3, MotionKind::TurnLeft),
                (4, MotionKind::TurnRight),
            ] {
                let mut maze = Maze::new(seed);
                let mut poses = vec![pose(&maze)];
                let mut views = vec![View::of(&maze, pose(&maze))];
                for _ in 0..15 {
                    maze.step(action.into()).unwrap();
                    poses.push(pose(&maze));
                    views.push(View::of(&maze, pose(&maze)));
                }
                assert_eq!(motion_facts(&poses), [Fact::Motion(0, kind)]);
                if kind == MotionKind::Still {
                    clear += sight_facts(&views).len();
                    assert_eq!(views[0], views[15]);
                }
            }
        }
        assert!(clear > 20, "{clear}");
    }

    #[test]
    fn what_blocks_the_way_stops_the_walk() {
        let mut maze = Maze::new(1);
        maze.place(1.5, 1.3, -std::f32::consts::FRAC_PI_2).unwrap();
        let mut poses = vec![pose(&maze)];
        for _ in 0..15 {
            maze.step(1.into()).unwrap();
            poses.push(pose(&maze));
        }
        // Two walls of the corner at most 0.1 away: all but the first frame stand still.
        assert_eq!(motion_facts(&poses), [Fact::Motion(0, MotionKind::Still)]);
    }

    #[test]
    fn painted_walls_and_objects_ahead_are_named() {
        let (mut sides, mut objects) = (0, 0);
        for seed in 0..6 {
            let mut maze = Maze::new(seed);
            for [column, row] in maze.open_blocks() {
                for turn in 0..8 {
                    let angle = turn as f32 * std::f32::consts::FRAC_PI_4;
                    let (x, y) = (column as f32 + 0.5, row as f32 + 0.5);
                    if maze.place(x, y, angle).is_err() {
                        continue;
                    }
                    let columns = maze.columns();
                    let view = View::of(&maze, pose(&maze));
                    let count = |half: &[Sight]| half.iter().filter(|s| **s == columns[32]).count();
                    let [left, right] = [count(&columns[..32]), count(&columns[33..])];
                    if let Sight::Object(object) = columns[32]
                        && left.abs_diff(right) < 5
                        && let Some(side) = view.objects[object]
                    {
                        assert_eq!(side, Side::Ahead);
                        objects += 1;
                    }
                    if turn == 0 {
                        let mut painted = Maze::new(seed);
                        painted.paint(&maze.walls_in_view(), 3).unwrap();
                        let after = View::of(&painted, pose(&maze));
                        for (before, after) in view.walls.iter().zip(after.walls) {
                            assert!(before.is_none() || after == Some(3));
                            sides += usize::from(before.is_some());
                        }
                        assert_eq!(view.objects, after.objects);
                    }
                }
            }
        }
        assert!(sides > 50 && objects > 10, "{sides}, {objects}");
    }

    fn pose(maze: &Maze) -> Pose {
        let state = maze.state();
        let [x, y, angle] = [0, 1, 2].map(|i| state[i].1[0]);
        Pose { x, y, angle }
    }

    #[test]
    fn walks_are_mostly_clear() {
        let (mut clips, mut moving, mut seeing) = (0, 0, 0);
        for seed in 0..6 {
            let mut maze = Maze::new(seed);
            let mut agent = PolicyAgent::new(Policy::Revisit, &maze, seed);
            let (mut poses, mut views) = (Vec::new(), Vec::new());
            for _ in 0..160 {
                let action = agent.act(&maze);
                maze.step(action).unwrap();
                poses.push(pose(&maze));
                views.push(View::of(&maze, pose(&maze)));
            }
            for (poses, views) in poses.chunks_exact(16).zip(views.chunks_exact(16)) {
                clips += 1;
                moving += usize::from(!motion_facts(poses).is_empty());
                seeing += usize::from(!sight_facts(views).is_empty());
            }
        }
        assert!(
            3 * moving > clips && 2 * seeing > clips,
            "{moving}, {seeing} of {clips}"
        );
    }
}
