//! What real frames are set against: the same places of an episode with something wrong in them.

use std::borrow::Cow;
use std::ops::{Range, RangeInclusive};

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, StandardNormal};
use serde::Serialize;

use super::likelihood::{Asked, Surprise};
use super::objects::Game;
use super::tokenizer::{median_image, move_ball};
use super::truth::Truth;
use driftless_data::Episode;
use driftless_data::metrics::{self, share};
use driftless_engine::rollout::shuffled;

/// How far balls are shifted to the right, in pixels.
const SHIFTS: [f32; 2] = [2.0, 4.0];
/// Rows of the player's centre at which its 6.4 px are all in the picture.
const WHOLE: RangeInclusive<f32> = 2.7..=60.3;
/// Standard deviation of pixel noise, of 255.
const NOISE: [f32; 2] = [2.0, 8.0];

/// One kind of wrong frames.
pub(super) struct Changed<'a> {
    /// What is wrong.
    pub name: String,
    frames: Vec<Frame<'a>>,
}

/// Its place, the action that leads to it, and the image.
type Frame<'a> = (usize, u32, Cow<'a, [u8]>);

impl<'a> Changed<'a> {
    fn new(name: impl Into<String>, frames: Vec<Frame<'a>>) -> Self {
        let name = name.into();
        Self { name, frames }
    }

    /// The frames, to be measured.
    pub fn asked(&self) -> impl Iterator<Item = Asked<'_>> {
        self.frames.iter().map(|(frame, action, image)| Asked {
            frame: *frame,
            action: *action,
            image,
        })
    }
}

/// All kinds of wrong frames that an episode has between two of its frames.
///
/// Where it says where Pong's objects are: those about the ball, in frames with the ball away from
/// paddles and borders; and other actions apart for frames at whose end an edge cuts the player's
/// paddle, which no action moves further.
pub(super) fn changes(episode: &Episode, range: Range<usize>, seed: u64) -> Vec<Changed<'_>> {
    let action = |t: usize| episode.actions[t];
    let own = |t: usize| Cow::Borrowed(episode.frame(t));
    let order = shuffled(&episode.actions[range.clone()], seed);
    let other = range.clone().zip(order).filter(|&(t, a)| a != action(t));
    let other: Vec<_> = other.map(|(t, a)| (t, a, own(t))).collect();
    let before = range.clone().filter(|&t| own(t - 1) != own(t));
    let before = before.map(|t| (t, action(t), own(t - 1))).collect();
    let noise = |size: f32| {
        let image = |t| Cow::Owned(noisy(episode.frame(t), size, seed, t));
        let frames = range.clone().map(|t| (t, action(t), image(t)));
        Changed::new(format!("pixel noise of {size}/255"), frames.collect())
    };
    let mut all = Vec::new();
    if let Some(truth) = Truth::of(episode) {
        let cut = |player: f32| !WHOLE.contains(&player);
        let (edge, free) = other
            .into_iter()
            .partition(|&(t, ..)| truth.game == Game::Pong && truth.at(t).player.is_some_and(cut));
        all.push(Changed::new("another action, paddle in full view", free));
        all.push(Changed::new("another action, paddle cut by an edge", edge));
        let background = median_image(episode);
        let ball = |shift: Option<f32>| -> Vec<_> {
            let image = |t: usize| {
                let ball = truth.at(t).ball.filter(|ball| truth.game.alone(*ball))?;
                let image = move_ball(episode.frame(t), &background, ball, shift);
                Some((t, action(t), Cow::Owned(image)))
            };
            range.clone().filter_map(image).collect()
        };
        all.push(Changed::new("ball taken away", ball(None)));
        for shift in SHIFTS {
            let name = format!("ball {shift} px to the right");
            all.push(Changed::new(name, ball(Some(shift))));
        }
    } else {
        all.push(Changed::new("another action", other));
    }
    all.push(Changed::new("the frame before once more", before));
    all.extend(NOISE.map(noise));
    all.retain(|changed| !changed.frames.is_empty());
    all
}

/// The frame with normal noise of a standard deviation in every number.
fn noisy(image: &[u8], size: f32, seed: u64, frame: usize) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(frame as u64);
    let mut noise = || -> f32 { StandardNormal.sample(&mut rng) };
    // A float-to-integer cast saturates.
    let value = |&value: &u8| (f32::from(value) + size * noise()).round() as u8;
    image.iter().map(value).collect()
}

/// A mean over frames in bits per dimension.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Mean {
    /// The mean; none of no frames.
    pub bits_per_dimension: Option<f64>,
    /// Its standard error as if frames were independent; none of a single frame.
    pub standard_error: Option<f64>,
}

impl Mean {
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

/// Real frames beside the same frames with something wrong.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What is wrong.
    pub change: String,
    /// Of the real frames in the same places.
    pub real: Mean,
    /// Of the changed frames.
    pub changed: Mean,
    /// Of changed − real, frame by frame: above 0 where the real ones are likelier.
    pub difference: Mean,
    /// Share of frames of which the real one is likelier.
    pub real_likelier: Option<f64>,
    /// Share of changed frames with more excess than 99 in 100 of all real frames: what is noticed
    /// without the real one beside it.
    pub noticed: Option<f64>,
    /// The changed frames.
    pub frames: Vec<Surprise>,
}

impl Comparison {
    /// Of changed frames with the real ones of their places among `real`, in order.
    pub(super) fn new(change: String, real: &[Surprise], frames: Vec<Surprise>) -> Self {
        let own = |s: &Surprise| {
            let at = real
                .binary_search_by_key(&s.frame, |real| real.frame)
                .ok()?;
            Some((real.get(at)?.bits_per_dimension, s.bits_per_dimension))
        };
        let pairs: Vec<(f64, f64)> = frames.iter().filter_map(own).collect();
        let mean =
            |of: &dyn Fn(&(f64, f64)) -> f64| Mean::of(&pairs.iter().map(of).collect::<Vec<_>>());
        let likelier = pairs.iter().filter(|(real, changed)| real < changed);
        let mut usual: Vec<f64> = real.iter().map(|real| real.excess).collect();
        usual.sort_by(f64::total_cmp);
        let most = usual.iter().nth_back(usual.len() / 100);
        let beyond = frames
            .iter()
            .filter(|s| most.is_some_and(|most| s.excess > *most));
        Self {
            change,
            real: mean(&|pair| pair.0),
            changed: mean(&|pair| pair.1),
            difference: mean(&|pair| pair.1 - pair.0),
            real_likelier: share(likelier.count(), pairs.len()),
            noticed: share(beyond.count(), frames.len()),
            frames,
        }
    }
}

#[cfg(test)]
#[path = "against_tests.rs"]
mod tests;
