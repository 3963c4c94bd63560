//! A published world as a player: a network that sees a window of finished frames.

mod dreamer;
mod oasis;

use std::sync::Arc;

use driftless_data::{Action, Clip};
use driftless_engine::{SamplerParams, StageTimes, threads_label};
use driftless_published::{WindowNetwork, World, WorldParams};

use super::player::{Player, PlayerSnapshot, clip_at};
use crate::Result;

/// A published network whose sampler has counterparts among [`SamplerParams`].
pub trait PlayableNetwork: WindowNetwork + Send {
    /// What its player is called.
    const PLAYER: &'static str;

    /// What the sampler parameters mean to it.
    fn sampler(&self, params: &SamplerParams) -> Self::Sampler;

    /// The sampler parameters of the published program, as far as they have a counterpart here.
    fn sampling(&self) -> SamplerParams;
}

/// A published world and its starting clips.
pub struct PublishedWorld<N> {
    world: World<N>,
    name: String,
    label: String,
    clips: Arc<[Clip]>,
    last_start: usize,
}

impl<N: PlayableNetwork> PublishedWorld<N> {
    /// A world that starts from one of `clips`; without any, from nothing.
    pub fn new(network: N, name: String, clips: Vec<Clip>) -> Self {
        Self {
            label: threads_label(network.threads()),
            world: World::new(network),
            name,
            clips: clips.into(),
            last_start: 0,
        }
    }
}

/// What the sampler parameters mean to the world of a network.
fn world_params<N: PlayableNetwork>(
    network: &N,
    params: &SamplerParams,
) -> WorldParams<N::Sampler> {
    WorldParams {
        sampler: network.sampler(params),
        window: params.context.min(network.window().window),
        hop: params.hop,
        temperature: params.temperature,
        seed: params.seed,
    }
}

impl<N: PlayableNetwork> Player for PublishedWorld<N> {
    fn name(&self) -> &'static str {
        N::PLAYER
    }

    fn label(&self) -> &str {
        &self.label
    }

    fn world(&self) -> String {
        self.name.clone()
    }

    fn image_size(&self) -> [usize; 2] {
        self.world.info().image
    }

    fn actions(&self) -> usize {
        self.world.info().actions
    }

    fn axes(&self) -> usize {
        self.world.info().axes
    }

    fn start_count(&self) -> usize {
        self.clips.len().max(1)
    }

    fn start(&mut self, index: usize, _params: &SamplerParams) -> Result<()> {
        if self.clips.is_empty() && index == 0 {
            self.world.clear();
        } else {
            self.world.reset(clip_at(&self.clips, index)?)?;
        }
        self.last_start = index;
        Ok(())
    }

    fn step(&mut self, action: Action, params: &SamplerParams) -> Result<StageTimes> {
        let params = world_params(self.world.network(), params);
        Ok(self.world.step(&action, &params)?)
    }

    fn image(&mut self) -> Result<&[u8]> {
        Ok(self.world.image())
    }

    fn snapshot(&mut self) -> Result<PlayerSnapshot> {
        Ok(PlayerSnapshot::Published(self.world.snapshot().clone()))
    }

    fn restore(&mut self, saved: &PlayerSnapshot) -> Result<()> {
        match saved {
            PlayerSnapshot::Published(snapshot) => Ok(self.world.restore(snapshot)?),
            _ => Err(PlayerSnapshot::wrong_kind()),
        }
    }

    fn starting_clip(&self) -> Option<&Clip> {
        self.clips.get(self.last_start)
    }
}
