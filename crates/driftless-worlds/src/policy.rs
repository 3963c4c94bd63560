//! Policies: pursuing goals with the simulator's help, and random held actions.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Simulator;

/// How the actions of an episode are chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Policy {
    /// One goal after another, with stretches of random held actions in between.
    Scripted,
    /// Random held actions.
    Random,
    /// One episode in four is random, the others are scripted.
    #[default]
    Mixed,
}

impl Policy {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scripted => "scripted",
            Self::Random => "random",
            Self::Mixed => "mixed",
        }
    }

    /// The policy of one episode: scripted or random.
    pub fn of_episode(self, rng: &mut impl Rng) -> Self {
        match self {
            Self::Mixed if rng.random_bool(0.25) => Self::Random,
            Self::Mixed => Self::Scripted,
            policy => policy,
        }
    }
}

/// Most frames for which a random action is held.
const MAX_HOLD: u32 = 10;
/// Probability that a frame begins a stretch of random actions.
const RANDOM_PROBABILITY: f64 = 0.012;
/// Frames of such a stretch.
const RANDOM_FRAMES: std::ops::Range<u32> = 4..28;
/// Frames after which a goal is given up.
const GOAL_FRAMES: std::ops::Range<u32> = 60..240;

/// Plays one episode under a policy. The same seed and simulator lead to the same actions.
pub struct PolicyAgent {
    rng: ChaCha8Rng,
    action_count: u32,
    goal: u64,
    /// Frames until the goal is given up.
    goal_frames: u32,
    /// Frames left of the stretch of random actions; `u32::MAX` for a random episode.
    random_frames: u32,
    random_action: u32,
    /// Frames for which the random action is still held.
    hold_frames: u32,
}

impl PolicyAgent {
    /// An agent for an episode in `simulator`. The seed decides [`Policy::Mixed`].
    pub fn new(policy: Policy, simulator: &dyn Simulator, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let random_frames = match policy.of_episode(&mut rng) {
            Policy::Random => u32::MAX,
            _ => 0,
        };
        Self {
            rng,
            action_count: u32::try_from(simulator.info().actions.len()).unwrap_or(u32::MAX),
            goal: 0,
            goal_frames: 0,
            random_frames,
            random_action: 0,
            hold_frames: 0,
        }
    }

    /// The action that leads to the next frame.
    pub fn act(&mut self, simulator: &dyn Simulator) -> u32 {
        if self.random_frames == 0 && self.rng.random_bool(RANDOM_PROBABILITY) {
            self.random_frames = self.rng.random_range(RANDOM_FRAMES);
            self.hold_frames = 0;
        }
        if self.random_frames > 0 {
            self.random_frames -= u32::from(self.random_frames != u32::MAX);
            return self.next_random_action();
        }
        if self.goal_frames > 0 {
            self.goal_frames -= 1;
            if let Some(action) = simulator.action_toward(self.goal) {
                return action;
            }
        }
        self.goal = self.rng.random();
        self.goal_frames = self.rng.random_range(GOAL_FRAMES);
        simulator.action_toward(self.goal).unwrap_or(0)
    }

    fn next_random_action(&mut self) -> u32 {
        if self.hold_frames == 0 {
            self.random_action = self.rng.random_range(0..self.action_count);
            self.hold_frames = self.rng.random_range(1..=MAX_HOLD);
        }
        self.hold_frames -= 1;
        self.random_action
    }
}
