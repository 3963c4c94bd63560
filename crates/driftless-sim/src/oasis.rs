//! A published world of Oasis's as a player.

use std::sync::Arc;

use driftless_data::{Action, Clip};
use driftless_engine::{SamplerParams, StageTimes, threads_label};
use driftless_oasis::{DdimParams, LEVELS, MAX_WINDOW, World, WorldParams, controls};

use super::player::{Player, PlayerSnapshot, clip_at};
use crate::Result;

/// A published world and its starting clips.
pub struct OasisWorld {
    world: World,
    name: String,
    label: String,
    clips: Arc<[Clip]>,
    last_start: usize,
}

impl OasisWorld {
    /// A world that starts from one of `clips`; without any, from nothing.
    pub fn new(world: World, name: String, clips: Vec<Clip>) -> Self {
        Self {
            label: threads_label(world.threads()),
            world,
            name,
            clips: clips.into(),
            last_start: 0,
        }
    }

    /// What the sampler parameters mean to DDIM with stabilized frames: signal level τ is noise level 1000 (1 − τ).
    pub fn world_params(params: &SamplerParams) -> WorldParams {
        let noise = (1.0 - params.context_signal) * LEVELS as f32;
        WorldParams {
            ddim: DdimParams {
                steps: params.steps,
                stabilization: noise.round() as usize,
            },
            window: params.context.min(MAX_WINDOW),
            hop: params.hop,
            temperature: params.temperature,
            seed: params.seed,
        }
    }

    /// The sampler parameters of the published program, as far as they have a counterpart here.
    pub fn sampling() -> SamplerParams {
        let WorldParams {
            ddim,
            window,
            hop,
            temperature,
            seed,
        } = WorldParams::seeded(0);
        SamplerParams {
            steps: ddim.steps,
            solver: driftless_engine::Solver::Euler,
            context_signal: 1.0 - ddim.stabilization as f32 / LEVELS as f32,
            context: window,
            hop,
            temperature,
            seed,
            ..SamplerParams::default()
        }
    }
}

impl Player for OasisWorld {
    fn name(&self) -> &'static str {
        "cpu oasis"
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
        controls::actions().len()
    }

    fn axes(&self) -> usize {
        controls::axes().len()
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
        Ok(self.world.step(&action, &Self::world_params(params))?)
    }

    fn image(&mut self) -> Result<&[u8]> {
        Ok(self.world.image())
    }

    fn snapshot(&mut self) -> Result<PlayerSnapshot> {
        Ok(PlayerSnapshot::Oasis(self.world.snapshot().clone()))
    }

    fn restore(&mut self, saved: &PlayerSnapshot) -> Result<()> {
        match saved {
            PlayerSnapshot::Oasis(snapshot) => Ok(self.world.restore(snapshot)?),
            _ => Err(PlayerSnapshot::wrong_kind()),
        }
    }

    fn starting_clip(&self) -> Option<&Clip> {
        self.clips.get(self.last_start)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_the_published_ones() {
        let params = OasisWorld::sampling();
        params.check().unwrap();
        assert_eq!(OasisWorld::world_params(&params), WorldParams::seeded(0));
    }

    #[test]
    fn clean_context_has_no_noise() {
        let params = SamplerParams {
            context_signal: 1.0,
            context: usize::MAX,
            ..OasisWorld::sampling()
        };
        let params = OasisWorld::world_params(&params);
        assert_eq!((params.ddim.stabilization, params.window), (0, 32));
    }
}
