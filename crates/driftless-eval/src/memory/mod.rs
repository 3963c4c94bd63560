//! Does a world remember? Scripted walks through mazes that it never was trained on come back to what
//! they have seen, and the rollout is compared with the truth and with itself.
//!
//! - [`case`]: the walks, T1 to T5, and what really happens on them.
//! - [`rollout`]: the worlds that predict them, and the modes of a memory.
//! - [`score`]: what is measured.
//! - [`run`] does it all; [`tables`](fn@tables) turns the report into tables.
//!
//! `docs/memory.md` describes the protocol.

pub mod case;
mod frame_times;
mod poses;
pub mod rollout;
pub mod score;
mod tables;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;

use rayon::prelude::*;
use serde::Serialize;

use driftless_model::config::WorldConfig;
use driftless_worlds::SimulatorKind;

use self::case::{FIRST_MAZE, MemoryCase, MemoryTest};
use self::rollout::{MemoryMode, Rollout};
use self::score::ModeReport;
use crate::options::EvalProgress;
use crate::{Error, Result};

pub use self::frame_times::FrameTime;
pub use self::tables::{absent, tables};

/// Most sequences of a test; they are in memory together, up to 7 MiB each.
const MAX_SEQUENCES: usize = 256;
/// Mazes that are searched for each one that has a place for a test.
const TRIES: usize = 8;
/// Most frames of the timed rollout.
const MAX_TIMED: usize = 1_000_000;

/// What to measure.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryOptions {
    /// The tests.
    pub tests: Vec<MemoryTest>,
    /// Number of mazes of each test; paired histories have five sequences in each.
    pub sequences: usize,
    /// Number of mazes, from the first, for which a probe that reads poses is trained.
    pub pose_mazes: usize,
    /// Frames of the rollout that is timed.
    pub timed_frames: usize,
}

impl Default for MemoryOptions {
    fn default() -> Self {
        let tests = MemoryTest::RETURNS.iter().chain(&MemoryTest::HISTORIES);
        Self {
            tests: tests.copied().collect(),
            sequences: 64,
            pose_mazes: 8,
            timed_frames: 1000,
        }
    }
}

impl MemoryOptions {
    fn check(&self) -> Result<()> {
        let out = |name: &str, value: usize, from: usize, to: usize| {
            Err(Error::Argument(format!(
                "{name} is {value}, expected {from} to {to}"
            )))
        };
        if !(2..=MAX_SEQUENCES).contains(&self.sequences) {
            return out("sequences", self.sequences, 2, MAX_SEQUENCES);
        }
        if self.pose_mazes > self.sequences {
            return out("pose_mazes", self.pose_mazes, 0, self.sequences);
        }
        if self.timed_frames > MAX_TIMED {
            return out("timed_frames", self.timed_frames, 0, MAX_TIMED);
        }
        Ok(())
    }
}

/// What was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MemoryReport {
    /// Seeds of the first maze and of the last one, none of which `driftless record` draws.
    pub mazes: [u64; 2],
    /// The modes that the world has.
    pub modes: Vec<ModeReport>,
    /// Those that it does not have, for want of a memory.
    pub absent: Vec<MemoryMode>,
    /// Time of a frame, early and late in a rollout.
    pub frame_times: Vec<FrameTime>,
}

/// Checks that a world is one of the maze.
///
/// # Errors
/// Returns an error if its frames or its actions are not the maze's.
pub fn check_world(world: &WorldConfig) -> Result<()> {
    let maze = SimulatorKind::Maze.open(0).info();
    if world.image == maze.image && world.actions == maze.actions {
        return Ok(());
    }
    Err(Error::Argument(format!(
        "the world {} has frames of {}×{} and {} actions, expected a world of the maze: {}×{} and {}",
        world.name,
        world.image[0],
        world.image[1],
        world.actions.len(),
        maze.image[0],
        maze.image[1],
        maze.actions.len()
    )))
}

/// Measures a world, given several times so that as many sequences are predicted at once. Progress is in
/// sequences.
///
/// # Errors
/// Returns an error if an option is out of range, if too few mazes have a place for a test, or if a rollout
/// fails.
pub fn run<R: Rollout>(
    rollouts: &mut [R],
    options: &MemoryOptions,
    progress: &mut EvalProgress,
) -> Result<MemoryReport> {
    options.check()?;
    let none = || Error::Argument("there is no world to measure".to_owned());
    let modes = rollouts.first().ok_or_else(none)?.modes();
    let width = SimulatorKind::Maze.open(0).info().image[1];
    let per_maze = options.tests.iter().map(|test| test.sequences_per_maze());
    progress.start(per_maze.sum::<usize>() * options.sequences * modes.len());
    let probes = poses::train(options.pose_mazes)?;
    let report = |&mode: &MemoryMode| ModeReport {
        mode,
        returns: Vec::new(),
        histories: Vec::new(),
    };
    let mut reports: Vec<ModeReport> = modes.iter().map(report).collect();
    let mut last = FIRST_MAZE;
    for &test in &options.tests {
        let cases = find_cases(test, options.sequences)?;
        last = last.max(cases.iter().map(|case| case.maze).max().unwrap_or(last));
        for report in &mut reports {
            let predicted = predict_all(rollouts, test, &cases, report.mode, progress)?;
            if test.sequences_per_maze() == 1 {
                let probes = poses::of_cases(&probes, &cases);
                let score = score::returns(test, &cases, &predicted, width, &probes)?;
                report.returns.push(score);
            } else {
                let score = score::histories(test, &cases, &predicted, width);
                report.histories.push(score);
            }
        }
    }
    let is_absent = |mode: &MemoryMode| !modes.contains(mode);
    Ok(MemoryReport {
        mazes: [FIRST_MAZE, last],
        modes: reports,
        absent: MemoryMode::ALL.into_iter().filter(is_absent).collect(),
        frame_times: frame_times::measure(rollouts, options.timed_frames)?,
    })
}

/// The cases of a test in the first mazes that have a place for it.
fn find_cases(test: MemoryTest, mazes: usize) -> Result<Vec<MemoryCase>> {
    let mut found = Vec::new();
    let mut next = 0;
    while found.len() < mazes && next < TRIES * mazes {
        let missing = mazes - found.len();
        let more: Vec<Option<Vec<MemoryCase>>> = (next..next + missing)
            .into_par_iter()
            .map(|index| case::cases(test, index as u64))
            .collect::<Result<_>>()?;
        found.extend(more.into_iter().flatten());
        next += missing;
    }
    if found.len() < mazes {
        return Err(Error::Mazes(format!(
            "{} of {next} mazes have a place for {}, expected {mazes}",
            found.len(),
            test.name()
        )));
    }
    Ok(found.into_iter().flatten().collect())
}

/// Predicts all cases, as many at once as there are rollouts: for each, u8 RGB `[actions, H, W, 3]`.
fn predict_all<R: Rollout>(
    rollouts: &mut [R],
    test: MemoryTest,
    cases: &[MemoryCase],
    mode: MemoryMode,
    progress: &mut EvalProgress,
) -> Result<Vec<Vec<u8>>> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for rollout in rollouts {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let other =
                        cases.get(score::other(index, cases.len(), test.sequences_per_maze()));
                    let (Some(case), Some(other)) = (cases.get(index), other) else {
                        return;
                    };
                    let images = predict(rollout, case, other, mode);
                    if sender.send((index, images)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(sender);
        let mut predicted = vec![Vec::new(); cases.len()];
        for (index, images) in receiver {
            // An error drops the receiver, at which the others stop.
            predicted[index] = images?;
            progress.advance(1);
        }
        Ok(predicted)
    })
}

fn predict(
    rollout: &mut impl Rollout,
    case: &MemoryCase,
    other: &MemoryCase,
    mode: MemoryMode,
) -> Result<Vec<u8>> {
    rollout.begin(case, other, mode)?;
    let mut images = Vec::with_capacity(case.truth.len());
    for &action in &case.actions {
        images.extend_from_slice(rollout.step(action)?);
    }
    Ok(images)
}
