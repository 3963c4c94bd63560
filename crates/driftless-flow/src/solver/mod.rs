//! From noise to data: solvers of the probability-flow ODE dz/dτ = v(z, τ), and of the SDEs with
//! the same marginals.

mod adaptive;
mod fixed;
mod grid;
mod sde;
mod state;

pub use adaptive::{Adaptive, Solution};
pub use fixed::{Method, solve};
pub use grid::Grid;
pub use sde::{Estimates, solve_sde};
pub use state::State;

use super::FlowError;
use crate::Result;

/// Whether there are at least two levels, all of [0, 1], that go one way.
fn check_grid(grid: &[f64]) -> Result<()> {
    let inside = grid.iter().all(|tau| (0.0..=1.0).contains(tau));
    let up = grid.windows(2).all(|w| w[0] < w[1]);
    let down = grid.windows(2).all(|w| w[0] > w[1]);
    if grid.len() < 2 || !inside || !(up || down) {
        return Err(FlowError::Grid {
            grid: grid.to_vec(),
        }
        .into());
    }
    Ok(())
}

/// The state itself if all its numbers are finite.
fn finite<S: State>(state: S, what: &'static str, tau: f64) -> Result<S> {
    if !state.numbers()?.iter().all(|x| x.is_finite()) {
        return Err(FlowError::NotFinite { what, tau }.into());
    }
    Ok(state)
}

#[cfg(test)]
mod tests;
