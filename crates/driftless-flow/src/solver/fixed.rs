//! Runge-Kutta methods on a fixed grid of levels.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::grid::check_grid;
use super::state::{State, finite};
use crate::{CallbackError, Error, FlowError, Result};

/// An explicit Runge-Kutta method on a fixed grid.
///
/// All methods except [`Method::Euler`] and [`Method::Midpoint`] evaluate the velocity at the end of
/// a step. If it is singular at τ = 1 (a velocity computed from x̂ divides by σ = 0), end the grid
/// slightly earlier.
///
/// The methods of orders 1 and 2 are in Hairer, Nørsett and Wanner, *Solving Ordinary Differential
/// Equations I* (1993), section II.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Order 1, 1 evaluation per step.
    Euler,
    /// Order 2, 2 evaluations per step, at its start and middle.
    Midpoint,
    /// Order 2, 2 evaluations per step, at its start and end (the explicit trapezoidal rule).
    Heun,
    /// Order 5, 6 evaluations per step: the higher-order weights of Dormand and Prince, *A family of
    /// embedded Runge-Kutta formulae* (1980).
    DormandPrince,
}

/// The Butcher tableau of an explicit Runge-Kutta method.
pub(super) struct Tableau {
    /// For each stage, its position in the step, from 0 to 1, and the weights of the stages before.
    stages: &'static [(f64, &'static [f64])],
    weights: &'static [f64],
}

const EULER: Tableau = Tableau {
    stages: &[(0.0, &[])],
    weights: &[1.0],
};

const MIDPOINT: Tableau = Tableau {
    stages: &[(0.0, &[]), (0.5, &[0.5])],
    weights: &[0.0, 1.0],
};

const HEUN: Tableau = Tableau {
    stages: &[(0.0, &[]), (1.0, &[1.0])],
    weights: &[0.5, 0.5],
};

pub(super) const DORMAND_PRINCE: Tableau = Tableau {
    stages: &[
        (0.0, &[]),
        (0.2, &[0.2]),
        (0.3, &[3.0 / 40.0, 9.0 / 40.0]),
        (0.8, &[44.0 / 45.0, -56.0 / 15.0, 32.0 / 9.0]),
        (
            8.0 / 9.0,
            &[
                19372.0 / 6561.0,
                -25360.0 / 2187.0,
                64448.0 / 6561.0,
                -212.0 / 729.0,
            ],
        ),
        (
            1.0,
            &[
                9017.0 / 3168.0,
                -355.0 / 33.0,
                46732.0 / 5247.0,
                49.0 / 176.0,
                -5103.0 / 18656.0,
            ],
        ),
    ],
    weights: &[
        35.0 / 384.0,
        0.0,
        500.0 / 1113.0,
        125.0 / 192.0,
        -2187.0 / 6784.0,
        11.0 / 84.0,
    ],
};

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Euler, Self::Midpoint, Self::Heun, Self::DormandPrince];

    /// Its name in settings.
    pub fn name(self) -> &'static str {
        match self {
            Self::Euler => "euler",
            Self::Midpoint => "midpoint",
            Self::Heun => "heun",
            Self::DormandPrince => "dormand_prince",
        }
    }

    fn tableau(self) -> &'static Tableau {
        match self {
            Self::Euler => &EULER,
            Self::Midpoint => &MIDPOINT,
            Self::Heun => &HEUN,
            Self::DormandPrince => &DORMAND_PRINCE,
        }
    }
}

impl FromStr for Method {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.into_iter().find(|m| m.name() == name);
        found.ok_or_else(|| {
            FlowError::Name {
                what: "solver",
                name: name.to_owned(),
                expected: "euler, midpoint, heun or dormand_prince",
            }
            .into()
        })
    }
}

/// Integrates dz/dτ = `velocity`(z, τ) from the first level of `grid` to the last, one step from
/// each level to the next. The grid may fall, as for likelihoods, which go from data to noise.
///
/// # Errors
/// Returns an error if the grid is not strictly rising or falling within [0, 1], if a state or a
/// velocity is not finite, or if `velocity` fails.
pub fn solve<S: State, E: CallbackError>(
    method: Method,
    grid: &[f64],
    start: &S,
    velocity: &mut dyn FnMut(&S, f64) -> Result<S, E>,
) -> Result<S, E> {
    check_grid(grid)?;
    let mut state = finite(start.clone(), "the state", grid[0])?;
    for step in grid.windows(2) {
        let first = slope(velocity, &state, step[0])?;
        let tableau = method.tableau();
        (state, _) = take_step(tableau, &state, first, (step[0], step[1]), velocity)?;
    }
    Ok(state)
}

/// The state after one step, and the velocities of its stages; `first` is the first of them.
pub(super) fn take_step<S: State, E: CallbackError>(
    tableau: &Tableau,
    state: &S,
    first: S,
    (from, to): (f64, f64),
    velocity: &mut dyn FnMut(&S, f64) -> Result<S, E>,
) -> Result<(S, Vec<S>), E> {
    let size = to - from;
    let mut slopes = vec![first];
    for &(position, weights) in &tableau.stages[1..] {
        // Rounding must not move the last stage past the end of the path.
        let tau = if position == 1.0 {
            to
        } else {
            from + position * size
        };
        let there = finite(moved(state, size, weights, &slopes)?, "the state", tau)?;
        slopes.push(slope(velocity, &there, tau)?);
    }
    let end = moved(state, size, tableau.weights, &slopes)?;
    Ok((finite(end, "the state", to)?, slopes))
}

/// The velocity, if it is finite.
pub(super) fn slope<S: State, E: CallbackError>(
    velocity: &mut dyn FnMut(&S, f64) -> Result<S, E>,
    state: &S,
    tau: f64,
) -> Result<S, E> {
    Ok(finite(velocity(state, tau)?, "the velocity", tau)?)
}

/// state + size · Σ weightᵢ slopeᵢ.
fn moved<S: State>(state: &S, size: f64, weights: &[f64], slopes: &[S]) -> Result<S> {
    let mut terms = vec![(1.0, state)];
    let weighted = weights.iter().zip(slopes).filter(|(w, _)| **w != 0.0);
    terms.extend(weighted.map(|(w, slope)| (size * w, slope)));
    S::combine(&terms)
}
