//! Ground truth of a game's objects: an episode's extra arrays `ball` `[T, 2]` (x, y), and `player_y`
//! and `enemy_y` `[T]` for Pong or `player_x` `[T]` for Breakout. They are in pixels of the frame, and
//! NaN where an object is not visible.

use driftless_data::layout::array::{BALL, ENEMY_Y, PLAYER_X, PLAYER_Y};
use driftless_data::{Episode, ExtraArray};

use super::objects::{Game, Point};

/// True positions of the objects in a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct ObjectPositions {
    pub ball: Option<Point>,
    /// Whether there is a ball that cannot be distinguished from its surroundings.
    pub ball_hidden: bool,
    /// Paddle positions along their direction of motion.
    pub player: Option<f32>,
    pub enemy: Option<f32>,
}

/// True positions of the objects in an episode.
pub(crate) struct ObjectTruth<'a> {
    pub game: Game,
    ball: &'a ExtraArray,
    player: &'a ExtraArray,
    enemy: Option<&'a ExtraArray>,
}

impl<'a> ObjectTruth<'a> {
    /// `None` for an unknown game, another frame size, or an episode without ground truth.
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
            ball: extra(BALL, &[frames, 2])?,
            player: match game {
                Game::Pong => extra(PLAYER_Y, &[frames])?,
                Game::Breakout => extra(PLAYER_X, &[frames])?,
            },
            enemy: match game {
                Game::Pong => Some(extra(ENEMY_Y, &[frames])?),
                Game::Breakout => None,
            },
        })
    }

    /// The positions in frame `t`.
    pub fn at(&self, t: usize) -> ObjectPositions {
        let value = |extra: &ExtraArray, i: usize| {
            let value = extra.values.get(i).copied();
            value.filter(|value| value.is_finite())
        };
        let x = value(self.ball, 2 * t);
        let y = value(self.ball, 2 * t + 1);
        let ball = x.zip(y).map(|(x, y)| Point { x, y });
        let detectable = ball.filter(|ball| self.game.can_detect(*ball));
        ObjectPositions {
            ball: detectable,
            ball_hidden: detectable != ball,
            player: value(self.player, t),
            enemy: self.enemy.and_then(|enemy| value(enemy, t)),
        }
    }
}

/// The game of the episodes, if all of them have ground truth of the same game.
pub(crate) fn game(episodes: &[Episode]) -> Option<Game> {
    let of = |episode| ObjectTruth::of(episode).map(|truth| truth.game);
    let first = of(episodes.first()?)?;
    let same = |episode| of(episode) == Some(first);
    episodes.iter().all(same).then_some(first)
}
