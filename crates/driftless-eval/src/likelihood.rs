//! How likely a given frame is to a world model: the surprise meter.
//!
//! The density is that of z = α x + σ ε, the frame's latent x seen through a little noise at a
//! signal level τ below 1. A next frame is all but determined by those before it, so its density
//! has no bound as τ → 1; at τ it is at most (2π σ²)^(−dimensions/2). ε is fixed by the seed and the
//! frame, so that two frames in the same place are seen through the same noise.
//!
//! It is taken given the frames before as the engine keeps them when it has run along the episode
//! from its first frame, and the action that led to the frame, by the probability-flow ODE of the
//! network's finest velocity; see [`driftless_flow::likelihood`].

use std::f64::consts::{LN_2, TAU};
use std::ops::Range;

use candle_core::Tensor;
use serde::Serialize;

use super::kept::{BATCH, Given, Kept};
use crate::{Error, Result};
use driftless_data::Episode;
use driftless_engine::SamplerParams;
use driftless_engine::noise;
use driftless_engine::noise::Use;
use driftless_flow::likelihood::{
    Integrator, LogLikelihood, Probe, Probes, log_likelihood_between,
};
use driftless_flow::solver::{Grid, Method, State};
use driftless_model::checkpoint::World;
use driftless_model::config::WorldConfig;

/// How much denser the steps lie near the data than evenly ([`Grid::Shifted`]), where the velocity of
/// an all but determined frame grows as 1/(1 − τ): it halves the error of even steps.
const SHIFT: f64 = 0.5;

/// How likelihoods are taken.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Options {
    /// Signal level at which frames are seen, above the network's lowest and below 1; none for
    /// [`level_of`] the world.
    pub level: Option<f64>,
    /// Steps of the midpoint rule between the level and noise.
    pub steps: usize,
    /// Rademacher probes of the divergence.
    pub probes: usize,
    /// Signal level at which earlier frames are kept, in (0, 1].
    pub context_signal: f32,
    /// Seed of all noise and of the probes.
    pub seed: u64,
}

impl Default for Options {
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

/// The highest level at which frames are seen; beyond it the default steps are far too few.
const MOST_LEVEL: f64 = 0.99;

impl Options {
    /// The level at which the frames of a world are seen.
    fn level_in(&self, world: &WorldConfig) -> f64 {
        self.level.unwrap_or(level_of(world))
    }

    /// Whether the numbers are in their ranges for a world.
    ///
    /// # Errors
    /// Names the first that is not.
    pub fn check(&self, world: &WorldConfig) -> Result<()> {
        let (level, least) = (self.level_in(world), world.flow.least_level());
        if !(level > least && level <= MOST_LEVEL) {
            return Err(Error::Argument(format!(
                "level is {level}, expected above {least}, at most {MOST_LEVEL} (the density of a \
                 next frame has no bound towards 1)"
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

/// The finest signal level below 1 on the grid that a world is trained on, 1 − 1/`k_max`; ½ where
/// that is noise alone.
pub fn level_of(world: &WorldConfig) -> f64 {
    1.0 - 1.0 / world.dynamics.k_max.max(2) as f64
}

/// A frame whose likelihood is asked for, in the place of a frame of an episode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked<'a> {
    /// The place, counted from the episode's start; the frames before it are the episode's own.
    pub frame: usize,
    /// The action that leads to it.
    pub action: u32,
    /// u8 RGB `[H, W, 3]`.
    pub image: &'a [u8],
}

/// How likely one frame is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Surprise {
    /// Its place, counted from the episode's start.
    pub frame: usize,
    /// The action that led to it.
    pub action: u32,
    /// −log₂ p(z) / dimensions: the lower, the likelier. Of a density, so it may be negative.
    pub bits_per_dimension: f64,
    /// Bits per dimension above those of a frame that was foreseen exactly, −log₂ N(z; α x, σ²).
    /// Its mean over ε is a Kullback-Leibler divergence, never below 0, and it varies less with ε.
    pub excess: f64,
    /// ln p(z).
    pub nats: f64,
    /// The standard error of `nats` over the probes; none of a single probe.
    pub standard_error: Option<f64>,
}

/// The frames of an episode that can be asked about, or those of them in `wanted`: all that have a
/// whole context before them.
///
/// # Errors
/// The episode's frames or actions are not those of the world, it is too short, or `wanted` is empty
/// or reaches outside.
pub fn frames(
    world: &WorldConfig,
    episode: &Episode,
    wanted: Option<Range<usize>>,
) -> Result<Range<usize>> {
    let fail = |what: String| Err(Error::Argument(what));
    let (size, [height, width]) = ([episode.height, episode.width], world.image);
    if size != world.image {
        return fail(format!(
            "frames are {}×{} pixels, expected {height}×{width} as in the world",
            size[0], size[1]
        ));
    }
    let known = world.actions.len();
    if let Some(action) = episode
        .actions
        .iter()
        .find(|&&action| action as usize >= known)
    {
        return fail(format!(
            "`action` holds {action}, expected 0 to {}",
            known.saturating_sub(1)
        ));
    }
    let (first, end) = (world.dynamics.context, episode.frames());
    if first >= end {
        return fail(format!(
            "has {end} frames, expected at least {}: the world's context and one to measure",
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

/// The likelihoods of frames in places of an episode that [`frames`] allows, in the order asked;
/// `tick` is called with the number of frames done at a time.
///
/// # Errors
/// An option is out of its range, a frame or its action does not fit the world, or the device
/// failed.
pub fn measure(
    world: &World,
    episode: &Episode,
    asked: &[Asked],
    options: &Options,
    tick: &mut dyn FnMut(usize),
) -> Result<Vec<Surprise>> {
    let config = &world.config;
    options.check(config)?;
    let allowed = frames(config, episode, None)?;
    let fits = |asked: &Asked| {
        allowed.contains(&asked.frame)
            && asked.image.len() == config.image_len()
            && (asked.action as usize) < config.actions.len()
    };
    if let Some(odd) = asked.iter().find(|asked| !fits(asked)) {
        return Err(Error::Argument(format!(
            "asked about frame {} with action {} and {} bytes, expected a frame of {allowed:?}, \
             an action below {} and {} bytes",
            odd.frame,
            odd.action,
            odd.image.len(),
            config.actions.len(),
            config.image_len()
        )));
    }
    let mut order: Vec<usize> = (0..asked.len()).collect();
    order.sort_by_key(|&i| asked[i].frame);
    let mut kept = Kept::new(world, episode, options.context_signal.into(), options.seed)?;
    let mut found = vec![None; asked.len()];
    for some in order.chunks(BATCH) {
        let batch: Vec<Asked> = some.iter().map(|&i| asked[i]).collect();
        if let [first, .., last] | [first @ last] = batch.as_slice() {
            kept.advance(first.frame, last.frame)?;
        }
        for (&i, surprise) in some.iter().zip(together(&kept, config, &batch, options)?) {
            found[i] = Some(surprise);
        }
        tick(batch.len());
    }
    Ok(found.into_iter().flatten().collect())
}

/// The likelihoods of frames whose past is kept, in one batch.
fn together(
    kept: &Kept,
    world: &WorldConfig,
    asked: &[Asked],
    options: &Options,
) -> Result<Vec<Surprise>> {
    let images: Vec<u8> = asked.iter().flat_map(|a| a.image).copied().collect();
    let x = kept.encode(&images)?;
    let (noise, probes) = draws(&x, asked, options)?;
    let at = world.flow.path.at(options.level_in(world))?;
    let z = ((x * at.alpha)? + (&noise * at.sigma)?)?;
    let places: Vec<usize> = asked.iter().map(|a| a.frame).collect();
    let given = kept.given(&places, asked.iter().map(|a| a.action).collect())?;
    let found = density(&given, &z, world, options, &probes)?;
    let squares = noise.sqr()?.flatten_from(1)?.sum(1)?.numbers()?;
    let surprise = |((asked, found), square): ((&Asked, LogLikelihood), f64)| {
        let dimensions = found.dimensions as f64;
        // −log₂ N(z; α x, σ²) per dimension.
        let volume = (TAU * at.sigma.powi(2)).ln();
        let foreseen = 0.5 * (square / dimensions + volume) / LN_2;
        Surprise {
            frame: asked.frame,
            action: asked.action,
            bits_per_dimension: found.bits_per_dimension(),
            excess: found.bits_per_dimension() - foreseen,
            nats: found.nats,
            standard_error: found.standard_error,
        }
    };
    Ok(asked.iter().zip(found).zip(squares).map(surprise).collect())
}

/// The densities of z [N, gh, gw, c] at the level that is looked at.
fn density(
    given: &Given,
    z: &Tensor,
    world: &WorldConfig,
    options: &Options,
    probes: &Probes,
) -> Result<Vec<LogLikelihood>> {
    log_likelihood_between(
        &|z, tau| given.velocity(z, tau),
        z,
        world.flow.path,
        [options.level_in(world), world.flow.least_level()],
        &Integrator::Fixed {
            method: Method::Midpoint,
            grid: Grid::Shifted { shift: SHIFT },
            steps: options.steps,
        },
        probes,
    )
}

/// The noise of every frame [N, ..], and its probes; neither depends on what else is in the batch.
fn draws(x: &Tensor, asked: &[Asked], options: &Options) -> Result<(Tensor, Probes)> {
    let address = |a: &Asked| noise::rng(options.seed, a.frame as u64, Use::Likelihood);
    let mut rngs: Vec<_> = asked.iter().map(address).collect();
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
