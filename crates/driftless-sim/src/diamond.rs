//! A published world of DIAMOND's as a player.

use std::sync::Arc;
use std::time::Instant;

use driftless_data::{Action, Clip};
use driftless_diamond::{EdmParams, EdmSolver, World, WorldParams};
use driftless_engine::{Outcome, SamplerParams, Solver, StageTimes, threads_label};

use super::player::{Player, PlayerSnapshot, clip_at};
use crate::Result;

/// A published world and its starting clips.
pub struct DiamondWorld {
    world: World,
    name: String,
    label: String,
    clips: Arc<[Clip]>,
    last_start: usize,
    /// The seed of the last start or step.
    seed: u64,
}

impl DiamondWorld {
    /// A world that starts from one of `clips`; without any, from black frames.
    pub fn new(world: World, name: String, clips: Vec<Clip>) -> Self {
        let black = || Clip {
            images: vec![0; world.info().image_len()],
            actions: vec![Action::IDLE],
        };
        let clips = if clips.is_empty() {
            vec![black()]
        } else {
            clips
        };
        Self {
            label: world
                .gpu_name()
                .map_or_else(|| threads_label(world.threads()), str::to_owned),
            world,
            name,
            clips: clips.into(),
            last_start: 0,
            seed: 0,
        }
    }
}

/// What the sampler parameters mean to EDM's sampler.
fn world_params(params: &SamplerParams) -> WorldParams {
    WorldParams {
        edm: EdmParams {
            steps: params.steps,
            solver: match params.solver {
                Solver::Heun => EdmSolver::Heun,
                _ => EdmSolver::Euler,
            },
            churn: params.churn.into(),
            sigma_min: params.sigma_min.into(),
            sigma_max: params.sigma_max.into(),
            rho: params.rho.into(),
        },
        temperature: params.temperature,
        seed: params.seed,
    }
}

impl Player for DiamondWorld {
    fn name(&self) -> &'static str {
        match self.world.gpu_name() {
            Some(_) => "wgpu diamond",
            None => "cpu diamond",
        }
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

    fn start_count(&self) -> usize {
        self.clips.len()
    }

    fn start(&mut self, index: usize, params: &SamplerParams) -> Result<()> {
        let clip = clip_at(&self.clips, index)?;
        self.world.reset(clip)?;
        self.last_start = index;
        self.seed = params.seed;
        Ok(())
    }

    fn step(&mut self, action: Action, params: &SamplerParams) -> Result<StageTimes> {
        self.seed = params.seed;
        let started = Instant::now();
        self.world.step(action.index, &world_params(params))?;
        Ok(StageTimes {
            denoise: started.elapsed(),
            ..StageTimes::default()
        })
    }

    fn image(&mut self) -> Result<&[u8]> {
        Ok(self.world.image())
    }

    fn snapshot(&mut self) -> Result<PlayerSnapshot> {
        Ok(PlayerSnapshot::Diamond(self.world.snapshot().clone()))
    }

    fn restore(&mut self, saved: &PlayerSnapshot) -> Result<()> {
        match saved {
            PlayerSnapshot::Diamond(snapshot) => Ok(self.world.restore(snapshot)?),
            _ => Err(PlayerSnapshot::wrong_kind()),
        }
    }

    /// The policy that was trained in the world.
    fn scripted_action(&mut self) -> Option<Action> {
        self.world.policy_action(self.seed).ok().map(Action::from)
    }

    fn outcome(&self) -> Option<Outcome> {
        let outcome = self.world.outcome()?;
        Some(Outcome {
            reward: outcome.expected_reward(),
            end: outcome.end_probability(),
            motion: None,
        })
    }

    fn starting_clip(&self) -> Option<&Clip> {
        self.clips.get(self.last_start)
    }
}
