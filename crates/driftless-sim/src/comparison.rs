//! What is shown next to the played frames: another branch, or ground truth (a simulator under the
//! same actions, or a recorded episode).

use std::sync::Arc;

use driftless_data::{Action, DatasetInfo, Episode};
use driftless_engine::SamplerParams;
use driftless_worlds::SimulatorKind;

use super::ground_truth::{GroundTruthSource, Start, start_player};
use super::history::{History, Route};
use super::{Player, TimelinePosition};
use crate::Result;

/// What is shown next to the played frames.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum ComparisonSource {
    /// Nothing.
    #[default]
    Off,
    /// The frame of another branch at the same index.
    Branch(u32),
    /// A simulator, from the same first frames and under the same actions.
    Simulator(SimulatorKind),
    /// A recorded episode, whose actions are played.
    Episode(Arc<Episode>),
}

impl ComparisonSource {
    /// What a reset starts from under this comparison.
    pub(super) fn start(&self) -> Start {
        match self {
            Self::Off | Self::Branch(_) => Start::Clip,
            Self::Simulator(kind) => Start::Simulator(*kind),
            Self::Episode(episode) => Start::Episode(Arc::clone(episode)),
        }
    }
}

/// The comparison, and the ground truth that it follows.
#[derive(Default)]
pub(super) struct ComparisonState {
    source: ComparisonSource,
    /// The ground truth of `source`, if it has one.
    truth: Option<GroundTruthSource>,
}

impl ComparisonState {
    pub fn source(&self) -> &ComparisonSource {
        &self.source
    }

    /// What a reset starts from.
    pub fn start(&self) -> Start {
        self.source.start()
    }

    /// Changes the source. Returns whether that asks for a reset.
    pub fn set_source(&mut self, source: ComparisonSource) -> bool {
        let before = std::mem::replace(&mut self.source, source).start();
        let start = self.start();
        if start == Start::Clip {
            self.truth = None;
            return false;
        }
        start != before
    }

    /// Resets the player to [`ComparisonState::start`], and the ground truth with it.
    pub fn start_player(
        &mut self,
        player: &mut dyn Player,
        clip: usize,
        params: &SamplerParams,
    ) -> Result<()> {
        self.truth = start_player(player, &self.start(), clip, params)?;
        Ok(())
    }

    /// The recorded action that leads to the next frame, if there is one.
    pub fn recorded_action(&self) -> Option<Action> {
        self.truth.as_ref()?.action()
    }

    /// Advances the ground truth by one frame.
    pub fn step(&mut self, action: Action) -> Result<()> {
        self.truth
            .as_mut()
            .map_or(Ok(()), |truth| truth.step(action))
    }

    /// The true frame, u8 RGB `[H, W, 3]`.
    pub fn true_image(&self) -> Option<&[u8]> {
        self.truth.as_ref()?.image()
    }

    /// Whether the ground truth has ended; `None` without one.
    pub fn truth_ended(&self) -> Option<bool> {
        Some(self.truth.as_ref()?.ended())
    }

    /// The frame to show next to the one at `position`, u8 RGB `[H, W, 3]`.
    pub fn image(&self, history: &History, position: TimelinePosition) -> Option<Arc<[u8]>> {
        match self.source {
            ComparisonSource::Off => None,
            ComparisonSource::Branch(branch) => {
                let end = history.end(branch)?;
                // Past its end, the branch keeps showing its last frame.
                let index = position.index.min(end.checked_sub(1)?);
                history.image(TimelinePosition { branch, index })
            }
            ComparisonSource::Simulator(_) | ComparisonSource::Episode(_) => {
                self.true_image().map(Into::into)
            }
        }
    }

    /// Brings the ground truth to the end of a route, if the route's start has one and is still the
    /// comparison's. Episodes begin with `frames` frames.
    pub fn follow(&mut self, route: &Route, frames: usize) -> Result<()> {
        self.truth = None;
        let Some((start, params, actions)) = &route.since_start else {
            return Ok(());
        };
        if *start != self.start() {
            return Ok(());
        }
        let clip = route.target.clip;
        if let Some((mut truth, _)) = GroundTruthSource::start(start, params, clip, frames)? {
            for action in actions {
                truth.step(*action)?;
            }
            self.truth = Some(truth);
        }
        Ok(())
    }
}

/// The simulator with the same frame size, actions and axes as `world`, if there is one.
pub fn matching_simulator(world: &DatasetInfo) -> Option<SimulatorKind> {
    SimulatorKind::matching(world)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_start_asks_for_a_reset() {
        let mut comparison = ComparisonState::default();
        let maze = ComparisonSource::Simulator(SimulatorKind::Maze);
        for (source, reset) in [
            (ComparisonSource::Branch(1), false),
            (maze.clone(), true),
            (maze, false),
            (ComparisonSource::Simulator(SimulatorKind::Drive), true),
            (ComparisonSource::Off, false),
        ] {
            assert_eq!(comparison.set_source(source.clone()), reset, "{source:?}");
        }
    }

    #[test]
    fn without_ground_truth_nothing_is_stepped() {
        let mut comparison = ComparisonState::default();
        comparison.step(7.into()).unwrap();
        assert_eq!(comparison.recorded_action(), None);
        assert_eq!(comparison.truth_ended(), None);
        assert_eq!(comparison.true_image(), None);
    }
}
