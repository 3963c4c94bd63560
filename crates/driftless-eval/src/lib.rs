//! Evaluation of a world on held-out episodes: rollouts, objects, poses, outcomes and free runs.
//!
//! [`report::run`] measures all of it through an [`Engine`](driftless_engine::Engine) and returns an
//! [`report::EvalReport`]. [`table`] renders it as text or Markdown, [`contact_sheet`](driftless_data::contact_sheet) as PNG files.
//! [`surprise::run`] measures how likely the frames of an episode are under a world.

pub mod bench;
mod context_cache;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod free_run;
mod horizons;
pub mod likelihood;
mod object_truth;
pub mod objects;
mod one_step;
pub mod outcomes;
mod perturbations;
pub mod pose;
pub mod report;
pub mod surprise;
pub mod table;
mod tokenizer;

pub use error::{Error, Result};
pub use free_run::{FreeRunBin, FreeRunReport, ObjectPresence};
pub use horizons::{BallStats, HorizonSpan, PaddleStats, RolloutReport, ShuffledReport};
pub use one_step::{HitRate, OneStepReport};
pub use perturbations::{MeanBits, PerturbationReport};
pub use tokenizer::{Smoothness, TokenizerReport};
