//! Distances between two sets of numbers or vectors.

/// The Wasserstein-1 distance of two sets of numbers, the area between their cumulative distributions;
/// 0 if one is empty.
pub fn wasserstein(a: &[f32], b: &[f32]) -> f64 {
    if a.is_empty() || b.is_empty() {
        return 0.0;
    }
    let sorted = |x: &[f32]| {
        let mut x = x.to_vec();
        x.sort_by(f32::total_cmp);
        x
    };
    let (a, b) = (sorted(a), sorted(b));
    let (mut i, mut j, mut sum) = (0, 0, 0.0);
    let mut last = a[0].min(b[0]);
    while i < a.len() || j < b.len() {
        let next = match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) => x.min(*y),
            (Some(x), None) | (None, Some(x)) => *x,
            (None, None) => last,
        };
        let apart = i as f64 / a.len() as f64 - j as f64 / b.len() as f64;
        sum += apart.abs() * f64::from(next - last);
        last = next;
        i += a[i..].iter().take_while(|x| **x <= next).count();
        j += b[j..].iter().take_while(|x| **x <= next).count();
    }
    sum
}

/// The Fréchet distance of two sets of vectors, each taken as Gaussian:
/// ‖μ₁ − μ₂‖² + tr(Σ₁ + Σ₂ − 2 (Σ₁ Σ₂)^½), Dowson and Landau (1982). Not comparable with the FID, whose
/// features come from another network.
pub fn frechet(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    let ((mean_a, cov_a), (mean_b, cov_b)) = (moments(a), moments(b));
    let apart: f64 = mean_a
        .iter()
        .zip(&mean_b)
        .map(|(x, y)| (x - y).powi(2))
        .sum();
    let n = mean_a.len();
    let root = power(&cov_a, n, f64::sqrt);
    // tr (Σ₁Σ₂)^½ = tr (Σ₁^½ Σ₂ Σ₁^½)^½, of a symmetric matrix.
    let inner = product(&product(&root, &cov_b, n), &root, n);
    let (values, _) = eigen(&inner, n);
    let cross: f64 = values.iter().map(|x| x.max(0.0).sqrt()).sum();
    let trace = |m: &[f64]| (0..n).map(|i| m[i * n + i]).sum::<f64>();
    (apart + trace(&cov_a) + trace(&cov_b) - 2.0 * cross).max(0.0)
}

/// The squared maximum mean discrepancy with the kernel (x·y/d + 1)³, unbiased (Bińkowski et al., 2018);
/// it can be slightly below 0. 0 if a set has fewer than two vectors.
pub fn kernel_distance(a: &[Vec<f32>], b: &[Vec<f32>]) -> f64 {
    if a.len() < 2 || b.len() < 2 {
        return 0.0;
    }
    let kernel = |x: &[f32], y: &[f32]| {
        let dot: f64 = x.iter().zip(y).map(|(x, y)| f64::from(x * y)).sum();
        (dot / x.len() as f64 + 1.0).powi(3)
    };
    let within = |x: &[Vec<f32>]| {
        let mut sum = 0.0;
        for i in 0..x.len() {
            for j in 0..i {
                sum += 2.0 * kernel(&x[i], &x[j]);
            }
        }
        sum / (x.len() * (x.len() - 1)) as f64
    };
    let between: f64 = a
        .iter()
        .flat_map(|x| b.iter().map(move |y| kernel(x, y)))
        .sum();
    within(a) + within(b) - 2.0 * between / (a.len() * b.len()) as f64
}

/// Mean and covariance [n, n].
fn moments(x: &[Vec<f32>]) -> (Vec<f64>, Vec<f64>) {
    let n = x.first().map_or(0, Vec::len);
    let count = x.len().max(1) as f64;
    let mean: Vec<f64> = (0..n)
        .map(|i| x.iter().map(|x| f64::from(x[i])).sum::<f64>() / count)
        .collect();
    let mut cov = vec![0.0; n * n];
    for x in x {
        for i in 0..n {
            for j in 0..n {
                cov[i * n + j] += (f64::from(x[i]) - mean[i]) * (f64::from(x[j]) - mean[j]);
            }
        }
    }
    let free = (count - 1.0).max(1.0);
    (mean, cov.iter().map(|c| c / free).collect())
}

fn product(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut c = vec![0.0; n * n];
    for i in 0..n {
        for k in 0..n {
            for j in 0..n {
                c[i * n + j] += a[i * n + k] * b[k * n + j];
            }
        }
    }
    c
}

/// f of a symmetric matrix with eigenvalues of at least 0.
fn power(a: &[f64], n: usize, f: fn(f64) -> f64) -> Vec<f64> {
    let (values, vectors) = eigen(a, n);
    let mut out = vec![0.0; n * n];
    for (k, value) in values.iter().enumerate() {
        let value = f(value.max(0.0));
        for i in 0..n {
            for j in 0..n {
                out[i * n + j] += value * vectors[i * n + k] * vectors[j * n + k];
            }
        }
    }
    out
}

/// Eigenvalues of a symmetric matrix, and its eigenvectors as columns, by Jacobi rotations.
fn eigen(a: &[f64], n: usize) -> (Vec<f64>, Vec<f64>) {
    let mut a = a.to_vec();
    let mut v: Vec<f64> = (0..n * n)
        .map(|i| f64::from(u8::from(i / n == i % n)))
        .collect();
    for _ in 0..60 {
        let off: f64 = (0..n * n)
            .filter(|i| i / n != i % n)
            .map(|i| a[i] * a[i])
            .sum();
        let all: f64 = a.iter().map(|x| x * x).sum();
        if off <= 1e-30 * all {
            break;
        }
        for p in 0..n {
            for q in p + 1..n {
                rotate(&mut a, &mut v, n, p, q);
            }
        }
    }
    ((0..n).map(|i| a[i * n + i]).collect(), v)
}

/// The rotation that makes a[p, q] zero (Golub and Van Loan, *Matrix Computations*, section 8.5).
fn rotate(a: &mut [f64], v: &mut [f64], n: usize, p: usize, q: usize) {
    let off = a[p * n + q];
    if off == 0.0 {
        return;
    }
    let ratio = (a[q * n + q] - a[p * n + p]) / (2.0 * off);
    let t = ratio.signum() / (ratio.abs() + (ratio * ratio + 1.0).sqrt());
    let c = (t * t + 1.0).sqrt().recip();
    let s = t * c;
    let turn = |x: &mut [f64], i: usize, j: usize| {
        let (x_i, x_j) = (x[i], x[j]);
        (x[i], x[j]) = (c * x_i - s * x_j, s * x_i + c * x_j);
    };
    for k in 0..n {
        turn(a, k * n + p, k * n + q);
    }
    for k in 0..n {
        turn(a, p * n + k, q * n + k);
        turn(v, k * n + p, k * n + q);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wasserstein_of_shifted_sets_is_the_shift() {
        assert_eq!(wasserstein(&[1.0, 5.0, 3.0], &[3.0, 7.0, 5.0]), 2.0);
        assert_eq!(wasserstein(&[0.0, 1.0], &[0.0, 1.0, 0.0, 1.0]), 0.0);
        // Half of the mass moves by 4.
        assert_eq!(wasserstein(&[0.0, 0.0], &[0.0, 4.0]), 2.0);
        assert_eq!(wasserstein(&[], &[1.0]), 0.0);
    }

    /// Four points with mean m and covariance diag(4/3 s²).
    fn cross(mean: [f32; 2], size: [f32; 2]) -> Vec<Vec<f32>> {
        let corners = [[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]];
        let point = |c: [f32; 2]| (0..2).map(|i| mean[i] + size[i] * c[i]).collect();
        corners.into_iter().map(point).collect()
    }

    #[test]
    fn frechet_distance_of_gaussians() {
        let (a, b) = (cross([0.0, 0.0], [1.0, 2.0]), cross([3.0, 4.0], [2.0, 5.0]));
        // 25 + 4/3 ((2 − 1)² + (5 − 2)²).
        assert!((frechet(&a, &b) - (25.0 + 40.0 / 3.0)).abs() < 1e-9);
        assert!(frechet(&a, &a) < 1e-9);
    }

    #[test]
    fn eigenvectors_rebuild_the_matrix() {
        let a = [4.0, 1.0, -2.0, 1.0, 3.0, 0.5, -2.0, 0.5, 6.0];
        for (x, y) in power(&a, 3, |x| x).iter().zip(a) {
            assert!((x - y).abs() < 1e-10, "{x} {y}");
        }
        let root = power(&a, 3, f64::sqrt);
        for (x, y) in product(&root, &root, 3).iter().zip(a) {
            assert!((x - y).abs() < 1e-10, "{x} {y}");
        }
    }

    #[test]
    fn kernel_distance_separates() {
        let a = cross([0.0, 0.0], [1.0, 1.0]);
        assert!(kernel_distance(&a, &cross([3.0, 0.0], [1.0, 1.0])) > 1.0);
        assert!(kernel_distance(&a, &a) <= 0.0);
        assert_eq!(kernel_distance(&a[..1], &a), 0.0);
    }
}
