//! The time of a frame, early and late in a rollout: a memory must not make a long one slow.

use std::time::Instant;

use serde::Serialize;

use driftless_data::metrics::median;
use driftless_engine::rollout::random_held_actions;
use driftless_worlds::SimulatorKind;

use super::case::{MemoryTest, cases};
use super::rollout::{MemoryMode, Rollout};
use crate::Result;

/// Frames of a rollout at which it is timed.
const MARKS: [usize; 3] = [100, 1_000, 10_000];
/// Frames up to a mark over which the median is taken.
const FRAMES: usize = 50;

/// The time of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FrameTime {
    /// The mode of the memory.
    pub mode: MemoryMode,
    /// Number of the frame in the rollout.
    pub frame: usize,
    /// Median time of this and the 49 frames before, in milliseconds.
    pub ms: f64,
}

/// Times a rollout of `frames` frames under random held actions, with the memory on and off, as far as the
/// world can.
pub(super) fn measure(rollouts: &mut [impl Rollout], frames: usize) -> Result<Vec<FrameTime>> {
    let mut times = Vec::new();
    let start = cases(MemoryTest::ThereAndBack { frames: 1 }, 0)?;
    let marks: Vec<usize> = MARKS.into_iter().filter(|&mark| mark <= frames).collect();
    let (Some(rollout), Some(case), Some(&last)) = (
        rollouts.first_mut(),
        start.as_ref().and_then(|cases| cases.first()),
        marks.last(),
    ) else {
        return Ok(times);
    };
    let kinds = SimulatorKind::Maze.open(0).info().actions.len();
    let actions = random_held_actions(last, kinds, 0, case.maze);
    for mode in [MemoryMode::Off, MemoryMode::On] {
        if !rollout.modes().contains(&mode) {
            continue;
        }
        rollout.begin(case, case, mode)?;
        let mut recent = Vec::new();
        for (t, &action) in actions.iter().enumerate() {
            let begun = Instant::now();
            rollout.step(action)?;
            let ms = begun.elapsed().as_secs_f64() * 1000.0;
            // Only the frames before a mark are kept.
            let mark = marks
                .iter()
                .find(|&&mark| (t + 1..=t + FRAMES).contains(&mark));
            let Some(&frame) = mark else { continue };
            recent.push(ms);
            if frame == t + 1 {
                times.extend(median(&recent).map(|ms| FrameTime { mode, frame, ms }));
                recent.clear();
            }
        }
    }
    Ok(times)
}
