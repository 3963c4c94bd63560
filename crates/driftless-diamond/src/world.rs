//! Plays an agent's world: one frame after another from a starting clip.

use driftless_data::{Action, Clip};
use driftless_engine::noise::{self, NoisePurpose};
use rand::Rng as _;
use rand_distr::{Distribution as _, StandardNormal};

use crate::{Agent, AgentInfo, EdmParams, Error, LstmState, Past, Result, RewardEnd};

/// How frames are drawn.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct WorldParams {
    /// The sampler.
    pub edm: EdmParams,
    /// Standard deviation of the initial noise; 1 is that of the published program.
    pub temperature: f32,
    /// Frame n after a reset takes its noise from the address (seed, n).
    pub seed: u64,
}

impl WorldParams {
    /// The published sampler with a seed.
    pub fn seeded(seed: u64) -> Self {
        Self {
            edm: EdmParams::default(),
            temperature: 1.0,
            seed,
        }
    }
}

/// Everything that the next frames depend on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorldSnapshot {
    /// Frames since the reset.
    pub frame: u64,
    /// The past frames u8 RGB `[past, H, W, 3]`, oldest first; the last one is shown.
    pub images: Vec<u8>,
    /// The actions taken at them, but for the last one.
    pub actions: Vec<u32>,
    /// The memory of the reward and end model.
    pub reward_end: LstmState,
    /// The memory of the policy.
    pub policy: LstmState,
    /// What came with the last frame; `None` after a reset.
    pub outcome: Option<RewardEnd>,
}

impl WorldSnapshot {
    /// The last frame, u8 RGB `[H, W, 3]`.
    pub fn image(&self) -> &[u8] {
        let len = self.images.len() / (self.actions.len() + 1);
        &self.images[self.images.len() - len..]
    }

    /// Approximate size in memory.
    pub fn bytes(&self) -> usize {
        let memories = [&self.reward_end, &self.policy].map(|memory| 8 * memory.hidden.len());
        self.images.len() + 4 * self.actions.len() + memories.iter().sum::<usize>()
    }
}

/// An agent's world between two frames.
pub struct World {
    agent: Agent,
    state: WorldSnapshot,
}

impl World {
    /// The world of an agent, which begins with black frames.
    pub fn new(agent: Agent) -> Self {
        let mut world = Self {
            agent,
            state: WorldSnapshot::default(),
        };
        let info = world.info();
        let black = vec![0; info.past * info.image_len()];
        world.place(&black, &vec![0; info.past - 1]);
        world
    }

    /// What the agent's file says.
    pub fn info(&self) -> AgentInfo {
        self.agent.info()
    }

    /// Number of threads.
    pub fn threads(&self) -> usize {
        self.agent.threads()
    }

    /// The GPU that the denoiser is computed on; `None` for the CPU.
    pub fn gpu_name(&self) -> Option<&str> {
        self.agent.gpu_name()
    }

    /// The agent.
    pub fn agent_mut(&mut self) -> &mut Agent {
        &mut self.agent
    }

    /// Starts from the last frames of a clip, whose actions led to its frames. If it has fewer frames than the denoiser
    /// sees, the first one is repeated. The reward and end model sees the whole clip.
    ///
    /// # Errors
    /// Returns an error if the clip has no frames, or if frames or actions do not fit the agent.
    pub fn reset(&mut self, clip: &Clip) -> Result<()> {
        let AgentInfo { past, actions, .. } = self.info();
        let len = self.info().image_len();
        let frames: Vec<&[u8]> = clip.images.chunks_exact(len).collect();
        let known = |action: &Action| action.check(actions, 0).is_ok();
        let whole = clip.images.len() == frames.len() * len && clip.actions.len() == frames.len();
        if frames.is_empty() || !whole || !clip.actions.iter().all(known) {
            return Err(Error::Argument(format!(
                "a starting clip of {} bytes and {} actions, expected frames of {len} bytes with actions below {actions}",
                clip.images.len(),
                clip.actions.len()
            )));
        }
        let missing = past.saturating_sub(frames.len());
        let images = [vec![frames[0]; missing], frames.clone()].concat();
        // The first action led to the first frame, from one that is not there.
        let actions: Vec<u32> = clip.actions[1..]
            .iter()
            .map(|action| action.index)
            .collect();
        let taken = [vec![0; missing], actions.clone()].concat();
        self.place(
            &images[images.len() - past..].concat(),
            &taken[taken.len() + 1 - past..],
        );
        for (pair, action) in frames.windows(2).zip(&actions) {
            let state = &mut self.state.reward_end;
            self.agent.reward_end(pair[0], *action, pair[1], state)?;
        }
        Ok(())
    }

    fn place(&mut self, images: &[u8], actions: &[u32]) {
        self.state = WorldSnapshot {
            frame: 0,
            images: images.to_vec(),
            actions: actions.to_vec(),
            reward_end: self.agent.reward_end_start(),
            policy: self.agent.policy_start(),
            outcome: None,
        };
    }

    /// Predicts the next frame, and what comes with it.
    ///
    /// # Errors
    /// Returns an error if the action or a parameter is out of its range, or if a number is not finite.
    pub fn step(&mut self, action: u32, params: &WorldParams) -> Result<RewardEnd> {
        let len = self.info().image_len();
        let frame = self.state.frame + 1;
        let mut initial = vec![0.0; len];
        noise::fill(&mut initial, params.seed, frame, NoisePurpose::Initial);
        initial.iter_mut().for_each(|x| *x *= params.temperature);
        let mut churn = noise::rng(params.seed, frame, NoisePurpose::Churn);
        let draw = |out: &mut [f32]| out.fill_with(|| StandardNormal.sample(&mut churn));
        let actions = [self.state.actions.as_slice(), &[action]].concat();
        let past = Past {
            images: &self.state.images,
            actions: &actions,
        };
        let next = self.agent.next_frame(past, &params.edm, initial, draw)?;
        let next: Vec<u8> = next.into_iter().map(byte).collect();
        let before = self.state.images.len() - len;
        let outcome = self.agent.reward_end(
            &self.state.images[before..],
            action,
            &next,
            &mut self.state.reward_end,
        )?;
        self.state.images.drain(..len);
        self.state.images.extend(next);
        self.state.actions = actions[1..].to_vec();
        self.state.frame = frame;
        self.state.outcome = Some(outcome);
        Ok(outcome)
    }

    /// The last frame, u8 RGB `[H, W, 3]`.
    pub fn image(&self) -> &[u8] {
        self.state.image()
    }

    /// What came with the last frame; `None` after a reset.
    pub fn outcome(&self) -> Option<RewardEnd> {
        self.state.outcome
    }

    /// What the agent's policy does at the last frame, drawn from its probabilities. Its memory takes the frame in.
    ///
    /// # Errors
    /// Returns no error with frames of this world.
    pub fn policy_action(&mut self, seed: u64) -> Result<u32> {
        let image = self.state.image().to_vec();
        let policy = self.agent.policy(&image, &mut self.state.policy)?;
        // Nothing else of these worlds takes noise from this address.
        let mut rng = noise::rng(seed, self.state.frame, NoisePurpose::Context);
        Ok(draw(&policy.actions, rng.random()))
    }

    /// Everything that the next frames depend on.
    pub fn snapshot(&self) -> &WorldSnapshot {
        &self.state
    }

    /// Continues from a snapshot of this world.
    ///
    /// # Errors
    /// Returns an error if the snapshot is of another world.
    pub fn restore(&mut self, saved: &WorldSnapshot) -> Result<()> {
        let lens = |s: &WorldSnapshot| {
            let memories = [&s.reward_end, &s.policy].map(|memory| memory.hidden.len());
            (s.images.len(), s.actions.len(), memories)
        };
        if lens(saved) != lens(&self.state) {
            return Err(Error::Snapshot("the snapshot is of another world".into()));
        }
        self.state.clone_from(saved);
        Ok(())
    }
}

/// The byte of one of 256 levels in [−1, 1].
fn byte(level: f32) -> u8 {
    ((level + 1.0) / 2.0 * 255.0).round() as u8
}

/// The index that `uniform` in [0, 1) draws from a softmax.
fn draw(logits: &[f32], uniform: f32) -> u32 {
    let most = logits.iter().fold(f32::NEG_INFINITY, |a, b| a.max(*b));
    let weights: Vec<f32> = logits.iter().map(|logit| (logit - most).exp()).collect();
    let mut left = uniform * weights.iter().sum::<f32>();
    let mut index = 0;
    for weight in &weights[..weights.len() - 1] {
        if left < *weight {
            break;
        }
        left -= weight;
        index += 1;
    }
    index
}
