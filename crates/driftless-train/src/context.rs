//! What is fixed for a whole run.

use candle_core::Device;

use driftless_model::config::WorldConfig;

use super::layout::RunLayout;
use super::ranks::Ranks;
use super::settings::TrainSettings;

/// What the training of every network needs to know of its run.
pub(super) struct RunContext {
    pub layout: RunLayout,
    pub settings: TrainSettings,
    pub world: WorldConfig,
    pub device: Device,
    pub ranks: Ranks,
}
