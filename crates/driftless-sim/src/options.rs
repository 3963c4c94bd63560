//! How a world-model thread starts, and what remains of it.

use driftless_data::Action;
use std::sync::Arc;

use driftless_engine::{GpuSource, SamplerParams};

use super::{History, Pace, Player, RecordOptions, Session};
use crate::Result;

/// Makes the player, on the given device. Called once for each thread, inside it.
pub type PlayerFactory = dyn Fn(&GpuSource) -> Result<Box<dyn Player>> + Send + Sync;

/// How a world-model thread starts.
#[derive(Clone)]
pub struct SimOptions {
    /// Makes the player inside the thread.
    pub player: Arc<PlayerFactory>,
    /// The device to compute on.
    pub gpu_source: GpuSource,
    /// The history of an earlier thread, to continue from its current frame; or an empty one, for its limits.
    pub resume_from: Option<Arc<History>>,
    /// Index of the first starting clip.
    pub clip: usize,
    /// Actions of the first frames, as in [`super::InputCommand::Play`]; may be empty.
    pub actions: Arc<[Action]>,
    /// Sampler parameters that come with `actions`, each with the number of the first frame that they make, as
    /// [`super::Game::params`] has them. With any, an end of an episode does not cut the actions short.
    pub action_params: Arc<[(usize, SamplerParams)]>,
    /// Sampler parameters of the first frame.
    pub params: SamplerParams,
    /// Whether every reset draws a new seed.
    pub random_seed: bool,
    /// Whether a predicted end of the episode resets.
    pub restart_at_end: bool,
    /// The pace.
    pub pace: Pace,
    /// Whether the thread starts paused.
    pub paused: bool,
    /// The recording, if there is one. The owner writes it when the thread has ended.
    pub record: Option<RecordOptions>,
}

impl SimOptions {
    /// Plays the first clip as fast as possible on a device of the player's own, with default
    /// sampler parameters. A predicted end resets; nothing is recorded.
    pub fn new(player: Arc<PlayerFactory>) -> Self {
        Self {
            player,
            gpu_source: GpuSource::Own,
            resume_from: None,
            clip: 0,
            actions: Arc::default(),
            action_params: Arc::default(),
            params: SamplerParams::default(),
            random_seed: false,
            restart_at_end: true,
            pace: Pace::Unlimited,
            paused: false,
            record: None,
        }
    }
}

/// What remains of a world-model thread that has ended.
#[derive(Debug, Default)]
pub struct ThreadExit {
    /// The recording, if there is one.
    pub session: Option<Session>,
    /// The history, from which another thread can continue.
    pub history: History,
}
