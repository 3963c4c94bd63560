//! How the window opens.

use std::path::PathBuf;
use std::sync::Arc;

use driftless_data::Action;
use driftless_engine::SamplerParams;
use driftless_sim::RecordOptions;
use driftless_worlds::SimulatorKind;

use crate::workspace::PlayableWorld;

/// How the window opens.
pub struct WindowOptions {
    /// The game to play.
    pub game: PlayableWorld,
    /// Target frame rate; `None` uses the world's own.
    pub fps: Option<f32>,
    /// Actions played before the player takes over.
    pub actions: Arc<[Action]>,
    /// Initial sampler parameters.
    pub params: SamplerParams,
    /// Where to write the played frames as an episode when the window closes. Their journal is in the folder for
    /// unfinished recordings in any case.
    pub record: Option<RecordOptions>,
    /// What it shows first.
    pub first: FirstPage,
    /// Where worlds, data and runs are stored; `None` uses the platform's folder.
    pub home: Option<PathBuf>,
}

/// What the window shows first.
#[derive(Clone, Debug, Default)]
pub enum FirstPage {
    /// The game.
    #[default]
    Game,
    /// Every world, to a person who has not played yet.
    Worlds,
    /// The "New world" page.
    NewWorld(NewWorldOptions),
    /// The page of the transport network in this checkpoint folder.
    Cells(PathBuf),
    /// The episodes of the dataset in this folder.
    Browse(PathBuf),
}

/// How the "New world" page opens.
#[derive(Clone, Debug, Default)]
pub struct NewWorldOptions {
    /// The step shown first.
    pub first: FirstStep,
    /// Training settings (TOML) offered by default.
    pub settings: Option<PathBuf>,
}

/// The step of the "New world" page shown first.
#[derive(Clone, Debug, Default)]
pub enum FirstStep {
    /// Choosing a source.
    #[default]
    Source,
    /// Playing and recording this simulator.
    Record(SimulatorKind),
    /// Training settings for this dataset.
    Data(PathBuf),
    /// An existing training run.
    Run(PathBuf),
}
