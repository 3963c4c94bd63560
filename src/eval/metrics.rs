//! Numbers about frames and samples: PSNR, means, medians, shares.

/// Squared error over many pixels, gathered piece by piece.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct SquaredError {
    sum: f64,
    count: u64,
}

impl SquaredError {
    /// Adds two images of the same size, u8.
    pub fn add(&mut self, a: &[u8], b: &[u8]) {
        let sum: u64 = a
            .iter()
            .zip(b)
            .map(|(&a, &b)| u64::from(a.abs_diff(b)).pow(2))
            .sum();
        self.sum += sum as f64;
        self.count += a.len().min(b.len()) as u64;
    }

    /// Adds what another sum gathered.
    pub fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.count += other.count;
    }

    /// 10 log₁₀(255² / mean squared error) in dB; none without pixels, at most 99 (no error).
    ///
    /// The mean is taken over all pixels added, so a few bad frames weigh as much as they differ.
    pub fn psnr(&self) -> Option<f64> {
        const PERFECT: f64 = 99.0;
        let mean = self.sum / self.count as f64;
        (self.count > 0).then(|| {
            if mean > 0.0 {
                (10.0 * (255.0_f64.powi(2) / mean).log10()).min(PERFECT)
            } else {
                PERFECT
            }
        })
    }
}

/// PSNR between two images of the same size, u8, in dB; at most 99, for equal images.
pub fn psnr(a: &[u8], b: &[u8]) -> Option<f64> {
    let mut error = SquaredError::default();
    error.add(a, b);
    error.psnr()
}

/// The arithmetic mean; none of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The median (of an even number: the mean of the middle two); none of nothing.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.get(sorted.len() / 2)?;
    let lower = sorted.get((sorted.len() - 1) / 2)?;
    Some((lower + upper) / 2.0)
}

/// `part` of `whole`; none of nothing.
pub fn share(part: usize, whole: usize) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The Euclidean distance between two vectors of the same length.
pub fn distance(a: &[f32], b: &[f32]) -> f64 {
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(a - b).powi(2))
        .sum::<f64>()
        .sqrt()
}

#[cfg(test)]
mod tests {

    use super::*;

    #[test]
    fn psnr_of_one_grey_level_is_48_db() {
        let (a, b) = (vec![100_u8; 300], vec![101_u8; 300]);
        assert!((psnr(&a, &b).unwrap() - 48.1308).abs() < 1e-3);
    }

    #[test]
    fn psnr_is_of_the_pooled_error_and_capped() {
        let mut error = SquaredError::default();
        error.add(&[0, 0], &[0, 0]);
        assert_eq!(error.psnr(), Some(99.0));
        error.add(&[0, 0], &[10, 10]);
        // Mean squared error 50 over all four values.
        assert!((error.psnr().unwrap() - 31.1411).abs() < 1e-3);
        assert_eq!(SquaredError::default().psnr(), None);
    }

    #[test]
    fn medians_and_means_of_known_lists() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
        assert_eq!(mean(&[1.0, 2.0, 6.0]), Some(3.0));
        assert_eq!(mean(&[]), None);
        assert_eq!(share(1, 4), Some(0.25));
        assert_eq!(share(0, 0), None);
        assert!((distance(&[0.0, 3.0], &[4.0, 0.0]) - 5.0).abs() < 1e-9);
    }
}
