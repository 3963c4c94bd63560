//! Where a game's objects truly are: an episode's extra arrays `ball` [T, 2] (x, y), and `player_y`
//! and `enemy_y` [T] of Pong or `player_x` [T] of Breakout, in pixels of the frame, NaN where an
//! object does not show.

use super::objects::{Game, Point};
use driftless_data::{Episode, Extra};

/// The objects' true places in one frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Places {
    pub ball: Option<Point>,
    /// Whether there is a ball where it cannot be told from what is around it.
    pub hidden: bool,
    /// Along the paddle's way.
    pub player: Option<f32>,
    pub enemy: Option<f32>,
}

/// The objects' true places in every frame of an episode.
pub(crate) struct Truth<'a> {
    pub game: Game,
    ball: &'a Extra,
    player: &'a Extra,
    enemy: Option<&'a Extra>,
}

impl<'a> Truth<'a> {
    /// None for an episode of another game or frame size, or one that carries no truth.
    pub fn of(episode: &'a Episode) -> Option<Self> {
        let frames = episode.frames();
        let extra = |name: &str, shape: &[usize]| {
            episode
                .extras
                .get(name)
                .filter(|extra| extra.shape == shape)
        };
        let game = Game::of(episode)?;
        Some(Self {
            game,
            ball: extra("ball", &[frames, 2])?,
            player: match game {
                Game::Pong => extra("player_y", &[frames])?,
                Game::Breakout => extra("player_x", &[frames])?,
            },
            enemy: match game {
                Game::Pong => Some(extra("enemy_y", &[frames])?),
                Game::Breakout => None,
            },
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
        let ball = x.zip(y).map(|(x, y)| Point { x, y });
        let told = ball.filter(|ball| self.game.tells(*ball));
        Places {
            ball: told,
            hidden: told != ball,
            player: value(self.player, t),
            enemy: self.enemy.and_then(|enemy| value(enemy, t)),
        }
    }
}

/// The game about whose objects every episode carries the truth.
pub(crate) fn game(episodes: &[Episode]) -> Option<Game> {
    let of = |episode| Truth::of(episode).map(|truth| truth.game);
    let first = of(episodes.first()?)?;
    let same = |episode| of(episode) == Some(first);
    episodes.iter().all(same).then_some(first)
}
