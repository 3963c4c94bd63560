//! The mathematics of flow matching, on tensors. Knows no network and no window.
//!
//! Signal level τ ∈ [0, 1]: 0 is pure noise z₀ ~ N(0, I), 1 is data z₁.

#[cfg(test)]
pub(crate) mod closed;
pub mod coupling;
pub mod ddpm;
pub mod divergence;
mod error;
pub mod likelihood;
pub mod objective;
pub mod path;
pub mod prediction;
pub mod schedule;
pub mod solver;

pub use error::{CallbackError, Error, FlowError, Result};
