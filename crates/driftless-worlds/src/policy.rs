//! Who plays when nobody does: goals that the world knows the way to, and random held actions.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::World;

/// How the actions of an episode come about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "clap", derive(clap::ValueEnum))]
pub enum Policy {
    /// After one goal and the next, with stretches of random held actions in between.
    Scripted,
    /// Random held actions.
    Random,
    /// One episode in four random, the others scripted.
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

/// Frames that a random action is held at most.
const LONGEST: u32 = 10;
/// Probability that a frame begins a stretch of random actions.
const STRAY: f64 = 0.012;
/// Frames of such a stretch.
const STRAYING: std::ops::Range<u32> = 4..28;
/// Frames after which a goal is given up.
const PATIENCE: std::ops::Range<u32> = 60..240;

/// Plays an episode; the same seed and world lead to the same actions.
pub struct Hand {
    rng: ChaCha8Rng,
    actions: u32,
    goal: u64,
    patience: u32,
    /// Frames that the random stretch lasts.
    straying: u32,
    action: u32,
    /// Frames that the random action is still held.
    held: u32,
}

impl Hand {
    /// Plays `world`; [`Policy::Mixed`] is decided by the seed.
    pub fn new(policy: Policy, world: &dyn World, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let straying = match policy.of_episode(&mut rng) {
            Policy::Random => u32::MAX,
            _ => 0,
        };
        Self {
            rng,
            actions: u32::try_from(world.info().actions.len()).unwrap_or(u32::MAX),
            goal: 0,
            patience: 0,
            straying,
            action: 0,
            held: 0,
        }
    }

    /// The action that leads to the next frame.
    pub fn act(&mut self, world: &dyn World) -> u32 {
        if self.straying == 0 && self.rng.random_bool(STRAY) {
            self.straying = self.rng.random_range(STRAYING);
            self.held = 0;
        }
        if self.straying > 0 {
            // A random episode strays for ever.
            self.straying -= u32::from(self.straying != u32::MAX);
            return self.random();
        }
        if self.patience > 0 {
            self.patience -= 1;
            if let Some(action) = world.toward(self.goal) {
                return action;
            }
        }
        self.goal = self.rng.random();
        self.patience = self.rng.random_range(PATIENCE);
        world.toward(self.goal).unwrap_or(0)
    }

    fn random(&mut self) -> u32 {
        if self.held == 0 {
            self.action = self.rng.random_range(0..self.actions);
            self.held = self.rng.random_range(1..=LONGEST);
        }
        self.held -= 1;
        self.action
    }
}
