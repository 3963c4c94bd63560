//! Which facts hold in a clip.

use driftless_data::{Episode, Motion};
use driftless_worlds::caption::{Fact, motion};

use super::census::Census;
use super::motion_probe::MotionProbe;
use crate::{Error, Result};

/// Pairs of frames that the motion probe is trained on, and its steps.
const PAIRS: usize = 24_000;
const STEPS: usize = 3000;

/// Tells from the frames of clips of the maze which facts hold in them.
pub struct ClipReader {
    motions: MotionProbe,
}

impl ClipReader {
    /// Trains the motion probe on real episodes with poses, which should not be those that it reads later.
    ///
    /// # Errors
    /// As [`MotionProbe::train`].
    pub fn train(episodes: &[Episode], seed: u64) -> Result<Self> {
        Ok(Self::new(MotionProbe::train(episodes, PAIRS, STEPS, seed)?))
    }

    /// A reader with a probe that was trained before.
    pub fn new(motions: MotionProbe) -> Self {
        Self { motions }
    }

    /// Reads a clip, u8 RGB [T, 64, 64, 3].
    ///
    /// # Errors
    /// Returns an error if the frames have another size.
    pub fn read(&self, clip: &[u8]) -> Result<ClipReading> {
        Ok(ClipReading {
            motions: self.motions.read(clip)?,
            census: Census::of(clip),
        })
    }
}

/// What was read from the frames of a clip.
pub struct ClipReading {
    motions: Vec<Motion>,
    census: Census,
}

impl ClipReading {
    /// For each fact whether it holds in the clip. The facts' phases of motion are those of one caption: all
    /// that it says, in order.
    ///
    /// # Errors
    /// Returns an error if a fact is not of the maze.
    pub fn holds(&self, facts: &[Fact]) -> Result<Vec<bool>> {
        let kinds: Vec<_> = facts
            .iter()
            .filter_map(|fact| match fact {
                Fact::Motion(_, kind) => Some(*kind),
                _ => None,
            })
            .collect();
        let mut phases = motion::has_phases(&self.motions, &kinds).into_iter();
        let hold = |fact: &Fact| match *fact {
            Fact::Motion(..) => Ok(phases.next().unwrap_or_default()),
            Fact::Wall(side, colour) => Ok(self.census.has_wall(side, colour)),
            Fact::Object(place, object) => Ok(self.census.has_object(place, object)),
            Fact::Road(..)
            | Fact::Pace(_)
            | Fact::Ground(_)
            | Fact::Dose(_)
            | Fact::Effect(_)
            | Fact::Cells(_) => Err(Error::Argument(format!(
                "the fact {fact} cannot be read from frames, expected facts of the maze"
            ))),
        };
        facts.iter().map(hold).collect()
    }
}
