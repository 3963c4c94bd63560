//! The step loop: trains one network, logs, saves and writes previews.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use candle_core::{DType, Tensor};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use driftless_data::PathError as _;
use driftless_data::contact_sheet::ContactSheet;

use super::TrainStage;
use super::layout::{RunLayout, StateFiles};
use super::log::{LOG_EVERY, RunLog};
use super::optimizer::Optimizer;
use super::progress::{StepReport, TrainOutcome, TrainProgress};
use super::ranks::Ranks;
use super::state::{self, TrainingCounters};
use super::task::{StepOutput, Task};
use crate::{Error, Result};

/// The first rank's words before a step.
const STOP: u8 = 1;
const OUT_OF_TIME: u8 = 2;
/// How many episodes an error names.
const NAMED_EPISODES: usize = 8;

/// How long a run goes on, and from where.
pub(super) struct RunLimits {
    /// When to stop; `None` means never.
    deadline: Option<Instant>,
    /// Most steps of a stage.
    max_steps: u64,
    /// Whether to continue from the saved state.
    resume: bool,
}

impl RunLimits {
    /// Limits of a run. The time runs from now on.
    pub fn new(max_minutes: Option<f64>, max_steps: Option<u64>, resume: bool) -> Self {
        Self {
            deadline: max_minutes.and_then(|minutes| {
                let span = Duration::try_from_secs_f64(minutes * 60.0).ok()?;
                Instant::now().checked_add(span)
            }),
            max_steps: max_steps.unwrap_or(u64::MAX),
            resume,
        }
    }

    fn is_out_of_time(&self) -> bool {
        self.deadline.is_some_and(|at| Instant::now() >= at)
    }
}

/// The seed of a run, and how often it is saved and shown.
#[derive(Clone, Copy)]
pub(super) struct Pace {
    pub seed: u64,
    /// Minutes between two saves.
    pub save_minutes: f64,
    /// Minutes between two previews; 0: none.
    pub preview_minutes: f64,
}

/// What a run trains on, to be shown and named.
pub(super) trait TrainData {
    /// A sheet of real pictures and those that the saved checkpoint makes.
    fn preview(&self, stage: TrainStage) -> Result<ContactSheet>;

    /// Where the drawn frames or pictures come from, for an error.
    fn names(&self, drawn: &[usize]) -> Vec<String>;
}

/// Training of one network, up to a step.
pub(super) struct Pass {
    pub stage: TrainStage,
    /// Number of steps that are done at its end, those of earlier passes included.
    pub until: u64,
    /// Whether an earlier pass has saved the state that this one begins with.
    pub is_continued: bool,
    /// Whether a later pass trains the same network on.
    pub is_followed: bool,
}

impl Pass {
    /// All of a network's training.
    pub fn new(stage: TrainStage, until: u64) -> Self {
        Self {
            stage,
            until,
            is_continued: false,
            is_followed: false,
        }
    }
}

/// Trains networks one after the other.
pub(super) struct TrainLoop<'a> {
    pub layout: &'a RunLayout,
    pub pace: Pace,
    pub data: &'a dyn TrainData,
    pub limits: &'a RunLimits,
    /// Who trains together. The first writes the files.
    pub ranks: &'a Ranks,
}

impl TrainLoop<'_> {
    /// Whether a resumed run has done so many steps of a network.
    ///
    /// # Errors
    /// Returns an error if the saved state cannot be read.
    pub fn has_done(&self, stage: TrainStage, steps: u64) -> Result<bool> {
        let files = self.layout.state(stage);
        if !self.limits.resume || !files.exist() {
            return Ok(false);
        }
        Ok(state::read(&files)?.1.step >= steps.min(self.limits.max_steps))
    }

    /// Trains one network until the steps of the pass are done or the run has to stop, and saves it.
    ///
    /// # Errors
    /// Returns an error if the saved state does not match, the loss is not finite, or a file cannot
    /// be written. The last saved state is kept in every case.
    pub fn train(
        &self,
        task: &mut dyn Task,
        mut optimizer: Optimizer,
        pass: &Pass,
        progress: &mut dyn TrainProgress,
    ) -> Result<TrainOutcome> {
        let stage = task.stage();
        let steps = pass.until.min(self.limits.max_steps);
        let files = self.layout.state(stage);
        let mut counters = if pass.is_continued || self.limits.resume {
            restore(&files, task, &mut optimizer)?
        } else {
            TrainingCounters::default()
        };
        progress.stage_begun(stage, steps, counters.step);
        let log = self.ranks.is_first();
        let log = log.then(|| RunLog::open(self.layout, stage)).transpose()?;
        let minutes = self.pace.preview_minutes;
        let mut save_timer = Timer::start(self.pace.save_minutes);
        let mut preview_timer = Timer::start(minutes);
        // What was waited for before the first step is no part of it.
        self.ranks.take_waited();
        let outcome = loop {
            if counters.step >= steps {
                break TrainOutcome::Finished;
            }
            match self.ranks.first_says(self.stops(progress))? {
                STOP => break TrainOutcome::Stopped,
                OUT_OF_TIME => break TrainOutcome::OutOfTime,
                _ => {}
            }
            let index = counters.step;
            let step = match self.train_step(task, &mut optimizer, &mut counters) {
                // Nothing of the step was done, on any rank.
                Err(Error::Interrupted) => break TrainOutcome::Stopped,
                step => step?,
            };
            progress.step_done(&StepReport {
                stage,
                step: counters.step,
                loss: step.output.loss,
                frames_per_second: step.frames_per_second,
            });
            let Some(log) = &log else { continue };
            if index.is_multiple_of(LOG_EVERY) {
                let numbers = step.numbers(optimizer.schedule_factor(index), counters.seconds)?;
                log.numbers(counters.step, &numbers)?;
            }
            let preview_due = minutes > 0.0 && preview_timer.is_due();
            if preview_due || save_timer.is_due() {
                self.save(task, &optimizer, &counters, progress)?;
                save_timer.restart();
            }
            if preview_due {
                self.preview(log, counters.step, task, progress);
                preview_timer.restart();
            }
        };
        if let Some(log) = &log {
            self.save(task, &optimizer, &counters, progress)?;
            if minutes > 0.0 {
                self.preview(log, counters.step, task, progress);
            }
        }
        // The next stage begins with what was saved.
        self.ranks.agree(Ok(()))?;
        progress.stage_ended(stage);
        Ok(outcome)
    }

    /// Whether this rank would stop: [`STOP`], [`OUT_OF_TIME`] or neither.
    fn stops(&self, progress: &mut dyn TrainProgress) -> u8 {
        if progress.should_stop() {
            STOP
        } else if self.limits.is_out_of_time() {
            OUT_OF_TIME
        } else {
            0
        }
    }

    /// Draws a batch, updates the parameters and advances `counters`.
    fn train_step(
        &self,
        task: &mut dyn Task,
        optimizer: &mut Optimizer,
        counters: &mut TrainingCounters,
    ) -> Result<Step> {
        let started = Instant::now();
        let step = counters.step;
        let mut rng = self.random(step);
        task.before_step(step, optimizer)?;
        let output = task.step(step, &mut rng, &mut counters.loss_mean_squares)?;
        if !output.loss.is_finite() {
            return Err(self.diverged(task.stage(), step, "loss", &output));
        }
        let is_frozen = |name: &str| task.is_frozen(step, name);
        let gradient_norm = match output.gradient.apply(optimizer, step, is_frozen) {
            Err(Error::Diverged(_)) => {
                return Err(self.diverged(task.stage(), step, "gradient", &output));
            }
            norm => norm?,
        };
        let seconds = started.elapsed().as_secs_f64();
        let waited = self.ranks.take_waited();
        let frames = task.frames_per_step(step);
        counters.step += 1;
        counters.frames += frames;
        counters.seconds += seconds;
        Ok(Step {
            output,
            gradient_norm,
            seconds,
            waited,
            frames_per_second: frames as f64 / seconds,
        })
    }

    /// The random numbers of a step. Each has its own stream, so that a resumed run draws the same batches.
    fn random(&self, step: u64) -> ChaCha8Rng {
        let mut rng = ChaCha8Rng::seed_from_u64(self.pace.seed);
        rng.set_stream(step + 1);
        rng
    }

    /// Saves the state, from which the run goes on, and the checkpoint.
    ///
    /// # Errors
    /// Returns [`Error::Diverged`] if a number is not finite, which a run could not leave, or an error if a
    /// file cannot be written.
    fn save(
        &self,
        task: &mut dyn Task,
        optimizer: &Optimizer,
        counters: &TrainingCounters,
        progress: &mut dyn TrainProgress,
    ) -> Result<()> {
        let stage = task.stage();
        let mut tensors = optimizer.state();
        tensors.extend(task.state()?);
        let refuse = |what: &str| {
            let (name, step) = (stage.name(), counters.step);
            let next = self.after_divergence(stage, "at a lower learning rate");
            Err(Error::Diverged(format!(
                "{name}: {what} is not finite after step {step}; {next}"
            )))
        };
        for (name, tensor) in &tensors {
            if !is_finite(tensor)? {
                return refuse(&format!("`{name}`"));
            }
        }
        if !task.has_finite_loss(&mut self.random(counters.step))? {
            return refuse("the loss");
        }
        state::write(&self.layout.state(stage), &tensors, counters)?;
        task.export(counters.step, optimizer)?;
        progress.saved(stage, counters.step);
        Ok(())
    }

    /// What is left of a run that met a number that is not finite, and how to go on.
    fn after_divergence(&self, stage: TrainStage, how: &str) -> String {
        // The second stage of a run can be resumed from the first one's end.
        let first = match stage {
            TrainStage::Dynamics => TrainStage::Tokenizer,
            TrainStage::Clip => TrainStage::ClipActions,
            TrainStage::Imagination => TrainStage::Cloning,
            only => only,
        };
        if [stage, first]
            .iter()
            .any(|stage| self.layout.state(*stage).exist())
        {
            format!("the last save is kept: continue it with --resume, {how}")
        } else {
            format!("nothing was saved: start again {how}")
        }
    }

    /// The error for a loss or gradient that is not finite, with what was drawn.
    fn diverged(&self, stage: TrainStage, step: u64, what: &str, output: &StepOutput) -> Error {
        let names = self.data.names(&output.batch.frames);
        let mut episodes = names[..names.len().min(NAMED_EPISODES)].join(", ");
        if names.len() > NAMED_EPISODES {
            let _ = write!(episodes, " and {} more", names.len() - NAMED_EPISODES);
        }
        let how = "at a lower learning rate or without these episodes";
        let next = self.after_divergence(stage, how);
        Error::Diverged(format!(
            "{}: the {what} is not finite at step {step} (episodes {episodes}); {next}",
            stage.name(),
        ))
    }

    /// Writes a preview picture. A failure is only logged: it does not end the run.
    fn preview(&self, log: &RunLog, step: u64, task: &dyn Task, progress: &mut dyn TrainProgress) {
        let path = self.layout.preview(task.stage(), step);
        let written = self.data.preview(task.stage()).and_then(|sheet| {
            sheet.write(&path)?;
            log.preview(step, sheet.png, sheet.size)
        });
        match written {
            Ok(()) => progress.preview_written(&path),
            Err(error) => {
                tracing::warn!("could not write the preview {}: {error}", path.display());
            }
        }
    }
}

/// Tells when an interval has passed.
struct Timer {
    interval_seconds: f64,
    last: Instant,
}

impl Timer {
    fn start(minutes: f64) -> Self {
        Self {
            interval_seconds: minutes * 60.0,
            last: Instant::now(),
        }
    }

    fn is_due(&self) -> bool {
        self.last.elapsed().as_secs_f64() > self.interval_seconds
    }

    fn restart(&mut self) {
        self.last = Instant::now();
    }
}

/// The result of one step.
struct Step {
    output: StepOutput,
    gradient_norm: f64,
    seconds: f64,
    /// Time of it that was spent waiting for other ranks; `None` if there are none.
    waited: Option<Duration>,
    frames_per_second: f64,
}

impl Step {
    /// Named numbers for the log.
    fn numbers(
        &self,
        schedule_factor: f64,
        total_seconds: f64,
    ) -> Result<Vec<(&'static str, f64)>> {
        let output = &self.output;
        let mut numbers = vec![
            ("loss", output.loss),
            ("gradient", self.gradient_norm),
            ("rate", schedule_factor),
            ("frames_per_s", self.frames_per_second),
            ("seconds", total_seconds),
            (
                "fetching",
                output.batch.fetch_time.as_secs_f64() / self.seconds,
            ),
        ];
        if let Some(waited) = self.waited {
            numbers.push(("waiting", waited.as_secs_f64() / self.seconds));
        }
        for (name, value) in &output.metrics {
            numbers.push((*name, f64::from(value.to_scalar::<f32>()?)));
        }
        Ok(numbers)
    }
}

/// Restores the saved state of a stage, if there is one.
fn restore(
    files: &StateFiles,
    task: &mut dyn Task,
    optimizer: &mut Optimizer,
) -> Result<TrainingCounters> {
    if !files.exist() {
        return Ok(TrainingCounters::default());
    }
    let (tensors, counters) = state::read(files)?;
    let restored = optimizer.restore(&tensors);
    restored
        .and_then(|()| task.restore(&tensors))
        .map_err(|e| {
            let what = format!("the saved state does not match: {e}");
            Error::invalid(files.folder(), what)
        })?;
    Ok(counters)
}

/// Whether all values of a tensor are finite.
fn is_finite(tensor: &Tensor) -> Result<bool> {
    // The sum of zeros, or NaN.
    let zeros = tensor.to_dtype(DType::F32)?.affine(0.0, 0.0)?;
    Ok(zeros.sum_all()?.to_scalar::<f32>()?.is_finite())
}
