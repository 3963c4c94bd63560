//! Driftless: play inside a learned world model.
//!
//! The rooms, and the one direction in which they depend on each other
//! (`app → studio → sim → engine → model → flow`, `sim → worlds → data`, `sim → eval`, `studio → train, worlds`, `train → model, data, flow`, `eval → engine, model, data`,
//! `bench → eval, engine, train`):
//!
//! - [`flow`]: the mathematics of flow matching on tensors. Knows no model and no window.
//! - [`model`]: the networks (tokenizer, dynamics), their configuration and checkpoints.
//! - [`engine`]: one predicted frame after another, fast, with a ring of cached keys and values.
//! - [`data`]: episodes and datasets on disk, batches for training.
//! - [`train`]: the trainer: schedules, optimisers, EMA, resume.
//! - [`eval`]: rollouts against truth, object metrics, reports.
//! - [`bench`]: the engine's and the trainer's speed, beside the machine's.
//! - [`worlds`]: real simulators, to record from, to play and to compare with.
//! - [`sim`]: the world-model thread: commands in, frames out, paced.
//! - [`studio`]: what the window makes worlds with: jobs in the background, and where their results lie.
//! - [`app`]: the window: viewport, panels, keys.
//! - [`interrupt`]: Ctrl-C, which long work looks for between two steps.

pub mod app;
pub mod bench;
pub mod data;
pub mod engine;
pub mod error;
pub mod eval;
pub mod flow;
pub mod interrupt;
mod memory;
pub mod model;
pub mod sim;
pub mod studio;
pub mod train;
pub mod worlds;

pub use error::{Error, Result};
