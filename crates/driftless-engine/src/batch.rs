//! Many games that advance together, each on one thread.
//!
//! The threads of one engine meet after every operation of a pass. Here each game is advanced from beginning
//! to end by one thread, and games only share weights: no thread waits for another until all are done.

use std::num::NonZeroUsize;

use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use driftless_data::Action;

use crate::{Error, Result, Sampler, SamplerParams};

/// Games, mostly samplers of one world that share its weights, and threads to advance them on.
pub struct Batch<G> {
    games: Vec<G>,
    threads: ThreadPool,
}

impl<G: Send> Batch<G> {
    /// A batch of these games that computes on so many threads.
    ///
    /// # Errors
    /// Returns an error if the threads cannot be started.
    pub fn new(games: Vec<G>, threads: NonZeroUsize) -> Result<Self> {
        let pool = ThreadPoolBuilder::new().num_threads(threads.get()).build();
        Ok(Self {
            games,
            threads: pool.map_err(|e| Error::Thread(e.to_string()))?,
        })
    }

    /// The games, in their order.
    pub fn games(&self) -> &[G] {
        &self.games
    }

    /// The games, to change them one by one.
    pub fn games_mut(&mut self) -> &mut [G] {
        &mut self.games
    }

    /// Lets `advance` work on every game, given its index, on all threads. What it returns is in the order of
    /// the games, and does not depend on the number of threads if no game looks at another.
    ///
    /// # Errors
    /// Returns the error of a game that failed; some of the others have then been advanced.
    pub fn advance<T: Send, E: Send>(
        &mut self,
        advance: impl Fn(usize, &mut G) -> std::result::Result<T, E> + Sync,
    ) -> std::result::Result<Vec<T>, E> {
        let games = &mut self.games;
        self.threads.install(|| {
            let games = games.par_iter_mut().with_max_len(1).enumerate();
            games.map(|(i, game)| advance(i, game)).collect()
        })
    }
}

impl Batch<Sampler> {
    /// `count` copies of a sampler in its state, which share its weights.
    ///
    /// # Errors
    /// Returns an error if the backend cannot copy its state (the CPU engine can), or if the threads cannot be
    /// started.
    pub fn of(sampler: &Sampler, count: usize, threads: NonZeroUsize) -> Result<Self> {
        let games = (0..count).map(|_| sampler.fork()).collect::<Result<_>>()?;
        Self::new(games, threads)
    }

    /// Predicts the next frame of every game under its action, with its seed; see [`Sampler::step_undrawn`].
    ///
    /// # Errors
    /// Returns an error if there is not one action and one seed for each game, or as [`Sampler::step`].
    pub fn step(
        &mut self,
        actions: &[Action],
        seeds: &[u64],
        params: &SamplerParams,
    ) -> Result<()> {
        let count = self.games.len();
        if actions.len() != count || seeds.len() != count {
            return Err(Error::Shape(format!(
                "{} actions and {} seeds for {count} games",
                actions.len(),
                seeds.len()
            )));
        }
        self.advance(|i, game| {
            let seed = seeds[i];
            let params = SamplerParams { seed, ..*params };
            game.step_undrawn(actions[i], &params)
        })?;
        Ok(())
    }
}
