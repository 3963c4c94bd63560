//! Games as they are: moved together, saved and put back.

use driftless_data::{Action, Clip};
use driftless_engine::{Batch, Outcome, SamplerParams};
use driftless_sim::{Player, PlayerSnapshot};

use crate::error::{Error, Result};

/// A saved game: its player's state, seed, reward, and whether its episode has ended.
pub type SavedGame = (PlayerSnapshot, u64, f32, bool);
/// Frames u8 [N, H, W, 3], rewards [N], and whether the episodes ended, [N].
pub type MovedGames = (Vec<u8>, Vec<f32>, Vec<bool>);

/// Games that are moved together.
pub struct State {
    pub games: Batch<Game>,
    /// The sampler parameters of all, but for the seed.
    pub params: SamplerParams,
}

/// A game, and what came with its last frame.
pub struct Game {
    player: Box<dyn Player>,
    seed: u64,
    reward: f32,
    ended: bool,
}

/// What a game is to do.
#[derive(Clone, Copy)]
pub enum Move {
    /// Begin with this starting clip and seed.
    Start(usize, u64),
    /// Play this action.
    Act(Action),
}

impl State {
    /// Moves all games; returns frames, rewards and ends.
    pub fn advance(&mut self, moves: &[Move], image: [usize; 2]) -> Result<MovedGames> {
        let params = self.params;
        self.games
            .advance(|i, game| game.advance(moves[i], &params))?;
        self.frames(image)
    }

    pub fn frames(&mut self, [height, width]: [usize; 2]) -> Result<MovedGames> {
        let games = self.games.games_mut();
        let mut images = Vec::with_capacity(games.len() * height * width * 3);
        for game in games.iter_mut() {
            images.extend_from_slice(game.player.image()?);
        }
        let rewards = games.iter().map(|game| game.reward).collect();
        let ended = games.iter().map(|game| game.ended).collect();
        Ok((images, rewards, ended))
    }

    pub fn start_from(&mut self, game: usize, clip: &Clip, seed: u64) -> Result<()> {
        let params = SamplerParams {
            seed,
            ..self.params
        };
        let games = self.games.games_mut();
        let count = games.len();
        let game = games.get_mut(game);
        let game = game.ok_or_else(|| no_game(count))?;
        let learned = game.player.learned_mut().ok_or_else(|| {
            let what = "only a learned world that is played here can start from frames";
            Error::Value(what.into())
        })?;
        learned.start_from(clip, &params)?;
        (game.seed, game.reward, game.ended) = (seed, 0.0, false);
        Ok(())
    }

    pub fn snapshot(&mut self) -> Result<Vec<SavedGame>> {
        let all = self.games.games_mut().iter_mut().map(|game| {
            let state = game.player.snapshot()?;
            Ok((state, game.seed, game.reward, game.ended))
        });
        all.collect()
    }

    pub fn same(&mut self, game: usize) -> Result<Vec<SavedGame>> {
        let games = self.games.games_mut();
        let count = games.len();
        let game = games.get_mut(game);
        let game = game.ok_or_else(|| no_game(count))?;
        let one = (game.player.snapshot()?, game.seed, game.reward, game.ended);
        Ok(vec![one; count])
    }

    pub fn restore(&mut self, saved: &[SavedGame]) -> Result<()> {
        let games = self.games.games_mut();
        if saved.len() != games.len() {
            let what = format!(
                "the snapshot is of {} games, these are {}",
                saved.len(),
                games.len()
            );
            return Err(Error::Value(what));
        }
        for (game, (state, seed, reward, ended)) in games.iter_mut().zip(saved) {
            game.player.restore(state)?;
            (game.seed, game.reward, game.ended) = (*seed, *reward, *ended);
        }
        Ok(())
    }
}

impl Game {
    /// The game of a player, which has not been started.
    pub fn new(player: Box<dyn Player>, seed: u64) -> Self {
        Self {
            player,
            seed,
            reward: 0.0,
            ended: false,
        }
    }

    fn advance(&mut self, to: Move, params: &SamplerParams) -> Result<()> {
        match to {
            Move::Start(clip, seed) => {
                let params = SamplerParams { seed, ..*params };
                self.player
                    .start(clip % self.player.start_count().max(1), &params)?;
                (self.seed, self.reward, self.ended) = (seed, 0.0, false);
            }
            Move::Act(action) => {
                let params = SamplerParams {
                    seed: self.seed,
                    ..*params
                };
                self.player.step(action, &params)?;
                (self.reward, self.ended) = match self.player.ground_truth() {
                    Some(truth) => (truth.reward, truth.ended),
                    None => outcome(self.player.outcome()),
                };
            }
        }
        Ok(())
    }
}

/// Reward and end of a predicted frame.
fn outcome(predicted: Option<Outcome>) -> (f32, bool) {
    predicted.map_or((0.0, false), |outcome| (outcome.reward, outcome.ends()))
}

fn no_game(count: usize) -> Error {
    let most = count.saturating_sub(1);
    Error::Value(format!("there is no such game, expected 0 to {most}"))
}
