//! Perturbed frames of an episode, to compare their likelihood with that of the real ones.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;

use driftless_data::metrics::fraction;
use driftless_data::{Action, Episode, metrics};
use driftless_engine::rollout::shuffle_actions;

use super::likelihood::{FrameQuery, FrameSurprise};
use super::object_truth::ObjectTruth;
use super::objects::Game;
use super::objects::edit::{median_image, move_ball};

/// How far balls are shifted to the right, in pixels.
const SHIFTS: [f32; 2] = [2.0, 4.0];
/// Rows of the paddle's centre where all 6.4 px of the paddle are in the frame.
const FULL_VIEW: RangeInclusive<f32> = 2.7..=60.3;
/// Standard deviations of the pixel noise, of 255.
const NOISE: [f32; 2] = [2.0, 8.0];

/// A kind of perturbation, with the frames it applies to.
pub(super) struct Perturbation<'a> {
    /// What is changed.
    pub name: String,
    frames: Vec<PerturbedFrame<'a>>,
}

/// (index, action that leads to the frame, image).
type PerturbedFrame<'a> = (usize, Action, Cow<'a, [u8]>);

impl<'a> Perturbation<'a> {
    fn new(name: impl Into<String>, frames: Vec<PerturbedFrame<'a>>) -> Self {
        let name = name.into();
        Self { name, frames }
    }

    /// The perturbed frames, to be measured.
    pub fn queries(&self) -> impl Iterator<Item = FrameQuery<'_>> {
        self.frames.iter().map(|(frame, action, image)| FrameQuery {
            frame: *frame,
            action: *action,
            image,
        })
    }
}

/// All perturbations of a range of frames.
///
/// For episodes with ground truth of the objects, the ball is perturbed in frames where it is
/// isolated. In Pong, other actions are counted separately for frames where the edge cuts the
/// player's paddle, because no action moves it further.
pub(super) fn perturbations(
    episode: &Episode,
    range: Range<usize>,
    seed: u64,
) -> Vec<Perturbation<'_>> {
    let action = |t: usize| episode.action(t);
    let image = |t: usize| Cow::Borrowed(episode.frame(t));
    let order = shuffle_actions(&episode.played()[range.clone()], seed);
    let other_actions = range.clone().zip(order).filter(|&(t, a)| a != action(t));
    let other_actions: Vec<_> = other_actions.map(|(t, a)| (t, a, image(t))).collect();
    let repeated = range.clone().filter(|&t| image(t - 1) != image(t));
    let repeated = repeated.map(|t| (t, action(t), image(t - 1))).collect();
    let noise = |std: f32| {
        let image = |t| Cow::Owned(with_noise(episode.frame(t), std, seed, t));
        let frames = range.clone().map(|t| (t, action(t), image(t)));
        Perturbation::new(format!("pixel noise of {std}/255"), frames.collect())
    };
    let mut all = Vec::new();
    if let Some(truth) = ObjectTruth::of(episode) {
        let cut = |player: f32| !FULL_VIEW.contains(&player);
        let (at_edge, in_view) = other_actions
            .into_iter()
            .partition(|&(t, ..)| truth.game == Game::Pong && truth.at(t).player.is_some_and(cut));
        all.push(Perturbation::new(
            "another action, paddle in full view",
            in_view,
        ));
        all.push(Perturbation::new(
            "another action, paddle cut by an edge",
            at_edge,
        ));
        let background = median_image(episode);
        let ball = |shift: Option<f32>| -> Vec<_> {
            let image = |t: usize| {
                let ball = truth
                    .at(t)
                    .ball
                    .filter(|ball| truth.game.is_isolated(*ball))?;
                let image = move_ball(episode.frame(t), &background, ball, shift);
                Some((t, action(t), Cow::Owned(image)))
            };
            range.clone().filter_map(image).collect()
        };
        all.push(Perturbation::new("ball taken away", ball(None)));
        for shift in SHIFTS {
            let name = format!("ball {shift} px to the right");
            all.push(Perturbation::new(name, ball(Some(shift))));
        }
    } else {
        all.push(Perturbation::new("another action", other_actions));
    }
    all.push(Perturbation::new("the frame before once more", repeated));
    all.extend(NOISE.map(noise));
    all.retain(|perturbation| !perturbation.frames.is_empty());
    all
}

/// The frame with Gaussian noise of this standard deviation in every value.
fn with_noise(image: &[u8], std: f32, seed: u64, frame: usize) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(frame as u64);
    let mut noise = || -> f32 { StandardNormal.sample(&mut rng) };
    // A float-to-integer cast saturates.
    let value = |&value: &u8| (f32::from(value) + std * noise()).round() as u8;
    image.iter().map(value).collect()
}

/// A mean over frames, in bits per dimension.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MeanBits {
    /// The mean; `None` without frames.
    pub bits_per_dimension: Option<f64>,
    /// Its standard error if the frames were independent; `None` for a single frame.
    pub standard_error: Option<f64>,
}

impl MeanBits {
    pub(super) fn of(bits: &[f64]) -> Self {
        let (mean, n) = (metrics::mean(bits), bits.len());
        let squares = |mean: f64| bits.iter().map(|x| (x - mean).powi(2)).sum::<f64>();
        let error = mean
            .filter(|_| n > 1)
            .map(|mean| (squares(mean) / (n * (n - 1)) as f64).sqrt());
        Self {
            bits_per_dimension: mean,
            standard_error: error,
        }
    }
}

/// Real frames compared with perturbed ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PerturbationReport {
    /// What is changed.
    pub change: String,
    /// Mean over the real frames at the same positions.
    pub real: MeanBits,
    /// Mean over the perturbed frames.
    pub changed: MeanBits,
    /// Mean of perturbed − real over the frames; above 0 if the real ones are likelier.
    pub difference: MeanBits,
    /// Fraction of the frames for which the real one is likelier.
    pub real_likelier: Option<f64>,
    /// Fraction of the perturbed frames with more excess than 99 % of all real frames. They are
    /// noticed without comparison to the real frame.
    pub noticed: Option<f64>,
    /// The perturbed frames.
    pub frames: Vec<FrameSurprise>,
}

impl PerturbationReport {
    /// Compares perturbed frames with the frames of the same index in `real`, which is sorted.
    pub(super) fn new(change: String, real: &[FrameSurprise], frames: Vec<FrameSurprise>) -> Self {
        let pair = |s: &FrameSurprise| {
            let at = real
                .binary_search_by_key(&s.frame, |real| real.frame)
                .ok()?;
            Some((real.get(at)?.bits_per_dimension, s.bits_per_dimension))
        };
        let pairs: Vec<(f64, f64)> = frames.iter().filter_map(pair).collect();
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| {
            MeanBits::of(&pairs.iter().map(of).collect::<Vec<_>>())
        };
        let likelier = pairs.iter().filter(|(real, changed)| real < changed);
        let mut excesses: Vec<f64> = real.iter().map(|real| real.excess).collect();
        excesses.sort_by(f64::total_cmp);
        let threshold = excesses.iter().nth_back(excesses.len() / 100);
        let noticed = frames
            .iter()
            .filter(|s| threshold.is_some_and(|threshold| s.excess > *threshold));
        Self {
            change,
            real: mean(&|pair| pair.0),
            changed: mean(&|pair| pair.1),
            difference: mean(&|pair| pair.1 - pair.0),
            real_likelier: fraction(likelier.count(), pairs.len()),
            noticed: fraction(noticed.count(), frames.len()),
            frames,
        }
    }
}

#[cfg(test)]
#[path = "perturbations_tests.rs"]
mod tests;
