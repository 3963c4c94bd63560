//! One-step predictions of the ball. Balls that cross from one patch of the tokenizer into another
//! are counted separately: a model whose tokens know little of their neighbours loses the ball
//! there.

use serde::Serialize;

use driftless_data::metrics::fraction;
use driftless_data::{Action, Episode};
use driftless_engine::rollout::evenly_spaced;
use driftless_engine::{Sampler, SamplerParams};

use super::object_truth;
use super::object_truth::ObjectTruth;
use super::objects::{BALL_TOLERANCE, Point};
use super::options::{EvalOptions, EvalProgress};
use crate::Result;

/// Largest motion of a ball in one frame, in pixels. A ball that moves further is a new serve.
const MAX_MOTION: f64 = 12.0;

/// One-step predictions at one K.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OneStepReport {
    /// Denoise passes per frame.
    pub steps: usize,
    /// Side of the tokenizer's patches in pixels.
    pub patch: usize,
    /// Balls that stay in their patch.
    pub inside: HitRate,
    /// Balls that cross into another patch.
    pub crossing: HitRate,
}

/// How often the predicted ball is correct.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct HitRate {
    /// Number of predictions.
    pub frames: usize,
    /// Fraction of these whose (largest) ball is within 2 px of the true one.
    pub within_2px: Option<f64>,
}

/// Predicts single frames, spread evenly over all with a ball in this and the previous frame.
pub(crate) fn measure(
    engine: &mut Sampler,
    episodes: &[Episode],
    options: &EvalOptions,
    progress: &mut EvalProgress,
) -> Result<Vec<OneStepReport>> {
    let Some(game) = object_truth::game(episodes) else {
        return Ok(Vec::new());
    };
    let patch = engine.world().tokenizer.patch;
    let motions = motions(episodes, options.clip_frames);
    // [K][inside, crossing] → (correct, all)
    let mut counts = vec![[(0, 0); 2]; options.steps.len()];
    for i in evenly_spaced(motions.len(), options.one_step) {
        let Some(&Motion {
            episode,
            t,
            from,
            to,
        }) = motions.get(i)
        else {
            continue;
        };
        let clip = episode.clip(t - options.clip_frames..t);
        let action = if t < episode.frames() {
            episode.action(t)
        } else {
            Action::IDLE
        };
        let group = usize::from(crosses(from, to, patch));
        for (&steps, counts) in options.steps.iter().zip(&mut counts) {
            let params = SamplerParams {
                steps,
                seed: options.params.seed.wrapping_add(i as u64),
                ..options.params
            };
            engine.reset(&clip, &params)?;
            engine.step(action, &params)?;
            let found = game.find(engine.image()?).ball();
            let correct = found.is_some_and(|ball| ball.distance(to) <= BALL_TOLERANCE);
            if let Some((hits, all)) = counts.get_mut(group) {
                *hits += usize::from(correct);
                *all += 1;
            }
            progress.advance(1);
        }
    }
    let hits = |(correct, frames): (usize, usize)| HitRate {
        frames,
        within_2px: fraction(correct, frames),
    };
    Ok(options
        .steps
        .iter()
        .zip(counts)
        .map(|(&steps, [inside, crossing])| OneStepReport {
            steps,
            patch,
            inside: hits(inside),
            crossing: hits(crossing),
        })
        .collect())
}

/// The motion of a ball from frame t − 1 to frame t of an episode.
struct Motion<'a> {
    episode: &'a Episode,
    t: usize,
    from: Point,
    to: Point,
}

fn motions(episodes: &[Episode], clip_frames: usize) -> Vec<Motion<'_>> {
    let mut motions = Vec::new();
    for episode in episodes {
        let Some(truth) = ObjectTruth::of(episode) else {
            continue;
        };
        for t in clip_frames.max(1)..episode.frames() {
            let ends = truth.at(t - 1).ball.zip(truth.at(t).ball);
            if let Some((from, to)) = ends.filter(|(a, b)| a.distance(*b) <= MAX_MOTION) {
                motions.push(Motion {
                    episode,
                    t,
                    from,
                    to,
                });
            }
        }
    }
    motions
}

fn crosses(from: Point, to: Point, patch: usize) -> bool {
    // Pixel i covers [i − ½, i + ½].
    let patch_of = |value: f32| ((value + 0.5).max(0.0) as usize) / patch.max(1);
    (patch_of(from.x), patch_of(from.y)) != (patch_of(to.x), patch_of(to.y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crossing_is_a_change_of_patch() {
        let at = |x, y| Point { x, y };
        assert!(!crosses(at(8.0, 8.0), at(15.4, 15.4), 8));
        assert!(crosses(at(15.4, 8.0), at(15.6, 8.0), 8));
        assert!(crosses(at(9.0, 7.6), at(9.0, 7.4), 8));
        assert!(!crosses(at(15.4, 8.0), at(15.6, 8.0), 32));
    }
}
