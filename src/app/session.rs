//! The game session: a world with its keys, thread options and tuning.

use std::sync::Arc;

use driftless_agent::Agent;
use driftless_clip::ClipMaker;
use driftless_data::DatasetInfo;
use driftless_engine::{GpuSource, SamplerParams};
use driftless_remote::RemoteWorld;
use driftless_sim::RecordOptions;

use super::keys::{Bindings, KeyMap, Shortcut};
use super::mouse::Mouse;
use super::present::Scaling;
use super::tuning::{SamplerLimits, TuningPanel, TuningSettings};
use crate::Result;
use crate::workspace::PlayableWorld;
use crate::workspace::playable_world::CheckpointOrigin;

/// What a world on a server cannot do in the window, and why.
const NOT_REMOTE: [(Shortcut, &str); 4] = [
    (
        Shortcut::Denoising,
        "The server sends pictures only, no denoising steps.",
    ),
    (
        Shortcut::Inspect,
        "The server sends pictures only, no latents and no attention.",
    ),
    (
        Shortcut::Share,
        "The files of this world are on the server.",
    ),
    (
        Shortcut::ShareGame,
        "The files of this world are on the server.",
    ),
];

/// The current game: a world, its bindings, thread options and tuning.
pub(super) struct GameSession {
    pub world: DatasetInfo,
    /// Whether a network predicts the frames, instead of a simulator.
    pub learned: bool,
    /// Frames of a starting clip, as many as the context holds; 0 for a simulator.
    pub clip_frames: usize,
    /// Where a learned world was loaded from.
    pub origin: Option<CheckpointOrigin>,
    /// The world on a server, if it is one.
    pub remote: Option<Arc<RemoteWorld>>,
    pub keys: KeyMap,
    pub sim: driftless_sim::SimOptions,
    pub tuning: TuningPanel,
}

impl GameSession {
    /// A session of `game`, at its own frame rate or at `fps`.
    ///
    /// # Errors
    /// Returns an error if a key binding is invalid.
    pub fn new(
        game: PlayableWorld,
        fps: Option<f32>,
        params: SamplerParams,
        record: Option<RecordOptions>,
    ) -> Result<Self> {
        let mut keys = KeyMap::new(&game.world.actions)?.with_axes(&game.world.axes)?;
        if game.remote.is_some() {
            for (shortcut, why) in NOT_REMOTE {
                keys = keys.refusing(shortcut, why);
            }
        } else if game.dynamics.is_none() {
            keys = keys.without(Shortcut::Denoising).without(Shortcut::Inspect);
        }
        if game.origin.is_none() && game.remote.is_none() {
            // Simulators are part of the program.
            keys = keys.without(Shortcut::Share).without(Shortcut::ShareGame);
        }
        let folder = game.origin.as_ref().map(|origin| &origin.folder);
        if !folder.is_some_and(|folder| ClipMaker::is_in(folder)) {
            keys = keys.without(Shortcut::Film);
        }
        let settings = TuningSettings {
            params,
            free_seed: false,
            ends_restart: true,
            repeat: 1,
            planned_frames: 0,
            fps: fps.unwrap_or(game.world.fps),
            unlimited: false,
            scaling: Scaling::default(),
        };
        let limits = match (&game.dynamics, &game.remote) {
            (Some(dynamics), _) => Some(SamplerLimits {
                agent: folder.is_some_and(|folder| Agent::is_in(folder)),
                ..SamplerLimits::new(dynamics)
            }),
            (None, Some(remote)) => Some(SamplerLimits::remote(remote)),
            (None, None) => game.published.map(SamplerLimits::published),
        };
        let tuning = TuningPanel::new(settings, limits, game.sampling);
        let shared = game.game.as_ref();
        let sim = driftless_sim::SimOptions {
            player: game.player,
            gpu_source: GpuSource::Own,
            resume_from: None,
            clip: game.first_clip,
            actions: shared.map(|game| game.actions().into()).unwrap_or_default(),
            action_params: shared.map(|game| game.params().into()).unwrap_or_default(),
            params: tuning.settings.params,
            random_seed: settings.free_seed,
            restart_at_end: settings.ends_restart,
            pace: settings.pace(),
            paused: false,
            record,
        };
        Ok(Self {
            world: game.world,
            origin: game.origin,
            learned: game.dynamics.is_some() || game.published.is_some() || game.remote.is_some(),
            remote: game.remote,
            clip_frames: game.dynamics.map_or(0, |dynamics| dynamics.context),
            keys,
            sim,
            tuning,
        })
    }

    /// A session played from the "New world" page, without shortcuts to other pages.
    ///
    /// # Errors
    /// Returns an error if a key binding is invalid.
    pub fn temporary(game: PlayableWorld) -> Result<Self> {
        let params = game.sampling;
        let mut session = Self::new(game, None, params, None)?;
        let keys = session.keys.without(Shortcut::NewWorld);
        session.keys = keys.without(Shortcut::Worlds).without(Shortcut::Film);
        Ok(session)
    }

    /// Like [`Self::temporary`], but records every frame, with a new seed at every restart.
    ///
    /// # Errors
    /// Returns an error if a key binding is invalid.
    pub fn recorded(game: PlayableWorld, record: RecordOptions) -> Result<Self> {
        let mut session = Self::temporary(game)?;
        // A dataset's frames must be consecutive.
        let navigates = |s| {
            matches!(
                s,
                Shortcut::PreviousFrame
                    | Shortcut::NextFrame
                    | Shortcut::Timeline
                    | Shortcut::QuickSave
                    | Shortcut::QuickLoad
            )
        };
        session.keys = session.keys.with_shortcuts(|shortcut| !navigates(shortcut));
        session.tuning.settings.free_seed = true;
        session.sim.random_seed = true;
        session.sim.record = Some(record);
        Ok(session)
    }

    /// The frames of the shared game that it begins with, if it does.
    pub fn shared_frames(&self) -> Option<usize> {
        let shared = !self.sim.action_params.is_empty();
        shared.then(|| self.sim.actions.len())
    }

    /// Forgets the actions to begin with, which apply only at the start.
    pub fn forget_actions(&mut self) {
        self.sim.actions = Arc::default();
        self.sim.action_params = Arc::default();
    }

    /// Applies the user's key bindings in `custom`. The mouse shortcut exists only in worlds with mouse
    /// controls.
    pub fn rebind(&mut self, custom: &Bindings) {
        // Invalid world keys were reported when the world was opened.
        let keys = KeyMap::with(&self.world.actions, custom);
        let Ok(keys) = keys.and_then(|keys| keys.with_axes(&self.world.axes)) else {
            return;
        };
        let mouse = Mouse::new(&keys).is_some();
        let before = self.keys.shortcuts().to_vec();
        let mut keys = keys.with_shortcuts(|shortcut| match shortcut {
            Shortcut::Mouse => mouse,
            other => before.contains(&other),
        });
        for shortcut in before {
            if let Some(why) = self.keys.why_not(shortcut) {
                keys = keys.refusing(shortcut, why);
            }
        }
        self.keys = keys;
    }
}
