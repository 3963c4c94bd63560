//! T5: histories that differ in the colour of a wall that their last frames do not show.

use std::collections::BTreeSet;

use driftless_worlds::maze::{Maze, Sight, WALL_PALETTE, WallBlock};

use super::take::{SWAY, Take, places, pose, turns};
use super::{HALF_TURN, MemoryCase};
use crate::Result;
use crate::maze_colours::dominant;

/// Share of the columns that must show the painted walls.
const PAINTED_SHARE: f64 = 0.6;

/// Five walks that differ in the colour of a wall that their last `gap` frames do not show.
pub(super) fn paired(seed: u64, gap: usize) -> Result<Option<Vec<MemoryCase>>> {
    for maze in places(seed) {
        let start = pose(&maze)?;
        let mut take = Take::new(seed, maze)?;
        let seen = look_and_turn(&mut take, gap)?;
        let cases: Vec<MemoryCase> = (0..WALL_PALETTE.len())
            .map(|colour| {
                let mut maze = Maze::new(seed);
                maze.place(start.x, start.y, start.angle)?;
                maze.paint(&seen, colour)?;
                let mut take = Take::new(seed, maze)?;
                look_and_turn(&mut take, gap)?;
                let start_frames = take.frames();
                let [_, right] = turns(&take.maze)?;
                take.steps(right, HALF_TURN)?;
                let mut case = take.case(start_frames, HALF_TURN, gap + 2 * HALF_TURN);
                case.painted = Some(colour);
                Ok(case)
            })
            .collect::<Result<_>>()?;
        if end_alike(&cases, gap) && show_the_paint(&cases) {
            return Ok(Some(cases));
        }
    }
    Ok(None)
}

/// Looks at what is ahead, turns round, and looks there for `gap` frames. Returns the walls that were
/// ahead at first and are in none of the last frames.
fn look_and_turn(take: &mut Take, gap: usize) -> Result<BTreeSet<WallBlock>> {
    let [left, _] = turns(&take.maze)?;
    let early = take.maze.walls_in_view();
    take.sway(SWAY)?;
    take.steps(left, HALF_TURN)?;
    let late = take.sway(gap)?;
    Ok(early.difference(&late).copied().collect())
}

/// Whether the last `gap` frames of the starting clip, and the actions that led to them, are the same in all
/// cases, and the frames before are not.
fn end_alike(cases: &[MemoryCase], gap: usize) -> bool {
    let Some((first, others)) = cases.split_first() else {
        return false;
    };
    let len = first.start.images.len() / first.start.frames().max(1);
    let split = |case: &MemoryCase| case.start.images.len().checked_sub(gap * len);
    others.iter().all(|other| {
        let (Some(a), Some(b)) = (split(first), split(other)) else {
            return false;
        };
        first.start.images[a..] == other.start.images[b..]
            && first.start.images[..a] != other.start.images[..b]
            && first.start.actions == other.start.actions
            && first.actions == other.actions
    })
}

/// Whether enough of each last frame has the colour that its wall was painted in.
fn show_the_paint(cases: &[MemoryCase]) -> bool {
    cases.iter().all(|case| {
        let last = case.sights.last().map(Vec::as_slice).unwrap_or_default();
        let painted = case.painted.map(Sight::Wall);
        let shown = last.iter().filter(|&&sight| Some(sight) == painted).count();
        dominant(last).map(Sight::Wall) == painted
            && shown as f64 >= PAINTED_SHARE * last.len() as f64
    })
}

#[cfg(test)]
mod tests {
    use super::super::FIRST_MAZE;
    use super::*;

    #[test]
    fn paired_histories_end_alike_to_the_bit() {
        for gap in [12, 48] {
            let cases = paired(FIRST_MAZE + 1, gap).unwrap().unwrap();
            assert_eq!(cases.len(), 5);
            let tail = |case: &MemoryCase| {
                let len = case.start.images.len() / case.start.frames();
                case.start.images[case.start.images.len() - gap * len..].to_vec()
            };
            for (colour, case) in cases.iter().enumerate() {
                assert!(tail(case) == tail(&cases[0]), "gap {gap}, colour {colour}");
                let last = case.sights.last().unwrap();
                assert_eq!(dominant(last), Some(colour));
                assert!(case.start.images != cases[(colour + 1) % 5].start.images);
            }
        }
    }

    #[test]
    fn histories_that_differ_at_the_end_are_refused() {
        let mut cases = paired(FIRST_MAZE, 12).unwrap().unwrap();
        assert!(end_alike(&cases, 12));
        assert!(
            !end_alike(&[cases[0].clone(), cases[0].clone()], 12),
            "no difference at all"
        );
        let last = cases[3].start.images.len() - 1;
        cases[3].start.images[last] ^= 1;
        assert!(!end_alike(&cases, 12));
        assert!(!end_alike(&cases, 1000));
    }
}
