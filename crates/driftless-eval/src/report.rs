//! The complete evaluation of a world, and its results as one serializable report.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use driftless_data::{Dataset, contact_sheet as pictures};
use driftless_engine::{Engine, SamplerParams};

use super::free_run::FreeRunReport;
use super::horizons::{RolloutReport, ShuffledReport};
use super::one_step::OneStepReport;
use super::outcomes::OutcomeReport;
use super::pose::PoseProbe;
use super::tokenizer::TokenizerReport;
use super::{free_run, horizons, one_step, outcomes, tokenizer};
use crate::{Error, Result};

/// Number of frames of a free run that its contact sheet shows.
const FREE_RUN_PICTURES: usize = 50;

/// What to measure, and on how many frames.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalOptions {
    /// Number of rollouts, spread evenly over the held-out episodes.
    pub sequences: usize,
    /// Context frames per rollout.
    pub context: usize,
    /// Predicted frames per rollout.
    pub horizon: usize,
    /// Denoise passes per frame, K. Rollouts are measured for each value.
    pub steps: Vec<usize>,
    /// Frames on which the tokenizer is measured.
    pub tokenizer_frames: usize,
    /// One-step predictions for [`EvalReport::one_step`].
    pub one_step: usize,
    /// Number of free runs.
    pub free_runs: usize,
    /// Frames per free run.
    pub free_frames: usize,
    /// Frames of a free run that are counted in one bin.
    pub free_bin: usize,
    /// All other sampler parameters. `steps` is ignored; the seed is that of the first rollout.
    pub params: SamplerParams,
}

impl Default for EvalOptions {
    fn default() -> Self {
        Self {
            sequences: 32,
            context: 12,
            horizon: 64,
            steps: vec![1, 2, 4, 8],
            tokenizer_frames: 1000,
            one_step: 256,
            free_runs: 4,
            free_frames: 1000,
            free_bin: 200,
            params: SamplerParams::default(),
        }
    }
}

impl EvalOptions {
    /// The K of what is measured for one K only: 4, or the largest if 4 is not among `steps`.
    pub fn main_steps(&self) -> usize {
        let largest = self.steps.iter().copied().max().unwrap_or(4);
        if self.steps.contains(&4) { 4 } else { largest }
    }

    /// Frames from one picture of a free run to the next.
    pub(crate) fn picture_interval(&self) -> usize {
        (self.free_frames / FREE_RUN_PICTURES).max(1)
    }

    fn check(&self) -> Result<()> {
        for (name, value) in [
            ("sequences", self.sequences),
            ("context", self.context),
            ("horizon", self.horizon),
            ("steps", self.steps.len()),
        ] {
            if value == 0 {
                return Err(Error::Argument(format!("{name} is 0, expected at least 1")));
            }
        }
        Ok(())
    }

    /// Number of engine steps of the evaluation.
    fn total_steps(&self, dataset: &Dataset) -> usize {
        let rollouts = self.sequences * self.horizon * (self.steps.len() + 1);
        let truth = super::object_truth::game(&dataset.episodes).is_some();
        let one_step = if truth { self.one_step } else { 0 } * self.steps.len();
        rollouts + one_step + self.free_runs * self.free_frames
    }
}

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
    /// Context frames per rollout.
    pub context: usize,
    /// Signal level τ_ctx of the context frames.
    pub context_signal: f32,
    /// Seed of the first rollout.
    pub seed: u64,
    /// The tokenizer alone.
    pub tokenizer: TokenizerReport,
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

/// Reports the progress of an evaluation in engine steps.
pub struct EvalProgress<'a> {
    done: usize,
    total: usize,
    show: &'a mut dyn FnMut(usize, usize),
}

impl<'a> EvalProgress<'a> {
    /// Calls `show(done, total)` as work is done.
    pub fn new(show: &'a mut dyn FnMut(usize, usize)) -> Self {
        Self {
            done: 0,
            total: 0,
            show,
        }
    }

    pub(crate) fn advance(&mut self, steps: usize) {
        self.done += steps;
        (self.show)(self.done, self.total.max(self.done));
    }
}

/// Evaluates a world on held-out episodes. Poses are measured if there is a `probe`, and contact
/// sheets are written if there is a `picture_folder`.
///
/// # Errors
/// Returns an error if the episodes do not match the world or are too short, an option is out of
/// range, the device fails, or a picture cannot be written.
pub fn run(
    engine: &mut dyn Engine,
    dataset: &Dataset,
    options: &EvalOptions,
    probe: Option<&PoseProbe>,
    picture_folder: Option<&Path>,
    progress: &mut EvalProgress,
) -> Result<EvalReport> {
    let started = Instant::now();
    options.check()?;
    check_dataset(engine, dataset)?;
    let episodes = &dataset.episodes;
    progress.total = options.total_steps(dataset);
    let tokenizer = tokenizer::measure(engine, episodes, options.tokenizer_frames)?;
    let cases = horizons::cases(engine, episodes, options)?;
    let rollouts = horizons::measure(engine, &cases, options, probe, progress)?;
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
        pictures::write_rollouts(folder, &real, &rollouts.predictions, size)?;
        pictures::write_free_runs(folder, &free_pictures.unwrap_or_default(), size)?;
    }
    Ok(EvalReport {
        world: engine.world().name.clone(),
        engine: engine.name().to_owned(),
        data: dataset.info.name.clone(),
        episodes: episodes.len(),
        frames: episodes.iter().map(driftless_data::Episode::frames).sum(),
        sequences: cases.len(),
        context: options.context,
        context_signal: options.params.context_signal,
        seed: options.params.seed,
        tokenizer,
        rollouts: rollouts.reports,
        shuffled: rollouts.shuffled,
        one_step,
        outcomes,
        free,
        seconds: started.elapsed().as_secs_f64(),
    })
}

/// Checks that the dataset has the frame size and the actions of the world, and an episode.
fn check_dataset(engine: &dyn Engine, dataset: &Dataset) -> Result<()> {
    let world = engine.world();
    let names = |actions: &[driftless_data::ActionSpec]| -> Vec<String> {
        actions.iter().map(|action| action.name.clone()).collect()
    };
    let (expected, found) = (names(&world.actions), names(&dataset.info.actions));
    if expected != found {
        return Err(Error::Argument(format!(
            "the dataset's actions are {found:?}, expected {expected:?} as in the world"
        )));
    }
    if world.image != dataset.info.image {
        return Err(Error::Argument(format!(
            "the dataset's frames are {:?} pixels, expected {:?} (height, width) as in the world",
            dataset.info.image, world.image
        )));
    }
    if dataset.episodes.is_empty() {
        return Err(Error::Argument(
            "the dataset has no episodes, expected at least one .npz file".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
