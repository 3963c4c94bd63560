//! A simulator as a player.

use driftless_data::Action;
use driftless_engine::{SamplerParams, StageTimes};
use driftless_worlds::{Policy, PolicyAgent, Simulator};

use super::columns::MAX_EXACT;
use super::player::{GroundTruth, Player, PlayerSnapshot};
use crate::Result;

/// A simulator as a player. Starting clip i under seed s is the world of seed s + i; other
/// sampler parameters have no effect.
pub struct SimulatedWorld {
    simulator: Box<dyn Simulator>,
    name: String,
    size: [usize; 2],
    actions: usize,
    /// Of each axis, the most that it moves in a frame.
    axis_steps: Vec<f32>,
    seed: u64,
    /// Plays by itself, once it has been asked to.
    agent: Option<PolicyAgent>,
}

impl SimulatedWorld {
    /// Plays `simulator`.
    pub fn new(simulator: Box<dyn Simulator>) -> Self {
        let info = simulator.info();
        Self {
            simulator,
            name: info.name,
            size: info.image,
            actions: info.actions.len(),
            axis_steps: info
                .axes
                .iter()
                .map(|axis| axis.largest_step(info.fps))
                .collect(),
            seed: 0,
            agent: None,
        }
    }
}

impl Player for SimulatedWorld {
    fn name(&self) -> &str {
        "simulator"
    }

    fn world(&self) -> String {
        self.name.clone()
    }

    fn image_size(&self) -> [usize; 2] {
        self.size
    }

    fn actions(&self) -> usize {
        self.actions
    }

    fn axes(&self) -> usize {
        self.axis_steps.len()
    }

    fn axis_steps(&self) -> Vec<f32> {
        self.axis_steps.clone()
    }

    /// Every index is a start, since it is added to the seed. A recording must hold it exactly.
    fn start_count(&self) -> usize {
        MAX_EXACT
    }

    fn start(&mut self, index: usize, params: &SamplerParams) -> Result<()> {
        self.seed = params.seed.wrapping_add(index as u64);
        self.simulator.reset(self.seed);
        Ok(())
    }

    fn step(&mut self, action: Action, _: &SamplerParams) -> Result<StageTimes> {
        self.simulator.step(action)?;
        Ok(StageTimes::default())
    }

    fn image(&mut self) -> Result<&[u8]> {
        Ok(self.simulator.image())
    }

    fn snapshot(&mut self) -> Result<PlayerSnapshot> {
        Ok(PlayerSnapshot::Simulated(self.simulator.snapshot()))
    }

    fn restore(&mut self, saved: &PlayerSnapshot) -> Result<()> {
        let PlayerSnapshot::Simulated(snapshot) = saved else {
            return Err(PlayerSnapshot::wrong_kind());
        };
        self.simulator.restore(snapshot)?;
        self.seed = snapshot.seed;
        Ok(())
    }

    fn scripted_action(&mut self) -> Option<Action> {
        let (simulator, seed) = (self.simulator.as_ref(), self.seed);
        let agent = || PolicyAgent::new(Policy::Scripted, simulator, seed);
        Some(self.agent.get_or_insert_with(agent).act(simulator))
    }

    fn ground_truth(&self) -> Option<GroundTruth> {
        Some(GroundTruth {
            seed: self.seed,
            reward: self.simulator.reward(),
            ended: self.simulator.ended(),
            state: self.simulator.state(),
        })
    }
}
