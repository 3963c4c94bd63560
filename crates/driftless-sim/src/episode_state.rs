//! The current position in an episode.

use driftless_engine::{Outcome, SamplerParams};

use super::history::{FrameOrigin, HistoryEntry};
use super::{GroundTruth, Prediction};

/// How far the current episode has got.
pub(super) struct EpisodeState {
    /// Frames since the reset.
    pub number: u64,
    /// Index of the starting clip.
    pub clip: usize,
    /// Sum of the predicted rewards since the reset.
    score: f32,
    /// Whether the last frame ended its episode.
    pub ended: bool,
    /// Whether a predicted end of the episode resets.
    pub restart_at_end: bool,
}

impl EpisodeState {
    pub fn new(clip: usize, restart_at_end: bool) -> Self {
        Self {
            number: 0,
            clip,
            score: 0.0,
            ended: false,
            restart_at_end,
        }
    }

    /// The player is at its starting frame.
    pub fn restart(&mut self) {
        self.number = 0;
        self.score = 0.0;
    }

    /// The current frame's prediction, given what the player predicts; a starting frame has none.
    pub fn prediction(&self, outcome: Option<Outcome>) -> Prediction {
        Prediction {
            outcome: outcome.filter(|_| self.number > 0),
            score: self.score,
        }
    }

    /// Adds the predicted reward of a new frame to the score.
    pub fn add_reward(&mut self, outcome: Option<Outcome>) {
        let outcome = self.prediction(outcome).outcome;
        self.score += outcome.map_or(0.0, |outcome| outcome.reward);
    }

    /// Notes whether the current frame ends the episode. A simulator knows; next to ground truth, its
    /// end counts (`truth_ended`) and not the predicted one.
    pub fn note_end(
        &mut self,
        own_truth: Option<&GroundTruth>,
        truth_ended: Option<bool>,
        predicted: Option<Outcome>,
    ) {
        let own_end = own_truth.map(|truth| truth.ended);
        self.ended = own_end
            .or(truth_ended)
            .unwrap_or_else(|| self.restart_at_end && predicted.is_some_and(Outcome::ends));
    }

    /// The current frame's entry in the history.
    pub fn entry(&self, origin: FrameOrigin, params: SamplerParams) -> HistoryEntry {
        HistoryEntry::new(origin, params, self.number, self.clip, self.score)
    }

    /// Goes to a frame of the history.
    pub fn go_to(&mut self, entry: &HistoryEntry) {
        (self.number, self.clip, self.score) = (entry.number, entry.clip, entry.score);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OUTCOME: Option<Outcome> = Some(Outcome {
        motion: None,
        reward: 2.0,
        end: 0.75,
    });

    #[test]
    fn starting_frames_predict_nothing() {
        let mut episode = EpisodeState::new(1, true);
        episode.add_reward(OUTCOME);
        assert_eq!(episode.prediction(OUTCOME), Prediction::default());
        for number in 1..=2 {
            episode.number = number;
            episode.add_reward(OUTCOME);
        }
        let (outcome, score) = (OUTCOME, 4.0);
        assert_eq!(episode.prediction(OUTCOME), Prediction { outcome, score });
        episode.restart();
        assert_eq!(episode.prediction(OUTCOME), Prediction::default());
    }

    #[test]
    fn history_entries_restore_the_position() {
        let mut episode = EpisodeState::new(1, true);
        episode.number = 3;
        episode.add_reward(OUTCOME);
        let entry = episode.entry(FrameOrigin::Step(2.into()), SamplerParams::default());
        let mut other = EpisodeState::new(0, true);
        other.go_to(&entry);
        assert_eq!((other.number, other.clip, other.score), (3, 1, 2.0));
    }

    #[test]
    fn truth_decides_the_end() {
        let truth = |ended| GroundTruth {
            seed: 0,
            reward: 0.0,
            ended,
            state: Vec::new(),
        };
        let ends = |restart, own: Option<bool>, shown| {
            let mut episode = EpisodeState::new(0, restart);
            episode.note_end(own.map(truth).as_ref(), shown, OUTCOME);
            episode.ended
        };
        assert!(ends(true, None, None));
        assert!(!ends(false, None, None));
        assert!(!ends(true, None, Some(false)));
        assert!(ends(false, None, Some(true)));
        assert!(ends(false, Some(true), None));
    }
}
