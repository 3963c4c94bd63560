//! Carries one distribution of pictures to another, by flow matching between two sets of data
//! (CellFlux: Zhang et al., 2025).
//!
//! A picture of an untreated cell is z₀, one of a treated cell z₁. The network predicts the velocity of
//! the flow from one to the other under a *condition*: a compound, given by its descriptor, a dose, and
//! the plate. τ ∈ [0, 1] is *transport time*: neither hours nor dose.
//!
//! - [`config`]: `config.json` of a checkpoint with `"kind": "transport"`.
//! - [`controls`]: pictures that a checkpoint brings along, to start from.
//! - [`network`]: the network, a transformer over overlapping patches.
//! - [`transporter`]: a trained network with its routes: forward, back, and through noise.
//!
//! ```no_run
//! use driftless_transport::{Condition, Transporter, TransportParams};
//!
//! # fn main() -> driftless_transport::Result<()> {
//! let cells = Transporter::read("runs/cells/checkpoint".as_ref())?;
//! let control = vec![0; cells.config().picture_len()];
//! let condition = Condition { compound: Some(3), dose: 1.0, plate: Some(0) };
//! let params = TransportParams::of(cells.config());
//! let treated = cells.transport(&control, &[condition], &params, 0)?;
//! assert_eq!(treated.len(), control.len());
//! # Ok(())
//! # }
//! ```

pub mod config;
pub mod controls;
mod error;
pub mod network;
mod packed;
pub mod transporter;

pub use config::{Condition, Route, Source, TransportConfig};
pub use controls::Controls;
pub use error::{Error, Result};
pub use network::TransportNetwork;
pub use transporter::{TransportParams, Transporter};

#[cfg(test)]
mod tests;
