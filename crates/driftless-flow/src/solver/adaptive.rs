//! An adaptive solver: steps as large as a tolerance allows.

use super::fixed::{DORMAND_PRINCE, slope, take_step};
use super::grid::check_grid;
use super::state::{State, finite};
use crate::{CallbackError, FlowError, Result};

/// Chooses step sizes by an error estimate: Dormand and Prince's pair of orders 5 and 4 (1980), with the
/// norm and the first step of Hairer, Nørsett and Wanner, *Solving Ordinary Differential Equations
/// I* (1993), section II.4, and the PI control of Hairer and Wanner's *II* (1996), section IV.2.
///
/// A step is accepted if the root mean square, over all numbers of the state, of
/// errorᵢ / (absolute + tolerance · |zᵢ|) is at most 1. A batch has one norm for all its samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adaptive {
    /// Relative tolerance of a step, above 0.
    pub tolerance: f64,
    /// Absolute tolerance of a step, above 0, in units of the state.
    pub absolute: f64,
    /// Most steps, accepted and rejected together.
    pub max_steps: usize,
}

/// The result of an adaptive solver.
#[derive(Clone, Debug)]
pub struct Solution<S> {
    /// The state at the last level.
    pub state: S,
    /// Evaluations of the velocity: 2 for the first step size, and 6 for every step.
    pub evaluations: usize,
    /// Accepted steps.
    pub accepted: usize,
    /// Rejected steps.
    pub rejected: usize,
}

/// The weights of order 5 minus those of order 4, for the six stages and the velocity at the end.
pub(super) const ERROR: [f64; 7] = [
    71.0 / 57600.0,
    0.0,
    -71.0 / 16695.0,
    71.0 / 1920.0,
    -17253.0 / 339_200.0,
    22.0 / 525.0,
    -1.0 / 40.0,
];

/// PI control: the safety factor, and the exponents of the previous and of the current error.
const SAFETY: f64 = 0.9;
const MEMORY: f64 = 0.04;
const EXPONENT: f64 = 0.2 - 0.75 * MEMORY;

/// Limits on how much a step size shrinks and grows.
const FACTORS: (f64, f64) = (0.2, 10.0);

impl Adaptive {
    /// Integrates dz/dτ = `velocity`(z, τ) from one level to another, up or down.
    ///
    /// # Errors
    /// Returns an error if a tolerance or `max_steps` is not above 0, if the levels are equal or
    /// outside [0, 1], if a state or a velocity is not finite, if the tolerance needs more than
    /// `max_steps` steps or steps too small for floating point, or if `velocity` fails.
    pub fn solve<S: State, E: CallbackError>(
        &self,
        from: f64,
        to: f64,
        start: &S,
        velocity: &mut dyn FnMut(&S, f64) -> Result<S, E>,
    ) -> Result<Solution<S>, E> {
        self.check()?;
        check_grid(&[from, to])?;
        let mut evaluations = 0;
        let mut velocity = |z: &S, tau: f64| {
            evaluations += 1;
            velocity(z, tau)
        };
        let (mut accepted, mut rejected) = (0, 0);
        let mut state = finite(start.clone(), "the state", from)?;
        let mut first = slope(&mut velocity, &state, from)?;
        let mut size = self.first_size(&state, &first, (from, to), &mut velocity)?;
        let (mut tau, mut before, mut grow) = (from, 1e-4_f64, FACTORS.1);
        while tau != to {
            let next = self.next_level(tau, to, size, accepted + rejected)?;
            let known = first.clone();
            let (end, mut slopes) =
                take_step(&DORMAND_PRINCE, &state, known, (tau, next), &mut velocity)?;
            let last = slope(&mut velocity, &end, next)?;
            slopes.push(last.clone());
            let terms: Vec<_> = ERROR.into_iter().zip(&slopes).collect();
            size = (next - tau).abs();
            let error = size * self.norm(&S::combine(&terms)?, &state, &end)?;
            let wanted = SAFETY / error.powf(EXPONENT);
            if error <= 1.0 {
                size *= (wanted * before.powf(MEMORY)).clamp(FACTORS.0, grow);
                (state, first, tau) = (end, last, next);
                (before, grow) = (error.max(1e-4), FACTORS.1);
                accepted += 1;
            } else {
                size *= wanted.max(FACTORS.0);
                // Do not grow right after a rejection.
                grow = 1.0;
                rejected += 1;
            }
        }
        Ok(Solution {
            state,
            evaluations,
            accepted,
            rejected,
        })
    }

    /// Where step number `steps` ends that starts at `tau` on the way `to` a level.
    fn next_level(&self, tau: f64, to: f64, size: f64, steps: usize) -> Result<f64> {
        // The last step absorbs a remainder too small for a step of its own.
        let next = if (to - tau).abs() <= 1.01 * size {
            to
        } else {
            tau + size.copysign(to - tau)
        };
        if steps == self.max_steps || next == tau {
            return Err(FlowError::Tolerance {
                steps,
                tau,
                tolerance: self.tolerance,
            }
            .into());
        }
        Ok(next)
    }

    fn check(&self) -> Result<()> {
        let numbers = [
            ("the relative tolerance", self.tolerance),
            ("the absolute tolerance", self.absolute),
            ("the number of steps allowed", self.max_steps as f64),
        ];
        for (what, value) in numbers {
            if !(value > 0.0 && value.is_finite()) {
                return Err(FlowError::Range {
                    what,
                    value,
                    expected: "more than 0",
                }
                .into());
            }
        }
        Ok(())
    }

    /// The root mean square of what / (absolute + tolerance · max(|a|, |b|)).
    fn norm<S: State>(&self, what: &S, a: &S, b: &S) -> Result<f64> {
        let (what, a, b) = (what.numbers()?, a.numbers()?, b.numbers()?);
        let sizes = a.iter().zip(&b).map(|(a, b)| a.abs().max(b.abs()));
        let scaled = what
            .iter()
            .zip(sizes)
            .map(|(x, size)| x / (self.absolute + self.tolerance * size));
        let sum: f64 = scaled.map(|x| x * x).sum();
        Ok((sum / what.len().max(1) as f64).sqrt())
    }

    /// The first step size, from the magnitudes of z, its velocity and its acceleration.
    fn first_size<S: State, E: CallbackError>(
        &self,
        state: &S,
        first: &S,
        (from, to): (f64, f64),
        velocity: &mut dyn FnMut(&S, f64) -> Result<S, E>,
    ) -> Result<f64, E> {
        let span = (to - from).abs();
        let size = self.norm(state, state, state)?;
        let speed = self.norm(first, state, state)?;
        let tiny = if size < 1e-5 || speed < 1e-5 {
            1e-6
        } else {
            0.01 * size / speed
        };
        let tiny = tiny.min(span);
        let tau = if tiny == span {
            to
        } else {
            from + tiny.copysign(to - from)
        };
        let there = S::combine(&[(1.0, state), (tau - from, first)])?;
        let second = slope(velocity, &finite(there, "the state", tau)?, tau)?;
        let change = S::combine(&[(1.0, &second), (-1.0, first)])?;
        let acceleration = self.norm(&change, state, state)? / tiny;
        let steepest = speed.max(acceleration);
        let size = if steepest <= 1e-15 {
            (tiny * 1e-3).max(1e-6)
        } else {
            (0.01 / steepest).powf(0.2)
        };
        Ok(size.min(100.0 * tiny).min(span))
    }
}
