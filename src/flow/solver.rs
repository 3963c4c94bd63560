//! From noise to data: solvers of the probability-flow ODE dz/dτ = v(z, τ), and of the SDEs with
//! the same marginals.

use rand::RngCore;

use crate::Result;

/// What a solver moves: a tensor, or a plain vector where an engine has no use for tensors.
pub trait State: Clone {
    /// Σ wᵢ termᵢ; terms are of one shape, at least one.
    ///
    /// # Errors
    /// There is no term, the shapes differ, or the device failed.
    fn combine(terms: &[(f64, &Self)]) -> Result<Self>;

    /// Standard normal numbers in the shape of this state.
    ///
    /// # Errors
    /// The device failed.
    fn normal_like(&self, rng: &mut dyn RngCore) -> Result<Self>;

    /// All numbers, for norms and for checks of finiteness.
    ///
    /// # Errors
    /// The device failed.
    fn numbers(&self) -> Result<Vec<f64>>;
}
