//! Starts, and frames under parameters that may not do.

use super::thread::Ports;
use super::truth::{Reality, Start};
use super::{FREE_SEEDS, Message, Player};
use crate::Result;
use driftless_engine::SamplerParams;

/// Starts a player; the truth beside it, where there is one.
pub(super) fn begin(
    player: &mut dyn Player,
    start: &Start,
    context: usize,
    params: &SamplerParams,
) -> Result<Option<Reality>> {
    match Reality::start(start, params, context, player.context_frames())? {
        Some((reality, clip)) => {
            player.start_from(&clip, params)?;
            Ok(Some(reality))
        }
        None => {
            player.start(context, params)?;
            Ok(None)
        }
    }
}

/// Runs `work` with the wanted parameters, or with the last good ones if the engine refuses them, or
/// with the plain sampler if it refuses those (an adaptive solver may fail at any frame).
pub(super) fn tried<T>(
    ports: &Ports,
    wanted: &mut SamplerParams,
    kept: &mut SamplerParams,
    free_seed: Option<u64>,
    mut work: impl FnMut(&SamplerParams) -> Result<T>,
) -> Result<(SamplerParams, T)> {
    let seeded = |params: &SamplerParams| SamplerParams {
        seed: free_seed.unwrap_or(params.seed),
        ..*params
    };
    let first = work(&seeded(wanted));
    match first {
        Ok(value) => {
            *kept = *wanted;
            Ok((seeded(kept), value))
        }
        Err(error) if error.is_argument() && (wanted != kept || *wanted != wanted.plain()) => {
            if wanted == kept {
                *kept = kept.plain();
            }
            *wanted = *kept;
            let why = error.to_string();
            ports.say(Message::ParamsRefused { why, kept: *kept });
            Ok((seeded(kept), work(&seeded(kept))?))
        }
        Err(error) => Err(error),
    }
}

pub(super) fn draw_seed() -> u64 {
    rand::random_range(0..FREE_SEEDS)
}
