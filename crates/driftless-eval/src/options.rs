//! What an evaluation is asked to measure, and how its caller learns how far it is.

use driftless_engine::SamplerParams;

use super::lpips::Lpips;
use super::pose::PoseProbe;
use crate::{Error, Result};

/// Number of frames of a free run that its contact sheet shows.
const FREE_RUN_PICTURES: usize = 50;

/// The most frames, or runs, of anything.
pub(crate) const MAX_FRAMES: usize = 10_000_000;

/// What to measure, and on how many frames.
#[derive(Clone, Debug, PartialEq)]
pub struct EvalOptions {
    /// Number of rollouts, spread evenly over the held-out episodes.
    pub sequences: usize,
    /// Frames of the starting clip of each rollout.
    pub clip_frames: usize,
    /// Predicted frames per rollout.
    pub horizon: usize,
    /// Denoise passes per frame, K. Rollouts are measured for each value.
    pub steps: Vec<usize>,
    /// Frames on which the tokenizer is measured.
    pub tokenizer_frames: usize,
    /// One-step predictions of the ball.
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
            clip_frames: 12,
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

    /// Checks the ranges.
    ///
    /// # Errors
    /// Returns an error if nothing would be measured.
    pub(crate) fn check(&self) -> Result<()> {
        for (name, value) in [
            ("sequences", self.sequences),
            ("clip", self.clip_frames),
            ("horizon", self.horizon),
            ("steps", self.steps.len()),
        ] {
            if value == 0 {
                return Err(Error::Argument(format!("{name} is 0, expected at least 1")));
            }
        }
        for (name, value) in [
            ("sequences", self.sequences),
            ("clip", self.clip_frames),
            ("horizon", self.horizon),
            ("tokenizer_frames", self.tokenizer_frames),
            ("one_step", self.one_step),
            ("free_runs", self.free_runs),
            ("free_frames", self.free_frames),
            ("free_bin", self.free_bin),
        ] {
            if value > MAX_FRAMES {
                let what = format!("{name} is {value}, expected at most {MAX_FRAMES}");
                return Err(Error::Argument(what));
            }
        }
        Ok(())
    }
}

/// Networks that look at frames, for measures that need them.
#[derive(Clone, Copy, Default)]
pub struct Probes<'a> {
    /// Reads position and direction from a frame.
    pub pose: Option<&'a PoseProbe>,
    /// Measures the perceptual distance of two frames.
    pub lpips: Option<&'a Lpips>,
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

    /// Announces the number of engine steps of the evaluation.
    pub(crate) fn start(&mut self, total: usize) {
        self.total = total;
    }

    pub(crate) fn advance(&mut self, steps: usize) {
        self.done += steps;
        (self.show)(self.done, self.total.max(self.done));
    }
}
