//! What the window plays: a world with its keys, its thread's options and its tuning.

use std::path::PathBuf;
use std::sync::Arc;

use super::keys::{Bindings, KeyMap, Shortcut};
use super::mouse::Mouse;
use super::present::Scaling;
use super::tuning::{Settings, Tuning};
use crate::Result;
use crate::workspace::Game;
use crate::workspace::game::Origin;
use driftless_data::DatasetInfo;
use driftless_engine::{SamplerParams, Seat};

/// A world as the window plays it.
pub(super) struct Played {
    pub world: DatasetInfo,
    /// Whether frames are predicted and not simulated.
    pub sampled: bool,
    /// Frames that a dream starts from; 0 of what starts by itself.
    pub context: usize,
    /// Where a learned world comes from.
    pub origin: Option<Origin>,
    pub keys: KeyMap,
    pub sim: driftless_sim::Options,
    pub tuning: Tuning,
}

impl Played {
    /// A game at its own pace, or at `fps`.
    ///
    /// # Errors
    /// A key binding is wrong.
    pub fn new(
        game: Game,
        fps: Option<f32>,
        params: SamplerParams,
        record: Option<PathBuf>,
    ) -> Result<Self> {
        let mut keys = KeyMap::new(&game.world.actions)?;
        if game.dynamics.is_none() {
            keys = keys.without(Shortcut::Denoising).without(Shortcut::Inspect);
        }
        let settings = Settings {
            params,
            free_seed: false,
            ends_restart: true,
            repeat: 1,
            fps: fps.unwrap_or(game.world.fps),
            unlimited: false,
            scaling: Scaling::default(),
        };
        let tuning = Tuning::new(settings, game.dynamics.as_ref());
        let sim = driftless_sim::Options {
            player: game.player,
            seat: Seat::Own,
            from: None,
            context: game.first_context,
            actions: Arc::default(),
            params: tuning.settings.params,
            free_seed: settings.free_seed,
            ends_restart: settings.ends_restart,
            pace: settings.pace(),
            paused: false,
            record,
        };
        Ok(Self {
            world: game.world,
            origin: game.origin,
            sampled: game.dynamics.is_some(),
            context: game.dynamics.map_or(0, |dynamics| dynamics.context),
            keys,
            sim,
            tuning,
        })
    }

    /// A game on a way from the "New world" page and back to it.
    ///
    /// # Errors
    /// A key binding is wrong.
    pub fn away(game: Game) -> Result<Self> {
        let mut played = Self::new(game, None, SamplerParams::default(), None)?;
        let keys = played.keys.without(Shortcut::NewWorld);
        played.keys = keys.without(Shortcut::Worlds);
        Ok(played)
    }

    /// The same, where every frame is kept and every reset is another world.
    ///
    /// # Errors
    /// A key binding is wrong.
    pub fn recorded(game: Game, folder: PathBuf) -> Result<Self> {
        let mut played = Self::away(game)?;
        // One frame must follow the other in a dataset.
        let travels = |s| matches!(s, Shortcut::Back | Shortcut::Ahead | Shortcut::Timeline);
        played.keys = played.keys.keeping(|shortcut| !travels(shortcut));
        played.tuning.settings.free_seed = true;
        played.sim.free_seed = true;
        played.sim.record = Some(folder);
        Ok(played)
    }

    /// Plays with a person's `own` keys. The mouse has a key where there is something to do for it.
    pub fn rebind(&mut self, own: &Bindings) {
        // What is wrong with the world's keys was said when it was opened.
        let Ok(keys) = KeyMap::with(&self.world.actions, own) else {
            return;
        };
        let mouse = Mouse::new(&keys).is_some();
        let before = self.keys.shortcuts().to_vec();
        self.keys = keys.keeping(|shortcut| match shortcut {
            Shortcut::Mouse => mouse,
            other => before.contains(&other),
        });
    }
}
