//! Starts a player and runs frames under parameters that the engine may reject.

use driftless_engine::SamplerParams;

use super::comparison::{GroundTruthSource, Start};
use super::thread::Ports;
use super::{Message, Player, RANDOM_SEED_LIMIT};
use crate::Result;

/// Resets the player to `start`. Returns the ground truth to compare with, if the start has one.
pub(super) fn start_player(
    player: &mut dyn Player,
    start: &Start,
    context: usize,
    params: &SamplerParams,
) -> Result<Option<GroundTruthSource>> {
    match GroundTruthSource::start(start, params, context, player.context_frames())? {
        Some((truth_source, clip)) => {
            player.start_from(&clip, params)?;
            Ok(Some(truth_source))
        }
        None => {
            player.start(context, params)?;
            Ok(None)
        }
    }
}

/// Runs `work` with the `requested` parameters. If the engine rejects them, runs it with the last
/// `working` ones, or with the plain sampler if those are rejected too: an adaptive solver may
/// fail at any frame. Returns the parameters that were used.
pub(super) fn with_fallback<T>(
    ports: &Ports,
    requested: &mut SamplerParams,
    working: &mut SamplerParams,
    random_seed: Option<u64>,
    mut work: impl FnMut(&SamplerParams) -> Result<T>,
) -> Result<(SamplerParams, T)> {
    let seeded = |params: &SamplerParams| SamplerParams {
        seed: random_seed.unwrap_or(params.seed),
        ..*params
    };
    match work(&seeded(requested)) {
        Ok(value) => {
            *working = *requested;
            Ok((seeded(working), value))
        }
        Err(error)
            if error.is_argument()
                && (requested != working || *requested != requested.with_default_solver()) =>
        {
            if requested == working {
                *working = working.with_default_solver();
            }
            *requested = *working;
            ports.send_message(Message::ParamsRejected {
                reason: error.to_string(),
                active: *working,
            });
            Ok((seeded(working), work(&seeded(working))?))
        }
        Err(error) => Err(error),
    }
}

pub(super) fn draw_seed() -> u64 {
    rand::random_range(0..RANDOM_SEED_LIMIT)
}
