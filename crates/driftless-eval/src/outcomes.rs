//! Predicted rewards and ends, one frame after real ones.

use serde::Serialize;

use super::report::{Options, Progress};
use crate::Result;
use driftless_data::Episode;
use driftless_data::metrics::{mean, share};
use driftless_engine::rollout::evenly;
use driftless_engine::{Engine, Outcome, SamplerParams};

/// Frames of each kind (rewarded, ending, neither) at most.
const EACH: usize = 200;

/// Predicted outcomes beside the true ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutcomeReport {
    /// Denoise passes a frame.
    pub steps: usize,
    /// Frames with each true reward that occurs, zero included, smallest first.
    pub rewards: Vec<RewardRow>,
    /// Frames that end their episode for good.
    pub ends: usize,
    /// Share of those that are predicted to, with a probability of a half at least.
    pub ends_found: Option<f64>,
    /// Frames that do not.
    pub others: usize,
    /// Share of those that are predicted to nevertheless.
    pub ends_invented: Option<f64>,
}

/// The frames with one true reward.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RewardRow {
    /// The reward.
    pub reward: f32,
    /// Frames.
    pub frames: usize,
    /// Mean of what is predicted there.
    pub predicted: Option<f64>,
}

/// Predicts single frames, all kinds of outcomes among them. None for a world that predicts none.
pub(crate) fn measure(
    engine: &mut dyn Engine,
    episodes: &[Episode],
    options: &Options,
    progress: &mut Progress,
) -> Result<Option<OutcomeReport>> {
    if engine.world().dynamics.outcome == 0 {
        return Ok(None);
    }
    let mut kinds: [Vec<(usize, usize)>; 3] = Default::default();
    for (e, episode) in episodes.iter().enumerate() {
        for t in options.context..episode.frames() {
            let kind = match (ends(episode, t), episode.rewards[t] != 0.0) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => 2,
            };
            kinds[kind].push((e, t));
        }
    }
    let params = SamplerParams {
        steps: options.main_steps(),
        ..options.params
    };
    let mut found: Vec<(f32, bool, Outcome)> = Vec::new();
    for kind in kinds {
        for at in evenly(kind.len(), EACH) {
            let (e, t) = kind[at];
            let episode = &episodes[e];
            engine.reset(&episode.clip(t - options.context..t), &params)?;
            engine.step(episode.actions[t], &params)?;
            progress.tick(1);
            let Some(outcome) = engine.outcome() else {
                return Ok(None);
            };
            found.push((episode.rewards[t], ends(episode, t), outcome));
        }
    }
    let (ended, others): (Vec<_>, Vec<_>) = found.iter().partition(|(_, ended, _)| *ended);
    let likely = |of: &[(f32, bool, Outcome)]| {
        let likely = of.iter().filter(|(.., o)| o.ends()).count();
        share(likely, of.len())
    };
    Ok(Some(OutcomeReport {
        steps: params.steps,
        rewards: rewards(&found),
        ends: ended.len(),
        ends_found: likely(&ended),
        others: others.len(),
        ends_invented: likely(&others),
    }))
}

/// Whether frame `t` ends its episode for good.
fn ends(episode: &Episode, t: usize) -> bool {
    let terminal = episode.extras.get("is_terminal");
    terminal.is_some_and(|extra| extra.values.get(t).is_some_and(|end| *end > 0.0))
}

fn rewards(found: &[(f32, bool, Outcome)]) -> Vec<RewardRow> {
    let mut values: Vec<f32> = found.iter().map(|(reward, ..)| *reward).collect();
    values.sort_by(f32::total_cmp);
    values.dedup();
    let row = |reward: f32| {
        let here = found.iter().filter(|(own, ..)| *own == reward);
        let predicted: Vec<f64> = here.map(|(.., o)| f64::from(o.reward)).collect();
        RewardRow {
            reward,
            frames: predicted.len(),
            predicted: mean(&predicted),
        }
    };
    values.into_iter().map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predicted_rewards_are_averaged_over_the_frames_with_the_same_true_one() {
        let of = |reward: f32, predicted: f32| {
            let outcome = Outcome {
                reward: predicted,
                end: 0.0,
            };
            (reward, false, outcome)
        };
        let rows = rewards(&[of(1.0, 0.5), of(0.0, 0.25), of(1.0, 1.0), of(-1.0, 0.0)]);
        let rows: Vec<_> = rows
            .iter()
            .map(|r| (r.reward, r.frames, r.predicted))
            .collect();
        let expected = [
            (-1.0, 1, Some(0.0)),
            (0.0, 1, Some(0.25)),
            (1.0, 2, Some(0.75)),
        ];
        assert_eq!(rows, expected);
    }
}
