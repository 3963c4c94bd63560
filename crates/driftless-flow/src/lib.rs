//! The mathematics of flow matching, on tensors. It knows no networks, files or windows.
//!
//! The signal level τ ∈ [0, 1] goes from pure noise z₀ ~ N(0, I) at 0 to data z₁ at 1.
//!
//! - [`path`]: z_τ = α(τ) z₁ + σ(τ) z₀
//! - [`prediction`]: conversions between x̂, v̂, ε̂ and the score
//! - [`objective`]: losses, shortcut forcing
//! - [`solver`]: ODE and SDE solvers
//! - [`likelihood`], [`divergence`]: exact and estimated log likelihoods
//! - `coupling`: pairings of source and data (feature `coupling`, on by default)
//! - [`ddpm`], [`schedule`]: diffusion models seen as flows
//!
//! Networks come in as closures. They may fail with an error of their own, if it can hold this
//! crate's ([`CallbackError`]).
//!
//! # Example
//!
//! Sampling with a network that predicts the data, x̂. This one has learned a single point, so the
//! flow carries any noise there:
//!
//! ```
//! use candle_core::{Device, Tensor};
//! use driftless_flow::path::{Path, expand};
//! use driftless_flow::prediction::Prediction;
//! use driftless_flow::solver::{Grid, Method, solve};
//!
//! # fn main() -> driftless_flow::Result<()> {
//! let data = Tensor::new(&[[3.0, -1.0]], &Device::Cpu)?;
//! let network = |_z: &Tensor, _tau: f64| data.clone();
//!
//! // The velocity dz/dτ on the linear path, from x̂.
//! let mut velocity = |z: &Tensor, tau: f64| -> driftless_flow::Result<Tensor> {
//!     let levels = expand(&Tensor::new(&[tau], &Device::Cpu)?, z)?;
//!     let at = Path::Linear.coefficients(&levels)?;
//!     Prediction::X.convert(Prediction::V, &network(z, tau), z, &at)
//! };
//! let noise = Tensor::new(&[[0.4, 1.7]], &Device::Cpu)?;
//! let grid = Grid::Uniform.levels(4, 0.0, 1.0)?;
//! let sample = solve(Method::Euler, &grid, &noise, &mut velocity)?;
//!
//! let distance = (sample - &data)?.abs()?.sum_all()?.to_scalar::<f64>()?;
//! assert!(distance < 1e-9);
//! # Ok(())
//! # }
//! ```
//!
//! `cargo run --release -p driftless-flow --example two_moons` trains a network, samples from it and
//! gives exact likelihoods.

#[cfg(test)]
pub(crate) mod closed;
#[cfg(feature = "coupling")]
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
