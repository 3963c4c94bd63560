//! The sequences of the memory tests: scripted walks through mazes, with the frames that a memory has to
//! bring back.

mod histories;
mod take;
mod walks;

use std::collections::BTreeSet;

use serde::Serialize;

use driftless_data::{Action, Clip, Pose};
use driftless_worlds::maze::{Sight, WALL_PALETTE};

use crate::Result;

/// Seed of the first maze. `driftless record` draws the seeds of mazes below 2³², so that no maze of a
/// recording is among these.
pub const FIRST_MAZE: u64 = 1 << 33;

/// Turn frames of a half turn, 179.3°, and of a full one.
pub(super) const HALF_TURN: usize = 24;
const FULL_TURN: usize = 2 * HALF_TURN;

/// What a sequence does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "test")]
pub enum MemoryTest {
    /// T1: so many frames of turning left, then as many of turning right.
    ThereAndBack {
        /// Frames one way.
        frames: usize,
    },
    /// T2: a full turn to the left, and on.
    FullCircle,
    /// T3: ahead, half a turn, the same way back, half a turn, ahead again.
    WalkAndReturn,
    /// T4: round a block of walls, and on for the beginning of the second round.
    RoundABlock,
    /// T5: a wall that is looked at, then so many frames in the opposite direction, of which none shows
    /// it, then back to it. Sequences come in fives that differ in its colour alone.
    PairedHistories {
        /// Frames at the end of the starting clip that are the same in all five, bit by bit.
        gap: usize,
    },
}

impl MemoryTest {
    /// The tests of returning to a view: T1 to T4.
    pub const RETURNS: [Self; 8] = [
        Self::ThereAndBack { frames: 4 },
        Self::ThereAndBack { frames: 8 },
        Self::ThereAndBack { frames: 12 },
        Self::ThereAndBack { frames: 24 },
        Self::ThereAndBack { frames: 48 },
        Self::FullCircle,
        Self::WalkAndReturn,
        Self::RoundABlock,
    ];
    /// The tests of paired histories.
    pub const HISTORIES: [Self; 3] = [
        Self::PairedHistories { gap: 12 },
        Self::PairedHistories { gap: 24 },
        Self::PairedHistories { gap: 48 },
    ];

    /// Number of sequences in one maze.
    pub(super) fn sequences_per_maze(self) -> usize {
        match self {
            Self::PairedHistories { .. } => WALL_PALETTE.len(),
            _ => 1,
        }
    }

    /// Its name in tables.
    pub fn name(self) -> String {
        match self {
            Self::ThereAndBack { frames } => format!("T1 there and back, n = {frames}"),
            Self::FullCircle => "T2 full circle".to_owned(),
            Self::WalkAndReturn => "T3 walk, turn, return".to_owned(),
            Self::RoundABlock => "T4 round a block".to_owned(),
            Self::PairedHistories { gap } => format!("T5 paired histories, {gap} frames alike"),
        }
    }
}

/// One sequence: the starting clip, what the world is to do, and what then really happens.
#[derive(Clone, Debug, PartialEq)]
pub struct MemoryCase {
    /// Seed of its maze, and of the noise of its rollout.
    pub maze: u64,
    /// The frames before the rollout and the actions that led to them.
    pub start: Clip,
    /// Their true poses.
    pub start_poses: Vec<Pose>,
    /// The actions of the rollout.
    pub actions: Vec<Action>,
    /// The true frames under these actions, u8 RGB `[actions, H, W, 3]`.
    pub truth: Vec<u8>,
    /// Their true poses.
    pub poses: Vec<Pose>,
    /// What the columns of the true frames show.
    pub(super) sights: Vec<Vec<Sight>>,
    /// Number of the frame, from 1, that returns to a view of the starting clip.
    pub(super) arrival: usize,
    /// Frames since that view was last in the starting clip.
    pub(super) gap: usize,
    /// (later, earlier) frames of the rollout, from 1, that show the same.
    pub(super) pairs: Vec<(usize, usize)>,
    /// The colour that the wall was painted in, in T5.
    pub(super) painted: Option<usize>,
}

impl MemoryCase {
    /// True frame number `t` of the rollout, from 1.
    pub(super) fn true_frame(&self, t: usize) -> &[u8] {
        frame(&self.truth, t, self.actions.len())
    }

    /// The frames whose content was seen long before: the arrival, and the later one of each pair.
    pub(super) fn returning(&self) -> BTreeSet<usize> {
        let later = self.pairs.iter().map(|&(later, _)| later);
        later.chain([self.arrival]).collect()
    }
}

/// Frame number `t`, from 1, of `count` frames.
pub(super) fn frame(images: &[u8], t: usize, count: usize) -> &[u8] {
    let len = images.len() / count.max(1);
    images.get((t - 1) * len..t * len).unwrap_or_default()
}

/// The sequences of a test in maze number `index`: one, or the five of paired histories. `None` if the
/// maze has no place for the test.
///
/// # Errors
/// Returns an error if the simulator fails.
pub fn cases(test: MemoryTest, index: u64) -> Result<Option<Vec<MemoryCase>>> {
    let seed = FIRST_MAZE + index;
    let case = match test {
        MemoryTest::PairedHistories { gap } => return histories::paired(seed, gap),
        MemoryTest::ThereAndBack { frames } => Some(walks::there_and_back(seed, frames)?),
        MemoryTest::FullCircle => Some(walks::full_circle(seed)?),
        MemoryTest::WalkAndReturn => walks::walk_and_return(seed)?,
        MemoryTest::RoundABlock => walks::round_a_block(seed)?,
    };
    Ok(case.map(|case| vec![case]))
}
