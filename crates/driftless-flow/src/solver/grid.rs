//! Grids of signal levels for solvers with fixed steps.

use serde::{Deserialize, Serialize};

use crate::{FlowError, Result};

/// How the levels of a solver's steps are spaced.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Grid {
    /// Equal steps.
    #[default]
    Uniform,
    /// Equal steps of the noise level t = 1 − τ, mapped to t′ = s t / (1 + (s − 1) t): smaller steps
    /// near the noise for s > 1, near the data for s < 1 (Esser et al., *Scaling Rectified Flow
    /// Transformers for High-Resolution Image Synthesis*, 2024, eq. 23, with s = √(m/n)). The ends do
    /// not move: the equal steps lie between the levels that map to them.
    Shifted {
        /// s > 0.
        shift: f64,
    },
    /// Given levels, including both ends.
    Given(Vec<f64>),
}

impl Grid {
    /// The `steps` + 1 levels from `from` to `to`, rising or falling.
    ///
    /// # Errors
    /// Returns an error if `steps` is 0, if the shift is not above 0, if the ends are equal or outside
    /// [0, 1], if steps are too small for floating point, or if given levels differ in number or ends.
    pub fn levels(&self, steps: usize, from: f64, to: f64) -> Result<Vec<f64>> {
        if steps == 0 {
            return Err(FlowError::Range {
                what: "the number of steps",
                value: 0.0,
                expected: "1 or more",
            }
            .into());
        }
        check_grid(&[from, to])?;
        let levels = match self {
            Self::Uniform => between(steps, from, to, |tau| tau),
            Self::Shifted { shift } => {
                if !(*shift > 0.0 && shift.is_finite()) {
                    return Err(FlowError::Range {
                        what: "the shift of a τ grid",
                        value: *shift,
                        expected: "more than 0",
                    }
                    .into());
                }
                let even = |tau| shifted_level(tau, 1.0 / shift);
                let mut levels = between(steps, even(from), even(to), |tau| {
                    shifted_level(tau, *shift)
                });
                (levels[0], levels[steps]) = (from, to);
                levels
            }
            Self::Given(levels) => {
                check_grid(levels)?;
                let (first, last) = (levels[0], levels[levels.len() - 1]);
                if levels.len() != steps + 1 || first != from || last != to {
                    let own = levels.len() - 1;
                    return Err(FlowError::Pairing(format!(
                        "the given τ grid has {own} steps from {first} to {last}, expected {steps} \
                         from {from} to {to}"
                    ))
                    .into());
                }
                levels.clone()
            }
        };
        check_grid(&levels)?;
        Ok(levels)
    }
}

fn between(steps: usize, from: f64, to: f64, map: impl Fn(f64) -> f64) -> Vec<f64> {
    let share = |i: usize| i as f64 / steps as f64;
    let level = |i| from * (1.0 - share(i)) + to * share(i);
    (0..=steps).map(|i| map(level(i))).collect()
}

/// The level τ of an evenly spaced schedule, shifted as by [`Grid::Shifted`]. The inverse has the shift
/// 1/`shift`.
pub fn shifted_level(tau: f64, shift: f64) -> f64 {
    let noise = 1.0 - tau;
    1.0 - shift * noise / (1.0 + (shift - 1.0) * noise)
}

/// Checks that a grid has at least two levels, all in [0, 1], strictly rising or falling.
pub(super) fn check_grid(grid: &[f64]) -> Result<()> {
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
