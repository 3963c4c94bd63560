//! What the settings step asks to be trained.

use std::path::PathBuf;

use driftless_train::TrainPreset;

use crate::workspace::background_run;

/// The chosen training settings.
#[derive(Debug)]
pub(super) struct TrainingRequest {
    pub name: String,
    pub minutes: Option<f64>,
    pub data: PathBuf,
    pub preset: TrainPreset,
    pub settings: Option<PathBuf>,
    pub playable_early: bool,
}

impl TrainingRequest {
    /// The training plan for a run in this folder.
    pub fn plan(&self, folder: PathBuf) -> background_run::RunPlan {
        background_run::RunPlan {
            name: self.name.clone(),
            data: self.data.clone(),
            folder,
            preset: self.preset,
            settings: self.settings.clone(),
            playable_early: self.playable_early,
        }
    }
}
