//! One-step predictions of the ball, apart for balls that cross from one patch of the tokenizer
//! into another: where tokens know little of their neighbours, that is where a ball is lost.

use serde::Serialize;

use super::horizons::NEAR;
use super::objects::Point;
use super::report::{Options, Progress};
use super::truth::{self, Truth};
use crate::Result;
use driftless_data::Episode;
use driftless_data::metrics::share;
use driftless_engine::rollout::evenly;
use driftless_engine::{Engine, SamplerParams};

/// A ball that moves further than this in one frame was served anew, in pixels.
const FURTHEST: f64 = 12.0;

/// One-step hits at one K.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct OneStep {
    /// Denoise passes a frame.
    pub steps: usize,
    /// The tokenizer's patch in pixels.
    pub patch: usize,
    /// Balls that stay in their patch.
    pub inside: Hits,
    /// Balls that cross into another patch.
    pub crossing: Hits,
}

/// How often the predicted ball is right.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Hits {
    /// Predictions.
    pub frames: usize,
    /// Share of them whose (heaviest) ball is within 2 px of the truth.
    pub within_2px: Option<f64>,
}

/// Predicts single frames, spread evenly over all that show a ball before and after.
pub(crate) fn measure(
    engine: &mut dyn Engine,
    episodes: &[Episode],
    options: &Options,
    progress: &mut Progress,
) -> Result<Vec<OneStep>> {
    let Some(game) = truth::game(episodes) else {
        return Ok(Vec::new());
    };
    let patch = engine.world().tokenizer.patch;
    let moves = moves(episodes, options.context);
    // [K][stays, crosses] → (right, all)
    let mut counts = vec![[(0, 0); 2]; options.steps.len()];
    for i in evenly(moves.len(), options.one_step) {
        let Some(&Move {
            episode,
            t,
            from,
            to,
        }) = moves.get(i)
        else {
            continue;
        };
        let context = episode.clip(t - options.context..t);
        let action = episode.actions.get(t).copied().unwrap_or(0);
        let kind = usize::from(crosses(from, to, patch));
        for (&steps, counts) in options.steps.iter().zip(&mut counts) {
            let params = SamplerParams {
                steps,
                seed: options.params.seed.wrapping_add(i as u64),
                ..options.params
            };
            engine.reset(&context, &params)?;
            engine.step(action, &params)?;
            let found = game.find(engine.image()?).ball();
            let right = found.is_some_and(|ball| ball.distance(to) <= NEAR);
            if let Some((hits, all)) = counts.get_mut(kind) {
                *hits += usize::from(right);
                *all += 1;
            }
            progress.tick(1);
        }
    }
    let hits = |(right, frames): (usize, usize)| Hits {
        frames,
        within_2px: share(right, frames),
    };
    Ok(options
        .steps
        .iter()
        .zip(counts)
        .map(|(&steps, [inside, crossing])| OneStep {
            steps,
            patch,
            inside: hits(inside),
            crossing: hits(crossing),
        })
        .collect())
}

/// A ball's way between two frames of an episode, the second being frame `t`.
struct Move<'a> {
    episode: &'a Episode,
    t: usize,
    from: Point,
    to: Point,
}

fn moves(episodes: &[Episode], context: usize) -> Vec<Move<'_>> {
    let mut moves = Vec::new();
    for episode in episodes {
        let Some(truth) = Truth::of(episode) else {
            continue;
        };
        for t in context.max(1)..episode.frames() {
            let ends = truth.at(t - 1).ball.zip(truth.at(t).ball);
            if let Some((from, to)) = ends.filter(|(a, b)| a.distance(*b) <= FURTHEST) {
                moves.push(Move {
                    episode,
                    t,
                    from,
                    to,
                });
            }
        }
    }
    moves
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
    fn a_ball_crosses_where_its_centre_changes_the_patch() {
        let at = |x, y| Point { x, y };
        assert!(!crosses(at(8.0, 8.0), at(15.4, 15.4), 8));
        assert!(crosses(at(15.4, 8.0), at(15.6, 8.0), 8));
        assert!(crosses(at(9.0, 7.6), at(9.0, 7.4), 8));
        assert!(!crosses(at(15.4, 8.0), at(15.6, 8.0), 32));
    }
}
