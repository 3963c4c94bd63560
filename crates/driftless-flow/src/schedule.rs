//! Discrete noise schedules of diffusion models: x_i = √ᾱ_i x₀ + √(1 − ᾱ_i) ε at the steps
//! i = 0, …, T − 1, from the least noise to the most (Ho et al., *Denoising Diffusion Probabilistic
//! Models*, 2020, eq. 4). Step i is the papers' t = i + 1.

use std::f64::consts::FRAC_PI_2;

use crate::{FlowError, Result};

/// A noise schedule by its ratios α/σ = √ᾱ/√(1 − ᾱ). Between two steps, ln(α/σ) is linear.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// ln(α/σ), decreasing.
    ln_ratios: Vec<f64>,
}

impl Schedule {
    /// A schedule from its ᾱ.
    ///
    /// # Errors
    /// Returns an error for fewer than two steps, or if the ᾱ do not strictly decrease within (0, 1].
    pub fn new(alpha_bars: &[f64]) -> Result<Self> {
        if alpha_bars.len() < 2 {
            return Err(FlowError::Range {
                what: "the number of diffusion steps",
                value: alpha_bars.len() as f64,
                expected: "at least 2",
            }
            .into());
        }
        let mut before = f64::INFINITY;
        for (step, &alpha_bar) in alpha_bars.iter().enumerate() {
            if !(alpha_bar > 0.0 && alpha_bar <= 1.0 && alpha_bar < before) {
                return Err(FlowError::Schedule { step, alpha_bar }.into());
            }
            before = alpha_bar;
        }
        // ᾱ = 1 has no finite ratio. Replace its noise by half the least that another ᾱ can have.
        let noise = |alpha_bar: f64| (1.0 - alpha_bar).max(f64::EPSILON / 4.0);
        let ln_ratio = |a: &f64| 0.5 * (a.ln() - noise(*a).ln());
        Ok(Self {
            ln_ratios: alpha_bars.iter().map(ln_ratio).collect(),
        })
    }

    /// β linear from `first` to `last` (Ho et al. 2020, section 4: 10⁻⁴ to 0.02 in 1000 steps), with
    /// ᾱ_i = Π (1 − β).
    ///
    /// # Errors
    /// As [`Schedule::new`]: each β must be in (0, 1), except that the first may be 0.
    pub fn linear(steps: usize, first: f64, last: f64) -> Result<Self> {
        let slope = (last - first) / steps.saturating_sub(1) as f64;
        Self::of_betas((0..steps).map(|i| first + slope * i as f64))
    }

    /// ᾱ = f(t)/f(0) with f(t) = cos²((t/T + s)/(1 + s) · π/2), s = 0.008 and β at most 0.999
    /// (Nichol & Dhariwal, *Improved Denoising Diffusion Probabilistic Models*, 2021, eq. 17).
    ///
    /// # Errors
    /// Returns an error for fewer than two steps.
    pub fn cosine(steps: usize) -> Result<Self> {
        let f = |t: usize| {
            let s = 0.008;
            let share = (t as f64 / steps as f64 + s) / (1.0 + s);
            (share * FRAC_PI_2).cos().powi(2)
        };
        Self::of_betas((0..steps).map(|i| (1.0 - f(i + 1) / f(i)).min(0.999)))
    }

    fn of_betas(betas: impl Iterator<Item = f64>) -> Result<Self> {
        let products = betas.scan(1.0, |product, beta| {
            *product *= 1.0 - beta;
            Some(*product)
        });
        Self::new(&products.collect::<Vec<f64>>())
    }

    /// T, the number of steps.
    pub fn steps(&self) -> usize {
        self.ln_ratios.len()
    }

    /// α/σ at a step, which may be fractional.
    ///
    /// # Errors
    /// Returns an error if the step is outside [0, T − 1].
    pub fn ratio(&self, step: f64) -> Result<f64> {
        if !(0.0..=(self.steps() - 1) as f64).contains(&step) {
            return Err(FlowError::Range {
                what: "the diffusion step",
                value: step,
                expected: "0 to the schedule's last step",
            }
            .into());
        }
        let below = (step as usize).min(self.steps() - 2);
        let (a, b) = (self.ln_ratios[below], self.ln_ratios[below + 1]);
        Ok((a + (b - a) * (step - below as f64)).exp())
    }

    /// ᾱ at a step, which may be fractional.
    ///
    /// # Errors
    /// As [`Schedule::ratio`].
    pub fn alpha_bar(&self, step: f64) -> Result<f64> {
        Ok(1.0 / (1.0 + self.ratio(step)?.powi(-2)))
    }

    /// The fractional step with the ratio α/σ = `ratio` in [0, ∞]; the first or last step for ratios
    /// outside the schedule's.
    pub fn step_of_ratio(&self, ratio: f64) -> f64 {
        let wanted = ratio.ln();
        let after = self.ln_ratios.partition_point(|&l| l > wanted);
        if after == 0 {
            return 0.0;
        }
        let Some(&b) = self.ln_ratios.get(after) else {
            return (self.steps() - 1) as f64;
        };
        let a = self.ln_ratios[after - 1];
        (after - 1) as f64 + (a - wanted) / (a - b)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Ho et al.'s schedule, Nichol & Dhariwal's, and one that starts at the data itself.
    fn all() -> [Schedule; 3] {
        [
            Schedule::linear(1000, 1e-4, 0.02).unwrap(),
            Schedule::cosine(1000).unwrap(),
            Schedule::new(&[1.0, 0.7, 0.2, 1e-9]).unwrap(),
        ]
    }

    #[test]
    fn published_schedules_match() {
        let [linear, cosine, given] = all();
        let near = |a: f64, b: f64| (a / b - 1.0).abs() < 1e-6;
        assert!(near(linear.alpha_bar(0.0).unwrap(), 1.0 - 1e-4));
        // Π (1 − β) of a thousand steps, multiplied out in Python.
        assert!(near(linear.alpha_bar(999.0).unwrap(), 4.0358297654e-5));
        let f = |t: f64| ((t + 0.008) / 1.008 * FRAC_PI_2).cos().powi(2);
        let middle = cosine.alpha_bar(499.0).unwrap();
        assert!(near(middle, f(0.5) / f(0.0)));
        // The last β is cut to 0.999.
        let (last, before) = (cosine.alpha_bar(999.0), cosine.alpha_bar(998.0));
        assert!(near(last.unwrap() / before.unwrap(), 1e-3));
        let read = [1.0, 0.7, 0.2, 1e-9];
        for (i, alpha_bar) in read.into_iter().enumerate() {
            assert!(near(given.alpha_bar(i as f64).unwrap(), alpha_bar));
        }
    }

    proptest! {
        #[test]
        fn steps_and_ratios_round_trip(which in 0usize..3, share in 0.0..1.0f64) {
            let schedule = &all()[which];
            let step = share * (schedule.steps() - 1) as f64;
            let ratio = schedule.ratio(step).unwrap();
            prop_assert!((schedule.step_of_ratio(ratio) - step).abs() < 1e-8);
        }
    }

    #[test]
    fn ratios_clamp_to_the_ends() {
        for schedule in all() {
            let last = (schedule.steps() - 1) as f64;
            for (ratio, step) in [(f64::INFINITY, 0.0), (1e9, 0.0), (1e-9, last), (0.0, last)] {
                assert_eq!(schedule.step_of_ratio(ratio), step);
            }
        }
    }

    #[test]
    fn invalid_schedules_are_rejected() {
        for (bad, step) in [
            (vec![0.9, 0.9], 1),
            (vec![0.9, 0.95, 0.2], 1),
            (vec![1.1, 0.5], 0),
            (vec![0.9, 0.5, 0.0], 2),
            (vec![0.9, f64::NAN], 1),
            (vec![0.9, -0.1], 1),
        ] {
            let error = Schedule::new(&bad).unwrap_err().to_string();
            assert!(
                error.contains(&format!("at step {step}, expected")),
                "{error}"
            );
        }
        for few in [
            Schedule::new(&[0.5]),
            Schedule::cosine(0),
            Schedule::linear(1, 0.1, 0.2),
        ] {
            let error = few.unwrap_err().to_string();
            assert!(error.ends_with("expected at least 2"), "{error}");
        }
        assert!(Schedule::linear(10, -0.1, 0.1).is_err());
        assert!(Schedule::linear(10, 0.1, 1.5).is_err());
        let schedule = Schedule::linear(10, 0.1, 0.2).unwrap();
        assert!(schedule.ratio(9.5).is_err() && schedule.ratio(f64::NAN).is_err());
    }
}
