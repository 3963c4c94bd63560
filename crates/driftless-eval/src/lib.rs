//! Measuring a world: rollouts against held-out truth, known objects, poses, free running.
//!
//! [`report::run`] does all of it through an [`Engine`](driftless_engine::Engine) and returns a
//! [`report::Report`]; [`table`] turns that into text or Markdown, [`pictures`] into PNG files.
//! [`surprise::run`] says how likely the frames of a recording are to a world.

mod against;
pub mod bench;
mod error;
#[cfg(test)]
pub(crate) mod fake;
mod free;
mod horizons;
mod kept;
pub mod likelihood;
pub mod objects;
mod one_step;
pub mod outcomes;
pub mod pose;
pub mod report;
pub mod surprise;
pub mod table;
mod tokenizer;
mod truth;

pub use error::{Error, Result};

pub use against::{Comparison, Mean};
pub use free::{FreeBin, FreeReport, Presence};
pub use horizons::{BallStats, PaddleStats, RolloutReport, Shuffled, Span};
pub use one_step::{Hits, OneStep};
pub use tokenizer::{Smoothness, TokenizerReport};
