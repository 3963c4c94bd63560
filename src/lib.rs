//! The program: the command line's library half, with the window and what it makes worlds with.
//!
//! Everything below it is a crate of its own under `crates/`; see `ARCHITECTURE.md`.
//!
//! - [`app`]: the window: viewport, panels, keys.
//! - [`workspace`]: worlds on disk and jobs in the background.
//! - [`interrupt`]: Ctrl-C as a request to stop.

pub mod app;
mod error;
pub mod interrupt;
pub mod workspace;

pub use error::{ERROR_PREFIX, Error, Result};
