//! The whole evaluation of a world, and its numbers as one serialisable report.

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::free::{self, FreeReport};
use super::horizons::{self, RolloutReport, Shuffled};
use super::one_step::{self, OneStep};
use super::outcomes::{self, OutcomeReport};
use super::pose::Probe;
use super::tokenizer::{self, TokenizerReport};
use crate::{Error, Result};
use driftless_data::Dataset;
use driftless_data::contact_sheet as pictures;
use driftless_engine::{Engine, SamplerParams};

/// Frames of a free run that a picture shows.
const FREE_PICTURES: usize = 50;

/// What to measure, and how much of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// Sequences to roll out, spread evenly over the held-out episodes.
    pub sequences: usize,
    /// Context frames of each.
    pub context: usize,
    /// Frames to predict after the context.
    pub horizon: usize,
    /// Denoise passes a frame, K: every value is measured.
    pub steps: Vec<usize>,
    /// Frames for the tokenizer's measures.
    pub tokenizer_frames: usize,
    /// Predictions of a single frame for the patch-crossing measure.
    pub one_step: usize,
    /// Free runs.
    pub free_runs: usize,
    /// Frames of each free run.
    pub free_frames: usize,
    /// Frames of a free run that are counted together.
    pub free_bin: usize,
    /// Everything else about sampling; `steps` is ignored, the seed is the first sequence's.
    pub params: SamplerParams,
}

impl Default for Options {
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

impl Options {
    /// The K of the measures that are taken at one K only: 4, or else the largest.
    pub fn main_steps(&self) -> usize {
        let largest = self.steps.iter().copied().max().unwrap_or(4);
        if self.steps.contains(&4) { 4 } else { largest }
    }

    /// Every how many frames of a free run a picture is kept.
    pub(crate) fn picture_every(&self) -> usize {
        (self.free_frames / FREE_PICTURES).max(1)
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

    /// Engine steps of the whole evaluation.
    fn work(&self, dataset: &Dataset) -> usize {
        let rollouts = self.sequences * self.horizon * (self.steps.len() + 1);
        let truth = super::truth::game(&dataset.episodes).is_some();
        let one_step = if truth { self.one_step } else { 0 } * self.steps.len();
        rollouts + one_step + self.free_runs * self.free_frames
    }
}

/// Everything that was measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The world's name.
    pub world: String,
    /// The engine's name.
    pub engine: String,
    /// The dataset's name.
    pub data: String,
    /// Held-out episodes.
    pub episodes: usize,
    /// Frames in them.
    pub frames: usize,
    /// Sequences rolled out.
    pub sequences: usize,
    /// Context frames of each.
    pub context: usize,
    /// Signal level τ_ctx of the context.
    pub context_signal: f32,
    /// Seed of the first sequence.
    pub seed: u64,
    /// The tokenizer alone.
    pub tokenizer: TokenizerReport,
    /// Rollouts beside their references.
    pub rollouts: Vec<RolloutReport>,
    /// Whether the world obeys; none for worlds without known objects.
    pub shuffled: Option<Shuffled>,
    /// The ball one frame later; empty for worlds without known objects.
    pub one_step: Vec<OneStep>,
    /// Predicted rewards and ends; none of a world that predicts none.
    pub outcomes: Option<OutcomeReport>,
    /// Free running; none where no free run was asked for.
    pub free: Option<FreeReport>,
    /// Wall time of the evaluation.
    pub seconds: f64,
}

/// Counts engine steps for whoever watches.
pub struct Progress<'a> {
    done: usize,
    total: usize,
    show: &'a mut dyn FnMut(usize, usize),
}

impl<'a> Progress<'a> {
    /// Calls `show(done, total)` as work is done.
    pub fn new(show: &'a mut dyn FnMut(usize, usize)) -> Self {
        Self {
            done: 0,
            total: 0,
            show,
        }
    }

    pub(crate) fn tick(&mut self, steps: usize) {
        self.done += steps;
        (self.show)(self.done, self.total.max(self.done));
    }
}

/// Measures a world on held-out episodes, poses with a `probe` where there is one; writes contact
/// sheets where a folder is named.
///
/// # Errors
/// The episodes do not fit the world or are too short, a number is out of range, the device
/// failed, or a picture cannot be written.
pub fn run(
    engine: &mut dyn Engine,
    dataset: &Dataset,
    options: &Options,
    probe: Option<&Probe>,
    picture_folder: Option<&Path>,
    progress: &mut Progress,
) -> Result<Report> {
    let started = Instant::now();
    options.check()?;
    check_fit(engine, dataset)?;
    let episodes = &dataset.episodes;
    progress.total = options.work(dataset);
    let tokenizer = tokenizer::measure(engine, episodes, options.tokenizer_frames)?;
    let cases = horizons::cases(engine, episodes, options)?;
    let rollouts = horizons::measure(engine, &cases, options, probe, progress)?;
    let one_step = one_step::measure(engine, episodes, options, progress)?;
    let outcomes = outcomes::measure(engine, episodes, options, progress)?;
    let free = match options.free_runs.min(options.free_frames) {
        0 => None,
        _ => Some(free::measure(engine, episodes, options, progress)?),
    };
    let (free, free_frames) = free.unzip();
    if let Some(folder) = picture_folder {
        let size = engine.world().image;
        let truth: Vec<&[u8]> = cases.iter().map(|case| case.images.as_slice()).collect();
        pictures::write_rollouts(folder, &truth, &rollouts.dreams, size)?;
        pictures::write_free_runs(folder, &free_frames.unwrap_or_default(), size)?;
    }
    Ok(Report {
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

/// Frames and actions of the dataset must be those of the world.
fn check_fit(engine: &dyn Engine, dataset: &Dataset) -> Result<()> {
    let world = engine.world();
    let names = |actions: &[driftless_data::ActionSpec]| -> Vec<String> {
        actions.iter().map(|action| action.name.clone()).collect()
    };
    let (ours, theirs) = (names(&world.actions), names(&dataset.info.actions));
    if ours != theirs {
        return Err(Error::Argument(format!(
            "the dataset's actions are {theirs:?}, the world expects {ours:?}"
        )));
    }
    if world.image != dataset.info.image {
        return Err(Error::Argument(format!(
            "the dataset's frames are {:?} pixels, the world expects {:?}",
            dataset.info.image, world.image
        )));
    }
    if dataset.episodes.is_empty() {
        return Err(Error::Argument(
            "the dataset holds no episode, expected at least one .npz".to_owned(),
        ));
    }
    Ok(())
}

#[cfg(test)]
#[path = "report_tests.rs"]
mod tests;
