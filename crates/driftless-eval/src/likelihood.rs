//! How likely a given frame is under a world: its log-likelihood, or surprise.
//!
//! The density is that of z = α x + σ ε: the frame's latent x with a little noise, at a signal
//! level τ below 1. The frames before almost determine the next one, so its density is unbounded as
//! τ → 1; at τ it is at most (2π σ²)^(−dimensions/2). ε depends only on the seed and the frame
//! index, so two frames with the same index get the same noise.
//!
//! The density is conditioned on the action that led to the frame and on the frames before, as the
//! engine's cache holds them after it ran through the episode from its first frame. It is computed
//! by the probability-flow ODE of the network's velocity at the finest step size; see
//! [`driftless_flow::likelihood`].

use std::f64::consts::{LN_2, TAU};
use std::ops::Range;

use candle_core::Tensor;
use serde::Serialize;

use driftless_data::{Action, Episode};
use driftless_engine::noise::NoisePurpose;
use driftless_engine::{SamplerParams, noise};
use driftless_flow::likelihood::{
    Integrator, LogLikelihood, Probe, Probes, log_likelihood_between,
};
use driftless_flow::solver::{Grid, Method, State};
use driftless_model::checkpoint::WorldModel;
use driftless_model::config::WorldConfig;

use super::context_cache::{BATCH, ConditionedFrames, ContextCache};
use crate::{Error, Result};

/// Shift of the solver's grid ([`Grid::Shifted`]): steps are denser near the data, where the
/// velocity of an almost determined frame grows as 1/(1 − τ). It halves the error of even steps.
const SHIFT: f64 = 0.5;

/// How likelihoods are computed.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct LikelihoodOptions {
    /// Signal level of the density, above the network's lowest and below 1; `None` for the world's
    /// [`default_level`].
    pub level: Option<f64>,
    /// Steps of the midpoint rule from this level to pure noise.
    pub steps: usize,
    /// Number of Rademacher probes for the divergence.
    pub probes: usize,
    /// Signal level of the context frames, in (0, 1].
    pub context_signal: f32,
    /// Seed of noise and probes.
    pub seed: u64,
}

impl Default for LikelihoodOptions {
    fn default() -> Self {
        Self {
            level: None,
            steps: 24,
            probes: 2,
            context_signal: SamplerParams::default().context_signal,
            seed: 0,
        }
    }
}

/// Highest signal level of the density. Beyond it, the default steps are far too few.
const MAX_LEVEL: f64 = 0.99;

impl LikelihoodOptions {
    /// The signal level of the density for a world.
    fn level_for(&self, world: &WorldConfig) -> f64 {
        self.level.unwrap_or(default_level(world))
    }

    /// Checks the ranges of the options for a world.
    ///
    /// # Errors
    /// Returns an error that names the first option out of its range.
    pub fn check(&self, world: &WorldConfig) -> Result<()> {
        let (level, min_level) = (self.level_for(world), world.flow.min_signal_level());
        if !(level > min_level && level <= MAX_LEVEL) {
            return Err(Error::Argument(format!(
                "level is {level}, expected above {min_level}, at most {MAX_LEVEL} (the density of a \
                 next frame is unbounded towards 1)"
            )));
        }
        for (name, count) in [("steps", self.steps), ("probes", self.probes)] {
            if count == 0 {
                return Err(Error::Argument(format!("{name} is 0, expected at least 1")));
            }
        }
        let signal = self.context_signal;
        if !(signal > 0.0 && signal <= 1.0) {
            return Err(Error::Argument(format!(
                "context signal is {signal}, expected above 0, at most 1"
            )));
        }
        Ok(())
    }
}

/// The highest signal level below 1 on the grid that a world is trained on, 1 − 1/`k_max`; ½ if
/// `k_max` is 1.
pub fn default_level(world: &WorldConfig) -> f64 {
    1.0 - 1.0 / world.dynamics.k_max.max(2) as f64
}

/// A frame whose likelihood is measured, in place of a frame of an episode.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FrameQuery<'a> {
    /// Index of the replaced frame; the frames before it are those of the episode.
    pub frame: usize,
    /// The action that leads to the frame.
    pub action: Action,
    /// u8 RGB `[H, W, 3]`.
    pub image: &'a [u8],
}

/// How likely one frame is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct FrameSurprise {
    /// Index of the frame in the episode.
    pub frame: usize,
    /// The discrete action that led to it.
    pub action: u32,
    /// −log₂ p(z) / dimensions: the lower, the likelier. May be negative, since p is a density.
    pub bits_per_dimension: f64,
    /// Bits per dimension above those of an exactly predicted frame, −log₂ N(z; α x, σ²). Its mean
    /// over ε is a Kullback-Leibler divergence, so at least 0, and it varies less with ε.
    pub excess: f64,
    /// ln p(z).
    pub nats: f64,
    /// Standard error of `nats` over the probes; `None` for a single probe.
    pub standard_error: Option<f64>,
}

/// The frames of an episode that can be measured: those with a full context before them. With
/// `wanted`, checks and returns that range.
///
/// # Errors
/// Returns an error if the frame size or an action does not match the world, the episode is too
/// short, or `wanted` is empty or out of range.
pub fn measurable_frames(
    world: &WorldConfig,
    episode: &Episode,
    wanted: Option<Range<usize>>,
) -> Result<Range<usize>> {
    let fail = |what: String| Err(Error::Episodes(what));
    let (size, [height, width]) = ([episode.height, episode.width], world.image);
    if size != world.image {
        return fail(format!(
            "frames are {}×{} pixels, expected {height}×{width} as in the world",
            size[0], size[1]
        ));
    }
    for action in episode.played() {
        let checked = action.check(world.actions.len(), world.axes.len());
        checked.map_err(Error::Episodes)?;
    }
    let (first, end) = (world.dynamics.context, episode.frames());
    if first >= end {
        return fail(format!(
            "has {end} frames, expected at least {}: the world's context and one frame to measure",
            first + 1
        ));
    }
    match wanted {
        None => Ok(first..end),
        Some(range) if range.start >= first && range.end <= end && !range.is_empty() => Ok(range),
        Some(range) => fail(format!(
            "frames {}..{}, expected A..B with {first} ≤ A < B ≤ {end} (the first {first} are context)",
            range.start, range.end
        )),
    }
}

/// Measures the likelihoods of frames, in the order of `queries`. Calls `advance` with the number
/// of frames after each batch.
///
/// # Errors
/// Returns an error if an option is out of its range, a frame is not one of [`measurable_frames`],
/// its size or action does not match the world, or the device fails.
pub fn measure(
    world: &WorldModel,
    episode: &Episode,
    queries: &[FrameQuery],
    options: &LikelihoodOptions,
    advance: &mut dyn FnMut(usize),
) -> Result<Vec<FrameSurprise>> {
    let config = &world.config;
    options.check(config)?;
    let allowed = measurable_frames(config, episode, None)?;
    let is_valid = |query: &FrameQuery| {
        allowed.contains(&query.frame)
            && query.image.len() == config.image_len()
            && query
                .action
                .check(config.actions.len(), config.axes.len())
                .is_ok()
    };
    if let Some(invalid) = queries.iter().find(|query| !is_valid(query)) {
        return Err(Error::Shape(format!(
            "frame {} with action {} and {} bytes, expected a frame of {allowed:?}, an action below \
             {} and {} bytes",
            invalid.frame,
            invalid.action,
            invalid.image.len(),
            config.actions.len(),
            config.image_len()
        )));
    }
    let mut order: Vec<usize> = (0..queries.len()).collect();
    order.sort_by_key(|&i| queries[i].frame);
    let mut cache = ContextCache::new(world, episode, options.context_signal.into(), options.seed)?;
    let mut surprises = vec![None; queries.len()];
    for chunk in order.chunks(BATCH) {
        let batch: Vec<FrameQuery> = chunk.iter().map(|&i| queries[i]).collect();
        if let [first, .., last] | [first @ last] = batch.as_slice() {
            cache.advance(first.frame, last.frame)?;
        }
        for (&i, surprise) in chunk
            .iter()
            .zip(measure_batch(&cache, config, &batch, options)?)
        {
            surprises[i] = Some(surprise);
        }
        advance(batch.len());
    }
    Ok(surprises.into_iter().flatten().collect())
}

/// Measures frames whose context is in the cache, as one batch.
fn measure_batch(
    cache: &ContextCache,
    world: &WorldConfig,
    queries: &[FrameQuery],
    options: &LikelihoodOptions,
) -> Result<Vec<FrameSurprise>> {
    let images: Vec<u8> = queries.iter().flat_map(|q| q.image).copied().collect();
    let x = cache.encode(&images)?;
    let (noise, probes) = draw_noise(&x, queries, options)?;
    let at = world.flow.path.at(options.level_for(world))?;
    let z = ((x * at.alpha)? + (&noise * at.sigma)?)?;
    let frames: Vec<usize> = queries.iter().map(|q| q.frame).collect();
    let actions: Vec<Action> = queries.iter().map(|q| q.action).collect();
    let conditioned = cache.condition(&frames, &actions)?;
    let likelihoods = log_densities(&conditioned, &z, world, options, &probes)?;
    let squares = noise.sqr()?.flatten_from(1)?.sum(1)?.numbers()?;
    let surprise = |((query, likelihood), square): ((&FrameQuery, LogLikelihood), f64)| {
        let dimensions = likelihood.dimensions as f64;
        // −log₂ N(z; α x, σ²) per dimension.
        let volume = (TAU * at.sigma.powi(2)).ln();
        let predicted_exactly = 0.5 * (square / dimensions + volume) / LN_2;
        FrameSurprise {
            frame: query.frame,
            action: query.action.index,
            bits_per_dimension: likelihood.bits_per_dimension(),
            excess: likelihood.bits_per_dimension() - predicted_exactly,
            nats: likelihood.nats,
            standard_error: likelihood.standard_error,
        }
    };
    let pairs = queries.iter().zip(likelihoods).zip(squares);
    Ok(pairs.map(surprise).collect())
}

/// The log-densities of z [N, gh, gw, c] at the signal level of the options.
fn log_densities(
    conditioned: &ConditionedFrames,
    z: &Tensor,
    world: &WorldConfig,
    options: &LikelihoodOptions,
    probes: &Probes,
) -> Result<Vec<LogLikelihood>> {
    log_likelihood_between(
        &|z, tau| conditioned.velocity(z, tau),
        z,
        world.flow.path,
        [options.level_for(world), world.flow.min_signal_level()],
        &Integrator::Fixed {
            method: Method::Midpoint,
            grid: Grid::Shifted { shift: SHIFT },
            steps: options.steps,
        },
        probes,
    )
}

/// Draws the noise of every frame [N, ..] and its probes. They do not depend on the rest of the
/// batch.
fn draw_noise(
    x: &Tensor,
    queries: &[FrameQuery],
    options: &LikelihoodOptions,
) -> Result<(Tensor, Probes)> {
    let address =
        |q: &FrameQuery| noise::rng(options.seed, q.frame as u64, NoisePurpose::Likelihood);
    let mut rngs: Vec<_> = queries.iter().map(address).collect();
    let one = x.narrow(0, 0, 1)?;
    let mut draw = |kind: Probe| -> Result<Tensor> {
        let rows = rngs.iter_mut().map(|rng| kind.draw(&one, rng));
        Ok(Tensor::cat(
            &rows.collect::<driftless_flow::Result<Vec<_>>>()?,
            0,
        )?)
    };
    let noise = draw(Probe::Gaussian)?;
    let probes: Result<_> = (0..options.probes)
        .map(|_| draw(Probe::Rademacher))
        .collect();
    Ok((noise, Probes::given(probes?)?))
}

#[cfg(test)]
#[path = "likelihood_tests.rs"]
mod tests;
