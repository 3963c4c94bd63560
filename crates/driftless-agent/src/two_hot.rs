//! Numbers as distributions over bins: the symexp two-hot encoding.
//!
//! Hafner et al., *Mastering Diverse Domains through World Models*, 2023, eqs. 9 and 10. A head that predicts a
//! distribution is trained by cross-entropy, whose gradient does not grow with the size of the number.

use serde::{Deserialize, Serialize};

/// sign(x) ln(1 + |x|).
pub fn symlog(x: f32) -> f32 {
    x.signum() * x.abs().ln_1p()
}

/// sign(x) (exp|x| − 1), the inverse of [`symlog`].
pub fn symexp(x: f32) -> f32 {
    x.signum() * x.abs().exp_m1()
}

/// Bins that are evenly spaced after [`symlog`], symmetric about 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TwoHot {
    /// Number of bins; odd, so that one is 0.
    pub bins: usize,
    /// The largest number that they hold. Larger ones are clipped.
    pub limit: f32,
}

impl TwoHot {
    /// The number that bin `i` stands for.
    pub fn center(&self, i: usize) -> f32 {
        // From the middle, so that opposite bins cancel exactly.
        let middle = (self.bins / 2) as f32;
        symexp((i as f32 - middle) / middle.max(1.0) * symlog(self.limit))
    }

    /// All [`Self::center`]s.
    pub fn centers(&self) -> Vec<f32> {
        (0..self.bins).map(|i| self.center(i)).collect()
    }

    /// Writes the distribution whose mean is `x`: it has weight on the two bins next to `x` only.
    pub fn encode(&self, x: f32, weights: &mut [f32]) {
        weights.fill(0.0);
        let last = self.bins - 1;
        let x = x.clamp(self.center(0), self.center(last));
        let place = (symlog(x) / symlog(self.limit) + 1.0) / 2.0 * last as f32;
        let below = (place.floor() as usize).min(last.saturating_sub(1));
        let (low, high) = (self.center(below), self.center(below + 1));
        let share = ((x - low) / (high - low)).clamp(0.0, 1.0);
        weights[below] = 1.0 - share;
        weights[below + 1] = share;
    }

    /// The mean of softmax(`logits`) over the bins.
    pub fn mean(&self, logits: &[f32]) -> f32 {
        let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let (mut total, mut sum) = (0.0, 0.0);
        // In pairs from the outside: equal logits give exactly 0.
        for i in 0..self.bins / 2 {
            let j = self.bins - 1 - i;
            let [a, b] = [i, j].map(|k| (logits[k] - most).exp());
            total += a + b;
            sum += self.center(j) * (b - a);
        }
        if !self.bins.is_multiple_of(2) {
            total += (logits[self.bins / 2] - most).exp();
        }
        sum / total
    }

    /// Checks the values; the error says what was expected.
    ///
    /// # Errors
    /// Returns an error if there are too few bins or an even number, or if the limit is not positive.
    pub fn check(&self) -> Result<(), String> {
        if !(3..=1023).contains(&self.bins) || self.bins.is_multiple_of(2) {
            return Err(format!(
                "{} bins, expected an odd number from 3 to 1023",
                self.bins
            ));
        }
        if !(self.limit > 0.0 && self.limit < 1e8) {
            return Err(format!(
                "limit is {}, expected above 0 and below 1e8",
                self.limit
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BINS: TwoHot = TwoHot {
        bins: 41,
        limit: 20.0,
    };

    #[test]
    fn symexp_undoes_symlog() {
        for x in [-1000.0, -1.0, -1e-4, 0.0, 1e-6, 0.3, 1.0, 54.0] {
            assert!((symexp(symlog(x)) - x).abs() <= 1e-5 * x.abs(), "{x}");
            assert_eq!(symlog(x), -symlog(-x));
        }
        assert!((symlog(std::f32::consts::E - 1.0) - 1.0).abs() < 1e-6);
    }

    #[test]
    fn decoding_gives_back_the_number() {
        let centers = BINS.centers();
        let mut weights = vec![0.0; BINS.bins];
        for x in [-20.0, -3.3, -0.01, 0.0, 0.004, 0.5, 7.7, 19.9, 20.0] {
            BINS.encode(x, &mut weights);
            let total: f32 = weights.iter().sum();
            let mean: f32 = weights.iter().zip(&centers).map(|(w, c)| w * c).sum();
            assert!(
                (total - 1.0).abs() < 1e-6 && (mean - x).abs() < 1e-5,
                "{x}: {mean}"
            );
            assert!(weights.iter().filter(|w| **w > 0.0).count() <= 2);
            let logits: Vec<f32> = weights.iter().map(|w| w.max(1e-30).ln()).collect();
            assert!((BINS.mean(&logits) - x).abs() < 1e-4, "{x}");
        }
    }

    #[test]
    fn numbers_beyond_the_limit_are_clipped() {
        let mut weights = vec![0.0; BINS.bins];
        BINS.encode(1e6, &mut weights);
        assert_eq!(weights[BINS.bins - 1], 1.0);
        BINS.encode(f32::NEG_INFINITY, &mut weights);
        assert_eq!(weights[0], 1.0);
    }

    #[test]
    fn equal_logits_mean_zero() {
        assert_eq!(BINS.mean(&[0.7; 41]), 0.0);
    }

    /// A mixture of two numbers has their mean, however far apart they are.
    #[test]
    fn mean_of_a_mixture_is_unbiased() {
        let (mut a, mut b) = (vec![0.0; 41], vec![0.0; 41]);
        BINS.encode(0.0, &mut a);
        BINS.encode(10.0, &mut b);
        let logits: Vec<f32> = a
            .iter()
            .zip(&b)
            .map(|(a, b)| (0.9 * a + 0.1 * b).max(1e-30).ln())
            .collect();
        assert!((BINS.mean(&logits) - 1.0).abs() < 1e-4);
    }
}
