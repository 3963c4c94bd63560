//! The training of one network, as the step loop sees it.

use std::collections::BTreeMap;
use std::time::Duration;

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use rand_chacha::ChaCha8Rng;

use super::TrainStage;
use super::frame_errors::FrameError;
use super::loss_scaling::{AuxiliaryLoss, combine};
use super::optimizer::{FlatGradient, Optimizer};
use crate::Result;

/// The training of one network.
pub(super) trait Task {
    /// Which network it is.
    fn stage(&self) -> TrainStage;

    /// Number of frames that a step trains on.
    fn frames_per_step(&self, step: u64) -> u64;

    /// Called before each step; may replace parameters.
    fn before_step(&mut self, _step: u64, _optimizer: &mut Optimizer) -> Result<()> {
        Ok(())
    }

    /// Draws a batch and returns its loss with the gradient. `mean_squares` are the running mean
    /// squares of the losses, by which auxiliary losses are scaled.
    fn step(
        &mut self,
        step: u64,
        rng: &mut ChaCha8Rng,
        mean_squares: &mut BTreeMap<String, f64>,
    ) -> Result<StepOutput>;

    /// Whether the loss of a batch is finite with the parameters as they are. Finite parameters can be too large
    /// for that. A training that cannot tell without changing what comes next says that it is.
    ///
    /// # Errors
    /// As [`Task::step`].
    fn has_finite_loss(&mut self, _rng: &mut ChaCha8Rng) -> Result<bool> {
        Ok(true)
    }

    /// What has to be saved besides the parameters.
    fn state(&self) -> Result<BTreeMap<String, Tensor>> {
        Ok(BTreeMap::new())
    }

    /// Restores what [`Task::state`] returned; tensors that are missing keep their initial value.
    fn restore(&mut self, _state: &BTreeMap<String, Tensor>) -> Result<()> {
        Ok(())
    }

    /// Whether a parameter is not trained at this step.
    fn is_frozen(&self, _step: u64, _name: &str) -> bool {
        false
    }

    /// Writes the averaged weights into the checkpoint.
    fn export(&self, step: u64, optimizer: &Optimizer) -> Result<()>;
}

/// The losses of a step, before they are combined.
pub(super) struct Losses {
    pub main: Tensor,
    pub auxiliary: Vec<AuxiliaryLoss>,
    /// Named scalars for the log.
    pub metrics: Vec<(&'static str, Tensor)>,
    /// What was drawn.
    pub batch: BatchReport,
}

/// What a step has drawn to train on.
#[derive(Default)]
pub(super) struct BatchReport {
    /// The frames, or the first frame of each sequence, among all frames of the store.
    pub frames: Vec<usize>,
    /// Time spent on reading the frames.
    pub fetch_time: Duration,
    /// Error of each frame, where frames are drawn by their errors.
    pub errors: Vec<FrameError>,
}

impl BatchReport {
    /// Sets the errors of the frames in their order, for frames that the network saw without noise.
    pub fn set_frame_errors(&mut self, errors: &[f32]) {
        let errors = self.frames.iter().zip(errors);
        self.errors = errors
            .map(|(frame, error)| FrameError {
                frame: *frame,
                error: *error,
                signal: 1.0,
            })
            .collect();
    }
}

impl Losses {
    /// Combines the losses and computes their gradient with candle.
    pub fn backward(self, mean_squares: &mut BTreeMap<String, f64>) -> Result<StepOutput> {
        let loss = combine(&self.main, &self.auxiliary, mean_squares)?;
        let auxiliary = self.auxiliary.into_iter().map(|a| (a.name, a.loss));
        Ok(StepOutput {
            loss: f64::from(loss.to_scalar::<f32>()?),
            gradient: Gradient::PerTensor(loss.backward()?),
            metrics: auxiliary.chain(self.metrics).collect(),
            batch: self.batch,
        })
    }
}

/// Loss and gradient of a step.
pub(super) struct StepOutput {
    /// The combined loss.
    pub loss: f64,
    pub gradient: Gradient,
    /// Named scalars for the log, auxiliary losses included.
    pub metrics: Vec<(&'static str, Tensor)>,
    /// What was drawn.
    pub batch: BatchReport,
}

/// The gradients of all parameters.
pub(super) enum Gradient {
    /// Computed by candle, on any device.
    PerTensor(GradStore),
    /// Computed by the module `cpu`.
    Flat(FlatGradient),
}

impl Gradient {
    /// Updates the parameters; returns the gradient's norm before clipping.
    pub fn apply(
        &self,
        optimizer: &mut Optimizer,
        step: u64,
        is_frozen: impl Fn(&str) -> bool,
    ) -> Result<f64> {
        match self {
            Self::PerTensor(gradient) => optimizer.update(gradient, step, is_frozen),
            Self::Flat(gradient) => optimizer.update_flat(gradient, step, is_frozen),
        }
    }
}
