//! T1 to T4: walks that come back to what they have seen.

use driftless_worlds::maze::Maze;
use driftless_worlds::{Policy, PolicyAgent, Simulator};

use super::take::{SAME_PLACE, SWAY, Take, places, turns};
use super::{FULL_TURN, HALF_TURN, MemoryCase};
use crate::Result;

/// Frames of walking before a test begins.
const HISTORY: usize = 48;
/// Frames walked ahead in T3: 1.4 blocks.
const WALK: usize = 10;
/// Frames of T2 after the return.
const AFTER: usize = 12;
/// Most frames on the way round a block.
const MAX_ROUND: usize = 400;
/// The maze's action of walking ahead.
const FORWARD: u32 = 1;

/// A walk by the scripted policy.
fn history(seed: u64) -> Result<Take> {
    let maze = Maze::new(seed);
    let mut agent = PolicyAgent::new(Policy::Scripted, &maze, seed);
    let mut take = Take::new(seed, maze)?;
    while take.frames() <= HISTORY {
        let action = agent.act(&take.maze);
        take.step(action)?;
    }
    Ok(take)
}

pub(super) fn there_and_back(seed: u64, frames: usize) -> Result<MemoryCase> {
    let mut take = history(seed)?;
    let given = take.frames();
    let [left, right] = turns(&take.maze)?;
    take.steps(left, frames)?;
    take.steps(right, frames)?;
    Ok(take.case(given, 2 * frames, 2 * frames))
}

pub(super) fn full_circle(seed: u64) -> Result<MemoryCase> {
    let mut take = history(seed)?;
    let given = take.frames();
    let [left, _] = turns(&take.maze)?;
    take.steps(left, FULL_TURN + AFTER)?;
    Ok(take.case(given, FULL_TURN, FULL_TURN))
}

pub(super) fn walk_and_return(seed: u64) -> Result<Option<MemoryCase>> {
    for maze in places(seed) {
        let mut take = Take::new(seed, maze)?;
        let [left, right] = turns(&take.maze)?;
        take.sway(HISTORY)?;
        let given = take.frames();
        let steps = [
            (FORWARD, WALK),
            (left, HALF_TURN),
            (FORWARD, WALK),
            (right, HALF_TURN),
            (FORWARD, WALK),
        ];
        for (action, frames) in steps {
            take.steps(action, frames)?;
        }
        let arrival = 2 * (WALK + HALF_TURN);
        let (start, back) = (take.poses[given - 1], take.poses[given - 1 + arrival]);
        let turned = take.poses[given - 1 + WALK];
        // Without a collision the whole way is walked, and back to within the rounding of half a turn.
        let walked = (turned.x - start.x).hypot(turned.y - start.y);
        let off = (back.x - start.x).hypot(back.y - start.y);
        if walked > 0.99 * WALK as f32 * 0.14 && off < SAME_PLACE {
            return Ok(Some(take.case(given, arrival, arrival)));
        }
    }
    Ok(None)
}

pub(super) fn round_a_block(seed: u64) -> Result<Option<MemoryCase>> {
    let maze = Maze::new(seed);
    let way = maze.way_round();
    let mut take = Take::new(seed, maze)?;
    take.sway(SWAY)?;
    let [entry, round @ ..] = way.as_slice() else {
        return Ok(None);
    };
    go(&mut take, *entry)?;
    let given = take.frames();
    round.iter().try_for_each(|&goal| go(&mut take, goal))?;
    let arrival = take.frames() - given;
    for goal in round.iter().take(2) {
        go(&mut take, *goal)?;
    }
    Ok(Some(take.case(given, arrival, arrival)))
}

/// Walks to a goal.
fn go(take: &mut Take, goal: u64) -> Result<()> {
    let end = take.frames() + MAX_ROUND;
    while let Some(action) = take
        .maze
        .action_toward(goal)
        .filter(|_| take.frames() < end)
    {
        take.step(action)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::take::MAX_GIVEN;
    use super::super::{FIRST_MAZE, MemoryTest, cases};
    use super::*;

    fn one(test: MemoryTest, index: u64) -> MemoryCase {
        cases(test, index).unwrap().unwrap().remove(0)
    }

    #[test]
    fn there_and_back_returns_to_the_bit() {
        for frames in [4, 24, 48] {
            let case = there_and_back(FIRST_MAZE, frames).unwrap();
            assert_eq!(case.arrival, 2 * frames);
            let last_given = case.given.frames() - 1;
            let len = case.given.images.len() / case.given.frames();
            let given = &case.given.images[last_given * len..];
            assert!(case.true_frame(2 * frames) == given, "n = {frames}");
            for k in 1..frames {
                assert!(
                    case.true_frame(2 * frames - k) == case.true_frame(k),
                    "n = {frames}, k = {k}"
                );
            }
            let mut expected: Vec<_> = (1..=frames / 2)
                .rev()
                .map(|k| (2 * frames - k, k))
                .collect();
            if frames == FULL_TURN {
                // All round, up to 1.4°.
                expected.push((2 * frames, frames));
            }
            assert_eq!(case.pairs, expected);
        }
    }

    #[test]
    fn walks_return_to_where_they_began() {
        for index in 0..3 {
            let circle = one(MemoryTest::FullCircle, index);
            assert_eq!(
                circle.pairs,
                (1..=AFTER).map(|k| (48 + k, k)).collect::<Vec<_>>()
            );
            let walk = one(MemoryTest::WalkAndReturn, index);
            assert_eq!(
                walk.pairs,
                (1..=WALK).map(|k| (68 + k, k)).collect::<Vec<_>>()
            );
            let round = one(MemoryTest::RoundABlock, index);
            assert!(round.arrival >= 40, "{}", round.arrival);
            assert!(!round.pairs.is_empty(), "maze {index}");
            for case in [circle, walk, round] {
                assert_eq!(case.truth.len(), case.actions.len() * 64 * 64 * 3);
                assert!(case.given.frames() >= 12 && case.given.frames() <= MAX_GIVEN);
            }
        }
    }
}
