//! What a caller learns about a training run while it goes on.

use std::path::Path;

use super::{PresetChoice, TrainStage};

/// Observes a training run, and may stop it. Every method has a default that does nothing.
///
/// ```
/// use driftless_train::{StepReport, TrainProgress};
///
/// /// Prints each loss and stops after the first good one.
/// struct UntilGood {
///     loss: f64,
/// }
///
/// impl TrainProgress for UntilGood {
///     fn step_done(&mut self, step: &StepReport) {
///         self.loss = step.loss;
///         println!("{} {}: {:.4}", step.stage.name(), step.step, step.loss);
///     }
///
///     fn should_stop(&mut self) -> bool {
///         self.loss < 0.01
///     }
/// }
/// ```
pub trait TrainProgress {
    /// A preset was chosen by what the data shows.
    fn preset_chosen(&mut self, _choice: &PresetChoice) {}

    /// All episodes are read and checked: training begins.
    fn data_read(&mut self, _frames: usize) {}

    /// Of the frames that the dynamics is trained on, so many of `total` are encoded.
    fn encoding(&mut self, _done: usize, _total: usize) {}

    /// A text encoder has read so many of `total` captions.
    fn reading_captions(&mut self, _done: usize, _total: usize) {}

    /// A stage begins or is resumed; `done` of `total` steps are done.
    fn stage_begun(&mut self, _stage: TrainStage, _total: u64, _done: u64) {}

    /// A step is done.
    fn step_done(&mut self, _step: &StepReport) {}

    /// State and checkpoint of a stage are saved.
    fn saved(&mut self, _stage: TrainStage, _step: u64) {}

    /// A preview picture is written.
    fn preview_written(&mut self, _path: &Path) {}

    /// A stage ends for now: it is finished, or the run stops.
    fn stage_ended(&mut self, _stage: TrainStage) {}

    /// Whether to save and stop. Asked before each step.
    fn should_stop(&mut self) -> bool {
        false
    }
}

/// Observes nothing.
impl TrainProgress for () {}

/// A step that was done.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepReport {
    /// What is trained.
    pub stage: TrainStage,
    /// Number of steps done, this one included.
    pub step: u64,
    /// The loss.
    pub loss: f64,
    /// Training throughput.
    pub frames_per_second: f64,
}

/// How a training run ended. It is saved in every case, and can be resumed unless it is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum TrainOutcome {
    /// All requested steps are done.
    Finished,
    /// The time limit was reached before.
    OutOfTime,
    /// [`TrainProgress::should_stop`] asked for it.
    Stopped,
}
