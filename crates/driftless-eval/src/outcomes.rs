//! One-step predictions of rewards and ends.

use serde::Serialize;

use driftless_data::Episode;
use driftless_data::metrics::{fraction, mean};
use driftless_engine::rollout::evenly_spaced;
use driftless_engine::{Outcome, Sampler, SamplerParams};

use super::options::{EvalOptions, EvalProgress};
use crate::Result;

/// Most frames of each kind: ending, rewarded, neither.
const MAX_PER_KIND: usize = 200;
/// Most rows for the rewards of one sign.
const MAX_ROWS: usize = 8;

/// Predicted outcomes compared with the true ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OutcomeReport {
    /// Denoise passes per frame.
    pub steps: usize,
    /// Predicted rewards by true reward, zero included, in ascending order.
    pub rewards: Vec<RewardRow>,
    /// Frames that end their episode (`is_terminal`).
    pub ends: usize,
    /// Fraction of these for which an end is predicted, with a probability of at least ½.
    pub ends_found: Option<f64>,
    /// Frames that do not end their episode.
    pub others: usize,
    /// Fraction of these for which an end is predicted.
    pub ends_invented: Option<f64>,
}

/// The frames with one true reward, or with several that lie beside each other.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RewardRow {
    /// The lowest true reward.
    pub from: f32,
    /// The highest true reward.
    pub to: f32,
    /// Number of frames.
    pub frames: usize,
    /// Mean predicted reward.
    pub predicted: Option<f64>,
}

/// Predicts single frames of all kinds of outcomes. `None` for a world that predicts no outcomes.
pub(crate) fn measure(
    engine: &mut Sampler,
    episodes: &[Episode],
    options: &EvalOptions,
    progress: &mut EvalProgress,
) -> Result<Option<OutcomeReport>> {
    if engine.world().dynamics.outcome == 0 {
        return Ok(None);
    }
    let mut kinds: [Vec<(usize, usize)>; 3] = Default::default();
    for (e, episode) in episodes.iter().enumerate() {
        for t in options.clip_frames..episode.frames() {
            let kind = if is_end(episode, t) {
                0
            } else if episode.rewards[t] != 0.0 {
                1
            } else {
                2
            };
            kinds[kind].push((e, t));
        }
    }
    let params = SamplerParams {
        steps: options.main_steps(),
        ..options.params
    };
    // (true reward, whether it ends, prediction)
    let mut samples: Vec<(f32, bool, Outcome)> = Vec::new();
    for kind in kinds {
        for at in evenly_spaced(kind.len(), MAX_PER_KIND) {
            let (e, t) = kind[at];
            let episode = &episodes[e];
            engine.reset(&episode.clip(t - options.clip_frames..t), &params)?;
            engine.step(episode.action(t), &params)?;
            progress.advance(1);
            let Some(outcome) = engine.outcome() else {
                return Ok(None);
            };
            samples.push((episode.rewards[t], is_end(episode, t), outcome));
        }
    }
    let (ended, others): (Vec<_>, Vec<_>) = samples.iter().partition(|(_, ended, _)| *ended);
    let predicted_ends = |samples: &[(f32, bool, Outcome)]| {
        let count = samples.iter().filter(|(.., o)| o.ends()).count();
        fraction(count, samples.len())
    };
    Ok(Some(OutcomeReport {
        steps: params.steps,
        rewards: rewards(&samples),
        ends: ended.len(),
        ends_found: predicted_ends(&ended),
        others: others.len(),
        ends_invented: predicted_ends(&others),
    }))
}

/// Whether frame `t` ends its episode (`is_terminal`).
fn is_end(episode: &Episode, t: usize) -> bool {
    let ends = episode.is_terminal();
    ends.and_then(|ends| ends.get(t))
        .is_some_and(|&end| end > 0.0)
}

/// A row for every true reward. If many differ, rewards of one sign share at most [`MAX_ROWS`] rows.
fn rewards(samples: &[(f32, bool, Outcome)]) -> Vec<RewardRow> {
    let mut values: Vec<f32> = samples.iter().map(|(reward, ..)| *reward).collect();
    values.sort_by(f32::total_cmp);
    values.dedup();
    let row = |from: f32, to: f32| {
        let matching = samples.iter().filter(|(r, ..)| (from..=to).contains(r));
        let predicted: Vec<f64> = matching.map(|(.., o)| f64::from(o.reward)).collect();
        RewardRow {
            from,
            to,
            frames: predicted.len(),
            predicted: mean(&predicted),
        }
    };
    let signs = values.chunk_by(|a, b| a.partial_cmp(&0.0) == b.partial_cmp(&0.0));
    let rows = signs.flat_map(|values| values.chunks(values.len().div_ceil(MAX_ROWS)));
    rows.filter_map(|values| Some(row(*values.first()?, *values.last()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewards_are_averaged_by_true_reward() {
        let sample = |reward: f32, predicted: f32| {
            let outcome = Outcome {
                motion: None,
                reward: predicted,
                end: 0.0,
            };
            (reward, false, outcome)
        };
        let rows = rewards(&[
            sample(1.0, 0.5),
            sample(0.0, 0.25),
            sample(1.0, 1.0),
            sample(-1.0, 0.0),
        ]);
        let rows: Vec<_> = rows
            .iter()
            .map(|r| (r.from, r.to, r.frames, r.predicted))
            .collect();
        let expected = [
            (-1.0, -1.0, 1, Some(0.0)),
            (0.0, 0.0, 1, Some(0.25)),
            (1.0, 1.0, 2, Some(0.75)),
        ];
        assert_eq!(rows, expected);
    }

    #[test]
    fn many_true_rewards_share_rows() {
        let outcome = |reward| Outcome {
            motion: None,
            reward,
            end: 0.0,
        };
        let rewards_of = |values: &[f32]| {
            let samples: Vec<_> = values.iter().map(|r| (*r, false, outcome(*r))).collect();
            let rows = rewards(&samples);
            rows.into_iter()
                .map(|r| (r.from, r.to, r.frames))
                .collect::<Vec<_>>()
        };
        // Twenty of one sign make seven rows of three, the last of two; zero keeps its own.
        let values: Vec<f32> = (-1..=20).map(|i| i as f32).collect();
        let rows = rewards_of(&values);
        assert_eq!(rows[..3], [(-1.0, -1.0, 1), (0.0, 0.0, 1), (1.0, 3.0, 3)]);
        assert_eq!((rows.len(), rows[8]), (9, (19.0, 20.0, 2)));
    }
}
