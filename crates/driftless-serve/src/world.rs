//! A world that is served. Every game of it has a state of its own; the weights are shared.

use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use driftless_data::{Clip, DatasetInfo};
use driftless_engine::{DeviceChoice, DeviceOptions, GpuSource, Sampler, SamplerParams, Threads};
use driftless_model::checkpoint::{STARTING_CLIPS, read_config};
use driftless_model::starting_clips;
use driftless_sim::{LearnedWorld, Player, PlayerFactory, matching_simulator};
use driftless_worlds::SimulatorKind;

use crate::Result;
use crate::protocol::WorldInfo;
use crate::settings::Settings;

/// A learned world, ready to be played by many.
pub struct ServedWorld {
    info: WorldInfo,
    settings: Settings,
    params: SamplerParams,
    simulator: Option<SimulatorKind>,
    /// Copied for each game.
    engine: Mutex<Sampler>,
    clips: Arc<[Clip]>,
}

impl ServedWorld {
    /// Opens the world in a checkpoint folder, under the name that players see. Frames take at most `max_steps`
    /// sampling steps.
    ///
    /// # Errors
    /// Returns an error if the checkpoint is missing or broken.
    pub fn open(name: &str, folder: &Path, max_steps: usize) -> Result<Self> {
        let config = read_config(folder)?;
        let options = DeviceOptions {
            device: DeviceChoice::Cpu,
            // Each game computes on the thread that gives it a turn.
            threads: Threads::Exactly(NonZeroUsize::MIN),
        };
        let engine = driftless_engine::open(folder, options, &GpuSource::Unavailable)?;
        let clips = starting_clips::read(&folder.join(STARTING_CLIPS), &config)?;
        let data = DatasetInfo::from(&config);
        let simulator = matching_simulator(&data);
        let settings = Settings::new(&config, max_steps);
        let own = SamplerParams::of_world(&config);
        let params = SamplerParams {
            steps: own.steps.min(max_steps),
            ..own
        };
        Ok(Self {
            info: WorldInfo {
                name: name.to_owned(),
                title: data.name,
                fps: data.fps,
                image: data.image,
                actions: data.actions,
                axes: data.axes,
                ends: config.dynamics.outcome > 0,
                clips: clips.len(),
                truth: simulator.is_some(),
                settings: settings.infos(),
                defaults: settings.values(&params),
            },
            settings,
            params,
            simulator,
            engine: Mutex::new(engine),
            clips: clips.into(),
        })
    }

    /// What players are told about it.
    pub fn info(&self) -> &WorldInfo {
        &self.info
    }

    /// Its sampler settings.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The sampler parameters that suit it.
    pub fn params(&self) -> SamplerParams {
        self.params
    }

    /// The simulator of the same frames and actions, if there is one.
    pub fn simulator(&self) -> Option<SimulatorKind> {
        self.simulator
    }

    /// A player of its own for each call.
    ///
    /// # Errors
    /// Returns an error if the engine cannot copy its state.
    pub fn player(&self) -> driftless_sim::Result<Box<dyn Player>> {
        let engine = self.engine.lock().unwrap_or_else(PoisonError::into_inner);
        let copy = engine.fork()?;
        Ok(Box::new(LearnedWorld::new(copy, Arc::clone(&self.clips))))
    }

    /// [`ServedWorld::player`] as a factory.
    pub fn factory(self: &Arc<Self>) -> Arc<PlayerFactory> {
        let world = Arc::clone(self);
        Arc::new(move |_| world.player())
    }
}
