//! Simulators: sources of training data, playable worlds, and ground truth for learned worlds.
//!
//! - [`Simulator`]: what every simulator can do. [`SimulatorKind`] lists and opens them.
//! - [`maze`]: a first-person maze with pillars and balls.
//! - [`drive`]: a car on a closed track, seen from above.
//! - [`caption`]: what recorded clips show, in words.
//! - [`policy`]: scripted and random policies.
//! - [`mod@record`]: records a dataset of episodes that a policy plays.
//!
//! In both worlds x points east and y north; angles are in radians, counterclockwise from the east.
//!
//! # Example
//!
//! The same seed and actions lead to the same frames, and a snapshot leads back to one of them:
//!
//! ```
//! use driftless_worlds::SimulatorKind;
//!
//! # fn main() -> driftless_worlds::Result<()> {
//! let mut maze = SimulatorKind::Maze.open(7);
//! let info = maze.info();
//! let left = info.actions.iter().position(|action| action.name == "left");
//!
//! let start = maze.snapshot();
//! let before = maze.image().to_vec();
//! let left = left.unwrap_or(0) as u32;
//! maze.step(left.into())?;
//! assert_ne!(maze.image(), before);
//!
//! maze.restore(&start)?;
//! assert_eq!(maze.image(), before);
//! # Ok(())
//! # }
//! ```
//!
//! `cargo run -p driftless-worlds --example record` records a dataset and prints what is in it.

pub mod caption;
pub mod cells;
pub mod drive;
mod error;
mod kind;
pub mod maze;
pub mod policy;
mod raster;
pub mod record;
mod simulator;

#[cfg(test)]
mod tests;

pub use error::{Error, Result};
pub use kind::SimulatorKind;
pub use policy::{Policy, PolicyAgent};
pub use record::record;
pub use simulator::{Simulator, SimulatorSnapshot, SimulatorState};
