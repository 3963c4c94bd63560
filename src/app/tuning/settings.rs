//! What the Tuning panel sets, and the limits that a world puts on it.

use std::ops::RangeInclusive;

use driftless_engine::SamplerParams;
use driftless_model::config::DynamicsConfig;
use driftless_remote::RemoteWorld;
use driftless_serve::protocol::SettingKind;
use driftless_sim::{Command, EpisodeCommand, InputCommand, Pace, PlaybackCommand, SamplerCommand};

use crate::app::present::Scaling;
use crate::workspace::playable_world::PublishedSampler;

/// Everything the panel sets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TuningSettings {
    /// Sampler parameters; the seed applies when it is fixed.
    pub params: SamplerParams,
    /// Whether every restart draws a new seed.
    pub free_seed: bool,
    /// Whether a predicted episode end restarts the world.
    pub ends_restart: bool,
    /// How many frames each action is held for.
    pub repeat: u64,
    /// Frames that the agent dreams before each of its moves.
    pub planned_frames: usize,
    /// Target frame rate.
    pub fps: f32,
    /// Whether to run as fast as possible instead.
    pub unlimited: bool,
    /// How the image is scaled.
    pub scaling: Scaling,
}

impl TuningSettings {
    /// The pace for the world-model thread.
    pub fn pace(&self) -> Pace {
        if self.unlimited {
            Pace::Unlimited
        } else {
            Pace::Fps(self.fps)
        }
    }

    /// The commands that turn `before` into these settings.
    pub fn commands_since(&self, before: &Self) -> Vec<Command> {
        let mut commands = Vec::new();
        // The panel explains invalid combinations; the last valid parameters stay in effect.
        if self.params != before.params && self.params.check().is_ok() {
            commands.push(SamplerCommand::Params(self.params).into());
        }
        if self.free_seed != before.free_seed {
            commands.push(SamplerCommand::RandomSeed(self.free_seed).into());
        }
        if self.ends_restart != before.ends_restart {
            commands.push(EpisodeCommand::RestartAtEnd(self.ends_restart).into());
        }
        if self.repeat != before.repeat {
            commands.push(InputCommand::Repeat(self.repeat).into());
        }
        if self.planned_frames != before.planned_frames {
            commands.push(InputCommand::Plan(self.planned_frames).into());
        }
        if self.pace() != before.pace() {
            commands.push(PlaybackCommand::Pace(self.pace()).into());
        }
        commands
    }
}

/// What the world's network supports.
#[derive(Clone, Debug)]
pub struct SamplerLimits {
    /// Step counts: powers of two up to K_max.
    pub steps: Vec<usize>,
    /// Context length in frames, the current one included.
    pub context: RangeInclusive<usize>,
    /// Whether the network was trained with unknown actions, as guidance needs.
    pub guidance: bool,
    /// Whether the network has a long-term memory.
    pub memory: bool,
    /// Whether the network predicts episode ends.
    pub ends: bool,
    /// The sampler of a published world; `None` for the program's own.
    pub published: Option<PublishedSampler>,
    /// Whether the world has an agent that can plan.
    pub agent: bool,
}

impl SamplerLimits {
    /// The limits of a dynamics network.
    pub fn new(dynamics: &DynamicsConfig) -> Self {
        Self {
            steps: powers_of_two(dynamics.k_max),
            context: (dynamics.stem_frames + 1)..=dynamics.context,
            guidance: dynamics.unknown_action,
            memory: dynamics.remembers(),
            ends: dynamics.outcome > 0,
            published: None,
            agent: false,
        }
    }

    /// The limits of a world on a server.
    pub fn remote(world: &RemoteWorld) -> Self {
        let ends = |name| match world.setting(name)?.kind {
            SettingKind::Number { min, max, .. } => Some(min.max(1.0) as usize..=max as usize),
            SettingKind::Choice { .. } => None,
        };
        let most = ends("steps").map_or(1, |steps| *steps.end());
        Self {
            steps: powers_of_two(most.max(1)),
            context: ends("context")
                .filter(|context| !context.is_empty())
                .unwrap_or(1..=usize::MAX),
            guidance: world.setting("guidance").is_some(),
            memory: world.setting("recall").is_some(),
            ends: world.info().ends,
            published: None,
            agent: false,
        }
    }

    /// The limits of a published world.
    pub fn published(sampler: PublishedSampler) -> Self {
        let (steps, context) = match sampler {
            PublishedSampler::Edm => (vec![1, 2, 3, 5, 10], 1..=usize::MAX),
            PublishedSampler::Ddim { window } => (vec![2, 4, 6, 10, 20], 1..=window),
            PublishedSampler::Shortcut { window, k_max } => (powers_of_two(k_max), 1..=window),
        };
        Self {
            steps,
            context,
            guidance: false,
            memory: false,
            ends: sampler == PublishedSampler::Edm,
            published: Some(sampler),
            agent: false,
        }
    }
}

/// 1, 2, 4, … up to `most`.
fn powers_of_two(most: usize) -> Vec<usize> {
    std::iter::successors(Some(1_usize), |steps| steps.checked_mul(2))
        .take_while(|steps| *steps <= most)
        .collect()
}

#[cfg(test)]
pub(super) mod tests {
    use driftless_engine::Solver;

    use super::*;

    pub(crate) fn settings() -> TuningSettings {
        TuningSettings {
            params: SamplerParams::default(),
            free_seed: false,
            ends_restart: true,
            repeat: 1,
            planned_frames: 0,
            fps: 15.0,
            unlimited: false,
            scaling: Scaling::Sharp,
        }
    }

    #[test]
    fn invalid_params_are_not_sent() {
        let before = settings();
        let mut after = before;
        after.params.churn = 0.5;
        assert!(after.commands_since(&before).is_empty());
        let impossible = after;
        after.params.solver = Solver::Euler;
        let sent = after.commands_since(&impossible);
        assert_eq!(sent, [SamplerCommand::Params(after.params).into()]);
    }

    #[test]
    fn only_changes_are_sent() {
        let before = settings();
        let mut after = before;
        assert!(after.commands_since(&before).is_empty());
        after.scaling = Scaling::Smooth;
        assert!(after.commands_since(&before).is_empty());
        after.params.steps = 1;
        after.planned_frames = 200;
        after.unlimited = true;
        assert_eq!(
            after.commands_since(&before),
            [
                SamplerCommand::Params(after.params).into(),
                InputCommand::Plan(200).into(),
                PlaybackCommand::Pace(Pace::Unlimited).into()
            ]
        );
    }
}
