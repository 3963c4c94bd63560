//! The training of one network, as the step loop sees it.

use std::time::Duration;

use candle_core::Tensor;
use rand_chacha::ChaCha8Rng;

use super::TrainStage;
use super::optimizer::Optimizer;
use crate::Result;

/// The training of one network.
pub(super) trait Task {
    /// Which network it is.
    fn stage(&self) -> TrainStage;

    /// Number of frames that a step trains on.
    fn frames_per_step(&self, step: u64) -> u64;

    /// Called before each step; may replace parameters.
    fn before_step(&mut self, step: u64, optimizer: &mut Optimizer) -> Result<()>;

    /// Draws a batch and returns its losses.
    fn loss(&mut self, step: u64, rng: &mut ChaCha8Rng) -> Result<Losses>;

    /// Whether a parameter is not trained at this step.
    fn is_frozen(&self, step: u64, name: &str) -> bool;

    /// Writes the averaged weights into the checkpoint.
    fn export(&self, step: u64, optimizer: &Optimizer) -> Result<()>;
}

/// The losses of a step, before they are combined.
pub(super) struct Losses {
    pub main: Tensor,
    pub auxiliary: Vec<AuxiliaryLoss>,
    /// Named scalars for the log.
    pub metrics: Vec<(&'static str, Tensor)>,
    /// Time spent on reading the step's frames.
    pub fetch_time: Duration,
}

/// A loss that counts `weight` times as much as the main one, whatever its units.
pub(super) struct AuxiliaryLoss {
    pub name: &'static str,
    pub loss: Tensor,
    pub weight: f64,
}
