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

/// Side of the window of [`ssim`], and the standard deviation of its Gaussian weights, in pixels.
const SSIM_WINDOW: usize = 11;
const SSIM_SIGMA: f64 = 1.5;

/// Structural similarity of the luminance of two images, u8 RGB `[H, W, 3]`: 1 for equal ones.
///
/// Wang et al., *Image Quality Assessment: From Error Visibility to Structural Similarity* (2004),
/// eq. 13 with K₁ = 0.01 and K₂ = 0.03, Gaussian windows of 11 × 11 pixels that lie within the
/// image, luminance 0.299 R + 0.587 G + 0.114 B. None of images smaller than a window.
pub fn ssim(a: &[u8], b: &[u8], [height, width]: [usize; 2]) -> Option<f64> {
    if height < SSIM_WINDOW || width < SSIM_WINDOW {
        return None;
    }
    let luminance = |image: &[u8]| -> Vec<f64> {
        let of =
            |p: &[u8]| 0.299 * f64::from(p[0]) + 0.587 * f64::from(p[1]) + 0.114 * f64::from(p[2]);
        image.chunks_exact(3).map(of).collect()
    };
    let (a, b) = (luminance(a), luminance(b));
    let product =
        |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a * b).collect() };
    let mean = |x: &[f64]| windowed(x, width);
    let (ma, mb) = (mean(&a), mean(&b));
    let (aa, bb, ab) = (
        mean(&product(&a, &a)),
        mean(&product(&b, &b)),
        mean(&product(&a, &b)),
    );
    let [c1, c2] = [0.01_f64, 0.03].map(|k| (k * 255.0).powi(2));
    let each = (0..ma.len()).map(|i| {
        let (x, y) = (ma[i], mb[i]);
        let (vx, vy, cov) = (aa[i] - x * x, bb[i] - y * y, ab[i] - x * y);
        (2.0 * x * y + c1) * (2.0 * cov + c2) / ((x * x + y * y + c1) * (vx + vy + c2))
    });
    Some(each.sum::<f64>() / ma.len() as f64)
}

/// Means under the Gaussian window at every place where it lies within the image of this width.
fn windowed(x: &[f64], width: usize) -> Vec<f64> {
    let middle = (SSIM_WINDOW / 2) as f64;
    let weight = |i: usize| (-((i as f64 - middle) / SSIM_SIGMA).powi(2) / 2.0).exp();
    let total: f64 = (0..SSIM_WINDOW).map(weight).sum();
    let weights: [f64; SSIM_WINDOW] = std::array::from_fn(|i| weight(i) / total);
    let along = |row: &[f64]| -> Vec<f64> {
        let windows = row.windows(SSIM_WINDOW);
        windows
            .map(|window| window.iter().zip(weights).map(|(x, w)| x * w).sum())
            .collect()
    };
    let rows: Vec<Vec<f64>> = x.chunks_exact(width).map(along).collect();
    let inner = width + 1 - SSIM_WINDOW;
    rows.windows(SSIM_WINDOW)
        .flat_map(|window| {
            (0..inner).map(move |x| {
                let column = window.iter().zip(weights);
                column.map(|(row, w)| row[x] * w).sum()
            })
        })
        .collect()
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

    /// Values of scikit-image 0.26.0, `structural_similarity(gaussian_weights=True, sigma=1.5,
    /// use_sample_covariance=False, data_range=255)` on the luminance of the same frames.
    #[test]
    fn ssim_is_that_of_scikit_image() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let path = path.join("../../assets/pong/episode_00000.npz");
        let episode = crate::Episode::read(&path).unwrap();
        for (a, b, expected) in [
            (0, 10, 0.956_061_516_922_98),
            (40, 41, 0.929_505_460_463_39),
            (100, 160, 0.911_857_401_401_44),
        ] {
            let found = ssim(episode.frame(a), episode.frame(b), [64, 64]).unwrap();
            assert!((found - expected).abs() < 1e-9, "{a}, {b}: {found}");
        }
        assert_eq!(
            ssim(episode.frame(7), episode.frame(7), [64, 64]),
            Some(1.0)
        );
        assert_eq!(ssim(&[0; 300], &[0; 300], [10, 10]), None);
    }
}
