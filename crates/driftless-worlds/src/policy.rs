//! Policies: pursuing goals with the simulator's help, coming back to them, and random held actions.

use std::collections::VecDeque;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use driftless_data::Action;

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
    /// As scripted, but it often returns: to earlier goals, to a view that it turned away from, and
    /// round a block of walls to where it began.
    Revisit,
}

impl Policy {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Scripted => "scripted",
            Self::Random => "random",
            Self::Mixed => "mixed",
            Self::Revisit => "revisit",
        }
    }

    /// The policy of one episode: never mixed.
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

/// Share of the looks round among what [`Policy::Revisit`] does next, and of the ways round a block.
const LOOK_SHARE: f64 = 0.4;
const ROUND_SHARE: f64 = 0.2;
/// Probability that a look round is a full turn; else it turns there and back.
const FULL_TURN_PROBABILITY: f64 = 0.25;
/// Frames of a full turn, with up to a quarter turn more.
const FULL_TURN_FRAMES: std::ops::RangeInclusive<usize> = 48..=60;
/// Frames of turning there, and as many of turning back.
const THERE_FRAMES: std::ops::RangeInclusive<usize> = 4..=48;
/// Most idle frames between turning there and back.
const MAX_PAUSE: usize = 8;
/// Probability that the next goal is one of the last few.
const RETURN_PROBABILITY: f64 = 0.6;
/// Number of goals that are returned to.
const REMEMBERED_GOALS: usize = 5;

/// Plays one episode under a policy. The same seed and simulator lead to the same actions.
pub struct PolicyAgent {
    rng: ChaCha8Rng,
    action_count: u32,
    axis_count: usize,
    goal: u64,
    /// Frames until the goal is given up.
    goal_frames: u32,
    /// Frames left of the stretch of random actions; `u32::MAX` for a random episode.
    random_frames: u32,
    random_action: Action,
    /// Frames for which the random action is still held.
    hold_frames: u32,
    /// What [`Policy::Revisit`] keeps; `None` under other policies.
    returns: Option<Returns>,
}

/// Where to come back to.
#[derive(Default)]
struct Returns {
    /// The last goals, latest last.
    goals: VecDeque<u64>,
    /// Goals on the way round a block.
    way: VecDeque<u64>,
    /// Actions of a look round.
    look: VecDeque<u32>,
}

impl PolicyAgent {
    /// An agent for an episode in `simulator`. The seed decides [`Policy::Mixed`].
    pub fn new(policy: Policy, simulator: &dyn Simulator, seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let policy = policy.of_episode(&mut rng);
        let random_frames = match policy {
            Policy::Random => u32::MAX,
            _ => 0,
        };
        let info = simulator.info();
        Self {
            rng,
            action_count: u32::try_from(info.actions.len()).unwrap_or(u32::MAX),
            axis_count: info.axes.len(),
            goal: 0,
            goal_frames: 0,
            random_frames,
            random_action: Action::IDLE,
            hold_frames: 0,
            returns: (policy == Policy::Revisit).then(Returns::default),
        }
    }

    /// The action that leads to the next frame.
    pub fn act(&mut self, simulator: &dyn Simulator) -> Action {
        // A look round is not interrupted, so that it ends where it began.
        let look = self.returns.as_mut().map(|returns| &mut returns.look);
        if let Some(action) = look.and_then(VecDeque::pop_front) {
            return action.into();
        }
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
        if let Some(action) = self.begin_look(simulator) {
            return action.into();
        }
        self.goal = self.next_goal(simulator);
        self.goal_frames = self.rng.random_range(GOAL_FRAMES);
        simulator.action_toward(self.goal).unwrap_or_default()
    }

    /// Sometimes plans a look round, unless on the way round a block; returns its first action.
    fn begin_look(&mut self, simulator: &dyn Simulator) -> Option<u32> {
        let returns = self.returns.as_mut()?;
        let turns = simulator.turns().filter(|_| returns.way.is_empty())?;
        if !self.rng.random_bool(LOOK_SHARE) {
            return None;
        }
        let first = self.rng.random_range(0..turns.len());
        let (there, back) = (turns[first], turns[1 - first]);
        let mut turn = |action: u32, frames: usize| {
            let actions = std::iter::repeat_n(action, frames);
            returns.look.extend(actions);
        };
        if self.rng.random_bool(FULL_TURN_PROBABILITY) {
            turn(there, self.rng.random_range(FULL_TURN_FRAMES));
        } else {
            let frames = self.rng.random_range(THERE_FRAMES);
            turn(there, frames);
            turn(0, self.rng.random_range(0..=MAX_PAUSE));
            turn(back, frames);
        }
        returns.look.pop_front()
    }

    fn next_goal(&mut self, simulator: &dyn Simulator) -> u64 {
        let Some(returns) = &mut self.returns else {
            return self.rng.random();
        };
        if returns.way.is_empty() && self.rng.random_bool(ROUND_SHARE / (1.0 - LOOK_SHARE)) {
            returns.way = simulator.way_round().into();
            if self.rng.random() {
                returns.way = returns.way.iter().rev().copied().collect();
            }
        }
        if let Some(goal) = returns.way.pop_front() {
            return goal;
        }
        // The latest goal is where it stands.
        let earlier = returns.goals.len().saturating_sub(1);
        if earlier > 0 && self.rng.random_bool(RETURN_PROBABILITY) {
            return returns.goals[self.rng.random_range(0..earlier)];
        }
        let goal = self.rng.random();
        returns.goals.push_back(goal);
        if returns.goals.len() > REMEMBERED_GOALS {
            returns.goals.pop_front();
        }
        goal
    }

    fn next_random_action(&mut self) -> Action {
        if self.hold_frames == 0 {
            self.random_action = self.rng.random_range(0..self.action_count).into();
            self.hold_frames = self.rng.random_range(1..=MAX_HOLD);
            for axis in self.random_action.axes.iter_mut().take(self.axis_count) {
                *axis = self.rng.random_range(-1.0..=1.0);
            }
        }
        self.hold_frames -= 1;
        self.random_action
    }
}
