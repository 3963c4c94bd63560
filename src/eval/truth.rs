//! Where Pong's objects truly are: an episode's extra arrays `ball` [T, 2] (x, y), `player_y` [T]
//! and `enemy_y` [T], in pixels of the frame, NaN where an object does not show.

use super::objects::{self, Point};
use crate::data::{Episode, Extra};

/// The objects' true places in one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Places {
    pub ball: Option<Point>,
    pub player: Option<f32>,
    pub enemy: Option<f32>,
}

/// The objects' true places in every frame of an episode.
pub(crate) struct Truth<'a> {
    ball: &'a Extra,
    player: &'a Extra,
    enemy: &'a Extra,
}

impl<'a> Truth<'a> {
    /// None for an episode of another game or frame size, or one that carries no truth.
    pub fn of(episode: &'a Episode) -> Option<Self> {
        let extra = |name: &str, shape: &[usize]| {
            episode
                .extras
                .get(name)
                .filter(|extra| extra.shape == shape)
        };
        let frames = episode.frames();
        if [episode.height, episode.width] != objects::SIZE {
            return None;
        }
        Some(Self {
            ball: extra("ball", &[frames, 2])?,
            player: extra("player_y", &[frames])?,
            enemy: extra("enemy_y", &[frames])?,
        })
    }

    /// The places in frame `t`.
    pub fn at(&self, t: usize) -> Places {
        let value = |extra: &Extra, i: usize| {
            let value = extra.values.get(i).copied();
            value.filter(|value| value.is_finite())
        };
        let x = value(self.ball, 2 * t);
        let y = value(self.ball, 2 * t + 1);
        Places {
            ball: x.zip(y).map(|(x, y)| Point { x, y }),
            player: value(self.player, t),
            enemy: value(self.enemy, t),
        }
    }
}

/// Whether every episode carries the truth about Pong's objects.
pub(crate) fn all(episodes: &[Episode]) -> bool {
    !episodes.is_empty() && episodes.iter().all(|episode| Truth::of(episode).is_some())
}
