//! The complete evaluation of a world, and its results as one serializable report.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use driftless_data::{Dataset, Episode, contact_sheet};
use driftless_engine::Sampler;

use super::free_run::FreeRunReport;
use super::one_step::OneStepReport;
use super::options::{EvalOptions, EvalProgress, Probes};
use super::outcomes::OutcomeReport;
use super::regions::RegionReport;
use super::rollout_report::{RolloutReport, ShuffledReport};
use super::tokenizer::TokenizerReport;
use super::{free_run, horizons, object_truth, one_step, outcomes, regions, tokenizer};
use crate::{Error, Result};

/// The results of an evaluation.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EvalReport {
    /// The world's name.
    pub world: String,
    /// The engine's name.
    pub engine: String,
    /// The dataset's name.
    pub data: String,
    /// Number of held-out episodes.
    pub episodes: usize,
    /// Number of frames in them.
    pub frames: usize,
    /// Number of rollouts.
    pub sequences: usize,
    /// Frames of the starting clip of each rollout.
    #[serde(rename = "context")]
    pub clip_frames: usize,
    /// Backbone of the LPIPS distances; `None` without one.
    pub lpips: Option<String>,
    /// Signal level τ_ctx of the context frames.
    pub context_signal: f32,
    /// Seed of the first rollout.
    pub seed: u64,
    /// The tokenizer alone.
    pub tokenizer: TokenizerReport,
    /// Objects and what surrounds them in frames predicted one step ahead, at one K; `None` if the
    /// camera moves.
    pub one_step_regions: Option<RegionReport>,
    /// The rollouts and the references they compare with.
    pub rollouts: Vec<RolloutReport>,
    /// Response to actions; `None` for worlds without known objects.
    pub shuffled: Option<ShuffledReport>,
    /// One-step predictions of the ball; empty for worlds without known objects.
    pub one_step: Vec<OneStepReport>,
    /// Predicted rewards and ends; `None` for a world that predicts none.
    pub outcomes: Option<OutcomeReport>,
    /// Free runs; `None` if none were requested.
    pub free: Option<FreeRunReport>,
    /// Duration of the evaluation.
    pub seconds: f64,
}

/// Evaluates a world on held-out episodes. Poses and LPIPS are measured if `probes` has them, and
/// contact sheets are written if there is a `picture_folder`.
///
/// # Errors
/// Returns an error if the episodes do not match the world or are too short, an option is out of
/// range, the device fails, or a picture cannot be written.
pub fn run(
    engine: &mut Sampler,
    dataset: &Dataset,
    options: &EvalOptions,
    probes: Probes<'_>,
    picture_folder: Option<&Path>,
    progress: &mut EvalProgress,
) -> Result<EvalReport> {
    let started = Instant::now();
    options.check()?;
    check_dataset(engine, dataset)?;
    let episodes = &dataset.episodes;
    progress.start(total_steps(options, dataset));
    let tokenizer = tokenizer::measure(engine, episodes, options.tokenizer_frames)?;
    let one_step_regions = if tokenizer.regions.is_some() {
        regions::measure_one_step(engine, episodes, options, progress)?
    } else {
        progress.advance(options.one_step);
        None
    };
    let cases = horizons::cases(engine, episodes, options)?;
    let rollouts = horizons::measure(engine, &cases, options, probes, progress)?;
    let one_step = one_step::measure(engine, episodes, options, progress)?;
    let outcomes = outcomes::measure(engine, episodes, options, progress)?;
    let free = if options.free_runs == 0 || options.free_frames == 0 {
        None
    } else {
        Some(free_run::measure(engine, episodes, options, progress)?)
    };
    let (free, free_pictures) = free.unzip();
    if let Some(folder) = picture_folder {
        let size = engine.world().image;
        let real: Vec<&[u8]> = cases.iter().map(|case| case.images.as_slice()).collect();
        contact_sheet::write_rollouts(folder, &real, &rollouts.predictions, size)?;
        contact_sheet::write_free_runs(folder, &free_pictures.unwrap_or_default(), size)?;
    }
    Ok(EvalReport {
        world: engine.world().name.clone(),
        engine: engine.name().to_owned(),
        data: dataset.info.name.clone(),
        episodes: episodes.len(),
        frames: episodes.iter().map(Episode::frames).sum(),
        sequences: cases.len(),
        clip_frames: options.clip_frames,
        lpips: probes.lpips.map(|lpips| lpips.name().to_owned()),
        context_signal: options.params.context_signal,
        seed: options.params.seed,
        tokenizer,
        one_step_regions,
        rollouts: rollouts.reports,
        shuffled: rollouts.shuffled,
        one_step,
        outcomes,
        free,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Number of engine steps of an evaluation.
fn total_steps(options: &EvalOptions, dataset: &Dataset) -> usize {
    let rollouts = options.sequences * options.horizon * (options.steps.len() + 1);
    let truth = object_truth::game(&dataset.episodes).is_some();
    let one_step = if truth { options.one_step } else { 0 } * options.steps.len();
    rollouts + options.one_step + one_step + options.free_runs * options.free_frames
}

/// Checks that the dataset has the frame size and the actions of the world, and an episode.
pub(crate) fn check_dataset(engine: &Sampler, dataset: &Dataset) -> Result<()> {
    let world = engine.world();
    let names = |actions: &[driftless_data::ActionSpec]| -> Vec<String> {
        actions.iter().map(|action| action.name.clone()).collect()
    };
    let (expected, found) = (names(&world.actions), names(&dataset.info.actions));
    if expected != found {
        return Err(Error::Episodes(format!(
            "the dataset's actions are {found:?}, expected {expected:?} as in the world"
        )));
    }
    if world.image != dataset.info.image {
        return Err(Error::Episodes(format!(
            "the dataset's frames are {:?} pixels, expected {:?} (height, width) as in the world",
            dataset.info.image, world.image
        )));
    }
    if dataset.episodes.is_empty() {
        return Err(Error::Episodes(
            "the dataset has no episodes, expected at least one .npz file".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
