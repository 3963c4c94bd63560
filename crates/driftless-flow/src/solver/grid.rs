//! The levels that fixed steps go between.

use serde::{Deserialize, Serialize};

use super::check_grid;
use crate::FlowError;
use crate::Result;

/// Where the steps of a solver end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Grid {
    /// Steps of one size.
    #[default]
    Uniform,
    /// Even steps of a noise level t = 1 − τ that is then mapped to t′ = s t / (1 + (s − 1) t):
    /// small steps near the noise for s > 1, near the data for s < 1. Esser et al., *Scaling
    /// Rectified Flow Transformers for High-Resolution Image Synthesis* (2024), eq. 23, with
    /// s = √(m/n). Both ends stay where they are: the even steps go between what maps to them.
    Shifted {
        /// s > 0.
        shift: f64,
    },
    /// These levels, which say themselves where they start and end.
    Given(Vec<f64>),
}

impl Grid {
    /// The `steps` + 1 levels from `from` to `to`, rising or falling.
    ///
    /// # Errors
    /// No steps, a shift that is not above 0, ends that are equal or outside [0, 1], steps too
    /// small for floating point, or given levels of another number or with other ends.
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
                let even = |tau| shifted(tau, 1.0 / shift);
                let mut levels = between(steps, even(from), even(to), |tau| shifted(tau, *shift));
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

/// Its own inverse is the one with 1/`shift`.
fn shifted(tau: f64, shift: f64) -> f64 {
    let noise = 1.0 - tau;
    1.0 - shift * noise / (1.0 + (shift - 1.0) * noise)
}
