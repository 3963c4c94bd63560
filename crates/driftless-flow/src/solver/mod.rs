//! Solvers of the probability-flow ODE dz/dτ = v(z, τ), and of SDEs with the same marginals.

mod adaptive;
mod fixed;
mod grid;
mod sde;
mod state;

pub use adaptive::{Adaptive, Solution};
pub use fixed::{Method, solve};
pub use grid::{Grid, shifted_level};
pub use sde::{EstimateFn, Estimates, solve_sde};
pub use state::State;

#[cfg(test)]
mod tests;
