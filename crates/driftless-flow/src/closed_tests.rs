use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;
use crate::solver::State;

const PATHS: [Path; 3] = [
    Path::Linear,
    Path::Cosine,
    Path::Exploding {
        least: 0.05,
        most: 10.0,
    },
];

#[test]
fn the_score_is_the_gradient_of_the_log_density() {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mixture = Mixture::random(3, 4, &mut rng);
    for path in PATHS {
        for tau in [0.0, 0.4, 0.9] {
            let z = mixture.samples_at(path, tau, 6, &mut rng).unwrap();
            let z = candle_core::Var::from_tensor(&z).unwrap();
            let log = mixture.log_density(path, &z, tau).unwrap();
            let grads = log.sum_all().unwrap().backward().unwrap();
            let score = mixture.score(path, &z, tau).unwrap();
            let gap = (score - grads.get(&z).unwrap()).unwrap();
            for x in gap.numbers().unwrap() {
                assert!(x.abs() < 1e-10, "{path:?} {tau} {x}");
            }
        }
    }
}

#[test]
fn the_density_is_transported_by_the_velocity() {
    // In one dimension: ∂p/∂τ + ∂(p v)/∂z = 0.
    let mixture = Mixture::new(&[0.3, 0.7], &[&[-1.5], &[1.0]], &[&[0.5], &[0.8]]);
    let h = 1e-5;
    for path in PATHS {
        for tau in [0.2, 0.6, 0.95] {
            let at = |z: f64, tau: f64| {
                let z = tensor(&[vec![z]]);
                let log = mixture.log_density(path, &z, tau).unwrap();
                let v = mixture.velocity(path, &z, tau).unwrap();
                (log.numbers().unwrap()[0].exp(), v.numbers().unwrap()[0])
            };
            let density = |tau| at(0.4, tau).0;
            let flux = |z| at(z, tau).0 * at(z, tau).1;
            let change = (density(tau + h) - density(tau - h)) / (2.0 * h);
            let out = (flux(0.4 + h) - flux(0.4 - h)) / (2.0 * h);
            assert!((change + out).abs() < 1e-7, "{path:?} {tau} {change} {out}");
        }
    }
}

#[test]
fn clean_and_noise_make_up_the_sample_and_samples_have_the_moments() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let mixture = Mixture::random(2, 3, &mut rng);
    for path in PATHS {
        let at = path.at(0.3).unwrap();
        let z = mixture.samples_at(path, 0.3, 5, &mut rng).unwrap();
        let (x, noise) = mixture.estimates(path, &z, 0.3).unwrap();
        let gap = Tensor::combine(&[(1.0, &z), (-at.alpha, &x), (-at.sigma, &noise)]);
        assert!(
            gap.unwrap()
                .numbers()
                .unwrap()
                .iter()
                .all(|x| x.abs() < 1e-12)
        );
    }
    let count = 40_000;
    let rows: Vec<Vec<f64>> = mixture.samples(count, &mut rng).unwrap().to_vec2().unwrap();
    let (mean, covariance) = mixture.moments();
    let average =
        |f: &dyn Fn(&[f64]) -> f64| rows.iter().map(|row| f(row)).sum::<f64>() / count as f64;
    for i in 0..3 {
        assert!((average(&|row| row[i]) - mean[i]).abs() < 0.04);
        for j in 0..3 {
            let seen = average(&|row| (row[i] - mean[i]) * (row[j] - mean[j]));
            assert!((seen - covariance[i][j]).abs() < 0.08, "{i} {j} {seen}");
        }
    }
}
