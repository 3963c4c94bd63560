//! The mathematics of flow matching, on tensors. It knows no networks, files or windows.
//!
//! The signal level τ ∈ [0, 1] goes from pure noise z₀ ~ N(0, I) at 0 to data z₁ at 1.
//!
//! - [`path`]: z_τ = α(τ) z₁ + σ(τ) z₀
//! - [`prediction`]: conversions between x̂, v̂, ε̂ and the score
//! - [`objective`]: losses, shortcut forcing
//! - [`solver`]: ODE and SDE solvers
//! - [`likelihood`], [`divergence`]: exact and estimated log likelihoods
//! - [`coupling`]: pairings of source and data
//! - [`ddpm`], [`schedule`]: diffusion models seen as flows

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
