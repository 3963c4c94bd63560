//! Means with confidence intervals.

use serde::Serialize;

/// The 97.5 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// A mean with its 95 % confidence interval, by Student's t.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The mean.
    pub mean: f64,
    /// Half the width of the interval.
    pub margin: f64,
}

impl Interval {
    /// Of independent values. Without two of them, the margin is infinite.
    pub fn of(values: &[f64]) -> Self {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
        if values.len() < 2 {
            return Self {
                mean,
                margin: f64::INFINITY,
            };
        }
        let error = (squares / (n - 1.0) / n).sqrt();
        Self {
            mean,
            margin: quantile(n - 1.0) * error,
        }
    }

    /// Whether all of this interval is above all of the other.
    pub fn is_above(&self, other: &Self) -> bool {
        self.mean - self.margin > other.mean + other.margin
    }
}

/// The 97.5 % quantile of Student's t, by its expansion in 1/`freedom` about the normal one (Abramowitz and
/// Stegun, *Handbook of Mathematical Functions*, 26.7.5).
fn quantile(freedom: f64) -> f64 {
    let z = Z;
    let terms = [
        (z.powi(3) + z) / 4.0,
        (5.0 * z.powi(5) + 16.0 * z.powi(3) + 3.0 * z) / 96.0,
        (3.0 * z.powi(7) + 19.0 * z.powi(5) + 17.0 * z.powi(3) - 15.0 * z) / 384.0,
        (79.0 * z.powi(9) + 776.0 * z.powi(7) + 1482.0 * z.powi(5)
            - 1920.0 * z.powi(3)
            - 945.0 * z)
            / 92160.0,
    ];
    let mut power = 1.0;
    terms.iter().fold(z, |sum, term| {
        power *= freedom;
        sum + term / power
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Table of the t distribution, e.g. NIST's Engineering Statistics Handbook, 1.3.6.7.2.
    #[test]
    fn quantiles_agree_with_tables() {
        for (freedom, expected) in [(5.0, 2.571), (10.0, 2.228), (29.0, 2.045), (89.0, 1.987)] {
            let found = quantile(freedom);
            assert!((found - expected).abs() < 0.002, "{freedom}: {found}");
        }
    }

    #[test]
    fn interval_of_known_values() {
        let interval = Interval::of(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(interval.mean, 3.5);
        // s = √3.5, t = 2.571.
        assert!((interval.margin - 2.571 * (3.5f64 / 6.0).sqrt()).abs() < 2e-3);
        assert!(Interval::of(&[9.0, 9.1, 9.2]).is_above(&interval));
        assert!(!Interval::of(&[1.0, 9.0]).is_above(&interval));
    }
}
