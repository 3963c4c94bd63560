//! Stochastic samplers with the same marginals as the ODE.

use rand::RngCore;

use super::grid::check_grid;
use super::state::{State, finite};
use crate::path::Path;
use crate::{CallbackError, FlowError, Result};

/// A model's estimates for z at a level.
#[derive(Clone, Debug)]
pub struct Estimates<S> {
    /// v̂, the velocity of the probability-flow ODE.
    pub velocity: S,
    /// ε̂, the noise.
    pub noise: S,
}

/// A model: its estimates for z at a level.
pub type EstimateFn<'a, S, E> = dyn FnMut(&S, f64) -> Result<Estimates<S>, E> + 'a;

/// Integrates an SDE whose marginals are those of the ODE, by Euler and Maruyama's method:
///
/// dz = (v + ½ w² s) dτ + w dW, with the score s = −ε̂/σ and w² = `churn` · σ |σ′|,
///
/// that is dz = (v − ½ `churn` |σ′| ε̂) dτ + √(`churn` · σ |σ′|) dW, which needs no division and
/// adds no noise at the data. Any w(τ) preserves the marginals: Song et al., *Score-Based
/// Generative Modeling through Stochastic Differential Equations* (2021); Ma et al., *SiT:
/// Exploring Flow and Diffusion-based Generative Models with Scalable Interpolant Transformers*
/// (2024). On the variance-exploding path, `churn` = 2 is Song et al.'s reverse SDE. `churn` = 0 is
/// bit-identical to Euler's method on the ODE and draws nothing from `rng`.
///
/// On a falling grid, from data to noise, the drift towards higher density still has the factor |dτ|.
/// The noise of the last step stays in the result: make that step small if the grid ends at the data.
///
/// # Errors
/// Returns an error if `churn` is negative or not finite, if the grid is not strictly rising or
/// falling within [0, 1], if the exploding path's parameters are invalid, if a state or an estimate
/// is not finite, or if `estimates` fails.
pub fn solve_sde<S: State, E: CallbackError>(
    path: Path,
    churn: f64,
    grid: &[f64],
    start: &S,
    estimates: &mut EstimateFn<'_, S, E>,
    rng: &mut dyn RngCore,
) -> Result<S, E> {
    if !(churn >= 0.0 && churn.is_finite()) {
        return Err(FlowError::Range {
            what: "the churn of the SDE",
            value: churn,
            expected: "0 or more",
        }
        .into());
    }
    check_grid(grid)?;
    let mut state = finite(start.clone(), "the state", grid[0])?;
    for step in grid.windows(2) {
        let (tau, size) = (step[0], step[1] - step[0]);
        let Estimates { velocity, noise } = estimates(&state, tau)?;
        let velocity = finite(velocity, "the velocity", tau)?;
        state = if churn == 0.0 {
            S::combine(&[(1.0, &state), (size, &velocity)])?
        } else {
            let at = path.at(tau)?;
            let noise = finite(noise, "the noise", tau)?;
            let spread = churn * at.sigma_dot.abs() * size.abs();
            S::combine(&[
                (1.0, &state),
                (size, &velocity),
                (-0.5 * spread, &noise),
                ((spread * at.sigma).sqrt(), &state.normal_like(rng)?),
            ])?
        };
        state = finite(state, "the state", step[1])?;
    }
    Ok(state)
}
