//! How a world is sampled unless a player says otherwise.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// The sampling that suits a world best, as its maker found by evaluating it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SamplingConfig {
    /// Steps per frame, K.
    pub steps: usize,
    /// Standard deviation of the initial noise. Below 1, likely frames become likelier, and chance events
    /// rarer.
    pub temperature: f32,
    /// Signal level τ_ctx of finished frames in the context.
    pub context_signal: f32,
}

impl Default for SamplingConfig {
    fn default() -> Self {
        Self {
            steps: 4,
            temperature: 1.0,
            context_signal: 0.9,
        }
    }
}

impl SamplingConfig {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// Checks the values, for a network whose finest step is 1/`k_max`.
    ///
    /// # Errors
    /// Returns an error that names the key and what was expected.
    pub(super) fn check(&self, k_max: usize) -> Result<()> {
        let (steps, t, signal) = (self.steps, self.temperature, self.context_signal);
        let invalid = |key: &str, value: &dyn std::fmt::Display, expected: &str| {
            let text = format!("sampling.{key} is {value}, expected {expected}");
            Err(Error::Argument(text))
        };
        // The default also stands for networks that have fewer steps.
        if steps != Self::default().steps && !(steps.is_power_of_two() && steps <= k_max) {
            return invalid("steps", &steps, "a power of two, at most dynamics.k_max");
        }
        if !(t.is_finite() && t >= 0.0) {
            return invalid("temperature", &t, "a finite number, at least 0");
        }
        if !(signal > 0.0 && signal <= 1.0) {
            return invalid("context_signal", &signal, "above 0, at most 1");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: impl Fn(&mut SamplingConfig)) -> String {
        let mut sampling = SamplingConfig::default();
        change(&mut sampling);
        sampling
            .check(8)
            .map_or_else(|e| e.to_string(), |()| "fits".into())
    }

    #[test]
    fn values_out_of_range_are_named() {
        assert_eq!(check(|_| ()), "fits");
        assert_eq!(check(|s| (s.steps, s.temperature) = (8, 0.0)), "fits");
        for steps in [0, 3, 16] {
            let error = check(|s| s.steps = steps);
            assert!(error.starts_with(&format!("sampling.steps is {steps}, expected")));
        }
        assert!(check(|s| s.temperature = -0.5).contains("sampling.temperature is -0.5"));
        assert!(check(|s| s.temperature = f32::NAN).contains("sampling.temperature is NaN"));
        assert!(check(|s| s.context_signal = 0.0).contains("sampling.context_signal is 0"));
    }
}
